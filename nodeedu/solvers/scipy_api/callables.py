"""A user's right-hand side, checked: a Python function, an `@njit` function or a field."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numba.extending import is_jitted

from nodeedu.compile.kernels import JIT
from nodeedu.solvers.scipy_api.compiled import (
    WRONG_LENGTH,
    WROTE_Y,
    Compiled,
    compile_field,
    compile_function,
    function_of_field,
    jacobian_of_field,
)

Function = Callable[..., Any]


@dataclass
class RightHandSide:
    """``f(t, y)`` with its arguments bound.

    Parameters
    ----------
    function : callable
        Checked Python function of (t, y), which returns an array of the state's dtype.
    path : {"python", "njit", "traced"}
        What an explicit method runs: the Python function, or machine code.
    compiled : Compiled, optional
        The machine code.
    jacobian : callable, optional
        Exact ``df/dy (t, y)``, shape (n, n), of a field.
    """

    function: Function
    path: str = "python"
    compiled: Compiled | None = None
    jacobian: Function | None = field(default=None)


def is_field(fun: Any) -> bool:
    """Return whether `fun` is a field of `nodeedu.compile`."""
    return hasattr(fun, "kernel") and hasattr(fun, "pack")


def right_hand_side(fun: Any, args: tuple[Any, ...], y0: np.ndarray, vectorized: bool, explicit: bool) -> RightHandSide:
    """Bind the arguments of a right-hand side and check every value that it returns.

    Parameters
    ----------
    fun : callable or field
    args : tuple
        What follows t and y; for a field ``(theta,)``, or ``()`` for those that it was made with.
    y0 : array (n,)
        Initial state.
    vectorized : bool
        Whether ``fun`` takes states as columns, shape (n, k).
    explicit : bool
        For an explicit method: machine code is wanted, and states are given one at a time.
    """
    if is_field(fun):
        return _of_field(fun, args, y0)
    if not callable(fun):
        raise TypeError(f"`fun`: got {type(fun).__name__}, expected a callable fun(t, y) or a vector field")
    jitted, bound = is_jitted(fun), (lambda t, y: fun(t, y, *args)) if args else fun
    single = (lambda t, y: bound(t, y[:, None])) if vectorized and explicit else bound
    function = _checked(single, y0, vectorized, writable=jitted)
    path, code = machine_code(fun, args, y0, vectorized) if explicit else ("python", None)
    return RightHandSide(function, path, code)


def machine_code(fun: Any, args: tuple[Any, ...], y0: np.ndarray, vectorized: bool) -> tuple[str, Compiled | None]:
    """Return the path that an explicit method takes, and the machine code of a right-hand side where there is any."""
    code = None
    if is_field(fun):
        theta = _theta(fun, args, y0)
        if JIT and y0.dtype.kind != "c":  # kernels are real
            return "traced", compile_field(fun, theta)
    elif is_jitted(fun) and not vectorized and y0.size:
        code = compile_function(fun, args, y0.size, y0.dtype)
    return ("python" if code is None else "njit"), code


def _theta(fun: Any, args: tuple[Any, ...], y0: np.ndarray) -> Any:
    """Return the parameters of a field, and check that the state fits it."""
    if len(args) > 1:
        raise ValueError(f"`args`: got {len(args)} arguments, expected (theta,): a field takes its parameters as one")
    theta = args[0] if args else getattr(fun, "theta", None)
    if theta is None and fun.n_params:
        raise ValueError(f"`args`: the field has {fun.n_params} parameters, give them as args=(theta,)")
    if y0.size != fun.size:
        raise ValueError(f"`y0`: got {y0.size} components, but the field has a state of shape {fun.shape}")
    return theta


def _of_field(fun: Any, args: tuple[Any, ...], y0: np.ndarray) -> RightHandSide:
    theta, (path, code) = _theta(fun, args, y0), machine_code(fun, args, y0, False)
    if y0.dtype.kind == "c":
        return RightHandSide(_checked(lambda t, y: np.ravel(fun(t, y.reshape(fun.shape), theta)), y0, False))
    return RightHandSide(function_of_field(fun, theta), path, code, jacobian_of_field(fun, theta))


def _checked(fun: Function, y0: np.ndarray, vectorized: bool, writable: bool = False) -> Function:
    """Give `fun` a copy of its own, read-only unless it is compiled code, and check the shape and dtype it returns."""
    dtype = y0.dtype

    def function(t, y):
        own = y.copy()
        own.setflags(write=writable)
        try:
            values = np.asarray(fun(t, own))
        except ValueError as error:
            raise (_wrote_y(t) if "read-only" in str(error) else error) from error
        if writable and own.tobytes() != y.tobytes():
            raise _wrote_y(t)
        if values.shape != y.shape or values.dtype is not dtype:
            values = _conform(values, y, dtype, t, vectorized)
        return values

    return function


def _conform(values: np.ndarray, y: np.ndarray, dtype: np.dtype, t: float, vectorized: bool) -> np.ndarray:
    """Convert what `fun` returned, or complain."""
    if values.dtype == object and values.shape == () and values.item() is None:
        raise TypeError(f"`fun` returned None at t = {t:.6g}: expected {y.size} numbers; does it end with return?")
    if values.dtype.kind == "c" and dtype.kind != "c":
        raise TypeError(
            f"`fun` returned complex numbers at t = {t:.6g} for a real state: "
            "give `y0` a complex dtype, or return real numbers"
        )
    try:
        values = values.astype(dtype)
    except (TypeError, ValueError) as error:
        raise TypeError(f"`fun` returned {values.dtype} at t = {t:.6g}, expected numbers ({error})") from error
    if vectorized and values.size == y.size:
        return values.reshape(y.shape)
    if values.shape != y.shape and values.shape not in ((), (1,)):  # one number stands for all, as in SciPy
        raise ValueError(f"`fun` returned shape {values.shape} at t = {t:.6g}, expected that of `y`, {y.shape}")
    return np.broadcast_to(values, y.shape)


def _wrote_y(t: float) -> ValueError:
    return ValueError(
        f"`fun` writes into its argument `y` at t = {t:.6g} (or asks for a writable buffer), which would change the "
        "solution: work on a copy, y = y.copy()"
    )


def explain(rhs: RightHandSide, status: int, t: float, y: np.ndarray) -> Exception:
    """Return the error for a failed evaluation in machine code; the Python function may know more."""
    if status == WROTE_Y:
        return _wrote_y(t)
    if status == WRONG_LENGTH:
        return ValueError(f"`fun` returned another number of values than `y` has, {y.size}, at t = {t:.6g}")
    rhs.function(t, y)  # raises what the machine code could only print
    return RuntimeError(f"`fun` failed in compiled code at t = {t:.6g}; expected it to return {y.size} numbers")
