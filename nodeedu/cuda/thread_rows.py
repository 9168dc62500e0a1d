"""The kernels of threads in the registry, on examples of the size that their budgets are for: a perceptron 2-50-2."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial
from typing import Any

import numpy as np

from nodeedu.compile.field import VectorField, vector_field
from nodeedu.cuda.device import GPU, Target
from nodeedu.cuda.ensemble import make_launch
from nodeedu.cuda.registry import Budget, Launch, Row
from nodeedu.cuda.thread import Trail
from nodeedu.cuda.thread_gradients import make_backward, make_discrete, trail_of
from nodeedu.sensitivity.backsolve import backsolve
from nodeedu.sensitivity.discrete import discrete
from nodeedu.solvers.arguments import Inputs, Options, check_inputs, check_options
from nodeedu.solvers.solution import Solution
from nodeedu.solvers.solve import solve

__all__ = ["ROWS"]

Array = np.ndarray
SAMPLES = 70  # more than one block, and the last one is not full


def perceptron(t: Any, z: Any, theta: Any) -> Any:
    """Return ``W2 tanh(W1 z + b1) + b2``."""
    W1, b1, W2, b2 = theta
    return W2 @ np.tanh(W1 @ z + b1) + b2


@cache
def problem() -> tuple[VectorField, Array, tuple[Array, ...]]:
    """Return field, initial states and parameters of the examples."""
    rng = np.random.default_rng(0)
    theta = tuple(0.5 * rng.normal(size=shape) for shape in ((50, 2), 50, (2, 50), 2))
    return vector_field(perceptron, np.zeros(2), theta), rng.normal(size=(SAMPLES, 2)), theta


@cache
def checked(real: np.dtype) -> tuple[Inputs, Options]:
    """Return the forward problem, checked."""
    field, z0, theta = problem()
    rtol, atol = (1e-6, 1e-9) if real == np.float64 else (1e-4, 1e-6)
    inputs = check_inputs(field, z0.astype(real), np.linspace(0.0, 1.0, 5), theta)
    return inputs, check_options("dopri5", rtol, atol, shape=(2,))


def forward(real: np.dtype, target: Target) -> Launch:
    """Launch the forward kernel."""
    inputs, options = checked(np.dtype(real))
    kernel, blocks, given = make_launch(inputs, inputs.p[None], options, target)
    outputs = {"z": given.outputs, "counts": given.counts[:, :3]}
    return Launch(kernel, blocks, target.threads, (given,), outputs, lambda: int(given.counts[:, 1:3].sum()))


def forward_expected(real: np.dtype) -> dict[str, Array]:
    """Return the CPU's results."""
    solution = solve(*checked(np.dtype(real)))
    return {"z": solution.zs.swapaxes(0, 1)} | _counts(solution._samples, real)


@cache
def solved(real: np.dtype) -> tuple[Solution, Array]:
    """Return a forward solve with its steps, and dL/dz at its times."""
    inputs, options = checked(np.dtype(real))
    solution = solve(inputs, options, record=True)
    return solution, np.random.default_rng(1).normal(size=solution.zs.shape).astype(real)


def adjoint(real: np.dtype, target: Target, atomics: bool = False) -> Launch:
    """Launch the kernel of the adjoint ODE."""
    solution, zs_bar = solved(np.dtype(real))
    kernel, blocks, given = make_backward(
        solution._inputs, solution._options, solution.zs, zs_bar, solution._samples["h"], target, atomics
    )
    outputs = {"z and a": given.results, "rows": given.rows, "counts": given.counts[:, :3]}
    return Launch(kernel, blocks, target.threads, (given,), outputs, lambda: int(given.counts[:, 1:3].sum()))


def by_block(real: np.dtype) -> list[tuple[Solution, Array]]:
    """Return the solves of the samples of each block, and dL/dz: the gradient for theta is a sum over a block."""
    inputs, options = checked(np.dtype(real))
    zs_bar, parts = solved(np.dtype(real))[1], [slice(k, k + GPU.threads) for k in range(0, SAMPLES, GPU.threads)]
    return [(solve(replace(inputs, z0=inputs.z0[part]), options, record=True), zs_bar[:, part]) for part in parts]


def adjoint_expected(real: np.dtype) -> dict[str, Array]:
    """Return the CPU's results."""
    a, p_bar, samples, _, z = zip(*(backsolve(*block) for block in by_block(real)), strict=True)
    whole = np.concatenate([np.concatenate(z), np.concatenate(a)], axis=1)
    return {"z and a": whole, "rows": np.stack(p_bar)} | _counts(np.concatenate(samples), real)


def _counts(samples: Array, real: np.dtype) -> dict[str, Array]:
    """Return counts that must be equal: in float32, the controller of a kernel computes in float32, the CPU's not."""
    if np.dtype(real) == np.float32:
        return {}
    return {"counts": np.stack([samples[name] for name in ("status", "accepted", "rejected")], 1).astype(np.int32)}


def going_back(real: np.dtype, target: Target) -> Launch:
    """Launch the kernel of the discrete gradient, on the steps that the CPU has made."""
    solution, zs_bar = solved(np.dtype(real))
    inputs, options, steps = solution._inputs, solution._options, solution._samples["accepted"]
    kernel, blocks, given = make_discrete(inputs, options, trail_of(solution), zs_bar, target)
    return Launch(
        kernel, blocks, target.threads, (given,), {"a": given.a, "rows": given.rows}, lambda: int(steps.sum())
    )


