"""Flow matching: a field is fitted by regression on straight lines; no ODE is solved until the end.

Y. Lipman et al., "Flow matching for generative modeling", arXiv 2210.02747; A. Tong et al., "Improving and generalizing
flow-based generative models with minibatch optimal transport", arXiv 2302.00482. A pair (x₀, x₁) of a base sample and a
data point is joined by a line with its velocity, with σ = σ_min (equations 20 to 23 of Lipman et al.):

    x_t = (1 − (1 − σ) t) x₀ + t x₁,    u = x₁ − (1 − σ) x₀

The *conditional* loss E|v(t, x_t) − u|² has the same gradient in the parameters of v as the *marginal* one,
E|v(t, x_t) − u_t(x_t)|², where u_t(x) = E[u | x_t = x] is the field that carries the base to the data. The two differ
by the variance of u given x_t, which has no parameters: the best v is u_t, and is never seen. marginal.py computes
both where they are known.

The fitted field is a field as any other: `CNF` gives its likelihood and its samples.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment
from scipy.special import roots_legendre

from ..compile import VectorField
from ..sensitivity import odeint
from .base import Base, StandardNormal, generator_of
from .checks import check_samples

Array = NDArray[Any]
COUPLINGS = ("independent", "optimal")


def couple(x0: ArrayLike, x1: ArrayLike, coupling: str = "optimal") -> tuple[Array, Array]:
    """Pair base samples with data points.

    Parameters
    ----------
    x0, x1 : array_like (B, D)
        Independent draws.
    coupling : {"independent", "optimal"}
        ``independent`` leaves the pairs as they come. ``optimal`` permutes x1 such that Σ|x₀ − x₁|² is least: the
        optimal transport between the two sets of points, by the Hungarian method (O(B³): 10 ms for B = 256, 90 ms for
        512). Each set is the same as before, so that the marginals are right; the pairs' lines cross less, and u given
        x_t varies less. The pairing is that of the batches, not of the distributions: B = 1 is independent.

    Returns
    -------
    x0, x1 : array (B, D)

    Raises
    ------
    ValueError
        The shapes differ or the coupling is unknown.
    """
    x0, x1 = _pair(x0, x1)
    if coupling not in COUPLINGS:
        raise ValueError(f"coupling: got {coupling!r}, expected one of {', '.join(COUPLINGS)}")
    if coupling == "independent":
        return x0, x1
    # |x₀ − x₁|² = |x₀|² + |x₁|² − 2 x₀·x₁: a permutation changes the last term alone
    rows, columns = linear_sum_assignment(x0 @ x1.T, maximize=True)
    return x0[rows], x1[columns]


def line(x0: ArrayLike, x1: ArrayLike, t: ArrayLike, sigma: float = 0.0) -> tuple[Array, Array]:
    """Point x_t = (1 − (1 − σ) t) x₀ + t x₁ of each pair's line, and its velocity u = x₁ − (1 − σ) x₀.

    Parameters
    ----------
    x0, x1 : array_like (B, D)
    t : array_like () or (B,)
        In [0, 1].
    sigma : float
        σ in [0, 1): at t = 1 the points of one x₁ are spread with σ around it.

    Returns
    -------
    x_t, u : array (B, D)
    """
    x0, x1 = _pair(x0, x1)
    require_sigma(sigma)
    t = np.broadcast_to(t, len(x0))[:, None]
    return (1.0 - (1.0 - sigma) * t) * x0 + t * x1, x1 - (1.0 - sigma) * x0


def regression(
    field: VectorField, theta: Any, t: ArrayLike, x: ArrayLike, u: ArrayLike, weights: ArrayLike | None = None
) -> tuple[float, Any]:
    """Weighted squares Σ_b w_b |v(t_b, x_b; θ) − u_b|² of a field at given points, with their gradient in θ.

    One call of the field's compiled f and one of its VJP; no ODE is solved.

    Parameters
    ----------
    field : VectorField
        v, with a state of shape (D,).
    theta : structure
        Parameters of v.
    t : array_like () or (B,)
    x, u : array_like (B, D)
        Points, and the velocities wanted there.
    weights : array_like (B,), optional
        1/B each by default: the mean.

    Returns
    -------
    value : float
    gradient : structure of theta
    """
    x, u = _pair(x, u, ("x", "u"))
    x, u = np.ascontiguousarray(x, np.float64), np.ascontiguousarray(u, np.float64)
    B = len(x)
    t = np.array(np.broadcast_to(t, B), np.float64)
    w = np.full(B, 1.0 / B) if weights is None else np.asarray(weights, np.float64)
    p = field.pack(theta)
    residual = _velocity(field, t, x, p) - u
    kernel = field.kernel("vjp_theta")
    p_bar = np.zeros(field.n_params)
    kernel.function(t, x, 2.0 * w[:, None] * residual, p, p_bar, np.empty(kernel.work_size))
    return float(w @ np.sum(residual**2, axis=1)), field.unpack(p_bar)


def matching_loss(
    field: VectorField,
    theta: Any,
    x1: ArrayLike,
    seed: int | np.random.Generator,
    *,
    coupling: str = "independent",
    sigma: float = 0.0,
    base: Base | None = None,
) -> tuple[float, Any]:
    """Draw base samples and times for a batch of data, and return the conditional loss with its gradient.

    The value does not go to 0: it is at best the variance of u given x_t. The parameters' gradient is what counts.

    Parameters
    ----------
    field : VectorField
    theta : structure
    x1 : array_like (B, D)
        Data.
    seed : int or numpy.random.Generator
        Of the base samples and of the times, which are spread evenly: t_b = (b + r)/B in random order, one r uniform on
        [0, 1) for all. Each is uniform on [0, 1], and their mean varies less than that of independent ones.
    coupling : {"independent", "optimal"}
        As in `couple`.
    sigma : float
        As in `line`.
    base : base density, optional
        Standard normal by default.

    Returns
    -------
    value : float
    gradient : structure of theta
    """
    x1 = check_samples("x1", x1, field.size)
    rng = generator_of(seed)
    base = StandardNormal(field.size) if base is None else base
    x0, x1 = couple(base.sample(len(x1), rng), x1, coupling)
    t = rng.permutation((np.arange(len(x1)) + rng.uniform()) / len(x1))
    x, u = line(x0, x1, t, sigma)
    return regression(field, theta, t, x, u)


# ---------------------------------------------------------------- how straight the paths are


def straightness(field: VectorField, theta: Any, x0: ArrayLike, **solver: Any) -> float:
    """Mean over paths of ∫₀¹ |x(1) − x(0) − v(t, x(t))|² dt: 0 if all paths are straight and of constant speed.

    Such a path takes one Euler step. X. Liu et al., "Flow straight and fast", arXiv 2209.03003, section 2.2. The
    integral is by Gauss–Legendre quadrature with 16 nodes.

    Parameters
    ----------
    field : VectorField
    theta : structure
    x0 : array_like (B, D)
        Where the paths begin, at t = 0.
    **solver
        Options of `odeint`.

    Returns
    -------
    float
        In squared units of x.
    """
    nodes, weights = roots_legendre(16)
    ts = np.concatenate([[0.0], 0.5 * (nodes + 1.0), [1.0]])
    x0 = check_samples("x0", x0, field.size)
    zs = odeint(field, x0, ts, theta, **solver).zs
    p, total = field.pack(theta), 0.0
    for t, z, w in zip(ts[1:-1], zs[1:-1], 0.5 * weights, strict=True):
        v = _velocity(field, np.full(len(z), t), np.ascontiguousarray(z, np.float64), p)
        total += w * float(np.mean(np.sum((zs[-1] - zs[0] - v) ** 2, axis=1)))
    return total


def _velocity(field: VectorField, t: Array, x: Array, p: Array) -> Array:
    """Evaluate v at (B,) times and (B, D) points by the compiled f."""
    kernel = field.kernel("f")
    v = np.empty_like(x)
    kernel.function(t, x, p, v, np.empty(kernel.work_size))
    return v


def _pair(a: ArrayLike, b: ArrayLike, names: tuple[str, str] = ("x0", "x1")) -> tuple[Array, Array]:
    """Check two arrays of samples that belong together."""
    a, b = np.asarray(a), np.asarray(b)
    if a.ndim != 2 or a.shape != b.shape:
        raise ValueError(f"{names[0]}, {names[1]}: got shapes {a.shape} and {b.shape}, expected the same (B, D)")
    return a, b


def require_sigma(sigma: float) -> None:
    """Check σ."""
    if not (math.isfinite(sigma) and 0.0 <= sigma < 1.0):
        raise ValueError(f"sigma: got {sigma!r}, expected a number in [0, 1)")
