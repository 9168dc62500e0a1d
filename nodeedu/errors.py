"""Exceptions of the public interface."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any


class SolverError(RuntimeError):
    """A solve that could not reach its last output time.

    Parameters
    ----------
    message : str
        What happened, and what to do.
    t : float
        Time of the last accepted step; the failing trial step started here.
    method : str
        Name of the method.
    cause : str
        One of the values of `nodeedu.solvers.status.CAUSES`: a short name of the reason; or "chattering" of events.
    sample : int or None
        Index of the failing sample (the first one, if several failed); None where the state has no batch axis.
    diagnose : callable, optional
        Explains a sample: that of the failed solution.
    """

    def __init__(
        self,
        message: str,
        *,
        t: float,
        method: str,
        cause: str,
        sample: int | None = None,
        diagnose: Callable[[int | None], Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.t, self.method, self.cause, self.sample, self._diagnose = t, method, cause, sample, diagnose

    @cached_property
    def diagnosis(self) -> Any:
        """Why it failed, the numbers that say so and the remedy: a `nodeedu.solvers.diagnosis.diagnose.Diagnosis`.

        It is made when it is first asked for, which solves once more. None where it is unknown: for solves of other
        equations than z' = f, such as the adjoint's.
        """
        return self.diagnose()

    def diagnose(self, sample: int | None = None) -> Any:
        """Explain one sample of a batch, by default the first that failed."""
        return None if self._diagnose is None else self._diagnose(sample)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle with the attributes, so that a worker process can hand the error on; the diagnosis is made for it."""
        try:
            diagnosis = self.diagnosis
        except Exception:  # an error while an error is explained must not take its place
            diagnosis = None
        return _rebuild, (str(self), self.t, self.method, self.cause, self.sample, diagnosis)


def _rebuild(message: str, t: float, method: str, cause: str, sample: int | None, diagnosis: Any) -> SolverError:
    error = SolverError(message, t=t, method=method, cause=cause, sample=sample)
    error.diagnosis = diagnosis
    return error
