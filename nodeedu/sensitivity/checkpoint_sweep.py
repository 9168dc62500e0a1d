"""The loops of checkpointed.py: make steps again, store states and go back to them, go back over single steps.

All lanes follow one schedule (schedule.py). They end together: a lane that made fewer steps than the first one joins
later, from its initial state. Steps backwards are those of reverse_sweep.py, in the same order of operations; steps
forwards are made with the times and sizes of the ledger, as solvers/integrate.py made them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nodeedu.compile.kernels import DONE, call_f
from nodeedu.sensitivity.reverse_sweep import divide, stage, undo
from nodeedu.sensitivity.schedule import ADVANCE, RESTORE, STORE
from nodeedu.solvers.core import core, driver
from nodeedu.solvers.runge_kutta import Y1, H, K, Y, add_scaled, combine

Array = np.ndarray


class Replay(NamedTuple):
    """What is known of the steps of n lanes, and what is stored of them."""

    times: Array  # (4, R) of the ledger: t, h, first, last
    end: Array  # (n,) the row behind each lane's last step
    steps: Array  # (n,) how many it made, the most first
    z0: Array  # (n D,)
    shelves: Array  # (slots, n D)
    places: Array  # (slots,) the steps that the stored states are before
    at: Array  # (2,) the step that the lanes are before, and how many of them know their first slope
    nfev: Array  # (n,) evaluations of f


@driver
def follow(
    actions, f, vjp, p, p_bar, work, method, lands, ts, zs_bar, replay, lanes, t, rows, a
):  # fmt: skip
    """Do what the schedule says; return `DONE`, or 0 if a kernel failed."""
    size, stages, at, done = a.shape[1], method.b.shape[0], replay.at, DONE
    sweep = divide(stages, method.interpolant.shape[1], lanes, t, rows)
    for i in range(actions.shape[0]):
        kind, argument = actions[i, 0], actions[i, 1]
        if kind == STORE:
            replay.places[argument] = at[0]
            copy(sweep.x[Y], active(at[0], replay) * size, replay.shelves[argument])
        elif kind == RESTORE:
            at[0], at[1] = replay.places[argument], 0
            copy(replay.shelves[argument], active(at[0], replay) * size, sweep.x[Y])
        elif kind == ADVANCE:
            while at[0] < argument:
                n = begin(size, replay, sweep)
                done = min(done, slopes(n, stages, size, method, f, p, work, replay, sweep))
                end(n, stages, size, method, sweep)
                at[0], at[1] = at[0] + 1, n if method.fsal else 0
        else:
            n = begin(size, replay, sweep)
            done = min(done, slopes(n, stages - 1, size, method, f, p, work, replay, sweep))
            done = min(done, back(n, size, method, vjp, p, p_bar, work, lands, ts, zs_bar, replay, sweep, a))
    return done


@core
def copy(source, count, target):
    """Copy the first elements."""
    for i in range(count):
        target[i] = source[i]


@core
def active(step, replay):
    """Return how many lanes, the first ones, make a step."""
    n, left = 0, max(replay.steps[0] - step, 1)
    while n < replay.steps.shape[0] and replay.steps[n] >= left:
        n += 1
    return n


@core
def begin(size, replay, sweep):
    """Look up the times and sizes of the step that the lanes are before; return how many make it."""
    n, left = active(replay.at[0], replay), replay.steps[0] - replay.at[0]
    for b in range(n):
        lane, row = sweep.lanes[b], replay.end[b] - left
        lane.t, lane.t_first, lane.t_last = replay.times[0, row], replay.times[2, row], replay.times[3, row]
        joins = replay.steps[b] == left
        for i in range(b * size, (b + 1) * size):
            sweep.x[H, i] = replay.times[1, row]
            if joins:
                sweep.x[Y, i] = replay.z0[i]
    return n


@core
def slopes(n, count, size, method, f, p, work, replay, sweep):
    """Compute the first slopes of a step, as many as count, but those that are known; return `DONE` or 0."""
    done, known = DONE, replay.at[1]
    for b in range(known):
        if sweep.lanes[b].t_first != sweep.lanes[b].t:  # behind a jump it is another slope
            done = min(done, slope(0, b, b + 1, size, method, f, p, work, replay, sweep))
    for q in range(count):
        first = known if q == 0 else 0
        if first < n:
            done = min(done, slope(q, first, n, size, method, f, p, work, replay, sweep))
    return done


@core
def slope(q, first, n, size, method, f, p, work, replay, sweep):
    """Compute slope q of the lanes from first to n."""
    stage(first, n, size, method.A[q], q, method.c[q], sweep)
    start, stop, shape = first * size, n * size, (n - first, size)
    for b in range(first, n):
        replay.nfev[b] += 1
    y, k = sweep.x[Y1, start:stop].reshape(shape), sweep.x[K + q, start:stop].reshape(shape)
    return call_f(f, n - first, sweep.t[first:n], y, p, k, work)


@core
def end(n, stages, size, method, sweep):
    """Move n lanes to the end of their step."""
    if method.fsal:  # the state of the last stage is the new state, and its slope the first of the next step
        copy(sweep.x[K + stages - 1], n * size, sweep.x[K])
    else:
        combine(sweep.x, method.b, stages, 0, n * size, sweep.x[Y1])
        add_scaled(sweep.x, 0, n * size, sweep.x[Y1])
    copy(sweep.x[Y1], n * size, sweep.x[Y])


@core
def back(n, size, method, vjp, p, p_bar, work, lands, ts, zs_bar, replay, sweep, a):
    """Go back over a step as `go_back` does, its slopes known but for the last; return `DONE` or 0."""
    stages = method.b.shape[0]
    rest = active(replay.at[0] - 1, replay) if replay.at[0] > 0 else 0  # lanes that have further steps
    clear(n * size, method.fsal, sweep)
    done = undo(rest, n, size, method, vjp, p, p_bar, work, lands, ts, zs_bar, sweep, a)
    for b in range(n):  # with FSAL, the first slope is the last of the step before, but not behind a jump
        shared = method.fsal and b < rest and sweep.lanes[b].t_first == sweep.lanes[b].t
        replay.nfev[b] += stages - 1 if shared else stages
    return done


@core
def clear(count, fsal, sweep):
    """Set the cotangents of slopes and outputs to zero, but for what FSAL carries over."""
    last = sweep.k_bar.shape[0] - 1
    for i in range(count):
        carried = sweep.k_bar[0, i]
        for q in range(last + 1):
            sweep.k_bar[q, i] = 0.0
        if fsal:
            sweep.k_bar[last, i] = carried
        sweep.direct[i] = 0.0
        for j in range(sweep.c_bar.shape[0]):
            sweep.c_bar[j, i] = 0.0
