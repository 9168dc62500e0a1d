"""The workloads in diffrax, used as its documentation advises: a jitted `value_and_grad`, Dopri5, a PID controller."""

from __future__ import annotations

from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.problem import Gradient, Problem
from benchmarks.routes import Evaluations, Route

jax.config.update("jax_enable_x64", True)
# On one core, handing each call to another thread costs more than it hides.
jax.config.update("jax_cpu_enable_async_dispatch", False)

METHODS = ("checkpoint", "backsolve", "backsolve, seminorm")


def field(t, z, theta):
    """f(t, z) = W2 tanh(W1 z**3 + b1) + b2, for one sample or for a batch as one state."""
    w1, b1, w2, b2 = theta
    return jnp.tanh(z**3 @ w1.T + b1) @ w2.T + b2


def adjoint_of(problem: Problem, method: str) -> diffrax.AbstractAdjoint:
    """The adjoint object of one of `METHODS`."""
    if method == "checkpoint":
        return diffrax.RecursiveCheckpointAdjoint()
    if method == "backsolve":
        return diffrax.BacksolveAdjoint()
    norm = diffrax.adjoint_rms_seminorm
    controller = diffrax.PIDController(rtol=problem.rtol, atol=problem.atol, norm=norm)
    return diffrax.BacksolveAdjoint(stepsize_controller=controller)


def loss_function(problem: Problem, method: str, *, f: Any = field, own_steps: bool = False) -> Any:
    """The function (z0, theta, ts) -> loss; own_steps solves sample by sample under `vmap`."""
    adjoint, target = adjoint_of(problem, method), jnp.asarray(problem.target)
    if problem.steps is None:
        options = {"dt0": None, "stepsize_controller": diffrax.PIDController(rtol=problem.rtol, atol=problem.atol)}
    else:  # one step more than needed: the last may fall short of the end by a rounding error
        options = {"dt0": problem.step_size, "max_steps": problem.steps + 1}

    def solve(z0, theta, ts):
        solution = diffrax.diffeqsolve(
            diffrax.ODETerm(f), diffrax.Dopri5(), ts[0], ts[-1], y0=z0, args=theta,
            saveat=diffrax.SaveAt(ts=ts), adjoint=adjoint, **options,
        )  # fmt: skip
        return solution.ys

    def loss(z0, theta, ts):
        over_samples = jax.vmap(solve, in_axes=(0, None, None), out_axes=1)
        return jnp.abs((over_samples if own_steps else solve)(z0, theta, ts) - target).mean()

    return loss


def arguments(problem: Problem) -> tuple[Any, Any, Any]:
    """(z0, theta, ts) as JAX arrays."""
    return jnp.asarray(problem.z0), tuple(map(jnp.asarray, problem.theta)), jnp.asarray(problem.ts)


def route(problem: Problem, method: str, *, with_times: bool = False, own_steps: bool = False) -> Route:
    """Forward solve and gradient of a problem by one of `METHODS`."""
    wanted = (0, 1, 2) if with_times else (0, 1)
    args = arguments(problem)
    compiled = jax.jit(jax.value_and_grad(loss_function(problem, method, own_steps=own_steps), wanted))

    def run():
        return jax.block_until_ready(compiled(*args))

    def gradient(result) -> Gradient:
        z0, theta, *ts = result[1]
        return Gradient(np.asarray(z0), tuple(map(np.asarray, theta)), np.asarray(ts[0]) if ts else None)

    def evaluations() -> Evaluations:
        return count_evaluations(problem, method, wanted, own_steps=own_steps)

    return Route(run, gradient, evaluations)


def count_evaluations(problem: Problem, method: str, wanted: tuple[int, ...], *, own_steps: bool) -> Evaluations:
    """Run with a field that reports every call to the host: the forward solve alone, then with the gradient."""
    calls = 0

    def add_call(t):
        nonlocal calls
        calls += 1

    def counted(t, z, theta):
        jax.debug.callback(add_call, t)
        return field(t, z, theta)

    loss = loss_function(problem, method, f=counted, own_steps=own_steps)
    counts = []
    for function in (loss, jax.value_and_grad(loss, wanted)):
        calls = 0
        jax.block_until_ready(jax.jit(function)(*arguments(problem)))
        jax.effects_barrier()
        counts.append(calls / (len(problem.z0) if own_steps else 1))
    return Evaluations(counts[0], counts[1] - counts[0])
