"""Executed instructions by kind, as a roofline estimate needs them.

What is counted are PTX instructions, summed over threads. The machine code has others (a division is many, addresses
cost more), so that the counts say what a kernel must do at least, not how long it takes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from nodeedu.cuda.proof.registers import C_TYPES, width

__all__ = ["KINDS", "by_kind", "kind_of", "moved_bytes"]

KINDS = (
    "float64 fma", "float64 add, mul", "float64 div, sqrt", "float32 fma", "float32 add, mul", "float32 div, sqrt",
    "approximate", "load, store global", "load, store shared", "load, store local", "atomic", "shuffle, vote",
    "barrier", "branch, call", "convert", "compare, select", "integer, move", "parameter",
)  # fmt: skip

_FLOATS = {"f64": "float64", "f32": "float32"}


def kind_of(opcode: str) -> str:
    """Return the kind of an instruction, one of `KINDS`."""
    parts = opcode.split(".")
    name, spaces = parts[0], [part.partition("::")[0] for part in parts]
    if "approx" in parts:
        return "approximate"
    if name in ("ld", "ldu", "st"):
        space = next((space for space in spaces if space in ("shared", "local", "param")), "global")
        return "parameter" if space == "param" else f"load, store {space}"
    named = {
        "atom": "atomic", "red": "atomic", "shfl": "shuffle, vote", "vote": "shuffle, vote", "bar": "barrier",
        "barrier": "barrier", "bra": "branch, call", "brx": "branch, call", "call": "branch, call",
        "ret": "branch, call", "exit": "branch, call", "cvt": "convert", "setp": "compare, select",
        "selp": "compare, select", "min": "compare, select", "max": "compare, select",
    }  # fmt: skip
    if name in named:
        return named[name]
    real = _FLOATS.get(parts[-1])
    if real and name in ("fma", "mad"):
        return f"{real} fma"
    if real and name in ("add", "sub", "mul"):
        return f"{real} add, mul"
    if real and name in ("div", "sqrt", "rcp", "rsqrt"):
        return f"{real} div, sqrt"
    return "integer, move"


def by_kind(instructions: Mapping[str, int]) -> dict[str, int]:
    """Return counts by kind, of those that occur, in the order of `KINDS`."""
    total: Counter[str] = Counter()
    for opcode, count in instructions.items():
        total[kind_of(opcode)] += count
    return {kind: total[kind] for kind in KINDS if total[kind]}


def moved_bytes(instructions: Mapping[str, int], space: str = "global") -> int:
    """Return bytes loaded from and stored to a space: "global", "shared" or "local"."""
    total = 0
    for opcode, count in instructions.items():
        parts = opcode.split(".")
        if kind_of(opcode) == f"load, store {space}" and parts[-1] in C_TYPES:
            lanes = next((int(part[1:]) for part in parts if part in ("v2", "v4", "v8")), 1)
            total += count * lanes * width(parts[-1])
    return total
