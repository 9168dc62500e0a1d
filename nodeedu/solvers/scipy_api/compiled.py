"""Machine code of a right-hand side, for drivers that call it by its address."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numba import carray
from numba.core.errors import NumbaError

from nodeedu.autodiff import structure, transforms
from nodeedu.compile.build import CFunction
from nodeedu.compile.kernels import DONE

WROTE_Y = 2
WRONG_LENGTH = 3

Function = Callable[..., Any]


@dataclass(frozen=True)
class Compiled:
    """A kernel ``f(t[1], y[n], p, dy[n], work)`` at an address, with its parameters.

    Parameters
    ----------
    address : int
    p : array
        Packed parameters.
    work_size : int
        Words of workspace.
    owner : object
        What keeps the machine code alive.
    """

    address: int
    p: np.ndarray
    work_size: int
    owner: Any


def compile_field(field: Any, theta: Any) -> Compiled:
    """Return the machine code of a field, of flat states."""
    kernel = field.kernel("f", np.float64)
    return Compiled(kernel.address, field.pack(theta, np.float64), kernel.work_size, kernel)


def function_of_field(field: Any, theta: Any) -> Function:
    """Return a Python function of (t, y) that calls the machine code of a field, of flat states."""
    kernel, p = field.kernel("f", np.float64), field.pack(theta, np.float64)
    work, shape = np.empty(kernel.work_size), (1, field.size)

    def function(t, y):
        dy = np.empty(shape)
        kernel.function(np.array([t], float), np.array(y, float).reshape(shape), p, dy, work)
        return dy[0]

    return function


def jacobian_of_field(field: Any, theta: Any) -> Function:
    """Return ``df/dy (t, y)``: from the tape of a traced field, else column by column from its jvp."""
    n = field.size
    if hasattr(field, "tape"):
        parameters = dict(structure.flatten(theta))
        recorded = lru_cache(lambda: transforms.jacobian(field.tape))  # derived when it is first wanted

        def jacobian(t, y):
            tape = recorded()
            inputs = {"t": t, "z": np.reshape(y, field.shape), **parameters}
            return tape.evaluate({role: inputs[role] for role in tape.inputs})["dz_z"].reshape(n, n)

        return jacobian

    def columns(t, y):
        kernel, p = field.kernel("jvp", np.float64), field.pack(theta, np.float64)
        dz, dz_dot, times, states = np.empty((n, n)), np.empty((n, n)), np.full(n, float(t)), np.tile(y, (n, 1))
        kernel.function(times, states, np.eye(n), p, np.zeros_like(p), dz, dz_dot, np.empty(kernel.work_size))
        return dz_dot.T.copy()

    return columns


def compile_function(fun: Function, args: tuple[Any, ...], n: int, dtype: np.dtype) -> Compiled | None:
    """Return the machine code of an `@njit` function, or None where it takes or returns what a kernel cannot pass.

    Arguments may be real numbers and real arrays; they travel as packed parameters, so other values need no compiling.
    """
    kinds: list[tuple[str, tuple[int, ...]]] = []
    for value in args:
        array = np.asarray(value)
        scalar = array.shape == () and array.dtype.kind in "bif" and not isinstance(value, np.ndarray)
        if not scalar and not (isinstance(value, np.ndarray) and array.dtype == np.float64 and dtype.kind == "f"):
            return None
        kinds.append((array.dtype.kind if scalar else "array", array.shape))
    code = _adapter(fun, tuple(kinds), n, dtype.name)
    p = np.concatenate([np.ravel(value) for value in args]).astype(dtype) if args else np.empty(0, dtype)
    return None if code is None else Compiled(code.address, p, n, code)


_CONVERT = {"f": "p[{}].real", "i": "int(p[{}].real)", "b": "p[{}].real != 0.0"}


@lru_cache(maxsize=64)
def _adapter(fun: Function, kinds: tuple[tuple[str, tuple[int, ...]], ...], n: int, dtype: str) -> CFunction | None:
    """Compile the C function that gives `fun` its arguments and copies what it returns."""
    at, given = 0, ""
    for kind, shape in kinds:
        size = int(np.prod(shape))
        text = f"p[{at}:{at + size}].copy().reshape({shape})" if kind == "array" else _CONVERT[kind].format(at)
        given, at = given + ", " + text, at + size
    source = _ADAPTER.format(n=n, size=at, given=given, wrote=WROTE_Y, wrong=WRONG_LENGTH, done=DONE)
    namespace: dict[str, Any] = {"fun": fun, "carray": carray}
    exec(compile(source, "<adapter of an njit function>", "exec"), namespace)
    code = CFunction(namespace["adapter"], "f", dtype)
    try:
        return code if code.address else None
    except NumbaError:  # f returns a scalar, None, a matrix, or cannot be compiled: Python calls it and says so
        return None


# `own` is what f may write to; where it does, the comparison is not hurt by nan. It is copied by hand: for `own[:] = y`
# Numba takes two seconds to compile a message about shapes that cannot differ.
_ADAPTER = """
def adapter(rows, t_pointer, y_pointer, p_pointer, dy_pointer, work_pointer):
    t, p = carray(t_pointer, 1), carray(p_pointer, {size})
    y, dy, own = carray(y_pointer, {n}), carray(dy_pointer, {n}), carray(work_pointer, {n})
    for i in range({n}):
        own[i] = y[i]
    values = fun(t[0], own{given})
    if len(values) != {n}:
        return {wrong}
    for i in range({n}):
        if own[i] != y[i] and y[i] == y[i]:
            return {wrote}
        dy[i] = values[i]
    return {done}
"""
