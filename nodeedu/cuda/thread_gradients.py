"""Gradients on a target: the host's part of thread_adjoint.py and thread_discrete.py."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from nodeedu import tableaus
from nodeedu.cuda.device import Target, launch
from nodeedu.cuda.ensemble import fill, make_atol, make_choices, make_launch, make_rule
from nodeedu.cuda.limits import require_discrete_fit, require_gradient_fit, require_room, require_room_for_steps
from nodeedu.cuda.reductions import sum_rows
from nodeedu.cuda.thread import COUNTS, Sizes, Trail
from nodeedu.cuda.thread_adjoint import Backward, Functions, adjoint_kernel
from nodeedu.cuda.thread_discrete import Discrete, discrete_kernel
from nodeedu.cuda.thread_discrete import Functions as BothWays
from nodeedu.cuda.thread_steps import Rule
from nodeedu.sensitivity.backsolve import theta_quadrature
from nodeedu.solvers.arguments import Inputs, Options
from nodeedu.solvers.lanes import make_samples
from nodeedu.solvers.runge_kutta import as_method
from nodeedu.solvers.solution import Solution

__all__ = [
    "backsolve_ensemble", "discrete_ensemble", "discrete_evaluations", "make_backward", "make_discrete", "total",
    "trail_of",
]  # fmt: skip

Array = np.ndarray


def backsolve_ensemble(
    inputs: Inputs, options: Options, zs: Array, zs_bar: Array, first_steps: Array, target: Target,
    p: Array | None = None,
) -> tuple[Array, Array, Array, Array]:  # fmt: skip
    """Solve the adjoint ODE backwards, as `sensitivity.backsolve` does.

    Parameters
    ----------
    inputs, options : Inputs, Options
        Checked.
    zs, zs_bar : array (T, B, D)
        States of the forward solve, and dL/dz(t_i).
    first_steps : array (B,)
        Sizes to start with, where the options give none.
    target : Target
        Where the kernel runs.
    p : array (B, Q), optional
        Packed parameters of each sample; without, all have those of inputs.

    Returns
    -------
    a : array (B, D)
        a(t0+), without the observation at t0.
    p_bar : array (P,) or (B, P)
        dL/dtheta, of each sample if each has parameters of its own.
    samples : array (B,) of SAMPLE
        Counts.
    returned : array (B, D)
        z(t0) as it came back.
    """
    samples, real = make_samples(len(inputs.z0)), inputs.z0.dtype
    if len(zs) == 1:
        samples["t"] = inputs.ts[:, 0]
        return np.zeros_like(inputs.z0), _no_gradient(inputs, p), samples, inputs.z0.copy()
    kernel, blocks, given = make_backward(inputs, options, zs, zs_bar, first_steps, target, p=p)
    require_room(given, len(inputs.z0), target)
    launch(kernel, blocks, target.threads, given)
    fill(samples, given, as_method(options.tableau, real, False), counted=True)
    p_bar, size = _gradient(inputs, given.rows, p, target), zs.shape[2]
    return given.results[:, size:].copy(), p_bar, samples, given.results[:, :size].copy()


def make_backward(
    inputs: Inputs, options: Options, zs: Array, zs_bar: Array, first_steps: Array, target: Target,
    atomics: bool = False, p: Array | None = None,
) -> tuple[Any, int, Backward]:  # fmt: skip
    """Return the kernel, the number of blocks and the argument; with atomics, those of the counter-example."""
    real, field, (n, size) = inputs.z0.dtype, inputs.field, inputs.z0.shape
    require_gradient_fit(inputs, options, target, own_theta=p is not None)
    rule = make_rule(options, inputs.own_times, p is not None)
    vjp_z, vjp_theta = field.kernel("vjp_z", real), field.kernel("vjp_theta", real)
    sizes = Sizes(size, field.n_packed, max(vjp_z.work_size, vjp_theta.work_size), field.n_params)
    kernel = _adjoint(Functions(vjp_z.function, vjp_theta.function), sizes, rule, real, target, atomics)
    blocks = math.ceil(n / target.threads)
    ends = np.zeros((n, 2), real)
    ends[:, 1] = options.first_step if options.first_step else first_steps
    rows = np.zeros((blocks if p is None else n, max(field.n_params, 1)), real)
    by_sample = (np.ascontiguousarray(each.swapaxes(0, 1)) for each in (zs, zs_bar))
    return kernel, blocks, Backward(
        make_choices(options, real), inputs.p[None] if p is None else p, np.ascontiguousarray(inputs.ts[:, ::-1], real),
        make_atol(options, real), *by_sample, np.full((n, 2 * size), math.nan, real), rows, ends,
        np.zeros((n, len(COUNTS)), np.int32),
    )  # fmt: skip


@lru_cache(maxsize=32)
def _adjoint(
    functions: Functions, sizes: Sizes, rule: Rule, real: np.dtype, target: Target, atomics: bool
) -> Any:
    tableau = tableaus.get(rule.method)
    quadrature, method = theta_quadrature(tableau, real), as_method(tableau, real, False)
    return target.kernel(adjoint_kernel(functions, sizes, rule, method, quadrature, real, target, atomics))


def discrete_ensemble(
    inputs: Inputs, options: Options, steps: Array, zs_bar: Array, target: Target, p: Array | None = None
) -> tuple[Array, Array, Trail]:
    """Backpropagate through the accepted steps, as `sensitivity.discrete` does.

    Parameters
    ----------
    inputs, options : Inputs, Options
        Checked.
    steps : array (B,)
        Accepted steps of a forward solve; a second one keeps them.
    zs_bar : array (T, B, D)
        dL/dz(t_i).
    target : Target
        Where the kernels run.
    p : array (B, Q), optional
        Packed parameters of each sample; without, all have those of inputs.

    Returns
    -------
    a : array (B, D)
        a(t0+), without the observation at t0.
    p_bar : array (P,) or (B, P)
        dL/dtheta, of each sample if each has parameters of its own.
    trail : Trail
        What was kept.
    """
    require_discrete_fit(inputs, options, target, own_theta=p is not None)
    require_room_for_steps(inputs, target, int(steps.sum()))
    trail = kept_trail(inputs, options, steps, target, p)
    kernel, blocks, given = make_discrete(inputs, options, trail, zs_bar, target, p)
    require_room(given, len(inputs.z0), target)
    launch(kernel, blocks, target.threads, given)
    return given.a, _gradient(inputs, given.rows, p, target), trail


def kept_trail(
    inputs: Inputs, options: Options, steps: Array, target: Target, p: Array | None = None
) -> Trail:  # fmt: skip
    """Solve once more and keep the accepted steps, of which the numbers (B,) are known."""
    real, size, offsets = inputs.z0.dtype, inputs.z0.shape[1], np.concatenate([[0], np.cumsum(steps)])
    trail = Trail(offsets, np.empty((offsets[-1], 4), real), np.empty((offsets[-1], size), real))
    if offsets[-1]:
        forward, blocks, given = make_launch(inputs, inputs.p[None] if p is None else p, options, target, trail)
        launch(forward, blocks, target.threads, given)
    return trail


def trail_of(solution: Solution) -> Trail:
    """Return the steps that the CPU has kept."""
    records, samples = solution._records, solution._samples
    steps, rows = records.steps[: records.count[0]], records.rows[: records.count[0]]
    order = np.argsort(steps["sample"], kind="stable")
    times = np.stack([steps[name][order] for name in ("t", "h", "first", "last")], axis=1).astype(rows.dtype)
    return Trail(np.concatenate([[0], np.cumsum(samples["accepted"])]), times, rows[order, 0])


def make_discrete(
    inputs: Inputs, options: Options, trail: Trail, zs_bar: Array, target: Target, p: Array | None = None
) -> tuple[Any, int, Discrete]:
    """Return the kernel that goes back over kept steps, the number of blocks and the argument."""
    real, field, (n, size) = inputs.z0.dtype, inputs.field, inputs.z0.shape
    f, vjp = field.kernel("f", real), field.kernel("vjp", real)
    sizes = Sizes(size, field.n_packed, max(f.work_size, vjp.work_size), field.n_params)
    rule, blocks = make_rule(options, inputs.own_times, p is not None), math.ceil(n / target.threads)
    kernel = _discrete(BothWays(f.function, vjp.function), sizes, rule, real, target)
    return kernel, blocks, Discrete(
        inputs.p[None] if p is None else p, inputs.ts.astype(real), np.ascontiguousarray(zs_bar.swapaxes(0, 1)), trail,
        np.zeros((n, size), real), np.zeros((blocks if p is None else n, max(field.n_params, 1)), real),
    )  # fmt: skip


@lru_cache(maxsize=32)
def _discrete(functions: BothWays, sizes: Sizes, rule: Rule, real: np.dtype, target: Target) -> Any:
    method = as_method(tableaus.get(rule.method), real, not rule.fixed)
    return target.kernel(discrete_kernel(functions, sizes, rule, method, real, target))


def _gradient(inputs: Inputs, rows: Array, p: Array | None, target: Target) -> Array:
    """Return p_bar: of each sample, or the sum over the rows of the blocks."""
    return (total(rows, target) if p is None else rows)[..., : inputs.field.n_params]


def _no_gradient(inputs: Inputs, p: Array | None) -> Array:
    """Return p_bar where no time passes."""
    return np.zeros((*(() if p is None else (len(p),)), inputs.field.n_params), inputs.z0.dtype)


def discrete_evaluations(trail: Trail, options: Options) -> Array:
    """Return how often the way back over the kept steps has evaluated f with its derivatives, (B,)."""
    method = as_method(options.tableau, trail.states.dtype, not options.fixed)
    steps, stages = np.diff(trail.offsets), len(method.b)
    if not method.fsal:
        return steps * stages
    # Behind a jump, the first slope of a step is not the last of the step before.
    own = trail.times[:, 0] != trail.times[:, 2]
    own[trail.offsets[:-1][steps > 0]] = True
    return steps * (stages - 1) + np.diff(np.concatenate([[0], np.cumsum(own)])[trail.offsets])


def total(rows: Array, target: Target) -> Array:
    """Add up the rows of the blocks, on the target."""
    result, threads = np.zeros(rows.shape[1], rows.dtype), target.threads
    _sum_kernel(target)[math.ceil(len(result) / threads), threads](rows, result)
    return result


@lru_cache
def _sum_kernel(target: Target) -> Any:
    return target.kernel(sum_rows)

