"""Target densities to be matched by reverse KL: the energies U₁ to U₄ of Rezende & Mohamed, with their integrals.

D. J. Rezende and S. Mohamed, "Variational inference with normalizing flows", ICML 2015, table 1: p(z) ∝ exp(−U(z)).
R. Chen et al., arXiv 1806.07366, match such densities in figure 4. As printed, U₂, U₃ and U₄ have no density: they do
not grow along their ridge z₂ = sin(πz₁/2), and exp(−U) has an infinite integral. Here all four get walls

    ½ (max(|z₁| − 4, 0)/0.4)²

which leave the square [−4, 4]² of the papers' figures as it is, and make a density with a normalising constant, so that
the reverse KL is an absolute number that is 0 at best.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import roots_legendre

from ..autodiff import sigmoid, softplus
from ..compile import VectorField, vector_field
from .base import samples_of

Array = NDArray[Any]
WALL = 4.0  # where the walls begin


@dataclass(frozen=True)
class Target:
    """A density p(z) = exp(−U(z))/Z in the plane, known by its energy.

    Parameters
    ----------
    name : str
    energy : callable
        U(z) in plain NumPy, z (2,) or (..., 2): it is traced for its gradient.
    """

    name: str
    energy: Callable[[Any], Any]

    @property
    def dim(self) -> int:
        """D = 2."""
        return 2

    @cached_property
    def log_normaliser(self) -> float:
        """Compute log Z = log ∫ exp(−U(z)) dz by Gauss–Legendre quadrature between and beyond the walls, to 1e-10."""
        nodes, weights = roots_legendre(240)
        wings = [(-WALL - 4.0, -WALL), (-WALL, WALL), (WALL, WALL + 4.0)]  # 4 is ten deviations
        z1 = np.concatenate([0.5 * (a + b + (b - a) * nodes) for a, b in wings])
        w1 = np.concatenate([0.5 * (b - a) * weights for a, b in wings])
        z2, w2 = 9.0 * nodes, 9.0 * weights  # the ridge stays within ±1, its branches within ±4
        grid = np.stack(np.broadcast_arrays(z1[:, None], z2), -1)
        return math.log(w1 @ np.exp(-self.energy(grid)) @ w2)

    def log_prob(self, z: ArrayLike) -> Array:
        """Log density of each row of z (B, 2), normalised: (B,)."""
        return -np.asarray(self.energy(samples_of(z, 2))) - self.log_normaliser

    def score(self, z: ArrayLike) -> Array:
        """Gradient of the log density at each row of z (B, 2): −∂U/∂z, (B, 2)."""
        z = samples_of(z, 2).astype(np.float64)
        kernel = _as_field(self.energy).kernel("vjp_z")
        values, score = np.empty_like(z), np.empty_like(z)
        minus_first = np.broadcast_to([-1.0, 0.0], z.shape).copy()
        kernel.function(np.zeros(len(z)), z, minus_first, np.empty(0), values, score, np.empty(kernel.work_size))
        return score


@lru_cache(maxsize=16)
def _as_field(energy: Callable[[Any], Any]) -> VectorField:
    """Compile (U(z), 0), which has the shape of a field: the first row of its VJP is ∂U/∂z."""

    def potential(t: Any, z: Any) -> Any:
        return np.stack([energy(z), 0.0 * z[1]])

    return vector_field(potential, np.zeros(2))


def _walls(z: Any) -> Any:
    """Energy of the walls: once continuously differentiable, as a solver's or an optimiser's gradient wants it."""
    return 0.5 * (np.maximum(np.abs(z[..., 0]) - WALL, 0.0) / 0.4) ** 2


def _either(a: Any, b: Any) -> Any:
    """−log(e^−a + e^−b), the energy of a sum of two densities, without overflow."""
    return a - softplus(a - b)


def _half_square(x: Any, deviation: float) -> Any:
    return 0.5 * (x / deviation) ** 2


def _w1(z: Any) -> Any:
    """Ridge that U₂, U₃ and U₄ follow."""
    return np.sin(0.5 * math.pi * z[..., 0])


def u1(z: Any) -> Any:
    """Two crescents, left and right on a ring of radius 2: U₁ of table 1."""
    # An offset of 1e-12 keeps the derivative of the root finite at the origin, where U is 18.
    radius = np.sqrt(z[..., 0] ** 2 + z[..., 1] ** 2 + 1e-12)
    sides = _either(_half_square(z[..., 0] - 2.0, 0.6), _half_square(z[..., 0] + 2.0, 0.6))
    return _half_square(radius - 2.0, 0.4) + sides + _walls(z)


def u2(z: Any) -> Any:
    """A sine wave: U₂ of table 1."""
    return _half_square(z[..., 1] - _w1(z), 0.4) + _walls(z)


def u3(z: Any) -> Any:
    """A sine wave that splits in two around z₁ = 1: U₃ of table 1, with w₂ = 3 exp(−½((z₁ − 1)/0.6)²)."""
    split = 3.0 * np.exp(-_half_square(z[..., 0] - 1.0, 0.6))
    offset = z[..., 1] - _w1(z)
    return _either(_half_square(offset, 0.35), _half_square(offset + split, 0.35)) + _walls(z)


def u4(z: Any) -> Any:
    """A sine wave that forks at z₁ = 1: U₄ of table 1, with w₃ = 3 sigmoid((z₁ − 1)/0.3)."""
    fork = 3.0 * sigmoid((z[..., 0] - 1.0) / 0.3)
    offset = z[..., 1] - _w1(z)
    return _either(_half_square(offset, 0.4), _half_square(offset + fork, 0.35)) + _walls(z)


TARGETS = {u.__name__: Target(u.__name__, u) for u in (u1, u2, u3, u4)}


def target(name: str) -> Target:
    """Return a target density by its name, ``"u1"`` to ``"u4"``.

    Raises
    ------
    ValueError
        No target has this name.
    """
    if name not in TARGETS:
        raise ValueError(f"name: got {name!r}, expected one of {', '.join(TARGETS)}")
    return TARGETS[name]
