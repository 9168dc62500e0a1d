"""An estimate of what a GPU could reach at most, from counted instructions. Nothing here is measured.

An SM issues at most four warp instructions a clock, and each kind of instruction has units of its own, which take so
many threads' instructions a clock (CUDA C++ Programming Guide, "Throughput of Native Arithmetic Instructions", compute
capability 9.0). The kind that needs the longest bounds the rate. PTX counts are less than those of machine code, and no
kernel keeps units busy all the time: expect a fraction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from nodeedu.cuda.proof.counts import by_kind, moved_bytes

__all__ = ["H100", "Ceiling", "Gpu", "ceiling"]


@dataclass(frozen=True)
class Gpu:
    """A GPU: its SMs, clock in Hz, bytes of global memory moved in a second, instructions of a clock and SM by unit."""

    name: str
    multiprocessors: int
    clock: float
    bandwidth: float
    units: Mapping[str, float]


H100 = Gpu(
    "H100 SXM",
    132,
    1.98e9,
    3.35e12,
    {"float64": 64, "float32": 128, "approximate": 16, "integer": 64, "exchange": 32, "memory": 32, "issue": 128},
)

_UNITS = {
    "float64 fma": "float64", "float64 add, mul": "float64", "float64 div, sqrt": "float64",
    "float32 fma": "float32", "float32 add, mul": "float32", "float32 div, sqrt": "float32",
    "approximate": "approximate", "convert": "approximate", "compare, select": "integer", "integer, move": "integer",
    "shuffle, vote": "exchange", "load, store global": "memory", "load, store shared": "memory",
    "load, store local": "memory", "atomic": "memory",
}  # fmt: skip


@dataclass(frozen=True)
class Ceiling:
    """The estimate: steps in a second at most, and the unit that bounds them ("bandwidth": global memory)."""

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
    kinds = by_kind(instructions)
    used: Counter[str] = Counter({"issue": sum(count for kind, count in kinds.items() if kind != "parameter")})
    for kind, count in kinds.items():
        if kind in _UNITS:
            used[_UNITS[kind]] += count
    seconds = {unit: count / (gpu.units[unit] * gpu.multiprocessors * gpu.clock) for unit, count in used.items()}
    seconds["bandwidth"] = moved_bytes(instructions) / gpu.bandwidth
    bound = max(seconds, key=lambda unit: seconds[unit])
    return Ceiling(steps / seconds[bound], bound)
