"""The page of tables about the kernels, written from proofs."""

from __future__ import annotations

from collections.abc import Sequence

from nodeedu.cuda.proof.counts import by_kind
from nodeedu.cuda.proof.prove import Proof
from nodeedu.cuda.proof.roofline import H100, ceiling
from nodeedu.cuda.proof.tools import versions
from nodeedu.cuda.registry import rows

__all__ = ["to_markdown"]

HEAD = """# What the CUDA kernels take

Written by `python -m nodeedu.cuda.proof.prove --page tutorials/cuda_budgets.md`, with {versions}.
**No GPU was used, and no speed is measured.** The kernels are compiled by libnvvm and assembled by ptxas of NVIDIA's
wheels; the counts of executed instructions come from running their PTX on the CPU.
"""

BUDGETS = """## Registers and memory

Registers of a thread, and how many the kernel may use; bytes of static shared memory of a block; threads of a block;
share of an SM's warps that can be resident ("occupancy", computed); instructions of float64 arithmetic and loops for
atomics on shared memory in the machine code. No function of any kernel, library functions included, spills registers or
has a stack frame.
"""

COUNTS = """## Executed instructions

PTX instructions of the example's threads together, per step of one trajectory where the kernel steps; barriers and
shuffles of the whole example. The ceiling is **an estimate** for one {gpu}: the steps in a second if its busiest unit
never waited, for memory neither. Machine code takes more instructions than PTX, and no kernel keeps a unit busy.
"""

MUTANTS = """## Mutants

Each barrier removed, a shuffle of each line with half a mask, one at a time, and what notices: `race` is the watch over
shared memory, `mask` and `lane` its checks of shuffles, `deadlock` threads that wait for ever, `result` wrong numbers.
"""


def to_markdown(proofs: Sequence[Proof]) -> str:
    """Return the page."""
    known = {row.name: row for row in rows()}
    names = ", ".join(f"{name} {number}" for name, number in versions().items() if name != "numba")
    parts = [HEAD.format(versions=names)]
    parts.append(BUDGETS + "\n" + _budgets(proofs))
    parts.append(COUNTS.format(gpu=H100.name) + "\n" + _counts(proofs))
    parts.append(MUTANTS + "\n" + _mutants(proofs))
    listed = dict.fromkeys(proof.kernel for proof in proofs)
    parts.append("## Kernels\n\n" + _table(("kernel", "what it does"), [(f"`{n}`", known[n].title) for n in listed]))
    return "\n".join(parts)


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rules = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return "\n".join(rules + [f"| {' | '.join(line)} |" for line in lines]) + "\n"


def _budgets(proofs: Sequence[Proof]) -> str:
    known = {row.name: row for row in rows()}
    lines = []
    for proof in proofs:
        for use in proof.uses:
            got, budget = use.assembled, known[use.kernel].budget
            lines.append((
                f"`{use.kernel}`", use.real, use.arch, f"{got.registers} of {budget.registers(use.real)}",
                f"{got.shared}", f"{use.threads}", f"{use.occupancy:.0%}", f"{got.doubles}",
                f"{got.count('ATOMS.CAS')}",
            ))  # fmt: skip
    head = ("kernel", "real", "GPU", "registers", "shared", "threads", "occupancy", "float64", "atomic loops")
    return _table(head, lines)


def _counts(proofs: Sequence[Proof]) -> str:
    lines = []
    for proof in proofs:
        if not proof.steps:
            continue
        took, steps = proof.execution, proof.steps
        kinds, most = by_kind(took.instructions), ceiling(took.instructions, proof.steps)
        floats = sum(count for kind, count in kinds.items() if kind.startswith(("float64", "float32")))
        lines.append((
            f"`{proof.kernel}`", proof.real, f"{steps}", f"{sum(kinds.values()) / steps:.0f}", f"{floats / steps:.0f}",
            f"{kinds.get('approximate', 0) / steps:.0f}", f"{took.barriers}", f"{took.shuffles}",
            f"{most.steps_per_second:.1e}", most.bound,
        ))  # fmt: skip
    head = (
        "kernel", "real", "steps", "instructions/step", "floating point/step", "approximate/step", "barriers",
        "shuffles", "ceiling, steps/s", "bound by",
    )  # fmt: skip
    return _table(head, lines)


def _mutants(proofs: Sequence[Proof]) -> str:
    lines = []
    for proof in proofs:
        for word in dict.fromkeys(proof.mutants.values()):
            changed = [what.partition(" at ")[0] for what, how in proof.mutants.items() if how == word]
            counted = ", ".join(f"{changed.count(what)} × {what}" for what in dict.fromkeys(changed))
            lines.append((f"`{proof.kernel}`", counted, f"{word}" or "**nothing**"))
    return _table(("kernel", "mutants", "caught by"), lines)
