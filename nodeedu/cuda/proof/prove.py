"""Everything that is proved of a kernel, in one go: its budgets, its results, its instructions, its mutants.

    python -m nodeedu.cuda.proof.prove                       all kernels; the tables, and what fails
    python -m nodeedu.cuda.proof.prove --page FILE           writes the page of tables
    python -m nodeedu.cuda.proof.prove --kernel NAME         one kernel, as often as given

Needs NVIDIA's compiler wheels and gcc, and no GPU.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from nodeedu.cuda.proof.budgets import Use, excess, measure
from nodeedu.cuda.proof.compile import ARCHITECTURES, PTX
from nodeedu.cuda.proof.machine import Execution
from nodeedu.cuda.proof.mutants import caught, mutants
from nodeedu.cuda.registry import Launch, Row, named, rows

__all__ = ["REALS", "Proof", "main", "prove", "prove_all"]

REALS = ("float64", "float32")
Array = np.ndarray


@dataclass(frozen=True)
class Proof:
    """What was found of a kernel.

    Parameters
    ----------
    kernel, real : str
        Which one.
    uses : tuple of Use
        What it takes, by architecture.
    problems : tuple of str
        In what it exceeds its budget or differs from the CPU, one sentence each.
    differences : dict
        Largest difference to the CPU, relative to the largest value or to 1, by output.
    execution : Execution
        What its example took.
    steps : int
        Steps of the example; 0 if it takes none.
    mutants : dict
        How each mutant is caught: what was changed, and the word for it, empty if it was not.
    """

    kernel: str
    real: str
    uses: tuple[Use, ...]
    problems: tuple[str, ...]
    differences: dict[str, float]
    execution: Execution
    steps: int
    mutants: dict[str, str]


def prove(row: Row, real: str, archs: Sequence[str] = ARCHITECTURES, with_mutants: bool = True) -> Proof:
    """Compile, assemble and run a kernel; compare it with the CPU and with its budget; run its mutants.

    Parameters
    ----------
    row : Row
        The kernel.
    real : str
        "float64" or "float32".
    archs : sequence of str
        Architectures to assemble it for. What runs is the PTX of sm_90.
    with_mutants : bool
        Whether mutants run.
    """
    launch, clean = row.launch(np.dtype(real), PTX), row.launch(np.dtype(real), PTX)
    uses = measure(row.name, real, launch, archs)
    outputs, expected = launch.run(), row.expected(np.dtype(real))
    differences = {name: difference(outputs[name], value) for name, value in expected.items()}
    problems = [problem for use in uses for problem in excess(use, row)]
    for name, got in differences.items():
        at_most = 0.0 if expected[name].dtype.kind in "iub" else row.tolerance[real]
        if not got <= at_most:
            problems.append(f"{row.name}, {real}: {name} differs from the CPU's by {got:.2e}, at most {at_most:.0e}")
    found = _mutants(launch, clean, expected, row.tolerance[real]) if with_mutants else {}
    return Proof(
        row.name, real, tuple(uses), tuple(problems), differences, launch.kernel.last,
        launch.steps() if launch.steps else 0, found,
    )  # fmt: skip


def difference(got: Array, expected: Array) -> float:
    """Return the largest difference, relative to the largest expected value or to 1; nan if one is nan alone."""
    if got.shape != expected.shape:
        raise ValueError(f"outputs: got shape {got.shape}, expected {expected.shape}")
    if got.size == 0:
        return 0.0
    wide = np.float64 if expected.dtype.kind == "f" else expected.dtype
    apart = np.abs(got.astype(wide) - expected.astype(wide)).max()
    return float(apart) / max(1.0, float(np.abs(expected).max()))


def _mutants(ran: Launch, clean: Launch, expected: dict[str, Array], at_most: float) -> dict[str, str]:
    """Run the mutants on a launch that has not run yet; one that takes ten times as long as without is endless."""
    program, took = ran.kernel.program(ran.arguments), ran.kernel.last.instructions
    loops = 1000 + 10 * sum(count for opcode, count in took.items() if opcode.startswith("br"))
    return {one.what: caught(one, program, clean, expected, at_most, loops) for one in mutants(program)}


def _job(job: tuple[str, str, tuple[str, ...], bool]) -> Proof:
    name, real, archs, with_mutants = job
    return prove(named(name), real, archs, with_mutants)


def prove_all(
    names: Sequence[str] = (), archs: Sequence[str] = ARCHITECTURES, with_mutants: bool = True, workers: int = 0
) -> list[Proof]:
    """Prove kernels, all of the registry if none is named; in several processes, as compilation takes seconds each.

    Mutants run in float64 only: a barrier that is missing is missing in both.
    """
    wanted = tuple(names) or tuple(row.name for row in rows())
    jobs = [(name, real, tuple(archs), with_mutants and real == "float64") for name in wanted for real in REALS]
    workers = workers or min(len(jobs), os.cpu_count() or 1)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        return list(pool.map(_job, jobs))


def main(arguments: Sequence[str] | None = None) -> int:
    """Prove, write the page if asked, name what fails; return 1 if anything does."""
    from nodeedu.cuda.proof.page import to_markdown

    parser = argparse.ArgumentParser(prog="python -m nodeedu.cuda.proof.prove", description="Prove kernels.")
    parser.add_argument("--page", help="file to write; the tables are printed if none is named")
    parser.add_argument("--kernel", action="append", default=[], help="only this one; may be given several times")
    options = parser.parse_args(arguments)
    proofs = prove_all(options.kernel)
    text = to_markdown(proofs)
    if options.page:
        Path(options.page).write_text(text, encoding="utf-8")
    else:
        print(text)
    problems = [problem for proof in proofs for problem in proof.problems]
    problems += [f"{proof.kernel}: not caught: {what}" for proof in proofs for what, how in proof.mutants.items()
                 if not how]  # fmt: skip
    print("\n".join(problems) or f"{len(proofs)} proofs, none fails", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
