"""A thread solves one trajectory, with its own steps, times and parameters: the kernel K1.

The rows of the thread (state, slopes, tolerances), its records and its scratch are local arrays, which the compiler
keeps in registers. The field is the emitted module, compiled for the device. In float32 kernels the time is float32,
too: on most GPUs there are few units for float64.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from nodeedu.compile.kernels import DONE
from nodeedu.cuda.device import Function, Target, cuda, inlined
from nodeedu.cuda.emitted import field_function
from nodeedu.cuda.mlp_reals import Bind, binder, local_records
from nodeedu.cuda.thread_steps import Choices, Rule, make_steps
from nodeedu.cuda.views import as_batch, as_blocks, of_length, reload, row_anew, sample_anew
from nodeedu.solvers.integrate import expire
from nodeedu.solvers.runge_kutta import ATOL, K, Method, Y
from nodeedu.solvers.status import RUNNING
from nodeedu.solvers.trial_step import stage_time

__all__ = ["COUNTS", "Forward", "Sizes", "Trail", "forward_kernel", "make_start", "slopes_of"]

Array = np.ndarray
COUNTS = ("status", "accepted", "rejected", "f_initial", "nfev")  # columns of counts; nfev only without FSAL


class Sizes(NamedTuple):
    """What a kernel must know of a field to lay out the memory of a thread."""

    state: int  # D
    packed: int  # Q
    work: int  # words of workspace
    parameters: int = 0  # P


class Trail(NamedTuple):
    """The accepted steps of all samples: those of sample b are the rows from ``offsets[b]`` to ``offsets[b + 1]``."""

    offsets: Array  # (B + 1,), or (0,) where none are kept
    times: Array  # (R, 4): start, signed size, times of the first slope and of those at the end
    states: Array  # (R, D) at the start


class Forward(NamedTuple):
    """What the kernel is given; reals are of its type. One tuple: the simulator passes on what is in it as it is."""

    choices: Choices
    p: Array  # (B, Q), or (1, Q) for all
    ts: Array  # (B, T), or (1, T) for all
    atol: Any  # a number, or an array (D,)
    outputs: Array  # (B, T, D); the first is z0
    ends: Array  # (B, 2): where a sample ended, and the step that would have been tried next, at first the first one
    counts: Array  # (B, 5) of COUNTS
    trail: Trail


def forward_kernel(
    f: Any, sizes: Sizes, rule: Rule, method: Method, real: Any, target: Target, keeps: bool = False
) -> Function:
    """Make the kernel; it is launched with one argument, `Forward`.

    Parameters
    ----------
    f : callable
        The array function of the field.
    sizes : Sizes
        Of the field.
    rule, method : Rule, Method
        What it is compiled for.
    real : dtype
        Of state and times.
    target : Target
        Where it runs.
    keeps : bool
        Whether the accepted steps are kept.
    """
    target, real = inlined(target), np.dtype(real).type
    bind = binder(real, target)
    steps = make_steps(rule, method, sizes.state, 1, slopes_of(f, target, bind, real), real, bind)
    # Not a copy, as all else: the simulator puts its own `cuda` in the place of ours in this module alone.
    solve = target.core(_make_solve(sizes, rule, method, steps, keeps, real, bind))
    solve, own, packed, words = target.driver(solve), rule.own_theta, sizes.packed, max(sizes.packed, 1)
    threads = target.threads

    def forward(given: Forward) -> None:
        b = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
        if own:
            if b < given.counts.shape[0]:
                solve(b, of_length(given.p[b], packed), given)
        else:
            p = cuda.shared.array(words, real)
            for q in range(cuda.threadIdx.x, packed, threads):
                p[q] = given.p[0, q]
            cuda.syncthreads()
            if b < given.counts.shape[0]:
                solve(b, p, given)

    return forward


def slopes_of(function: Any, target: Target, bind: Bind, real: Any) -> Any:
    """Make ``slopes(problem, n, t, y, dy)``, which takes the place of `systems.evaluate` for one sample."""
    f = field_function(function, target, real)

    def slopes(problem: Any, n: Any, t: Any, y: Any, dy: Any) -> int:
        reload()
        f(t[:1], y[0], problem.p, dy[0], problem.work)
        return DONE

    return bind(slopes)


def _make_solve(
    sizes: Sizes, rule: Rule, method: Method, steps: Any, keeps: bool, real: Any, bind: Bind
) -> Function:
    """Make ``solve(b, p, given)``, which solves sample b."""
    size, words, own_times, own_atol = sizes.state, max(sizes.work, 1), rule.own_times, rule.own_atol
    rows, stages = int(K) + len(method.b), len(method.b)
    forgets = not method.fsal or len(rule.jumps) > 0
    shape, lane_type, sample_type = (max(rows, int(K) + 2), size), *local_records(real)
    expires, start, keep = bind(expire), make_start(bind), bind(_keep)

    def solve(b: Any, p: Any, given: Any) -> None:
        flat, t = cuda.local.array(shape, real), cuda.local.array((stages, 1), real)
        lanes, samples = cuda.local.array(1, lane_type), cuda.local.array(1, sample_type)
        work = cuda.local.array(words, real)
        lane, sample, x, row = lanes[0], samples[0], as_blocks(flat, 1), b if own_times else 0
        ts, outputs, choices = as_batch(given.ts[row]), given.outputs[b], given.choices
        start(lane, sample, ts[0, 0], given.ends[b, 1])
        for i in range(size):
            flat[Y, i] = outputs[0, i]
            flat[ATOL, i] = given.atol[i] if own_atol else given.atol
        steps.begin(choices, ts, p, work, x, flat, t, lane, sample)
        running = True  # once at least, as on the CPU: where the first slope is not finite, the step counts as rejected
        while running:
            steps.trial(choices, row_anew(given.ts, b if own_times else 0), p, work, x, flat, t, lane, sample)
            if keeps and lane.ratio <= 1.0:
                keep(size, given.trail.offsets[b], given.trail, flat, lane)
            steps.advance(
                row_anew(given.ts, b if own_times else 0), x, flat, lane, sample_anew(given.outputs, b, size)
            )
            expires(1, DONE, choices.max_steps, (lane,), (sample,))
            running = lane.fate == RUNNING
        given.ends[b, 0], given.ends[b, 1] = lane.t, lane.h
        counts = given.counts[b]
        counts[0], counts[1], counts[2] = lane.fate, sample.accepted, sample.rejected
        if forgets:
            counts[3], counts[4] = sample.f_initial, sample.nfev

    return solve


def _keep(size: int, first: Any, trail: Any, flat: Any, lane: Any) -> None:
    """Keep an accepted step."""
    lane.record += 1
    row = first + lane.record
    times = trail.times[row]
    times[0], times[1], times[2], times[3] = lane.t, lane.step, stage_time(0.0, lane), stage_time(1.0, lane)
    for i in range(size):
        trail.states[row, i] = flat[Y, i]


def make_start(bind: Bind) -> Any:
    """Make ``start(lane, sample, t, h)``, which puts a sample into its lane, as `make_lanes` does."""

    def start(lane: Any, sample: Any, t: Any, h: Any) -> None:
        lane.t, lane.h, lane.old_ratio, lane.older_ratio = t, h, 1.0, 1.0
        lane.beyond, lane.ahead, lane.substep = 0.0, 0.0, 0.0
        lane.sample, lane.record, lane.output, lane.jump = 0, -1, 1, 0
        lane.known, lane.rejected, lane.fate = 0, 0, RUNNING
        sample.accepted, sample.rejected, sample.component = 0, 0, -1
        sample.nfev, sample.f_rejected, sample.f_initial = 0, 0, 0

    return bind(start)
