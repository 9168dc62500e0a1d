"""Figure: a Neural ODE learns sixteen years of the lynx-hare record and forecasts the next five.

Claim: on the years held out, 1916 to 1920, its error is below that of persistence. It is what `nodeedu fit` does with
seed 0, and its figure. Run `python figures/lynx_hare_fit.py`; it writes lynx_hare_fit.png beside itself.
"""

from pathlib import Path

from nodeedu import data, plot
from nodeedu.cli import STEPS
from nodeedu.fitting import job, read_table

plot.headless()

table = read_table(data.path("lynx_hare_1900_1920"), "lynx_hare_1900_1920.csv")
outcome = job.run(table, job.split(table, 0.25), seed=0, steps=STEPS)

path = Path(__file__).with_suffix(".png")
outcome.draw().savefig(path, dpi=110)  # less than `plot.save`, to keep the repository small
print(f"wrote {path}")

assert outcome.errors["Neural ODE"].holdout < outcome.errors["persistence"].holdout
