"""The marginal side of flow matching, for finitely many data points: what the regression has for its mean.

With a standard normal base and K data points all that flow matching averages over is known: the density of x_t is a
mixture of normals, and its velocity field u_t a weighted mean. It carries the base to the kernel density of the data.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..compile import VectorField
from .base import GaussianMixture, StandardNormal, samples_of
from .checks import check_samples
from .matching import line, regression, require_sigma

Array = NDArray[Any]


def marginal_density(t: float, data: ArrayLike, sigma: float) -> GaussianMixture:
    """Density of x_t when x₀ is standard normal and x₁ one of K data points: Σ_k N(t d_k, (1 − (1 − σ) t)² I)/K.

    Parameters
    ----------
    t : float
        In [0, 1].
    data : array_like (K, D)
    sigma : float
        In (0, 1), or 0 if t < 1.
    """
    require_sigma(sigma)
    return GaussianMixture(t * np.asarray(data, np.float64), 1.0 - (1.0 - sigma) * t)


def marginal_field(t: float, x: ArrayLike, data: ArrayLike, sigma: float) -> Array:
    """Field u_t(x) = E[u | x_t = x] that carries N(0, I) to the kernel density of K data points.

    Given x₁ = d_k, x₀ is (x − t d_k)/s with s = 1 − (1 − σ) t, and u = (d_k − (1 − σ) x)/s (arXiv 2210.02747, equation
    21). Averaged with the probability of each d_k given x (equation 8):

        u_t(x) = (Σ_k share_k(x) d_k − (1 − σ) x)/s

    Parameters
    ----------
    t : float
    x : array_like (B, D)
    data : array_like (K, D)
    sigma : float
        As for `marginal_density`.

    Returns
    -------
    array (B, D)
    """
    density = marginal_density(t, data, sigma)
    x = samples_of(x, density.dim, "x")
    return (density.shares(x) @ np.asarray(data, np.float64) - (1.0 - sigma) * x) / (1.0 - (1.0 - sigma) * t)


def conditional_and_marginal(
    field: VectorField, theta: Any, t: float, data: ArrayLike, sigma: float
) -> tuple[tuple[float, Any], tuple[float, Any]]:
    """Compute the conditional and the marginal loss at one time, each with its gradient, without random numbers.

        conditional: Σ_k 1/K ∫ N(x₀; 0, I) |v(t, x_t) − u|² dx₀          marginal: ∫ p_t(x) |v(t, x) − u_t(x)|² dx

    Both integrals are by the rectangle rule, which is exact to rounding for smooth v, over different points: the first
    over a grid of x₀ for each data point, the second over a grid of x. That the gradients agree is theorem 2 of arXiv
    2210.02747; it is not visible in the points.

    Parameters
    ----------
    field : VectorField
        v, with a state of shape (D,), D = 1 or 2.
    theta : structure
    t : float
        In [0, 1).
    data : array_like (K, D)
    sigma : float
        As for `marginal_density`.

    Returns
    -------
    conditional, marginal : (float, structure of theta)
        Value and gradient of each.
    """
    data = check_samples("data", data, field.size)
    if field.size > 2:
        raise ValueError(f"field: got D = {field.size}, expected 1 or 2: the grids have exponentially many points")
    K = len(data)
    x0, cell = _grid(np.full(field.size, -9.0), np.full(field.size, 9.0), 0.15)
    weights = np.tile(np.exp(StandardNormal(field.size).log_prob(x0)) * cell / K, K)
    x, u = line(np.tile(x0, (K, 1)), np.repeat(data, len(x0), axis=0), t, sigma)
    conditional = regression(field, theta, t, x, u, weights)

    density = marginal_density(t, data, sigma)
    s = float(density.std[0])
    x, cell = _grid(density.means.min(0) - 9.0 * s, density.means.max(0) + 9.0 * s, 0.15 * s)
    weights = np.exp(density.log_prob(x)) * cell
    return conditional, regression(field, theta, t, x, marginal_field(t, x, data, sigma), weights)


def _grid(low: Array, high: Array, spacing: float) -> tuple[Array, float]:
    """Points (n, D) of a grid over a box, and the volume of a cell."""
    axes = [np.arange(a, b + spacing, spacing) for a, b in zip(low, high, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, len(axes)), spacing ** len(axes)
