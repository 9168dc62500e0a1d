"""Where kernels run, and how functions of the CPU get there. The one file that imports `numba.cuda`.

The solver's functions call each other by name. `rebind` copies such a function and, in turn, all compiled functions
that it calls: the same source, made into device functions, or left as plain Python for Numba's simulator, in which
every CUDA thread is a Python thread.
"""

from __future__ import annotations

import dis
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType
from typing import Any

import numpy as np
from numba import cuda
from numba.cuda.simulator.kernel import FakeCUDAKernel

__all__ = ["GPU", "SIMULATOR", "Target", "cuda", "rebind", "require", "unchanged"]

Function = Callable[..., Any]


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


def _simulated_kernel(function: Function) -> Any:
    return FakeCUDAKernel(function, device=False)


def _attributes(array: np.ndarray) -> np.ndarray:
    return array.view(np.recarray)


GPU = Target(64, _device_function, unchanged, cuda.jit, unchanged)
# NumPy's numbers warn where machine code is silent. That is a setting of each thread, hence made inside the kernel.
SIMULATOR = Target(4, unchanged, np.errstate(all="ignore"), _simulated_kernel, _attributes)


def require(target: Target) -> None:
    """Raise RuntimeError if a GPU is asked for and there is none."""
    if target is GPU and not cuda.is_available():
        raise RuntimeError(
            "target: got GPU, but Numba finds no CUDA device; target=SIMULATOR runs the same kernel, as plain Python"
        )


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
