"""Outputs inside a step: ``z(t + theta h) = z + h sum_i w_i(theta) k_i`` with ``w_i = sum_j P_ij theta^(j+1)``."""

from __future__ import annotations

import numpy as np

from nodeedu.solvers.core import core
from nodeedu.solvers.lanes import Records

Array = np.ndarray


@core
def interpolation_weight(interpolant, i, theta):
    """Evaluate the polynomial ``w_i(theta)`` by Horner's rule; interpolant is P (s, m)."""
    weight = 0.0
    for j in range(interpolant.shape[1] - 1, -1, -1):
        weight = (weight + interpolant[i, j]) * theta
    return weight


def find_steps(times: Array, starts: Array, h: float) -> Array:
    """Return the indices (n,) of the steps that hold the times (n,), from where they start and the sign of h.

    A time at which one step ends and the next starts belongs to the next; those beyond an end go to the step there.
    """
    direction = np.sign(h)
    after = np.searchsorted(direction * starts, direction * times, side="right")
    return np.clip(after - 1, 0, len(starts) - 1)


def interpolate_records(times: Array, records: Records, interpolant: Array, z0: Array) -> Array:
    """Evaluate recorded solves at any times between their ends.

    Parameters
    ----------
    times : array (n,)
        In any order.
    records : Records
        Accepted steps of all samples.
    interpolant : array (s, m)
        P above.
    z0 : array (B, D)
        Initial state.

    Returns
    -------
    array (n, B, D)
    """
    out = np.repeat(z0[None], len(times), axis=0)
    count = int(records.count[0])
    steps, rows = records.steps[:count], records.rows[:count]
    for b in range(len(z0)):
        own = np.flatnonzero(steps["sample"] == b)
        if not len(own):  # a single output time: nothing was solved
            continue
        t, h = steps["t"][own], steps["h"][own]
        index = find_steps(times, t, h[0])
        theta = (times - t[index]) / h[index]
        weights = theta[:, None] ** np.arange(1, interpolant.shape[1] + 1) @ interpolant.T
        y, k = rows[own[index], 0], rows[own[index], 1:]
        out[:, b] = y + h[index, None] * np.einsum("ns,nsd->nd", weights, k)
    return out
