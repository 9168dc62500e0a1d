"""Jacobians of a user's own function by complex steps, or by real ones where it is not analytic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..autodiff.check import central_difference, relative_error

Array = NDArray[Any]
Differentiate = Callable[[Callable[[Array], Array], Array], Array]  # (function, x) -> Jacobian (D, n)


def chosen_for(function: Callable[[Array], Array], x: Array) -> Differentiate:
    """Return complex steps if they agree with real ones on this function, else the latter, extrapolated.

    The modulus, for one, passes complex numbers on and is not analytic.
    """
    try:
        agrees = relative_error(complex_steps(function, x), real_steps(function, x)) < 1e-6
    except (TypeError, ValueError):  # a function that takes no complex numbers
        agrees = False
    return complex_steps if agrees else real_steps


def complex_steps(function: Callable[[Array], Array], x: Array) -> Array:
    """Return the Jacobian (D, n) at a vector, as `complex_step`, without its care for structures."""
    if not len(x):
        return np.zeros((*np.shape(function(x)), 0))
    moved = x.astype(complex)
    for i in range(len(x)):
        moved[i] += 1e-30j
        value = np.asarray(function(moved))
        if i == 0:
            rows = np.empty((len(x), *value.shape))
        rows[i] = value.imag
        moved[i] = x[i]
    return np.ascontiguousarray(rows.transpose(*range(1, rows.ndim), 0)) / 1e-30


def real_steps(function: Callable[[Array], Array], x: Array) -> Array:
    """Return the Jacobian (D, n) at a vector, by Richardson's extrapolation."""
    return central_difference(function, x).value
