"""The trial steps of the samples of a tile: each has its own step size, all make their stages together.

A thread holds one component of a few samples, and with each sample its record: time, step, counters. The threads of a
sample hold the same record. A sample that has ended makes steps of size 0 until the whole tile has ended.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from nodeedu.cuda.device import Function, cuda
from nodeedu.cuda.mlp_reals import Bind
from nodeedu.cuda.mlp_stages import constants, make_stages, nothing_found
from nodeedu.cuda.tile_field import Shape
from nodeedu.solvers.integrate import expire, judge
from nodeedu.solvers.norms import root_mean_square
from nodeedu.solvers.runge_kutta import ATOL, SPARE, Y1, H, K, Method, Y, combine, scale_errors, scale_values
from nodeedu.solvers.status import NON_FINITE, RUNNING
from nodeedu.solvers.step_control import clipped_step, first_step_size, smallest_step, trial_guess
from nodeedu.solvers.trial_step import raise_ratio

__all__ = ["TileSteps", "chained", "make_tile_steps"]


class TileSteps(NamedTuple):
    """Device functions; lanes and samples are tuples of records, one for each sample of the thread."""

    first: Any  # first(lanes, x, work): first slopes
    choose: Any  # choose(control, atol, stops, lanes, x, work): first step sizes
    trial: Any  # trial(control, atol, stops, lanes, samples, x, work): steps towards stops, and their verdicts
    accept: Any  # accept(lanes, x)


def chained(make: Any, count: int, bind: Bind) -> Any:
    """Return a device function of any arguments that does ``make(0)``, ``make(1)``, ..., one after the other."""
    chain = bind(make(0))
    for e in range(1, count):
        chain = bind(_then(chain, bind(make(e))))
    return chain


def _then(first: Any, second: Any) -> Function:
    def both(*given):
        first(*given)
        second(*given)

    return both


def make_reduce(mlp_size: int, shape: Shape, real: Any, bind: Bind) -> Any:
    """Make ``reduce(x, start, norms, work)``: the root mean squares of x[SPARE, start + e] over the components.

    The sum over the components of a sample runs in one thread, in the order of the CPU.
    """
    size, side, groups, samples, each = mlp_size, shape.side, shape.groups, shape.samples, shape.each
    side, groups, wide = np.uint64(side), np.uint64(groups), shape.side
    root = bind(root_mean_square, SPARE=0)

    def reduce(x, start, norms, work):
        tid = np.uint64(cuda.threadIdx.x)
        i, g = tid % side, tid // side
        for e in range(each):
            work.shared.errors[0, (g + groups * np.uint64(e)) * side + i] = x[SPARE, start + e]
        cuda.syncthreads()
        if tid < np.uint64(samples):
            first = np.int32(tid) * wide
            work.shared.norms[tid] = root(work.shared.errors, first, first + size)
        cuda.syncthreads()
        for e in range(each):
            norms[e] = work.shared.norms[g + groups * np.uint64(e)]

    return bind(reduce)


def make_tile_steps(
    method: Method, evaluate: Any, size: int, shape: Shape, blocks: int, real: Any, bind: Bind
) -> TileSteps:
    """Make the device functions.

    Parameters
    ----------
    method : Method
        A tableau whose last stage is the first of the next step.
    evaluate : callable
        ``evaluate(node, lanes, y, dy, work)``.
    size, blocks : int
        D, and the number of blocks of the state, z alone or (z, a).
    shape : Shape
        Of the tile.
    """
    each, width, count, zero = shape.each, blocks * shape.each, len(method.b), real(0.0)
    stages, reduce = make_stages(method, width, evaluate, real, bind), make_reduce(size, shape, real, bind)
    weights, judges = constants(method.e), bind(judge, first_nonfinite=bind(nothing_found))
    aims, mark = chained(lambda e: _aim(e, each, blocks), each, bind), chained(_mark, each, bind)
    raise_first, raise_second = (chained(partial(_raise, m=m), each, bind) for m in range(2))
    verdicts = chained(lambda e: _verdict(e, judges, count), each, bind)
    accepts = chained(lambda e: _accept(e, each, blocks, count), each, bind)

    def first(lanes, x, work):
        evaluate(zero, lanes, x[Y], x[K], work)
        norms = cuda.local.array(each, real)
        for m in range(blocks):
            for e in range(each):
                x[SPARE, e] = zero * x[K, m * each + e]
            reduce(x, 0, norms, work)
            mark(lanes, norms)

    def trial(control, atol, stops, lanes, samples, x, work):
        aims(control, stops, lanes, x)
        stages(lanes, x, work)
        combine(x, weights, count, 0, width, x[SPARE])
        for i in range(width):
            x[ATOL, i] = atol
        scale_errors(x, control.rtol, 0, width)
        norms = cuda.local.array(each, real)
        reduce(x, 0, norms, work)
        raise_first(lanes, norms)
        if blocks == 2:
            reduce(x, each, norms, work)
            raise_second(lanes, norms)
        verdicts(control, lanes, samples, x)

    return TileSteps(bind(first), _make_choose(evaluate, reduce, each, real, bind), bind(trial), accepts)


def _make_choose(evaluate: Any, reduce: Any, each: int, real: Any, bind: Bind) -> Any:
    one, guesses, decides = real(1.0), chained(_guess, each, bind), chained(_decide, each, bind)

    def norm(row, rtol, atol, x, norms, work):
        for e in range(each):
            x[ATOL, e] = atol
        scale_values(x, row, rtol, 0, each)
        reduce(x, 0, norms, work)

    norm = bind(norm)

    def choose(control, atol, stops, lanes, x, work):
        extents, slopes = cuda.local.array(each, real), cuda.local.array(each, real)
        changes, steps = cuda.local.array(each, real), cuda.local.array(each, real)
        norm(x[Y], control.rtol, atol, x, extents, work)
        norm(x[K], control.rtol, atol, x, slopes, work)
        guesses(control, stops, lanes, extents, slopes, steps, x)
        evaluate(one, lanes, x[Y1], x[K + 1], work)
        for e in range(each):
            x[K + 1, e] -= x[K, e]
        norm(x[K + 1], control.rtol, atol, x, changes, work)
        decides(control, stops, lanes, slopes, changes, steps)

    return bind(choose)


def _mark(e: int) -> Function:
    def mark(lanes, norms):
        if lanes[e].fate == RUNNING and norms[e] != norms[e]:
            lanes[e].fate = NON_FINITE

    return mark


def _guess(e: int) -> Function:
    def guess(control, stops, lanes, extents, slopes, steps, x):
        lane = lanes[e]
        reach = stops[e] - lane.t
        steps[e] = trial_guess(extents[e], slopes[e], min(abs(reach), control.max_step))
        h = math.copysign(steps[e], reach)
        lane.t1 = lane.t + h
        x[Y1, e] = x[Y, e] + h * x[K, e]

    return guess


def _decide(e: int) -> Function:
    def decide(control, stops, lanes, slopes, changes, steps):
        lane = lanes[e]
        longest = min(abs(stops[e] - lane.t), control.max_step)
        h = first_step_size(steps[e], slopes[e], changes[e] / steps[e], control.exponent, longest)
        lane.h = max(h, max(control.min_step, smallest_step(lane.t)))

    return decide


def _aim(e: int, each: int, blocks: int) -> Function:
    def aim(control, stops, lanes, x):
        lane = lanes[e]
        if lane.fate == RUNNING:
            lane.step, lane.t1 = clipped_step(lane.t, stops[e], min(lane.h, control.max_step))
        else:
            lane.step, lane.t1 = 0.0, lane.t
        for m in range(blocks):
            x[H, m * each + e] = lane.step

    return aim


def _raise(e: int, m: int) -> Function:
    def raise_one(lanes, norms):
        raise_ratio(m, norms[e], lanes[e])

    return raise_one


def _verdict(e: int, judges: Any, count: int) -> Function:
    def verdict(control, lanes, samples, x):
        lane = lanes[e]
        if lane.fate == RUNNING:
            judges(1, count, control, x, (lane,), (samples[e],))
            expire(1, 1, control.max_steps, (lane,), (samples[e],))
        else:
            lane.ratio = math.inf

    return verdict


def _accept(e: int, each: int, blocks: int, count: int) -> Function:
    def accept(lanes, x):
        lane = lanes[e]
        if lane.ratio <= 1.0:
            lane.t = lane.t1
            for m in range(blocks):
                i = m * each + e
                x[Y, i], x[K, i] = x[Y1, i], x[K + count - 1, i]

    return accept
