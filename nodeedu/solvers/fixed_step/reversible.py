"""Algebraically reversible methods: every step is undone by a formula, so that going back needs no stored states.

**reversible_heun** (Kidger, Foster, Li & Lyons, arXiv 2105.13493, algorithms 1 and 2; order 2) carries along with y a
second state v and its slope k = f(t, v), which start as z0 and f(t0, z0). One evaluation a step:

    v1 = 2 y - v + h k,      k1 = f(t1, v1),      y1 = y + h/2 (k + k1),
    v  = 2 y1 - v1 - h k1,   k  = f(t, v),        y  = y1 - h/2 (k + k1).

On ``z' = lambda z`` its eigenvalues are those of the explicit midpoint rule with two steps, ``m^2 - 2 h lambda m = 1``:
stable for h lambda between -i and i alone. Where solutions decay, v and y drift apart like exp(|lambda| t).

**reversible_NAME** (McCallum & Foster, arXiv 2410.11648) wraps any explicit Runge-Kutta method; with its increments
``Psi_h(t, y) = h sum_i b_i k_i`` and a second state w, which starts as z0,

    y1 = w + c (y - w) + Psi_h(t, w),       w1 = w - Psi_-h(t1, y1),
    w  = w1 + Psi_-h(t1, y1),               y  = w + (y1 - w - Psi_h(t, w)) / c.

It keeps the order and takes twice the evaluations; steps are fixed. The coupling c = 0.999 pulls the two together. On
``z' = lambda z`` with R the stability function of the wrapped method, the eigenvalues solve ``m^2 - G m + c = 0``,
``G = 1 + c - (1 - c) (R(-x) - 1) - (R(-x) - 1) (R(x) - 1)``, x = h lambda: for real x < 0 about -(1 - c) < x < 0 is
stable, small next to Runge-Kutta; beyond it, the two drift apart about like exp(|lambda| t). Undoing a step divides by
c: round-off may grow by c^-N, which is 2e4 over N = 10,000 steps.
"""

from __future__ import annotations

import numpy as np

from nodeedu.compile.kernels import DONE
from nodeedu.solvers.arguments import Inputs, Options
from nodeedu.solvers.core import driver
from nodeedu.solvers.fixed_step.grid import finish, go_back, place
from nodeedu.solvers.fixed_step.reversible_step import (
    LAG,
    SLOPE,
    Back,
    K,
    W,
    Y,
    heun_step,
    pair_step,
    undo_heun,
    undo_pair,
    wrapped,
)
from nodeedu.solvers.fixed_step.solve import Scheme, solve_on_grid, undo_on_grid
from nodeedu.solvers.integrate import ROUNDS
from nodeedu.solvers.solution import Solution

Array = np.ndarray


def solve(inputs: Inputs, options: Options, record: bool = False) -> Solution:
    """Make the steps of all samples.

    Parameters
    ----------
    inputs, options : Inputs, Options
        As arguments.py made them.
    record : bool
        Whether to keep what steps end with, for `backward` and for dense output.
    """
    kernel, method = inputs.field.kernel("f", inputs.z0.dtype), wrapped(options.method)
    work, s = np.empty(kernel.work_size, inputs.z0.dtype), len(method.b)

    def start(z, t):
        x = np.zeros((K + s, *z.shape), z.dtype)
        x[Y] = x[W] = z
        if s == 0:
            kernel.function(t, z, inputs.p, x[SLOPE], work)
        return x, int(s == 0)

    def go(n, made, x, times, grid, outputs, trail, samples):
        return march(
            n, made, kernel.callee, inputs.p, work, method, x, np.empty(n), times, grid, outputs, trail, samples
        )  # fmt: skip

    return solve_on_grid(inputs, options, record, Scheme(start, go, 2 if s else 3))


@driver
def march(n, made, callee, p, work, method, x, t, times, grid, outputs, trail, samples):
    """Make up to `ROUNDS` steps with the first n lanes; return how many still run, or -1 if the kernel failed."""
    s = method.b.shape[0]
    states, evaluations = (2, 2 * s) if s > 0 else (3, 1)
    for made_before in range(made, made + ROUNDS):
        place(n, times, grid)
        if s == 0:
            done = heun_step(n, callee, p, work, x, t, grid)
        else:
            done = pair_step(n, callee, p, work, method, x, t, grid)
        if done != DONE:
            return -1
        n = finish(n, made_before + 1, evaluations, states, x, times, grid, outputs, trail, samples)
        if n == 0:
            break
    return n


# ---------------------------------------------------------------- back


def backward(solution: Solution, zs_bar: Array) -> tuple[Array, Array, Array]:
    """Backpropagate through the steps from their stored ends; see `reverse`, which stores none."""
    a, p_bar, nfev, _ = _undo(solution, zs_bar, True)
    return a, p_bar, nfev


def reverse(solution: Solution, zs_bar: Array) -> tuple[Array, Array, Array, Array]:
    """Backpropagate through the steps while undoing them.

    Returns
    -------
    a : array (B, D)
        a(t0+), without the observation at t0.
    p_bar : array (P,)
        dL/dtheta.
    nfev : array (B,)
        Evaluations of f, with its derivatives or, for all stages but the last of each increment, without too.
    z0 : array (B, D)
        The initial state as it came back.
    """
    return _undo(solution, zs_bar, False)


def _undo(solution: Solution, zs_bar: Array, stored: bool) -> tuple[Array, Array, Array, Array]:
    inputs, method = solution._inputs, wrapped(solution._options.method)
    s, dtype = len(method.b), inputs.z0.dtype
    f, vjp = inputs.field.kernel("f", dtype), inputs.field.kernel("vjp", dtype)
    work, vjp_work = np.empty(f.work_size, dtype), np.empty(vjp.work_size, dtype)

    def go(n, gone, stored, x, bars, p_bar, zs_bar, times, grid, trail):
        back = Back(f.callee, vjp.callee, inputs.p, work, vjp_work, p_bar, np.empty(n), np.empty(n, dtype))
        return undo(n, gone, stored, back, method, x, bars, np.empty(x.shape[1:], dtype), zs_bar, times, grid, trail)

    a, p_bar, z0 = undo_on_grid(solution, zs_bar, stored, K + max(s, 2), go)
    steps = solution._samples["accepted"]
    return a, p_bar, steps * 2 * (2 * s - 1) if s else steps + (steps > 0), z0


@driver
def undo(n, gone, stored, back, method, x, bars, dz, zs_bar, times, grid, trail):
    """Go back over up to `ROUNDS` steps; return how many of the n lanes have more, or -1 if a kernel failed."""
    s = method.b.shape[0]
    for gone_before in range(gone, gone + ROUNDS):
        rest = go_back(n, gone_before, 2 if s > 0 else 3, stored, x, bars[Y], zs_bar, times, grid, trail)
        if s == 0:
            if stored:
                bars[LAG] = 0.0
            done = undo_heun(n, rest, back, x, bars, grid)
        else:
            done = undo_pair(n, back, method, x, bars, dz, grid)
        if done != DONE:
            return -1
        n = rest
        if n == 0:
            break
    return n
