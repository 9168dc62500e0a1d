"""Data sets in the plane to learn densities from: samplers, log densities and entropies.

The entropy of the generator is the least mean of −log p(x) that a model p can reach on fresh data, so that a model's
loss has an absolute scale: what it is above the entropy is the Kullback–Leibler divergence from the generator to it.

Shapes and constants follow the toy data of FFJORD (W. Grathwohl et al., arXiv 1810.01367, `lib/toy_data.py` of its
code), which are widely used: all lie within [−4, 4]², but for a few points in ten thousand. Where the original puts
points at equal distances along a curve, here they are independent draws.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import i0e, roots_legendre

from .base import GaussianMixture, count_of, generator_of, samples_of

Array = NDArray[Any]
Sampler = Callable[[int, Any], Array]
LogDensity = Callable[[ArrayLike], Array]


@dataclass(frozen=True, eq=False)
class DataSet:
    """A distribution in the plane that data are drawn from.

    Parameters
    ----------
    name : str
    sample : callable
        ``sample(n, seed) -> (n, 2)``; the same seed gives the same bits.
    log_prob : callable or None
        ``log_prob(x) -> (B,)`` in nats, where it is known.
    compute_entropy : callable or None
        ``compute_entropy() -> float``; the attribute ``entropy`` calls it once.
    """

    name: str
    sample: Sampler
    log_prob: LogDensity | None = None
    compute_entropy: Callable[[], float] | None = None

    @cached_property
    def entropy(self) -> float | None:
        """Differential entropy −∫ p log p in nats, or None where the density is not known."""
        return None if self.compute_entropy is None else self.compute_entropy()


# ---------------------------------------------------------------- curves with normal noise


def two_moons(noise: float = 0.2) -> DataSet:
    """Two interleaved half circles of radius 2, with normal noise.

    x = (−1, −0.2) + 2 (cos s, sin s) or (1, 0.8) − 2 (cos s, sin s), each with probability ½, s uniform on [0, π], plus
    N(0, noise² I). Twice the moons of scikit-learn's `make_moons`, shifted.

    Its log density is that of the mixture of normals along the curves, by Gauss–Legendre quadrature over s.

    Parameters
    ----------
    noise : float
        Standard deviation, at least 0.02: the number of nodes, and with it the cost of log_prob, grows as 1/noise.
    """

    def curves(v: Array) -> Array:
        arc = 2.0 * np.stack([np.cos(math.pi * v), np.sin(math.pi * v)], -1)
        return np.stack([[-1.0, -0.2] + arc, [1.0, 0.8] - arc])

    return _noisy_curves("two-moons", curves, lambda v: np.ones_like(v), lambda u: u, length=2 * math.pi, noise=noise)


def spirals(noise: float = 0.1) -> DataSet:
    """Two spiral arms of one and a half turns, with normal noise.

    x = ±(−s cos s, s sin s)/3 with s = 3π √u, u uniform on [0, 1], plus N(0, noise² I): nearly uniform along the arms.
    FFJORD's ``2spirals`` without the additional uniform jitter, which would leave no simple density.

    Parameters
    ----------
    noise : float
        Standard deviation, at least 0.02.
    """

    def curves(v: Array) -> Array:
        s = 3.0 * math.pi * v
        arm = np.stack([-s * np.cos(s), s * np.sin(s)], -1) / 3.0
        return np.stack([arm, -arm])

    # With v = √u the arms are smooth functions of v, of density 2v; in u they have the corner of a square root.
    return _noisy_curves("spirals", curves, lambda v: 2.0 * v, np.sqrt, length=15.0, noise=noise)


def _noisy_curves(
    name: str,
    curves: Callable[[Array], Array],
    density: Callable[[Array], Array],
    quantile: Callable[[Array], Array],
    *,
    length: float,
    noise: float,
) -> DataSet:
    """Points on C curves v ↦ (C, n, 2), v in [0, 1] of the given density, plus normal noise.

    Their density ∫ p(v) N(x; c(v), σ² I) dv by Gauss–Legendre quadrature is a mixture of normals at the nodes. With
    nodes at most σ/2 apart its error is of order exp(−2π² 2²), below rounding.
    """
    if not 0.02 <= noise < math.inf:
        raise ValueError(f"noise: got {noise!r}, expected a standard deviation of at least 0.02")

    def sample(n: int, seed: Any) -> Array:
        rng = generator_of(seed)
        points = curves(quantile(rng.uniform(size=count_of(n))))
        chosen = points[rng.integers(len(points), size=n), np.arange(n)]
        return chosen + noise * rng.standard_normal((n, 2))

    def mixture() -> GaussianMixture:
        n = math.ceil(math.pi / 2 * length / (0.5 * noise))  # the middle nodes are π/2 times as far apart as on average
        nodes, weights = roots_legendre(n)
        v = 0.5 * (nodes + 1.0)
        means = curves(v)
        weights = np.tile(0.5 * weights * density(v), len(means)) / len(means)
        return GaussianMixture(means.reshape(-1, 2), noise, weights / np.sum(weights))

    return _of_mixture(name, sample, mixture, noise)


def two_circles(noise: float = 0.24) -> DataSet:
    """Two concentric circles of radii 1.5 and 3, with normal noise.

    x = R (cos s, sin s), R = 1.5 or 3 with probability ½ each, s uniform on [0, 2π], plus N(0, noise² I). Three times
    the circles of scikit-learn's `make_circles`. The density is known in closed form: averaging N(x; c, σ² I) over a
    circle of radius R gives, with r = |x| and the Bessel function I₀,

        p_R(x) = exp(−(r² + R²)/2σ²) I₀(rR/σ²)/(2πσ²)        (S. O. Rice, Bell Syst. Tech. J. 24 (1945) 46)

    and the entropy is an integral over r.

    Parameters
    ----------
    noise : float
        Standard deviation, at least 0.02.
    """
    if not 0.02 <= noise < math.inf:
        raise ValueError(f"noise: got {noise!r}, expected a standard deviation of at least 0.02")
    radii = np.array([1.5, 3.0])

    def sample(n: int, seed: Any) -> Array:
        rng = generator_of(seed)
        s = rng.uniform(0.0, 2.0 * math.pi, count_of(n))
        on_circle = rng.choice(radii, n)[:, None] * np.stack([np.cos(s), np.sin(s)], -1)
        return on_circle + noise * rng.standard_normal((n, 2))

    def log_of_radius(r: Array) -> Array:
        # i0e(y) = exp(−y) I₀(y) does not overflow, and leaves −(r − R)²/2σ² in the exponent
        exponents = -0.5 * ((r[:, None] - radii) / noise) ** 2 + np.log(i0e(r[:, None] * radii / noise**2))
        return np.logaddexp(*exponents.T) - math.log(2.0) - math.log(2.0 * math.pi * noise**2)

    def log_prob(x: ArrayLike) -> Array:
        return log_of_radius(np.hypot(*samples_of(x, 2, "x").T))

    def entropy() -> float:
        end = radii[-1] + 10.0 * noise  # beyond, p < 1e-21
        nodes, weights = roots_legendre(math.ceil(12.0 * end / noise))  # an error of 1e-13
        r = 0.5 * end * (nodes + 1.0)
        logs = log_of_radius(r)
        return -float(np.sum(0.5 * end * weights * 2.0 * math.pi * r * np.exp(logs) * logs))

    return DataSet("two-circles", sample, log_prob, entropy)


# ---------------------------------------------------------------- others


def eight_gaussians() -> DataSet:
    """Eight round normals of standard deviation 0.5/√2 on a circle of radius 4/√2; the density is their mixture."""
    angles = 0.25 * math.pi * np.arange(8)
    means = 4.0 / math.sqrt(2.0) * np.stack([np.cos(angles), np.sin(angles)], -1)
    mixture = GaussianMixture(means, std := 0.5 / math.sqrt(2.0))
    return _of_mixture("8gaussians", mixture.sample, lambda: mixture, std)


def pinwheel() -> DataSet:
    """Five normals, stretched outwards and twisted more the farther out: x = 2 rotation(−2πk/5 − e^r/4) (r, s).

    r ~ N(1, 0.3²), s ~ N(0, 0.1²), k uniform on 0…4. M. Johnson et al., "Composing graphical models with neural
    networks for structured representations and fast inference", NeurIPS 2016. The twist depends on r, not on the
    distance from the origin, and has no inverse in closed form: log_prob and entropy are None.
    """

    def sample(n: int, seed: Any) -> Array:
        rng = generator_of(seed)
        r, s = rng.normal([1.0, 0.0], [0.3, 0.1], (count_of(n), 2)).T
        angle = -0.4 * math.pi * rng.integers(5, size=n) - 0.25 * np.exp(r)
        cos, sin = np.cos(angle), np.sin(angle)
        return 2.0 * np.stack([cos * r - sin * s, sin * r + cos * s], -1)

    return DataSet("pinwheel", sample)


def checkerboard() -> DataSet:
    """Uniform on the eight dark squares, of side 2, of a 4 × 4 board over [−4, 4)²; the entropy is log 32.

    log p(x) = −log 32 on the dark squares, −∞ elsewhere. No flow of a smooth field from a normal can be that: its
    density is positive and continuous.
    """

    def sample(n: int, seed: Any) -> Array:
        rng = generator_of(seed)
        k = rng.integers(8, size=count_of(n))
        row = k // 2
        corner = np.stack([2 * (k % 2) + row % 2, row], -1)
        return 2.0 * (corner + rng.uniform(size=(n, 2))) - 4.0

    def log_prob(x: ArrayLike) -> Array:
        squares = np.floor((samples_of(x, 2, "x") + 4.0) / 2.0)
        dark = np.all((squares >= 0) & (squares < 4), axis=1) & (np.sum(squares, axis=1) % 2 == 0)
        return np.where(dark, -math.log(32.0), -math.inf)

    return DataSet("checkerboard", sample, log_prob, lambda: math.log(32.0))


def _of_mixture(name: str, sample: Sampler, make: Callable[[], GaussianMixture], std: float) -> DataSet:
    """Make a data set whose density is a mixture of normals of one width; the mixture is made when first needed."""
    made: list[GaussianMixture] = []

    def mixture() -> GaussianMixture:
        if not made:
            made.append(make())
        return made[0]

    def entropy() -> float:
        """−∫ p log p by the rectangle rule, whose error falls exponentially in std/spacing: here it is below 1e-9."""
        margin, spacing = 10.0 * std, 0.4 * std  # with 0.5 it is 1e-7, with 0.75 already 1e-6
        low, high = mixture().means.min(0) - margin, mixture().means.max(0) + margin
        x, y = (np.arange(a, b, spacing) for a, b in zip(low, high, strict=True))
        total = 0.0
        for x_i in x:  # row by row: the whole grid against all components does not fit into memory
            logs = mixture().log_prob(np.stack([np.full_like(y, x_i), y], -1))
            total += float(np.sum(np.exp(logs) * logs))
        return -total * spacing**2

    return DataSet(name, sample, lambda x: mixture().log_prob(samples_of(x, 2, "x")), entropy)


_MAKERS: dict[str, Callable[[], DataSet]] = {
    "two-moons": two_moons,
    "two-circles": two_circles,
    "8gaussians": eight_gaussians,
    "pinwheel": pinwheel,
    "checkerboard": checkerboard,
    "spirals": spirals,
}
DATA_SETS = tuple(_MAKERS)


def data_set(name: str) -> DataSet:
    """Make a data set by its name, with its usual noise.

    Parameters
    ----------
    name : str
        One of `DATA_SETS`.

    Raises
    ------
    ValueError
        No data set has this name.
    """
    if name not in _MAKERS:
        raise ValueError(f"name: got {name!r}, expected one of {', '.join(DATA_SETS)}")
    return _MAKERS[name]()
