"""The steps of one trajectory in one thread: the CPU's functions, chained so that all they work on stays in registers.

Registers have no addresses: an array of a thread can live in them only if the compiler knows every index. So the loops
over stages, and over the powers of dense output, are chains here, made once for a tableau: each link calls the one
before and then does its own part, with its weights as constants. All else are the functions of the CPU's driver
(solvers/integrate.py), called for a batch of one lane, whose records are in tuples of one.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from nodeedu.cuda.device import Function, cuda
from nodeedu.cuda.mlp_reals import Bind
from nodeedu.cuda.views import as_blocks, as_flat
from nodeedu.solvers.advance import accept, emit, interpolate
from nodeedu.solvers.integrate import judge
from nodeedu.solvers.lanes import Control
from nodeedu.solvers.norms import MAX, largest, root_mean_square
from nodeedu.solvers.runge_kutta import SPARE, Y1, K, Method, Y, add_scaled, combine, scale_errors
from nodeedu.solvers.systems import FIELD, Problem
from nodeedu.solvers.trial_step import (
    aim,
    choose_first_steps,
    finite_ratios,
    first_slopes,
    probe_first_steps,
    raise_ratio,
)

__all__ = ["Choices", "Rule", "Steps", "make_steps"]

Array = np.ndarray


class Rule(NamedTuple):
    """What a kernel is compiled for: constants, by which the compiler drops all that is not needed."""

    method: str
    fixed: bool
    exponent: float  # and the others of step_control.py
    betas: tuple[float, float, float]
    norm: int
    min_step: float
    max_step: float
    jumps: tuple[float, ...]
    own_times: bool
    own_theta: bool
    own_atol: bool  # each component has one


class Choices(NamedTuple):
    """What a kernel is given of the options; numbers of the kernel's type."""

    rtol: Any
    step_size: Any
    max_steps: Any


class Steps(NamedTuple):
    """Device functions of one trajectory; x is the array of runge_kutta.py as (rows, M, 1, D), flat as (rows, M D)."""

    begin: Any  # begin(choices, ts, p, work, x, flat, t, lane, sample): the first slope and step size
    trial: Any  # trial(the same): a trial step and its verdict
    advance: Any  # advance(ts, x, flat, lane, outputs): what an accepted step leaves behind


def make_steps(
    rule: Rule, method: Method, size: int, blocks: int, slopes: Any, real: Any, bind: Bind, lands: bool = False
) -> Steps:
    """Make the device functions.

    Parameters
    ----------
    rule, method : Rule, Method
        How steps are chosen and made.
    size, blocks : int
        D, and the number M of blocks of the system.
    slopes : callable
        ``slopes(problem, n, t, y, dy)`` takes the place of `systems.evaluate`.
    real : dtype
        Of state and times.
    bind : callable
        From `binder`.
    lands : bool
        Whether steps end at every output time; fixed steps do anyway.
    """
    stages, fsal, fixed = len(method.b), method.fsal, rule.fixed
    b, nodes, width = method.b, method.c.astype(real), blocks * size
    probes = not fixed and blocks == 1  # backwards, the first step is one that the forward solve would have tried next
    forgets = not fsal or blocks > 1 or len(rule.jumps) > 0  # whether the first slope is not always known
    control_of, chain = _make_control(rule, lands, real, bind), _chain_stages(method, width, slopes, bind)
    first = bind(first_slopes, evaluate=slopes, **_of_one_lane(size, blocks, bind))
    judges = bind(judge, first_nonfinite=bind(_nothing_found))
    probe, choose = (bind(each, call_norm=bind(_no_norm)) for each in (probe_first_steps, choose_first_steps))
    errors = _make_errors(rule, method, size, blocks, bind)
    emits = bind(emit, expand=bind(_expand_later), interpolate=bind(_interpolate(method, size, real, bind)))
    row, lands = method.interpolant.astype(real), lands or fixed

    def begin(choices, ts, p, work, x, flat, t, lane, sample):
        problem, control = Problem(FIELD, 0, p, 0, work), control_of(choices)
        first(1, fsal, problem, x, t[0], (lane,), (sample,))
        if probes and lane.h == 0.0:
            probe(1, control, ts, x, flat, t[0], (lane,))
            slopes(problem, 1, t[0], x[Y1], x[K + 1])
            choose(1, control, x, flat, t[0], (lane,), (sample,))

    def trial(choices, ts, p, work, x, flat, t, lane, sample):
        problem, control = Problem(FIELD, 0, p, 0, work), control_of(choices)
        if forgets:
            first(1, fsal, problem, x, t[0], (lane,), (sample,))
        aim(1, nodes, control, ts, x, t, (lane,))
        chain(problem, x, flat, t)
        if not fsal:
            combine(flat, b, stages, 0, width, flat[Y1])
            add_scaled(flat, 0, width, flat[Y1])
        if fixed:
            finite_ratios(1, x, (lane,))
        else:
            errors(choices.rtol, flat, lane)
        judges(1, stages, control, x, (lane,), (sample,))

    def advance(ts, x, flat, lane, outputs):
        emits(1, row, lands, ts, x, flat, (lane,), outputs)
        accept(1, stages, fsal, as_blocks(flat, 1), flat, (lane,))  # all blocks as one: no loop over them

    return Steps(bind(begin), bind(trial), bind(advance))


def _make_control(rule: Rule, lands: bool, real: Any, bind: Bind) -> Any:
    """Make ``control(choices)``: the record that the CPU's functions want, in which most is constant."""
    fixed, lands, norm, jumps = rule.fixed, lands or rule.fixed, rule.norm, np.array(rule.jumps, real)
    exponent, min_step, max_step = real(rule.exponent), real(rule.min_step), real(rule.max_step)
    beta1, beta2, beta3 = map(real, rule.betas)

    def control(choices):
        return Control(
            fixed, lands, choices.step_size, max_step, choices.max_steps, choices.rtol, min_step,
            exponent, beta1, beta2, beta3, norm, 0, jumps,
        )  # fmt: skip

    return bind(control)


