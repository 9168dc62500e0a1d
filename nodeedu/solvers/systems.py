"""The three systems that the solvers integrate, all made from kernels of one vector field f(t, z, theta).

    FIELD     y = (z,)               z' = f
    ADJOINT   y = (z, a)             z' = f,   a' = -a f_z           (the adjoint ODE; a is a row)
    TANGENT   y = (z, S_1 ... S_m)   z' = f,   S_j' = f_z S_j + f_theta theta_dot_j

A block is one (B, D) array of y; the rows of a block are lanes, each with its own time.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from nodeedu.compile.kernels import DONE, call_f, call_jvp, call_vjp_z
from nodeedu.solvers.core import core

FIELD = 0
ADJOINT = 1
TANGENT = 2


class Problem(NamedTuple):
    """Right-hand side."""

    system: int
    callee: Any  # address of the kernel that the system needs, or a Python function under NUMBA_DISABLE_JIT=1
    p: np.ndarray  # (Q,) packed parameters
    p_dots: np.ndarray  # (M - 1, Q) directions of TANGENT
    work: np.ndarray  # (W,)


@core
def evaluate(problem, n, t, y, dy):
    """Evaluate the slopes dy of the first n lanes; return `DONE`, or 0 if the kernel failed.

    Shapes: t (B,), y and dy (M, B, D).
    """
    callee, p, work = problem.callee, problem.p, problem.work
    if problem.system == FIELD:
        return call_f(callee, n, t, y[0], p, dy[0], work)
    if problem.system == ADJOINT:
        done = call_vjp_z(callee, n, t, y[0], y[1], p, dy[0], dy[1], work)
        for b in range(n):
            for i in range(dy.shape[2]):
                dy[1, b, i] = -dy[1, b, i]
        return done
    done = DONE
    for j in range(1, y.shape[0]):
        done = min(done, call_jvp(callee, n, t, y[0], y[j], p, problem.p_dots[j - 1], dy[0], dy[j], work))
    return done
