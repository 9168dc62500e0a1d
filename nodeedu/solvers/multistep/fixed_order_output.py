"""Dense output of the Adams methods of fixed order, from the states and slopes at the ends of all steps.

In the step from t_n, with s = (t - t_n) / h and nodes t_j around it, those ahead too,

    z(t) = z_n + h sum_j f_j int_0^s l_j + (3 s^2 - 2 s^3) r,       r such that it ends at z_{n+1},

where l_j is 1 at t_j and 0 at the other nodes. r is as small as the error of a step, and the slope is continuous.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nodeedu.solvers.arguments import Inputs
from nodeedu.solvers.dense_output import find_steps
from nodeedu.solvers.multistep.fixed_order_step import lagrange_integrals
from nodeedu.solvers.tally import count_dense

Array = np.ndarray
CLOSEST = 0.02  # nodes closer than this part of a step would magnify round-off


def interpolate(inputs: Inputs, groups: Any, ends: Array, order: int, samples: Array) -> Callable[[Array], Array]:
    """Return the dense output of recorded steps, (n,) -> (n, B, D); it evaluates the slopes at their ends.

    Parameters
    ----------
    inputs : Inputs
        Field and parameters.
    groups : tuple of Group
        Of fixed_order.py.
    ends : array (B, D)
        States at the last output time.
    order : int
        Of the method: as many nodes around each step, at least its own two.
    samples : array (B,) of SAMPLE
        Counts the evaluations.
    """
    kernel = inputs.field.kernel("f", ends.dtype)
    work, knots = np.empty(kernel.work_size, ends.dtype), []
    for members, ts, trail in groups:
        end = np.ascontiguousarray(ends[members])
        last = np.empty_like(end)
        kernel.function(np.full(len(end), ts[-1]), end, inputs.p, last, work)
        count_dense(samples[members], 1)
        z, slopes = (np.concatenate([trail.rows[:, i], x[None]]) for i, x in enumerate((end, last)))
        knots.append((members, np.append(trail.t, ts[-1]), z, slopes))

    def dense(times: Array) -> Array:
        out = np.repeat(inputs.z0[None], len(times), axis=0)
        for members, t, z, slopes in knots:
            for m, i in enumerate(find_steps(times, t[:-1], t[-1] - t[0])):
                out[m, members] = _evaluate(times[m], int(i), t, z, slopes, order)
        return out

    return dense


def _evaluate(time: float, i: int, t: Array, z: Array, slopes: Array, order: int) -> Array:
    h = t[i + 1] - t[i]
    first, stop = _window(i, t, order)
    s, nodes = (time - t[i]) / h, (t[first:stop] - t[i]) / h
    inside, whole, poly = np.zeros((3, len(nodes) + 1))
    integrals = getattr(lagrange_integrals, "py_func", lagrange_integrals)
    integrals(s, nodes, len(nodes), poly, inside)
    integrals(1.0, nodes, len(nodes), poly, whole)
    window, bump = slopes[first:stop], s * s * (3 - 2 * s)
    weights = h * (inside - bump * whole)[:-1]
    return z[i] + bump * (z[i + 1] - z[i]) + np.tensordot(weights, window, 1)


def _window(i: int, t: Array, count: int) -> tuple[int, int]:
    """Return the range of nodes, the closest ones around the step from t_i, as far as none lie too close together."""
    first, stop, least = i, i + 2, CLOSEST * abs(t[i + 1] - t[i])
    while stop - first < count:
        before = abs(t[first] - t[first - 1]) if first > 0 else 0.0
        after = abs(t[stop] - t[stop - 1]) if stop < len(t) else 0.0
        left, right = i - first, stop - i - 2  # nodes taken on either side
        if before > least and (left <= right or after <= least):
            first -= 1
        elif after > least:
            stop += 1
        else:
            break
    return first, stop
