"""Log-densities along a path, for the mistakes about them: d log p/dt = -tr J, with a standard normal density at t0.

arXiv 1806.07366, theorem 1; the score s = d log p/dz obeys ``s' = -s J - d(tr J)/dz``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .case import Case
from .path import Path, carry, gauss, make_path

Array = NDArray[Any]
POINTS = 2  # at one alone, two formulas may agree by chance


def log_normal(z: Array) -> float:
    """Return the logarithm of the standard normal density."""
    return float(-0.5 * z @ z - 0.5 * len(z) * np.log(2 * np.pi))


@dataclass(frozen=True, eq=False)
class Flow:
    """What happens to a density along a case's path.

    Parameters
    ----------
    case : Case
    """

    case: Case
    _known: dict[tuple[float, bytes], Array] = field(default_factory=dict, repr=False)

    @property
    def path(self) -> Path:
        """The path and its table."""
        return self.case.path

    @property
    def duration(self) -> float:
        """``t1 - t0``."""
        return self.case.ends[1] - self.case.ends[0]

    def J(self, t: float, z: Array) -> Array:
        """Return ``df/dz`` (D, D), kept once found: a dozen rates ask for it at the same places."""
        key = (t, z.tobytes())
        if key not in self._known:
            self._known[key] = self.case.problem.J(t, z)
        return self._known[key]

    @cached_property
    def score(self) -> Callable[[float], Array]:
        """``t -> s(t)`` (D,) on the path."""
        from scipy.integrate import solve_ivp

        P, (t0, t1) = self.case.problem, self.case.ends

        def rhs(t: float, s: Array) -> Array:
            z = self.path.at(t)
            return -P.vjp(t, z, s)[1] - P.divergence_gradients(t, z)[0]

        return solve_ivp(rhs, (t0, t1), -P.z0, "DOP853", rtol=1e-9, atol=1e-10, dense_output=True).sol

    @cached_property
    def Phi(self) -> Array:
        """``dz(t1)/dz0`` (D, D)."""
        J = self.path.J
        return np.array([carry(self.path, -J, row, 0)[0] for row in np.eye(self.case.D)])

    def log_p(self, rate: Callable[[Flow, float, Array], float], pieces: int = 1) -> float:
        """Return log p at the path's end from a rate d log p/dt = rate(flow, t, z), in some pieces of each step."""
        path, (c, _, b), total = self.path, gauss(), log_normal(self.path.zs[0])
        if pieces == 1:
            return total + float(path.integral(path.on_nodes(lambda t, z: rate(self, t, z))))
        begins = path.t[:, 0] - c[0] * path.h
        for begin, h in zip(begins, path.h / pieces, strict=True):
            for t in (begin + h * (k + c) for k in range(pieces)):
                total += h * float(b @ np.array([rate(self, s, path.at(s)) for s in t]))
        return total


@lru_cache(maxsize=8)
def flow_of(case: Case) -> Flow:
    """Return the flow along a case's own path, kept with its score."""
    return Flow(case)


@lru_cache(maxsize=8)
def flows(case: Case) -> list[Flow]:
    """Return flows over the whole of a case's time, from its initial state and from others as near as need be."""
    rng, found = np.random.default_rng(3), [_flow(case, case.problem.z0)]
    distance = 0.3
    while len(found) < POINTS:
        try:
            found.append(_flow(case, case.problem.z0 + distance * rng.normal(size=case.D)))
        except ValueError:  # from there, the path runs away to infinity
            distance /= 2
    return found


def _flow(case: Case, start: Array) -> Flow:
    P = case.problem
    problem = replace(P, z0=start, ts=P.ts[[0, -1]], targets=P.targets[[0, -1]], observed=np.ones(2, bool))
    moved = Case(problem)
    moved.__dict__["path"] = make_path(problem)
    return Flow(moved)
