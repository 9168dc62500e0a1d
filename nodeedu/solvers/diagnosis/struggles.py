"""Causes that make steps short: jumps, round-off, stiffness; and a step limit that is merely too low.

Each function takes a `Case` and returns a `Diagnosis`, or None if it is not that. Thresholds lie far from what they
separate; the comments say what is on both sides.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np

from nodeedu.solvers.diagnosis.case import Case
from nodeedu.solvers.diagnosis.failures import implicit_method, unstable
from nodeedu.solvers.diagnosis.probes import Jump, Stability, eigenvalues, find_jump, implicit_steps, noise, stability
from nodeedu.solvers.diagnosis.record import Diagnosis
from nodeedu.solvers.status import MIN_STEP, SUCCESS, TOO_MANY_STEPS, UNDERFLOW
from nodeedu.solvers.step_control import MIN_FACTOR, fixed_step_count

Array = np.ndarray

SEEN = 1e-6  # jumps below this part of the slope are the steps of single precision, not of the problem
SHARE = 1 / 3  # of the trial steps that jumps cost: then a problem without them would be solved in two thirds
LOOKED_AT = 16  # steps in which jumps are looked for
NOISY = 0.1  # part of the error estimate: 1e-6 at rtol 1e-9, about 1 where tolerances are below round-off
SUCCESS_MANY = 1000  # steps: fewer cost nothing. Hairer & Wanner's test begins there, too (DOPRI5, NSTIFF)
FEWER = 5  # times as many explicit as implicit steps make stiff: an implicit step costs several explicit ones
NEAR_LIMIT = 0.5  # of the stability limit: the controller keeps h at 0.8-1.2 of it; accuracy keeps it far below
WINDOW = 200  # steps
LARGEST_IMPLICIT = 500  # components: an implicit step in more is too long for a test


# ---------------------------------------------------------------- discontinuity


def jump_at_end(case: Case) -> Diagnosis | None:
    """Steps collapse to nothing before a jump."""
    if case.status not in (UNDERFLOW, MIN_STEP):
        return None
    trail, h = case.trail, case.last_trial
    for length in h / MIN_FACTOR ** np.arange(12.0):
        t, z = trail.end_t - 0.25 * length, trail.end_z - 0.25 * length * case.end_f
        jump = find_jump(case.f, t, z, case.end_f, 1.25 * length, case.scale(trail.end_z))
        # A tenth of the tolerance: error estimates see only a part of a jump.
        if jump is not None and _is_seen(jump, case) and jump.scaled * abs(length) > 0.1:
            evidence = {"last_step": trail.next_h, "jump_over_tolerance": jump.scaled * abs(length)}
            return _discontinuity(case, [jump], evidence)
    return None


def _is_seen(jump: Jump, case: Case) -> bool:
    return jump.size > SEEN * float(max([abs(case.end_f).max(), *case.trail.f_size]))


def jumps_on_the_way(case: Case) -> Diagnosis | None:
    """Jumps cost a large part of the trial steps; many of them, or one that the solution cannot leave."""
    if case.options.fixed or case.status == UNDERFLOW:
        return None
    trail, kept = case.trail, len(case.trail.zs)
    if kept < 8:
        return None
    h = abs(trail.h[len(trail.h) - kept :])
    falls, outside = _collapses(h[:-1])  # the last step of all is cut to the end
    chosen = _evenly(np.arange(len(falls)), LOOKED_AT)
    jumps = [jump for i in chosen if (jump := _jump_in_step(case, *falls[i])) is not None]
    # What is left when steps outside collapses, with some rejections, are taken off; so far as jumps were found.
    share = (1.0 - 1.1 * outside * len(trail.h) / (kept * trail.trials)) * len(jumps) / max(len(chosen), 1)
    if jumps and share >= SHARE:
        return _discontinuity(case, jumps, {"share_of_trial_steps": share, "collapses": float(len(falls))})
    return _sliding(case, h) if case.status != SUCCESS or len(trail.h) >= SUCCESS_MANY else None


def _collapses(h: Array) -> tuple[list[tuple[int, float]], int]:
    """Return the first step of each collapse, with the size of steps before it, and how many steps lie in none.

    A collapse is a fall to a quarter within three steps, which smooth problems announce; it ends at half the size.
    """
    falls: list[tuple[int, float]] = []
    before, outside = 0.0, 1
    for k in range(1, len(h)):
        if before and h[k] < 0.5 * before:
            continue
        before = float(h[max(0, k - 3) : k].max())
        if h[k] < 0.25 * before:
            falls.append((k, before))
        else:
            before, outside = 0.0, outside + 1
    return falls, outside


def _sliding(case: Case, h: Array) -> Diagnosis | None:
    """A solution that is driven back to a jump from both sides crosses it in every step."""
    chosen = _evenly(np.arange(len(h) // 2, len(h)), LOOKED_AT)
    jumps = [jump for k in chosen if (jump := _jump_in_step(case, k, 2.0 * h[k])) is not None]
    if len(jumps) < max(4, len(chosen) // 2):
        return None
    return _discontinuity(case, jumps, {"share_of_steps_that_cross": len(jumps) / len(chosen)})


def _jump_in_step(case: Case, k: int, length: float) -> Jump | None:
    """Look for a jump within so much time of the start of step k of the kept ones; it must outweigh the tolerance."""
    trail = case.trail
    t, z, f0 = trail.t[len(trail.t) - len(trail.zs) + k], trail.zs[k], trail.fs[k]
    jump = find_jump(case.f, float(t), z, f0, case.direction * length, case.scale(z))
    seen = jump is not None and _is_seen(jump, case) and jump.scaled * length > 1.0
    return jump if seen else None


def _evenly(items: Array, most: int) -> Array:
    return items[np.unique(np.linspace(0, len(items) - 1, min(most, len(items))).astype(int))] if len(items) else items


def _discontinuity(case: Case, jumps: list[Jump], evidence: dict[str, float]) -> Diagnosis:
    jump = jumps[0]
    times = sorted({each.t for each in jumps}, reverse=case.direction < 0)
    if jump.in_time:
        listed = ", ".join(f"{t:.10g}" for t in times[:4]) + (", ..." if len(times) > 4 else "")
        remedy = f"jump_ts=[{listed}]: steps then end at the jumps and begin anew behind them"
    else:
        remedy = (
            "the jump is one of the state: stop there by an event and go on with the other branch, or make it smooth, "
            "such as tanh(x / width) for sign(x)"
        )
    evidence = {"jump_of_slope": jump.size, "in_time": float(jump.in_time), "jumps_found": float(len(times))} | evidence
    return Diagnosis("discontinuity", jump.t, evidence, remedy, component=jump.component)


# ---------------------------------------------------------------- round-off


def round_off(case: Case) -> Diagnosis | None:
    """The tolerance is below the spacing of numbers, or the error estimate is mostly noise of the slopes."""
    if case.options.fixed:
        return None
    trail, eps = case.trail, case.eps
    z, scale = trail.end_z, case.scale(trail.end_z)
    finest = float(np.min(np.where(z != 0, scale / abs(z), math.inf)))
    part, noisiest = _noise(case)
    evidence = {"tolerance_relative_to_state": finest, "machine_epsilon": eps, "noise_of_slopes": noisiest,
                "noise_part_of_error_estimate": part}  # fmt: skip
    if not (finest < eps or part > NOISY):
        return None
    least = 100.0 * max(eps, min(noisiest, 1.0))
    remedy = f"raise the tolerances: rtol={least:.0e} is what the round-off of states and slopes allows"
    if eps > 1e-10:
        remedy += "; or give z0 as float64"
    return Diagnosis("round-off", trail.end_t, evidence, remedy)


def _noise(case: Case) -> tuple[float, float]:
    """Return the part of noise in the error estimate, and the noise relative to the slopes: medians over four places.

    At a single place a jump may pass for noise.
    """
    trail, tableau = case.trail, case.options.tableau
    kept = len(trail.zs)
    places = [(trail.end_t, trail.end_z, case.usual_step)]
    for k in {kept // 4, kept // 2, 3 * kept // 4} if kept > 8 else ():
        i = len(trail.t) - kept + k
        places.append((float(trail.t[i]), trail.zs[k], float(trail.h[i])))
    parts, levels = [], []
    for t, z, h in places:
        level = noise(case.f, t, z, h, case.eps)
        scaled = h * np.linalg.norm(tableau.b - tableau.b_hat) * level / case.scale(z)
        parts.append(float(np.sqrt(np.mean(scaled**2))))
        levels.append(float(level.max() / max(abs(case.f(t, z)).max(), 1e-300)))
    return float(np.median(parts)), float(np.median(levels))


def dense_times(case: Case) -> Diagnosis | None:
    """Floating-point times are too far apart for the steps that the problem needs."""
    if case.status != UNDERFLOW:
        return None
    t = case.trail.end_t
    evidence = {"spacing_of_times": float(np.spacing(abs(t))), "step_size": case.trail.next_h}
    remedy = "the steps that it needs are below the spacing of times there: shift the origin of time, or raise rtol"
    return Diagnosis("round-off", t, evidence, remedy)


# ---------------------------------------------------------------- stiffness


def stiff(case: Case) -> Diagnosis | None:
    """In most windows, steps are at the stability limit, and an implicit method needs far fewer of them."""
    if case.options.fixed:
        return _unstable_steps(case)
    trail, n = case.trail, len(case.trail.t)
    if case.status == MIN_STEP:
        h = case.direction * case.options.min_step
        limit = stability(eigenvalues(case.f, trail.end_t, trail.end_z, h), h, case.options.tableau)
        return unstable(case, h, [(trail.end_t, trail.end_z)]) if limit and limit.ratio > 1.0 else None
    if n < (SUCCESS_MANY if case.status == SUCCESS else 20):
        return None
    if case.status == TOO_MANY_STEPS and _steps_needed(case) < SUCCESS_MANY:
        return None
    found = [_stiff_window(case, first, z) for first, z in _windows(case)]
    stiff_ones = [each for each in found if each is not None]
    if 2 * len(stiff_ones) <= len(found):
        return None
    first, last, limit, h, steps = stiff_ones[-1]
    evidence = {
        "step_size": h, "eigenvalue_size": abs(limit.eigenvalue), "h_times_eigenvalue": h * abs(limit.eigenvalue),
        "stability_limit": limit.limit, "explicit_steps": float(last - first), "implicit_steps": steps,
    }  # fmt: skip
    remedy = f"an implicit method: method={implicit_method()}"
    return Diagnosis("stiff", float(trail.t[first]), evidence, remedy)


def _windows(case: Case) -> list[tuple[int, Array]]:
    """Return up to five windows, first steps and states: the end, and for long solves places on the way."""
    n, kept = len(case.trail.t), len(case.trail.zs)
    first = max(n // 2, n - WINDOW, n - kept)
    end = (first, case.trail.zs[kept - (n - first)])
    marks = [(i, z) for i, z in case.trail.marks[1:] if i + 20 <= first]
    return [marks[i] for i in _evenly(np.arange(len(marks)), 4)] + [end]


def _stiff_window(case: Case, first: int, z: Array) -> tuple[int, int, Stability, float, float] | None:
    trail = case.trail
    last = min(first + WINDOW, len(trail.t)) - 1
    t, t1, h = float(trail.t[first]), float(trail.t[last]), float(np.median(trail.h[first:last]))
    limit = stability(eigenvalues(case.f, t, z, h), h, case.options.tableau)
    if limit is None or limit.ratio < NEAR_LIMIT:
        return None
    if len(z) > LARGEST_IMPLICIT:
        return first, last, limit, abs(h), math.nan
    most = (last - first) // FEWER
    steps = implicit_steps(case.f, t, z, t1, h, case.options.rtol, case.options.atol, most)
    return None if steps is None else (first, last, limit, abs(h), float(steps))


def _unstable_steps(case: Case) -> Diagnosis | None:
    """Fixed steps beyond the stability limit at most places."""
    trail, kept = case.trail, len(case.trail.zs)
    if kept == 0:
        return None
    offset = len(trail.t) - kept
    points = [(offset + int(k), trail.zs[k]) for k in _evenly(np.arange(kept), 4)] + trail.marks[1:-1][:4]
    limits = [
        (stability(eigenvalues(case.f, trail.t[i], z, trail.h[i]), trail.h[i], case.options.tableau), i, z)
        for i, z in points if i < len(trail.t)
    ]  # fmt: skip
    beyond = [(i, z) for limit, i, z in limits if limit is not None and limit.ratio > 1.2]
    if 2 * len(beyond) <= len(limits):
        return None
    i, z = beyond[0]
    return unstable(case, float(trail.h[i]), [(float(trail.t[i]), z)])


# ---------------------------------------------------------------- step limit


def step_limit(case: Case) -> Diagnosis:
    """Nothing is wrong but max_steps: say how many steps the whole would take."""
    trail, ts, options = case.trail, case.inputs.ts[0], case.options
    needed, covered = _steps_needed(case), abs(trail.end_t - ts[0]) / abs(ts[-1] - ts[0])
    evidence = {"reached": float(covered), "trial_steps": float(trail.trials), "steps_needed": needed}
    more = f"max_steps={_round_up(1.2 * needed)}" if needed < 1e15 else "a larger max_steps"
    remedy = f"{more}, or {'a longer step_size' if options.fixed else 'looser rtol and atol'}"
    return Diagnosis("step limit", trail.end_t, evidence, remedy)


def _steps_needed(case: Case) -> float:
    """Return how many trial steps the whole would take, if it went on as in the second half of the trail."""
    trail, ts = case.trail, case.inputs.ts[0]
    if case.options.fixed:
        return float(sum(fixed_step_count.py_func(*pair, case.options.step_size) for pair in pairwise(ts)))
    half = len(trail.t) // 2
    advance = abs(trail.end_t - trail.t[half]) if half < len(trail.t) else 0.0
    if advance == 0.0:
        return math.inf
    per_step = trail.trials / len(trail.t)
    return float(trail.trials + abs(ts[-1] - trail.end_t) / advance * (len(trail.t) - half) * per_step)


def _round_up(x: float) -> int:
    """Round up to two digits."""
    unit: Any = 10 ** max(0, math.floor(math.log10(x)) - 1)
    return math.ceil(x / unit) * unit
