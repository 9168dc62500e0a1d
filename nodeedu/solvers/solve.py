"""Solving on arrays: set up the lanes, run the driver, collect the results."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext
from functools import lru_cache, partial
from typing import Any

import numpy as np

from nodeedu.errors import SolverError
from nodeedu.solvers.arguments import Inputs, Options
from nodeedu.solvers.dense_output import interpolate_records
from nodeedu.solvers.integrate import integrate
from nodeedu.solvers.lanes import Adjoint, Control, Records, grow, make_lanes, make_records, make_rows, make_samples
from nodeedu.solvers.methods import algorithm
from nodeedu.solvers.runge_kutta import K, Method, as_method
from nodeedu.solvers.solution import Solution
from nodeedu.solvers.status import CAUSES
from nodeedu.solvers.step_control import DAMPING
from nodeedu.solvers.systems import FIELD, Problem

Array = np.ndarray
CACHE_BYTES = 2**19  # half of a common second-level cache; the field needs some, too
FIRST_RECORDS = 32  # room for so many accepted steps of each lane; it doubles when it is full


def solve(inputs: Inputs, options: Options, record: bool = False, dense: bool = False) -> Solution:
    """Solve ``z' = f(t, z, theta)`` for every sample, each with its own steps; a failure is a status, not an error.

    Parameters
    ----------
    inputs, options : Inputs, Options
        As arguments.py made them.
    record : bool
        Whether to keep the accepted steps with all their slopes, for `discrete` and for dense output.
    dense : bool
        Whether records must allow outputs inside a step. It costs a stage for methods that have no interpolant.
    """
    if options.tableau is None:
        return algorithm(options.method).solve(inputs, options, record)
    field, z0 = inputs.field, inputs.z0
    samples, size = z0.shape
    kernel = field.kernel("f", z0.dtype)
    problem = Problem(FIELD, kernel.callee, inputs.p, np.empty((0, 0), z0.dtype), np.empty(kernel.work_size, z0.dtype))
    method = as_method(options.tableau, z0.dtype, dense or not options.fixed)
    stages = len(method.b)
    rows = FIRST_RECORDS * min(samples, lanes_at_once(stages, z0[None]))
    records = make_records(rows, stages, size, z0.dtype) if record else None
    with getattr(field, "guard", nullcontext)():  # plain callables raise exceptions, and want them back
        outputs, counters, filled = run(problem, method, options, inputs.ts, z0[None], records=records)
    kept = filled if record else None
    zs = outputs.reshape(outputs.shape[0], *inputs.state_shape)
    return Solution(
        zs, inputs.times, inputs, options, counters, method, kept, lambda: _interpolant(inputs, options, method, kept)
    )


def _interpolant(inputs: Inputs, options: Options, method: Method, records: Records | None) -> Callable[[Array], Array]:
    """Return the dense output (n,) -> (n, B, D); a solve that has not kept its steps is done again."""
    if records is None or method.interpolant.shape[1] == 0:
        dense = solve(inputs, options, record=True, dense=True)
        method, records = dense._method, dense._records
    return partial(interpolate_records, records=records, interpolant=method.interpolant, z0=inputs.z0)


def run(
    problem: Problem,
    method: Method,
    options: Options,
    ts: Array,
    y0: Array,
    lands: bool = False,
    first_step: float | Array | None = None,
    records: Records | None = None,
    adjoint: Adjoint | None = None,
) -> tuple[Array, Array, Records]:
    """Integrate one of the systems of systems.py from ts[:, 0] to ts[:, -1].

    Parameters
    ----------
    problem, method : Problem, Method
        Right-hand side and tableau.
    options : Options
        Tolerances and steps.
    ts : array (1, T) or (B, T)
        Output times.
    y0 : array (M, B, D)
        Initial state.
    lands : bool
        Whether adaptive steps end at every output time; fixed steps do anyway.
    first_step : float or array (B,), optional
        Overrides that of the options; 0 chooses it automatically.
    records : Records, optional
        To fill; without rows, nothing is recorded.
    adjoint : Adjoint, optional
        For the system ADJOINT.

    Returns
    -------
    outputs : array (T, M, B, D)
        Nan after the end of a sample that failed.
    samples : array (B,) of SAMPLE
    records : Records
    """
    stages, (_, count, size) = len(method.b), y0.shape
    outputs = np.empty((ts.shape[1], *y0.shape), y0.dtype)
    outputs[0] = y0
    outputs[1:] = math.nan
    samples = make_samples(count)
    records = records or _no_records(stages, size, y0.dtype)
    if ts.shape[1] == 1:
        samples["t"] = ts[:, 0]
        return outputs, samples, records
    control = _control(options, lands)
    starts, first_steps = np.empty((2, count))
    starts[:] = ts[:, 0]
    first_steps[:] = options.first_step if first_step is None else first_step
    adjoint = adjoint or _no_adjoint(y0.dtype, type(problem.callee))
    chunk = lanes_at_once(stages, y0)
    for first in range(0, count, chunk):
        members = slice(first, min(first + chunk, count))
        n = members.stop - first
        lanes = make_lanes(first, starts[members], first_steps[members])
        x = make_rows(y0[:, members], stages, options.atol)
        flat, t = x.reshape(len(x), -1), np.empty(n)
        while n:
            if 0 < len(records.steps) < records.count[0] + n:
                records = grow(records)
            n = integrate(n, problem, method, control, ts, x, flat, t, lanes, samples, outputs, records, adjoint)
    return outputs, samples, records


def lanes_at_once(stages: int, y0: Array) -> int:
    """Return how many samples of y0 (M, B, D) to solve together, so that what they work on stays in a core's cache.

    A multiple of 32, as kernels that multiply matrices work on tiles of 32 rows.
    """
    bytes_per_lane = (K + stages) * y0.shape[0] * y0.shape[2] * y0.itemsize
    return max(32, int(CACHE_BYTES // bytes_per_lane) // 32 * 32)


@lru_cache
def _control(options: Options, lands: bool) -> Control:
    tableau = options.tableau
    exponent = 1.0 / (1 + min(tableau.order, tableau.embedded_order or tableau.order))
    return Control(
        options.fixed, lands or options.fixed, options.step_size, options.max_step, options.max_steps, options.rtol,
        exponent, DAMPING if options.damped else 0.0,
    )  # fmt: skip


@lru_cache
def _no_adjoint(dtype: Any, callee_type: type) -> Adjoint:
    """Stand in where there is no adjoint; numba wants an argument of the same type."""
    real, times = [np.empty((0,) * axes, dtype) for axes in range(4)], np.empty(0)
    callee = 0 if callee_type is int else None
    return Adjoint(
        real[3], real[3], callee, real[1], times, real[2], times, times, real[2], real[2], real[1]
    )  # fmt: skip


@lru_cache
def _no_records(stages: int, size: int, dtype: Any) -> Records:
    """Stand in where nothing is recorded."""
    return make_records(0, stages, size, dtype)


def require_success(samples: Array, options: Options, batched: bool, what: str = "") -> None:
    """Raise SolverError for the first sample that failed; what is said before its message."""
    if not samples["status"].any():
        return
    failed = np.flatnonzero(samples["status"])
    sample = samples[failed[0]]
    t, component, trials = float(sample["t"]), sample["component"], sample["accepted"] + sample["rejected"]
    cause, text = CAUSES[int(sample["status"])]
    who = f"sample {failed[0]}: " if batched else ""
    where = f", component {component}" if component >= 0 else ""
    raise SolverError(
        f"{what}{who}{options.method} stopped at t = {t:.6g} after {trials} trial steps: "
        + text.format(max_steps=options.max_steps, rtol=options.rtol, where=where),
        t=t, method=options.method, cause=cause, sample=int(failed[0]) if batched else None,
    )  # fmt: skip
