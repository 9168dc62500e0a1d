"""Figure: planar flows, deep or wide, matched to a density by reverse KL (figure 4 of arXiv 1806.07366).

Claims: at K = M = 8, and at 32, the reverse KL of a planar CNF of width M is below that of a planar normalising flow of
depth K on at least two of three targets; "below" is for the whole 95 % interval of the difference over five seeds. It
is `nodeedu figure figure4`, drawn in half a minute from the numbers in nodeedu/models/paper/figure4.json, with budgets
and the differences from the paper in figure4.py beside it. Run `python figures/figure4.py`; it writes figure4.png
beside itself and prints PASS or FAIL with what was measured. `--train` makes the numbers anew, in forty minutes on
one core, and goes on where it was if it is interrupted.
"""

import sys
from pathlib import Path

from nodeedu.models.paper import figure4

if sys.argv[1:] == ["--train"]:
    figure4.train()
figure4.run(Path(__file__).parent)
