"""The kernels of a warp a sample in the registry, on a perceptron of the paper's size, 2-50-2, and on its flows."""

from __future__ import annotations

from functools import cache, partial

import numpy as np

from nodeedu.compile.field import VectorField, vector_field
from nodeedu.cuda.device import Target
from nodeedu.cuda.registry import Budget, Launch, Row
from nodeedu.cuda.thread_rows import perceptron
from nodeedu.cuda.warp_field import WARP
from nodeedu.cuda.warp_launch import WARPS, launch_backward, launch_forward
from nodeedu.flows.augment import augment
from nodeedu.flows.noise import rademacher
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
def problem(real: str, probes: int | None = None) -> tuple[Inputs, Options, Solution, Array]:
    """Return the checked problem, the CPU's solution, and the loss gradients of the states.

    With probes, or 0 for the exact trace, the problem is the flow of the field.
    """
    field, z0, theta = example()
    if probes is not None:
        flow = augment(field, probes)
        field, z0 = flow.field, flow.start(z0, rademacher((SAMPLES, probes, 2), 0) if probes else None)
    inputs = check_inputs(field, z0.astype(real), np.linspace(0.0, 1.0, 4), theta)
    rtol, atol = TOLERANCES[real]
    options = check_options("dopri5", rtol, atol, shape=field.shape)
    solution = solve(inputs, options)
    return inputs, options, solution, np.random.default_rng(1).normal(size=solution.zs.shape).astype(real)


def forward(real: np.dtype, target: Target, probes: int | None = None) -> Launch:
    """Launch the forward kernel."""
    inputs, options, _, _ = problem(np.dtype(real).name, probes)
    kernel, blocks, given = launch_forward(inputs, inputs.p[None], options, target)
    outputs = {"zs": given.outputs, "counts": given.counts[:, :3]}
    return Launch(kernel, blocks, (WARP, WARPS), (given,), outputs, lambda: int(given.counts[:, 1:3].sum()))


def forward_expected(real: np.dtype, probes: int | None = None) -> dict[str, Array]:
    """Return the CPU's results."""
    solution = problem(np.dtype(real).name, probes)[2]
    return {"zs": solution.zs} | counts_of(solution._samples, real)


def backward(real: np.dtype, target: Target, probes: int | None = None) -> Launch:
    """Launch the backward kernel."""
    inputs, options, solution, zs_bar = problem(np.dtype(real).name, probes)
    kernel, blocks, given = launch_backward(
        inputs, options, solution._states, zs_bar, solution._samples["h"], target
    )  # fmt: skip
    outputs = {"results": given.results, "p_bars": given.p_bars, "counts": given.counts[:, :3]}
    return Launch(kernel, blocks, (WARP, WARPS), (given,), outputs, lambda: int(given.counts[:, 1:3].sum()))


def backward_expected(real: np.dtype, probes: int | None = None) -> dict[str, Array]:
    """Return the CPU's results, the gradient of theta as that of each warp, which has one sample or none."""
    inputs, options, solution, zs_bar = problem(np.dtype(real).name, probes)
    a, _, samples, _, z = backsolve(solution, zs_bar)
    p_bars = np.zeros((-(-SAMPLES // WARPS) * WARPS, inputs.field.n_params), real)
    for b in range(SAMPLES):
        one = solve(Inputs(inputs.field, inputs.z0[b : b + 1], inputs.ts, inputs.p, True, False), options)
        p_bars[b] = backsolve(one, np.ascontiguousarray(zs_bar[:, b : b + 1]))[1]
    return {"results": np.stack([z, a]), "p_bars": p_bars} | counts_of(samples, real)


def counts_of(samples: Array, real: np.dtype) -> dict[str, Array]:
    """Return counts of steps: in float32, the kernel's controller computes in float32 and may take another step."""
    if np.dtype(real) == np.float32:
        return {}
    return {"counts": np.stack([samples[name] for name in ("status", "accepted", "rejected")], 1).astype(np.int32)}


def _flow(name: str, trace: str, probes: int, forwards: Budget, backwards: Budget) -> tuple[Row, Row]:
    """Return the rows of a flow, there and back.

    The float32 kernels choose their steps in float32, where the CPU has float64: other steps, within rtol = 1e-4.
    """
    there, back = (partial(each, probes=probes) for each in (forward, backward))
    expected, expected_back = (partial(each, probes=probes) for each in (forward_expected, backward_expected))
    return (
        Row(
            name, f"a warp a sample, flow of a density, {trace}", there, expected, forwards,
            {"float64": 1e-12, "float32": 1e-4}, shuffles=True,
        ),
        Row(
            f"{name}_back", f"the adjoint of this, {trace}", back, expected_back, backwards,
            {"float64": 1e-12, "float32": 1e-3}, shuffles=True,
        ),
    )  # fmt: skip


ROWS = (
    Row(
        "warp_forward", "a warp a sample, dopri5, perceptron 2-50-2", forward, forward_expected,
        Budget(112, 64), {"float64": 1e-12, "float32": 1e-4}, shuffles=True,
    ),
    Row(
        "warp_backward", "a warp a sample, the adjoint, theta's gradient in registers", backward, backward_expected,
        Budget(160, 104), {"float64": 1e-12, "float32": 1e-3}, shuffles=True,
    ),
    *_flow("warp_flow_exact", "exact trace", 0, Budget(120, 64), Budget(160, 112)),
    *_flow("warp_flow_hutchinson", "Hutchinson's estimate", 1, Budget(120, 64), Budget(160, 128)),
)  # fmt: skip
