"""Where kernels run, and how the functions of the CPU get there. The one file that imports `numba.cuda`.

The solver's functions call each other by name. `on_device` copies such a function and, in turn, all compiled functions
that it calls: the same source, made into device functions, or left as plain Python for Numba's simulator, in which
every CUDA thread is a Python thread. Nothing is written twice.
"""

from __future__ import annotations

import dis
from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType
from typing import Any

import numpy as np
from numba import cuda
from numba.cuda.simulator.kernel import FakeCUDAKernel

__all__ = ["GPU", "SIMULATOR", "Target", "cuda", "on_device", "require"]


@dataclass(frozen=True)
class Target:
    """A place where kernels run.

    Parameters
    ----------
    name : str
        For display.
    threads : int
        Threads of a block.
    device : callable
        Turns a Python function into one that kernels call.
    kernel : callable
        Turns a Python function into a kernel, to be launched by ``kernel[blocks, threads](arguments)``.
    records : callable
        Turns an array of records into one whose elements have their fields as attributes in a kernel.
    """

    name: str
    threads: int
    device: Callable[[Callable[..., Any]], Any]
    kernel: Callable[[Callable[..., Any]], Any]
    records: Callable[[np.ndarray], np.ndarray]


GPU = Target(
    "GPU", threads=64, device=lambda function: cuda.jit(device=True)(function), kernel=lambda function: cuda.jit(function),
    records=lambda array: array.view(np.ndarray),
)  # fmt: skip

# The simulator's own wrapper of a device function would only look for `cuda` in it. An ensemble is passed as one tuple,
# which the simulator leaves alone: its stand-in for arrays would ask the driver, and knows no arrays of records.
SIMULATOR = Target(
    "simulator", threads=4, device=lambda function: function,
    kernel=lambda function: FakeCUDAKernel(function, device=False), records=lambda array: array.view(np.recarray),
)  # fmt: skip


def require(target: Target) -> None:
    """Raise RuntimeError if a GPU is asked for and there is none."""
    if target is GPU and not cuda.is_available():
        raise RuntimeError(
            "target: got GPU, but Numba finds no CUDA device; "
            "target=SIMULATOR runs the same kernel as plain Python, slowly"
        )


def on_device(function: Callable[..., Any], target: Target, **others: Callable[..., Any]) -> Any:
    """Return a copy of a function for a target, with copies of all compiled functions that it calls.

    Parameters
    ----------
    function : callable
        A compiled function, or a plain one. What it and those that it calls do must be possible on the target: scalar
        loops that allocate nothing.
    target : Target
        Where the copy runs.
    **others
        What takes the place of functions of these names, wherever they are called; used as they are.
    """
    copies: dict[Any, Any] = {}

    def copy(function: Callable[..., Any]) -> Any:
        plain = getattr(function, "py_func", function)
        if plain not in copies:
            names = dict(plain.__globals__)
            for name in _globals_of(plain):
                if name in others:
                    names[name] = others[name]
                elif hasattr(names.get(name), "py_func"):
                    names[name] = copy(names[name])
            twin = FunctionType(plain.__code__, names, plain.__name__, plain.__defaults__, plain.__closure__)
            copies[plain] = target.device(twin)
        return copies[plain]

    return copy(function)


def _globals_of(function: FunctionType) -> set[str]:
    """Return the names of globals that a function reads; ``co_names`` has those of attributes too."""
    return {each.argval for each in dis.get_instructions(function) if each.opname == "LOAD_GLOBAL"}
