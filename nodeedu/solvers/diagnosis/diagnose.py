"""The failure microscope: why a solve failed or struggled, with the numbers that say so and what to change.

The sample is solved once more with its steps recorded, and the vector field is questioned where it ended. Nothing of
this costs a solve anything until `Solution.diagnosis` or `SolverError.diagnosis` is asked for. The field is evaluated
anew, also beside the solution: one that counts its calls, or draws random numbers, will notice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from nodeedu.solvers.arguments import Inputs, Options
from nodeedu.solvers.diagnosis.case import Case, open_case
from nodeedu.solvers.diagnosis.failures import LONGEST, adaptive, blow_up, not_finite, runaway, singular_slope
from nodeedu.solvers.diagnosis.record import MEANING, Diagnosis
from nodeedu.solvers.diagnosis.struggles import dense_times, jump_at_end, jumps_on_the_way, round_off, step_limit, stiff
from nodeedu.solvers.diagnosis.trail import from_here
from nodeedu.solvers.solution import Solution
from nodeedu.solvers.status import CAUSES, KERNEL_FAILED, MIN_STEP, NON_FINITE, SUCCESS, TOO_MANY_STEPS, UNDERFLOW

__all__ = ["MEANING", "Diagnosis", "diagnose"]

Cause = Callable[[Case], Diagnosis | None]

# The first that recognises the case names it; each may rely on it that those before it did not.
AT_THE_END: tuple[Cause, ...] = (blow_up, runaway, singular_slope, not_finite, jump_at_end)
ON_THE_WAY: tuple[Cause, ...] = (jumps_on_the_way, round_off, stiff)
CANDIDATES: dict[int, tuple[Cause, ...]] = {
    SUCCESS: ON_THE_WAY,
    TOO_MANY_STEPS: (blow_up, *ON_THE_WAY, singular_slope, step_limit),
    NON_FINITE: AT_THE_END,
    UNDERFLOW: (*AT_THE_END, round_off, dense_times),
    MIN_STEP: (*AT_THE_END, *ON_THE_WAY),
}


def diagnose(solution: Solution, sample: int | None = None) -> Diagnosis:
    """Explain how a sample of a solve went.

    Parameters
    ----------
    solution : Solution
        It may have failed.
    sample : int, optional
        Which sample; by default the first that failed or, if none did, the one with the most trial steps.

    Raises
    ------
    IndexError
        If there is no such sample.
    """
    samples, batched = solution._samples, solution._inputs.batched
    failed = np.flatnonzero(samples["status"])
    if sample is None:
        sample = int(failed[0]) if len(failed) else int(np.argmax(samples["accepted"] + samples["rejected"]))
    if not 0 <= sample < len(samples):
        raise IndexError(f"sample: got {sample}, expected 0 to {len(samples) - 1}")
    with np.errstate(all="ignore"):  # numbers that overflow are what is being looked at
        found = _examine(_one_sample(solution, sample), solution._options, samples[sample])
    return replace(found, sample=sample if batched else None)


def _one_sample(solution: Solution, sample: int) -> Inputs:
    """Return the problem of one sample, without a batch axis, from its last reset to the event that ended it."""
    inputs, record = solution._inputs, solution._samples[sample]
    ts = inputs.ts[min(sample, len(inputs.ts) - 1)]
    if record["status"] == SUCCESS and record["t"] != ts[-1]:  # an event ended it
        ts = np.append(ts[(ts - record["t"]) * np.sign(ts[-1] - ts[0]) < 0], record["t"])
    one = replace(inputs, z0=inputs.z0[[sample]], ts=ts[None], batched=False, own_times=False)
    resets = [each for each in (solution._occurrences or [[]] * (sample + 1))[sample] if each.after is not None]
    return from_here(one, resets[-1].t, resets[-1].after) if resets else one


def _examine(one: Inputs, options: Options, record: Any) -> Diagnosis:
    status = int(record["status"])
    rest = _by_status(options, record)
    if one.ts.shape[1] == 1 or status == KERNEL_FAILED:
        return rest
    if options.tableau is None:
        return rest if status == SUCCESS else _of_another_method(one, options, record) or rest
    return _first(CANDIDATES.get(status, ()), open_case(one, options, record)) or rest


def _first(causes: tuple[Cause, ...], case: Case) -> Diagnosis | None:
    return next((found for cause in causes if (found := cause(case)) is not None), None)


def _by_status(options: Options, record: Any) -> Diagnosis:
    """Return all that the status alone says."""
    t, status = float(record["t"]), int(record["status"])
    evidence = {name: float(record[name]) for name in ("accepted", "rejected")}
    if status == SUCCESS:
        return Diagnosis("healthy", t, evidence)
    cause, text = CAUSES[status]
    limits = {"max_steps": options.max_steps, "min_step": options.min_step, "rtol": options.rtol}
    remedy = text.format(where="", **limits).partition("; ")[2]
    return Diagnosis("step limit" if status == TOO_MANY_STEPS else cause, t, evidence, remedy)


def _of_another_method(one: Inputs, options: Options, record: Any) -> Diagnosis | None:
    """Try whether an explicit method is stopped at the same time; then the cause lies in the problem."""
    other = record.copy()
    other["accepted"], other["rejected"], other["status"] = LONGEST, 0, TOO_MANY_STEPS
    case = open_case(one, adaptive(options), other)
    case = replace(case, status=case.trail.status)
    span = abs(one.ts[0, -1] - one.ts[0, 0])
    if case.status not in (NON_FINITE, UNDERFLOW) or abs(case.trail.end_t - record["t"]) > 1e-3 * span:
        return None
    return _first(AT_THE_END, case)
