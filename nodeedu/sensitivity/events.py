"""Gradients through events: backpropagation from reset to reset, with a jump of the adjoint at each.

At an event, ``g(t*, z-) = 0``, and a reset goes on from ``z+ = r(t*, z-)``. Write f- and f+ for the field at (t*, z-)
and (t*, z+). A variation dz of z- at a fixed time moves the event by

    dt* = -g_z dz / (g_t + g_z f-),

so z- changes by ``dz + f- dt*``, the start of what follows by ``r_z (dz + f- dt*) + r_t dt*``, and a later start by dt*
alone is worth ``-f+ dt*`` there. With a+ = dL/dz+ behind the event, and cotangents t_bar and z_bar of t* and z-
themselves, if the loss looks at them, the adjoint before the event is

    c  = a+ r_z + z_bar,
    a- = c - (c f- + a+ (r_t - f+) + t_bar) g_z / (g_t + g_z f-).

For t_bar = z_bar = 0 this is a+ times the saltation matrix ``r_z + (f+ - r_z f- - r_t) g_z / (g_t + g_z f-)``; see
Kong, Payne, Zhu & Johnson, "Saltation matrices", Proc. IEEE 112 (2024) 585, and, for the adjoint, Corner, Sandu &
Sandu, Multibody Syst. Dyn. 49 (2020) 395. An event that resets nothing only looks at the state: a- is what t_bar and
z_bar add to the adjoint there. The denominator is the rate at which g goes through zero: where the trajectory only
grazes g = 0, the event's time is no smooth function of z0, and there is no gradient.

Between two resets it is `discrete` on the steps that the solve has made. The event's step is kept whole, so what
happens at t* is an output inside it. At the time of a reset, an output is the state after it; moving the event across
that time makes it jump, so its gradient is the one-sided one, for events that come no later.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from nodeedu.autodiff import CapturedArrayWarning, TraceError, grad, record, vjp
from nodeedu.autodiff.tape import Tape
from nodeedu.sensitivity.discrete import discrete
from nodeedu.sensitivity.results import Gradients, keep, package
from nodeedu.solvers.arguments import check_cotangents, real_array
from nodeedu.solvers.callables import CallableField
from nodeedu.solvers.checks import require_finite
from nodeedu.solvers.core import with_attributes
from nodeedu.solvers.events.watch import Occurrence
from nodeedu.solvers.lanes import Records, make_samples
from nodeedu.solvers.solution import Solution

Array = np.ndarray


def event_gradients(
    solution: Solution, zs_bar: ArrayLike, t_events_bar: Any = None, z_events_bar: Any = None
) -> Gradients:
    """Compute the gradients of a loss of the outputs and the events of a solve with respect to z0, theta and ts.

    theta counts as far as f depends on it; the functions of the events are held as they are.

    Parameters
    ----------
    solution : Solution
        What ``odeint(..., events=...)`` returned for a traced or hand-written field. The functions of those events that
        reset the state, or that have a cotangent, must be in plain NumPy that can be recorded, as must their resets.
    zs_bar : array
        dL/dz(t_i), in the shape of ``solution.zs``; zero behind an event that ended the solve.
    t_events_bar, z_events_bar : list, optional
        dL/dt and dL/dz of the occurrences, in the structure of ``solution.t_events`` and ``solution.z_events``; None,
        also in the place of an array, for what the loss does not look at. States are those before a reset.

    Returns
    -------
    Gradients

    Raises
    ------
    TypeError
        If the field is a plain callable, or an event or a reset cannot be recorded; the message names it.
    ValueError
        If an argument is wrong, the trajectory only grazes an event, or two events at one time leave no gradient.
    """
    if solution._occurrences is None:
        raise ValueError("solution: got one without events, expected one of odeint(..., events=...); use ne.gradients")
    inputs = solution._inputs
    if isinstance(inputs.field, CallableField):
        raise TypeError(
            f"solution: got that of {inputs.field.function!r}, which has no derivatives; make a field of it with "
            "ne.vector_field(f, z0, theta)"
        )
    bar = check_cotangents(zs_bar, inputs)
    states = solution._states.reshape(bar.shape)
    ended = np.isnan(states).any(axis=2)
    wrong = np.argwhere(ended & bar.any(axis=2))
    if len(wrong):
        i, b = wrong[0]
        sample = f" of sample {b}" if inputs.batched else ""
        raise ValueError(f"zs_bar: got {bar[i, b]} for output {i}{sample}, behind an event that ended it; expected 0")
    t_bars = _cotangents("t_events_bar", t_events_bar, solution.t_events, inputs.batched)
    z_bars = _cotangents("z_events_bar", z_events_bar, solution.z_events, inputs.batched)
    tapes, p_bar = Tapes(solution._events, inputs.field.shape), np.zeros(inputs.field.n_params, bar.dtype)
    a, nfev = np.zeros_like(inputs.z0), np.zeros(len(inputs.z0), np.int64)
    for b, own in enumerate(solution._occurrences):
        looks = _looks(own, [each[b] for each in t_bars], [each[b] for each in z_bars])
        a[b], nfev[b] = _go_back(Sweep(solution, tapes, b, p_bar), bar[:, b], looks)
    states = np.where(ended[..., None], inputs.z0, states)  # any number will do, as its cotangent is 0
    counts, records = solution._samples, solution._records
    return package(inputs, states, a, p_bar, counts, nfev, counts, keep(records.stored_states, records), bar)


class Look(NamedTuple):
    """An occurrence, and the cotangents of its time and of the state (D,) there."""

    occurrence: Occurrence
    t_bar: float
    z_bar: Array

    @property
    def counts(self) -> bool:
        """Whether the loss looks at it."""
        return self.t_bar != 0.0 or bool(self.z_bar.any())


class Sweep(NamedTuple):
    """What the backward pass of sample b works on; p_bar is added to."""

    solution: Solution
    tapes: Tapes
    b: int
    p_bar: Array


def _cotangents(name: str, given: Any, found: Any, batched: bool) -> list[list[Array]]:
    """Check and copy the cotangents of events, as lists over samples for each event; zeros where there are none."""
    found = found if batched else [[each] for each in found]
    if given is None:
        return [[np.zeros(x.shape) for x in each] for each in found]
    if not isinstance(given, (list, tuple)) or len(given) != len(found):
        raise ValueError(f"{name}: got {given!r}, expected a list with an entry for each of the {len(found)} events")
    checked = []
    for i, (bars, own) in enumerate(zip(given, found, strict=True)):
        bars = bars if batched and bars is not None else [bars] * len(own)
        if len(bars) != len(own):
            raise ValueError(f"{name}[{i}]: got {len(bars)} entries, expected one for each of the {len(own)} samples")
        checked.append([])
        for b, (bar, x) in enumerate(zip(bars, own, strict=True)):
            place = f"{name}[{i}][{b}]" if batched else f"{name}[{i}]"
            array = np.zeros(x.shape) if bar is None else real_array(place, bar).astype(np.float64)
            if array.shape != x.shape:
                raise ValueError(f"{place}: got shape {array.shape}, expected {x.shape}, that of the occurrences")
            require_finite(place, array)
            checked[-1].append(array)
    return checked


def _looks(occurrences: list[Occurrence], t_bars: list[Array], z_bars: list[Array]) -> list[Look]:
    """Give every occurrence its cotangents, and refuse those at the time of a reset that have no gradient."""
    seen, looks = [0] * len(t_bars), []
    for each in occurrences:
        i, n = each.event, seen[each.event]
        seen[i] += 1
        looks.append(Look(each, float(t_bars[i][n]), z_bars[i][n].reshape(-1)))
    for n, look in enumerate(looks):
        if look.occurrence.after is None:
            continue
        for other in looks[n + 1 :]:
            # What comes behind a reset at its very time is given what the reset left, and may not even be zero there.
            if other.occurrence.t == look.occurrence.t and (other.counts or other.occurrence.after is not None):
                i, j = look.occurrence.event, other.occurrence.event
                raise ValueError(
                    f"events[{i}] and events[{j}] both occur at t = {look.occurrence.t:.6g}: the gradient depends on "
                    "which comes first; let one event with one reset stand for both"
                )
    return looks


def _go_back(sweep: Sweep, bar: Array, looks: list[Look]) -> tuple[Array, int]:
    """Go back over one sample, from reset to reset; return a(t0+) (D,) and the evaluations of f."""
    solution, b = sweep.solution, sweep.b
    inputs, records = solution._inputs, solution._records
    ts = inputs.ts[b if inputs.own_times else 0]
    direction = math.copysign(1.0, ts[-1] - ts[0])
    order, outputs = direction * ts, [i for i in range(1, len(ts)) if bar[i].any()]
    own = np.flatnonzero(records.steps["sample"][: records.count[0]] == b)
    resets = [look for look in looks if look.occurrence.after is not None]
    watched = [look for look in looks if look.occurrence.after is None and look.counts]
    a, nfev, end, ahead, last = np.zeros(bar.shape[1]), 0, math.inf, None, records.count[0]
    for reset in [*reversed(resets), None]:
        first, start = (-1, order[0]) if reset is None else (reset.occurrence.record, direction * reset.occurrence.t)
        seeds = [(ts[i], bar[i]) for i in outputs if start < order[i] < end]
        if ahead is not None and (a.any() or ahead.counts):
            seeds.append((ahead.occurrence.t, _jump(sweep, ahead, a)))
        seeds += [(x.occurrence.t, _jump(sweep, x, None)) for x in watched if first < x.occurrence.record <= last]
        a, more = _between(sweep, own[(own > first) & (own <= last)], seeds)
        if reset is not None:
            a = a + sum(bar[i] for i in outputs if order[i] == start)
        nfev, end, ahead, last = nfev + more, start, reset, first
    return a, nfev


def _between(sweep: Sweep, rows: Array, seeds: list[tuple[float, Array]]) -> tuple[Array, int]:
    """Go back over the steps between two resets with cotangents at times; return the adjoint (D,) where they start."""
    solution, kept = sweep.solution, sweep.solution._records
    if not seeds or not len(rows):
        return np.zeros(kept.rows.shape[2]), 0
    steps, n = kept.steps[rows].copy(), len(rows)
    steps["sample"], steps["previous"] = 0, np.arange(n) - 1
    seeds = sorted(seeds, key=lambda seed: seed[0] * math.copysign(1.0, steps["h"][0]))
    bars = np.zeros((len(seeds) + 2, 1, kept.rows.shape[2]), kept.rows.dtype)
    bars[1:-1, 0] = [bar for _, bar in seeds]
    # The last output of a solve is the end of its last step: here there is nothing to see.
    ts = np.array([[steps["t"][0], *(t for t, _ in seeds), steps["t"][-1] + steps["h"][-1]]])
    samples = make_samples(1)
    samples["accepted"], samples["record"] = n, n - 1
    piece = replace(
        solution, _samples=samples, _records=Records(np.array([n]), with_attributes(steps), kept.rows[rows]),
        _inputs=replace(solution._inputs, z0=kept.rows[rows[:1], 0], ts=ts, batched=False, own_times=False),
        _options=replace(solution._options, fixed=False),  # all these outputs are dense
    )  # fmt: skip
    a, p_bar, nfev = discrete(piece, bars)
    sweep.p_bar[...] += p_bar
    return a[0].astype(np.float64), int(nfev[0])


def _jump(sweep: Sweep, look: Look, behind: Array | None) -> Array:
    """Return what an occurrence adds to the adjoint: from the cotangent of the state that its reset left, if any."""
    each, inputs = look.occurrence, sweep.solution._inputs
    before, c, s = _slope(inputs, each.t, each.before), look.z_bar, look.t_bar
    if behind is not None:
        r_t, r_z = sweep.tapes.pull_reset(each, behind)
        c = c + r_z
        s += r_t - behind @ _slope(inputs, each.t, each.after)
    g = sweep.tapes.event(each.event, each.t, each.before)
    g_z = g["z_grad"].reshape(-1)
    rate = float(g["t_grad"] + g_z @ before)
    _require_crossing(sweep, each, rate)
    return c - (c @ before + s) / rate * g_z


def _slope(inputs: Any, t: float, z: Array) -> Array:
    """Evaluate f for a state (D,)."""
    kernel = inputs.field.kernel("f", z.dtype)
    slope = np.empty((1, len(z)), z.dtype)
    kernel.function(np.array([t]), z[None].copy(), inputs.p, slope, np.empty(kernel.work_size, z.dtype))
    return slope[0].astype(np.float64)


def _require_crossing(sweep: Sweep, each: Occurrence, rate: float) -> None:
    """Raise ValueError if g goes through zero so slowly, for what it does in the step, that its zero is no function.

    Its graph is straight for ``rate / g''``, and an error e of g moves the zero by ``e / rate``: more than that for
    ``rate**2 < g'' e``. In a step of size h, g changes by about ``g'' h**2``, and the solver errs by rtol of it.
    """
    solution, records = sweep.solution, sweep.solution._records
    step, row = records.steps[each.record], records.rows[each.record]
    ends = (step["t"], row[0]), (step["t"] + step["h"], row[0] + step["h"] * (solution._method.b @ row[1:]))
    change = sum(abs(sweep.tapes.event(each.event, t, z)["g"]) for t, z in ends)
    error = max(np.finfo(row.dtype).eps, 0.0 if solution._options.fixed else solution._options.rtol)
    if not abs(rate * step["h"]) > math.sqrt(error) * change:
        sample = f" in sample {sweep.b}" if solution._inputs.batched else ""
        raise ValueError(
            f"events[{each.event}]: the trajectory only grazes it at t = {each.t:.6g}{sample}: g has the slope "
            f"{rate:.3g} there, and values up to {change:.3g} in the step of size {abs(step['h']):.3g} around; its "
            "time is no smooth function of z0 and theta. Move it away from the turning point, or lower rtol"
        )


class Tapes:
    """The functions of the events and their resets, recorded when they are first differentiated."""

    def __init__(self, events: Any, shape: tuple[int, ...]) -> None:
        self.events, self.shape, self.tapes = events, shape, {}

    def event(self, i: int, t: float, z: Array) -> dict[str, Array]:
        """Return g, t_grad and z_grad at a state (D,)."""
        return self._tape(i, "g").evaluate(self._point(t, z))

    def pull_reset(self, each: Occurrence, behind: Array) -> tuple[float, Array]:
        """Return ``a+ r_t`` and ``a+ r_z`` (D,)."""
        point = self._point(each.t, each.before) | {"reset_bar": behind.reshape(self.shape)}
        found, after = self._tape(each.event, "reset").evaluate(point), each.after.reshape(self.shape)
        if not np.allclose(found["reset"], after, rtol=math.sqrt(np.finfo(after.dtype).eps)):
            raise ValueError(
                f"{self.events[each.event].name}.reset: at t = {each.t:.6g} it gives {found['reset']} when it is "
                f"recorded, where it gave {after} in the solve; expected a function of t and z alone"
            )
        return float(found["t_bar"]), found["z_bar"].reshape(-1)

    def _tape(self, i: int, role: str) -> Tape:
        if (i, role) not in self.tapes:
            event = self.events[i]
            name, function = (event.name, event.function) if role == "g" else (f"{event.name}.reset", event.reset)
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", CapturedArrayWarning)  # here constants are as they should be
                    tape = record(function, self._point(0.0, np.zeros(self.shape)), role)
            except TraceError as error:
                raise TraceError(f"{name}: has no gradient, as it cannot be recorded: {error}") from None
            self.tapes[i, role] = grad(tape, "g") if role == "g" else vjp(tape, ["reset"])
        return self.tapes[i, role]

    def _point(self, t: float, z: Array) -> dict[str, Array]:
        return {"t": np.float64(t), "z": z.reshape(self.shape).astype(np.float64)}
