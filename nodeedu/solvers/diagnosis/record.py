"""What the failure microscope says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

# What each cause means; `str` of a diagnosis begins with it. Other causes are those of `nodeedu.solvers.status`.
MEANING: dict[str, str] = {
    "healthy": "nothing is wrong",
    "stiff": "stiff: stability, not accuracy, dictates the step size",
    "blow-up": "finite-time blow-up: the slope grows like a power of the time that remains",
    "overflow": "overflow: the state grows beyond the largest floating-point number, but not in finite time",
    "nan": "the vector field is nan or infinite at a finite state",
    "discontinuity": "discontinuity: the slope jumps, and steps collapse where it does",
    "round-off": "tolerance below round-off: the error estimate is noise",
    "step limit": "step limit: nothing is wrong but max_steps",
}


@dataclass(frozen=True)
class Diagnosis:
    """Why a solve failed or struggled; false where it is healthy.

    Parameters
    ----------
    cause : str
        A key of `MEANING`, or for methods that are not explicit Runge-Kutta methods the cause of the status.
    t : float
        Where: of a blow-up the estimated time T, of a nan the time of the evaluation, of a discontinuity the jump, of a
        healthy solve the end; else the last accepted step.
    evidence : mapping of str to float
        The numbers that speak for it.
    remedy : str
        What to change in the call.
    component, stage, sample : int or None
        Flat index of the component of the state that it shows in; stage of the trial step, counted from 0; sample of a
        batch.
    """

    cause: str
    t: float
    evidence: Mapping[str, float] = field(default_factory=dict)
    remedy: str = ""
    component: int | None = None
    stage: int | None = None
    sample: int | None = None

    def __bool__(self) -> bool:
        return self.cause != "healthy"

    def __str__(self) -> str:
        places = {"t": self.t, "component": self.component, "stage": self.stage, "sample": self.sample}
        where = ", ".join(f"{name} = {value:.10g}" for name, value in places.items() if value is not None)
        lines = [f"{MEANING.get(self.cause, self.cause)} ({where})"]
        lines += [f"    {name.replace('_', ' ')}: {value:.6g}" for name, value in self.evidence.items()]
        return "\n".join([*lines, f"    remedy: {self.remedy}"] if self.remedy else lines)
