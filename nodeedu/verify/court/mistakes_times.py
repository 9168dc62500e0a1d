"""Mistakes 18-23 and 53: gradients by the times of the observations and of the start.

Right is ``dL/dt_i = g_i f_i`` for i >= 1 and ``dL/dt0 = -a(t0+) f_0``. Algorithm 2 reaches the latter by another way,
with a_t, the adjoint of the clock: ``a_t(t_N) = 0`` at a fixed duration, ``a_t' = -a f_t``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .case import Case
from .mistake import Mistake
from .sweep import Sweep, right, weigh

Array = NDArray[Any]
PAPER = "arXiv 1806.07366, "


def with_start(c: Case, start: float) -> Sweep:
    """Return the right sweep with another dL/dt0."""
    s = right(c)
    return replace(s, ts=np.concatenate([[start], s.ts[1:]]), start=())


def with_later(c: Case, later: Array) -> Sweep:
    """Return the right sweep with other dL/dt_i, i >= 1."""
    s = right(c)
    return replace(s, ts=np.concatenate([s.ts[:1], later]))


def slopes(c: Case) -> Array:
    """Return ``g_i f_i`` (T,)."""
    return np.einsum("td,td->t", c.g, c.path.slopes)


def work(c: Case, k: int | None = None) -> float:
    """Return the integral of ``a f_t``, over the k-th interval or the whole path."""
    from .path import carry

    path, plus, total = c.path, right(c).plus, 0.0
    for i in range(len(c.g) - 1) if k is None else [k]:
        _, nodes = carry(path, -path.J, plus[i + 1] + c.g[i + 1], i)
        total += float(weigh(path.h[path.steps(i)], np.einsum("nsd,nsd->ns", nodes, path.f_t[path.steps(i)])))
    return total


def accumulated(c: Case, start_too: bool) -> Sweep:
    """Return what ``adj_t[i] = adj_t[i] - dLdt_i`` leaves: minus the sum of all later dL/dt_j, and the work between."""
    works, gradients = np.array([work(c, k) for k in range(len(c.g) - 1)] + [0.0]), slopes(c)
    if not start_too:
        gradients = np.concatenate([[0.0], gradients[1:]])
    return replace(right(c), ts=np.cumsum((works - gradients)[::-1])[::-1], start=())


# fmt: off
MISTAKES = (
    Mistake(18, "dL/dt_i with the adjoint",
            "dL/dt_i is a f; right is g_i f_i with the gradient of that observation alone: a carries the later ones.", {
                "gradient": (lambda c: with_later(c, np.einsum("td,td->t", right(c).plus + c.g, c.path.slopes)[1:]),
                             lambda c: with_later(c, np.concatenate(
                                 [np.einsum("td,td->t", right(c).plus, c.path.slopes)[1:-1], slopes(c)[-1:]])))},
            hidden_by="a loss at the last time alone"),
    Mistake(19, "no f_t",
            "dL/dt0 lacks the integral of a f_t; right is that integral minus the sum of dL/dt_i, or -a(t0+) f_0.", {
                "gradient": (lambda c: with_start(c, -slopes(c)[1:].sum()), lambda c: with_start(c, -slopes(c).sum()),
                             lambda c: with_start(c, -slopes(c)[-1]))},
            hidden_by="a field that does not depend on t"),
    Mistake(20, "sign of eq. 52",
            "Algorithm 2 starts with a_t = +dL/dt_N; right is -dL/dt_N.", {
                "gradient": (lambda c: with_start(c, work(c) + slopes(c)[1:].sum()),
                             lambda c: with_start(c, work(c) + slopes(c)[-1] - slopes(c)[1:-1].sum()),
                             lambda c: with_start(c, work(c) + slopes(c)[-1]),
                             lambda c: with_start(c, -work(c) - slopes(c)[1:].sum()))},
            found=PAPER + "eq. 52 against Algorithm 2"),
    Mistake(21, "a_t starts at 0",
            "Algorithm 2 starts with a_t = 0 and returns it; right is a_t(t0) minus dL/dt_N.", {
                "gradient": (lambda c: with_start(c, work(c)),
                             lambda c: with_start(c, work(c) - slopes(c)[1:-1].sum()))}),
    Mistake(22, "sign of dL/dt0",
            "dL/dt0 = +a(t0+) f_0; right is -a(t0+) f_0: a later start leaves less time.", {
                "gradient": (lambda c: with_start(c, -right(c).ts[0]),
                             lambda c: with_start(c, right(c).z0 @ c.path.slopes[0]))}),
    Mistake(23, "signs at the observations",
            "dL/dt_i has the wrong sign at the observations; right is +g_i f_i.", {
                "gradient": (lambda c: with_later(c, -slopes(c)[1:]), lambda c: accumulated(c, start_too=True),
                             lambda c: accumulated(c, start_too=False))},
            found="a widely copied notebook, in the line adj_t[i] = adj_t[i] - dLdt_i, which accumulates them, too"),
    Mistake(53, "the observation at t0 in dL/dt0",
            "dL/dt0 = -(a(t0+) + g_0) f_0; right is without g_0: with z0 held fixed, that observation does not move.", {
                "gradient": (lambda c: with_start(c, -right(c).z0 @ c.path.slopes[0]),)},
            hidden_by="a loss that does not look at t0"),
)
# fmt: on
