"""A thread solves the adjoint ODE of one sample backwards, with its own steps: Algorithm 2 of arXiv 1806.07366.

    z' = f,     a' = -a f_z,     a(t_i-) = a(t_i+) + dL/dz(t_i),     dL/dtheta = -int_{t_N}^{t_0} a f_theta dt

The steps are those of the CPU's `backsolve`, from the same functions. The integral for theta is a quadrature over the
accepted steps, to which the threads of a warp come together: the sum over them takes shuffles (reductions.py). A thread
whose step was rejected, or that has ended, adds zeros. Where each sample has a theta of its own, threads stay apart.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from nodeedu.compile.kernels import DONE
from nodeedu.cuda.device import Function, Target, cuda, inlined
from nodeedu.cuda.emitted import field_function, gradient_function
from nodeedu.cuda.mlp_reals import Bind, binder, local_records
from nodeedu.cuda.reductions import any_running, make_add, make_atomic_add, make_own_add, warp_size
from nodeedu.cuda.thread import Sizes, make_start
from nodeedu.cuda.thread_block import gradient_kernel
from nodeedu.cuda.thread_steps import Choices, Rule, make_steps
from nodeedu.cuda.views import as_batch, as_blocks, as_samples, repeated
from nodeedu.solvers.advance import jump
from nodeedu.solvers.integrate import expire
from nodeedu.solvers.runge_kutta import ATOL, SPARE, K, Method, Y, add_scaled, combine
from nodeedu.solvers.status import RUNNING
from nodeedu.solvers.trial_step import stage_time

__all__ = ["Backward", "Observed", "adjoint_kernel"]

Array = np.ndarray


class Observed(NamedTuple):
    """What the jumps at the observations need; the name of its fields is that of `lanes.Adjoint`."""

    zs: Array
    zs_bar: Array


class Backward(NamedTuple):
    """What the kernel is given; reals are of its type. Times run backwards, zs and zs_bar forwards."""

    choices: Choices
    p: Array  # (B, Q), or (1, Q) for all
    ts: Array  # (B, T), or (1, T) for all
    atol: Any  # a number, or an array (D,)
    zs: Array  # (B, T, D)
    zs_bar: Array  # (B, T, D)
    results: Array  # (B, 2 D): z and a at the first time
    rows: Array  # the gradient for theta: (B, P), or (blocks, P) summed over the samples of a block
    ends: Array  # (B, 2), as in thread.Forward
    counts: Array  # (B, 5) of thread.COUNTS


class Functions(NamedTuple):
    """Array functions of the field."""

    vjp_z: Any
    vjp_theta: Any


def adjoint_kernel(
    functions: Functions, sizes: Sizes, rule: Rule, method: Method, quadrature: Any, real: Any, target: Target,
    atomics: bool = False,
) -> Function:  # fmt: skip
    """Make the kernel; it is launched with one argument, `Backward`.

    Parameters
    ----------
    functions : Functions
        Of the field.
    sizes : Sizes
        Of the field, with its number of parameters.
    rule, method : Rule, Method
        What it is compiled for.
    quadrature : tuple of arrays
        Of `backsolve.theta_quadrature`.
    real : dtype
        Of state and times.
    target : Target
        Where it runs.
    atomics : bool
        Whether the threads of a block all add to one sum, by atomics: the counter-example.
    """
    target, real = inlined(target), np.dtype(real).type
    bind = binder(real, target)
    slopes = _slopes(functions.vjp_z, target, bind, real)
    steps = make_steps(rule, method, sizes.state, 2, slopes, real, bind, lands=True)
    own, lanes = rule.own_theta, target.threads if atomics else warp_size(target)
    add = make_own_add(target) if own else make_atomic_add(target) if atomics else make_add(target)
    pull = gradient_function(functions.vjp_theta, target, add, real)
    add_theta = _chain_nodes(pull, quadrature, method, sizes, real, bind)
    solve = target.driver(bind(_make_solve(sizes, rule, method, steps, add_theta, target, bind, real)))
    return gradient_kernel(solve, sizes.packed, sizes.parameters, own, lanes, real, target)


def _slopes(function: Any, target: Target, bind: Bind, real: Any) -> Any:
    """Make ``slopes(problem, n, t, y, dy)``, which takes the place of `systems.evaluate`."""
    vjp_z = field_function(function, target, real)

    def slopes(problem: Any, n: Any, t: Any, y: Any, dy: Any) -> int:
        vjp_z(t[:1], y[0], y[1], problem.p, dy[0], dy[1], problem.work)
        for i in range(dy.shape[2]):
            dy[1, 0, i] = -dy[1, 0, i]
        return DONE

    return bind(slopes)


def _chain_nodes(pull: Any, quadrature: Any, method: Method, sizes: Sizes, real: Any, bind: Bind) -> Any:
    """Make ``add_theta(accepted, p, p_bar, work, x, flat, t, a, lane)``: -h omega a f_theta at the nodes of a step."""

    def start(accepted, p, p_bar, work, x, flat, t, a, lane):
        pass

    chain = bind(start)
    for node, weights, omega in zip(*quadrature, strict=True):
        chain = bind(_node(chain, pull, real(node), weights, real(omega), len(method.b), sizes.state))
    return chain


def _node(before: Any, pull: Any, node: Any, weights: Array, omega: Any, stages: int, size: int) -> Function:
    def at_node(accepted, p, p_bar, work, x, flat, t, a, lane):
        before(accepted, p, p_bar, work, x, flat, t, a, lane)
        combine(flat, weights, stages, 0, 2 * size, flat[SPARE])  # `stage_states`, of both blocks side by side
        add_scaled(flat, 0, 2 * size, flat[SPARE])
        t[0, 0] = stage_time(node, lane) if accepted else lane.t
        weight = -lane.step * omega
        for i in range(size):
            # Of a step that failed, a number may be infinite or nan, and remain so if it is multiplied by 0. Both are
            # read before one is chosen: a choice between addresses would keep the array out of registers.
            inside, before_it, cotangent = x[SPARE, 0, 0, i], x[Y, 0, 0, i], weight * x[SPARE, 1, 0, i]
            x[SPARE, 0, 0, i] = inside if accepted else before_it
            a[0, i] = cotangent if accepted else 0.0
        pull(t[0], x[SPARE, 0], a, p, p_bar, work)

    return at_node


def _make_solve(
    sizes: Sizes, rule: Rule, method: Method, steps: Any, add_theta: Any, target: Target, bind: Bind, real: Any
) -> Function:
    """Make ``solve(b, p, p_bar, given)``, which solves sample b; p_bar is a row of its warp."""
    size, words, own_times, own_atol = sizes.state, max(sizes.work, 1), rule.own_times, rule.own_atol
    rows, stages = int(K) + len(method.b), len(method.b)
    shape, lane_type, sample_type = (max(rows, int(K) + 2), 2 * size), *local_records(real)
    expires, jumps, start, anyone = bind(expire), bind(jump), make_start(bind), any_running(target, rule.own_theta)
    reports = bind(_report)

    def solve(given_b: Any, p: Any, p_bar: Any, given: Any) -> None:
        inside = given_b < given.counts.shape[0]
        b = given_b if inside else 0  # all threads of a warp take part to the end
        flat, t = cuda.local.array(shape, real), cuda.local.array((stages, 1), real)
        a, work = cuda.local.array((1, size), real), cuda.local.array(words, real)
        lanes, samples = cuda.local.array(1, lane_type), cuda.local.array(1, sample_type)
        lane, sample, x, row = lanes[0], samples[0], as_blocks(flat, 2), b if own_times else 0
        ts, outputs, choices = as_batch(given.ts[row]), repeated(given.results[b], given.ts.shape[1], 2), given.choices
        observed = Observed(as_samples(given.zs[b]), as_samples(given.zs_bar[b]))
        last = given.zs.shape[1] - 1
        start(lane, sample, ts[0, 0], given.ends[b, 1])
        for i in range(size):
            flat[Y, i], flat[Y, size + i] = given.zs[b, last, i], given.zs_bar[b, last, i]
            tolerance = given.atol[i] if own_atol else given.atol
            flat[ATOL, i] = flat[ATOL, size + i] = tolerance
        if inside:
            steps.begin(choices, ts, p, work, x, flat, t, lane, sample)
        running = inside
        while anyone(running):
            if running:
                steps.trial(choices, ts, p, work, x, flat, t, lane, sample)
            accepted = running and lane.ratio <= 1.0
            add_theta(accepted, p, p_bar, work, x, flat, t, a, lane)
            if running:
                steps.advance(ts, x, flat, lane, outputs)
                jumps(1, x, (lane,), observed)
                expires(1, DONE, choices.max_steps, (lane,), (sample,))
                running = lane.fate == RUNNING
        if inside:
            reports(given.ends[b], given.counts[b], lane, sample)

    return solve


def _report(ends, counts, lane, sample):
    """Write what a solve has come to."""
    ends[0], ends[1] = lane.t, lane.h
    counts[0], counts[1], counts[2] = lane.fate, sample.accepted, sample.rejected
    counts[3], counts[4] = sample.f_initial, sample.nfev
