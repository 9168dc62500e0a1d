"""Where kernels run, and how functions of the CPU get there. The one file that imports `numba.cuda`.

The solver's functions call each other by name. `rebind` copies such a function and, in turn, all compiled functions
that it calls: the same source, made into device functions, or left as plain Python for Numba's simulator, in which
every CUDA thread is a Python thread.
"""

from __future__ import annotations

import dis
import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
from numba import cuda
from numba.core.errors import NumbaError
from numba.cuda import cgutils, types
from numba.cuda.cudadrv import nvvm
from numba.cuda.cudadrv.driver import driver
from numba.cuda.extending import intrinsic, overload
from numba.cuda.simulator.kernel import FakeCUDAKernel

__all__ = [
    "GPU", "SIMULATOR", "Target", "cgutils", "cuda", "device_forms", "gpu_missing", "inlined", "intrinsic", "launch",
    "overload", "rebind", "require", "types", "unchanged",
]  # fmt: skip

Function = Callable[..., Any]
OLDEST = (7, 5)  # compute capability: the oldest that numba-cuda's compilers of today know


def unchanged(value: Any) -> Any:
    """Return the value."""
    return value


@dataclass(frozen=True)
class Target:
    """A place where kernels run.

    Parameters
    ----------
    threads : int
        Threads of a block.
    core : callable
        Turns a Python function into one that runs there.
    driver : callable
        Wraps the one that a kernel hands over to.
    kernel : callable
        Turns a Python function into a kernel, to be launched by ``kernel[blocks, threads](arguments)``.
    records : callable
        Turns an array of records into one whose elements have their fields as attributes in a kernel.
    """

    threads: int
    core: Callable[[Function], Any]
    driver: Callable[[Any], Any]
    kernel: Callable[[Function], Any]
    records: Callable[[np.ndarray], np.ndarray]


def _device_function(function: Function) -> Any:
    return cuda.jit(device=True)(function)


def _inlined_function(function: Function) -> Any:
    return cuda.jit(device=True, forceinline=True)(function)


def _simulated_kernel(function: Function) -> Any:
    return FakeCUDAKernel(function, device=False)


def _attributes(array: np.ndarray) -> np.ndarray:
    return array.view(np.recarray)


GPU = Target(64, _device_function, unchanged, cuda.jit, unchanged)
# NumPy's numbers warn where machine code is silent. That is a setting of each thread, hence made inside the kernel.
SIMULATOR = Target(4, unchanged, np.errstate(all="ignore"), _simulated_kernel, _attributes)


def inlined(target: Target) -> Target:
    """Return the target with all that it calls compiled into the caller: else a thread's arrays have addresses."""
    return target if target.core is unchanged else replace(target, core=_inlined_function)


@lru_cache
def device_forms(target: Target) -> dict[str, Any]:
    """Return what takes the place of functions that an emitted field calls by these names, in `rebind`.

    CUDA has no form of some NumPy functions of one number. Its own tanh takes ten registers fewer than ours, which
    divides; the simulator runs ours.
    """
    if target.core is unchanged:
        return {}

    def power(x: Any, y: Any) -> Any:
        return x**y

    def sign(x: Any) -> Any:
        return math.copysign(1, x) * (x != 0) if x == x else x

    numpy = ModuleType("numpy_of_kernels")
    vars(numpy).update(vars(np) | {"copysign": math.copysign, "abs": abs, "power": target.core(power)})
    names = {"abs": abs, "sqrt": math.sqrt, "tanh": math.tanh, "sign": target.core(sign), "np": numpy}
    return names


def require(target: Target) -> None:
    """Raise RuntimeError if a GPU is asked for and there is none that can be used; the message says what is missing."""
    if target is not GPU:
        return
    missing = gpu_missing()
    if missing:
        raise RuntimeError(
            f"target: got GPU, but {missing}; target=SIMULATOR, or NODEEDU_CUDA_SIMULATOR=1 for backend='cuda', runs "
            "the same kernels as plain Python"
        )


def gpu_missing() -> str:
    """Say why no kernel can run on a GPU here: no driver, no device, an old one, or no compiler; or return ""."""
    if not cuda.is_available():
        error = getattr(driver, "initialization_error", None)
        return f"Numba finds no CUDA device: {' '.join(str(error or 'the driver reports none').split())}"
    capability = tuple(cuda.get_current_device().compute_capability)
    if capability < OLDEST:
        return (
            f"the device has compute capability {capability[0]}.{capability[1]}, and the kernels need "
            f"{OLDEST[0]}.{OLDEST[1]} or newer"
        )
    try:
        nvvm.NVVM()
    except Exception as error:  # of many types: what is missing may be a library, a symbol or a version
        return f"the compiler of the CUDA toolkit is missing ({error}): pip install 'nodeedu[cuda]'"
    return ""


def launch(kernel: Any, blocks: int, threads: int, argument: Any) -> None:
    """Launch a kernel on an argument, and name the field if it is what the compiler has no device form of.

    Raises
    ------
    ValueError
        If the field cannot be compiled for the device.
    """
    try:
        kernel[blocks, threads](argument)
    except (NumbaError, KeyError, NotImplementedError) as error:
        first = str(error).strip().splitlines()[0]
        raise ValueError(
            f"field: it does not compile for the device: {first}; write what it computes in other functions, or take "
            "backend='cpu'"
        ) from error


def rebind(function: Function, decorate: Callable[[Function], Any], **others: Any) -> Any:
    """Return a decorated copy of a function that calls decorated copies of all compiled functions that it called.

    Parameters
    ----------
    function : callable
        A compiled function, or a plain one.
    decorate : callable
        Applied to every copy.
    **others
        What takes the place of the functions of these names, wherever they are called; used as it is.
    """
    copies: dict[Function, Any] = {}

    def copy(function: Function) -> Any:
        plain = inspect.unwrap(getattr(function, "py_func", function))
        if plain not in copies:
            names = dict(plain.__globals__)
            for name in _globals_read_by(plain):
                if name in others:
                    names[name] = others[name]
                elif hasattr(names.get(name), "py_func"):
                    names[name] = copy(names[name])
            twin = FunctionType(plain.__code__, names, plain.__name__, plain.__defaults__, plain.__closure__)
            copies[plain] = decorate(twin)
        return copies[plain]

    return copy(function)


def _globals_read_by(function: Function) -> set[str]:
    """Return names of globals; ``co_names`` would mix them with those of attributes."""
    return {each.argval for each in dis.get_instructions(function) if each.opname == "LOAD_GLOBAL"}
