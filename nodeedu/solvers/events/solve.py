"""Solving with events: one sample at a time, step by step, so that nothing is evaluated beyond an event that ends it.

Between two resets, a solve is what it is without events, bit for bit. A reset cuts the step that it lies in: the solve
starts anew, from the event's time and the state after it. Records keep the cut step whole, as its dense output needs
its full size; the next record of the sample starts where it was cut.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from nodeedu.solvers.arguments import Inputs, Options
from nodeedu.solvers.dense_output import interpolate_records
from nodeedu.solvers.events.checks import check_events
from nodeedu.solvers.events.watch import Occurrence, Step, Watch
from nodeedu.solvers.integrate import integrate
from nodeedu.solvers.lanes import Adjoint, Control, Records, make_lanes, make_records, make_rows, make_samples
from nodeedu.solvers.norms import OwnNorm
from nodeedu.solvers.runge_kutta import Method, Y, as_method
from nodeedu.solvers.solution import Solution
from nodeedu.solvers.solve import make_control, no_adjoint
from nodeedu.solvers.status import KERNEL_FAILED, SUCCESS, TOO_MANY_STEPS
from nodeedu.solvers.step_control import beyond_jumps
from nodeedu.solvers.systems import FIELD, Problem

Array = np.ndarray


class System(NamedTuple):
    """What all samples share."""

    problem: Problem
    method: Method
    control: Control
    adjoint: Adjoint
    options: Options


class Kept:
    """The accepted steps of all samples, one sample after the other."""

    def __init__(self, method: Method, size: int, dtype: Any) -> None:
        self.pieces = [make_records(0, len(method.b), size, dtype)]
        self.count = 0

    def append(self, one: Records, sample: int) -> None:
        """Append a single record."""
        steps = one.steps.copy()
        steps["sample"], steps["previous"] = sample, self.last(sample)
        self.pieces.append(Records(one.count.copy(), steps, one.rows.copy()))
        self.count += 1

    def last(self, sample: int) -> int:
        """Return the row of the last record, if it is of that sample, or -1."""
        steps = self.pieces[-1].steps
        return self.count - 1 if len(steps) and steps["sample"][0] == sample else -1

    def records(self) -> Records:
        """Return them all."""
        _, stages, size = self.pieces[0].rows.shape
        records = make_records(self.count, stages - 1, size, self.pieces[0].rows.dtype)
        records.count[0] = self.count
        np.concatenate([piece.steps for piece in self.pieces], out=records.steps)
        np.concatenate([piece.rows for piece in self.pieces], out=records.rows)
        return records


def solve_with_events(inputs: Inputs, options: Options, events: Any) -> Solution:
    """Solve ``z' = f(t, z, theta)`` for every sample, and mark, reset and end it at its own events.

    Parameters
    ----------
    inputs, options : Inputs, Options
        As arguments.py made them.
    events : callable or sequence of callables
        See `odeint`.

    Raises
    ------
    TypeError, ValueError
        If events, or what they return, are wrong, or the method is not an explicit Runge-Kutta method.
    SolverError
        If the resets of an event pile up.
    """
    field, z0 = inputs.field, inputs.z0
    watched = check_events(events, field.shape)
    if options.tableau is None:
        raise ValueError(f"events: need an explicit Runge-Kutta method, such as 'dopri5'; got {options.method!r}")
    norm = options.norm.bind() if isinstance(options.norm, OwnNorm) else None
    chosen = options if norm is None else replace(options, norm=norm.kernel("f", z0.dtype))
    kernel = field.kernel("f", z0.dtype)
    problem = Problem(FIELD, kernel.callee, inputs.p, np.empty((0, 0), z0.dtype), np.empty(kernel.work_size, z0.dtype))
    method = as_method(options.tableau, z0.dtype, True)
    adjoint = no_adjoint(z0.dtype, type(problem.callee))
    system = System(problem, method, make_control(chosen, False), adjoint, options)
    zs = np.full((inputs.ts.shape[1], *z0.shape), math.nan, z0.dtype)
    samples, kept, occurrences = make_samples(len(z0)), Kept(method, z0.shape[1], z0.dtype), []
    # What a plain callable or a norm has raised is raised again when the driver has returned.
    with getattr(field, "guard", nullcontext)(), getattr(norm, "guard", nullcontext)():
        for b in range(len(z0)):
            times = inputs.ts[b if inputs.own_times else 0]
            watch = Watch(watched, times, options.method, b if inputs.batched else None)
            follow(system, watch, z0[b], zs[:, b], samples[b : b + 1], kept, b)
            occurrences.append(watch.occurrences)
            samples["record"][b] = kept.last(b)
    records = kept.records()
    dense = partial(interpolate, records=records, method=method, inputs=inputs, occurrences=occurrences)
    return Solution(
        zs.reshape(len(zs), *inputs.state_shape), inputs.times, inputs, options, samples, method, records,
        lambda: dense, *by_event(occurrences, len(watched), inputs), occurrences, watched,
    )  # fmt: skip


def follow(system: System, watch: Watch, z0: Array, zs: Array, sample: Array, kept: Kept, b: int) -> None:
    """Solve for one sample from event to event.

    Parameters
    ----------
    system : System
        What is solved.
    watch : Watch
        To fill.
    z0 : array (D,)
        Initial state.
    zs : array (T, D)
        To fill: nan after the end.
    sample : array (1,) of SAMPLE
        Counters.
    kept : Kept
        To append to.
    b : int
        Which sample it is.
    """
    times, forward = watch.times, watch.forward
    t, z, first_step, j = float(times[0]), z0, system.options.first_step, 1  # j: the next output
    zs[0] = z0
    sample["t"] = t
    if len(times) == 1:
        return
    watch.start(t, z)
    while j < len(times):
        ahead = np.append(t, times[j:])
        outputs = np.full((len(ahead), 1, 1, len(z0)), math.nan, zs.dtype)
        cut = None
        for step in accepted_steps(system, ahead[None], z, first_step, sample, outputs, kept, b):
            cut = watch.take(step, kept.count - 1)
            if cut is not None:
                break
        if cut is None:
            zs[j:] = outputs[1:, 0, 0]
            return
        passed = int(np.count_nonzero(forward * (times[j:] - cut.t) < 0.0))
        zs[j : j + passed] = outputs[1 : 1 + passed, 0, 0]
        j += passed
        if j < len(times) and times[j] == cut.t:
            zs[j] = cut.z
            j += 1
        sample["t"] = t = cut.t
        z = cut.z
        if cut.ends or j == len(times):
            sample["status"] = SUCCESS
            return
        if sample["accepted"][0] + sample["rejected"][0] >= system.options.max_steps:
            sample["status"] = TOO_MANY_STEPS
            return
        watch.start(t, z, step)
        first_step = float(system.options.fixed)  # adaptive steps start anew with an automatic one


def accepted_steps(
    system: System, ts: Array, z: Array, first_step: float, sample: Array, outputs: Array, kept: Kept, b: int
) -> Iterator[Step]:
    """Solve for one sample over ts (1, T), and yield its accepted steps as soon as they are made.

    The driver returns when its records are full, and there is room for one.
    """
    problem, method, control, adjoint, options = system
    stages, size = len(method.b), len(z)
    lanes = make_lanes(0, ts[:, 0], np.array([first_step]))
    x = make_rows(z[None, None], stages, options.atol, method.interpolant.shape[1])
    if options.jump_ts:
        lanes["beyond"] = beyond_jumps(ts[:, 0], ts[:, -1], control.jumps)
    flat, t, one = x.reshape(len(x), -1), np.empty((stages, 1)), make_records(1, stages, size, z.dtype)
    n = 1
    while n:
        one.count[0] = 0
        n = integrate(n, problem, method, control, ts, x, flat, t, lanes, sample, outputs, one, adjoint)
        if one.count[0] and not (n == 0 and sample["status"][0] == KERNEL_FAILED):
            kept.append(one, b)
            start, end, h = one.steps["t"][0], lanes["t"][0], one.steps["h"][0]
            y, k = kept.pieces[-1].rows[0, 0], kept.pieces[-1].rows[0, 1:]
            yield Step(float(start), float(end), float(h), y, x[Y, 0, 0].copy(), k, method.interpolant)


def interpolate(
    times: Array, records: Records, method: Method, inputs: Inputs, occurrences: list[list[Occurrence]]
) -> Array:
    """Evaluate the dense output (n, B, D): at a reset the state after it, nan beyond a terminal event."""
    out = interpolate_records(times, records, method.interpolant, inputs.z0)
    for b, own in enumerate(occurrences):
        for each in own:
            if each.after is not None:
                out[times == each.t, b] = each.after
            if each.ends:
                start, end = inputs.ts[b if inputs.own_times else 0, [0, -1]]
                out[(times - each.t) * np.sign(end - start) > 0, b] = math.nan
    return out


def by_event(occurrences: list[list[Occurrence]], events: int, inputs: Inputs) -> tuple[list[Any], list[Any]]:
    """Return times and states of the occurrences of every event; for a batch, lists over samples for each."""
    all_ts: list[Any] = []
    all_zs: list[Any] = []
    for i in range(events):
        found = [[each for each in own if each.event == i] for own in occurrences]
        ts = [np.array([each.t for each in own]) for own in found]
        zs = [
            np.array([each.before for each in own], inputs.z0.dtype).reshape(len(own), *inputs.field.shape)
            for own in found
        ]
        all_ts.append(ts if inputs.batched else ts[0])
        all_zs.append(zs if inputs.batched else zs[0])
    return all_ts, all_zs
