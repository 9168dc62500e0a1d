"""Mistakes 5, 6, 8 and 11-17: what goes wrong in a whole gradient although each equation is right.

A formula is ``(c) -> Sweep``. Most are the right sweep with other gradients g of the observations.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .case import Case
from .mistake import Mistake
from .mistakes_adjoint import negated
from .path import carry
from .sweep import Sweep, right, sweep, weigh

Array = NDArray[Any]


def only(c: Case, *kept: int) -> Array:
    """Return the gradients of some observations, and zeros for the others."""
    g = np.zeros_like(c.g)
    g[list(kept)] = c.g[list(kept)]
    return g


def late(c: Case, end: bool = False, first: bool = True) -> Array:
    """Return the gradients, each at the observation before its own; the last one too, if ``end`` is set."""
    g = np.zeros_like(c.g)
    g[:-1] = c.g[1:]
    if not end:
        g[-2] -= c.g[-1]
        g[-1] = c.g[-1]
    g[0] += c.g[0] if first else 0.0
    return g


def ones(c: Case) -> Array:
    """Return the right gradients with ones at the last time."""
    return np.concatenate([c.g[:-1], np.ones((1, c.D))])


def from_t0(c: Case, sign: float, order: str) -> Sweep:
    """Solve the adjoint ODE in the direction of time: each interval, or the whole path.

    ``order`` "back": interval after interval from the last to the first, each one in the wrong direction. "seeded":
    from t0 on with the gradient of the last observation. "stored": from t0 on, observations in their order.
    """
    path, N = c.path, len(c.g) - 1
    parts, plus = np.zeros((N, len(c.problem.p))), np.zeros((N + 1, c.D))
    a = c.g[0] if order == "stored" else c.g[N]
    for k in range(N) if order != "back" else reversed(range(N)):
        a, nodes = carry(path, -path.J, a, k, forwards=True)
        steps = path.steps(k)
        parts[k] = sign * weigh(path.h[steps], np.einsum("nsd,nsdp->nsp", nodes, path.f_theta[steps]))
        plus[k] = a
        g = c.g[k] if order == "back" else c.g[k + 1] if order == "stored" or k + 1 < N else c.g[0]
        a = a + g
    ts = np.concatenate([[-plus[0] @ path.slopes[0]], np.einsum("td,td->t", c.g, path.slopes)[1:]])
    return Sweep(a, parts.sum(axis=0) + a @ c.z0_theta, ts, plus, parts)


def only_first_interval(c: Case) -> Sweep:
    """Return the right sweep whose parameter gradient was set to zero at each observation."""
    s = right(c)
    return replace(s, theta=s.parts[0] + s.z0 @ c.z0_theta)


# fmt: off
MISTAKES = (
    Mistake(5, "integrated from t0 to t1",
            "The adjoint ODE is solved in the direction of time; right is from t1, where a = dL/dz is known, to t0.", {
                "gradient": (lambda c: from_t0(c, -1.0, "back"), lambda c: from_t0(c, 1.0, "back"),
                             lambda c: from_t0(c, -1.0, "seeded"), lambda c: from_t0(c, 1.0, "seeded"),
                             lambda c: from_t0(c, -1.0, "stored"), lambda c: from_t0(c, 1.0, "stored"))}),
    Mistake(6, "all signs",
            "The whole gradient has the wrong sign: a = -dL/dz; right is a = +dL/dz.", {
                "gradient": (lambda c: negated(right(c), z0=True, theta=True, ts=True),
                             lambda c: negated(right(c), z0=True, theta=True),
                             lambda c: sweep(c, seed=-c.g[-1]),
                             lambda c: sweep(c, g=-c.g, first_jump=lambda a, g: a - g))},
            found="a blog that defines the adjoint as a = -dL/dh"),
    Mistake(8, "no jumps",
            "Only the last observation counts; right is a += g_i at each of them on the way back.", {
                "gradient": (lambda c: sweep(c, g=only(c, 0, -1)), lambda c: sweep(c, g=only(c, -1)),
                             lambda c: keep_slopes(c, sweep(c, g=only(c, 0, -1))),
                             lambda c: keep_slopes(c, sweep(c, g=only(c, -1))))},
            hidden_by="a loss at the last time alone"),
    Mistake(11, "jump one interval late",
            "g_i is added at t_(i-1); right is at t_i, before the interval behind it is crossed.", {
                "gradient": (lambda c: keep_slopes(c, sweep(c, g=late(c))),
                             lambda c: keep_slopes(c, sweep(c, g=late(c, end=True))),
                             lambda c: keep_slopes(c, sweep(c, g=late(c, first=False))),
                             lambda c: keep_slopes(c, sweep(c, g=late(c, end=True, first=False))))},
            hidden_by="a loss at the last time alone"),
    Mistake(12, "parameter gradient reset",
            "The integral for dL/dtheta starts anew at each observation; right is to keep adding.", {
                "gradient": (only_first_interval,)},
            hidden_by="a single interval"),
    Mistake(13, "seed L",
            "The sweep starts with the loss L itself; right is its gradient dL/dz(t1).", {
                "gradient": (lambda c: sweep(c, seed=np.full(c.D, c.L)), lambda c: sweep(c, g=np.full_like(c.g, c.L)),
                             lambda c: sweep(c, g=only(c, 0), seed=np.full(c.D, c.L)),
                             lambda c: sweep(c, g=0 * c.g, seed=np.full(c.D, c.L)))}),
    Mistake(14, "seed of ones",
            "The sweep starts with ones, the gradient of sum z(t1); right is dL/dz(t1).", {
                "gradient": (lambda c: sweep(c, seed=np.ones(c.D)), lambda c: sweep(c, g=ones(c)),
                             lambda c: sweep(c, g=np.ones_like(c.g)),
                             lambda c: sweep(c, g=only(c, 0), seed=np.ones(c.D)),
                             lambda c: sweep(c, g=0 * c.g, seed=np.ones(c.D)))}),
    Mistake(15, "z0 does not see theta",
            "The term dL/dz0 dz0/dtheta is missing from dL/dtheta; right is to add it where z0 depends on theta.", {
                "gradient": (lambda c: replace(right(c), theta=right(c).parts.sum(axis=0)),
                             lambda c: replace(right(c), theta=right(c).parts.sum(axis=0)
                                               + right(c).plus[0] @ c.z0_theta))},
            hidden_by="an initial state that is given as an array"),
    Mistake(16, "mean over time",
            "dL/dtheta is divided by t1 - t0; right is the integral, not the mean.", {
                "gradient": (lambda c: replace(right(c), theta=right(c).theta / abs(c.ends[1] - c.ends[0])),
                             lambda c: replace(right(c), theta=right(c).theta / (c.ends[1] - c.ends[0])))},
            hidden_by="a path of duration 1"),
    Mistake(17, "mean over observations",
            "The gradient is divided by the number of observations; right is their sum, if the loss is one.", {
                "gradient": (lambda c: sweep(c, g=c.g / len(c.g)), lambda c: sweep(c, g=c.g / (len(c.g) - 1)),
                             lambda c: keep_slopes(c, sweep(c, g=c.g / len(c.g))),
                             lambda c: keep_slopes(c, sweep(c, g=c.g / (len(c.g) - 1))))},
            hidden_by="a loss at the last time alone"),
)
# fmt: on


def keep_slopes(c: Case, s: Sweep) -> Sweep:
    """Return a sweep with ``dL/dt_i = g_i f_i``, i >= 1, of the true g: a slip in the jumps need not touch it."""
    slopes = np.einsum("td,td->t", c.g, c.path.slopes)
    return replace(s, ts=np.concatenate([s.ts[:1], slopes[1:]]))
