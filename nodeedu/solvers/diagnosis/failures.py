"""Causes that end a solve wherever its limits lie: a field that is not finite, and solutions that grow without bound.

Each function takes a `Case` and returns a `Diagnosis`, or None if it is not that. Thresholds lie far from what they
separate; the comments say what is on both sides.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from nodeedu import tableaus
from nodeedu.solvers import methods
from nodeedu.solvers.arguments import Options
from nodeedu.solvers.diagnosis.case import Case
from nodeedu.solvers.diagnosis.probes import Stability, eigenvalues, stability
from nodeedu.solvers.diagnosis.record import Diagnosis
from nodeedu.solvers.diagnosis.trail import follow, from_here
from nodeedu.solvers.status import NON_FINITE, SUCCESS, TOO_MANY_STEPS, UNDERFLOW

GROWTH = 1e3  # of a state that blows up: by round-off of t at T, (T - t)^(-1/4) has grown by 1e4; others do not grow
RUNAWAY = 1e6  # growth over the usual size: a state on its way to infinity passes it, any other stays far below
LONGEST = 5000  # trial steps of an adaptive solve that is made for comparison
MORE = 1000  # trial steps behind the limit; in a blow-up they lead nowhere


def blow_up(case: Case) -> Diagnosis | None:
    """The state grows like (T - t)^-alpha, as that of z' = z^p does with alpha = 1 / (p - 1)."""
    fit, trail = case.blow_up, case.trail
    if fit is None or fit.exponent <= 1.0 or _passes(case):
        return None
    growth = float(abs(trail.end_z).max() / max(case.usual_size, 1e-300))
    return _blow_up(case, growth) if growth >= GROWTH else None


def singular_slope(case: Case) -> Diagnosis | None:
    """The slope grows without bound though the state need not: z' = 1 / (1 - t), or z' = -1 / z where z reaches 0."""
    return None if case.blow_up is None or _passes(case) else _blow_up(case, math.nan)


def _passes(case: Case) -> bool:
    """Try, where the step limit came first, whether more steps lead past the pole: an orbit may only be near one."""
    trail, fit, last = case.trail, case.blow_up, float(case.inputs.ts[0, -1])
    if case.status != TOO_MANY_STEPS:
        return False
    pole = trail.end_t + case.direction * fit.remaining
    behind = trail.end_t + 2.0 * case.direction * fit.remaining
    if (last - pole) * case.direction < 0:
        return True
    stop = behind if (last - behind) * case.direction > 0 else last
    rest = replace(from_here(case.inputs, trail.end_t, trail.end_z), ts=np.array([[trail.end_t, stop]]))
    return follow(rest, replace(case.options, first_step=trail.next_h), MORE).status == SUCCESS


def _blow_up(case: Case, growth: float) -> Diagnosis:
    fit, trail = case.blow_up, case.trail
    T = trail.end_t + case.direction * fit.remaining
    evidence = {
        "blow-up_time": T, "last_time": trail.end_t, "exponent_of_slope": fit.exponent,
        "exponent_of_state": fit.exponent - 1.0, "decades_of_remaining_time": fit.decades,
        "size_of_state": float(abs(trail.end_z).max()), "size_of_slope": float(abs(case.end_f).max()),
    }  # fmt: skip
    if not math.isnan(growth):
        evidence["growth_of_state"] = growth
    remedy = (
        f"no method can pass it: end ts before t = {T:.6g}, solve for a quantity that stays finite (such as 1/z), or "
        "check signs and parameters of the field if no blow-up is expected"
    )
    return Diagnosis("blow-up", T, evidence, remedy, component=int(np.argmax(abs(case.end_f))))


def runaway(case: Case) -> Diagnosis | None:
    """The state outgrows floating-point numbers, in fixed steps that are too long or exponentially."""
    if case.status != NON_FINITE:
        return None
    bad, trail = case.bad, case.trail
    size = float(max(abs(trail.end_z).max(), abs(case.end_f).max()))
    if bad is not None:
        reached = float(abs(bad.z).max())
        size = max(float(abs(trail.end_z).max()), math.inf if math.isnan(reached) else reached)
    elif not 1e10 * size > np.finfo(case.inputs.z0.dtype).max:  # else sums of slopes overflow
        return None
    if not size > RUNAWAY * max(case.usual_size, 1e-300):
        return None
    return too_long_steps(case) if case.options.fixed else _overflow(case)


