"""Figures: what an error costs, ours beside SciPy's, on problems that are not stiff and on problems that are.

Claims: at an error of 1e-6, dopri5 needs no more evaluations than SciPy's RK45 on two problems of DETEST in three at
least, nor tsit5; nor dop853 than DOP853, adams than LSODA, or, on stiff problems, radau5 than Radau; and dopri5 and
radau5 are 20 times as fast on the median problem. It is `nodeedu figure work-precision`: under a minute, and another to
compile at first. Run `python figures/work_precision.py`; it writes work_precision_nonstiff.png and
work_precision_stiff.png beside itself and prints PASS or FAIL with what was measured.
"""

from pathlib import Path

from nodeedu.verify import work_precision

assert work_precision.run(Path(__file__).parent) == 0
