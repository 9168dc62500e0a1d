"""The field 2-50-2 and its VJP, written by hand for this one field: how fast a solver's evaluations could be at best.

The work of a sample is one loop over the hidden units, which LLVM vectorises: parameters lie as rows of 50, W1 by
columns. With x_i = z_i**3,

    u_j = tanh(W1_j0 x_0 + W1_j1 x_1 + b1_j),    dz_i = sum_j W2_ij u_j + b2_i,
    c_j = (a_0 W2_0j + a_1 W2_1j)(1 - u_j**2),    z_bar_i = 3 z_i**2 sum_j c_j W1_ji,
    W1_bar_ji += c_j x_i,    b1_bar_j += c_j,    W2_bar_ij += a_i u_j,    b2_bar_i += a_i.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numba import njit

from benchmarks.problem import HIDDEN, Problem
from nodeedu.compile.elementary import tanh64

NAMES = ("f by hand", "f+VJP by hand")
CALLS = 1000  # evaluations in a timed piece of work, called from compiled code as a solver calls them

FLAGS = {"fastmath": {"contract", "nsz", "arcp", "reassoc"}, "error_model": "numpy"}


def pack(theta: tuple[np.ndarray, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Parameters as the kernels want them: (5, H) rows W1[:, 0], W1[:, 1], b1, W2[0], W2[1]; and b2 (2,)."""
    w1, b1, w2, b2 = theta
    return np.vstack([w1.T, b1, w2]), b2.copy()


@njit(**FLAGS)
def f(z, rows, b2, dz):
    """Write the field at the states z (n, 2) to dz (n, 2)."""
    for b in range(z.shape[0]):
        x0, x1 = z[b, 0] * z[b, 0] * z[b, 0], z[b, 1] * z[b, 1] * z[b, 1]
        dz0, dz1 = b2[0], b2[1]
        for j in range(HIDDEN):
            u = tanh64(rows[0, j] * x0 + rows[1, j] * x1 + rows[2, j])
            dz0 += rows[3, j] * u
            dz1 += rows[4, j] * u
        dz[b, 0], dz[b, 1] = dz0, dz1


@njit(**FLAGS)
def f_and_vjp(z, a, rows, b2, dz, z_bar, rows_bar, b2_bar):
    """Write dz and z_bar = a J, add a f_theta to rows_bar (5, H) and b2_bar (2,)."""
    for b in range(z.shape[0]):
        z0, z1, a0, a1 = z[b, 0], z[b, 1], a[b, 0], a[b, 1]
        x0, x1 = z0 * z0 * z0, z1 * z1 * z1
        dz0, dz1, x0_bar, x1_bar = b2[0], b2[1], 0.0, 0.0
        for j in range(HIDDEN):
            u = tanh64(rows[0, j] * x0 + rows[1, j] * x1 + rows[2, j])
            dz0 += rows[3, j] * u
            dz1 += rows[4, j] * u
            c = (a0 * rows[3, j] + a1 * rows[4, j]) * (1.0 - u * u)
            x0_bar += c * rows[0, j]
            x1_bar += c * rows[1, j]
            rows_bar[0, j] += c * x0
            rows_bar[1, j] += c * x1
            rows_bar[2, j] += c
            rows_bar[3, j] += a0 * u
            rows_bar[4, j] += a1 * u
        b2_bar[0] += a0
        b2_bar[1] += a1
        dz[b, 0], dz[b, 1] = dz0, dz1
        z_bar[b, 0], z_bar[b, 1] = 3.0 * z0 * z0 * x0_bar, 3.0 * z1 * z1 * x1_bar


@njit(error_model="numpy")
def _repeat_f(calls, z, rows, b2, dz):
    for _ in range(calls):
        f(z, rows, b2, dz)
        z[0, 0] += 1e-300 * dz[0, 0]  # each call needs the last one's result, so that none can be left out


@njit(error_model="numpy")
def _repeat_f_and_vjp(calls, z, a, rows, b2, dz, z_bar, rows_bar, b2_bar):
    for _ in range(calls):
        f_and_vjp(z, a, rows, b2, dz, z_bar, rows_bar, b2_bar)
        z[0, 0] += 1e-300 * (dz[0, 0] + z_bar[0, 0])


def works(problem: Problem) -> dict[str, Callable[[], None]]:
    """What to time, under `NAMES`: `CALLS` evaluations at the states z0."""
    rows, b2 = pack(problem.theta)
    z, a = problem.z0.copy(), np.full_like(problem.z0, 0.01)
    dz, z_bar, rows_bar, b2_bar = np.empty_like(z), np.empty_like(z), np.zeros_like(rows), np.zeros_like(b2)
    return {
        NAMES[0]: lambda: _repeat_f(CALLS, z, rows, b2, dz),
        NAMES[1]: lambda: _repeat_f_and_vjp(CALLS, z, a, rows, b2, dz, z_bar, rows_bar, b2_bar),
    }


def error(problem: Problem) -> float:
    """Largest difference of the kernels from the Jacobians of the reference, relative to the largest entry of each."""
    from benchmarks.reference import field_and_jacobians

    rows, b2 = pack(problem.theta)
    z, a = problem.z0, np.random.default_rng(0).normal(size=problem.z0.shape)
    dz, z_bar, rows_bar, b2_bar = np.empty_like(z), np.empty_like(z), np.zeros_like(rows), np.zeros_like(b2)
    f_and_vjp(z, a, rows, b2, dz, z_bar, rows_bar, b2_bar)
    alone = np.empty_like(z)
    f(z, rows, b2, alone)
    true, jacobian, f_theta = field_and_jacobians(z, problem.theta)
    theta_bar = np.concatenate([rows_bar[:2].T.ravel(), rows_bar[2], rows_bar[3:].ravel(), b2_bar])
    pairs = [
        (alone, true),
        (dz, true),
        (z_bar, np.einsum("bi,bij->bj", a, jacobian)),
        (theta_bar, np.einsum("bi,bip->p", a, f_theta)),
    ]
    return max(float(np.abs(got - want).max() / np.abs(want).max()) for got, want in pairs)
