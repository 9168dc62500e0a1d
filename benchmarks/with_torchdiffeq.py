"""The workloads in torchdiffeq, used as its own examples use it: an `nn.Module`, the batch as one system."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torchdiffeq import odeint, odeint_adjoint

from benchmarks.problem import Gradient, Problem
from benchmarks.routes import Evaluations, Route

torch.set_num_threads(1)

METHODS = ("backprop", "adjoint", "adjoint, seminorm")


class Field(nn.Module):
    """f(t, z) = W2 tanh(W1 z**3 + b1) + b2, which also counts its calls."""

    def __init__(self, theta: tuple[np.ndarray, ...]):
        super().__init__()
        w1, b1, w2, b2 = (torch.tensor(array) for array in theta)
        first = nn.Linear(w1.shape[1], w1.shape[0], dtype=torch.float64)
        last = nn.Linear(w2.shape[1], w2.shape[0], dtype=torch.float64)
        self.net = nn.Sequential(first, nn.Tanh(), last)
        for parameter, value in zip(self.parameters(), (w1, b1, w2, b2), strict=True):
            parameter.data = value
        self.calls = 0

    def forward(self, t, z):
        self.calls += 1
        return self.net(z**3)


def solver_options(problem: Problem, method: str) -> tuple[Callable, dict]:
    """Solve function and keywords of one of `METHODS`."""
    if problem.steps is None:
        options = {"rtol": problem.rtol, "atol": problem.atol, "method": "dopri5"}
    else:
        options = {"method": "rk4", "options": {"step_size": problem.step_size}}
    if method == "backprop":
        return odeint, options
    norm = {"adjoint_options": {"norm": "seminorm"}} if method.endswith("seminorm") else {}
    return odeint_adjoint, options | norm


def route(problem: Problem, method: str, *, with_times: bool = False) -> Route:
    """Forward solve and gradient of a problem by one of `METHODS`."""
    field = Field(problem.theta)
    z0 = torch.tensor(problem.z0, requires_grad=True)
    ts = torch.tensor(problem.ts, requires_grad=with_times)
    target = torch.tensor(problem.target)
    solve, options = solver_options(problem, method)
    wanted = [z0, *field.parameters()] + ([ts] if with_times else [])

    def forward():
        return (solve(field, z0, ts, **options) - target).abs().mean()

    def run():
        return torch.autograd.grad(forward(), wanted)

    def gradient(result) -> Gradient:
        arrays = [array.detach().numpy() for array in result]
        return Gradient(arrays[0], tuple(arrays[1:5]), arrays[5] if with_times else None)

    def evaluations() -> Evaluations:
        field.calls = 0
        loss = forward()
        ahead, field.calls = field.calls, 0
        torch.autograd.grad(loss, wanted)
        # Backpropagation calls no f: it goes through the graph of each evaluation once.
        return Evaluations(ahead, ahead if method == "backprop" else field.calls)

    return Route(run, gradient, evaluations)
