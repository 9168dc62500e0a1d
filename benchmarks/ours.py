"""The workloads in nodeedu: a traced field, own steps for each sample."""

from __future__ import annotations

from typing import Any

import numpy as np

import nodeedu as ne
from benchmarks.problem import Gradient, Problem
from benchmarks.routes import Evaluations, Route

METHODS = ("discrete", "checkpointed", "backsolve", "interpolated", "quadrature", "reversible")
RECORDED = ("discrete", "interpolated", "quadrature")  # those that the steps of the forward solve are kept for


def spiral_field(t, z, theta):
    """f(t, z) = W2 tanh(W1 z**3 + b1) + b2 for one sample."""
    W1, b1, W2, b2 = theta
    return W2 @ np.tanh(W1 @ z**3 + b1) + b2


def route(problem: Problem, method: str, *, with_times: bool = False) -> Route:
    """Forward solve and gradient of a problem by one of `METHODS`."""
    field = ne.vector_field(spiral_field, _one_sample(problem), problem.theta)

    def run():
        g = _solve(field, problem, method)
        return (g, g.ts) if with_times else (g, None)

    def gradient(result) -> Gradient:
        g, ts = result
        return Gradient(g.z0, tuple(g.theta), ts, g.stats.stored_states, g.stats.stored_bytes)

    def evaluations() -> Evaluations:
        stats = run()[0].stats
        return Evaluations(float(np.mean(stats.nfev)), float(np.mean(stats.nfev_backward)))

    return Route(run, gradient, evaluations)


def _one_sample(problem: Problem) -> np.ndarray:
    return problem.z0.reshape(-1, problem.z0.shape[-1])[0]


def _solve(field: Any, problem: Problem, method: str) -> Any:
    if problem.steps is None:
        solver, options = "dopri5", {"rtol": problem.rtol, "atol": problem.atol}
    else:
        solver = "reversible_rk4" if method == "reversible" else "rk4"
        options = {"step_size": problem.step_size}
    inputs = (field, problem.z0, problem.ts, problem.theta)
    solution = ne.odeint(*inputs, method=solver, record=method in RECORDED, **options)
    _, zs_bar = problem.loss_and_gradient(solution.zs)
    return ne.gradients(*inputs, zs_bar, method=method, solver=solver, solution=solution, **options)
