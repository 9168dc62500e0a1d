"""The backward sweep of Algorithm 1 (arXiv 1806.07366), with every part that a mistake may replace as an argument.

a(t_N) = g_N;  between observations a' = -a J, dL/dtheta collects a f_theta;  at an observation a += g_i

dL/dt_i = g_i f_i for i >= 1;  dL/dt_0 = -a(t0+) f_0, where a(t0+) leaves out the observation at t0
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .case import Case
from .path import carry, gauss

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Sweep:
    """What a sweep found, right or wrong.

    Parameters
    ----------
    z0 : array (D,)
    theta : array (P,)
    ts : array (T,)
    plus : array (T, D)
        a just behind each time, t_i+, before the observation there is added; zero behind the last.
    parts : array (N, P)
        What each interval gave to theta.
    start : tuple of float
        What the same mistake may give for dL/dt0 by another route, Algorithm 2: the integral of ``a f_t``.
    """

    z0: Array
    theta: Array
    ts: Array
    plus: Array
    parts: Array
    start: tuple[float, ...] = ()


def sweep(
    c: Case, M: Array | None = None, g: Array | None = None, f_theta: Array | None = None,
    jump: Callable[[Array, Array], Array] = np.add, first_jump: Callable[[Array, Array], Array] | None = None,
    seed: Array | None = None,
) -> Sweep:  # fmt: skip
    """Sweep backwards.

    Parameters
    ----------
    c : Case
    M : array (n, S, D, D), optional
        ``a' = a M``; right is -J.
    g : array (T, D), optional
        Gradients by the states.
    f_theta : array (n, S, D, P), optional
    jump : callable
        ``jump(a, g_i)`` -> a at the observations before the last.
    first_jump : callable, optional
        The same at t0; by default as at the others.
    seed : array (D,), optional
        a at the last time.
    """
    path, N = c.path, len(c.g) - 1
    M, g = -path.J if M is None else M, c.g if g is None else g
    f_theta = path.f_theta if f_theta is None else f_theta
    a = g[N] if seed is None else seed
    parts, plus, f_t = np.zeros((N, len(c.problem.p))), np.zeros((N + 1, c.D)), 0.0
    for k in reversed(range(N)):
        a, nodes = carry(path, M, a, k)
        h = path.h[path.steps(k)]
        parts[k] = weigh(h, np.einsum("nsd,nsdp->nsp", nodes, f_theta[path.steps(k)]))
        f_t += float(weigh(h, np.einsum("nsd,nsd->ns", nodes, path.f_t[path.steps(k)])))
        plus[k] = a
        a = (jump if k or first_jump is None else first_jump)(a, g[k])
    slopes = np.einsum("td,td->t", g, path.slopes)  # g_i f_i
    ts = np.concatenate([[-plus[0] @ path.slopes[0]], slopes[1:]])
    return Sweep(a, parts.sum(axis=0) + a @ c.z0_theta, ts, plus, parts, (f_t - slopes[1:].sum(),))


def weigh(h: Array, values: Array) -> Array:
    """Return the integral over some steps of what is tabulated on their nodes (n, S, ...)."""
    return np.einsum("n,s,ns...->...", h, gauss()[2], values)


@lru_cache(maxsize=8)
def right(c: Case) -> Sweep:
    """Return the right sweep, kept once found."""
    return sweep(c)
