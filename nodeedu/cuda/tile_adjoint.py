"""The adjoint of a wide perceptron by a block a tile: Algorithm 2 of the paper (arXiv 1806.07366), as in backsolve.py.

The integral for theta is a quadrature over the accepted steps. At each node, the states and cotangents of the tile go
through shared memory into outer products, which every block adds to a gradient of its own.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from nodeedu.cuda.device import Function, Target, cuda, device_forms, inlined
from nodeedu.cuda.mlp import Perceptron
from nodeedu.cuda.mlp_reals import Bind, binder, for_kernel
from nodeedu.cuda.mlp_stages import constants, start_lane
from nodeedu.cuda.thread_steps import Rule
from nodeedu.cuda.tile import anyone_runs, report_samples, with_records
from nodeedu.cuda.tile_field import Shape, Shared, Work, make_tile_adjoint, make_tile_gradient
from nodeedu.cuda.tile_steps import chained, make_tile_steps
from nodeedu.cuda.warp import make_control, report
from nodeedu.sensitivity.backsolve import theta_quadrature
from nodeedu.solvers.runge_kutta import SPARE, K, Y, add_scaled, as_method, combine
from nodeedu.solvers.status import SUCCESS
from nodeedu.solvers.trial_step import stage_time
from nodeedu.tableaus import get

__all__ = ["backward_tile_kernel"]


@lru_cache(maxsize=32)
def backward_tile_kernel(mlp: Perceptron, shape: Shape, rule: Rule, real: Any, target: Target) -> Any:
    """Make the kernel, which is given a `Backward`, with a row of p_bars for each block; see `forward_tile_kernel`."""
    target = inlined(target)
    bind, forms = binder(real, target), device_forms(target)
    tableau = get(rule.method)
    method = as_method(tableau, np.dtype(real), False)
    steps = make_tile_steps(method, make_tile_adjoint(mlp, shape, real, bind, forms), mlp.size, shape, 2, real, bind)
    quadrature = make_tile_quadrature(tableau, shape, make_tile_gradient(mlp, shape, real, bind, forms), real, bind)
    each, rows = shape.each, (int(K) + len(method.b), 2 * shape.each)
    side, tile, size = (np.uint64(n) for n in (shape.side, shape.samples, mlp.size))
    begins = chained(lambda e: _begin(e, shape, rule, real, bind(start_lane)), each, bind)
    lands = chained(lambda e: _land(e, shape, rule), each, bind)
    reports = chained(lambda e: report_samples(e, shape, bind(report)), each, bind)
    control_of, anyone, newcomers = make_control(rule, real, bind), bind(anyone_runs), bind(any_newcomer)

    def solve(given, shared, lanes, counters):
        x, stops = cuda.local.array(rows, real), cuda.local.array(each, real)
        tid = np.uint64(cuda.threadIdx.x)
        base, i, g = np.uint64(cuda.blockIdx.x) * tile, tid % side, tid // side
        begins(base, i, g, given, lanes, counters, stops, x)
        work, control = Work(given.p[0], shared), control_of(given.choices)
        atol, theta_bar = given.atol[i] if i < size else real(1.0), given.p_bars[np.uint64(cuda.blockIdx.x)]
        while anyone(lanes):
            if newcomers(lanes):
                steps.first(lanes, x, work)
            steps.trial(control, atol, stops, lanes, counters, x, work)
            quadrature(i, g, lanes, x, work, theta_bar)
            steps.accept(lanes, x)
            lands(base, i, g, given, lanes, stops, x)
        reports(base, i, g, given, lanes, counters)

    return _kernel(with_records(bind(solve), each, real, bind), shape, real, target)


def _kernel(solve: Any, shape: Shape, real: Any, target: Target) -> Any:
    """Return the kernel, which lays out the shared memory."""
    wide, tall = (shape.samples, shape.side), (shape.samples, shape.threads)
    samples, one_row = shape.samples, (1, shape.samples * shape.side)

    def backward(given):
        z = cuda.shared.array(wide, real)  # each on a line of its own: by that the simulator tells them apart
        a = cuda.shared.array(wide, real)
        h = cuda.shared.array(tall, real)
        q = cuda.shared.array(tall, real)
        t = cuda.shared.array(samples, real)
        errors = cuda.shared.array(one_row, real)
        norms = cuda.shared.array(samples, real)
        solve(given, Shared(z, a, h, q, t, errors, norms))

    return for_kernel(backward, target)


def any_newcomer(lanes):
    """Return whether a sample of the block does not know its first slope; the others compute theirs again."""
    unknown = cuda.syncthreads_or(1 if lanes[0].known == 0 or lanes[-1].known == 0 else 0) != 0
    lanes[0].known = 1
    lanes[-1].known = 1
    return unknown


def _begin(e: int, shape: Shape, rule: Rule, real: Any, start: Any) -> Function:
    own, groups, each = rule.own_times, np.uint64(shape.groups), shape.each

    def begin(base, i, g, given, lanes, samples, stops, x):
        count, size, last = (np.uint64(given.counts.shape[0]), np.uint64(given.atol.shape[0]),
                             np.uint64(given.ts.shape[1] - 1))  # fmt: skip
        b = base + g + groups * np.uint64(e)
        exists = b < count
        b = b if exists else count - np.uint64(1)
        row = b if own else np.uint64(0)
        start(lanes[e], samples[e], given.ts[row, np.uint64(0)], given.first_steps[b])
        if not exists:
            lanes[e].fate = SUCCESS
        stops[e] = given.ts[row, np.uint64(1)]
        x[Y, e] = given.zs[last, b, i] if i < size else real(0.0)
        x[Y, each + e] = given.zs_bar[last, b, i] if i < size else real(0.0)

    return begin


def _land(e: int, shape: Shape, rule: Rule) -> Function:
    own, groups, each = rule.own_times, np.uint64(shape.groups), shape.each

    def land(base, i, g, given, lanes, stops, x):
        lane = lanes[e]
        if lane.ratio <= 1.0 and lane.t == stops[e]:
            last, size, b = given.ts.shape[1] - 1, np.uint64(given.atol.shape[0]), base + g + groups * np.uint64(e)
            if lane.output == last:
                lane.fate = SUCCESS
                if i < size:
                    given.results[0, b, i], given.results[1, b, i] = x[Y, e], x[Y, each + e]
            else:
                j = np.uint64(last - lane.output)
                stops[e] = given.ts[b if own else np.uint64(0), np.uint64(lane.output + 1)]
                lane.known = 0
                if i < size:
                    x[Y, e] = given.zs[j, b, i]
                    x[Y, each + e] += given.zs_bar[j, b, i]
            lane.output += 1

    return land


def make_tile_quadrature(tableau: Any, shape: Shape, gradient: Any, real: Any, bind: Bind) -> Any:
    """Make ``quadrature(i, g, lanes, x, work, theta_bar)``, which adds ``-int a f_theta dt`` over accepted steps.

    The nodes, a chain as the stages are, are those of `nodeedu.sensitivity.backsolve`. A step that was not accepted
    takes part with a = 0.
    """
    nodes, states, omega = (np.asarray(each, real) for each in theta_quadrature(tableau, np.dtype(real)))
    each, width = shape.each, 2 * shape.each

    def start(i, g, lanes, x, work, theta_bar):
        pass

    def node(before: Any, c: Any, weights: tuple[Any, ...], weight: Any, again: bool) -> Any:
        count = len(weights)
        takes = chained(lambda e: _take(e, each, c, weight), each, bind)

        def add_node(i, g, lanes, x, work, theta_bar):
            before(i, g, lanes, x, work, theta_bar)
            combine(x, weights, count, 0, width, x[SPARE])
            add_scaled(x, 0, width, x[SPARE])
            t, z, a = cuda.local.array(each, real), cuda.local.array(each, real), cuda.local.array(each, real)
            takes(lanes, x, t, z, a)
            if again:  # the node before may still be read; before the first and after the last, others have barriers
                cuda.syncthreads()
            gradient(i, g, t, z, a, work, theta_bar)

        return bind(add_node)

    chain = bind(start)
    for q, weights in enumerate(map(constants, states)):
        chain = node(chain, constants(nodes)[q], weights, constants(omega)[q], q > 0)
    return chain


def _take(e: int, each: int, c: Any, weight: Any) -> Function:
    def take(lanes, x, t, z, a):
        lane = lanes[e]
        t[e], z[e], a[e] = stage_time(c, lane), x[Y, e], 0
        if lane.ratio <= 1.0:
            z[e], a[e] = x[SPARE, e], -lane.step * weight * x[SPARE, each + e]

    return take
