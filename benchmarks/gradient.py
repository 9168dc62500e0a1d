"""One trajectory with 50 output times: the gradient of its loss in theta, z0 and every time.

The field is that of the spiral (2-50-2), its loss and tolerances too; 50 times in steps of 25/999. diffrax's
`BacksolveAdjoint` is missing: it has no gradients in the times. In dL/dt0, z0 is held fixed.
"""

from __future__ import annotations

import argparse

import numpy as np

from benchmarks import harness
from benchmarks.problem import Problem, spiral_weights
from benchmarks.reference import reference_gradient
from benchmarks.routes import Contender, present
from benchmarks.spiral import LARGEST_ERROR, spiral_data
from benchmarks.tables import Row, table

TIMES = 50

CONTENDERS = (
    Contender("nodeedu", "discrete"),
    Contender("nodeedu", "backsolve"),
    Contender("torchdiffeq", "backprop", "discrete", 50.0),
    Contender("torchdiffeq", "adjoint", "backsolve", 50.0),
    Contender("diffrax", "checkpoint", "discrete", 8.0),
)


def one_trajectory() -> Problem:
    """The workload."""
    z0, ts, target = spiral_data(TIMES, samples=1)
    return Problem(z0[0], ts, spiral_weights(np.random.default_rng(1)), target[:, 0])


def run(options: argparse.Namespace, peers: tuple[str, ...]) -> list[Row]:
    """Check, time, print, and return the rows."""
    problem = one_trajectory()
    rows, _ = harness.compare_gradients(
        problem, present(CONTENDERS, peers), reference_gradient(problem), LARGEST_ERROR,
        repetitions=5 if options.quick else 21, with_times=True,
    )  # fmt: skip
    print(table(rows))
    return rows
