"""Explicit Runge-Kutta integration with an embedded error estimate: one source, run as Python or compiled.

See Hairer, Norsett & Wanner, Solving Ordinary Differential Equations I (1993), section II.4. The functions here are
plain Python and call f wherever it is: as a Python function, or, where `stepper` compiles them into one driver, through
the address of a kernel. They take every decision as `scipy.integrate` does, so the accepted steps are the same.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba.extending import overload, register_jitable

from nodeedu.compile.build import STRICT
from nodeedu.compile.kernels import DONE, call_f
from nodeedu.solvers.scipy_api.arithmetic import (
    accept_trial,
    assess,
    begin_trial,
    combine,
    dop853_coefficients,
    euler_step,
    first_step_size,
    interpolate,
    probe_step,
    scaled_norm,
    smallest_step,
    stage_state,
    trial_end,
)

TOO_SMALL_STEP, NAN_AT_START = -1, -2  # beside what kernels return
LAST = -1

# Places in State.numbers: time, that of the step before, its step, the size of the next.
T, T_OLD, H, H_ABS = NUMBERS = range(4)
# Places in State.counts: evaluations, of these at the start and for dense output; trial steps; first of t_eval ahead.
NFEV, INITIAL, DENSE, ACCEPTED, REJECTED, NEXT = COUNTS = range(6)


class System(NamedTuple):
    """The right-hand side f."""

    callee: Any  # a Python function f(t, y), or the address of a kernel
    p: np.ndarray  # packed parameters of the kernel
    work: np.ndarray  # its workspace
    clock: np.ndarray  # (1,) the time of an evaluation, where a kernel reads it


class Control(NamedTuple):
    """What a solve is asked for."""

    t_bound: float
    direction: float  # 1.0 or -1.0
    max_step: float
    rtol: np.ndarray  # (n,)
    atol: np.ndarray  # (n,)


class State(NamedTuple):
    """Where a solve is."""

    numbers: np.ndarray  # (4,) T, T_OLD, H, H_ABS
    counts: np.ndarray  # (6,) NFEV, INITIAL, DENSE, ACCEPTED, REJECTED, NEXT
    y: np.ndarray  # (n,)
    y_old: np.ndarray  # (n,) start of the last step
    f: np.ndarray  # (n,) slope at y
    K: np.ndarray  # (S, n) slopes of the last step
    times: np.ndarray  # (S,) of the stages of the last step
    stage: np.ndarray  # (n,) argument of the last evaluation


class Output(NamedTuple):
    """What steps leave behind."""

    ts: np.ndarray  # (rows,) times of accepted steps; (0,) where they are not wanted
    ys: np.ndarray  # (rows, n)
    dense: bool  # whether the coefficients of every step are kept
    coefficients: np.ndarray  # (rows, m, n), or (1, m, n) where they are not kept
    t_eval: np.ndarray  # (k,) in the direction of integration
    y_eval: np.ndarray  # (k, n)


INLINE = STRICT | {"forceinline": True}  # else arrays are counted wherever a record of them is passed
both = register_jitable(**INLINE)  # the function stays plain Python, and compiled code may call it


def evaluate(system, t, y, dy):
    """Evaluate ``dy = f(t, y)``."""
    dy[:] = system.callee(t, y)
    return DONE


@overload(evaluate, jit_options=INLINE)
def _(system, t, y, dy):
    def through_address(system, t, y, dy):
        system.clock[0] = t
        return call_f(system.callee, 1, system.clock, y, system.p, dy, system.work)

    return through_address


@both
def attempt(system, method, control, state, h):
    """Make a trial step: slopes in state.K, the state at its end in state.stage."""
    y, K, A, times, stage = state.y, state.K, method.A, state.times, state.stage
    begin_trial(state.numbers[T], method.c, h, control.direction, control.t_bound, state.f, K, times)
    for s in range(1, method.stages + 1):
        stage_state(K, A, s, h, y, stage)
        done = evaluate(system, times[s], stage, K[s])
        if done != DONE:
            return done
    state.counts[NFEV] += method.stages
    return DONE


@both
def step(system, method, control, state):
    """Try ever smaller steps until one is accepted; choose the size of the next."""
    numbers, counts, t = state.numbers, state.counts, state.numbers[T]
    least = smallest_step(t, control.direction)
    h_abs = numbers[H_ABS]
    if h_abs > control.max_step:
        h_abs = control.max_step
    elif h_abs < least:
        h_abs = least
    accepted = rejected = False
    while not accepted:
        if h_abs < least or least == np.inf:
            return TOO_SMALL_STEP
        t_new = trial_end(t, h_abs, control.direction, control.t_bound)
        h = t_new - t
        done = attempt(system, method, control, state, h)
        if done != DONE:
            return done
        accepted, h_abs = assess(
            state.K, method.E, h, state.y, state.stage, control.rtol, control.atol, method.exponent, rejected
        )
        rejected = not accepted
        counts[ACCEPTED if accepted else REJECTED] += 1
    accept_trial(state.stage, state.K[method.stages], state.y_old, state.y, state.f)
    numbers[T_OLD], numbers[T], numbers[H], numbers[H_ABS] = t, t_new, h, h_abs
    return DONE


@both
def dense_coefficients(system, method, state, out):
    """Write the coefficients of the last step's interpolant into out, shape (m, n); see `arithmetic.interpolate`."""
    K, h = state.K, state.numbers[H]
    if method.E.shape[0] == 1:
        combine(method.interpolant, K, out)
        return DONE
    for s in range(method.stages + 1, method.A.shape[0]):
        stage_state(K, method.A, s, h, state.y_old, state.stage)
        state.counts[NFEV] += 1
        state.counts[DENSE] += 1
        done = evaluate(system, state.times[s], state.stage, K[s])
        if done != DONE:
            return done
    dop853_coefficients(K, method.interpolant, h, state.y_old, state.y, state.f, out)
    return DONE


