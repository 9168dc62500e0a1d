"""One trajectory with 50 output times: the gradient of its loss in theta, z0 and every time.

The field is that of the spiral (2-50-2), its loss and tolerances too; 50 times in steps of 25/999. diffrax's
`BacksolveAdjoint` is missing: it has no gradients in the times. In dL/dt0, z0 is held fixed.

Then our methods beside each other: what a gradient costs beside its forward solve and beside backsolve, here and on the
batch of the spiral, and what checkpoints save: states stored, and steps made again beside the binomial number.
"""

from __future__ import annotations

import argparse
from functools import partial

import numpy as np

import nodeedu as ne
from benchmarks import harness
from benchmarks.ours import spiral_field
from benchmarks.problem import Problem, long_problem, spiral_weights
from benchmarks.reference import reference_gradient
from benchmarks.routes import Contender, present
from benchmarks.spiral import LARGEST_ERROR, spiral_data, spiral_problem
from benchmarks.tables import Row, judge, table

TIMES = 50

CONTENDERS = (
    Contender("nodeedu", "discrete"),
    Contender("nodeedu", "backsolve"),
    Contender("torchdiffeq", "backprop", "discrete", 50.0),
    Contender("torchdiffeq", "adjoint", "backsolve", 50.0),
    Contender("diffrax", "checkpoint", "discrete", 8.0),
)
OURS = ("discrete", "checkpointed", "backsolve", "interpolated", "quadrature")
RATIOS = (  # of a gradient with its forward solve to another one, or to the forward solve alone; at most
    ("discrete", "forward solve", 4.0),
    ("interpolated", "backsolve", 1.5),
    ("checkpointed", "discrete", None),
    ("quadrature", "interpolated", None),
)
SLOTS, STEPS, STAGES = (2, 5, 20), 1000, 4  # of classical RK4


def one_trajectory() -> Problem:
    """The workload."""
    z0, ts, target = spiral_data(TIMES, samples=1)
    return Problem(z0[0], ts, spiral_weights(np.random.default_rng(1)), target[:, 0])


def own_ratios(name: str, problem: Problem, repetitions: int) -> list[Row]:
    """What our methods cost in relation to each other, each with the forward solve that it needs and no loss."""
    field = ne.vector_field(spiral_field, problem.z0.reshape(-1, problem.z0.shape[-1])[0], problem.theta)
    inputs, options = (field, problem.z0, problem.ts, problem.theta), {"rtol": problem.rtol, "atol": problem.atol}
    _, zs_bar = problem.loss_and_gradient(ne.odeint(*inputs, **options).zs)
    works = {method: partial(ne.gradients, *inputs, zs_bar, method, **options) for method in OURS}
    works["forward solve"] = partial(ne.odeint, *inputs, **options)
    seconds = harness.measure(works, repetitions)
    rows = []
    for one, other, limit in RATIOS:
        ratio = seconds[one] / seconds[other]
        row = {"name": f"{name}: {one} / {other}", "median_ms": 1e3 * seconds[one], "ratio": ratio}
        rows.append(row | judge(ratio, at_most=limit))
    return rows


def checkpoints() -> list[Row]:
    """The steps that checkpointing makes again, counted, beside the least number that its slots allow."""
    from nodeedu.sensitivity.schedule import fewest_advances

    problem, rows = long_problem(STEPS), []
    field = ne.vector_field(spiral_field, problem.z0[0], problem.theta)
    for slots in SLOTS:
        zs_bar = np.ones((2, 2))
        stats = ne.gradients(
            field, problem.z0[0], problem.ts, problem.theta, zs_bar, "checkpointed", "rk4",
            step_size=problem.step_size, slots=slots,
        ).stats  # fmt: skip
        # Going back over a step takes its stages with derivatives, and before them all but the last without.
        again = (stats.nfev_backward - (2 * STAGES - 1) * stats.accepted) / STAGES
        ratio = again / fewest_advances(stats.accepted, slots)
        row = {"name": f"{slots} slots, {stats.accepted} steps: steps made again / binomial", "ratio": ratio}
        rows.append(row | judge(ratio, at_most=1.0) | {"stored_states": stats.stored_states})
    return rows


def run(options: argparse.Namespace, peers: tuple[str, ...]) -> list[Row]:
    """Check, time, print, and return the rows."""
    problem, repetitions = one_trajectory(), 5 if options.quick else 21
    rows, _ = harness.compare_gradients(
        problem, present(CONTENDERS, peers), reference_gradient(problem), LARGEST_ERROR,
        repetitions=repetitions, with_times=True,
    )  # fmt: skip
    print(table(rows), end="\n\n")
    own = own_ratios("one trajectory", problem, repetitions)
    own += own_ratios("spiral, 20 samples", spiral_problem(), repetitions)
    print(table(own), table(kept := checkpoints()), sep="\n\n")
    return rows + own + kept
