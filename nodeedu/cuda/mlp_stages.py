"""The trial steps of one sample whose state and slopes stay in registers.

Registers have no addresses: an array of a thread can live in them only if the compiler knows every index. The stages
are therefore not a loop but a chain, built once for a tableau: each link calls the one before and then makes its own
stage, with its weights as constants. What a link does is what the CPU's loop does, by the same functions. A sample is a
batch of one lane; its records are in tuples of one, as the index into a tuple of one is known.

x is the array of runge_kutta.py as (rows, M D): the blocks of the state, z and for the adjoint a, side by side.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from nodeedu.cuda.device import Function, cuda
from nodeedu.cuda.mlp_reals import Bind
from nodeedu.solvers.dense_output import interpolation_weight
from nodeedu.solvers.integrate import judge
from nodeedu.solvers.norms import root_mean_square
from nodeedu.solvers.runge_kutta import (
    ATOL,
    SPARE,
    Y1,
    H,
    K,
    Method,
    Y,
    add_scaled,
    combine,
    scale_errors,
    scale_values,
)
from nodeedu.solvers.status import NON_FINITE, RUNNING
from nodeedu.solvers.step_control import clipped_step, first_step_size, smallest_step, trial_guess
from nodeedu.solvers.trial_step import raise_ratio, stage_time

__all__ = ["Steps", "constants", "make_interpolate", "make_stages", "make_steps", "nothing_found", "start_lane"]


class Steps(NamedTuple):
    """Device functions of the steps of one sample."""

    start: Any  # start(lane, sample, t, h)
    first: Any  # first(lane, x, theta): the first slope
    choose: Any  # choose(control, atol, stop, lane, x, theta): the first step size
    trial: Any  # trial(control, atol, stop, lane, sample, x, theta): a step towards stop, and its verdict
    accept: Any  # accept(lane, x)


def constants(values: np.ndarray) -> tuple[Any, ...]:
    """Return the numbers of a vector as constants of their type."""
    return tuple(values.dtype.type(each) for each in values)


def make_stages(method: Method, width: int, evaluate: Any, real: Any, bind: Bind) -> Any:
    """Make ``stages(lane, x, theta)``, which fills the slopes x[K + 1 :] and leaves the new state in x[Y1].

    What theta is, and whether lane is one record or several, is up to evaluate.

    Parameters
    ----------
    method : Method
        A tableau whose last stage is the first of the next step.
    width : int
        Numbers in a row of x.
    evaluate : callable
        ``evaluate(node, lane, y, dy, theta)`` of the kernel's threads, at the node of a stage.
    real : dtype
        Of state and times.
    bind : callable
        From `binder`.
    """

    def start(lane, x, theta):
        pass

    chain, nodes = bind(start), constants(method.c.astype(real))
    for q in range(1, len(method.b)):
        chain = bind(_stage(chain, q, constants(method.A[q, :q]), nodes[q], width, evaluate))
    return chain


def _stage(before: Any, q: int, weights: tuple[Any, ...], node: Any, width: int, evaluate: Any) -> Function:
    def stage(lane, x, theta):
        before(lane, x, theta)
        combine(x, weights, q, 0, width, x[Y1])
        add_scaled(x, 0, width, x[Y1])
        evaluate(node, lane, x[Y1], x[K + q], theta)

    return stage


def make_norms(method: Method, blocks: int, gather: Any, real: Any, bind: Bind, size: int) -> tuple[Any, Any]:
    """Make ``ratio(rtol, atol, x, lane)``, which judges a trial step, and ``norm(row, rtol, atol, x)``, of a row of x.

    The norm of a block, z or its adjoint, is that of the components of all lanes; the larger one counts, as on the CPU.
    """
    weights, stages, own = constants(method.e), len(method.e), (1, size)
    root = bind(root_mean_square, SPARE=0)

    def ratio(rtol, atol, x, lane):
        combine(x, weights, stages, 0, blocks, x[SPARE])
        for m in range(blocks):
            x[ATOL, m] = atol
        scale_errors(x, rtol, 0, blocks)
        for m in range(blocks):
            errors = cuda.local.array(own, real)
            gather(x[SPARE, m], errors[0])
            raise_ratio(m, root(errors, 0, size), lane)

    def norm(row, rtol, atol, x):
        x[ATOL, 0] = atol
        scale_values(x, row, rtol, 0, 1)
        values = cuda.local.array(own, real)
        gather(x[SPARE, 0], values[0])
        return root(values, 0, size)

    return bind(ratio), bind(norm)


def make_steps(
    method: Method, evaluate: Any, gather: Any, size: int, blocks: int, real: Any, bind: Bind
) -> Steps:  # fmt: skip
    """Make the device functions of the steps of one sample of a warp; see `make_stages`."""

    def evaluate_stage(node, lane, y, dy, theta):
        evaluate(stage_time(node, lane), y, dy, theta)

    stages, count = make_stages(method, blocks, bind(evaluate_stage), real, bind), len(method.b)
    ratio, norm = make_norms(method, blocks, gather, real, bind, size)
    finite = bind(_make_finite(gather, size, blocks, real))
    judges = bind(judge, first_nonfinite=bind(nothing_found))

    def first(lane, x, theta):
        evaluate(lane.t, x[Y], x[K], theta)
        lane.known = 1
        if not finite(x[K]):
            lane.fate = NON_FINITE

    def trial(control, atol, stop, lane, sample, x, theta):
        lane.step, lane.t1 = clipped_step(lane.t, stop, min(lane.h, control.max_step))
        for m in range(blocks):
            x[H, m] = lane.step
        stages(lane, x, theta)
        ratio(control.rtol, atol, x, lane)
        judges(1, count, control, x, (lane,), (sample,))

    def accept(lane, x):
        lane.t = lane.t1
        for m in range(blocks):
            x[Y, m], x[K, m] = x[Y1, m], x[K + count - 1, m]

    return Steps(bind(start_lane), bind(first), bind(_make_choose(evaluate, norm)), bind(trial), bind(accept))


def _make_choose(evaluate: Any, norm: Any) -> Function:
    def choose(control, atol, stop, lane, x, theta):
        reach = stop - lane.t
        longest = min(abs(reach), control.max_step)
        guess = trial_guess(norm(x[Y], control.rtol, atol, x), norm(x[K], control.rtol, atol, x), longest)
        h = math.copysign(guess, reach)
        x[Y1, 0] = x[Y, 0] + h * x[K, 0]
        evaluate(lane.t + h, x[Y1], x[K + 1], theta)
        x[K + 1, 0] -= x[K, 0]
        slope, change = norm(x[K], control.rtol, atol, x), norm(x[K + 1], control.rtol, atol, x)
        h = first_step_size(guess, slope, change / guess, control.exponent, longest)
        lane.h = max(h, max(control.min_step, smallest_step(lane.t)))

    return choose


def _make_finite(gather: Any, size: int, blocks: int, real: Any) -> Function:
    def finite(row):
        """Return whether the row of all lanes is finite."""
        yes = True
        for m in range(blocks):
            values = cuda.local.array(size, real)
            gather(row[m], values)
            for i in range(size):
                yes = yes and abs(values[i]) < math.inf
        return yes

    return finite


def nothing_found(slopes: Any, b: Any) -> int:
    """Stand for `first_nonfinite`: to look which component failed would keep all slopes in registers."""
    return -1


def start_lane(lane, sample, t, h):
    """Put a sample into its lane, as `make_lanes` does."""
    lane.t, lane.h, lane.old_ratio, lane.older_ratio = t, h, 1.0, 1.0
    lane.beyond, lane.ahead, lane.substep = 0.0, 0.0, 0.0
    lane.sample, lane.record, lane.output, lane.jump = 0, -1, 1, 0
    lane.known, lane.rejected, lane.fate = 0, 0, RUNNING
    sample.accepted, sample.rejected, sample.component = 0, 0, -1
    sample.nfev, sample.f_rejected, sample.f_initial = 0, 0, 0


def make_interpolate(method: Method, real: Any, bind: Bind, e: int = 0) -> Any:
    """Make ``interpolate(theta, step, x)``: ``z(t + theta h) = z + h sum_i w_i(theta) k_i`` of element e.

    The CPU multiplies out the polynomials, for all outputs in a step; that takes a row of registers for each power.
    """
    polynomials, zero = method.interpolant.astype(real), real(0.0)

    def start(theta, x):
        return zero

    chain = bind(start)
    for q in range(len(method.b)):
        chain = bind(_add_slope(chain, q, e, polynomials))

    def interpolate(theta, step, x):
        return x[Y, e] + step * chain(theta, x)

    return bind(interpolate)


def _add_slope(before: Any, q: int, e: int, polynomials: np.ndarray) -> Function:
    def add_slope(theta, x):
        return before(theta, x) + interpolation_weight(polynomials, q, theta) * x[K + q, e]

    return add_slope