def _overflow(case: Case) -> Diagnosis:
    trail = case.trail
    t, z, f = trail.end_t, abs(trail.end_z), abs(case.end_f)
    i = int(np.argmax(z))
    with np.errstate(all="ignore"):
        evidence = {"size_of_state": float(z[i]), "size_of_slope": float(f[i]), "growth_rate": float(f[i] / z[i])}
    remedy = "end ts earlier, solve for the logarithm of the state, or check signs of the field if it should not grow"
    return Diagnosis("overflow", t, evidence, remedy, component=i)


def too_long_steps(case: Case) -> Diagnosis:
    """Ask an adaptive solve what the solution does where fixed steps ran away."""
    trail, h = case.trail, case.last_trial
    stop = trail.end_t + h
    ts = np.array([[case.inputs.ts[0, 0], stop]])
    inputs = replace(case.inputs, ts=ts)
    other = replace(case, inputs=inputs, options=adaptive(case.options), status=NON_FINITE)
    other = replace(other, trail=follow(inputs, other.options, LONGEST))
    if other.trail.status in (UNDERFLOW, NON_FINITE):
        found = blow_up(other) or singular_slope(other)
        if found is not None or other.trail.status == NON_FINITE:
            return found or _overflow(other)
    return unstable(case, h, [(float(ts[0, 0]), case.inputs.z0[0]), (other.trail.end_t, other.trail.end_z)])


def unstable(case: Case, h: float, points: list) -> Diagnosis:
    """Name the longest stable step at the points (t, z) of the true solution."""
    found: Stability | None = None
    for t, z in points:
        each = stability(eigenvalues(case.f, t, z.astype(np.float64), h), h, case.options.tableau)
        if each is not None and (found is None or each.ratio > found.ratio):
            found = each
    evidence = {"step_size": abs(h), "size_of_state": float(abs(case.trail.end_z).max())}
    remedy = f"method={implicit_method()}, "
    remedy += ("an adaptive method, or a shorter step_size" if case.options.fixed else "or a smaller min_step")
    if found is not None:
        longest = found.limit / abs(found.eigenvalue)
        evidence |= {"eigenvalue_size": abs(found.eigenvalue), "h_times_eigenvalue": abs(h * found.eigenvalue),
                     "stability_limit": found.limit, "longest_stable_step": longest}  # fmt: skip
        remedy += f" of at most {longest:.2g}"
    return Diagnosis("stiff", case.trail.end_t, evidence, remedy)


def adaptive(options: Options) -> Options:
    """Return options of an adaptive solve, for comparison."""
    return replace(
        options, method="dopri5", tableau=tableaus.get("dopri5"), fixed=False, step_size=math.inf, first_step=0.0,
        rtol=max(options.rtol, 1e-6), max_steps=LONGEST,
    )  # fmt: skip


def implicit_method() -> str:
    """Name an implicit method that there is."""
    names = methods.names()
    return next((repr(name) for name in ("radau5", "implicit_euler") if name in names), "'Radau' of ne.solve_ivp")


def not_finite(case: Case) -> Diagnosis | None:
    """The field is nan or infinite at a state that is neither."""
    bad = case.bad if case.status in (NON_FINITE, UNDERFLOW) else None
    if bad is None or not np.isfinite(bad.z).all():
        return None
    f, trail = case.f, case.trail
    with_time = not np.isfinite(f(bad.t, trail.end_z)).all()
    with_state = not np.isfinite(f(trail.end_t, bad.z)).all()
    what = {(True, False): "its time", (False, True): "its state", (True, True): "its state or time"}
    evidence = {"value": bad.value, "stage": bad.stage, "stage_time": bad.t, "last_time": trail.end_t,
                "state_of_component": float(bad.z[bad.component]), "smallest_state": float(bad.z.min()),
                "largest_state": float(bad.z.max())}  # fmt: skip
    cause = what.get((with_time, with_state), "its state and time")
    remedy = (
        f"component {bad.component} of the field is {bad.value} because of {cause}: "
        "look there for a division by zero, a logarithm, a root or a power of a number <= 0, an exponential that "
        "overflows; keep its argument in the domain, or end ts earlier"
    )
    return Diagnosis("nan", bad.t, evidence, remedy, component=bad.component, stage=bad.stage)