@both
def record(system, method, control, state, output, row):
    """Keep what is wanted of the last step, and fill in the output times that it passed."""
    t, t_eval, first = state.numbers[T], output.t_eval, state.counts[NEXT]
    end = first
    while end < t_eval.size and control.direction * (t_eval[end] - t) <= 0.0:
        end += 1
    if output.ts.size > 0:
        output.ts[row] = t
        output.ys[row] = state.y
    if not output.dense and end == first:
        return DONE
    coefficients = output.coefficients[row if output.dense else 0]
    done = dense_coefficients(system, method, state, coefficients)
    if done == DONE and end > first:
        t_old, h = state.numbers[T_OLD], state.numbers[H]
        interpolate(coefficients, t_old, h, state.y_old, t_eval[first:end], output.y_eval[first:end])
        state.counts[NEXT] = end
    return done


@both
def advance(system, method, control, state, output, limit):
    """Take at most `limit` accepted steps towards t_bound; return `DONE`, or why a step failed.

    With the limit `LAST` no step is taken, but what is wanted of the last one is kept.
    """
    for row in range(abs(limit)):
        done = DONE if limit == LAST else step(system, method, control, state)
        if done == DONE:
            done = record(system, method, control, state, output, row)
        if done != DONE or state.numbers[T] == control.t_bound:
            return done
    return DONE


@both
def start(system, method, control, state, first_step):
    """Evaluate f at the start, and choose the size of the first step unless it is given (0: it is not).

    The algorithm is that of Hairer, Norsett & Wanner I, section II.4, "Starting step size".
    """
    y, f, t, rtol, atol = state.y, state.f, state.numbers[T], control.rtol, control.atol
    state.counts[NFEV] = state.counts[INITIAL] = 1
    done = evaluate(system, t, y, f)
    if done == DONE and np.isnan(f).any():
        done = NAN_AT_START
    state.numbers[H_ABS] = first_step
    if done != DONE or first_step != 0.0 or y.size == 0 or t == control.t_bound:
        return done
    interval = abs(control.t_bound - t)
    d0, d1 = scaled_norm(y, y, rtol, atol), scaled_norm(f, y, rtol, atol)
    h, slope = probe_step(d0, d1, interval), state.K[1]
    euler_step(y, f, h * control.direction, state.stage)
    state.counts[NFEV] = state.counts[INITIAL] = 2
    done = evaluate(system, trial_end(t, h, control.direction, control.t_bound), state.stage, slope)
    euler_step(slope, f, -1.0, slope)
    d2 = scaled_norm(slope, y, rtol, atol)
    state.numbers[H_ABS] = first_step_size(h, d1, d2, method.exponent, interval, control.max_step)
    return done


@both
def solve(system, method, control, state, output, first_step, limit):
    """Start, unless that is done; then take at most `limit` accepted steps."""
    if state.counts[NFEV] == 0:
        done = start(system, method, control, state, first_step)
        if done != DONE:
            return done
    return advance(system, method, control, state, output, limit)


@both
def state_of(numbers, counts, block):
    """Return the state that lies in these arrays: (4 + S,) of float, (6,) of int, and (4 + S, n)."""
    return State(numbers, counts, block[0], block[1], block[2], block[4:], numbers[4:], block[3])
