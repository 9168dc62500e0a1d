"""What a kernel takes on every architecture, and in what it exceeds its budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nodeedu.cuda.proof.assemble import Assembled, assemble
from nodeedu.cuda.proof.compile import ARCHITECTURES
from nodeedu.cuda.proof.occupancy import occupancy
from nodeedu.cuda.registry import Launch, Row

__all__ = ["Use", "excess", "measure"]


@dataclass(frozen=True)
class Use:
    """What a kernel takes: a row of the table.

    Parameters
    ----------
    kernel, real, arch : str
        Which one.
    threads : int
        Of a block.
    assembled : Assembled
        What the assembler reports.
    """

    kernel: str
    real: str
    arch: str
    threads: int
    assembled: Assembled

    @property
    def occupancy(self) -> float:
        """Share of an SM's warps that can be resident."""
        return occupancy(self.arch, self.assembled.registers, self.assembled.shared, self.threads)


def measure(name: str, real: str, launch: Launch, archs: Sequence[str] = ARCHITECTURES) -> list[Use]:
    """Compile and assemble the kernel of a launch, made for the target PTX, for all architectures."""
    threads = int(np.prod(launch.threads))
    return [Use(name, real, arch, threads, assemble(launch.kernel.ptx(launch.arguments, arch), arch)) for arch in archs]


def excess(use: Use, row: Row) -> list[str]:
    """Return in what a kernel exceeds its budget, one sentence each."""
    got, budget = use.assembled, row.budget
    limits = [
        ("registers", got.registers, budget.registers(use.real)),
        ("bytes of shared memory", got.shared, budget.shared),
        ("float64 instructions", got.doubles if use.real == "float32" else 0, budget.doubles),
        ("atomic loops on shared memory", 0 if row.atomics else got.count("ATOMS.CAS"), 0),
    ]
    for function in got.functions:
        name = "the kernel" if function is got.functions[0] else function.name
        limits += [(f"bytes of stack of {name}", function.stack, 0), (f"bytes spilled by {name}", function.spills, 0)]
    return [f"{use.kernel}, {use.real}, {use.arch}: {got} {what}, at most {at_most}" for what, got, at_most in limits
            if got > at_most]  # fmt: skip
