"""Figure: a continuous normalising flow learns the two moons.

Claim: the negative log-likelihood of held-out points comes within 0.05 nats of the generator's entropy, which no model
can beat on average. It is `nodeedu flow train two-moons` with seed 0, and its figure: half a minute, and another to
compile at first. Run `python figures/two_moons_flow.py`; it writes two_moons_flow.png beside itself.
"""

import tempfile
from pathlib import Path

from nodeedu import plot
from nodeedu.models.flow import job
from nodeedu.models.flow.recipes import recipe_for
from nodeedu.models.flow.samples import named

plot.headless()

samples = named("two-moons", seed=0)
with tempfile.TemporaryDirectory() as folder:
    outcome = job.run(samples, recipe_for(samples, "exact", 0, None, None), Path(folder))

path = Path(__file__).with_suffix(".png")
outcome.draw().savefig(path, dpi=110)  # less than `plot.save`, to keep the repository small
print(f"wrote {path}")

assert outcome.held_out < samples.entropy + 0.05
