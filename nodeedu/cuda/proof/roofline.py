"""An estimate of what a GPU could reach at most, from counted instructions. Nothing here is measured.

An SM issues at most four warp instructions a clock, and each kind of instruction has units of its own, which take so
many threads' instructions a clock (CUDA C++ Programming Guide, "Throughput of Native Arithmetic Instructions", compute
capability 9.0). The kind that needs the longest bounds the rate. PTX counts are less than those of machine code, memory
is taken to answer at once, and no kernel keeps units busy all the time: expect a fraction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from nodeedu.cuda.proof.counts import kind_of

__all__ = ["H100", "Ceiling", "Gpu", "ceiling"]


@dataclass(frozen=True)
class Gpu:
    """A GPU: its SMs, clock in Hz, instructions of a clock and SM by unit."""

    name: str
    multiprocessors: int
    clock: float
    units: Mapping[str, float]


H100 = Gpu(
    "H100 SXM",
    132,
    1.98e9,
    {"float64": 64, "float32": 128, "approximate": 16, "integer": 64, "exchange": 32, "memory": 32, "issue": 128},
)

_UNITS = {
    "float64 fma": "float64", "float64 add, mul": "float64", "float64 div, sqrt": "float64",
    "float32 fma": "float32", "float32 add, mul": "float32", "float32 div, sqrt": "float32",
    "approximate": "approximate", "convert": "approximate", "compare, select": "integer", "integer, move": "integer",
    "shuffle, vote": "exchange", "load, store global": "memory", "load, store shared": "memory",
    "load, store local": "memory", "atomic": "memory",
}  # fmt: skip


def _unit(opcode: str) -> str:
    """Return the unit of an instruction; none for moves, which the assembler makes disappear."""
    parts = opcode.split(".")
    integers = not {"f32", "f64"} & set(parts[-2:])
    if parts[0] in ("mov", "cvta") or (parts[0] == "cvt" and integers):
        return ""
    return _UNITS.get(kind_of(opcode), "branch")


@dataclass(frozen=True)
class Ceiling:
    """The estimate: steps in a second at most, and the unit that bounds them."""

    steps_per_second: float
    bound: str


def ceiling(instructions: Mapping[str, int], steps: int, gpu: Gpu = H100) -> Ceiling:
    """Return how many steps a GPU could take in a second at most.

    Parameters
    ----------
    instructions : mapping
        Executed instructions by opcode, summed over threads.
    steps : int
        Steps that they took.
    gpu : Gpu
        Which one.
    """
    used: Counter[str] = Counter()
    for opcode, count in instructions.items():
        unit = _unit(opcode)
        if unit:
            used["issue"] += count
            used[unit] += count
    seconds = {unit: used[unit] / (rate * gpu.multiprocessors * gpu.clock) for unit, rate in gpu.units.items()}
    bound = max(seconds, key=lambda unit: seconds[unit])
    return Ceiling(steps / seconds[bound], bound)
