"""The spiral of torchdiffeq's first example: a solve and the gradient of its loss, batch 20.

The data: z' = A^T z**3, A = [[-0.1, 2], [-2, -0.1]], from (2, 0), at 1000 times in [0, 25]; a batch is 20 pieces of 10
times, observed with noise. The model: f(z) = W2 tanh(W1 z**3 + b1) + b2 with 50 hidden units. The loss: the mean
absolute error. dopri5, rtol 1e-7, atol 1e-9, float64, one thread. Wanted: dL/dz0 and dL/dtheta.

torchdiffeq solves the batch as one system. So does diffrax here, where it is fastest; "vmapped" gives each sample its
own steps, as ours always have.
"""

from __future__ import annotations

import argparse

import numpy as np

from benchmarks import harness
from benchmarks.problem import Problem, spiral_weights
from benchmarks.reference import reference_gradient
from benchmarks.routes import Contender, present
from benchmarks.tables import Row, judge, table

SAMPLES, TIMES = 20, 10

BACKSOLVE = (
    Contender("nodeedu", "backsolve"),
    Contender("torchdiffeq", "adjoint", "backsolve", 150.0),
    Contender("torchdiffeq", "adjoint, seminorm", "backsolve"),
    Contender("diffrax", "backsolve", "backsolve", 4.0),
    Contender("diffrax", "backsolve, seminorm", "backsolve"),
    Contender("diffrax", "backsolve", "backsolve", own_steps=True),
)
DISCRETE = (
    Contender("nodeedu", "discrete"),
    Contender("torchdiffeq", "backprop", "discrete", 60.0),
    Contender("diffrax", "checkpoint", "discrete", 4.0),
    Contender("diffrax", "checkpoint", "discrete", own_steps=True),
)

LIMIT = 1.4  # the most that ours may take, as a multiple of its evaluations at the cost of kernels written by hand

# Loose on purpose: steps are controlled to rtol 1e-7, while a wrong or missing term shows in the first digits.
LARGEST_ERROR = 1e-4


def spiral_data(times: int, samples: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Initial states (B, 2), times (T,) and states observed with noise (T, B, 2) of pieces of the spiral.

    The noise is there for the comparison: a residual that is 0 but for rounding has no sign that libraries agree on.
    """
    from scipy.integrate import solve_ivp

    matrix = np.array([[-0.1, 2.0], [-2.0, -0.1]])
    grid = np.linspace(0.0, 25.0, 1000)
    spiral = solve_ivp(lambda t, z: z**3 @ matrix, (0, 25), [2.0, 0.0], t_eval=grid, rtol=1e-9, atol=1e-11).y.T
    rng = np.random.default_rng(seed)
    starts = rng.choice(len(grid) - times, samples, replace=False)
    states = np.stack([spiral[starts + i] for i in range(times)])
    return states[0], grid[:times], states + rng.normal(0.0, 0.05, states.shape)


def spiral_problem() -> Problem:
    """The workload."""
    z0, ts, target = spiral_data(TIMES, SAMPLES)
    return Problem(z0, ts, spiral_weights(np.random.default_rng(1)), target)


def limit_rows(rows: list[Row], seconds: dict[str, float]) -> list[Row]:
    """Ours beside its evaluations at the bare cost of kernels written by hand for this field."""
    found = []
    for row in rows:
        if row["name"].startswith("nodeedu"):
            limit_ms = 1e3 * (row["ahead"] * seconds["f by hand"] + row["back"] * seconds["f+VJP by hand"])
            ratio = row["median_ms"] / limit_ms
            name = f"{row['name']} / limit"
            found.append({"name": name, "limit_ms": limit_ms, "ratio": ratio, **judge(ratio, at_most=LIMIT)})
    return found


def run(options: argparse.Namespace, peers: tuple[str, ...]) -> list[Row]:
    """Check, time, print, and return the rows."""
    from benchmarks import handwritten_spiral as by_hand

    problem = spiral_problem()
    harness.check({"f and VJP by hand": by_hand.error(problem)}, 1e-12)  # only roundings differ
    rows, seconds = harness.compare_gradients(
        problem, present(BACKSOLVE + DISCRETE, peers), reference_gradient(problem), LARGEST_ERROR,
        repetitions=5 if options.quick else 21, others=by_hand.works(problem),
    )  # fmt: skip
    for name in by_hand.NAMES:
        seconds[name] /= by_hand.CALLS
    for title, contenders in (("Adjoint solved backwards:", BACKSOLVE), ("Through the solver's steps:", DISCRETE)):
        names = {contender.name for contender in contenders}
        print(title, table([row for row in rows if row["name"] in names]), sep="\n", end="\n\n")
    limits = limit_rows(rows, seconds)
    by_hand_us = ", ".join(f"{name} {1e6 * seconds[name]:.2f} us" for name in by_hand.NAMES)
    print(f"Limit: evaluations at the cost of kernels written by hand (a batch of 20: {by_hand_us}):")
    print(table(limits))
    return rows + limits
