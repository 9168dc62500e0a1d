"""The order that a Runge-Kutta method shows in use: a second route, which knows nothing of trees.

Three problems with known solutions are solved with more and more steps of equal size. Where the error falls like
``n**-p``, p is the measured order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf, nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .order import RANDOM_THETAS

Array = NDArray[Any]

STEPS = np.array([3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192])
FINEST = 7  # the order is read off this many numbers of steps, the largest whose errors stand out of round-off
# Compensated sums keep round-off near 3e-16. A method whose terms of order p + 1 are ten times those of order p, such
# as dopri5, shows its order only where errors are this small.
ROUND_OFF = 3e-15
ITERATIONS = 12  # of Newton's method; where these do not converge, the step is too large for the method


@dataclass(frozen=True)
class Problem:
    """An initial value problem with a known solution; it starts at t = 0.

    Parameters
    ----------
    name : str
    f : callable
        ``f(t (...), z (..., D)) -> dz (..., D)``.
    jacobian : callable
        ``jacobian(t (...), z (..., D)) -> df/dz (..., D, D)``.
    exact : callable
        ``exact(t (...)) -> z (..., D)``.
    """

    name: str
    f: Callable[[Array, Array], Array]
    jacobian: Callable[[Array, Array], Array]
    exact: Callable[[Array], Array]


@dataclass(frozen=True, eq=False)
class Measurement:
    """Errors of one problem for several numbers of steps.

    Parameters
    ----------
    problem : str
    steps : array (n,)
        Numbers of steps on 0 <= t <= 1, or 1 / step size.
    errors : array (n,)
        Root mean square over the steps; infinite where the method failed.
    order : float
        NaN if too few errors are above round-off.
    """

    problem: str
    steps: Array
    errors: Array
    order: float


def _riccati() -> Problem:
    """Return ``z' = z**2 cos t``, ``z = 1 / (2 - sin t)``: nonlinear, scalar, depends on t."""
    return Problem(
        "scalar, non-autonomous",
        f=lambda t, z: z**2 * np.cos(t)[..., None],
        jacobian=lambda t, z: (2 * z * np.cos(t)[..., None])[..., None],
        exact=lambda t: 1 / (2 - np.sin(t))[..., None],
    )


def _spiral(clock: Callable[[Array], Array], rate: Callable[[Array], Array], name: str) -> Problem:
    """Return ``z' = rate(t) ((1 - r**2) z + r**2 J z)``, J a quarter turn, r = |z|, and ``clock' = rate``.

    In the time of the clock ``r**2 = q / (1 + q)``, ``q = r0**2 exp(2t) / (1 - r0**2)``, and the angle grows by half
    the logarithm of ``(1 + q) (1 - r0**2)``.
    """
    r2_0 = 0.3
    turn = np.array([[0.0, -1.0], [1.0, 0.0]])

    def f(t: Array, z: Array) -> Array:
        r2 = (z**2).sum(axis=-1, keepdims=True)
        return rate(t)[..., None] * ((1 - r2) * z + r2 * z @ turn.T)

    def jacobian(t: Array, z: Array) -> Array:
        r2 = (z**2).sum(axis=-1)[..., None, None]
        by_r2 = (z @ turn.T - z)[..., :, None] * 2 * z[..., None, :]
        return rate(t)[..., None, None] * ((1 - r2) * np.eye(2) + r2 * turn + by_r2)

    def exact(t: Array) -> Array:
        q = r2_0 / (1 - r2_0) * np.exp(2 * clock(t))
        angle = np.log((1 + q) * (1 - r2_0)) / 2
        return np.sqrt(q / (1 + q))[..., None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)

    return Problem(name, f, jacobian, exact)


SCALAR = _riccati()
AUTONOMOUS = _spiral(lambda t: t, np.ones_like, "2-D, autonomous")
NON_AUTONOMOUS = _spiral(lambda t: t + np.sin(2 * t) / 4, lambda t: 1 + np.cos(2 * t) / 2, "2-D, non-autonomous")
PROBLEMS = (SCALAR, AUTONOMOUS, NON_AUTONOMOUS)


