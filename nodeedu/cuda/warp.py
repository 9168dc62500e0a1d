"""A warp solves one sample after the other: the field is its perceptron, shared out among the lanes (warp_field.py).

    forward     z' = f,                  outputs by dense output, as on the CPU
    backward    z' = f,  a' = -a f_z     from the last time to the first, with a jump at every observation; theta's
                                         gradient is a sum that stays in registers until the warp has no more samples

Every thread makes the whole step on its own, by the CPU's functions. That the 32 threads of a warp all do so is no
waste: the step takes a few numbers, the field takes the threads together. They all write the same results to the same
places.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from nodeedu.cuda.device import Target, cuda, device_forms, inlined
from nodeedu.cuda.mlp import Perceptron
from nodeedu.cuda.mlp_reals import Bind, binder, for_kernel, local_records
from nodeedu.cuda.mlp_stages import make_interpolate, make_steps
from nodeedu.cuda.thread_steps import Choices, Rule
from nodeedu.cuda.warp_field import Field, make_field, shape_of_theta
from nodeedu.cuda.warp_flow import make_flow_field, width_of
from nodeedu.solvers.integrate import expire
from nodeedu.solvers.lanes import Control
from nodeedu.solvers.runge_kutta import Y1, K, Y, as_method
from nodeedu.solvers.status import RUNNING, SUCCESS
from nodeedu.tableaus import get

__all__ = ["COUNTS", "Forward", "forward_kernel", "make_control", "report"]

Array = np.ndarray
COUNTS = ("status", "accepted", "rejected", "output")  # columns of counts


class Forward(NamedTuple):
    """What the forward kernel is given; all reals are of the kernel's type."""

    choices: Choices
    p: Array  # (B, Q), or (1, Q) for all
    ts: Array  # (1, T) or (B, T)
    atol: Array  # (D,)
    first_steps: Array  # (B,), 0 for an automatic one
    outputs: Array  # (T, B, D), the first is z0
    ends: Array  # (B, 2): where a sample ended, and the step that would have been tried next
    counts: Array  # (B, 4) of COUNTS


def make_control(rule: Rule, real: Any, bind: Bind) -> Any:
    """Make ``control(choices)``: the record that the CPU's functions want, in which most is constant."""
    exponent, min_step, max_step, zero = real(rule.exponent), real(rule.min_step), real(rule.max_step), real(0.0)
    beta1, beta2, beta3 = map(real, rule.betas)

    def control(choices):
        return Control(
            False, False, zero, max_step, choices.max_steps, choices.rtol, min_step, exponent, beta1, beta2, beta3,
            0, 0, 0,
        )  # fmt: skip

    return bind(control)


@lru_cache(maxsize=32)
def forward_kernel(
    mlp: Perceptron, rule: Rule, real: Any, target: Target, probes: int | None = None
) -> Any:  # fmt: skip
    """Make the kernel.

    Parameters
    ----------
    mlp : Perceptron
        From `recognise`.
    rule : Rule
        How steps are chosen.
    real : type
        np.float64 or np.float32.
    target : Target
        Where it runs.
    probes : int or None
        For the flow of a density: probes of Hutchinson's estimate, or 0 for the exact trace. None: for the field alone.
    """
    target = inlined(target)
    bind, forms, own_theta = binder(real, target), device_forms(target), rule.own_theta
    if probes is None:
        field, width = make_field(mlp, real, bind, forms), mlp.size
    else:
        field, width = make_flow_field(mlp, probes, real, bind, forms), width_of(mlp, probes)
    solve, theta_shape = _make_solve(width, field, rule, real, bind), shape_of_theta(mlp)

    def forward(given):
        theta = cuda.local.array(theta_shape, real)
        b = np.uint32(cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y)
        while b < np.uint32(given.counts.shape[0]):
            field.load(given.p[b if own_theta else np.uint32(0)], theta)
            solve(b, theta, given)
            b += np.uint32(cuda.gridDim.x * cuda.blockDim.y)

    return for_kernel(forward, target)


def _make_solve(width: int, field: Field, rule: Rule, real: Any, bind: Bind) -> Any:
    """Make ``solve(b, theta, given)``, by all threads of the warp."""
    method, size = as_method(get(rule.method), np.dtype(real), True), np.uint32(width)
    own_times, own_theta = rule.own_times, rule.own_theta
    steps = make_steps(method, field.slope, field.gather, width, 1, real, bind)
    emit, control_of = _make_emit(make_interpolate(method, real, bind), bind), make_control(rule, real, bind)
    expires, reports, shape = bind(expire), bind(report), (int(K) + len(method.b), 1)
    lane_type, sample_type = local_records(real)

    def solve(b, theta, given):
        x = cuda.local.array(shape, real)
        lanes, samples = cuda.local.array(1, lane_type), cuda.local.array(1, sample_type)
        lane, sample = lanes[0], samples[0]
        own, row = np.uint32(cuda.threadIdx.x) % size, b if own_times else np.uint32(0)
        control, last = control_of(given.choices), np.uint32(given.ts.shape[1] - 1)
        steps.start(lane, sample, given.ts[row, np.uint32(0)], given.first_steps[b])
        x[Y, 0] = given.outputs[np.uint32(0), b, own]
        steps.first(lane, x, theta)
        if lane.h == 0.0:
            steps.choose(control, given.atol[own], given.ts[row, last], lane, x, theta)
        while lane.fate == RUNNING:
            field.load(given.p[b if own_theta else np.uint32(0)], theta)  # again, as to hold them takes 20 registers
            steps.trial(control, given.atol[own], given.ts[row, last], lane, sample, x, theta)
            if lane.ratio <= 1.0:
                emit(b, row, own, given, lane, x)
                steps.accept(lane, x)
            expires(1, 1, control.max_steps, (lane,), (sample,))
        reports(b, given, lane, sample)

    return bind(solve)


def _make_emit(interpolate: Any, bind: Bind) -> Any:
    """Make ``emit(b, row, own, given, lane, x)``, which writes the outputs that an accepted step has reached."""

    def emit(b, row, own, given, lane, x):
        last, direction = given.ts.shape[1] - 1, math.copysign(1.0, lane.step)
        while lane.output <= last and (given.ts[row, np.uint32(lane.output)] - lane.t1) * direction <= 0.0:
            at = (given.ts[row, np.uint32(lane.output)] - lane.t) / lane.step
            value = x[Y1, 0] if lane.output == last else interpolate(at, lane.step, x)
            given.outputs[np.uint32(lane.output), b, own] = value
            lane.output += 1
        if lane.output > last:
            lane.fate = SUCCESS

    return bind(emit)


def report(b, given, lane, sample):
    """Write what a solve has come to."""
    given.ends[b, 0], given.ends[b, 1] = lane.t, lane.h
    counts = given.counts[b]
    counts[0], counts[1], counts[2], counts[3] = lane.fate, sample.accepted, sample.rejected, lane.output
