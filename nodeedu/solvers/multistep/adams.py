r"""The Adams method of variable step and order, 1 to 12: what the paper's own solver, LSODE, does on smooth problems.

The slopes f_n, f_{n-1}, ... at the past k times are interpolated by a polynomial, which is integrated over the step. In
Newton's form, with h = t_{n+1} - t_n, divided differences Phi scaled by the steps (Krogh), and sums over 0 <= j < k,

    beta_j = prod_{i<j} (t_{n+1} - t_{n-i}) / (t_n - t_{n-i-1}),   Phi*_j = beta_j Phi_j(n),
    g_j    = (1/h) int_{t_n}^{t_{n+1}} prod_{i<j} (t - t_{n-i}) / (t_{n+1} - t_{n-i}) dt,

a step predicts, evaluates, corrects and evaluates (PECE),

    p = y_n + h sum_j g_j Phi*_j,   d = f(t_{n+1}, p) - sum_j Phi*_j,   y_{n+1} = p + h g_k d,
    Phi_0(n+1) = f(t_{n+1}, y_{n+1}),   Phi_{j+1}(n+1) = Phi_j(n+1) - Phi*_j,

where y_{n+1} is of order k + 1, ``h (g_k - g_{k-1}) d`` estimates the error of the result of order k, and the same
differences, one index lower, those of the orders below (local extrapolation). The order falls where a lower one would
err less; it rises after k + 1 equal steps where a higher one would; steps double, stay, or shrink by 0.5 to 0.9. At the
start the order is 1, and both rise step by step. Within a step, y(t) is the integral of the same polynomial up to t: it
is continuous, of order k + 1, and costs no evaluation.

Shampine & Gordon, Computer Solution of Ordinary Differential Equations (1975), chapters 5 and 10; Hairer, Norsett &
Wanner, Solving Ordinary Differential Equations I (1993), III.5, which this follows: coefficients are computed anew at
every step, so that a rejected one leaves nothing to undo.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np

from nodeedu.solvers.arguments import Inputs, Options
from nodeedu.solvers.core import with_attributes
from nodeedu.solvers.lanes import grow
from nodeedu.solvers.multistep.adams_control import STATE, Control
from nodeedu.solvers.multistep.adams_march import Work, march
from nodeedu.solvers.multistep.adams_output import FIRST_RECORDS, Records, interpolate, make_records
from nodeedu.solvers.multistep.adams_step import ATOL, MAX_ORDER, ROWS
from nodeedu.solvers.solution import Solution
from nodeedu.solvers.solve import make_outputs, solve_again

Array = np.ndarray


def solve(inputs: Inputs, options: Options, record: bool = False) -> Solution:
    """Solve every sample with steps and orders of its own; see `nodeedu.solvers.solve.solve`.

    Raises
    ------
    ValueError
        If a step_size is given: the steps of this method are its own choice.
    """
    if options.fixed:
        raise ValueError("step_size: 'adams' chooses its own; leave it out, or take 'adams_bashforth' with fixed steps")
    z0, ts, field = inputs.z0, inputs.ts, inputs.field
    kernel = field.kernel("f", z0.dtype)
    outputs, samples = make_outputs(inputs)
    records = make_records(FIRST_RECORDS if record else 0, z0)
    control = Control(options.rtol, options.first_step, options.max_step, options.max_steps)
    room, work = np.empty(kernel.work_size, z0.dtype), _make_work(z0, options.atol)
    with getattr(field, "guard", nullcontext)():  # plain callables raise exceptions, and want them back
        while ts.shape[1] > 1 and work.state["sample"][0] < len(z0):
            if 0 < len(records.steps) == records.count[0]:
                records = grow(records)
            march(kernel.callee, inputs.p, room, control, ts, z0, outputs, samples, work, records)
    kept = records if record else None
    zs = outputs.reshape(len(outputs), *inputs.state_shape)
    return Solution(
        zs, inputs.times, inputs, options, samples, None, kept,
        lambda: _interpolant(inputs, options, kept, samples),
    )  # fmt: skip


def _interpolant(inputs: Inputs, options: Options, kept: Records | None, samples: Array) -> Callable[[Array], Array]:
    """Return the dense output (n,) -> (n, B, D)."""
    records = kept or solve_again(inputs, options, samples)._records
    return partial(interpolate, records=records, z0=inputs.z0)


def _make_work(z0: Array, atol: Any) -> Work:
    state = np.zeros(1, STATE)
    state["fresh"] = 1
    x = np.zeros((ROWS, 1, z0.shape[1]), z0.dtype)
    x[ATOL] = atol
    gamma = np.zeros(MAX_ORDER + 2)
    gamma[0] = 1.0
    for m in range(1, len(gamma)):  # HNW I, III.1.9: sum_{i<=m} gamma*_i / (m + 1 - i) = 0
        gamma[m] = -gamma[:m] @ (1.0 / np.arange(m + 1, 1, -1))
    return Work(
        with_attributes(state), np.zeros(MAX_ORDER + 2), x, np.zeros(MAX_ORDER + 1),
        np.zeros(MAX_ORDER + 1), np.zeros(MAX_ORDER + 3), gamma, np.zeros(1),
    )  # fmt: skip
