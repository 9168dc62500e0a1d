r"""Linear stability of a Runge-Kutta method: one step of size h on ``z' = lambda z`` multiplies z by R(h lambda).

    R(z) = 1 + z b^T (I - z A)^-1 1 = P(z) / Q(z),     Q(z) = det(I - z A)

(Hairer & Wanner, Solving Ordinary Differential Equations II, section IV.3). Of an explicit method Q = 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import factorial, inf
from typing import Any

import numpy as np
from numpy.polynomial import polynomial
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]

# Coefficients of P, Q and of their products are sums of rounded terms; what is below this part of the terms' absolute
# values is taken for zero. Q comes from eigenvalues, which lose a few digits.
NOISE = 1e-12


@dataclass(frozen=True, eq=False)
class Stability:
    """The stability function of a method, and what follows from it.

    Parameters
    ----------
    numerator, denominator : array
        Coefficients of P and Q, of the powers 0, 1, ... of z.
    order : int
        Largest p such that ``R(z) = exp(z) + O(z**(p + 1))``; at most 12.
    error_constant : float
        Coefficient of ``z**(p + 1)`` in ``exp(z) - R(z)``.
    real_interval, imaginary_interval : float
        Largest x such that ``|R| <= 1`` on [-x, 0], and on [0, ix]; may be infinite.
    at_infinity : float
        ``|R(infinity)|``.
    a_stable : bool
        Whether ``|R| <= 1`` in the whole left half plane.
    l_stable : bool
        Whether also R(infinity) = 0.
    """

    numerator: Array
    denominator: Array
    order: int
    error_constant: float
    real_interval: float
    imaginary_interval: float
    at_infinity: float
    a_stable: bool
    l_stable: bool

    def __call__(self, z: ArrayLike) -> NDArray[np.complex128]:
        """Evaluate R at complex points of any shape."""
        z = np.asarray(z, dtype=np.complex128)
        return polynomial.polyval(z, self.numerator) / polynomial.polyval(z, self.denominator)


def stability_of(A: Array, b: Array) -> Stability:
    """Derive the stability function of a Runge-Kutta method, and its stability on the axes and in the half plane.

    Parameters
    ----------
    A : array (s, s)
        Runge-Kutta matrix, of any structure.
    b : array (s,)
        Weights.

    Returns
    -------
    Stability
    """
    P, Q = stability_function(A, b)
    series = _series(A, b, 14)
    errors = np.array([1 / factorial(k) for k in range(len(series))]) - series
    missed = np.flatnonzero(abs(errors) > NOISE * _series(abs(A), abs(b), 14))
    order = int(missed[0]) - 1 if len(missed) and missed[0] <= 13 else 12
    real = min(_first_exit(_difference(_reflected(Q), sign * _reflected(P))) for sign in (1, -1))
    poles = polynomial.polyroots(Q) if len(Q) > 1 else np.zeros(0)
    imaginary = _first_exit(_imaginary_excess(P, Q)) ** 0.5
    at_infinity = inf if len(P) > len(Q) else 0.0 if len(P) < len(Q) else abs(float(P[-1] / Q[-1]))
    a_stable = imaginary == inf and bool(np.all(poles.real > 0)) and at_infinity <= 1 + NOISE
    return Stability(
        numerator=P,
        denominator=Q,
        order=order,
        error_constant=float(errors[order + 1]),
        real_interval=real,
        imaginary_interval=imaginary,
        at_infinity=at_infinity,
        a_stable=a_stable,
        l_stable=a_stable and at_infinity == 0.0,
    )


def stability_function(A: Array, b: Array) -> tuple[Array, Array]:
    """Return the coefficients of P and Q, of the powers 0, 1, ... of z, without trailing zeros.

    ``Q(z) = det(I - z A)`` has the coefficients of the characteristic polynomial of A, in reverse order; those of P
    are those of ``Q(z) (1 + z b 1 + z**2 b A 1 + ...)`` up to the power s, beyond which they vanish.

    Parameters
    ----------
    A : array (s, s)
        Runge-Kutta matrix.
    b : array (s,)
        Weights.

    Returns
    -------
    numerator, denominator : array
    """
    s = len(b)
    # np.poly gives the powers from the highest down, which is what the reversal asks for.
    triangular = not np.any(np.triu(A, 1))
    Q = np.poly(np.diag(A) if triangular else A).real
    Q_size = np.poly(-abs(np.diag(A) if triangular else np.linalg.eigvals(A)))
    series, size = _series(A, b, s), _series(abs(A), abs(b), s)
    P, P_size = polynomial.polymul(Q, series)[: s + 1], polynomial.polymul(Q_size, size)[: s + 1]
    return _trimmed(P, P_size), _trimmed(Q, Q_size)


def _series(A: Array, b: Array, terms: int) -> Array:
    """Return the first coefficients of R, which are 1 and ``b A**(k-1) 1``."""
    coefficients, powers = [1.0], np.ones(len(b))
    for _ in range(terms):
        coefficients.append(float(b @ powers))
        powers = A @ powers
    return np.array(coefficients)


def _trimmed(coefficients: Array, size: Array) -> Array:
    """Set round-off to zero, and leave out the zeros of the highest powers."""
    coefficients = np.pad(coefficients, (0, len(size) - len(coefficients)))  # NumPy leaves out exact zeros itself
    clean = np.where(abs(coefficients) <= NOISE * size, 0.0, coefficients)
    return np.trim_zeros(clean, "b") if np.any(clean) else np.zeros(1)


def _reflected(p: Array) -> Array:
    """Return the coefficients of p(-x)."""
    return p * (-1.0) ** np.arange(len(p))


def _difference(p: Array, q: Array, size: Array | None = None) -> Array:
    """Subtract polynomials, without the round-off where coefficients of the given size cancel."""
    return _trimmed(polynomial.polysub(p, q), polynomial.polyadd(abs(p), abs(q)) if size is None else size)


def _imaginary_excess(P: Array, Q: Array) -> Array:
    """Return the coefficients, of powers of ``w = y**2``, of ``|Q(iy)|**2 - |P(iy)|**2``."""

    def square(p: Array, sign: int) -> Array:
        # p(iy) = (p0 - p2 w + p4 w**2 ...) + iy (p1 - p3 w ...); with sign 1, a bound of the terms that add up
        even, odd = (part * float(sign) ** np.arange(len(part)) for part in (p[0::2], p[1::2]))
        odd_squared = polynomial.polymul(odd, odd) if len(odd) else np.zeros(1)
        return polynomial.polyadd(polynomial.polymul(even, even), polynomial.polymulx(odd_squared))

    return _difference(square(Q, -1), square(P, -1), polynomial.polyadd(square(abs(Q), 1), square(abs(P), 1)))


def _first_exit(excess: Array) -> float:
    """Return where a polynomial that starts at or above zero first becomes negative for positive x."""
    excess = np.trim_zeros(excess, "b")
    if not len(excess):
        return inf
    roots = polynomial.polyroots(excess) if len(excess) > 1 else np.zeros(0)
    # A double root does not change the sign; rounding may make it a complex pair, or two real roots close together.
    positive = np.sort(roots[(abs(roots.imag) <= 1e-9 * abs(roots)) & (roots.real > 1e-9)].real)
    edges = np.concatenate([[0.0], positive])
    inside = np.append((edges[:-1] + edges[1:]) / 2, 2 * edges[-1] + 1)
    values = polynomial.polyval(inside, excess)
    sizes = polynomial.polyval(inside, abs(excess))
    negative = np.flatnonzero(values < -1e-11 * sizes)
    return float(edges[negative[0]]) if len(negative) else inf
