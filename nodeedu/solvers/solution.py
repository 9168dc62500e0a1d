"""What a solve returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from nodeedu.solvers.arguments import Inputs, Options, real_array
from nodeedu.solvers.diagnosis.record import Diagnosis
from nodeedu.solvers.runge_kutta import Method
from nodeedu.solvers.tally import Tally, make_tally

Array = np.ndarray


@dataclass(frozen=True)
class Stats:
    """Counts of a solve: ints, or arrays (B,) for a batch.

    Parameters
    ----------
    nfev : int or array
        Evaluations of the vector field.
    accepted, rejected : int or array
        Trial steps.
    status : int or array
        0 is success.
    path : str
        "traced", "njit" or "python": what the vector field is.
    tally : Tally
        Evaluations by purpose (accepted, rejected, initial, dense, event, newton, adjoint, trace): they add up to nfev.
    njev, nlu : int or array
        Jacobians and LU decompositions of implicit methods, else 0. What differences for a Jacobian take is in nfev.
    """

    nfev: Any
    accepted: Any
    rejected: Any
    status: Any
    path: str
    tally: Tally
    njev: Any
    nlu: Any


def make_stats(samples: Array, batched: bool, path: str) -> Stats:
    """Give the counters of samples (B,) of SAMPLE as arrays, or as ints where there is no batch."""
    counters = [samples[name] for name in ("nfev", "accepted", "rejected", "status", "njev", "nlu")]
    *columns, njev, nlu = (each.copy() if batched else int(each[0]) for each in counters)
    return Stats(*columns, path, make_tally(samples, batched), njev, nlu)


@dataclass(frozen=True, eq=False)
class Solution:
    """States at the output times; calling it gives them at any time between the first and the last.

    Parameters
    ----------
    zs : array (T, *shape) or (T, B, *shape)
        States; zs[0] is z0. They are yours to change: `gradients(..., solution=sol)` reads a copy.
    ts : array (T,) or (B, T)
        Output times.
    t_events, z_events : list or None
        For each event, the times (n,) and the states (n, *shape) at which it occurred, before any reset; for a batch,
        a list of such arrays, one a sample. None if no events were given.
    """

    zs: Array
    ts: Array
    _inputs: Inputs = field(repr=False)
    _options: Options = field(repr=False)
    _samples: Array = field(repr=False)  # (B,) of SAMPLE
    _method: Method | None = field(repr=False)  # of an explicit Runge-Kutta method
    _records: Any = field(repr=False)  # what `discrete` needs, or None
    _make_interpolant: Callable[[], Callable[[Array], Array]] = field(repr=False)  # of dense output, (n,) -> (n, B, D)
    t_events: Any = field(default=None, repr=False)
    z_events: Any = field(default=None, repr=False)
    _occurrences: Any = field(default=None, repr=False)  # of events: for each sample a list of events.watch.Occurrence
    _events: Any = field(default=None, repr=False)  # what was watched: a tuple of events.checks.Event
    _states: Array = field(default=None, repr=False)  # type: ignore[assignment]  # zs as they were solved

    def __post_init__(self) -> None:
        if self._states is None:
            object.__setattr__(self, "_states", self.zs.copy())

    @property
    def stats(self) -> Stats:
        """Counts of the solve, and of the second one that ``sol(t)`` may have made: as "dense" in tally and nfev."""
        return make_stats(self._samples, self._inputs.batched, getattr(self._inputs.field, "path", "traced"))

    @cached_property
    def diagnosis(self) -> Diagnosis:
        """Why the solve failed or struggled, or that it is healthy; see diagnosis/. It solves once more."""
        return self.diagnose()

    def diagnose(self, sample: int | None = None) -> Diagnosis:
        """Explain one sample of a batch: by default the first that failed, or else that with the most trial steps."""
        from nodeedu.solvers.diagnosis.diagnose import diagnose  # which imports this module

        return diagnose(self, sample)

    def __call__(self, t: ArrayLike) -> Array:
        """Interpolate by the dense output of the method.

        The first call solves once more and keeps the steps, which a solve otherwise does not: those who never ask pay
        nothing.

        Parameters
        ----------
        t : float or array (n,)
            Times between the first and the last of ts.

        Returns
        -------
        array
            The state (or states, for a batch) at t, with a leading axis of length n for n times.

        Raises
        ------
        ValueError
            If a time lies outside.
        """
        times = real_array("t", t).astype(np.float64)
        if times.ndim > 1:
            raise ValueError(f"t: got shape {times.shape}, expected a number or (n,)")
        starts, ends = np.sort(self._inputs.ts[:, [0, -1]], axis=1).T
        first, last = starts.max(), ends.min()  # of the interval that all samples have in common
        outside = times[~((times >= first) & (times <= last))]  # nan, too
        if len(outside):
            raise ValueError(f"t: got {outside[0]}, expected times in the solved interval [{first}, {last}]")
        states = self._interpolant(times.reshape(-1))
        return states.reshape(times.shape + self._inputs.state_shape)

    @cached_property
    def _interpolant(self) -> Callable[[Array], Array]:
        return self._make_interpolant()
