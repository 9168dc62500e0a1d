"""A block solves a tile of samples of a wide perceptron (tile_field.py), each with its own steps (tile_steps.py)."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from nodeedu.cuda.device import Function, Target, cuda, device_forms, inlined
from nodeedu.cuda.mlp import Perceptron
from nodeedu.cuda.mlp_reals import Bind, binder, for_kernel, local_records
from nodeedu.cuda.mlp_stages import make_interpolate, start_lane
from nodeedu.cuda.thread_steps import Rule
from nodeedu.cuda.tile_field import Shape, Shared, Work, make_tile_slope
from nodeedu.cuda.tile_steps import chained, make_tile_steps
from nodeedu.cuda.warp import make_control, report
from nodeedu.solvers.runge_kutta import Y1, K, Y, as_method
from nodeedu.solvers.status import RUNNING, SUCCESS
from nodeedu.tableaus import get

__all__ = ["anyone_runs", "forward_tile_kernel", "report_samples", "with_records"]


@lru_cache(maxsize=32)
def forward_tile_kernel(mlp: Perceptron, shape: Shape, rule: Rule, real: Any, target: Target) -> Any:
    """Make the kernel, which is given a `Forward`.

    Parameters
    ----------
    mlp, shape : Perceptron, Shape
        From `recognise` and `shape_of`.
    rule : Rule
        How steps are chosen; parameters are those of all samples.
    real : type
        np.float64 or np.float32.
    target : Target
        Where it runs.
    """
    target = inlined(target)
    bind = binder(real, target)
    method = as_method(get(rule.method), np.dtype(real), True)
    slope = make_tile_slope(mlp, shape, real, bind, device_forms(target))
    steps = make_tile_steps(method, slope, mlp.size, shape, 1, real, bind)
    each, rows = shape.each, (int(K) + len(method.b), shape.each)
    side, tile, size = (np.uint64(n) for n in (shape.side, shape.samples, mlp.size))
    begins = chained(lambda e: _begin(e, shape, rule, real, bind(start_lane)), each, bind)
    emits = chained(lambda e: _emit(e, shape, rule, make_interpolate(method, real, bind, e)), each, bind)
    reports = chained(lambda e: report_samples(e, shape, bind(report)), each, bind)
    control_of, anyone = make_control(rule, real, bind), bind(anyone_runs)

    def solve(given, shared, lanes, counters):
        x, stops = cuda.local.array(rows, real), cuda.local.array(each, real)
        tid = np.uint64(cuda.threadIdx.x)
        base, i, g = np.uint64(cuda.blockIdx.x) * tile, tid % side, tid // side
        begins(base, i, g, given, lanes, counters, stops, x)
        work, control = Work(given.p[0], shared), control_of(given.choices)
        atol = given.atol[i] if i < size else real(1.0)
        steps.first(lanes, x, work)
        if given.first_steps[0] == 0.0:
            steps.choose(control, atol, stops, lanes, x, work)
        while anyone(lanes):
            steps.trial(control, atol, stops, lanes, counters, x, work)
            emits(base, i, g, given, lanes, x)
            steps.accept(lanes, x)
        reports(base, i, g, given, lanes, counters)

    return _kernel(with_records(bind(solve), each, real, bind), shape, real, target)


def _kernel(solve: Any, shape: Shape, real: Any, target: Target) -> Any:
    """Return the kernel, which lays out the shared memory."""
    wide, tall = (shape.samples, shape.side), (shape.samples, shape.threads)
    samples, one_row = shape.samples, (1, shape.samples * shape.side)

    def forward(given):
        z = cuda.shared.array(wide, real)  # each on a line of its own: by that the simulator tells them apart
        h = cuda.shared.array(tall, real)
        none = cuda.shared.array((1, 1), real)
        t = cuda.shared.array(samples, real)
        errors = cuda.shared.array(one_row, real)
        norms = cuda.shared.array(samples, real)
        shared = Shared(z, none, h, none, t, errors, norms)
        solve(given, shared)

    return for_kernel(forward, target)


def with_records(solve: Any, each: int, real: Any, bind: Bind) -> Any:
    """Return ``solve(given, shared)``, which makes the records of a thread: one or two of each kind, in tuples."""
    lane_type, sample_type = local_records(real)

    def with_one(given, shared):
        lanes, samples = cuda.local.array(1, lane_type), cuda.local.array(1, sample_type)
        solve(given, shared, (lanes[0],), (samples[0],))

    def with_two(given, shared):
        lanes, samples = cuda.local.array(2, lane_type), cuda.local.array(2, sample_type)
        solve(given, shared, (lanes[0], lanes[1]), (samples[0], samples[1]))

    return bind(with_one if each == 1 else with_two)


def anyone_runs(lanes):
    """Return whether any sample of the block runs."""
    return cuda.syncthreads_or(1 if lanes[0].fate == RUNNING or lanes[-1].fate == RUNNING else 0) != 0


def _begin(e: int, shape: Shape, rule: Rule, real: Any, start: Any) -> Function:
    own, groups = rule.own_times, np.uint64(shape.groups)

    def begin(base, i, g, given, lanes, samples, stops, x):
        count, size = np.uint64(given.counts.shape[0]), np.uint64(given.atol.shape[0])
        b = base + g + groups * np.uint64(e)
        exists = b < count
        b = b if exists else count - np.uint64(1)
        row = b if own else np.uint64(0)
        start(lanes[e], samples[e], given.ts[row, np.uint64(0)], given.first_steps[b])
        if not exists:
            lanes[e].fate = SUCCESS
        stops[e] = given.ts[row, np.uint64(given.ts.shape[1] - 1)]
        x[Y, e] = given.outputs[np.uint64(0), b, i] if i < size else real(0.0)

    return begin


def _emit(e: int, shape: Shape, rule: Rule, interpolate: Any) -> Function:
    own, groups = rule.own_times, np.uint64(shape.groups)

    def emit(base, i, g, given, lanes, x):
        lane = lanes[e]
        if lane.ratio <= 1.0:
            last, direction, b = given.ts.shape[1] - 1, math.copysign(1.0, lane.step), base + g + groups * np.uint64(e)
            row = b if own else np.uint64(0)
            while lane.output <= last and (given.ts[row, np.uint64(lane.output)] - lane.t1) * direction <= 0.0:
                at = (given.ts[row, np.uint64(lane.output)] - lane.t) / lane.step
                value = x[Y1, e] if lane.output == last else interpolate(at, lane.step, x)
                if i < np.uint64(given.atol.shape[0]):
                    given.outputs[np.uint64(lane.output), b, i] = value
                lane.output += 1
            if lane.output > last:
                lane.fate = SUCCESS

    return emit


def report_samples(e: int, shape: Shape, report: Any) -> Function:
    """Return a function that writes what the solve of a sample has come to."""
    groups = np.uint64(shape.groups)

    def report_one(base, i, g, given, lanes, samples):
        b = base + g + groups * np.uint64(e)
        if i == np.uint64(0) and b < np.uint64(given.counts.shape[0]):
            report(b, given, lanes[e], samples[e])

    return report_one
