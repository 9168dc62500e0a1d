"""What `gradients` returns: the gradients, and what they have cost."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nodeedu.solvers.arguments import Inputs
from nodeedu.solvers.lanes import copy_samples
from nodeedu.solvers.tally import Tally, make_tally

Array = NDArray[Any]


class Kept(NamedTuple):
    """What was kept for the way back: states and slopes of D numbers, and the bytes of all arrays that hold it."""

    states: int
    bytes: int


def keep(states: int, *arrays: Any) -> Kept:
    """Count what is kept in arrays, or in records, which are tuples of arrays."""
    return Kept(int(states), sum(map(_bytes, arrays)))


def _bytes(x: Any) -> int:
    if isinstance(x, tuple):
        return sum(map(_bytes, x))
    return int(x.nbytes) if isinstance(x, np.ndarray) else 0


@dataclass(frozen=True)
class GradientStats:
    """What a gradient has cost: ints, or arrays (B,) for a batch.

    Parameters
    ----------
    nfev : int or array
        Evaluations of f in the forward solve.
    nfev_backward : int or array
        Evaluations of f with derivatives.
    accepted, rejected : int or array
        Trial steps of the backward solve, or those that were differentiated.
    stored_states : int
        States and slopes of D numbers that were kept for the backward pass: the memory ledger.
    stored_bytes : int
        Bytes of the arrays that were kept for the backward pass, counted from the arrays themselves: states and slopes
        with the times of their steps and with the room that records have to grow; for "backsolve" the states that it
        starts from; for "forward" the sensitivities that it carries along. What a single step works on, the arguments
        and the results are not counted: no method can do without.
    tally : Tally
        The tally of the forward solve, with nfev_backward as "adjoint": the sum of nfev and nfev_backward.
    """

    nfev: Any
    nfev_backward: Any
    accepted: Any
    rejected: Any
    stored_states: int
    stored_bytes: int
    tally: Tally


@dataclass(frozen=True, eq=False)
class Gradients:
    """Gradients of a scalar loss L, summed over the samples of a batch where they share an argument.

    Parameters
    ----------
    z0 : array
        dL/dz0, in the shape of z0; it includes the observation at t0.
    theta : object
        dL/dtheta, in the structure of theta.
    returned_z0 : array or None
        z(t0) as "backsolve" and "reversible" found it again, in the shape of z0; None for the other methods, which do
        not look for it.
    """

    z0: Array
    theta: Any
    _inputs: Inputs = field(repr=False)
    _ledger: tuple[Array, Array, Array, Kept] = field(repr=False)  # what `stats` is made from
    _zs: Array = field(repr=False)  # (T, B, D)
    _zs_bar: Array = field(repr=False)  # (T, B, D)
    _a: Array = field(repr=False)  # (B, D), a(t0+)
    returned_z0: Array | None = field(default=None, repr=False)

    @cached_property
    def stats(self) -> GradientStats:
        """What it has cost."""
        forward_counts, nfev_backward, counts, kept = self._ledger
        batched = self._inputs.batched
        columns = [forward_counts["nfev"], nfev_backward, counts["accepted"], counts["rejected"]]
        nfev, back, accepted, rejected = (each if batched else int(each[0]) for each in columns)
        tally = make_tally(forward_counts, batched, adjoint=nfev_backward)
        return GradientStats(nfev, back, accepted, rejected, *kept, tally)

    @cached_property
    def ts(self) -> Array:
        """Gradient of the output times, (T,) for shared ts, else (B, T); computed when first asked for.

        ``dL/dt_i = dL/dz(t_i) f(t_i, z_i)`` for i >= 1, and ``dL/dt_0 = -a(t0+) f(t0, z0)`` with z0 held fixed, where
        a(t0+) leaves out the observation at t0.
        """
        inputs, (times, samples, size) = self._inputs, self._zs.shape
        kernel = inputs.field.kernel("f", self._zs.dtype)
        t = np.ascontiguousarray(np.broadcast_to(inputs.ts.T, (times, samples))).reshape(-1)
        slopes, work = np.empty((times * samples, size), self._zs.dtype), np.empty(kernel.work_size, self._zs.dtype)
        kernel.function(t, self._zs.reshape(-1, size), inputs.p, slopes, work)
        cotangents = np.concatenate([-self._a[None], self._zs_bar[1:]])
        each = np.einsum("tbi,tbi->tb", cotangents, slopes.reshape(self._zs.shape))
        return each.T if inputs.own_times else each.sum(axis=1)


def package(
    inputs: Inputs, zs: Array, a: Array, p_bar: Array, forward_counts: Array, nfev_backward: Array, counts: Array,
    kept: Kept, zs_bar: Array, returned: Array | None = None,
) -> Gradients:  # fmt: skip
    """Give the results the shapes of the arguments."""
    z0_bar = (a + zs_bar[0]).reshape(inputs.state_shape)
    so_far = copy_samples(forward_counts)  # a solution goes on counting when it is called
    ledger = so_far, nfev_backward, so_far if counts is forward_counts else counts, kept
    found = None if returned is None else returned.reshape(inputs.state_shape)
    return Gradients(z0_bar, inputs.field.unpack(p_bar), inputs, ledger, zs, zs_bar, a, found)
