"""The coordinates a model is fitted in: logarithms where they fit, standardised, with time in steps of typical change.

    x = log(y) or y,    z = (x − centre) / scale,    s = rate (t − t0)

All of it is chosen from the training rows: `choose` is not given any others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .table import DataError, Table, refusal

LOG_RATIO = 3.0  # a positive column whose largest value is at least so many times the smallest is fitted in logarithms
FEWEST = 3  # observed values that a column needs


@dataclass(frozen=True, eq=False)
class Coordinates:
    """The change of variables between data and what the network sees.

    Parameters
    ----------
    log : bool array (D,)
        Columns fitted in natural logarithms.
    centre, scale : array (D,)
        Mean and standard deviation of the training values, of their logarithms where ``log``.
    t0 : float
        First time, in data units.
    rate : float
        Units of model time in one unit of data time.
    """

    log: NDArray[Any]
    centre: NDArray[Any]
    scale: NDArray[Any]
    t0: float
    rate: float

    def x(self, y: NDArray[Any]) -> NDArray[Any]:
        """Logarithms of the columns fitted in logarithms, (..., D); nan where there is none."""
        positive = np.where(self.log & ~(y > 0.0), np.nan, y)
        return np.where(self.log, np.log(np.where(self.log, positive, 1.0)), y)

    def z(self, y: NDArray[Any]) -> NDArray[Any]:
        """States of data values (..., D)."""
        return (self.x(y) - self.centre) / self.scale

    def y(self, z: NDArray[Any]) -> NDArray[Any]:
        """Data values of states (..., D)."""
        x = self.centre + self.scale * z
        return np.where(self.log, np.exp(np.where(self.log, x, 0.0)), x)

    def s(self, t: NDArray[Any]) -> NDArray[Any]:
        """Model times of data times."""
        return self.rate * (t - self.t0)


def choose(train: Table) -> Coordinates:
    """Choose coordinates by fixed rules from the training rows.

    A column goes in logarithms if its values are positive and span a factor of at least `LOG_RATIO`: what grows and
    shrinks by factors then does so by sums. Mean and standard deviation come from the observed values. One unit of
    model time is the time in which a column travels, on average, one standard deviation: ``rate`` is the length of its
    path Σ|Δz| between observations, averaged over the columns, by the time that it took.

    Parameters
    ----------
    train : Table
        The training rows only.

    Returns
    -------
    Coordinates

    Raises
    ------
    DataError
        A column has fewer than `FEWEST` observed values.
    """
    observed = np.isfinite(train.y)
    for column, count in zip(train.columns, observed.sum(axis=0), strict=True):
        if count < FEWEST:
            got = f"{count} observed values in the training rows"
            raise refusal(train.file, train.lines[-1], column, got, f"at least {FEWEST}")
    low, high = np.nanmin(train.y, axis=0), np.nanmax(train.y, axis=0)
    log = (low > 0.0) & (high >= LOG_RATIO * low)
    plain = Coordinates(log, np.zeros(log.size), np.ones(log.size), float(train.t[0]), 1.0)
    x = plain.x(train.y)
    centre, scale = np.nanmean(x, axis=0), np.nanstd(x, axis=0)
    scale = np.where(scale > 1e-12 * np.abs(centre), scale, 1.0)  # a constant column, up to rounding: leave its unit
    z = (x - centre) / scale
    path = sum(np.abs(np.diff(column[np.isfinite(column)])).sum() for column in z.T) / log.size
    span = float(train.t[-1] - train.t[0])
    rate = float(path) / span or 1.0 / span
    if not (np.isfinite(rate) and np.isfinite(centre).all() and np.isfinite(scale).all()):
        raise DataError(f"{train.file}: got times or values too large or too close to compute with, expected others")
    return Coordinates(log, centre, scale, float(train.t[0]), rate)
