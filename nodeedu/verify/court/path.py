"""A path on which every formula is a few products: the field's derivatives, tabulated on the nodes of a Gauss rule.

SciPy's DOP853 chooses the steps; on each of them lie four nodes. Integrals along the path are then sums, and a linear
equation ``a' = a M(t)``, right or wrong, is solved by collocation, of order 8: no solver has to run for each mistake.
Hairer, Lubich & Wanner, Geometric Numerical Integration (2006), II.1.3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..problem import Problem

Array = NDArray[Any]
RTOL = 1e-12  # the interpolant then errs by about 1e-10: little next to the threshold of 1e-5
STAGES = 4


@cache
def gauss() -> tuple[Array, Array, Array]:
    """Return c (S,), A (S, S) and b (S,) of Gauss's collocation method."""
    x, w = np.polynomial.legendre.leggauss(STAGES)
    c, powers = 0.5 * (1.0 + x), np.arange(STAGES)
    A = (c[:, None] ** (powers + 1) / (powers + 1)) @ np.linalg.inv(c[:, None] ** powers)
    return c, A, 0.5 * w


@dataclass(frozen=True, eq=False)
class Path:
    """The path of a problem through its times, with what formulas ask for.

    Parameters
    ----------
    problem : Problem
    h : array (n,)
        Steps, with their sign; a step never crosses one of the problem's times.
    stops : array (T,) of int
        Step i begins at time k of the problem if ``stops[k] == i``.
    t : array (n, S)
        Nodes.
    z : array (n, S, D)
        States on the nodes.
    zs : array (T, D)
        States at the problem's times.
    at : callable
        ``at(t)`` -> z(t) (D,), between the first and the last time.
    """

    problem: Problem
    h: Array
    stops: Array
    t: Array
    z: Array
    zs: Array
    at: Callable[[float], Array]

    def on_nodes(self, function: Callable[[float, Array], Any]) -> Array:
        """Evaluate ``function(t, z)`` on all nodes; return (n, S, ...)."""
        rows = [[function(t, z) for t, z in zip(*step, strict=True)] for step in zip(self.t, self.z, strict=True)]
        return np.array(rows)

    @cached_property
    def J(self) -> Array:
        """``df/dz`` (n, S, D, D)."""
        return self.on_nodes(self.problem.J)

    @cached_property
    def f_theta(self) -> Array:
        """``df/dtheta`` (n, S, D, P)."""
        return self.on_nodes(self.problem.f_theta)

    @cached_property
    def f_t(self) -> Array:
        """``df/dt`` (n, S, D)."""
        return self.on_nodes(self.problem.f_t)

    @cached_property
    def slopes(self) -> Array:
        """``f(t_i, z(t_i))`` at the problem's times (T, D)."""
        return np.array([self.problem.f(t, z) for t, z in zip(self.problem.ts, self.zs, strict=True)])

    def steps(self, k: int) -> slice:
        """Return the steps between the times k and k + 1."""
        return slice(int(self.stops[k]), int(self.stops[k + 1]))

    def integral(self, values: Array, k: int | None = None) -> Array:
        """Return the integral of what has been tabulated (n, S, ...), over the k-th interval or the whole path."""
        chosen = slice(None) if k is None else self.steps(k)
        return np.einsum("n,s,ns...->...", self.h[chosen], gauss()[2], values[chosen])


def make_path(problem: Problem, rtol: float = RTOL) -> Path:
    """Solve ``z' = f`` through the problem's times and lay nodes on the steps."""
    from scipy.integrate import solve_ivp  # only here: importing it takes half a second

    pieces, zs, edges = [], [problem.z0], [problem.ts[:1]]
    for t, s in zip(problem.ts, problem.ts[1:], strict=False):
        with np.errstate(all="ignore"):
            piece = solve_ivp(problem.f, (t, s), zs[-1], "DOP853", rtol=rtol, atol=rtol / 10, dense_output=True)
        if not piece.success or not np.isfinite(piece.y).all():
            raise ValueError(f"f: the path from t = {t:.6g} does not reach t = {s:.6g}; expected times that it reaches")
        pieces.append(piece.sol)
        zs.append(piece.y[:, -1])
        edges.append(piece.t[1:])
    ends, forwards = problem.ts[1:-1], problem.ts[-1] > problem.ts[0]

    def at(t: float) -> Array:
        before = ends < t if forwards else ends > t
        return pieces[int(np.sum(before))](t)

    stops, all_edges = np.cumsum([0] + [len(e) for e in edges[1:]]), np.concatenate(edges)
    h = np.diff(all_edges)
    t = all_edges[:-1, None] + h[:, None] * gauss()[0]
    return Path(problem, h, stops, t, np.array([[at(s) for s in row] for row in t]), np.array(zs), at)


def carry(path: Path, M: Array, a: Array, k: int, forwards: bool = False) -> tuple[Array, Array]:
    """Solve ``a' = a M`` over the k-th interval, from its end to its begin, or the other way round.

    Parameters
    ----------
    path : Path
    M : array (n, S, D, D)
        On all nodes of the path.
    a : array (D,)
        Where the solve starts.
    k : int
    forwards : bool

    Returns
    -------
    a : array (D,)
        Where it ends.
    nodes : array (n_k, S, D)
        a on the interval's nodes.
    """
    _, A, b = gauss()
    h, M, D = path.h[path.steps(k)], M[path.steps(k)], len(a)
    weights = A - b if not forwards else A  # of the integral from the step's start to node i, by node j
    # x K = (a, ..., a) for the stages x = (x_1, ..., x_S), each a row: x_i = a + h sum_j weights_ij x_j M_j
    K = np.einsum("ji,pq->jpiq", np.eye(STAGES), np.eye(D)) - np.einsum("n,ij,njpq->njpiq", h, weights, M)
    K = K.reshape(len(h), STAGES * D, STAGES * D)
    start = np.tile(np.eye(D), STAGES)
    stages = np.linalg.solve(K.transpose(0, 2, 1), np.broadcast_to(start.T, (len(h), *start.T.shape)))
    nodes = np.empty((len(h), STAGES, D))
    for n in range(len(h)) if forwards else reversed(range(len(h))):
        nodes[n] = (stages[n] @ a).reshape(STAGES, D)
        moved = h[n] * np.einsum("s,sd,sde->e", b, nodes[n], M[n])
        a = a + moved if forwards else a - moved
    return a, nodes
