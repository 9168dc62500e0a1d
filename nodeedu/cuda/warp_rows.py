"""The kernels of a warp a sample in the registry, on perceptrons of the paper's size, 2-50-2."""

from __future__ import annotations

from functools import cache

import numpy as np

from nodeedu.compile.field import VectorField, vector_field
from nodeedu.cuda.device import Target
from nodeedu.cuda.registry import Budget, Launch, Row
from nodeedu.cuda.thread_rows import perceptron
from nodeedu.cuda.warp_field import WARP
from nodeedu.cuda.warp_launch import WARPS, launch_backward, launch_forward
from nodeedu.sensitivity.backsolve import backsolve
from nodeedu.solvers.arguments import Inputs, Options, check_inputs, check_options
from nodeedu.solvers.solution import Solution
from nodeedu.solvers.solve import solve

__all__ = ["ROWS", "counts_of"]

Array = np.ndarray
SAMPLES = 6  # more than one block has warps
TOLERANCES = {"float64": (1e-6, 1e-8), "float32": (1e-4, 1e-5)}


@cache
def example() -> tuple[VectorField, Array, tuple[Array, ...]]:
    """Return field, initial states and parameters."""
    rng = np.random.default_rng(0)
    theta = tuple(0.4 * rng.normal(size=shape) for shape in ((50, 2), 50, (2, 50), 2))
    return vector_field(perceptron, np.zeros(2), theta), rng.normal(size=(SAMPLES, 2)), theta


@cache
def problem(real: str) -> tuple[Inputs, Options, Solution, Array]:
    """Return the checked problem, the CPU's solution, and the loss gradients of the states."""
    field, z0, theta = example()
    inputs = check_inputs(field, z0.astype(real), np.linspace(0.0, 1.0, 4), theta)
    rtol, atol = TOLERANCES[real]
    options = check_options("dopri5", rtol, atol, shape=(2,))
    solution = solve(inputs, options)
    return inputs, options, solution, np.random.default_rng(1).normal(size=solution.zs.shape).astype(real)


def forward(real: np.dtype, target: Target) -> Launch:
    """Launch the forward kernel."""
    inputs, options, _, _ = problem(np.dtype(real).name)
    kernel, blocks, given = launch_forward(inputs, inputs.p[None], options, target)
    outputs = {"zs": given.outputs, "counts": given.counts[:, :3]}
    return Launch(kernel, blocks, (WARP, WARPS), (given,), outputs, lambda: int(given.counts[:, 1:3].sum()))


def forward_expected(real: np.dtype) -> dict[str, Array]:
    """Return the CPU's results."""
    solution = problem(np.dtype(real).name)[2]
    return {"zs": solution.zs} | counts_of(solution._samples, real)


def backward(real: np.dtype, target: Target) -> Launch:
    """Launch the backward kernel."""
    inputs, options, solution, zs_bar = problem(np.dtype(real).name)
    kernel, blocks, given = launch_backward(
        inputs, options, solution._states, zs_bar, solution._samples["h"], target
    )  # fmt: skip
    outputs = {"a": given.a, "p_bars": given.p_bars, "counts": given.counts[:, :3]}
    return Launch(kernel, blocks, (WARP, WARPS), (given,), outputs, lambda: int(given.counts[:, 1:3].sum()))


def backward_expected(real: np.dtype) -> dict[str, Array]:
    """Return the CPU's results, the gradient of theta as that of each warp, which has one sample or none."""
    inputs, options, solution, zs_bar = problem(np.dtype(real).name)
    a, _, samples = backsolve(solution, zs_bar)[:3]
    p_bars = np.zeros((-(-SAMPLES // WARPS) * WARPS, inputs.field.n_params), real)
    for b in range(SAMPLES):
        one = solve(Inputs(inputs.field, inputs.z0[b : b + 1], inputs.ts, inputs.p, True, False), options)
        p_bars[b] = backsolve(one, np.ascontiguousarray(zs_bar[:, b : b + 1]))[1]
    return {"a": a, "p_bars": p_bars} | counts_of(samples, real)


def counts_of(samples: Array, real: np.dtype) -> dict[str, Array]:
    """Return counts of steps: in float32, the kernel's controller computes in float32 and may take another step."""
    if np.dtype(real) == np.float32:
        return {}
    return {"counts": np.stack([samples[name] for name in ("status", "accepted", "rejected")], 1).astype(np.int32)}


ROWS = (
    Row(
        "warp_forward", "a warp a sample, dopri5, perceptron 2-50-2", forward, forward_expected,
        Budget(112, 72), {"float64": 1e-12, "float32": 1e-4}, shuffles=True,
    ),
    Row(
        "warp_backward", "a warp a sample, the adjoint, theta's gradient in registers", backward, backward_expected,
        Budget(168, 112), {"float64": 1e-12, "float32": 1e-3}, shuffles=True,
    ),
)  # fmt: skip
