r"""(j) Hutchinson's estimate ``v J v`` of the trace: means and variances, summed over all noise instead of sampled.

``S = (J + J^T)/2``, all that ``v J v`` sees of the Jacobian, is taken in the middle of the path. Of a larger field only
the first 6 components get noise, and "trace" is the sum of theirs: all signs of more would be too many.
"""

from __future__ import annotations

from itertools import product

import numpy as np

from ..problem import Problem
from .equation import Equation
from .paths import Array, ends, integrated, middle, state

SOURCE = "M. F. Hutchinson, Commun. Stat. Simul. Comput. 19 (1990)"
VARIANCE = "H. Avron and S. Toledo, J. ACM 58 (2011)"
LARGEST = 6


def block(P: Problem, t: float, z: Array) -> Array:
    """Return the Jacobian of the components that get noise, by complex steps."""
    return P.J_by_steps(t, z)[:LARGEST, :LARGEST]


def J(P: Problem) -> Array:
    """Return the same in the middle, by the tape."""
    return P.J(middle(P), state(P, middle(P)))[:LARGEST, :LARGEST]


def signs(P: Problem) -> Array:
    """Return all vectors of signs (n, D), each as likely as the others."""
    return _padded(P, list(product((-1.0, 1.0), repeat=min(P.size, LARGEST))))


def normal(P: Problem) -> Array:
    """Return the nodes (n, D) of a rule for normal noise, exact up to the fifth power of each component."""
    return _padded(P, list(product(*[np.polynomial.hermite_e.hermegauss(3)[0]] * min(P.size, LARGEST))))


def weights(P: Problem) -> Array:
    """Return its weights (n,), which add up to one."""
    found = np.array(list(product(*[np.polynomial.hermite_e.hermegauss(3)[1]] * min(P.size, LARGEST)))).prod(axis=1)
    return found / found.sum()


def estimates(P: Problem, noise: Array) -> Array:
    """Return ``v J v`` of every row of noise, in the middle, by complex steps."""
    matrix, v = block(P, middle(P), state(P, middle(P))), noise[:, :LARGEST]
    return np.einsum("ni,ij,nj->n", v, matrix, v)


def variance(values: Array, weights: Array) -> float:
    """Return the variance of values that occur with these probabilities."""
    return float(weights @ (values - weights @ values) ** 2)


def _padded(P: Problem, rows: list[tuple[float, ...]]) -> Array:
    return np.pad(np.array(rows), ((0, 0), (0, P.size - len(rows[0]))))


# fmt: off
EQUATIONS = (
    Equation("j1", r"\mathrm{tr}\, J = \mathrm{E}[v J v], \quad v_i = \pm 1",
             SOURCE, scale=J,
             lhs=lambda P, _: np.trace(block(P, middle(P), state(P, middle(P)))),
             rhs=lambda P, _: np.mean([P.vjp(middle(P), state(P, middle(P)), v)[1] @ v for v in signs(P)])),
    Equation("j2", r"\mathrm{Var}[v J v] = 2 \big(\|S\|^2 - \sum_i S_{ii}^2\big), \quad v_i = \pm 1",
             VARIANCE, scale=lambda P: np.sum(J(P) ** 2),
             lhs=lambda P, _: estimates(P, signs(P)).var(),
             rhs=lambda P, _: (lambda S: 2 * (np.sum(S**2) - np.sum(np.diag(S) ** 2)))((J(P) + J(P).T) / 2)),
    Equation("j3", r"\mathrm{tr}\, J = \mathrm{E}[v J v], \quad v_i \sim N(0, 1)",
             SOURCE + ", with normal noise", scale=J,
             lhs=lambda P, _: np.trace(block(P, middle(P), state(P, middle(P)))),
             rhs=lambda P, _: sum(weight * P.vjp(middle(P), state(P, middle(P)), v)[1] @ v
                                  for v, weight in zip(normal(P), weights(P), strict=True))),
    Equation("j4", r"\mathrm{Var}[v J v] = 2 \|S\|^2, \quad v_i \sim N(0, 1)",
             VARIANCE,
             lhs=lambda P, _: variance(estimates(P, normal(P)), weights(P)),
             rhs=lambda P, _: (lambda S: 2 * np.sum(S**2))((J(P) + J(P).T) / 2)),
    Equation("j5", r"\int_{t_0}^{t_1} \mathrm{tr}\, J\, dt = \mathrm{E}\Big[\int_{t_0}^{t_1} v J v\, dt\Big]",
             "arXiv 1810.01367, eq. (8): one draw for the whole path", scale=lambda P: 1.0,
             lhs=lambda P, _: integrated(P, lambda t, z: np.trace(block(P, t, z)), ends(P)[0], ends(P)[1]),
             rhs=lambda P, _: np.mean(integrated(
                 P, lambda t, z: [P.vjp(t, z, v)[1] @ v for v in signs(P)], ends(P)[0], ends(P)[1]))),
)
# fmt: on
