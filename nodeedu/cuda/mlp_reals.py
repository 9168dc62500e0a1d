"""The CPU's functions in the number type of a kernel.

In a float32 kernel nothing may be computed in float64, of which most GPUs have few units. Numba takes a Python float
for float64, and everything that it meets becomes one. `binder` therefore copies functions (`device.rebind`) in which
literals and global constants are of the kernel's type, and in which ``float``, ``math`` and the spacing of numbers mean
their float32 counterparts. Times are float32 there, too: that is where a float32 kernel differs from the CPU.
"""

from __future__ import annotations

import dis
import math
import sys
from collections.abc import Callable
from functools import lru_cache
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

from nodeedu.cuda.device import FakeCUDAKernel, Function, Target, rebind, unchanged
from nodeedu.solvers.lanes import LANE, SAMPLE

__all__ = ["Bind", "as_type", "binder", "for_kernel", "local_records"]

Bind = Callable[..., Any]

NUMPY = ModuleType("numpy_of_kernels")  # of NumPy's functions of one number, CUDA knows those that Python has, too
vars(NUMPY).update(vars(np) | {"copysign": math.copysign, "abs": abs})


class _Simulated:
    """The module `cuda` inside a running kernel of the simulator, which replaces it in the kernel's own file alone."""

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.modules[FakeCUDAKernel.__module__]._get_kernel_context(), name)


_SIMULATED = _Simulated()


def binder(real: Any, target: Target) -> Bind:
    """Return ``bind(function, **others)``, which copies a function and what it calls to a target, in a number type."""
    simulated = {"cuda": _SIMULATED} if target.core is unchanged else {}
    if np.dtype(real) == np.float64:
        names = {"np": NUMPY} | simulated
        return lambda function, **others: rebind(function, target.core, **(names | others))
    names = _names_of_float32(target.core) | simulated
    return lambda function, **others: rebind(function, lambda twin: target.core(_narrow(twin)), **(names | others))


@lru_cache
def _names_of_float32(core: Callable[[Function], Any]) -> dict[str, Any]:
    def sqrt(x: Any) -> Any:
        return math.sqrt(np.float32(x))  # the mean that it is taken of was divided by an integer, in float64

    single = ModuleType("math_of_float32")
    vars(single).update(vars(math) | {"sqrt": core(sqrt), "inf": np.float32(math.inf), "nan": np.float32(math.nan)})
    return {"np": NUMPY, "math": single, "float": np.float32, "EPS": np.float32(2.0**-23), "SLIVER": np.float32(1e-6)}


def for_kernel(function: Function, target: Target) -> Function:
    """Return a kernel's function such that the simulator finds its own `cuda` in it, and NumPy is silent."""
    return function if target.core is not unchanged else target.driver(rebind(function, unchanged, cuda=_SIMULATED))


def _narrow(twin: Any) -> FunctionType:
    """Make literals and global constants of a function float32; its globals are its own (`rebind` copied them)."""
    code = twin.__code__
    constants = tuple(np.float32(c) if type(c) is float else c for c in code.co_consts)
    names = twin.__globals__
    for each in dis.get_instructions(code):
        if each.opname == "LOAD_GLOBAL" and type(names.get(each.argval)) in (float, np.float64):
            names[each.argval] = np.float32(names[each.argval])
    return FunctionType(
        code.replace(co_consts=constants), names, twin.__name__, twin.__defaults__, twin.__closure__
    )  # fmt: skip


def as_type(dtype: np.dtype) -> Any:
    """Return np.float64 or np.float32."""
    return dtype.type


@lru_cache
def local_records(real: Any) -> tuple[np.dtype, np.dtype]:
    """Return LANE and SAMPLE of lanes.py for one thread: reals of the kernel's type, integers of 32 bits."""
    return tuple(
        np.dtype((np.record, [(name, real if dtype[name].kind == "f" else np.int32) for name in dtype.names or ()]))
        for dtype in (LANE, SAMPLE)
    )  # type: ignore[return-value]