def measured_order(A: Array, b: Array, c: Array, problem: Problem, *, steps: Array = STEPS) -> Measurement:
    """Solve a problem on 0 <= t <= 1 with several numbers of steps, and compare the errors.

    Parameters
    ----------
    A, b, c : array
        Of any Runge-Kutta method; implicit stages are found by Newton's method.
    problem : Problem
    steps : array of int

    Returns
    -------
    Measurement
    """
    z = problem.exact(np.zeros(len(steps)))  # a row for each number of steps; rows that have arrived stand still
    lost, square = np.zeros_like(z), np.zeros(len(steps))
    exact = problem.exact(np.arange(1, steps.max() + 1)[:, None] / steps)
    with np.errstate(all="ignore"):  # a method that is unstable at this step overflows: that is a result too
        for i in range(int(steps.max())):
            h = np.where(i < steps, 1 / steps, 0.0)
            # Kahan's sum: what rounding took from one step is added to the next.
            change = h[:, None] * (b @ stages(A, c, problem, i / steps, z, h)) - lost
            lost, z = (z + change) - z - change, z + change
            square += np.where(i < steps, ((z - exact[i]) ** 2).sum(axis=1), 0.0)
    return _measurement(problem.name, steps, np.sqrt(square / steps), 0)


def measured_dense_order(A: Array, c: Array, interpolant: Array, problem: Problem = NON_AUTONOMOUS) -> Measurement:
    """Compare dense output within single steps of many sizes: its errors fall with the power order + 1 of the size.

    Parameters
    ----------
    A, c, interpolant : array
        As in `ClaimedTableau`.
    problem : Problem

    Returns
    -------
    Measurement
    """
    h = 1 / STEPS
    start, square = problem.exact(np.zeros_like(h)), np.zeros_like(h)
    with np.errstate(all="ignore"):  # as above
        k = stages(A, c, problem, np.zeros_like(h), start, h)
        for theta in RANDOM_THETAS:
            weights = interpolant @ theta ** np.arange(1, interpolant.shape[1] + 1)
            square += ((start + h[:, None] * (weights @ k) - problem.exact(theta * h)) ** 2).sum(axis=1)
    return _measurement(problem.name, STEPS, np.sqrt(square / len(RANDOM_THETAS)), 1)


def stages(A: Array, c: Array, problem: Problem, t: Array, z: Array, h: Array) -> Array:
    """Return the slopes ``k_i = f(t + c_i h, z + h sum_j A_ij k_j)`` of one step, for n rows at once.

    Parameters
    ----------
    A : array (s, s)
    c : array (s,)
    problem : Problem
    t, h : array (n,)
    z : array (n, D)

    Returns
    -------
    array (n, s, D)
        NaN where Newton's method does not converge.
    """
    s, (n, D) = len(c), z.shape
    k = np.zeros((n, s, D))
    if not np.any(np.triu(A)):
        for i in range(s):
            k[:, i] = problem.f(t + c[i] * h, z + h[:, None] * (A[i, :i] @ k[:, :i]))
        return k
    times, hA = t[:, None] + c * h[:, None], h[:, None, None] * A
    for _ in range(ITERATIONS):
        at = z[:, None] + hA @ k
        residual = k - problem.f(times, at)
        # d residual_ia / d k_jb = delta_ij delta_ab - h A_ij J_i,ab
        coupling = np.einsum("nij,niab->niajb", hA, problem.jacobian(times, at)).reshape(n, s * D, s * D)
        try:
            change = np.linalg.solve(np.eye(s * D) - coupling, residual.reshape(n, s * D, 1)).reshape(k.shape)
        except np.linalg.LinAlgError:
            return np.full_like(k, nan)
        k = k - change
        relative = (abs(change) / (1 + abs(k))).max(axis=(1, 2), keepdims=True)
        if np.all(relative <= 1e-15):
            break
    # The last change may be round-off, which need not become smaller.
    return np.where(relative <= 1e-12, k, nan)


def _measurement(problem: str, steps: Array, errors: Array, order_of_error: int) -> Measurement:
    errors = np.where(np.isfinite(errors), errors, inf)
    usable = np.flatnonzero((errors > ROUND_OFF) & (errors < 1.0))[-FINEST:]
    order = nan
    if len(usable) >= 3:
        n, error = steps[usable].astype(np.float64), errors[usable]
        # log error = constant - p log n + constant / n: the next power of 1 / n counts while errors are large
        columns = [np.ones_like(n), -np.log(n), 1 / n][: len(n) - 1]
        weights = 1 / np.hypot(1, 3 * ROUND_OFF / error)  # round-off counts where they are small
        matrix = np.stack(columns, axis=1) * weights[:, None]
        order = float(np.linalg.lstsq(matrix, np.log(error) * weights, rcond=None)[0][1])
    return Measurement(problem, steps, errors, order - order_of_error)
