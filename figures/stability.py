"""Figure: the stability regions of all methods of fixed steps, measured on the solvers themselves.

Claims: stability on the negative real axis ends where theory has it, for explicit Runge-Kutta methods and those of
Adams; on an oscillator, at h w = 2, 2 and 1.57 for the symplectic methods; implicit methods are stable in the left half
plane, and reversible ones nowhere on the negative real axis beyond a tenth. It is `nodeedu figure stability`: half a
minute. Run `python figures/stability.py`; it writes stability.png beside itself and prints PASS or FAIL with what was
measured.
"""

from pathlib import Path

from nodeedu.verify import stability_figure

assert stability_figure.run(Path(__file__).parent) == 0
