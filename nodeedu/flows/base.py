"""Base densities: what a flow starts from at t0.

A base density is a frozen record with ``dim``, ``log_prob(z) -> (B,)``, ``score(z) -> (B, D)`` and
``sample(n, seed) -> (n, D)``. Anything with these four will do in the place of the ones below.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]
LOG_2PI = math.log(2.0 * math.pi)


@runtime_checkable
class Base(Protocol):
    """What a flow needs to know of its base density."""

    @property
    def dim(self) -> int:
        """D, the dimension of one sample."""

    def log_prob(self, z: ArrayLike) -> Array:
        """Log density of each row of z (B, D), in nats."""

    def score(self, z: ArrayLike) -> Array:
        """Gradient ∂ log p/∂z of each row of z (B, D)."""

    def sample(self, n: int, seed: int | np.random.Generator) -> Array:
        """Draw n rows (n, D)."""


@dataclass(frozen=True)
class StandardNormal:
    """The standard normal N(0, I): log p(z) = −(|z|² + D log 2π)/2.

    Parameters
    ----------
    dim : int
        D, at least 1.

    Raises
    ------
    ValueError
        ``dim`` is not a positive integer.
    """

    dim: int

    def __post_init__(self) -> None:
        if not isinstance(self.dim, (int, np.integer)) or isinstance(self.dim, bool) or self.dim < 1:
            raise ValueError(f"dim: got {self.dim!r}, expected a positive integer")
        object.__setattr__(self, "dim", int(self.dim))

    def log_prob(self, z: ArrayLike) -> Array:
        """Log density of each row of z (B, D): (B,), in nats."""
        z = samples_of(z, self.dim)
        return -0.5 * np.einsum("bi,bi->b", z, z) - 0.5 * self.dim * LOG_2PI

    def score(self, z: ArrayLike) -> Array:
        """Gradient of the log density at each row: −z, (B, D)."""
        return -samples_of(z, self.dim)

    def sample(self, n: int, seed: int | np.random.Generator) -> Array:
        """Draw n rows, (n, D) float64; the same seed gives the same bits."""
        return generator_of(seed).standard_normal((count_of(n), self.dim))


@dataclass(frozen=True, eq=False)
class Gaussian:
    """A normal density N(m, C): log p(z) = −(|L⁻¹(z − m)|² + D log 2π)/2 − Σ_i log L_ii with C = L Lᵀ.

    Parameters
    ----------
    mean : array_like (D,)
    covariance : array_like (D, D) or (D,)
        Symmetric and positive definite; a vector is the diagonal, the variances.

    Raises
    ------
    ValueError
        The shapes do not fit, an entry is not finite, or the covariance is not symmetric and positive definite.
    """

    mean: Array
    covariance: Array

    def __post_init__(self) -> None:
        mean = _frozen("mean", self.mean)
        if mean.ndim != 1 or not mean.size:
            raise ValueError(f"mean: got shape {mean.shape}, expected one vector (D,)")
        covariance = np.asarray(self.covariance, np.float64)
        D = len(mean)
        if covariance.shape not in ((D,), (D, D)):
            raise ValueError(f"covariance: got shape {covariance.shape}, expected {(D, D)}, or {(D,)} for a diagonal")
        covariance = _frozen("covariance", np.diag(covariance) if covariance.ndim == 1 else covariance)
        if not np.array_equal(covariance, covariance.T):
            raise ValueError("covariance: got a matrix that is not symmetric; (C + C.T) / 2 makes it so")
        object.__setattr__(self, "mean", mean)
        object.__setattr__(self, "covariance", covariance)
        try:
            object.__setattr__(self, "_factor", np.linalg.cholesky(covariance))
        except np.linalg.LinAlgError:
            smallest = np.linalg.eigvalsh(covariance)[0]
            raise ValueError(
                f"covariance: its smallest eigenvalue is {smallest:.3g}, expected positive ones only"
            ) from None

    @property
    def dim(self) -> int:
        """D, the dimension of one sample."""
        return len(self.mean)

    @cached_property
    def _inverse_factor(self) -> Array:
        """L⁻¹ of the Cholesky factor L."""
        return np.linalg.inv(self._factor)  # type: ignore[attr-defined]

    def log_prob(self, z: ArrayLike) -> Array:
        """Log density of each row of z (B, D): (B,), in nats."""
        w = (samples_of(z, self.dim) - self.mean) @ self._inverse_factor.T
        log_det = np.sum(np.log(np.diag(self._inverse_factor)))
        return log_det - 0.5 * np.einsum("bi,bi->b", w, w) - 0.5 * self.dim * LOG_2PI

    def score(self, z: ArrayLike) -> Array:
        """Gradient of the log density at each row: −C⁻¹(z − m), (B, D)."""
        return -(samples_of(z, self.dim) - self.mean) @ self._inverse_factor.T @ self._inverse_factor

    def sample(self, n: int, seed: int | np.random.Generator) -> Array:
        """Draw n rows, (n, D) float64; the same seed gives the same bits."""
        noise = generator_of(seed).standard_normal((count_of(n), self.dim))
        return self.mean + noise @ self._factor.T  # type: ignore[attr-defined]


@dataclass(frozen=True, eq=False)
class GaussianMixture:
    """A mixture of round normals: p(z) = Σ_k w_k N(z; m_k, s_k² I).

    Its modes are far apart where a flow from one Gaussian must tear; as a base it does the tearing itself.

    Parameters
    ----------
    means : array_like (K, D)
    std : float or array_like (K,)
        s_k, positive.
    weights : array_like (K,), optional
        w_k, positive with sum 1; all equal by default.

    Raises
    ------
    ValueError
        The shapes do not fit, a standard deviation or weight is not positive, or the weights do not sum to 1.
    """

    means: Array
    std: Any
    weights: Any = None

    def __post_init__(self) -> None:
        means = _frozen("means", self.means)
        if means.ndim != 2 or not means.size:
            raise ValueError(f"means: got shape {means.shape}, expected (K, D), a component a row")
        K = len(means)
        std = _frozen("std", self.std)
        if std.shape not in ((), (K,)) or not np.all(std > 0.0):
            raise ValueError(f"std: got {self.std!r}, expected one positive number, or {K} for the components")
        weights = _frozen("weights", np.full(K, 1.0 / K) if self.weights is None else self.weights)
        if weights.shape != (K,) or not np.all(weights > 0.0) or abs(np.sum(weights) - 1.0) > 1e-12:
            raise ValueError(f"weights: got {self.weights!r}, expected {K} positive numbers with sum 1")
        std = np.broadcast_to(std, (K,))
        for name, value in (("means", means), ("std", std), ("weights", weights)):
            object.__setattr__(self, name, value)

    @property
    def dim(self) -> int:
        """D, the dimension of one sample."""
        return self.means.shape[1]

    def _logs(self, z: Array) -> tuple[Array, Array]:
        """Largest of the log densities of the components at each row (B, 1), and all of them less it (B, K)."""
        distance = sum((z[:, i, None] - self.means[:, i]) ** 2 for i in range(self.dim))
        constants = np.log(self.weights) - self.dim * (np.log(self.std) + 0.5 * LOG_2PI)
        logs = constants - 0.5 * distance / self.std**2
        top = np.max(logs, axis=1, keepdims=True)  # far out all terms underflow: factor the largest out
        return top, logs - top

    def log_prob(self, z: ArrayLike) -> Array:
        """Log density of each row of z (B, D): (B,), in nats."""
        top, logs = self._logs(samples_of(z, self.dim))
        return top[:, 0] + np.log(np.sum(np.exp(logs), axis=1))

    def shares(self, z: ArrayLike) -> Array:
        """Probability that each row came from each component: w_k N(z; m_k, s_k² I)/p(z), (B, K)."""
        parts = np.exp(self._logs(samples_of(z, self.dim))[1])
        return parts / np.sum(parts, axis=1, keepdims=True)

    def score(self, z: ArrayLike) -> Array:
        """Gradient of the log density at each row: Σ_k share_k(z) (m_k − z)/s_k², (B, D)."""
        z = samples_of(z, self.dim)
        pulls = self.shares(z) / self.std**2
        return pulls @ self.means - np.sum(pulls, axis=1, keepdims=True) * z

    def sample(self, n: int, seed: int | np.random.Generator) -> Array:
        """Draw n rows, (n, D) float64; the same seed gives the same bits."""
        rng = generator_of(seed)
        k = rng.choice(len(self.means), size=count_of(n), p=self.weights)
        return self.means[k] + self.std[k, None] * rng.standard_normal((len(k), self.dim))


def samples_of(z: ArrayLike, dim: int, name: str = "z") -> Array:
    """Check samples: an array (B, dim) of float64 or float32 (anything else becomes float64)."""
    z = np.asarray(z)
    if z.dtype not in (np.float64, np.float32):
        z = z.astype(np.float64)
    if z.ndim != 2 or z.shape[1] != dim:
        raise ValueError(f"{name}: got shape {z.shape}, expected (B, {dim}), a sample a row")
    return z


def generator_of(seed: int | np.random.Generator) -> np.random.Generator:
    """Make a generator of a seed; None, which would differ from run to run, is refused."""
    if seed is None:
        raise ValueError("seed: got None, expected an integer or a numpy Generator: runs must be repeatable")
    return np.random.default_rng(seed)


def count_of(n: int) -> int:
    """Check a number of samples."""
    if not isinstance(n, (int, np.integer)) or isinstance(n, bool) or n < 0:
        raise ValueError(f"n: got {n!r}, expected a number of samples, an integer that is not negative")
    return int(n)


def _frozen(name: str, x: Any) -> Array:
    """Copy to a read-only array of finite float64."""
    x = np.array(x, np.float64)
    if not np.all(np.isfinite(x)):
        raise ValueError(f"{name}: got an entry that is not finite")
    x.flags.writeable = False
    return x
