"""Plain Python callables as vector fields: the whole state is one system, and every evaluation calls back into Python.

The compiled driver calls kernels by address; ctypes gives a Python function one. What it raises is kept and raised
again when the driver has returned.
"""

from __future__ import annotations

import ctypes
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
from numba.extending import is_jitted

from nodeedu.compile.kernels import DONE, JIT, Kernel

_FAILED = 0
_PROTOTYPE = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, *[ctypes.c_void_p] * 5)


class CallableField:
    """A vector field that calls a Python function; it has the kernel f and no derivatives.

    Parameters
    ----------
    function : callable
        ``f(t, z)``, or ``f(t, z, theta)`` if theta is not None; z has the shape of the whole state.
    shape : tuple of int
        Shape of the state.
    theta : object
        Passed on as it is.
    """

    def __init__(self, function: Callable[..., Any], shape: tuple[int, ...], theta: Any) -> None:
        self.function, self.shape, self.theta = function, shape, theta
        self.size = math.prod(shape)
        self.n_params = self.n_packed = 0
        self.path = "njit" if is_jitted(function) else "python"
        self.error: BaseException | None = None

    def pack(self, theta: Any, dtype: Any = np.float64) -> np.ndarray:
        """Return no packed parameters: theta goes straight to the function."""
        return np.empty(0, dtype)

    def __call__(self, t: float, z: np.ndarray, theta: Any) -> np.ndarray:
        """Evaluate the function once and check what it returns."""
        returned = self.function(t, z) if theta is None else self.function(t, z, theta)
        if returned is None:
            raise TypeError(f"the vector field returned None at t = {t:.6g}; expected the slopes of the state")
        try:
            result = np.asarray(returned)
        except ValueError as error:
            raise ValueError(f"the vector field returned no array at t = {t:.6g}: {error}") from None
        if result.shape != self.shape:
            raise ValueError(
                f"the vector field returned shape {result.shape} at t = {t:.6g}; "
                f"expected the shape {self.shape} of the state"
            )
        if result.dtype.kind not in "fiub":
            raise TypeError(f"the vector field returned dtype {result.dtype} at t = {t:.6g}; expected real numbers")
        return result

    def kernel(self, kind: str, dtype: Any) -> Kernel:
        """Return the kernel f; asking for a derivative raises TypeError."""
        if kind != "f":
            raise TypeError(
                f"{self.function!r} is a plain callable and has no derivatives; "
                "make a field of it with ne.vector_field(f, z0, theta), or by hand with ne.mlp_field and the like"
            )
        dtype = np.dtype(dtype)
        if not JIT:
            return Kernel("f", self._on_arrays, 0, 0)
        callback = _PROTOTYPE(partial(self._on_pointers, dtype))
        return Kernel("f", self._on_arrays, ctypes.cast(callback, ctypes.c_void_p).value or 0, 0, owner=callback)

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Raise, when the driver has returned, what was raised inside a callback.

        A signal such as Ctrl-C may strike at the very entry of a callback, before it can catch anything. ctypes hands
        such an exception to `sys.unraisablehook`, where it is picked up.
        """
        before = sys.unraisablehook

        def pick_up(unraisable: Any) -> None:
            if isinstance(unraisable.object, partial) and unraisable.object.func == self._on_pointers:
                self.error = self.error or unraisable.exc_value
            else:
                before(unraisable)

        sys.unraisablehook = pick_up
        try:
            yield
        finally:
            sys.unraisablehook = before
        if self.error is not None:
            raise self.error

    def _on_arrays(self, t: np.ndarray, z: np.ndarray, p: np.ndarray, dz: np.ndarray, work: np.ndarray) -> None:
        own = z.reshape(self.shape).copy()
        own.flags.writeable = False
        dz.reshape(self.shape)[...] = self(float(t[0]), own, self.theta)

    def _on_pointers(self, dtype: np.dtype, n: int, t: int, z: int, p: int, dz: int, work: int) -> int:
        if self.error is not None:  # the driver finishes its round before it looks at what kernels returned
            return _FAILED
        try:
            size = self.size * dtype.itemsize
            # A copy of the bytes, so that f may keep what it is given; NumPy makes it read-only.
            own = np.frombuffer(ctypes.string_at(z, size), dtype).reshape(self.shape)
            result = self(ctypes.c_double.from_address(t).value, own, self.theta)
            ctypes.memmove(dz, result.astype(dtype).tobytes(), size)
        except BaseException as error:  # KeyboardInterrupt too: ctypes could only print it
            self.error = error
            return _FAILED
        return DONE
