"""The kernels of a block a tile in the registry, on a perceptron 64-128-64."""

from __future__ import annotations

from functools import cache

import numpy as np

from nodeedu.compile.field import VectorField, vector_field
from nodeedu.cuda.device import Target
from nodeedu.cuda.mlp import recognise
from nodeedu.cuda.registry import Budget, Launch, Row
from nodeedu.cuda.thread_rows import perceptron
from nodeedu.cuda.tile_field import gradient_order
from nodeedu.cuda.tile_launch import launch_tile, launch_tile_backward
from nodeedu.cuda.warp_rows import counts_of
from nodeedu.sensitivity.backsolve import backsolve
from nodeedu.solvers.arguments import Inputs, Options, check_inputs, check_options
from nodeedu.solvers.solution import Solution
from nodeedu.solvers.solve import solve

__all__ = ["ROWS"]

Array = np.ndarray
SAMPLES = 5  # the last tile is not full
BACKWARD_SAMPLES = 3
TOLERANCES = {"float64": (1e-4, 1e-6), "float32": (1e-3, 1e-4)}


@cache
def example() -> tuple[VectorField, tuple[Array, ...]]:
    """Return field and parameters."""
    rng = np.random.default_rng(0)
    theta = tuple(0.1 * rng.normal(size=shape) for shape in ((128, 64), 128, (64, 128), 64))
    return vector_field(perceptron, np.zeros(64), theta), theta


@cache
def problem(real: str, samples: int) -> tuple[Inputs, Options, Solution, Array]:
    """Return the checked problem, the CPU's solution, and the loss gradients of the states."""
    (field, theta), rng = example(), np.random.default_rng(1)
    z0 = (rng.normal(size=(samples, 64)) * np.linspace(0.2, 2.0, samples)[:, None]).astype(real)  # steps that differ
    inputs = check_inputs(field, z0, np.linspace(0.0, 0.5, 3), theta)
    rtol, atol = TOLERANCES[real]
    options = check_options("dopri5", rtol, atol, shape=(64,))
    solution = solve(inputs, options)
    return inputs, options, solution, rng.normal(size=solution.zs.shape).astype(real)


def forward(real: np.dtype, target: Target) -> Launch:
    """Launch the forward kernel."""
    inputs, options, _, _ = problem(np.dtype(real).name, SAMPLES)
    kernel, blocks, threads, given = launch_tile(inputs, inputs.p[None], options, target)
    outputs = {"zs": given.outputs, "counts": given.counts[:, :3]}
    return Launch(kernel, blocks, threads, (given,), outputs, lambda: int(given.counts[:, 1:3].sum()))


def forward_expected(real: np.dtype) -> dict[str, Array]:
    """Return the CPU's results."""
    solution = problem(np.dtype(real).name, SAMPLES)[2]
    return {"zs": solution.zs} | counts_of(solution._samples, real)


def backward(real: np.dtype, target: Target) -> Launch:
    """Launch the backward kernel."""
    inputs, options, solution, zs_bar = problem(np.dtype(real).name, BACKWARD_SAMPLES)
    kernel, blocks, threads, given = launch_tile_backward(
        inputs, options, solution._states, zs_bar, solution._samples["h"], target
    )  # fmt: skip
    outputs = {"results": given.results, "p_bars": given.p_bars, "counts": given.counts[:, :3]}
    return Launch(kernel, blocks, threads, (given,), outputs, lambda: int(given.counts[:, 1:3].sum()))


def backward_expected(real: np.dtype) -> dict[str, Array]:
    """Return the CPU's results, the gradient of theta as that of each block, which has a tile of two samples."""
    inputs, options, solution, zs_bar = problem(np.dtype(real).name, BACKWARD_SAMPLES)
    a, _, samples, _, z = backsolve(solution, zs_bar)
    order, length = gradient_order(recognise(inputs.field))
    p_bars = np.zeros((-(-BACKWARD_SAMPLES // 2), length), real)
    for block, start in enumerate(range(0, BACKWARD_SAMPLES, 2)):
        members = slice(start, start + 2)
        part = solve(Inputs(inputs.field, inputs.z0[members], inputs.ts, inputs.p, True, False), options)
        p_bars[block, order] = backsolve(part, np.ascontiguousarray(zs_bar[:, members]))[1]
    return {"results": np.stack([z, a]), "p_bars": p_bars} | counts_of(samples, real)


ROWS = (
    Row(
        "tile_forward", "a block a tile of 4 samples, dopri5, perceptron 64-128-64", forward, forward_expected,
        Budget(128, 80), {"float64": 1e-12, "float32": 1e-4},
    ),
    Row(
        "tile_backward", "a block a tile of 2 samples, the adjoint, outer products", backward, backward_expected,
        Budget(128, 80), {"float64": 1e-12, "float32": 1e-3},
    ),
)  # fmt: skip
