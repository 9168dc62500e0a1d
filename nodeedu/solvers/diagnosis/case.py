"""One sample under the failure microscope, and what several causes ask about it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from nodeedu.solvers.arguments import Inputs, Options
from nodeedu.solvers.diagnosis.probes import BlowUp, fit_blow_up
from nodeedu.solvers.diagnosis.trail import Slopes, Trail, follow, slopes_of
from nodeedu.solvers.status import TOO_MANY_STEPS
from nodeedu.solvers.step_control import MIN_FACTOR, fixed_step_count

Array = np.ndarray


class Bad(NamedTuple):
    """The first stage of a trial step with a slope that is not finite, or s for the new state itself."""

    stage: int
    component: int
    t: float
    z: Array
    value: float


@dataclass(frozen=True, eq=False)
class Case:
    """One sample: its problem, how it ended, its way, and the slopes f(t, z)."""

    inputs: Inputs
    options: Options
    status: int
    trail: Trail
    f: Slopes

    @cached_property
    def end_f(self) -> Array:
        """Slope at the end."""
        return self.f(self.trail.end_t, self.trail.end_z)

    @cached_property
    def direction(self) -> float:
        """Of time."""
        return float(np.sign(self.inputs.ts[0, -1] - self.inputs.ts[0, 0]))

    @cached_property
    def eps(self) -> float:
        """Spacing of floating-point numbers at 1, in the dtype of the state."""
        return float(np.finfo(self.inputs.z0.dtype).eps)

    def scale(self, z: Array) -> Array:
        """Return the tolerance of each component."""
        return np.maximum(self.options.atol + self.options.rtol * abs(z), np.finfo(np.float64).tiny)

    @cached_property
    def usual_step(self) -> float:
        """Signed size of the last accepted steps, or of the trial step that failed."""
        h = self.trail.h
        return float(np.median(h[-20:])) if len(h) else self.last_trial

    @cached_property
    def usual_size(self) -> float:
        """Size of the state over most of the trail."""
        trail, start = self.trail, float(abs(self.inputs.z0).max())
        with np.errstate(all="ignore"):
            sizes = trail.z_size, abs(trail.h) * trail.f_size
        return max([start, *(float(np.median(each)) for each in sizes if len(each))])

    @cached_property
    def last_trial(self) -> float:
        """Signed size of the trial step that failed."""
        if self.options.fixed:
            start, ts = self.trail.end_t, self.inputs.ts[0]
            stop = float([*ts[(ts - start) * self.direction > 0], ts[-1]][0])
            return (stop - start) / float(fixed_step_count.py_func(start, stop, self.options.step_size))
        t = self.trail.end_t
        return self.direction * max(self.trail.next_h / MIN_FACTOR, float(np.spacing(abs(t))))

    @cached_property
    def bad(self) -> Bad | None:
        """Where the trial step that failed, or an adaptive one that is somewhat longer, met what is not finite."""
        for k in range(1 if self.options.fixed else 6):
            found = first_bad_stage(self, self.last_trial / MIN_FACTOR**k)
            if found is not None:
                return found
        return None

    @cached_property
    def blow_up(self) -> BlowUp | None:
        """Fit of a power of the remaining time to the slopes; fixed steps do not come close enough to one."""
        if self.options.fixed:
            return None
        with np.errstate(all="ignore"):
            f_size = np.append(self.trail.f_size, abs(self.end_f).max())
            return fit_blow_up(self.trail.h, f_size, self.trail.end_t)


def open_case(one: Inputs, options: Options, record: Any) -> Case:
    """Solve once more for one sample, of which the first solve left a record of SAMPLE."""
    trials, status = int(record["accepted"] + record["rejected"]), int(record["status"])
    # Portions begin without what the controller remembers, so that their steps may differ a little.
    most = trials if status == TOO_MANY_STEPS else 2 * trials + 100
    return Case(one, options, status, follow(one, options, most), slopes_of(one))


def first_bad_stage(case: Case, h: float) -> Bad | None:
    """Make a step from the end of the trail, until a slope or the new state is not finite."""
    tableau, trail = case.options.tableau, case.trail
    weights, nodes, k = np.vstack([tableau.A, tableau.b]), [*tableau.c, 1.0], np.zeros((0, len(trail.end_z)))
    for i in range(tableau.stages + 1):
        t, z = float(trail.end_t + nodes[i] * h), trail.end_z + h * (k.T @ weights[i, :i])
        value = case.f(t, z) if i < tableau.stages else z
        wrong = np.flatnonzero(~np.isfinite(value))
        if len(wrong):
            return Bad(i, int(wrong[0]), t, z, float(value[wrong[0]]))
        k = np.vstack([k, value])
    return None
