"""The likelihood of a flow in torchdiffeq: its adjoint, the batch as one system, as FFJORD's published code does it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn
from torchdiffeq import odeint_adjoint

torch.set_num_threads(1)


class Augmented(nn.Module):
    """(z, log p)' = (f, -tr J) for a batch; the trace by autograd, or v J v with given noise."""

    def __init__(self, theta: tuple[np.ndarray, ...], noise: np.ndarray | None):
        super().__init__()
        self.weights = nn.ParameterList([nn.Parameter(torch.tensor(leaf)) for leaf in theta])
        self.noise = None if noise is None else torch.tensor(noise)

    def field(self, t, z):
        w1, b1, w2, b2, w3, b3 = self.weights
        h = torch.tanh(torch.cat([z, t.expand(len(z), 1)], dim=1) @ w1.T + b1)
        return torch.tanh(h @ w2.T + b2) @ w3.T + b3

    def forward(self, t, state):
        with torch.enable_grad():
            z = state[0].requires_grad_(True)
            dz = self.field(t, z)
            if self.noise is not None:
                pulled = torch.autograd.grad(dz, z, self.noise, create_graph=True)[0]
                trace = (pulled * self.noise).sum(1)
            else:
                trace = 0.0
                for i in range(z.shape[1]):
                    trace = trace + torch.autograd.grad(dz[:, i].sum(), z, create_graph=True)[0][:, i]
        return dz, -trace


def work(problem: Any, tolerance: float) -> Callable[[], Any]:
    """The function () -> (nll, gradient)."""
    augmented = Augmented(problem.theta, problem.noise if problem.trace == "hutchinson" else None)
    x, ts = torch.tensor(problem.x), torch.tensor([1.0, 0.0], dtype=torch.float64)
    constant = 0.5 * x.shape[1] * np.log(2.0 * np.pi)

    def run():
        start = (x, torch.zeros(len(x), dtype=torch.float64))
        z, change = odeint_adjoint(augmented, start, ts, rtol=tolerance, atol=tolerance, method="dopri5")
        nll = (0.5 * (z[-1] ** 2).sum(1) + constant + change[-1]).mean()
        return nll, torch.autograd.grad(nll, list(augmented.parameters()))

    return run


def arrays(result: Any) -> Any:
    """Turn a result into NumPy arrays."""
    return result[0].item(), tuple(leaf.numpy() for leaf in result[1])
