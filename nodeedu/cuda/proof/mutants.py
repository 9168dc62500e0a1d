"""A kernel with one synchronisation less: what the machine must catch if it is to be trusted where nothing is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from nodeedu.cuda.proof.arguments import arrays
from nodeedu.cuda.proof.faults import place
from nodeedu.cuda.proof.machine import ORDERS, Fault, Program
from nodeedu.cuda.registry import Launch

__all__ = ["Mutant", "caught", "mutants"]


@dataclass(frozen=True)
class Mutant:
    """A changed kernel: what is changed, and the number of the instruction."""

    what: str
    site: int


def mutants(program: Program) -> Iterator[Mutant]:
    """Yield the kernel without each of its barriers, and with half a mask in a shuffle of each line, one at a time.

    A sum over a warp of a wide state is hundreds of copies of one line, unrolled; one of them stands for all.
    """
    seen = set()
    for site, instruction in enumerate(program.translation.sites):
        name, where = instruction.parts[0], f" at {place(instruction)}"
        if name in ("bar", "barrier") and "red" not in instruction.parts:
            yield Mutant(f"no {instruction.opcode}{where}", site)
        if name == "shfl" and instruction.source not in seen:
            seen.add(instruction.source)
            yield Mutant(f"half the mask{where}", site)


def caught(
    mutant: Mutant, program: Program, launch: Launch, expected: Mapping[str, np.ndarray], tolerance: float, loops: int
) -> str:
    """Return how a mutant is caught in some order of threads: "race", "mask", ..., "result"; empty if it is not.

    Parameters
    ----------
    mutant : Mutant
        The change.
    program : Program
        The kernel.
    launch : Launch
        What it is launched on. All arrays are as before, afterwards.
    expected : mapping
        What the outputs should be.
    tolerance : float
        Largest difference that is no difference, relative to the largest value or to 1.
    loops : int
        Turns of loops after which a launch counts as endless.
    """
    kept = [(each.array, each.array.copy()) for each in arrays(launch.arguments)]
    for order in ORDERS:
        try:
            program.run(
                launch.blocks, launch.threads, launch.arguments, order, seed=1, loops=loops, without=mutant.site
            )
            if any(_differ(launch.outputs[name], value, tolerance) for name, value in expected.items()):
                return "result"
        except Fault as fault:
            return fault.kind
        finally:
            for array, before in kept:
                array[...] = before
    return ""


def _differ(got: np.ndarray, expected: np.ndarray, tolerance: float) -> bool:
    scale = max(1.0, float(np.abs(expected).max(initial=0.0)))
    return not np.allclose(got, expected, rtol=0.0, atol=tolerance * scale)
