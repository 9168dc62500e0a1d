"""From a Python function to PTX, for a GPU that need not be there; and a target that runs the PTX on the CPU."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any
from unittest import mock
from weakref import WeakKeyDictionary

from numba import typeof

from nodeedu.cuda.device import GPU, cuda
from nodeedu.cuda.proof.machine import Execution, Program, Shape

__all__ = ["ARCHITECTURES", "PTX", "PtxKernel", "compile_ptx"]

ARCHITECTURES = ("sm_80", "sm_90", "sm_100")


def capability(arch: str) -> tuple[int, int]:
    """Return (9, 0) for "sm_90"."""
    digits = arch.removeprefix("sm_")
    if not digits.isdigit() or len(digits) < 2:
        raise ValueError(f"arch: got {arch!r}, expected a name such as 'sm_90'")
    return int(digits[:-1]), int(digits[-1])


def _pretend(arch: str) -> AbstractContextManager[Any]:
    """Let Numba believe in a device: it asks one for its capability when a kernel calls another compiled function."""
    device = SimpleNamespace(compute_capability=capability(arch))
    return mock.patch.object(cuda.dispatcher, "get_current_device", return_value=device)


class Compiled:
    """A kernel compiled for the types of given arguments; its PTX by architecture, made when first asked for.

    Numba's part of the work takes most of the time and does not depend on the architecture: the functions that a kernel
    calls are compiled once for all of them in any case. libnvvm then writes the PTX for each.
    """

    def __init__(self, function: Callable[..., None], arguments: tuple[Any, ...], arch: str) -> None:
        libraries: list[Any] = []
        library = cuda.codegen.CUDACodeLibrary
        write = library.get_asm_strs

        def keep(self: Any, cc: Any = None) -> Any:
            libraries.append(self)
            return write(self, cc=cc)

        signature = tuple(typeof(each) for each in arguments)
        with _pretend(arch), mock.patch.object(library, "get_asm_strs", keep), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Could not find source")  # of an emitted function: it has no lines
            ptx, _ = cuda.compile(
                function, signature, cc=capability(arch), device=False, abi="numba", output="ptx", lineinfo=True
            )
        self._library = libraries[-1]
        self._texts = {arch: str(ptx)}
        self._programs: dict[str, Program] = {}

    def ptx(self, arch: str) -> str:
        """Return the PTX for an architecture."""
        if arch not in self._texts:
            (self._texts[arch],) = self._library.get_asm_strs(cc=capability(arch))
        return self._texts[arch]

    def program(self, arch: str) -> Program:
        """Return the PTX for an architecture as a program of the CPU."""
        if arch not in self._programs:
            self._programs[arch] = Program(self.ptx(arch))
        return self._programs[arch]


def compile_ptx(function: Callable[..., None], arguments: tuple[Any, ...], arch: str = "sm_90") -> str:
    """Compile a kernel for the types of given arguments; no GPU and no driver are needed.

    Parameters
    ----------
    function : callable
        The kernel, a Python function.
    arguments : tuple
        Arguments as those that it will be launched with.
    arch : str
        The architecture, "sm_" and a compute capability.

    Raises
    ------
    RuntimeError
        If NVIDIA's compiler library, libnvvm, is not installed.
    """
    try:
        return compiled(function, arguments, arch).ptx(arch)
    except (ImportError, OSError) as error:
        if "nvvm" not in str(error).lower():
            raise
        raise RuntimeError("libnvvm is not found; pip install 'nodeedu[cuda]' brings it") from error


# By function and types. Whoever makes the same kernel again need not wait again.
_units: WeakKeyDictionary[Callable[..., None], dict[tuple[Any, ...], Compiled]] = WeakKeyDictionary()


def compiled(function: Callable[..., None], arguments: tuple[Any, ...], arch: str) -> Compiled:
    """Return the kernel for the types of these arguments, compiled now or before."""
    units, key = _units.setdefault(function, {}), tuple(typeof(each) for each in arguments)
    if key not in units:
        units[key] = Compiled(function, arguments, arch)
    return units[key]


@dataclass
class PtxKernel:
    """A kernel that is launched as one of Numba, ``kernel[blocks, threads](*arguments)``, and runs on the CPU as PTX.

    Parameters
    ----------
    function : callable
        The kernel, a Python function.
    arch : str
        The architecture that it is compiled for.
    order : str
        In which order the threads of a block take turns: "forwards", "backwards" or "random".
    seed : int
        Of the random order.
    """

    function: Callable[..., None]
    arch: str = "sm_90"
    order: str = "forwards"
    seed: int = 0

    def __post_init__(self) -> None:
        self.last: Execution | None = None  # what the last launch took

    def ptx(self, arguments: tuple[Any, ...], arch: str = "") -> str:
        """Return the PTX for the types of these arguments."""
        return compile_ptx(self.function, arguments, arch or self.arch)

    def program(self, arguments: tuple[Any, ...]) -> Program:
        """Return the program for the types of these arguments."""
        return compiled(self.function, arguments, self.arch).program(self.arch)

    def __getitem__(self, shape: tuple[Any, ...]) -> Callable[..., None]:
        """Return what launches it on a grid: blocks, threads, and, after a stream, bytes of dynamic shared memory."""
        blocks, threads, *others = shape

        def launch(*arguments: Any) -> None:
            self.last = self.launch(blocks, threads, arguments, shared=others[1] if len(others) > 1 else 0)

        return launch

    def launch(self, blocks: Shape, threads: Shape, arguments: tuple[Any, ...], shared: int = 0) -> Execution:
        """Run the kernel in place on the arrays; return what it took."""
        return self.program(arguments).run(blocks, threads, arguments, self.order, self.seed, shared)


PTX = replace(GPU, kernel=PtxKernel)
