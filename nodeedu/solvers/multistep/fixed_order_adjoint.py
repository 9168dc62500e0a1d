"""Backpropagation through the steps of the Adams methods of fixed order: the exact gradient of what they computed.

A step ``z_{n+1} = z_n + h (gamma f* + sum_j gamma_j f_{n-j})``, ``f* = f(z*)``, ``z* = z_n + h sum_j beta_j f_{n-j}``
(Adams-Bashforth: beta alone) gives backwards, with a bar for dL/d(...) (a row),

    f*_bar = h gamma z_{n+1}_bar,     z*_bar = f*_bar f_z(z*),
    f_{n-j}_bar += h (gamma_j z_{n+1}_bar + beta_j z*_bar),
    z_n_bar = z_{n+1}_bar + z*_bar + f_n_bar f_z(z_n),
    theta_bar += f*_bar f_theta(z*) + f_n_bar f_theta(z_n).

All steps that used f_n come after the one from t_n, so that its bar is complete there. It is a linear recurrence of
NumPy arrays over all rows at once: next to the kernels, the loop in Python costs little.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nodeedu.solvers.multistep.fixed_order_step import Formula, Trail

Array = np.ndarray


class _Rows:
    """The kernels of a field, on rows that share their time; they count their calls."""

    def __init__(self, kernels: Any, p: Array, p_bar: Array) -> None:
        self.f, self.vjp = kernels
        self.p, self.p_bar, self.calls = p, p_bar, 0
        self.f_work, self.vjp_work = (np.empty(each.work_size, p.dtype) for each in kernels)

    def slope(self, t: float, z: Array) -> Array:
        self.calls += 1
        dz = np.empty_like(z)
        self.f.function(np.full(len(z), t), z, self.p, dz, self.f_work)
        return dz

    def pull(self, t: float, z: Array, dz_bar: Array) -> Array:
        """Return ``dz_bar f_z`` and add ``dz_bar f_theta`` to p_bar."""
        self.calls += 1
        dz, z_bar, t_bar = np.empty_like(z), np.empty_like(z), np.empty(len(z), z.dtype)
        times = np.full(len(z), t)
        self.vjp.function(times, z, dz_bar, self.p, dz, t_bar, z_bar, self.p_bar, self.vjp_work)
        return z_bar


def undo(
    kernels: Any, p: Array, p_bar: Array, formula: Formula, ts: Array, trail: Trail, zs_bar: Array
) -> tuple[Array, int]:
    """Go back over the recorded steps of rows that share their times.

    Parameters
    ----------
    kernels : tuple of Kernel
        f and vjp.
    p, p_bar : array (Q,), (P,)
        Parameters; dL/dtheta is added to p_bar.
    formula : Formula
        The method.
    ts : array (T,)
        Output times.
    trail : Trail
        The steps.
    zs_bar : array (T, n, D)
        dL/dz(t_i).

    Returns
    -------
    a : array (n, D)
        dL/dz0 without the observation at t0.
    nfev : int
        Evaluations of f of each row, with its derivatives or, for Runge-Kutta stages that were not kept, without.
    """
    rows, k, count = _Rows(kernels, p, p_bar), formula.order, len(trail.t)
    ends, output = np.append(trail.t[1:], ts[-1:]), len(ts) - 1
    a = np.zeros_like(zs_bar[0])
    bars = np.zeros((count + k, *a.shape), a.dtype)  # of the slope at t_n in row n + k
    for n in range(count - 1, -1, -1):
        t, h, t1, (z, slope) = trail.t[n], trail.h[n], ends[n], trail.rows[n]
        if t1 == ts[output]:
            a = a + zs_bar[output]
            output -= 1
        if trail.weights[n].any():
            past = trail.rows[n : n - k if n >= k else None : -1, 1]
            a = _undo_step(rows, formula, h * trail.weights[n], t1, z, past, a, bars[n + k : n : -1])
        else:
            a, bars[n + k] = _undo_start(rows, formula, t, h, t1, z, slope, a, bars[n + k])
        a = a + rows.pull(t, z, bars[n + k])
    return a, rows.calls


def _undo_step(
    rows: _Rows, formula: Formula, weights: Array, t1: float, z: Array, past: Array, a: Array, bars: Array
) -> Array:
    """Go back over a step of the method: add to the bars (k, n, D) of the past slopes, return the cotangent of z."""
    k = formula.order
    beta, gamma = weights[:, :k, None, None].astype(a.dtype)
    if not formula.corrects:
        bars += beta * a
        return a
    bars[: k - 1] += gamma[1:] * a
    star_bar = rows.pull(t1, z + (beta * past).sum(axis=0), gamma[0] * a)
    bars += beta * star_bar
    return a + star_bar


def _undo_start(
    rows: _Rows, formula: Formula, t: float, h: float, t1: float, z: Array, slope: Array, a: Array, slope_bar: Array
) -> tuple[Array, Array]:
    """Go back over a Runge-Kutta step; return the cotangents of z and of its first slope, which is not pulled back."""
    A, b, c = formula.A, formula.b, formula.c
    slopes, states, h = [slope], [z], z.dtype.type(h)
    times = [t1 if each == 1.0 else t + each * float(h) for each in c]
    for q in range(1, len(b)):
        states.append(z + h * np.tensordot(A[q, :q], slopes, 1))
        slopes.append(rows.slope(times[q], states[q]) if q < len(b) - 1 else slope)
    bars = [h * each * a for each in b]
    for q in range(len(b) - 1, 0, -1):
        state_bar = rows.pull(times[q], states[q], bars[q])
        a = a + state_bar
        for r in range(q):
            bars[r] = bars[r] + h * A[q, r] * state_bar
    return a, slope_bar + bars[0]
