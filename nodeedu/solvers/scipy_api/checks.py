"""Checks of arguments, with SciPy's messages for what SciPy checks."""

from __future__ import annotations

import math
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

Array = np.ndarray
SMALLEST_RTOL = 100 * np.finfo(float).eps
_HERE = str(Path(__file__).parent)


def warn_caller(message: str) -> None:
    """Warn, and name the line that called this package as the place."""
    level, frame = 1, sys._getframe(0)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_HERE):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, stacklevel=level)


def check_state(y0: ArrayLike) -> Array:
    """Return the initial state as float64 or complex128, shape (n,)."""
    y0 = np.asarray(y0)
    y0 = y0.astype(np.complex128 if y0.dtype.kind == "c" else np.float64, copy=False)
    if y0.ndim != 1:
        raise ValueError("`y0` must be 1-dimensional.")
    if not np.isfinite(y0).all():
        raise ValueError("All components of the initial state `y0` must be finite.")
    return y0


def check_span(t_span: Any) -> tuple[float, float]:
    """Return both ends of the interval; the second may be infinite."""
    try:
        t0, tf = map(float, t_span)
    except ValueError as error:
        raise ValueError(f"`t_span`: got {t_span!r}, expected two numbers (t0, tf) ({error})") from error
    if math.isnan(tf) or not math.isfinite(t0):
        raise ValueError(f"`t_span`: got ({t0}, {tf}), expected a finite t0, and tf a number or infinite")
    return t0, tf


def check_args(args: Any) -> tuple[Any, ...]:
    """Return the additional arguments as a tuple."""
    try:
        return () if args is None else tuple(args)
    except TypeError as error:
        raise TypeError(
            f"Supplied 'args' cannot be unpacked. Please supply `args` as a tuple (e.g. `args=({args},)`)"
        ) from error


def check_times(t_eval: ArrayLike | None, t0: float, tf: float) -> Array | None:
    """Return the output times as float64."""
    if t_eval is None:
        return None
    times = np.asarray(t_eval)
    if times.ndim != 1:
        raise ValueError("`t_eval` must be 1-dimensional.")
    times = times.astype(np.float64, order="C")
    low, high = min(t0, tf), max(t0, tf)
    gaps = times[1:] - times[:-1]
    ordered = (gaps > 0.0 if tf > t0 else gaps < 0.0).all()
    if ordered and (times.size == 0 or (low <= times[0] <= high and low <= times[-1] <= high)):
        return times
    if not np.all((times >= low) & (times <= high)):
        raise ValueError("Values in `t_eval` are not within `t_span`.")
    if tf != t0:
        raise ValueError("Values in `t_eval` are not properly sorted.")
    return times


def check_max_step(max_step: float) -> float:
    """Return the longest step."""
    if max_step <= 0:
        raise ValueError("`max_step` must be positive.")
    if math.isnan(max_step):
        raise ValueError("`max_step` must be positive: got nan.")
    return float(max_step)


def check_first_step(first_step: float, t0: float, t_bound: float) -> float:
    """Return the size of the first step."""
    if first_step <= 0:
        raise ValueError("`first_step` must be positive.")
    if first_step > abs(t_bound - t0):
        raise ValueError("`first_step` exceeds bounds.")
    if not math.isfinite(first_step):
        raise ValueError(f"`first_step` must be positive and finite: got {first_step}.")
    return float(first_step)


def check_sizes(options: dict[str, Any], t0: float, t_bound: float) -> None:
    """Check the step sizes among the options of a method."""
    check_max_step(options.get("max_step", math.inf))
    if options.get("first_step") is not None:
        check_first_step(options["first_step"], t0, t_bound)
    if math.isnan(options.get("min_step", 0.0)):
        raise ValueError("`min_step` must be a number: got nan.")


def are_ordinary(rtol: Any, atol: Any) -> bool:
    """Whether the tolerances are two numbers that need no further check."""
    return type(rtol) is type(atol) is float and SMALLEST_RTOL <= rtol < math.inf and 0 <= atol < math.inf


def check_tolerances(rtol: ArrayLike, atol: ArrayLike, n: int) -> tuple[Any, Any]:
    """Return the tolerances, numbers or arrays; rtol is raised to what rounding allows, with a warning."""
    if are_ordinary(rtol, atol):
        return rtol, atol
    rtol, atol = np.asarray(rtol, float), np.asarray(atol, float)
    for name, value in (("rtol", rtol), ("atol", atol)):
        if np.isnan(value).any():
            raise ValueError(f"`{name}` must not be nan: got {value}.")
    if np.any(rtol < SMALLEST_RTOL):
        warn_caller(f"At least one element of `rtol` is too small. Setting `rtol = np.maximum(rtol, {SMALLEST_RTOL})`.")
        rtol = np.maximum(rtol, SMALLEST_RTOL)
    if rtol.shape not in ((), (1,), (n,)):
        raise ValueError(f"`rtol` has wrong shape: got {rtol.shape}, expected a number or ({n},).")
    if atol.ndim > 0 and atol.shape != (n,):
        raise ValueError("`atol` has wrong shape.")
    if np.any(atol < 0):
        raise ValueError("`atol` must be positive.")
    return rtol[()], atol[()]