def _chain_stages(method: Method, width: int, slopes: Any, bind: Bind) -> Any:
    """Make ``stages(problem, x, flat, t)``, which fills the slopes x[K + 1 :]."""

    def start(problem, x, flat, t):
        pass

    chain = bind(start)
    for q in range(1, len(method.b)):
        chain = bind(_stage(chain, q, method.A[q], width, slopes))
    return chain


def _stage(before: Any, q: int, weights: Array, width: int, slopes: Any) -> Function:
    def stage(problem, x, flat, t):
        before(problem, x, flat, t)
        # What `stage_states` does block by block: here all blocks lie side by side.
        combine(flat, weights, q, 0, width, flat[Y1])
        add_scaled(flat, 0, width, flat[Y1])
        slopes(problem, 1, t[q], x[Y1], x[K + q])

    return stage


def _make_errors(rule: Rule, method: Method, size: int, blocks: int, bind: Bind) -> Any:
    """Make ``errors(rtol, flat, lane)``, which does for one lane what `trial_step.error_ratios` does for all."""
    weights, stages, width = method.e, len(method.e), blocks * size

    def start(flat, lane):
        pass

    chain, norm = bind(start), bind(largest if rule.norm == MAX else root_mean_square)
    for m in range(blocks):
        chain = bind(_block_error(chain, m, size, norm))

    def errors(rtol, flat, lane):
        combine(flat, weights, stages, 0, width, flat[SPARE])
        scale_errors(flat, rtol, 0, width)
        chain(flat, lane)

    return bind(errors)


def _block_error(before: Any, m: int, size: int, norm: Any) -> Function:
    def block_error(flat, lane):
        before(flat, lane)
        raise_ratio(m, norm(flat, m * size, (m + 1) * size), lane)

    return block_error


def _interpolate(method: Method, size: int, real: Any, bind: Bind) -> Function:
    """Make what takes the place of `advance.interpolate`: it expands the polynomials itself, one component at a time.

    The CPU expands them once for all outputs in a step. Here, their coefficients, a row for each power, would take
    half as many registers again as the slopes.
    """
    powers, rows = method.interpolant.shape[1], (int(K) + method.interpolant.shape[1], 1, 1, 1)

    def start(i, flat, own):
        own[Y, 0, 0, 0] = flat[Y, i]

    expands = bind(start)
    for j in range(powers):
        expands = bind(_expand(expands, np.array(method.interpolant[:, j], real), len(method.b), int(K) + j))
    chain, evaluates = bind(_nothing), bind(interpolate)
    for i in range(size):
        chain = bind(_interpolate_component(chain, i, expands, evaluates, (0, powers)))

    def expand_and_interpolate(shape, theta, step, b, x, out):
        own = cuda.local.array(rows, real)
        chain(theta, step, as_flat(x), own, out)

    return expand_and_interpolate


def _nothing(theta: Any, step: Any, flat: Any, own: Any, out: Any) -> None:
    """Begin a chain."""


def _interpolate_component(before: Any, i: int, expands: Any, evaluates: Any, shape: tuple[int, int]) -> Function:
    def component(theta, step, flat, own, out):
        before(theta, step, flat, own, out)
        expands(i, flat, own)
        evaluates(shape, theta, step, 0, own, out[:, i : i + 1])

    return component


def _expand(before: Any, weights: Array, count: int, row: int) -> Function:
    def expand(i, flat, own):
        before(i, flat, own)
        combine(flat, weights, count, i, i + 1, flat[SPARE])
        own[row, 0, 0, 0] = flat[SPARE, i]

    return expand


def _expand_later(n: Any, interpolant: Any, x: Any, flat: Any) -> None:
    """Take the place of `advance.expand`."""


def _first_nonfinite(size: int, blocks: int) -> Function:
    """Make what takes the place of `trial_step.first_nonfinite`: backwards, as a loop with an exit is not unrolled."""

    def first_nonfinite(slopes, b):
        found = -1
        for q in range(slopes.shape[0] - 1, -1, -1):
            for i in range(size - 1, -1, -1):
                for m in range(blocks - 1, -1, -1):
                    if not abs(slopes[q, m, b, i]) < math.inf:
                        found = i
        return found

    return first_nonfinite


def _of_one_lane(size: int, blocks: int, bind: Bind) -> dict[str, Any]:
    """Return what takes the place of functions that `trial_step.first_slopes` calls for many lanes."""
    return {
        "gather_newcomers": bind(_gather_newcomer), "scatter_newcomers": bind(_scatter_nobody),
        "first_nonfinite": bind(_first_nonfinite(size, blocks)),
    }  # fmt: skip


def _gather_newcomer(n: Any, x: Any, t: Any, lanes: Any) -> int:
    """Take the place of `trial_step.gather_newcomers`, for which the compiler wants to move lanes from row to row."""
    lane = lanes[0]
    if lane.known:
        return 0
    t[0] = lane.t + lane.beyond
    return 1


def _scatter_nobody(n: Any, newcomers: Any, x: Any, lanes: Any) -> None:
    """Take the place of `trial_step.scatter_newcomers`: one lane has no gaps beside it."""


def _nothing_found(slopes: Any, b: Any) -> int:
    """Leave it to the CPU to say which component failed: looking for it would keep all slopes in registers."""
    return -1


def _no_norm(callee: Any, t: Any, row: Any) -> float:
    """Stand for the user's own norm."""
    return -1.0


