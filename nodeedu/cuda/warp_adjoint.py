"""The adjoint by a warp a sample: Algorithm 2 of the paper (arXiv 1806.07366) with the gradient of theta in registers.

    z' = f,     a' = -a f_z,     a(t_i-) = a(t_i+) + dL/dz(t_i),     dL/dtheta = -int_{t_N}^{t_0} a f_theta dt

As on the CPU, the integral is a quadrature over the accepted steps, z is reset at every observation, and steps end
there. A lane adds up the gradient of its own units, over all samples of its warp, and writes it once: no thread adds to
a number of another one.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from nodeedu.cuda.device import Target, cuda, device_forms, inlined
from nodeedu.cuda.mlp import Perceptron
from nodeedu.cuda.mlp_reals import Bind, binder, for_kernel, local_records
from nodeedu.cuda.mlp_stages import constants, make_steps
from nodeedu.cuda.thread_steps import Choices, Rule
from nodeedu.cuda.warp import make_control, report
from nodeedu.cuda.warp_field import Field, make_field, shape_of_theta
from nodeedu.cuda.warp_flow import width_of
from nodeedu.cuda.warp_flow_adjoint import make_flow_adjoint
from nodeedu.sensitivity.backsolve import theta_quadrature
from nodeedu.solvers.integrate import expire
from nodeedu.solvers.runge_kutta import SPARE, K, Y, add_scaled, as_method, combine
from nodeedu.solvers.status import RUNNING, SUCCESS
from nodeedu.solvers.trial_step import stage_time
from nodeedu.tableaus import get

__all__ = ["Backward", "backward_kernel"]

Array = np.ndarray


class Backward(NamedTuple):
    """What the backward kernel is given; all reals are of the kernel's type, zs and zs_bar run forward in time."""

    choices: Choices
    p: Array  # (1, Q)
    ts: Array  # (1, T) or (B, T), backwards
    atol: Array  # (D,)
    first_steps: Array  # (B,)
    zs: Array  # (T, B, D) states of the forward solve
    zs_bar: Array  # (T, B, D)
    results: Array  # (2, B, D): z(t0) as it came back, and a(t0+)
    p_bars: Array  # (warps, P), a part of the gradient for each warp
    ends: Array  # (B, 2)
    counts: Array  # (B, 4) of COUNTS


@lru_cache(maxsize=32)
def backward_kernel(
    mlp: Perceptron, rule: Rule, real: Any, target: Target, probes: int | None = None
) -> Any:  # fmt: skip
    """Make the kernel; see `warp.forward_kernel`."""
    target = inlined(target)
    bind, theta_shape, forms = binder(real, target), shape_of_theta(mlp), device_forms(target)
    if probes is None:
        field, width = make_field(mlp, real, bind, forms), mlp.size
    else:
        field, width = make_flow_adjoint(mlp, probes, real, bind, forms), width_of(mlp, probes)
    solve = _make_solve(width, field, rule, real, bind)

    def backward(given):
        theta, theta_bar = cuda.local.array(theta_shape, real), cuda.local.array(theta_shape, real)
        for u in range(theta_shape[0]):
            for i in range(theta_shape[1]):
                theta_bar[u, i] = real(0.0)
        field.load(given.p[0], theta)
        warp = np.uint64(cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y)
        b = warp
        while b < np.uint64(given.counts.shape[0]):
            solve(b, theta, theta_bar, given)
            b += np.uint64(cuda.gridDim.x * cuda.blockDim.y)
        field.store(theta_bar, given.p_bars[warp])

    return for_kernel(backward, target)


def _make_solve(width: int, field: Field, rule: Rule, real: Any, bind: Bind) -> Any:
    """Make ``solve(b, theta, theta_bar, given)``, by all threads of the warp."""
    tableau, size, own_times = get(rule.method), np.uint64(width), rule.own_times
    method = as_method(tableau, np.dtype(real), False)
    steps = make_steps(method, field.adjoint, field.gather, width, 2, real, bind)
    control_of, expires, reports = make_control(rule, real, bind), bind(expire), bind(report)
    quadrature, land, shape = make_quadrature(tableau, field, real, bind), bind(_land), (int(K) + len(method.b), 2)
    lane_type, sample_type = local_records(real)

    def solve(b, theta, theta_bar, given):
        x = cuda.local.array(shape, real)
        lanes, samples = cuda.local.array(1, lane_type), cuda.local.array(1, sample_type)
        lane, sample = lanes[0], samples[0]
        own, last = np.uint64(cuda.threadIdx.x) % size, np.uint64(given.ts.shape[1] - 1)
        row, control, atol = b if own_times else np.uint64(0), control_of(given.choices), given.atol[own]
        steps.start(lane, sample, given.ts[row, np.uint64(0)], given.first_steps[b])
        x[Y, 0], x[Y, 1] = given.zs[last, b, own], given.zs_bar[last, b, own]
        while lane.fate == RUNNING:
            if not lane.known:
                steps.first(lane, x, theta)
            stop = given.ts[row, np.uint64(lane.output)]
            steps.trial(control, atol, stop, lane, sample, x, theta)
            if lane.ratio <= 1.0:
                quadrature(lane, x, theta, theta_bar)
                steps.accept(lane, x)
                if lane.t == stop:
                    land(b, own, given, lane, x)
            expires(1, 1, control.max_steps, (lane,), (sample,))
        reports(b, given, lane, sample)

    return bind(solve)


def _land(b, own, given, lane, x):
    """At an observation, reset z and add the loss gradient to a; at the first time, leave a without it."""
    last = given.ts.shape[1] - 1
    if lane.output == last:
        lane.fate = SUCCESS
        given.results[0, b, own], given.results[1, b, own] = x[Y, 0], x[Y, 1]
    else:
        j = np.uint64(last - lane.output)
        x[Y, 0] = given.zs[j, b, own]
        x[Y, 1] += given.zs_bar[j, b, own]
        lane.known = 0
    lane.output += 1


def make_quadrature(tableau: Any, field: Field, real: Any, bind: Bind) -> Any:
    """Make ``quadrature(lane, x, theta, theta_bar)``, which adds ``-int a f_theta dt`` over an accepted step.

    The nodes, a chain as the stages are, are those of `nodeedu.sensitivity.backsolve`.
    """
    nodes, states, omega = (np.asarray(each, real) for each in theta_quadrature(tableau, np.dtype(real)))

    def start(lane, x, theta, theta_bar):
        pass

    def node(before: Any, c: Any, weights: tuple[Any, ...], weight: Any) -> Any:
        count = len(weights)

        def add_node(lane, x, theta, theta_bar):
            before(lane, x, theta, theta_bar)
            combine(x, weights, count, 0, 2, x[SPARE])
            add_scaled(x, 0, 2, x[SPARE])
            field.gradient(stage_time(c, lane), x[SPARE], -lane.step * weight, theta, theta_bar)

        return bind(add_node)

    chain = bind(start)
    for c, weights, weight in zip(constants(nodes), map(constants, states), constants(omega), strict=True):
        chain = node(chain, c, weights, weight)
    return chain
