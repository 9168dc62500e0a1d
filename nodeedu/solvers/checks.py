"""Checks of single arguments: what is a real number, an array of them, and finite."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Array = np.ndarray

QUICK = 4096  # up to this size, a sum of squares finds nan and inf in a third of the time of `np.isfinite`

FLOATS = frozenset([np.dtype(np.float64), np.dtype(np.float32)])  # in native byte order


def is_real(value: Any) -> bool:
    """Whether the value is a number; bools are none."""
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def real_array(name: str, value: Any) -> Array:
    """Return the value as an array of float64, or float32 if it is one already."""
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name}: got nested sequences of unequal lengths, expected an array ({error})") from None
    if array.dtype in FLOATS:
        return array
    if array.dtype.kind in "fiub":
        return array.astype(np.float64)
    if array.dtype.kind == "c":
        raise TypeError(f"{name}: got complex numbers, expected real ones; split them into real and imaginary parts")
    raise TypeError(f"{name}: got dtype {array.dtype}, expected real numbers")


def is_finite(array: Array) -> bool:
    """Whether no entry is nan or infinite."""
    if array.size <= QUICK and math.isfinite(np.vdot(array, array)):
        return True
    return bool(np.isfinite(array).all())  # squares may have overflowed


def require_finite(name: str, array: Array) -> None:
    """Raise ValueError that names the first nan or infinity of an array."""
    if not is_finite(array):
        index = tuple(int(i) for i in np.argwhere(~np.isfinite(np.atleast_1d(array)))[0])
        where = f" at index {index}" if array.ndim else ""
        raise ValueError(f"{name}: got {np.atleast_1d(array)[index]}{where}, expected finite numbers")
