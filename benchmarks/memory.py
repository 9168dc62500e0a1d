"""How far one gradient at 10 000 steps makes memory rise, less one at 100: what a method stores of the trajectory.

The field and the batch of the spiral, equal steps over [0, 5], a loss on the first and the last state; a fresh process
for each figure. "States a step" is the growth in units of the state of the batch (20 x 2 numbers) for each step more: 0
for a method that stores only the states at the observation times, at least 1 for one that stores every step. "Stored
states" is what our own ledger says, in states and slopes of one sample, and "stored bytes" those of the arrays that
hold them and the times of the steps; records double when they are full, and for a moment there are both.

Forward sensitivity is missing: it stores nothing of the steps, and takes minutes here.
"""

from __future__ import annotations

import argparse
import json

import numpy as np

from benchmarks.harness import check
from benchmarks.problem import long_problem
from benchmarks.processes import run_module
from benchmarks.reference import reference_gradient
from benchmarks.routes import Contender, present
from benchmarks.tables import Row, judge, table

FEW, MANY, MANY_QUICK = 100, 10_000, 2_000

CONTENDERS = (
    Contender("nodeedu", "backsolve"),
    Contender("nodeedu", "reversible"),
    Contender("nodeedu", "checkpointed"),
    Contender("nodeedu", "discrete"),
    Contender("nodeedu", "interpolated"),
    Contender("nodeedu", "quadrature"),
    Contender("torchdiffeq", "adjoint"),
    Contender("torchdiffeq", "backprop"),
    Contender("diffrax", "backsolve"),
    Contender("diffrax", "checkpoint"),
)

GROWTH_MB = 0.5  # most that ours may grow if they store no step: the noise of a peak; one state a step is 3 MB

LARGEST_ERROR = 1e-6  # 100 steps of RK4 are right to 2e-9; a wrong or missing term shows in the first digits


def measure(contender: Contender, steps: int, reference: np.ndarray) -> dict:
    """What a fresh process tells, with "peak_mb" and the "error" of its gradient, which is checked."""
    told = json.loads(run_module("benchmarks.peak_memory", contender.library, contender.method, str(steps)))
    error = float(np.abs(np.array(told["gradient"]) - reference).max() / np.abs(reference).max())
    check({f"{contender.name}, {steps} steps": error}, LARGEST_ERROR)
    return told | {"peak_mb": told["peak"] / 1e6, "error": error}


def run(options: argparse.Namespace, peers: tuple[str, ...]) -> list[Row]:
    """Measure, check, print, and return the rows."""
    many = MANY_QUICK if options.quick else MANY
    problem = long_problem(many)
    reference = reference_gradient(problem).flat()
    rows = []
    for contender in present(CONTENDERS, peers):
        measure(contender, FEW, reference)  # compiles and fills caches, which takes memory that is not the method's
        at_few, at_many = (measure(contender, steps, reference) for steps in (FEW, many))
        growth = at_many["peak_mb"] - at_few["peak_mb"]
        row = {"name": contender.name, "few_mb": at_few["peak_mb"], "many_mb": at_many["peak_mb"], "growth_mb": growth}
        row |= {"states_a_step": 1e6 * growth / problem.z0.nbytes / (many - FEW), "error": at_many["error"]}
        row |= {key: at_many[key] for key in ("stored_states", "stored_bytes") if at_many.get(key) is not None}
        if contender.name in ("nodeedu backsolve", "nodeedu reversible"):
            row |= judge(growth, at_most=GROWTH_MB)
        rows.append(row)
    print(f"{FEW} and {many} steps:", table(rows), sep="\n")
    return rows
