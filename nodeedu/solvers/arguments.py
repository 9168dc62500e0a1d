"""The public floor: arguments are checked and copied once here, so that the cores below need not doubt them."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from nodeedu.autodiff import structure
from nodeedu.solvers.callables import CallableField
from nodeedu.solvers.checks import FLOATS, QUICK, is_finite, real_array, require_finite
from nodeedu.solvers.options import Options, check_options

__all__ = ["Inputs", "Options", "check_cotangents", "check_inputs", "check_options", "real_array"]

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Inputs:
    """An initial value problem, checked: B samples of D components, T times."""

    field: Any
    z0: Array  # (B, D), float64 or float32, our own copy
    ts: Array  # (1, T) shared or (B, T), float64, our own copy
    p: Array  # (Q,)
    batched: bool  # whether z0 had a batch axis
    own_times: bool  # whether ts had one

    @property
    def state_shape(self) -> tuple[int, ...]:
        """Shape of z0 as it was given."""
        return (len(self.z0), *self.field.shape) if self.batched else self.field.shape

    @property
    def times(self) -> Array:
        """Ts as it was given, (T,) or (B, T)."""
        return self.ts if self.own_times else self.ts[0]


def check_inputs(field: Any, z0: ArrayLike, ts: ArrayLike, theta: Any) -> Inputs:
    """Check and copy an initial value problem.

    Parameters
    ----------
    field : field or callable
        A plain callable takes the whole of z0 as one state; a field knows its state's shape, and one more leading axis
        in z0 is the batch.
    z0 : array
        Initial state; float32 stays float32, integers and bools become float64.
    ts : array (T,) or (B, T)
        Output times, strictly increasing or decreasing.
    theta : object
        Parameters; for a field, of the structure that it was made with.

    Raises
    ------
    TypeError
        If an argument is not of real numbers, or field is neither a field nor callable.
    ValueError
        If a shape is wrong, a number is not finite, or the times are not strictly monotone.
    """
    z = real_array("z0", z0)
    if not hasattr(field, "kernel"):
        if not callable(field):
            raise TypeError(f"field: got {field!r}, expected a vector field or a callable f(t, z) or f(t, z, theta)")
        field = CallableField(field, z.shape, theta)
    batched = z.shape != field.shape
    if batched and z.shape[1:] != field.shape:
        raise ValueError(f"z0: got shape {z.shape}, expected {field.shape} or, for B samples, {('B', *field.shape)}")
    if z.size == 0:
        raise ValueError(f"z0: got the empty shape {z.shape}, expected at least one component and one sample")
    require_finite("z0", z)
    own = np.array(z, order="C").reshape(-1, field.size)
    p = _pack(field, theta, z.dtype)
    times = _times(ts, len(own) if batched else None)
    return Inputs(field, own, times.reshape(-1, times.shape[-1]), p, batched, times.ndim == 2)


def check_cotangents(zs_bar: ArrayLike, inputs: Inputs) -> Array:
    """Check and copy dL/dz(t_i) as (T, B, D), in the dtype of the state.

    Raises
    ------
    TypeError, ValueError
        If it is not of finite real numbers in the shape of the solution's zs.
    """
    array = real_array("zs_bar", zs_bar)
    expected = (inputs.ts.shape[1], *inputs.state_shape)
    if array.shape != expected:
        raise ValueError(f"zs_bar: got shape {array.shape}, expected {expected}, that of the states zs at the times ts")
    require_finite("zs_bar", array)
    return np.array(array, inputs.z0.dtype, order="C").reshape(len(array), *inputs.z0.shape)


def _times(ts: ArrayLike, samples: int | None) -> Array:
    """Return a copy of the times, (T,) or (B, T)."""
    times = np.array(real_array("ts", ts), np.float64, order="C")
    rows = times[None] if times.ndim == 1 else times
    if rows.ndim != 2 or rows.size == 0 or (times.ndim == 2 and times.shape[0] != samples):
        batch = "" if samples is None else f", or ({samples}, T) with times of their own for the {samples} samples"
        raise ValueError(f"ts: got shape {times.shape}, expected (T,) with T >= 1{batch}")
    if times.size <= QUICK:
        _require_monotone(times.shape, times.tobytes())
    else:
        _require_monotone.__wrapped__(times.shape, times)
    return times


@lru_cache
def _require_monotone(shape: tuple[int, ...], times: Any) -> None:
    """Raise unless the times are finite and strictly monotone; in a training loop, the same come again and again."""
    rows = np.frombuffer(times).reshape(-1, shape[-1])
    with np.errstate(over="ignore", invalid="ignore"):
        gaps = rows[:, 1:] - rows[:, :-1]
    if np.isfinite(rows).all() and np.isfinite(gaps).all() and ((gaps > 0).all() or (gaps < 0).all()):
        return
    require_finite("ts", rows.reshape(shape))
    if not np.isfinite(gaps).all():
        raise ValueError(f"ts: got times from {rows.min()} to {rows.max()}, too far apart for their difference")
    _complain_about_order(rows, gaps)


def _complain_about_order(rows: Array, gaps: Array) -> None:
    """Raise if the times of a sample are not strictly monotone; samples may run in different directions."""
    for b, gap in enumerate(gaps):
        wrong = np.flatnonzero(np.sign(gap) * np.sign(gap[0]) <= 0)
        if len(wrong):
            i = int(wrong[0])
            sample = f" of sample {b}" if len(rows) > 1 else ""
            what = "a repeated time" if gap[i] == 0 else "times that turn back"
            raise ValueError(
                f"ts: got {what}{sample}, {rows[b, i]} at index {i} and then {rows[b, i + 1]}; "
                "expected strictly increasing or strictly decreasing times"
            )


def _pack(field: Any, theta: Any, dtype: Any) -> Array:
    """Check theta and return it packed; what a plain callable is given besides numbers is its own affair."""
    if isinstance(field, CallableField):
        for name, leaf in structure.flatten(theta):
            if isinstance(leaf, (np.ndarray, np.floating, float)) and np.asarray(leaf).dtype.kind == "f":
                require_finite(name, np.asarray(leaf))
        return field.pack(theta, dtype)
    if not _all_floats(theta):
        for name, leaf in structure.flatten(theta):
            real_array(name, leaf)
    with nullcontext() if dtype == np.float64 else np.errstate(over="ignore"):  # a number too large for float32
        p = field.pack(theta, dtype)
        if not is_finite(p):
            for name, leaf in structure.flatten(theta):
                require_finite(name, real_array(name, leaf).astype(dtype))
    return p


def _all_floats(theta: Any) -> bool:
    """Whether all leaves are arrays of float64 or float32: the quick way to know that there is nothing to refuse."""
    if type(theta) is np.ndarray:
        return theta.dtype in FLOATS
    if isinstance(theta, dict):
        return all(map(_all_floats, theta.values()))
    return isinstance(theta, (tuple, list)) and all(map(_all_floats, theta))
