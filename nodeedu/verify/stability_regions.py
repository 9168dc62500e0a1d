"""Stability regions of all methods of fixed steps, measured on the solvers themselves.

On ``z' = lambda z`` a method of fixed steps h is stable where ``h lambda`` leaves z bounded (Hairer & Wanner, Solving
Ordinary Differential Equations II, IV.2 and V.1). With h = 1 every sample of one batch has its own lambda = a + i b, as
two more components of its state that do not move:

    x' = a x - b y,    y' = b x + a y,    a' = b' = 0

Symplectic methods want another test, ``q' = w p, p' = -w q``: their stability is an interval of w.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..compile import VectorField, vector_field
from ..solvers.arguments import check_inputs, check_options
from ..solvers.solve import solve

Array = NDArray[Any]
STEPS = 400  # the second half is looked at: what else the method carries along has died out, or has taken over
SLACK = 1e-3  # on a growth of 1 for each step: e^{0.2} in the second half, which a bounded solution may make by turning


def _rotation(t: Any, z: Any) -> Any:
    x, y, a, b = z
    return np.stack([a * x - b * y, b * x + a * y, 0.0 * a, 0.0 * b])


def _oscillator(t: Any, z: Any, w: Any) -> Any:
    q, p = z
    return np.stack([w * p, -w * q])


@cache
def _fields() -> tuple[VectorField, VectorField]:
    return vector_field(_rotation, np.zeros(4)), vector_field(_oscillator, np.zeros(2), 1.0)


def growth(method: str, points: ArrayLike) -> Array:
    """Return by what factor a step multiplies the solution of ``z' = lambda z``, in the long run.

    Parameters
    ----------
    method : str
        A method of fixed steps, or any explicit Runge-Kutta method.
    points : array of complex
        h lambda, of any shape.

    Returns
    -------
    array
        Of the shape of points: ``(|z_N| / |z_{N/2}|)^(2/N)``; infinite where z overflows, 0 where it underflows.
    """
    at = np.asarray(points, complex)
    z0 = np.stack([np.ones(at.size), np.full(at.size, 0.3), at.real.ravel(), at.imag.ravel()], axis=1)
    z = _solve(_fields()[0], z0, [0.0, STEPS / 2, float(STEPS)], None, method)
    with np.errstate(all="ignore"):
        half, whole = np.hypot(z[1:, :, 0], z[1:, :, 1])
        factor = np.where(np.isfinite(whole), (whole / half) ** (2.0 / STEPS), math.inf)
    return np.where(whole < 1e-300, 0.0, factor).reshape(at.shape)


def _solve(field: VectorField, z0: Array, ts: list[float], theta: Any, method: str) -> Array:
    """Return the states (T, B, D) with steps of 1; a sample that overflows is no error here."""
    return solve(check_inputs(field, z0, ts, theta), check_options(method, step_size=1.0))._states


def is_stable(method: str, points: ArrayLike) -> Array:
    """Return whether z stays bounded, up to `SLACK`, for every h lambda in points."""
    return growth(method, points) <= 1.0 + SLACK


def real_interval(method: str, longest: float = 100.0) -> float:
    """Return the largest x such that a method is stable on [-x, 0], up to 1e-3 or so; at most `longest`."""
    return _edge(lambda x: is_stable(method, -x), longest)


def oscillation_interval(method: str, longest: float = 10.0) -> float:
    """Return the largest x such that a one-step method is stable on ``q' = w p, p' = -w q`` for h w in (0, x].

    There a step is a matrix, which is found from what it makes of unit vectors. It must have no eigenvalue above 1.
    """
    field = _fields()[1]

    def stable(x: Array) -> Array:
        steps = [_solve(field, np.eye(2), [0.0, 1.0], w, method)[1] for w in x]
        return np.array([abs(np.linalg.eigvals(step)).max() <= 1.0 + SLACK for step in steps])

    return _edge(stable, longest, 32)


def _edge(stable: Callable[[Array], Array], longest: float, samples: int = 128) -> float:
    """Return where stability is first lost: by a scan, and by scans of the gap that is left."""
    low, high = 0.0, longest
    for _ in range(4):
        x = np.linspace(low, high, samples + 1)[1:]
        lost = np.flatnonzero(~stable(x))
        if not len(lost):
            return high
        low, high = (x[lost[0] - 1] if lost[0] else low), x[lost[0]]
    return float(low)
