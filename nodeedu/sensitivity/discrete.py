"""Backpropagation through the accepted steps: the exact gradient of what the solver computed, step sizes held constant.

The equations and the loops are in reverse_sweep.py.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from nodeedu.sensitivity.reverse_sweep import LANE, OTHERS, go_back
from nodeedu.solvers.core import with_attributes
from nodeedu.solvers.runge_kutta import K
from nodeedu.solvers.solution import Solution
from nodeedu.solvers.solve import lanes_at_once
from nodeedu.solvers.status import kernel_failure
from nodeedu.solvers.threads import in_chunks

Array = np.ndarray


def discrete(solution: Solution, zs_bar: Array) -> tuple[Array, Array, Array]:
    """Backpropagate through a solve that was recorded.

    Parameters
    ----------
    solution : Solution
        With records.
    zs_bar : array (T, B, D)
        dL/dz(t_i).

    Returns
    -------
    a : array (B, D)
        a(t0+), which leaves out the observation at t0.
    p_bar : array (P,)
        dL/dtheta, summed over samples.
    nfev : array (B,)
        Evaluations of f with its derivatives.

    Raises
    ------
    SolverError
        If a compiled kernel raises an exception.
    """
    inputs, method, steps = solution._inputs, solution._method, solution._samples["accepted"]
    samples, stages = len(inputs.z0), len(method.b)
    a, by_steps = np.zeros(inputs.z0.shape, inputs.z0.dtype), (-steps).argsort(kind="stable")
    chunk = lanes_at_once(2 * stages, inputs.z0[None])  # slopes and their cotangents
    work = partial(_sweep, solution, zs_bar, by_steps, a)
    p_bar, *others = in_chunks(work, samples, chunk)
    for other in others:  # in the order of the chunks
        p_bar += other
    own = (steps > 0) + _first_slopes_after_jumps(solution)
    return a, p_bar, steps * (stages - 1) + own if method.fsal else steps * stages


def _sweep(
    solution: Solution, zs_bar: Array, by_steps: Array, a: Array, chosen: slice, interrupted: Callable[[], bool]
) -> Array:
    """Backpropagate through the steps of the chosen samples: fill their rows of a, and return p_bar (P,)."""
    inputs, method, members = solution._inputs, solution._method, by_steps[chosen]
    kernel, dtype = inputs.field.kernel("vjp", a.dtype), a.dtype
    p_bar, work = np.zeros(inputs.field.n_params, dtype), np.empty(kernel.work_size, dtype)
    n, started, size = len(members), False, a.shape[1]
    lanes, t = with_attributes(np.empty(n, LANE)), np.empty(n)
    rows = np.empty((K + 2 * len(method.b) + method.interpolant.shape[1] + len(OTHERS), n * size), dtype)
    while n > 0 and not interrupted():
        n = go_back(
            n, started, kernel.callee, inputs.p, p_bar, work, method, solution._options.fixed, inputs.ts, zs_bar,
            solution._records, solution._samples, members, lanes, t, rows, a,
        )  # fmt: skip
        started = True
    if n < 0:
        raise kernel_failure("discrete", solution._options.method, float(lanes["t"][0]))
    return p_bar


def _first_slopes_after_jumps(solution: Solution) -> Array | int:
    """Return how many first slopes of later steps are not the last of the step before, for every sample (B,)."""
    if not solution._options.jump_ts:
        return 0
    steps = solution._records.steps[: solution._records.count[0]]
    after = (steps["first"] != steps["t"]) & (steps["previous"] >= 0)
    return np.bincount(steps["sample"][after], minlength=len(solution._samples))
