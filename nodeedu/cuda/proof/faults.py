"""What went wrong in a launch, in words: which thread, what, in which line of the kernel."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from nodeedu.cuda.proof.arguments import Named
from nodeedu.cuda.proof.ptx import Instruction
from nodeedu.cuda.proof.translate import Translation

__all__ = ["fault_message", "place"]

KINDS = ("", "deadlock", "bounds", "alignment", "race", "mask", "lane", "endless", "trap", "space")
_STATES = (
    "run", "wait at a barrier", "wait in a shuffle", "wait in a vote", "wait at a barrier of the warp", "have ended"
)  # fmt: skip
_HOW = ("reads", "writes", "changes by an atomic operation")
_SPACES = {1: "global", 2: "shared", 4: "constant"}


def place(instruction: Instruction) -> str:
    """Return where an instruction stands: file and line of Python, if known, and the PTX."""
    text = instruction.text()
    ptx = f"line {instruction.line} of the PTX, {text if len(text) <= 80 else text[:77] + '...'!r}"
    file, line = instruction.source
    return f"{Path(file).name}:{line} ({ptx})" if line else ptx


def fault_message(
    fault: Any, translation: Translation, named: list[Named], waiting: np.ndarray, table: Any
) -> tuple[str, str]:
    """Return the message and the kind of a fault."""
    kind = KINDS[fault.kind]
    where, thread, block = place(translation.sites[fault.site]), fault.thread, tuple(fault.block)
    who = f"thread {thread} of block {block}"
    names = [f"variable {name}" for name in translation.variables] + [str(each) for each in named]
    target = _position(fault.address, table, names)
    texts = {
        "deadlock": f"block {block} stands still: {_waiting(waiting, translation)}",
        "bounds": f"{who} {_HOW[fault.other % 3]} {fault.size} bytes {target}: {where}",
        "alignment": f"{who} {_HOW[fault.other % 3]} at no multiple of {fault.size} bytes, {target}: {where}",
        "race": f"{who} {_HOW[fault.size % 3]} shared memory that thread {fault.other} has used since the last "
        f"barrier, {target}: {where}",
        "mask": f"{who} takes part in a warp's exchange whose mask {fault.address:#010x} leaves it out: {where}",
        "lane": f"{who} reads lane {fault.other}, which does not take part in the shuffle: {where}",
        "endless": f"{who} does not come to an end: the limit of turns of loops is reached: {where}",
        "trap": f"{who} meets a trap: {where}",
        "space": f"{who} accesses {_SPACES.get(fault.other, 'other')} memory as another kind, {target}: {where}",
    }
    return texts[kind], kind


def _position(address: int, table: Any, names: list[str]) -> str:
    """Return where an address lies, seen from the nearest variable or array."""
    nearest: tuple[int, str] | None = None
    for row, name in zip(table, names, strict=False):
        low, high = row.low or 0, row.high or 0
        distance = low - address if address < low else max(address - high, 0)
        word = f"{low - address} bytes before" if address < low else f"{address - high} bytes behind"
        text = f"{word} {name}" if address < low or address >= high else f"at byte {address - low} of {name}"
        if nearest is None or distance < nearest[0]:
            nearest = distance, text
    return nearest[1] if nearest and nearest[0] < 1 << 20 else f"at address {address:#x}, far from all arrays"


def _waiting(waiting: np.ndarray, translation: Translation) -> str:
    """Say which threads wait where."""
    groups: dict[tuple[int, int], list[int]] = defaultdict(list)
    for thread, (state, site, _) in enumerate(waiting.tolist()):
        groups[state, site if state != 5 else -1].append(thread)
    parts = []
    for (state, site), threads in groups.items():
        where = f" at {place(translation.sites[site])}" if site >= 0 else ""
        parts.append(f"{_ranges(threads)} {_STATES[state]}{where}")
    return "; ".join(parts)


def _ranges(threads: list[int]) -> str:
    """Return ``threads 0-31, 40``."""
    runs: list[list[int]] = []
    for thread in threads:
        if runs and runs[-1][1] == thread - 1:
            runs[-1][1] = thread
        else:
            runs.append([thread, thread])
    return "threads " + ", ".join(f"{a}-{b}" if a != b else f"{a}" for a, b in runs)
