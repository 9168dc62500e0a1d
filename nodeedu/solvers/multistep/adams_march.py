"""The driver of the Adams method of variable step and order (adams.py): trial steps, sample after sample."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from nodeedu.compile.kernels import DONE, call_f
from nodeedu.solvers.core import core, driver
from nodeedu.solvers.integrate import ROUNDS
from nodeedu.solvers.lanes import first_nonfinite
from nodeedu.solvers.multistep.adams_control import aim, choose, reject
from nodeedu.solvers.multistep.adams_output import emit, record
from nodeedu.solvers.multistep.adams_step import (
    AHEAD,
    ATOL,
    DIFFERENCES,
    MAX_ORDER,
    SCALE,
    F,
    P,
    Y,
    correct,
    predict,
    shift,
    step_weights,
)
from nodeedu.solvers.norms import scaled_norm
from nodeedu.solvers.status import KERNEL_FAILED, NON_FINITE, RUNNING, SUCCESS, TOO_MANY_STEPS
from nodeedu.solvers.step_control import first_step_size, smallest_step, trial_guess

Array = np.ndarray


class Work(NamedTuple):
    """Workspace of the sample that is being solved."""

    state: Array  # (1,) of STATE
    nodes: Array  # (MAX_ORDER + 2,) t_n, t_{n-1}, ...
    x: Array  # (ROWS, 1, D), rows of adams_step.py
    beta: Array  # (MAX_ORDER + 1,)
    g: Array  # (MAX_ORDER + 1,)
    c: Array  # (MAX_ORDER + 3,) scratch
    gamma: Array  # (MAX_ORDER + 2,) g_j - g_{j-1} of equal steps
    t: Array  # (1,)


@driver
def march(callee, p, room, control, ts, z0, outputs, samples, work, records):
    """Make trial steps, sample after sample, until all have ended, the records are full or `ROUNDS` are over."""
    state, full = work.state[0], records.steps.shape[0]
    for _ in range(ROUNDS):
        sample = samples[state.sample]
        row = state.sample if ts.shape[0] > 1 else 0
        if state.fresh:
            done = begin(callee, p, room, control, ts[row], z0[state.sample], work, sample)
        else:
            done = attempt(callee, p, room, control, ts[row], outputs[:, state.sample], work, records, sample)
        if done != DONE:
            state.fate = KERNEL_FAILED
        elif state.fate == RUNNING and sample.accepted + sample.rejected >= control.max_steps:
            state.fate = TOO_MANY_STEPS
        if state.fate != RUNNING:
            sample.status, sample.t, sample.h = state.fate, state.t, state.h
            state.sample += 1
            state.fresh = 1
            if state.sample == z0.shape[0]:
                break
        if 0 < full == records.count[0]:
            break


@core
def evaluate(callee, p, room, t, argument, slope, work, sample):
    """Evaluate the slope of one row of x at another; return `DONE` or 0."""
    work.t[0] = t
    sample.nfev += 1
    return call_f(callee, 1, work.t, work.x[argument], p, work.x[slope], room)


@core
def begin(callee, p, room, control, ts, z0, work, sample):
    """Start a sample at order 1: its first slope and, unless it is given, the size of its first step."""
    state, x, t = work.state[0], work.x, ts[0]
    reach = ts[ts.shape[0] - 1] - t
    longest = min(abs(reach), control.max_step)
    state.t, state.fresh, state.fate, state.output = t, 0, RUNNING, 1
    state.order, state.equal, state.rising, state.failures, state.last = 1, 0, 1, 0, 0.0
    for i in range(x.shape[2]):
        x[Y, 0, i] = z0[i]
        for j in range(MAX_ORDER + 2):
            x[DIFFERENCES + j, 0, i] = 0.0
        x[SCALE, 0, i] = x[ATOL, 0, i] + control.rtol * abs(z0[i])
    done = evaluate(callee, p, room, t, Y, DIFFERENCES, work, sample)
    sample.f_initial += 1
    sample.component = first_nonfinite(x[DIFFERENCES])
    if sample.component >= 0:
        state.fate = NON_FINITE
    elif control.first_step > 0.0:
        state.h = control.first_step
    else:
        size, slope = scaled_norm(x[Y], x[SCALE, 0]), scaled_norm(x[DIFFERENCES], x[SCALE, 0])
        state.h = trial_guess(size, slope, longest)
        h = math.copysign(state.h, reach)
        for i in range(x.shape[2]):
            x[P, 0, i] = x[Y, 0, i] + h * x[DIFFERENCES, 0, i]
        done = min(done, evaluate(callee, p, room, t + h, P, F, work, sample))
        sample.f_initial += 1
        for i in range(x.shape[2]):
            x[F, 0, i] -= x[DIFFERENCES, 0, i]
        h = first_step_size(state.h, slope, scaled_norm(x[F], x[SCALE, 0]) / state.h, 0.5, longest)
        state.h = max(h, smallest_step(t))
    # As if the slope had been the same before the start: all its differences are 0.
    for j in range(MAX_ORDER + 2):
        work.nodes[j] = t - j * math.copysign(state.h, reach)
    return done


@core
def attempt(callee, p, room, control, ts, outputs, work, records, sample):
    """Make one trial step; return `DONE` or 0."""
    state, x = work.state[0], work.x
    k, end = state.order, ts[ts.shape[0] - 1]
    h = aim(control, end, state)
    step_weights(k, h, work.nodes, work.beta, work.c, work.g)
    predict(k, h, control.rtol, work.beta, work.g, x)
    evaluations = sample.nfev
    done = evaluate(callee, p, room, state.t1, P, F, work, sample)
    error, below, further = correct(k, h, work.g, x)
    lower = (k == 2 and below <= 0.5 * error) or (k > 2 and max(below, further) <= error)
    accepted = error <= 1.0
    if accepted and state.t1 != end:
        done = min(done, evaluate(callee, p, room, state.t1, AHEAD, F, work, sample))
        sample.component = first_nonfinite(x[F])
        accepted = sample.component < 0
        error = error if accepted else math.nan
    elif not error < math.inf:
        sample.component = first_nonfinite(x[F])
    if not accepted:
        sample.f_rejected += sample.nfev - evaluations
        reject(error, lower, state, sample)
        return done
    sample.accepted += 1
    state.output = emit(k, h, state.t1, state.output, ts, AHEAD, work, outputs)
    if records.steps.shape[0] > 0:
        record(k, h, state.t, work.nodes, x, state.sample, records)
    state.equal = state.equal + 1 if h == state.last else 1
    state.t, state.last, state.failures = state.t1, h, 0
    shift(k, state.t1, work.nodes, x)
    if state.t1 == end:
        state.fate = SUCCESS
    else:
        choose(k, abs(h), error, below, lower, work)
    return done
