"""Implicit methods for stiff problems: Radau IIA with step control, and collocation methods of fixed steps.

`tableaus.py` has the methods, `newton.py` the equations of their stages, `steps.py` the steps, and
`adjoint.py` the way back through them. The Jacobian is the field's own, computed by its JVP kernel; that of a
plain callable is taken by differences. Where a problem is not stiff, an explicit method is the better choice.

`rtol` and `atol` control the steps of radau5; methods of fixed steps solve the equations of their stages down to
round-off. radau5 has a step size controller of its own, whatever ``controller`` says.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np

from nodeedu.compile.kernels import Kernel
from nodeedu.solvers.arguments import Inputs, Options
from nodeedu.solvers.callables import CallableField
from nodeedu.solvers.core import with_attributes
from nodeedu.solvers.dense_output import interpolate_records
from nodeedu.solvers.implicit import tableaus
from nodeedu.solvers.implicit.adjoint import go_back, make_sweep
from nodeedu.solvers.implicit.control import WALK, StiffControl, make_states
from nodeedu.solvers.implicit.newton import System, as_implicit, make_stages
from nodeedu.solvers.implicit.steps import integrate
from nodeedu.solvers.lanes import Records, grow, make_records
from nodeedu.solvers.solution import Solution
from nodeedu.solvers.solve import make_outputs, solve_again
from nodeedu.solvers.status import SUCCESS, kernel_failure

Array = np.ndarray

FIRST_RECORDS = 64  # room for so many steps; it doubles when it is full
ADAPTIVE_ITERATIONS, FIXED_ITERATIONS = 7, 50  # at most; an adaptive method had rather take a shorter step


def solve(inputs: Inputs, options: Options, record: bool) -> Solution:
    """Solve an initial value problem by an implicit method; a failure is a status, not an error.

    Parameters
    ----------
    inputs, options : Inputs, Options
        As arguments.py made them.
    record : bool
        Whether to keep the accepted steps.
    """
    tableau, z0, ts = tableaus.get(options.method), inputs.z0, inputs.ts
    (count, size), dtype = z0.shape, z0.dtype
    kernel = inputs.field.kernel("f", dtype)  # of a plain callable, it must stay alive as long as its address is used
    method, system, control = as_implicit(tableau), _system(inputs, kernel), _control(options, dtype)
    outputs, samples = make_outputs(inputs)
    records = make_records(FIRST_RECORDS if record else 0, tableau.stages, size, dtype)
    walk = with_attributes(np.zeros(1, WALK))
    walk["sample"], walk["fate"] = -1, SUCCESS
    states, stages = make_states(tableau.stages, size, dtype, options.atol), make_stages(method, size, dtype)
    first_steps = np.full(count, options.first_step)
    with getattr(inputs.field, "guard", nullcontext)():  # plain callables raise exceptions, and want them back
        left = ts.shape[1] > 1
        while left:
            left = integrate(
                system, method, control, first_steps, z0, ts, walk, states, stages, samples, outputs, records
            )
            if left and record and records.count[0] == len(records.steps):
                records = grow(records)
    kept = records if record else None
    zs = outputs.reshape(len(outputs), *inputs.state_shape)
    return Solution(
        zs, inputs.times, inputs, options, samples, None, kept, lambda: _interpolant(inputs, options, kept, samples)
    )


def backward(solution: Solution, zs_bar: Array) -> tuple[Array, Array, Array]:
    """Backpropagate through the accepted steps of a recorded solve, see adjoint.py.

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
        Evaluations of f with its derivatives: one a stage.

    Raises
    ------
    SolverError
        If a compiled kernel raises an exception.
    """
    inputs, options, records = solution._inputs, solution._options, solution._records
    tableau, z0, accepted = tableaus.get(options.method), inputs.z0, solution._samples["accepted"]
    f, vjp = (inputs.field.kernel(kind, z0.dtype) for kind in ("f", "vjp"))
    system, work = _system(inputs, f), np.empty(vjp.work_size, z0.dtype)
    a, p_bar = np.zeros_like(z0), np.zeros(inputs.field.n_params, z0.dtype)
    sweep = make_sweep(tableau.stages, z0.shape[1], z0.dtype)
    left = int(records.count[0])
    sweep.row[0], sweep.output[0] = left - 1, inputs.ts.shape[1] - 1
    while left > 0:
        left = go_back(
            system, vjp.callee, work, as_implicit(tableau), (tableau.A, tableau.b), options.fixed, inputs.ts, zs_bar,
            records, sweep, a, p_bar,
        )  # fmt: skip
    if left < 0:
        raise kernel_failure("discrete", options.method, float(records.steps["t"][sweep.row[0]]))
    return a, p_bar, accepted * tableau.stages


def _interpolant(
    inputs: Inputs, options: Options, records: Records | None, counters: Array
) -> Callable[[Array], Array]:
    """Return the dense output (n,) -> (n, B, D)."""
    records = records or solve_again(inputs, options, counters)._records
    interpolant = tableaus.get(options.method).interpolant
    return partial(interpolate_records, records=records, interpolant=interpolant, z0=inputs.z0)


def _system(inputs: Inputs, f: Kernel) -> System:
    """Collect the kernels; a plain callable has none for its Jacobian."""
    field, dtype = inputs.field, inputs.z0.dtype
    exact = not isinstance(field, CallableField)
    jvp = field.kernel("jvp", dtype) if exact else f
    work, jvp_work = np.empty(f.work_size, dtype), np.empty(jvp.work_size, dtype)
    epsilon = float(np.finfo(dtype).eps)
    return System(f.callee, inputs.p, work, exact, jvp.callee, np.zeros_like(inputs.p), jvp_work, epsilon)


def _control(options: Options, dtype: Any) -> StiffControl:
    """Choose how far to iterate: adaptive steps to a part of their tolerance, fixed steps to round-off."""
    epsilon, rtol = float(np.finfo(dtype).eps), options.rtol
    if options.fixed:
        tolerance, iterations = 4 * epsilon, FIXED_ITERATIONS
    else:  # as the code radau5 of Hairer & Wanner II, section IV.8
        tolerance, iterations = min(0.03, rtol**0.5) if rtol > 0 else 0.03, ADAPTIVE_ITERATIONS
        tolerance = max(tolerance, 10 * epsilon / rtol if rtol > 0 else 0.0)
    return StiffControl(
        options.fixed, options.step_size, options.max_step, options.max_steps, rtol, tolerance, iterations, epsilon
    )
