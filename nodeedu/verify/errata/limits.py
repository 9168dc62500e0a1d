"""Nets that become deeper or wider: residual nets of L layers, and the cost of a trace."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from .erratum import Array

NET = "residual net"
WIDE = "H = D"
WIDTHS = tuple(1.0 / L for L in (64, 128, 256, 512, 1024))  # h = 1/L
DRAWS = 64


@cache
def depth(L: int, scale: str) -> Array:
    """Return the output (64, 4) of L layers for 64 inputs and weights; the scale is 1, 1/L or 1/sqrt(L)."""
    rng = np.random.default_rng(0)
    W0, W1, z = rng.normal(size=(DRAWS, 4, 4)), rng.normal(size=(DRAWS, 4, 4)), rng.normal(size=(DRAWS, 4, 1))
    factor = {"1": 1.0, "1/L": 1.0 / L, "1/sqrt(L)": L**-0.5}[scale]
    draws = np.random.default_rng(L)
    for n in range(L):
        rough = scale == "1/sqrt(L)"
        W = draws.normal(size=W0.shape) if rough else np.cos(3 * n / L) * W0 + np.sin(3 * n / L) * W1
        z = z + factor * np.tanh(W @ z)
    return z[..., 0]


def unscaled(_: Any, h: float) -> Array:
    """Return ``z_2L - z_L`` of layers that are not scaled."""
    return depth(round(2 / h), "1") - depth(round(1 / h), "1")


def scaled(_: Any, h: float) -> Array:
    """Return ``z_2L - z_L`` of layers that are scaled by 1/L, with smooth weights."""
    return depth(round(2 / h), "1/L") - depth(round(1 / h), "1/L")


def rough(_: Any, h: float) -> Array:
    """Return ``z_2L - z_L`` of layers that are scaled by 1/sqrt(L), with independent weights."""
    return depth(round(2 / h), "1/sqrt(L)") - depth(round(1 / h), "1/sqrt(L)")


def counted_trace(D: int) -> tuple[float, float, int]:
    """Return tr J of ``W2 tanh(W1 z)`` by D vector-Jacobian products, by the closed form, and the multiplications."""
    rng = np.random.default_rng(D)
    W1, W2, z = rng.normal(size=(D, D)), rng.normal(size=(D, D)), rng.normal(size=D)
    count = 0

    def times(a: Array, W: Array) -> Array:
        nonlocal count
        count += W.size
        return a @ W

    slope = 1 - np.tanh(W1 @ z) ** 2
    trace = sum(times(times(e, W2) * slope, W1)[i] for i, e in enumerate(np.eye(D)))
    return trace, float(slope @ np.sum(W1 * W2.T, axis=1)), count


def counted_growth(D: int) -> float:
    """Return how the multiplications of a trace grow from D to 2 D; nan if the trace is wrong."""
    (trace, closed, small), (_, _, large) = counted_trace(D), counted_trace(2 * D)
    return large / small if abs(trace - closed) < 1e-10 * abs(closed) else np.nan


def predicted_growth(D: int) -> float:
    """Return the growth of ``D cost(f)``, with ``cost(f) = 2 D H`` multiplications."""
    cost = {n: n * 2 * n * n for n in (D, 2 * D)}
    return cost[2 * D] / cost[D]
