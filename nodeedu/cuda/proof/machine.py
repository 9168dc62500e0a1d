"""Runs PTX on the CPU: compiles its translation with gcc, keeps it, launches it on NumPy arrays, reports what it did.

It shows what a kernel computes, that its threads meet where they must, that it stays within its arrays, and how many
instructions it takes. It cannot show how long a GPU takes, nor the bits of approximate instructions, nor what depends
on the order in which blocks, or the parts of a warp, run at the same time.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
import threading
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from nodeedu.compile.cache import unit_folder
from nodeedu.cuda.proof.arguments import Named, arrays, pack
from nodeedu.cuda.proof.faults import fault_message
from nodeedu.cuda.proof.ptx import Module, parse
from nodeedu.cuda.proof.translate import Translation, translate

__all__ = ["ORDERS", "Execution", "Fault", "Program", "compiler"]

ORDERS = ("forwards", "backwards", "random")
FLAGS = ("-O1", "-w", "-ffp-contract=off", "-fno-strict-aliasing", "-fno-math-errno", "-shared", "-fPIC")
Shape = int | tuple[int, ...]


class Fault(RuntimeError):
    """A kernel did what it must not do; the message says which thread did what, in which line. ``kind`` is one word."""

    def __init__(self, message: str, kind: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True)
class Execution:
    """What a launch took.

    Parameters
    ----------
    instructions : Counter
        Instructions by opcode, summed over threads.
    barriers, shuffles : int
        Barriers of blocks; shuffles of warps, each counted once for all its lanes.
    threads : int
        Threads that ran.
    """

    instructions: Counter[str]
    barriers: int
    shuffles: int
    threads: int


class _Region(ctypes.Structure):
    _fields_ = [
        ("low", ctypes.c_void_p), ("high", ctypes.c_void_p), ("shadow", ctypes.c_void_p), ("space", ctypes.c_uint32),
    ]  # fmt: skip


class _Fault(ctypes.Structure):
    _fields_ = [
        ("kind", ctypes.c_int64), ("thread", ctypes.c_int64), ("other", ctypes.c_int64), ("site", ctypes.c_int64),
        ("size", ctypes.c_int64), ("address", ctypes.c_uint64), ("block", ctypes.c_uint32 * 3),
    ]  # fmt: skip


class _Launch(ctypes.Structure):
    """The twin of ``Launch`` in machine.h."""

    _fields_ = [
        ("blocks", ctypes.c_uint32 * 3), ("threads", ctypes.c_uint32 * 3),
        ("parameters", ctypes.c_void_p), ("stack", ctypes.c_uint64), ("fuel", ctypes.c_uint64),
        ("seed", ctypes.c_uint64), ("without", ctypes.c_int64), ("order", ctypes.c_uint32),
        ("n_regions", ctypes.c_uint32), ("shared", ctypes.c_uint32), ("unused", ctypes.c_uint32),
        ("regions", ctypes.c_void_p), ("fault", _Fault), ("waiting", ctypes.c_void_p),
        ("barriers", ctypes.c_uint64), ("shuffles", ctypes.c_uint64), ("switches", ctypes.c_uint64),
    ]  # fmt: skip


class Program:
    """A kernel that runs on the CPU.

    Parameters
    ----------
    ptx : str or Module
        PTX with one kernel.

    Raises
    ------
    PtxError
        If an instruction is not known; the message names it.
    RuntimeError
        If there is no C compiler.
    """

    def __init__(self, ptx: str | Module) -> None:
        self.translation: Translation = translate(ptx if isinstance(ptx, Module) else parse(ptx))
        self._library = ctypes.CDLL(str(_build(self.translation.code)))
        self._library.run.restype = ctypes.c_int64
        self._lock = threading.Lock()  # variables of the program are global

    def run(
        self,
        blocks: Shape,
        threads: Shape,
        arguments: tuple[Any, ...],
        order: str = "forwards",
        seed: int = 0,
        shared: int = 0,
        loops: int = 10**9,
        without: int = -1,
    ) -> Execution:
        """Launch the kernel on arrays, which it changes in place.

        Parameters
        ----------
        blocks, threads : int or tuple of int
            Shape of the grid and of a block.
        arguments : tuple
            Arrays, numbers, tuples of these.
        order : str
            Which thread of a block runs first: "forwards", "backwards", or "random", anew at every halt.
        seed : int
            Of the random order.
        shared : int
            Bytes of dynamic shared memory.
        loops : int
            Turns of loops after which the launch is given up.
        without : int
            Number of a barrier that threads pass by, or of a shuffle that gets half a mask; see `mutants`.

        Raises
        ------
        Fault
            If threads wait for ever, access what is not theirs, or race for shared memory.
        """
        if order not in ORDERS:
            raise ValueError(f"order: got {order!r}, expected one of {', '.join(ORDERS)}")
        packed = pack(arguments, self.translation.parameters)
        words = [ctypes.create_string_buffer(word, 8) for word in packed]
        pointers = (ctypes.c_void_p * max(len(words), 1))(*(ctypes.addressof(word) for word in words))
        named = [each for each in arrays(arguments) if each.array.size]
        with self._lock:
            table = self._regions(named, shared)
            shape = [(*_axes(size), 1, 1)[:3] for size in (blocks, threads)]
            count = int(np.prod(shape[1]))
            waiting = np.zeros((count, 3), np.int32)
            launch = _Launch(
                parameters=ctypes.addressof(pointers), stack=self.translation.stack, fuel=loops,
                without=without, shared=shared,
                seed=seed * 2**32 + 0x9E3779B97F4A7C15 & 2**64 - 1, order=ORDERS.index(order), n_regions=len(table),
                regions=ctypes.addressof(table), waiting=waiting.ctypes.data,
            )  # fmt: skip
            launch.blocks[:], launch.threads[:] = shape
            visits = (ctypes.c_uint64 * len(self.translation.blocks)).in_dll(self._library, "VISITS")
            ctypes.memset(visits, 0, ctypes.sizeof(visits))
            self._library.run(ctypes.byref(launch))
            instructions = self._instructions(list(visits))
        if launch.fault.kind:
            raise Fault(*fault_message(launch.fault, self.translation, named, waiting, table))
        return Execution(instructions, launch.barriers, launch.shuffles, count * int(np.prod(shape[0])))

    def _regions(self, named: list[Named], shared: int) -> Any:
        """Return the table of what may be accessed: module variables, then arrays."""
        count = len(self.translation.variables)
        table = (_Region * (count + len(named) + 1))()
        self._library.variables(table, ctypes.c_uint64(shared))
        for row, each in zip(list(table)[count:], named, strict=False):
            row.low, row.high = each.bounds()
            row.space = 1
        return table

    def _instructions(self, visits: list[int]) -> Counter[str]:
        total: Counter[str] = Counter()
        for count, opcodes in zip(visits, self.translation.blocks, strict=True):
            if count:
                for opcode, each in opcodes.items():
                    total[opcode] += each * count
        return total


def _axes(size: Shape) -> tuple[int, ...]:
    return (size,) if isinstance(size, (int, np.integer)) else tuple(size)


@cache
def compiler() -> str:
    """Return the C compiler: $CC or gcc.

    Raises
    ------
    RuntimeError
        If there is none.
    """
    name = os.environ.get("CC", "gcc")
    if not shutil.which(name):
        raise RuntimeError(f"C compiler: {name} is not found; install gcc, or name another in the variable CC")
    return name


@cache
def _flags() -> tuple[str, ...]:
    """Return the compiler's flags. Without -mfma, fma() is a function: slow, and right."""
    try:
        has_fma = " fma " in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        has_fma = False
    return (*FLAGS, "-mfma") if has_fma else FLAGS


def _build(code: str) -> Path:
    """Compile, unless it was before; return the shared library."""
    command = [compiler(), *_flags()]
    digest = hashlib.sha256("\0".join((code, *command)).encode()).hexdigest()[:32]
    folder = unit_folder(f"ptx-{digest}") or Path(tempfile.mkdtemp())
    library = folder / "kernel.so"
    if not library.exists():
        with tempfile.TemporaryDirectory(dir=folder) as place:
            source, made = Path(place) / "kernel.c", Path(place) / "kernel.so"
            source.write_text(code, encoding="utf-8")
            whole = [*command, str(source), "-o", str(made), "-lm"]
            done = subprocess.run(whole, capture_output=True, text=True, check=False)
            if done.returncode:
                raise RuntimeError(f"the C compiler fails on the translated kernel:\n{done.stderr[:2000]}")
            made.replace(library)
    return library
