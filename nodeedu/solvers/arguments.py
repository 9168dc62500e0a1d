"""The public floor: arguments are checked and copied once here, so that the cores below need not doubt them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from nodeedu import tableaus
from nodeedu.solvers.callables import CallableField
from nodeedu.tableaus import Tableau

Array = np.ndarray

_FLOATS = frozenset([np.dtype(np.float64), np.dtype(np.float32)])  # in native byte order


@dataclass(frozen=True)
class Inputs:
    """An initial value problem, checked: B samples of D components, T times."""

    field: Any
    z0: Array  # (B, D), float64 or float32, our own copy
    ts: Array  # (1, T) shared or (B, T), float64, our own copy
    p: Array  # (Q,)
    batched: bool  # whether z0 had a batch axis

    @property
    def state_shape(self) -> tuple[int, ...]:
        """Shape of z0 as it was given."""
        return (len(self.z0), *self.field.shape) if self.batched else self.field.shape

    @property
    def times(self) -> Array:
        """Ts as it was given, (T,) or (B, T)."""
        return self.ts[0] if len(self.ts) == 1 else self.ts


@dataclass(frozen=True)
class Options:
    """How to solve, checked."""

    tableau: Tableau
    rtol: float
    atol: Any  # a float, or an array (D,)
    fixed: bool
    step_size: float  # infinite: one step between output times
    first_step: float  # 0: automatic
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
    p = field.pack(theta, z.dtype)
    if len(p) == 0 or not np.isfinite(p).all():
        for name, leaf in _leaves("theta", theta):
            _require_finite(name, leaf)
    return Inputs(field, own, _times(ts, len(own) if batched else None), p, batched)


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
) -> Options:
    """Check the options of a solve; shape is that of one sample's state.

    Raises
    ------
    ValueError
        If a name is unknown, a size is not positive, or a tolerance is negative, not finite, or both are zero. Either
        may be zero, as in SciPy: with atol = 0 the error is relative.
    """
    if method not in tableaus.names():
        raise ValueError(f"method: got {method!r}, expected one of {', '.join(tableaus.names())}")
    if controller not in ("I", "PI"):
        raise ValueError(f"controller: got {controller!r}, expected 'I' or 'PI'")
    tableau = tableaus.get(method)
    fixed = step_size is not None or tableau.b_hat is None
    if fixed and first_step is not None:
        raise ValueError(f"first_step: {method!r} takes fixed steps here and chooses none; give step_size alone")
    sizes = {"step_size": step_size, "first_step": first_step, "max_step": max_step, "max_steps": max_steps}
    for name, value in sizes.items():
        if value is not None and not (_is_real(value) and value > 0):
            raise ValueError(f"{name}: got {value!r}, expected a positive number")
    rtol, atol = _tolerances(rtol, atol, shape)
    return Options(
        tableau, rtol, atol, fixed,
        step_size=min(float(max_step), math.inf if step_size is None else float(step_size)),
        first_step=0.0 if first_step is None else float(first_step),
        max_step=float(max_step), max_steps=min(int(min(max_steps, 2**62)), 2**62), damped=controller == "PI",
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
    """Return the times as (1, T) or (B, T)."""
    times = np.array(real_array("ts", ts), np.float64, order="C")
    rows = times[None] if times.ndim == 1 else times
    if rows.ndim != 2 or rows.size == 0 or (times.ndim == 2 and times.shape[0] != samples):
        batch = "" if samples is None else f", or ({samples}, T) with times of their own for the {samples} samples"
        raise ValueError(f"ts: got shape {times.shape}, expected (T,) with T >= 1{batch}")
    if rows.shape[1] > 1:
        gaps = rows[:, 1:] - rows[:, :-1]
        smallest, largest = gaps.min(), gaps.max()
        if 0 < smallest and largest < math.inf or -math.inf < smallest and largest < 0:
            return rows
        _require_finite("ts", times)
        _complain_about_order(rows, gaps)
    else:
        _require_finite("ts", times)
    return rows


def _complain_about_order(rows: Array, gaps: Array) -> None:
    """Raise if the times of a sample are not strictly monotone; samples may run in different directions."""
    for b, gap in enumerate(gaps):
        wrong = np.flatnonzero(gap * gap[0] <= 0)
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


def _leaves(name: str, theta: Any) -> Iterator[tuple[str, Array]]:
    """Yield the arrays of real numbers in theta with their names; whatever else it holds is the function's affair."""
    if isinstance(theta, dict):
        for key, value in theta.items():
            yield from _leaves(f"{name}[{key!r}]", value)
    elif isinstance(theta, (tuple, list)):
        for i, value in enumerate(theta):
            yield from _leaves(f"{name}[{i}]", value)
    elif isinstance(theta, (np.ndarray, float)) and np.asarray(theta).dtype.kind == "f":
        yield name, np.asarray(theta)
