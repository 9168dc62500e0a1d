"""Intervals and verdicts over a handful of seeds."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

LEVEL = 0.95


class Interval(NamedTuple):
    """A mean and the half width of its confidence interval."""

    mean: float
    half: float

    @property
    def below_zero(self) -> bool:
        """Whether all of the interval is negative."""
        return self.mean + self.half < 0.0

    def __str__(self) -> str:
        """Write as mean ± half width."""
        return f"{self.mean:+.4f} ± {self.half:.4f}"


def interval(values: ArrayLike) -> Interval:
    """Mean of n values with its interval of confidence 95 %, by Student's t with n − 1 degrees of freedom.

    Parameters
    ----------
    values : array_like (n,)
        At least two.

    Raises
    ------
    ValueError
        There are fewer than two.
    """
    values = np.asarray(values, np.float64)
    if values.ndim != 1 or len(values) < 2:
        raise ValueError(f"values: got shape {values.shape}, expected at least two numbers: one has no scatter")
    half = stdtrit(len(values) - 1, 0.5 * (1.0 + LEVEL)) * values.std(ddof=1) / np.sqrt(len(values))
    return Interval(float(values.mean()), float(half))


def verdict(text: str, holds: bool, measured: str) -> bool:
    """Print a claim as PASS or FAIL, with what was measured; return whether it holds."""
    print(f"{'PASS' if holds else 'FAIL'}  {text} ({measured})")
    return holds