def discrete_expected(real: np.dtype) -> dict[str, Array]:
    """Return the CPU's results."""
    a, p_bar, _ = zip(*(discrete(*block) for block in by_block(real)), strict=True)
    return {"a": np.concatenate(a), "rows": np.stack(p_bar)}


@cache
def solved_apart(real: np.dtype, jumps: bool) -> tuple[Array, tuple[Solution, ...]]:
    """Return packed parameters of each sample, its own, and the samples' solves with their steps."""
    inputs, options = checked(np.dtype(real))
    (field, _, theta), rng = problem(), np.random.default_rng(2)
    own = [tuple(leaf + 0.1 * rng.normal(size=leaf.shape) for leaf in theta) for _ in range(SAMPLES)]
    p = np.stack([field.pack(each, inputs.z0.dtype) for each in own])
    options = replace(options, jump_ts=(0.3, 0.5)) if jumps else options  # the second is an output time, too
    each = (replace(inputs, z0=inputs.z0[b : b + 1], p=p[b]) for b in range(SAMPLES))
    return p, tuple(solve(one, options, record=True) for one in each)


def adjoint_apart(real: np.dtype, target: Target) -> Launch:
    """Launch the kernel of the adjoint ODE on samples with parameters of their own."""
    (p, solutions), inputs = solved_apart(np.dtype(real), False), checked(np.dtype(real))[0]
    zs = np.concatenate([each.zs for each in solutions], axis=1)
    first_steps = np.concatenate([each._samples["h"] for each in solutions])
    kernel, blocks, given = make_backward(
        inputs, solutions[0]._options, zs, solved(np.dtype(real))[1], first_steps, target, p=p
    )
    outputs = {"z and a": given.results, "rows": given.rows, "counts": given.counts[:, :3]}
    return Launch(kernel, blocks, target.threads, (given,), outputs, lambda: int(given.counts[:, 1:3].sum()))


def adjoint_apart_expected(real: np.dtype) -> dict[str, Array]:
    """Return the CPU's results."""
    solutions, zs_bar = solved_apart(np.dtype(real), False)[1], solved(np.dtype(real))[1]
    each = (backsolve(solution, zs_bar[:, b : b + 1]) for b, solution in enumerate(solutions))
    a, p_bar, samples, _, z = zip(*each, strict=True)
    whole = np.concatenate([np.concatenate(z), np.concatenate(a)], axis=1)
    return {"z and a": whole, "rows": np.stack(p_bar)} | _counts(np.concatenate(samples), real)


def going_back_apart(real: np.dtype, target: Target) -> Launch:
    """Launch the kernel of the discrete gradient on samples with parameters of their own, over jumps."""
    (p, solutions), inputs = solved_apart(np.dtype(real), True), checked(np.dtype(real))[0]
    _, times, states = zip(*map(trail_of, solutions), strict=True)
    offsets = np.concatenate([[0], np.cumsum([len(each) for each in states])])
    trail = Trail(offsets, np.concatenate(times), np.concatenate(states))
    kernel, blocks, given = make_discrete(
        inputs, solutions[0]._options, trail, solved(np.dtype(real))[1], target, p
    )
    return Launch(
        kernel, blocks, target.threads, (given,), {"a": given.a, "rows": given.rows}, lambda: int(offsets[-1])
    )


def discrete_apart_expected(real: np.dtype) -> dict[str, Array]:
    """Return the CPU's results."""
    solutions, zs_bar = solved_apart(np.dtype(real), True)[1], solved(np.dtype(real))[1]
    a, p_bar, _ = zip(
        *(discrete(solution, zs_bar[:, b : b + 1]) for b, solution in enumerate(solutions)), strict=True
    )
    return {"a": np.concatenate(a), "rows": np.stack(p_bar)}


# In float32 a kernel and the CPU may take different steps: both are right to rtol = 1e-4, sums over a block to more.
OWN_STEPS = {"float64": 1e-12, "float32": 1e-3}

ROWS = (
    Row(
        "thread_forward", "a thread a trajectory, dopri5, perceptron 2-50-2", forward, forward_expected, Budget(80, 64),
        OWN_STEPS,
    ),
    Row(
        "thread_adjoint", "a thread a sample, backwards along the adjoint ODE", adjoint, adjoint_expected,
        Budget(168, 104), OWN_STEPS, shuffles=True,
    ),
    Row(
        "thread_adjoint_atomics", "the same with atomics on shared memory, the counter-example",
        partial(adjoint, atomics=True), adjoint_expected, Budget(168, 128), OWN_STEPS, atomics=True,
        shuffles=True,
    ),
    Row(
        "thread_discrete", "a thread a sample, backwards over the steps of the forward solve", going_back,
        discrete_expected, Budget(168, 128), shuffles=True,
    ),
    Row(
        "thread_adjoint_own", "the adjoint ODE, each sample with a theta and a gradient of its own", adjoint_apart,
        adjoint_apart_expected, Budget(168, 104), OWN_STEPS,
    ),
    Row(
        "thread_discrete_own", "backwards over the steps, over jumps, each sample with a theta of its own",
        going_back_apart, discrete_apart_expected, Budget(168, 128),
    ),
)  # fmt: skip
