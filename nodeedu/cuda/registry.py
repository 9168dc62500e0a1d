"""The kernels, one row each: how to launch an example of it, what the CPU gives, and what it may cost.

All that proves or checks kernels runs over these rows: the simulator, the table of budgets, the execution of the PTX on
the CPU, and `nodeedu cuda selfcheck` on a GPU. A row builds its launch for a given target, so that they all run the
same kernel on the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import numpy as np

from nodeedu.cuda.device import Target

__all__ = ["MODULES", "Budget", "Launch", "Row", "named", "rows"]

Array = np.ndarray
Shape = int | tuple[int, ...]

# Modules with a tuple ROWS. Imported when asked for: they trace fields.
MODULES: tuple[str, ...] = (
    "nodeedu.cuda.proof.examples",
    "nodeedu.cuda.thread_rows",
    "nodeedu.cuda.warp_rows",
    "nodeedu.cuda.tile_rows",
)


@dataclass(frozen=True)
class Launch:
    """A kernel with what it is launched on: ``kernel[blocks, threads](*arguments)``.

    Parameters
    ----------
    kernel : object
        What ``target.kernel(function)`` made of the Python function.
    blocks, threads : int or tuple of int
        Shape of the grid and of a block.
    arguments : tuple
        NumPy arrays (C order), NumPy or Python scalars, or named tuples of these.
    outputs : mapping of str to array
        Arrays among the arguments that the kernel writes, by name. What adds to an array needs it set to zero.
    steps : callable or None
        Total number of steps that were taken, asked for after the launch: instructions are reported per step.
    """

    kernel: Any
    blocks: Shape
    threads: Shape
    arguments: tuple[Any, ...]
    outputs: Mapping[str, Array]
    steps: Callable[[], int] | None = None

    def run(self) -> dict[str, Array]:
        """Launch the kernel; return its outputs."""
        self.kernel[self.blocks, self.threads](*self.arguments)
        return dict(self.outputs)


@dataclass(frozen=True)
class Budget:
    """What a kernel may use on every architecture; no function of it may spill or have a stack frame.

    Parameters
    ----------
    float64, float32 : int
        Registers of a thread, at most.
    shared : int
        Bytes of shared memory of a block, at most.
    doubles : int
        Instructions of float64 arithmetic in the float32 kernel, at most. Times are float64 in some of them.
    """

    float64: int
    float32: int
    shared: int = 48 * 1024
    doubles: int = 0

    def registers(self, real: str) -> int:
        """Return the registers allowed for "float64" or "float32"."""
        return self.float64 if real == "float64" else self.float32


@dataclass(frozen=True)
class Row:
    """A kernel, with an example.

    Parameters
    ----------
    name : str
        A short name, unique; it names the kernel in tables and tests.
    title : str
        What it does, in a few words.
    launch : callable
        ``(real, target) -> Launch`` on fresh copies of the same inputs at every call; real is a dtype.
    expected : callable
        ``(real) -> {name: array}``, the CPU's results for the outputs that are to be compared. Integer arrays (counts
        of steps) must be equal, others close.
    budget : Budget
        What it may cost.
    tolerance : mapping of str to float
        Largest ``|got - expected| / max(1, max |expected|)``, by name of the real type.
    atomics : bool
        Whether it adds to shared memory by atomics: the counter-example does, to show the price.
    shuffles : bool
        Whether it exchanges values within warps, which Numba's simulator cannot do.
    """

    name: str
    title: str
    launch: Callable[[np.dtype, Target], Launch]
    expected: Callable[[np.dtype], dict[str, Array]]
    budget: Budget
    tolerance: Mapping[str, float] = field(default_factory=lambda: {"float64": 1e-12, "float32": 1e-5})
    atomics: bool = False
    shuffles: bool = False


def rows() -> tuple[Row, ...]:
    """Return all rows, in the order of `MODULES`."""
    return tuple(row for module in MODULES for row in import_module(module).ROWS)


def named(name: str) -> Row:
    """Return the row of a name.

    Raises
    ------
    ValueError
        If there is none.
    """
    known = {row.name: row for row in rows()}
    if name not in known:
        raise ValueError(f"kernel: got {name!r}, expected one of {', '.join(known)}")
    return known[name]
