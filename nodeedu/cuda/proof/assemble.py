"""From PTX to machine code, with the assembler of NVIDIA's wheels: what every function of a kernel takes.

ptxas reports a line for each function, also for those of NVIDIA's library that were not inlined, such as
``__internal_accurate_pow``: a spill there is as costly as one in the kernel. The assembler must be as new as the
compiler that wrote the PTX, which is why one that the system happens to have is not used.
"""

from __future__ import annotations

import importlib.util
import re
import subprocess
import tempfile
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["TOOLS", "Assembled", "FunctionUse", "assemble", "tool"]

TOOLS = {"ptxas": "nvidia-cuda-nvcc", "nvdisasm": "nvidia-cuda-nvdisasm"}  # and the wheels that bring them

_USE = re.compile(r"Used (\d+) registers")
_FRAME = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
_SHARED = re.compile(r"(\d+) bytes smem")
_NAME = re.compile(r"(?:Function properties for|Compiling entry function) '?([\w$]+)'?")
# Offset, an optional guard, the opcode:        /*0120*/              @!P0 DFMA.RZ R4, ...
_SASS = re.compile(r"^\s*/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_.]*)", re.MULTILINE)


@dataclass(frozen=True)
class FunctionUse:
    """What one function takes: bytes of stack frame, and of registers that do not fit ("spills")."""

    name: str
    stack: int
    spill_stores: int
    spill_loads: int

    @property
    def spills(self) -> int:
        """Bytes moved to and from memory for want of registers."""
        return self.spill_stores + self.spill_loads


@dataclass(frozen=True)
class Assembled:
    """Machine code and what it takes.

    Parameters
    ----------
    arch : str
        The architecture.
    registers : int
        Of a thread.
    shared : int
        Bytes of static shared memory of a block.
    functions : tuple of FunctionUse
        The kernel, then the functions that it calls.
    opcodes : Counter
        Instructions of the machine code ("SASS") by name with qualifiers, as they stand there.
    """

    arch: str
    registers: int
    shared: int
    functions: tuple[FunctionUse, ...]
    opcodes: Counter[str]

    def count(self, *prefixes: str) -> int:
        """Return how many instructions begin with one of these names."""
        return sum(many for name, many in self.opcodes.items() if name.startswith(prefixes))

    @property
    def doubles(self) -> int:
        """Instructions of float64 arithmetic; conversions from and to float64 count."""
        names = ("DADD", "DMUL", "DFMA", "DSETP", "DMNMX", "MUFU.RCP64H", "MUFU.RSQ64H")
        return self.count(*names) + sum(
            many for name, many in self.opcodes.items() if name.startswith(("F2F", "F2I", "I2F")) and ".F64" in name
        )

    @property
    def stack(self) -> int:
        """Largest stack frame."""
        return max((function.stack for function in self.functions), default=0)

    @property
    def spills(self) -> int:
        """Bytes of spills of all functions."""
        return sum(function.spills for function in self.functions)


@cache
def tool(name: str) -> str:
    """Return the path of a tool.

    Raises
    ------
    RuntimeError
        If its wheel is not installed.
    """
    package = importlib.util.find_spec("nvidia")
    for place in (package.submodule_search_locations or []) if package else []:
        for path in sorted(Path(place).glob(f"*/bin/{name}")):
            return str(path)
    raise RuntimeError(f"{name} is not found; pip install {TOOLS[name]}, which 'nodeedu[cuda-test]' names, brings it")


def assemble(ptx: str, arch: str, options: tuple[str, ...] = ()) -> Assembled:
    """Assemble PTX for an architecture, as the driver would on the device; options go to ptxas.

    Raises
    ------
    RuntimeError
        If a tool is missing, or refuses the code.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, cubin = Path(folder) / "kernel.ptx", Path(folder) / "kernel.cubin"
        source.write_text(ptx, encoding="utf-8")
        flags = ("--verbose", f"--gpu-name={arch}", "--opt-level=3", *options)
        log = _run(tool("ptxas"), *flags, str(source), "-o", str(cubin))
        sass = _run(tool("nvdisasm"), "--print-code", str(cubin))
    return _read(log, sass, arch)


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{Path(command[0]).name} fails: {(done.stderr or done.stdout)[:2000]}")
    return done.stdout + done.stderr


def _read(log: str, sass: str, arch: str) -> Assembled:
    """Read the report of ptxas. A function's name stands in the line before its frame."""
    used, shared, name = _USE.findall(log), _SHARED.findall(log), ""
    if not used:
        raise RuntimeError(f"ptxas reports no registers:\n{log[:2000]}")
    functions = []
    for line in log.splitlines():
        named, frame = _NAME.search(line), _FRAME.search(line)
        name = named[1] if named else name
        if frame:
            functions.append(FunctionUse(name, *map(int, frame.groups())))
    return Assembled(
        arch, max(map(int, used)), max(map(int, shared), default=0), tuple(functions), Counter(_SASS.findall(sass))
    )
