"""A thread backpropagates through the accepted steps of one sample: the exact gradient of what its solve computed.

The equations, and the functions that do them, are those of the CPU's reverse_sweep.py. Of every step, the forward
kernel keeps time, size and state; the slopes are computed again, which takes less memory and gives the same bits. The
threads of a warp go back together, as they add up theta's gradient by shuffles. A thread that has no further steps goes
over its first one again, with step size and cotangents zero. Behind a jump, the first slope of a step belongs to no
step before: the threads go back over it together, too. Where each sample has a theta of its own, threads stay apart.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from nodeedu.cuda.device import Function, Target, cuda, inlined
from nodeedu.cuda.emitted import gradient_function
from nodeedu.cuda.mlp_reals import Bind, binder
from nodeedu.cuda.reductions import any_running, make_add, make_own_add, warp_size
from nodeedu.cuda.thread import Sizes, Trail, slopes_of
from nodeedu.cuda.thread_block import gradient_kernel
from nodeedu.cuda.thread_steps import Rule
from nodeedu.cuda.views import as_batch, as_blocks, as_samples
from nodeedu.sensitivity.reverse_sweep import LANE, Sweep, collect, distribute, seed, spread, stage
from nodeedu.solvers.runge_kutta import Y1, H, K, Method, Y
from nodeedu.solvers.systems import FIELD, Problem
from nodeedu.solvers.trial_step import stage_states

__all__ = ["Discrete", "Functions", "discrete_kernel"]

Array = np.ndarray


class Discrete(NamedTuple):
    """What the kernel is given; reals are of its type."""

    p: Array  # (B, Q), or (1, Q) for all
    ts: Array  # (B, T), or (1, T) for all
    zs_bar: Array  # (B, T, D)
    trail: Trail
    a: Array  # (B, D): a(t0+)
    rows: Array  # the gradient for theta: (B, P), or (blocks, P) summed over the samples of a block


class Functions(NamedTuple):
    """Array functions of the field."""

    f: Any
    vjp: Any


def discrete_kernel(
    functions: Functions, sizes: Sizes, rule: Rule, method: Method, real: Any, target: Target
) -> Function:
    """Make the kernel; it is launched with one argument, `Discrete`.

    Parameters
    ----------
    functions : Functions
        Of the field.
    sizes : Sizes
        Of the field, with its number of parameters.
    rule, method : Rule, Method
        What it is compiled for.
    real : dtype
        Of state and times.
    target : Target
        Where it runs.
    """
    target, real = inlined(target), np.dtype(real).type
    bind = binder(real, target)
    own = rule.own_theta
    pull = gradient_function(functions.vjp, target, make_own_add(target) if own else make_add(target), real)
    solve = _make_solve(sizes, rule, method, slopes_of(functions.f, target, bind, real), pull, target, bind, real)
    solve = target.driver(bind(solve))
    return gradient_kernel(solve, sizes.packed, sizes.parameters, own, warp_size(target), real, target)


def _make_solve(
    sizes: Sizes, rule: Rule, method: Method, slopes: Any, pull: Any, target: Target, bind: Bind, real: Any
) -> Function:
    """Make ``solve(b, p, p_bar, given)``, which goes back over the steps of sample b; p_bar is a row of its warp."""
    size, words, own_times, fsal = sizes.state, max(sizes.work, 1), rule.own_times, method.fsal
    stages, powers = len(method.b), method.interpolant.shape[1]
    shape, bars, ends = (int(K) + stages, size), (stages, size), (max(powers, 1), size)
    lane_type = np.dtype((np.record, [(n, real if LANE[n].kind == "f" else np.int32) for n in LANE.names]))
    load, forth = bind(_load(size, stages, fsal)), _chain_forth(method, slopes, real, bind)
    seeds, back = _make_seed(rule, method, size, real, bind), _chain_back(method, size, pull, real, bind)
    first, behind = bind(_pull_first(method, size, pull)), bind(_pull_behind_jump(method, size, pull))
    begin, carry, finish = bind(_begin(size)), bind(_carry(size)), bind(_finish(size))
    anyone, is_behind, jumps = any_running(target, rule.own_theta), bind(_is_behind_jump), fsal and len(rule.jumps) > 0

    def solve(given_b: Any, p: Any, p_bar: Any, given: Any) -> None:
        inside = given_b < given.a.shape[0]
        b = given_b if inside else 0  # all threads of a warp take part to the end
        x, k_bar, c_bar = cuda.local.array(shape, real), cuda.local.array(bars, real), cuda.local.array(ends, real)
        y_bar, direct = cuda.local.array(size, real), cuda.local.array(size, real)
        carried, work = cuda.local.array(size, real), cuda.local.array(words, real)
        z_bar, dz = cuda.local.array((1, size), real), cuda.local.array((1, size), real)
        t, t_bar, lanes = cuda.local.array(1, real), cuda.local.array(1, real), cuda.local.array(1, lane_type)
        lane, ts, zs_bar = lanes[0], as_batch(given.ts[b if own_times else 0]), as_samples(given.zs_bar[b])
        sweep = Sweep((lane,), t, x, k_bar, c_bar, y_bar, direct, z_bar[0], dz[0], t_bar)
        problem, first_step = Problem(FIELD, 0, p, 0, work), given.trail.offsets[b]
        begin(given.trail.offsets[b + 1] - first_step if inside else 0, ts, zs_bar, carried, lane, sweep)
        while anyone(lane.left > 0):
            running = lane.left > 0
            finish(running, sweep)
            load(running, first_step, given.trail, carried, lane, sweep)
            if running:
                seeds(ts, zs_bar, sweep)
            forth(problem, lane, as_blocks(x, 1), x, t)  # now, not before: its slopes would hold registers meanwhile
            back(p, p_bar, work, k_bar, z_bar, dz, t_bar, sweep)
            carry(running, carried, k_bar)
            if jumps and anyone(is_behind(running, lane)):
                behind(is_behind(running, lane), p, p_bar, work, carried, k_bar, z_bar, dz, t_bar, sweep)
        if fsal:
            first(p, p_bar, work, carried, k_bar, z_bar, dz, t_bar, sweep)
        if inside:
            for i in range(size):
                given.a[b, i] = y_bar[i] + direct[i]

    return solve


def _begin(size: int) -> Function:
    """Make what puts a sample into its lane, behind its last step."""

    def begin(steps, ts, zs_bar, carried, lane, sweep):
        lane.sample, lane.output, lane.left = 0, ts.shape[1] - 1, steps
        lane.t = lane.t_first = lane.t_last = ts[0, 0]
        for i in range(size):
            sweep.y_bar[i] = sweep.direct[i] = carried[i] = 0.0
            sweep.x[Y, i] = zs_bar[0, 0, i]  # any finite numbers, for threads without a sample

    return begin


def _carry(size: int) -> Function:
    """Make what remembers the cotangent of the first slope, which with FSAL is the last of the step before."""

    def carry(running, carried, k_bar):
        for i in range(size):
            new, old = k_bar[0, i], carried[i]
            carried[i] = new if running else old

    return carry


def _load(size: int, stages: int, fsal: bool) -> Function:
    """Make what moves a lane to its step before; k_bar is zero, but for what FSAL carries over."""

    def load(running, first, trail, carried, lane, sweep):
        x, k_bar = sweep.x, sweep.k_bar
        for q in range(stages):
            for i in range(size):
                from_behind = carried[i]
                k_bar[q, i] = from_behind if fsal and running and q == stages - 1 else 0.0
        for j in range(sweep.c_bar.shape[0]):
            for i in range(size):
                sweep.c_bar[j, i] = 0.0
        for i in range(size):
            x[H, i] = 0.0
        if running:
            lane.left -= 1
            times = trail.times[first + lane.left]
            lane.t, lane.t_first, lane.t_last = times[0], times[2], times[3]
            for i in range(size):
                x[H, i] = times[1]
                x[Y, i] = trail.states[first + lane.left, i]

    return load


def _chain_forth(method: Method, slopes: Any, real: Any, bind: Bind) -> Any:
    """Make ``forth(problem, lane, blocks, x, t)``, which computes the slopes of a step again: all that states need."""

    def start(problem, lane, blocks, x, t):
        t[0] = lane.t_first
        slopes(problem, 1, t, blocks[Y], blocks[K])

    chain, nodes = bind(start), method.c.astype(real)
    for q in range(1, len(method.b) - 1):
        chain = bind(_forth(chain, q, method.A[q], nodes[q], slopes))
    return chain


def _forth(before: Any, q: int, weights: Array, node: Any, slopes: Any) -> Function:
    def forth(problem, lane, blocks, x, t):
        before(problem, lane, blocks, x, t)
        stage_states(1, weights, q, blocks, x, x[Y1])
        t[0] = lane.t_last if node == 1.0 else lane.t + node * x[H, 0]
        slopes(problem, 1, t, blocks[Y1], blocks[K + q])

    return forth


def _make_seed(rule: Rule, method: Method, size: int, real: Any, bind: Bind) -> Any:
    """Make ``seeds(ts, zs_bar, sweep)``: the cotangents of the outputs that a step has written."""
    lands, stages, interpolant = rule.fixed, len(method.b), method.interpolant.astype(real)

    def start(sweep):
        pass

    chain, plants = bind(start), bind(seed)
    for j in range(interpolant.shape[1]):
        chain = bind(_distribute(chain, j, np.ascontiguousarray(interpolant[:, j]), stages, size))

    def seeds(ts, zs_bar, sweep):
        if plants(1, size, interpolant, lands, ts, zs_bar, sweep):
            chain(sweep)

    return bind(seeds)


def _distribute(before: Any, j: int, weights: Array, stages: int, size: int) -> Function:
    def pass_on(sweep):
        before(sweep)
        distribute(weights, stages, 0, size, sweep.c_bar[j], sweep.k_bar)

    return pass_on


def _chain_back(method: Method, size: int, pull: Any, real: Any, bind: Bind) -> Any:
    """Make ``back(p, p_bar, work, k_bar, z_bar, dz, t_bar, sweep)``: back over the stages, the last one first."""
    stages, fsal, b = len(method.b), method.fsal, method.b

    def start(p, p_bar, work, k_bar, z_bar, dz, t_bar, sweep):
        if not fsal:
            spread(b, stages, 0, size, sweep, sweep.y_bar)

    chain = bind(start)
    for q in range(stages - 1, -1 + fsal, -1):
        chain = bind(_back(chain, q, method.A[q], method.c.astype(real)[q], fsal and q == stages - 1, size, pull))
    return chain


def _back(before: Any, q: int, weights: Array, node: Any, is_end: bool, size: int, pull: Any) -> Function:
    def back(p, p_bar, work, k_bar, z_bar, dz, t_bar, sweep):
        before(p, p_bar, work, k_bar, z_bar, dz, t_bar, sweep)
        stage(0, 1, size, weights, q, node, sweep)
        pull(sweep.t, sweep.x[Y1 : Y1 + 1], k_bar[q : q + 1], p, dz, t_bar, z_bar, p_bar, work)
        collect(0, size, is_end, sweep)
        spread(weights, q, 0, size, sweep, sweep.z_bar)

    return back


def _pull_first(method: Method, size: int, pull: Any) -> Function:
    """Make what goes back over the very first slope of a sample, which with FSAL belongs to no step before."""
    weights = method.A[0]

    def first(p, p_bar, work, carried, k_bar, z_bar, dz, t_bar, sweep):
        for i in range(size):
            k_bar[0, i] = carried[i]
        stage(0, 1, size, weights, 0, 0.0, sweep)
        pull(sweep.t, sweep.x[Y1 : Y1 + 1], k_bar[0:1], p, dz, t_bar, z_bar, p_bar, work)
        collect(0, size, False, sweep)

    return first


def _is_behind_jump(running, lane):
    """Whether a step has a first slope of its own, though not the first of all."""
    return running and lane.left > 0 and lane.t_first != lane.t


def _pull_behind_jump(method: Method, size: int, pull: Any) -> Function:
    """Make what goes back over the first slope of a step that begins behind a jump; all else add zeros."""
    weights = method.A[0]

    def behind(here, p, p_bar, work, carried, k_bar, z_bar, dz, t_bar, sweep):
        for i in range(size):
            cotangent = carried[i]
            k_bar[0, i] = cotangent if here else 0.0
            carried[i] = 0.0 if here else cotangent
        stage(0, 1, size, weights, 0, 0.0, sweep)
        pull(sweep.t, sweep.x[Y1 : Y1 + 1], k_bar[0:1], p, dz, t_bar, z_bar, p_bar, work)
        collect(0, size, False, sweep)

    return behind


def _finish(size: int) -> Function:
    """Make what ends the step before: it adds what did not go through the slopes."""

    def finish(running, sweep):
        if running:
            for i in range(size):
                sweep.y_bar[i] += sweep.direct[i]
                sweep.direct[i] = 0.0

    return finish
