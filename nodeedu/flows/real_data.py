"""Real data for densities, made ready for a flow: standardised, with the way back and its log-determinant.

A flow learns best from data of mean 0 and deviation 1, but a likelihood must be told in the units of the data, or it is
not comparable. With x = T(y) for data y, the densities belong together by log p(y) = log p(x) + log |det ∂T/∂y|, and
`RealData.log_det` is that last term.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import data
from .base import generator_of, samples_of

Array = NDArray[Any]

EARTH_RADIUS = 6371.0  # kilometres, the mean
_EDGE = 0.01  # α below. 1e-6 leaves long tails (a normal fitted to them costs 0.05 bits more), 0.05 short ones (0.17)


@dataclass(frozen=True, eq=False)
class RealData:
    """Standardised data x = (g(y) − mean)/scale, with g the identity, or the logit of a grey level.

    A grey level y in [0, levels) first becomes g(y) = log(u/(1 − u)), u = α + (1 − 2α) y/levels with α = 0.01: the flow
    need not learn that nothing lies outside of an interval (L. Dinh et al., "Density estimation using Real NVP", ICLR
    2017, section 4.1).

    Attributes
    ----------
    name : str
    x : array (n, D)
        Mean 0 and deviation 1 in each column; read-only.
    mean, scale : array (D,)
    columns : tuple of str
        What each column of the data is, with its unit.
    levels : int or None
        Number of grey levels.
    """

    name: str
    x: Array
    mean: Array
    scale: Array
    columns: tuple[str, ...]
    levels: int | None = None

    @property
    def dim(self) -> int:
        """D, the number of columns."""
        return len(self.mean)

    def to_data(self, x: ArrayLike) -> Array:
        """Map standardised rows x (B, D) to the units of the data."""
        g = samples_of(x, self.dim, "x") * self.scale + self.mean
        if self.levels is None:
            return g
        return self.levels * (0.5 + 0.5 * np.tanh(0.5 * g) - _EDGE) / (1.0 - 2.0 * _EDGE)

    def from_data(self, y: ArrayLike) -> Array:
        """Map rows in the units of the data y (B, D) to standardised ones: the inverse of `to_data`.

        Raises
        ------
        ValueError
            A grey level is outside of [0, levels].
        """
        return (_unbounded(samples_of(y, self.dim, "y"), self.levels) - self.mean) / self.scale

    def log_det(self, x: ArrayLike) -> Array:
        """Return log |det ∂x/∂y| at standardised rows x (B, D): log p(y) = log p(x) + log_det(x), (B,)."""
        x = samples_of(x, self.dim, "x")
        constant = -np.sum(np.log(self.scale))
        if self.levels is None:
            return np.full(len(x), constant)
        g = x * self.scale + self.mean
        # ∂g/∂u = 1/(u(1 − u)) with u = sigmoid(g), hence −log u(1 − u) = |g| + 2 log(1 + exp(−|g|))
        log_slopes = np.abs(g) + 2.0 * np.log1p(np.exp(-np.abs(g))) + math.log((1.0 - 2.0 * _EDGE) / self.levels)
        return np.sum(log_slopes, axis=1) + constant


def standardise(name: str, columns: tuple[str, ...], y: ArrayLike, levels: int | None = None) -> RealData:
    """Shift and scale the columns of y (n, D) to mean 0 and deviation 1, after the logit if ``levels`` is given.

    Raises
    ------
    ValueError
        A column is constant, an entry is not finite, or a grey level is outside of [0, levels].
    """
    y = samples_of(y, len(columns), "y")
    if not np.all(np.isfinite(y)):
        raise ValueError("y: got an entry that is not finite; leave such rows out")
    g = _unbounded(y, levels)
    mean, scale = g.mean(0), g.std(0)
    if not np.all(scale > 0.0):
        column = columns[int(np.argmin(scale))]
        raise ValueError(f"y: column {column!r} is constant, and has no density; leave it out, or `dequantise` it")
    x = (g - mean) / scale
    x.flags.writeable = False
    return RealData(name, x, mean, scale, columns, levels)


def _unbounded(y: Array, levels: int | None) -> Array:
    """Compute g(y)."""
    if levels is None:
        return y
    if not np.all((y >= 0.0) & (y <= levels)):
        raise ValueError(f"y: got grey levels from {y.min():.4g} to {y.max():.4g}, expected 0 to {levels}")
    u = _EDGE + (1.0 - 2.0 * _EDGE) * y / levels
    return np.log(u) - np.log1p(-u)


def old_faithful() -> RealData:
    """Load the 272 eruptions of the Old Faithful geyser: duration and waiting time to the next one, both in minutes.

    The times are whole minutes, the durations mostly whole seconds. A density that is concentrated on such values has
    as large a likelihood as it likes; a smooth flow that is stopped in time does not get there, and `dequantise` rules
    it out.
    """
    table = data.load("old_faithful")
    y = np.stack([table["eruptions"], table["waiting"]], -1)
    return standardise("old-faithful", ("duration, minutes", "waiting time, minutes"), y)


def quakes_fiji() -> RealData:
    """Load the epicentres of 1000 earthquakes near Fiji: longitude (east, 166° to 188°) and latitude (−39° to −11°).

    A density in these is one per square *degree*, and a degree of longitude is cos(latitude) as long as one of
    latitude: the same number of earthquakes per square kilometre looks 22 % thinner at 39° south than at the equator.
    `per_square_kilometre` takes it out. Treating longitude as a line, not a circle, is harmless here: all epicentres
    are within 23° of each other, far from the seam (180° east is not one, longitudes go on to 188°), and far from the
    poles, where longitude and latitude are no coordinates.
    """
    table = data.load("quakes_fiji")
    y = np.stack([table["long"], table["lat"]], -1)
    return standardise("quakes-fiji", ("longitude, degrees east", "latitude, degrees north"), y)


def per_square_kilometre(log_prob: ArrayLike, latitude: ArrayLike) -> Array:
    """Turn a log density per square degree of longitude and latitude into one per square kilometre of the sphere.

    The area element is R² cos φ dφ dλ, hence log p(km²) = log p(deg²) − log(R² (π/180)² cos φ), R = 6371 km.

    Parameters
    ----------
    log_prob : array_like (B,)
        Per square degree, as from ``log_prob(x) + quakes_fiji().log_det(x)``.
    latitude : array_like (B,)
        φ in degrees.
    """
    phi = np.radians(latitude)
    return np.asarray(log_prob) - np.log(np.cos(phi)) - 2.0 * math.log(EARTH_RADIUS * math.pi / 180.0)


def uci_digits(seed: int | np.random.Generator) -> RealData:
    """Load the 1797 handwritten digits of 8 × 8 pixels and 17 grey levels, dequantised: x is (1797, 64).

    A log density of the data in these units, log p(x) + log_det(x), gives `bits_per_dim`, which is comparable across
    models: a uniform density has log₂ 17 = 4.09, a normal density fitted to x has about 2.3.

    Parameters
    ----------
    seed : int or numpy.random.Generator
        Of the noise of `dequantise`.
    """
    images = data.load("uci_digits_8x8")["images"]
    columns = tuple(f"pixel ({i}, {j}), grey level" for i in range(8) for j in range(8))
    return standardise("uci-digits", columns, dequantise(images.reshape(len(images), -1), seed), levels=17)


def dequantise(levels: ArrayLike, seed: int | np.random.Generator) -> Array:
    """Add noise, uniform on [0, 1), to whole numbers, so that they have a density; np.floor takes it off again.

    The mean log density of the noisy data is at most the log probability of the whole numbers under the model that
    rounds its samples down, by Jensen's inequality: ∫ log p(y + u) du ≤ log ∫ p(y + u) du (L. Theis et al., "A note on
    the evaluation of generative models", ICLR 2016, section 3.1). Without it a density on whole numbers can be as
    large as one likes.

    Parameters
    ----------
    levels : array_like
        Whole numbers, any shape.
    seed : int or numpy.random.Generator

    Raises
    ------
    ValueError
        An entry is not a whole number.
    """
    levels = np.asarray(levels, np.float64)
    if not np.array_equal(levels, np.round(levels)):
        raise ValueError("levels: got an entry that is not a whole number: divide by the rounding first")
    noisy = levels + generator_of(seed).uniform(size=levels.shape)
    return np.minimum(noisy, np.nextafter(levels + 1.0, levels))  # 16 + 0.999… may round to 17


def bits_per_dim(log_prob: ArrayLike, dim: int) -> Array:
    """Return −log₂ p/D: what a model of dequantised data needs at most to code one of D entries of a sample, in bits.

    Parameters
    ----------
    log_prob : array_like
        Log density per grey level, in nats: with the ``log_det`` of the data added.
    dim : int
        D.
    """
    return -np.asarray(log_prob) / (dim * math.log(2.0))
