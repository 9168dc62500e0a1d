"""Solving on arrays: set up the lanes, run the driver, collect the results."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np

from nodeedu.compile.kernels import JIT, Kernel
from nodeedu.errors import SolverError
from nodeedu.solvers.arguments import Inputs, Options
from nodeedu.solvers.dense_output import interpolate_records
from nodeedu.solvers.integrate import integrate
from nodeedu.solvers.lanes import (
    LANE,
    SAMPLE,
    Adjoint,
    Control,
    Records,
    grow,
    join,
    make_lanes,
    make_records,
    make_rows,
    make_samples,
    own_scratch,
)
from nodeedu.solvers.methods import algorithm
from nodeedu.solvers.norms import NORMS, OWN, OwnNorm
from nodeedu.solvers.runge_kutta import K, Method, as_method
from nodeedu.solvers.solution import Solution
from nodeedu.solvers.status import CAUSES
from nodeedu.solvers.step_control import CONTROLLERS, beyond_jumps
from nodeedu.solvers.systems import ADJOINT, FIELD, Problem
from nodeedu.solvers.tally import count_dense
from nodeedu.solvers.threads import in_chunks

Array = np.ndarray
CACHE_BYTES = 2**18  # a quarter of a common second-level cache; the field and the records need some, too
FIRST_RECORDS = 16  # room for so many accepted steps of each lane; it doubles when it is full


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
    kernel = field.kernel("f", z0.dtype)
    problem = Problem(FIELD, kernel.callee, inputs.p, np.empty((0, 0), z0.dtype), np.empty(kernel.work_size, z0.dtype))
    method = as_method(options.tableau, z0.dtype, dense or not options.fixed)
    with getattr(field, "guard", nullcontext)():  # plain callables raise exceptions, and want them back
        outputs, counters, filled = run(problem, method, options, inputs.ts, z0[None], record=record)
    kept = filled if record else None
    zs = outputs.reshape(outputs.shape[0], *inputs.state_shape)
    return Solution(
        zs, inputs.times, inputs, options, counters, method, kept,
        lambda: _interpolant(inputs, options, method, kept, counters),
    )  # fmt: skip


def _interpolant(
    inputs: Inputs, options: Options, method: Method, records: Records | None, counters: Array
) -> Callable[[Array], Array]:
    """Return the dense output (n,) -> (n, B, D)."""
    if records is None or method.interpolant.shape[1] == 0:
        again = solve_again(inputs, options, counters)
        method, records = again._method, again._records
    return partial(interpolate_records, records=records, interpolant=method.interpolant, z0=inputs.z0)


def solve_again(inputs: Inputs, options: Options, counters: Array) -> Solution:
    """Solve once more and keep the steps, which the first solve did not; its counters also count this one, as dense."""
    again = solve(inputs, options, record=True, dense=True)
    count_dense(counters, again._samples["nfev"])
    return again


def make_outputs(inputs: Inputs) -> tuple[Array, Array]:
    """Allocate outputs (T, B, D), nan but for z0, and the counters (B,) of samples that are where they start."""
    outputs = np.full((inputs.ts.shape[1], *inputs.z0.shape), math.nan, inputs.z0.dtype)
    outputs[0], samples = inputs.z0, make_samples(len(inputs.z0))
    samples["t"] = inputs.ts[:, 0]
    return outputs, samples


def run(
    problem: Problem,
    method: Method,
    options: Options,
    ts: Array,
    y0: Array,
    lands: bool = False,
    first_step: float | Array | None = None,
    record: bool = False,
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
    record : bool
        Whether to keep the accepted steps.
    adjoint : Adjoint, optional
        For the system ADJOINT; its p_bar is added to.

    Returns
    -------
    outputs : array (T, M, B, D)
        Nan after the end of a sample that failed.
    samples : array (B,) of SAMPLE
    records : Records
    """
    if isinstance(options.norm, OwnNorm):
        norm = options.norm.bind()
        options = replace(options, norm=norm.kernel("f", y0.dtype))
        with norm.guard():
            return run(problem, method, options, ts, y0, lands, first_step, record, adjoint)
    outputs = np.empty((ts.shape[1], *y0.shape), y0.dtype)
    outputs.fill(math.nan)
    outputs[0] = y0
    samples = make_samples(y0.shape[1])
    if ts.shape[1] == 1:
        samples["t"] = ts[:, 0]
        return outputs, samples, make_records(0, len(method.b), y0.shape[2], y0.dtype)
    first_step = options.first_step if first_step is None else first_step
    adjoint = adjoint or no_adjoint(y0.dtype, type(problem.callee))
    job = Job(problem, method, options, make_control(options, lands), ts, outputs, samples, first_step, record, adjoint)
    parts = in_chunks(
        partial(solve_chunk, job, integrate), len(samples), lanes_at_once(len(method.b), y0),
        parallel=isinstance(options.norm, str),  # else it is a Python function
    )  # fmt: skip
    for _, _, p_bar in parts if problem.system == ADJOINT else ():  # in the order of the chunks
        adjoint.p_bar[...] += p_bar
    return outputs, samples, join([(members, records) for members, records, _ in parts], samples)


