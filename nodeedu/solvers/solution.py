"""What a solve returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from nodeedu.solvers.arguments import Inputs, Options, real_array
from nodeedu.solvers.runge_kutta import Method

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
    """

    nfev: Any
    accepted: Any
    rejected: Any
    status: Any
    path: str


def make_stats(samples: Array, batched: bool, path: str) -> Stats:
    """Give the counters of samples (B,) of SAMPLE as arrays, or as ints where there is no batch."""
    counters = [samples[name] for name in ("nfev", "accepted", "rejected", "status")]
    return Stats(*(each if batched else int(each[0]) for each in counters), path)


@dataclass(frozen=True, eq=False)
class Solution:
    """States at the output times; calling it gives them at any time between the first and the last.

    Parameters
    ----------
    zs : array (T, *shape) or (T, B, *shape)
        States; zs[0] is z0. `gradients(..., solution=sol)` reads them: change a copy, not these.
    ts : array (T,) or (B, T)
        Output times.
    """

    zs: Array
    ts: Array
    _inputs: Inputs = field(repr=False)
    _options: Options = field(repr=False)
    _samples: Array = field(repr=False)  # (B,) of SAMPLE
    _method: Method | None = field(repr=False)  # of an explicit Runge-Kutta method
    _records: Any = field(repr=False)  # what `discrete` needs, or None
    _make_interpolant: Callable[[], Callable[[Array], Array]] = field(repr=False)  # of dense output, (n,) -> (n, B, D)

    @cached_property
    def stats(self) -> Stats:
        """Counts of the solve."""
        return make_stats(self._samples, self._inputs.batched, getattr(self._inputs.field, "path", "traced"))

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
        first, last = np.sort(self._inputs.ts[:, [0, -1]], axis=1).T
        inside = (times.reshape(-1, 1) >= first.max()) & (times.reshape(-1, 1) <= last.min())
        if not inside.all():
            raise ValueError(f"t: got {times}, expected times in the solved interval [{first.max()}, {last.min()}]")
        states = self._interpolant(times.reshape(-1))
        return states.reshape(times.shape + self._inputs.state_shape)

    @cached_property
    def _interpolant(self) -> Callable[[Array], Array]:
        return self._make_interpolant()
