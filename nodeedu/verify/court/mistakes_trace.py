"""Mistakes 36-40: Hutchinson's estimate of the trace, ``v J v`` with random v of mean zero and covariance I.

A formula is ``(J) -> mean`` of the wrong estimate over all noise; `VARIANCES` tell apart those whose means are close.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .mistake import Mistake

# fmt: off
MISTAKES = (
    Mistake(36, "noise from U(-1, 1)",
            "The noise has variance 1/3, and the estimate a third of the right mean; right is variance 1.", {
                "trace_estimate": (lambda J: np.trace(J) / 3.0,)},
            hidden_by="a field that keeps volumes"),
    Mistake(37, "noise on the unit sphere",
            "The noise has length 1, and the estimate the mean tr J / D; right is length sqrt(D).", {
                "trace_estimate": (lambda J: np.trace(J) / len(J),)},
            hidden_by="a field that keeps volumes; D = 1; D = 3, where it looks like mistake 36"),
    Mistake(38, "two independent vectors",
            "v J w with independent v and w has the mean 0; right is the same v on both sides.", {
                "trace_estimate": (lambda J: 0.0,)},
            hidden_by="a field that keeps volumes"),
    Mistake(39, "squared norm of J v",
            "|J v|^2 has the mean tr J'J; right is v J v.", {
                "trace_estimate": (lambda J: (J**2).sum(),)}),
    Mistake(40, "noise redrawn in each call",
            "Two calls with one seed differ, so that the solver integrates noise; right is one v for a whole solve.", {
                "trace_estimate": ()}),
)
# fmt: on


def _diagonal_and_rest(J: NDArray[Any]) -> tuple[float, float]:
    """Return the sums of the squares of the entries of ``S = (J + J') / 2`` on the diagonal, and of the others."""
    squares = ((J + J.T) / 2) ** 2
    diagonal = float(np.trace(squares))
    return diagonal, float(squares.sum()) - diagonal


def _uniform(J: NDArray[Any]) -> tuple[float, ...]:
    diagonal, rest = _diagonal_and_rest(J)
    return ((1 / 5 - 1 / 9) * diagonal + 2 / 9 * rest,)


def _sphere(J: NDArray[Any]) -> tuple[float, ...]:
    """Of normal noise scaled to length 1, and of signs scaled to it."""
    (diagonal, rest), D, trace = _diagonal_and_rest(J), len(J), float(np.trace(J))
    normal = (2 * (diagonal + rest) + trace**2) / (D * (D + 2)) - (trace / D) ** 2
    return normal, 2 * rest / D**2


def _independent(J: NDArray[Any]) -> tuple[float, ...]:
    return (float((J**2).sum()),)


# Variances of the wrong estimates over all noise, by the number of the mistake.
VARIANCES: dict[int, Callable[[NDArray[Any]], tuple[float, ...]]] = {36: _uniform, 37: _sphere, 38: _independent}
