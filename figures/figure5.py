"""Figure: planar flows by maximum likelihood on two circles and two moons (figure 5 of arXiv 1806.07366).

Claims: on both, the held-out negative log-likelihood of a planar CNF of 64 units is below that of a planar normalising
flow of 64 layers; "below" is for the whole 95 % interval of the difference over five seeds. It is `nodeedu figure
figure5`, drawn in half a minute from the numbers in nodeedu/models/paper/figure5.json, with the budgets in figure5.py
beside it. Run `python figures/figure5.py`; it writes figure5.png beside itself and prints PASS or FAIL with what was
measured. `--train` makes the numbers anew, in a quarter of an hour on one core, and goes on where it was if it is
interrupted.
"""

import sys
from pathlib import Path

from nodeedu.models.paper import figure5

if sys.argv[1:] == ["--train"]:
    figure5.train()
figure5.run(Path(__file__).parent)
