"""Exceptions of the public interface."""

from __future__ import annotations

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
        Name of the Runge-Kutta method.
    cause : str
        One of the values of `nodeedu.solvers.status.CAUSES`: a short name of the reason.
    sample : int or None
        Index of the failing sample (the first one, if several failed); None where the state has no batch axis.
    """

    def __init__(self, message: str, *, t: float, method: str, cause: str, sample: int | None = None) -> None:
        super().__init__(message)
        self.t, self.method, self.cause, self.sample = t, method, cause, sample

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle with the attributes, so that a worker process can hand the error on."""
        return _rebuild, (str(self), self.t, self.method, self.cause, self.sample)


def _rebuild(message: str, t: float, method: str, cause: str, sample: int | None) -> SolverError:
    return SolverError(message, t=t, method=method, cause=cause, sample=sample)