class Job(NamedTuple):
    """What the chunks of a solve have in common; see `run`."""

    problem: Problem
    method: Method
    options: Options
    control: Control
    ts: Array
    outputs: Array
    samples: Array
    first_step: float | Array
    record: bool
    adjoint: Adjoint


def solve_chunk(
    job: Job, drive: Callable[..., int], members: slice, interrupted: Callable[[], bool]
) -> tuple[slice, Records, Array]:
    """Solve for some of the samples; return which, their records, and their share of p_bar."""
    problem, method, options, control, ts, outputs, samples, first_step, record, adjoint = job
    stages, n, size, real = len(method.b), members.stop - members.start, outputs.shape[3], outputs.dtype
    if n < len(samples):
        problem = problem._replace(work=np.empty_like(problem.work))
    if problem.system == ADJOINT:
        adjoint = own_scratch(adjoint, n)
    records = make_records(FIRST_RECORDS * n, stages, size, real) if record else _no_records(stages, size, real)
    starts = ts[members, 0] if len(ts) > 1 else ts[:, 0].repeat(n)
    lanes = make_lanes(members.start, starts, first_step[members] if isinstance(first_step, np.ndarray) else first_step)
    if options.jump_ts:
        ends = ts[members if len(ts) > 1 else slice(None), -1]
        lanes["beyond"] = beyond_jumps(starts, np.broadcast_to(ends, n), control.jumps)
    x = make_rows(outputs[0, :, members], stages, options.atol, method.interpolant.shape[1])
    flat, t = x.reshape(len(x), -1), np.empty((stages, n))
    while n and not interrupted():
        if 0 < len(records.steps) < records.count[0] + n:
            records = grow(records)
        n = drive(n, problem, method, control, ts, x, flat, t, lanes, samples, outputs, records, adjoint)
    return members, records, adjoint.p_bar


def lanes_at_once(stages: int, y0: Array) -> int:
    """Return how many samples of y0 (M, B, D) to solve together, so that what they work on stays in a core's cache.

    A multiple of 32, as kernels that multiply matrices work on tiles of 32 rows.
    """
    bytes_per_lane = (K + stages) * y0.shape[0] * y0.shape[2] * y0.itemsize + LANE.itemsize + SAMPLE.itemsize
    return max(32, int(CACHE_BYTES // bytes_per_lane) // 32 * 32)


@lru_cache
def make_control(options: Options, lands: bool) -> Control:
    """Collect how steps are chosen; see `run` for ``lands``."""
    tableau = options.tableau
    exponent = 1.0 / (1 + min(tableau.order, tableau.embedded_order or tableau.order))
    return Control(
        options.fixed, lands or options.fixed, options.step_size, options.max_step, options.max_steps, options.rtol,
        options.min_step, exponent, *(beta * exponent for beta in CONTROLLERS[options.controller]),
        *_norm(options.norm), np.array(options.jump_ts, np.float64),
    )  # fmt: skip


def _norm(norm: str | Kernel) -> tuple[int, Any]:
    """Return the number of a norm and, if it is the user's own, its callee."""
    if isinstance(norm, Kernel):
        return int(OWN), norm.callee
    return int(NORMS[norm]), 0 if JIT else None


@lru_cache
def no_adjoint(dtype: Any, callee_type: type) -> Adjoint:
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


def require_success(
    samples: Array, options: Options, batched: bool, what: str = "", diagnose: Callable[..., Any] | None = None
) -> None:  # fmt: skip
    """Raise SolverError for the first sample that failed; what is said before its message, diagnose explains it."""
    failed = samples["status"].nonzero()[0]
    if not len(failed):
        return
    sample = samples[failed[0]]
    t, component, trials = float(sample["t"]), sample["component"], sample["accepted"] + sample["rejected"]
    cause, text = CAUSES[int(sample["status"])]
    who = f"sample {failed[0]}: " if batched else ""
    where = f", component {component}" if component >= 0 else ""
    raise SolverError(
        f"{what}{who}{options.method} stopped at t = {t:.6g} after {trials} trial steps: "
        + text.format(max_steps=options.max_steps, min_step=options.min_step, rtol=options.rtol, where=where)
        + ("; error.diagnosis explains" if diagnose else ""),
        t=t, method=options.method, cause=cause, sample=int(failed[0]) if batched else None, diagnose=diagnose,
    )  # fmt: skip
