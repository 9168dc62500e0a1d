"""The public floor: arguments are checked and copied once here, so that the cores below need not doubt them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from nodeedu import tableaus
from nodeedu.solvers import methods
from nodeedu.solvers.callables import CallableField
from nodeedu.tableaus import Tableau

Array = np.ndarray

_FLOATS = frozenset([np.dtype(np.float64), np.dtype(np.float32)])  # in native byte order


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


@dataclass(frozen=True, eq=False)
class Options:
    """How to solve, checked."""

    method: str
    tableau: Tableau | None  # of an explicit Runge-Kutta method
    rtol: float
    atol: Any  # a float, or an array (D,)
    fixed: bool
    step_size: float  # infinite: one step between output times
    first_step: float  # 0: automatic; fixed steps, where there is nothing to choose, have 1
    max_step: float
    max_steps: int
    damped: bool  # PI control


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
    _require_finite("z0", z)
    own = np.array(z, order="C").reshape(-1, field.size)
    p = _pack(field, theta, z.dtype)
    times = _times(ts, len(own) if batched else None)
    return Inputs(field, own, np.atleast_2d(times), p, batched, times.ndim == 2)


def check_options(
    method: str = "dopri5",
    rtol: float = 1e-6,
    atol: ArrayLike = 1e-9,
    step_size: float | None = None,
    first_step: float | None = None,
    max_step: float = math.inf,
    max_steps: int = 100_000,
    controller: str = "I",
    shape: tuple[int, ...] = (),
    called: str = "method",
) -> Options:
    """Check the options of a solve; shape is that of one sample's state, `called` what the caller calls the method.

    Raises
    ------
    ValueError
        If a name is unknown, a size is not positive, or a tolerance is negative, not finite, or both are zero. Either
        may be zero, as in SciPy: with atol = 0 the error is relative.
    """
    arguments = method, rtol, atol, step_size, first_step, max_step, max_steps, controller, shape, called
    try:
        return _check_options(*arguments)
    except TypeError:  # atol is an array, which cannot be looked up among earlier arguments
        return _check_options.__wrapped__(*arguments)


@lru_cache(typed=True)
def _check_options(
    method: str, rtol: Any, atol: Any, step_size: Any, first_step: Any, max_step: Any, max_steps: Any, controller: str,
    shape: tuple[int, ...], called: str,
) -> Options:  # fmt: skip
    """See `check_options`; in a training loop, the same options come again and again."""
    if method not in methods.names():
        raise ValueError(f"{called}: got {method!r}, expected one of {', '.join(methods.names())}")
    if controller not in ("I", "PI"):
        raise ValueError(f"controller: got {controller!r}, expected 'I' or 'PI'")
    fixed = step_size is not None or not methods.is_adaptive(method)
    if fixed and first_step is not None:
        raise ValueError(f"first_step: {method!r} takes fixed steps here and chooses none; give step_size alone")
    sizes = {"max_step": max_step, "max_steps": max_steps}
    sizes |= {name: x for name, x in (("step_size", step_size), ("first_step", first_step)) if x is not None}
    for name, value in sizes.items():
        if not (_is_real(value) and value > 0):
            raise ValueError(f"{name}: got {value!r}, expected a positive number")
    rtol, atol = _tolerances(rtol, atol, shape)
    return Options(
        method, tableaus.get(method) if method in tableaus.names() else None, rtol, atol, fixed,
        step_size=min(float(max_step), math.inf if step_size is None else float(step_size)),
        first_step=float(fixed if first_step is None else first_step),
        max_step=float(max_step), max_steps=int(min(max_steps, 2**62)), damped=controller == "PI",
    )  # fmt: skip


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
    _require_finite("zs_bar", array)
    return np.array(array, inputs.z0.dtype, order="C").reshape(len(array), *inputs.z0.shape)


def _is_real(value: Any) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def real_array(name: str, value: Any) -> Array:
    """Return the value as an array of float64, or float32 if it is one already."""
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name}: got nested sequences of unequal lengths, expected an array ({error})") from None
    if array.dtype in _FLOATS:
        return array
    if array.dtype.kind in "fiub":
        return array.astype(np.float64)
    if array.dtype.kind == "c":
        raise TypeError(f"{name}: got complex numbers, expected real ones; split them into real and imaginary parts")
    raise TypeError(f"{name}: got dtype {array.dtype}, expected real numbers")


def _require_finite(name: str, array: Array) -> None:
    finite = np.isfinite(array)
    if not finite.all():
        index = tuple(int(i) for i in np.argwhere(~np.atleast_1d(finite))[0])
        where = f" at index {index}" if array.ndim else ""
        raise ValueError(f"{name}: got {np.atleast_1d(array)[index]}{where}, expected finite numbers")


def _times(ts: ArrayLike, samples: int | None) -> Array:
    """Return a copy of the times, (T,) or (B, T)."""
    times = np.array(real_array("ts", ts), np.float64, order="C")
    rows = times[None] if times.ndim == 1 else times
    if rows.ndim != 2 or rows.size == 0 or (times.ndim == 2 and times.shape[0] != samples):
        batch = "" if samples is None else f", or ({samples}, T) with times of their own for the {samples} samples"
        raise ValueError(f"ts: got shape {times.shape}, expected (T,) with T >= 1{batch}")
    if rows.shape[1] > 1:
        with np.errstate(over="ignore", invalid="ignore"):
            gaps = rows[:, 1:] - rows[:, :-1]
        smallest, largest = float(gaps.min()), float(gaps.max())
        if (smallest > 0 or largest < 0) and math.isfinite(largest - smallest):  # no nan or inf among the times
            return times
        _require_finite("ts", times)
        if not np.isfinite(gaps).all():
            raise ValueError(f"ts: got times from {times.min()} to {times.max()}, too far apart for their difference")
        _complain_about_order(rows, gaps)
    else:
        _require_finite("ts", times)
    return times


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


def _tolerances(rtol: Any, atol: Any, shape: tuple[int, ...]) -> tuple[float, Any]:
    if not (_is_real(rtol) and 0 <= rtol < math.inf):
        raise ValueError(f"rtol: got {rtol!r}, expected a number >= 0")
    if _is_real(atol):
        absolute: Any = float(atol)
        smallest, valid = absolute, 0 <= absolute < math.inf
    else:
        array = real_array("atol", atol).astype(np.float64)
        if array.shape not in ((), shape):
            raise ValueError(f"atol: got shape {array.shape}, expected a scalar or the shape {shape} of a state")
        absolute, smallest = array.reshape(-1) if array.ndim else float(array), array.min()
        valid = bool(np.isfinite(array).all() and smallest >= 0)
    if not valid:
        raise ValueError(f"atol: got {atol!r}, expected numbers >= 0")
    if rtol == 0 and smallest == 0:
        raise ValueError("rtol and atol: got zero for both, expected at least one of them to be positive")
    return float(rtol), absolute


def _pack(field: Any, theta: Any, dtype: Any) -> Array:
    """Check theta and return it packed; what a plain callable is given besides numbers is its own affair."""
    if isinstance(field, CallableField):
        for name, leaf in _leaves("theta", theta):
            if isinstance(leaf, (np.ndarray, np.floating, float)) and np.asarray(leaf).dtype.kind == "f":
                _require_finite(name, np.asarray(leaf))
        return field.pack(theta, dtype)
    if not _all_floats(theta):
        for name, leaf in _leaves("theta", theta):
            real_array(name, leaf)
    with np.errstate(over="ignore"):  # a number may be too large for float32
        p = field.pack(theta, dtype)
        if not np.isfinite(p).all():
            for name, leaf in _leaves("theta", theta):
                _require_finite(name, real_array(name, leaf).astype(dtype))
    return p


def _all_floats(theta: Any) -> bool:
    """Whether all leaves are arrays of float64 or float32: the quick way to know that there is nothing to refuse."""
    if type(theta) is np.ndarray:
        return theta.dtype in _FLOATS
    if isinstance(theta, dict):
        return all(map(_all_floats, theta.values()))
    return isinstance(theta, (tuple, list)) and all(map(_all_floats, theta))


def _leaves(name: str, theta: Any) -> Iterator[tuple[str, Any]]:
    """Yield the leaves of theta with the names that reach them."""
    if isinstance(theta, dict):
        for key, value in theta.items():
            yield from _leaves(f"{name}[{key!r}]", value)
    elif isinstance(theta, (tuple, list)):
        for i, value in enumerate(theta):
            yield from _leaves(f"{name}[{i}]", value)
    elif theta is not None:
        yield name, theta
