r"""Order of a Runge-Kutta method whose nodes need not be the row sums of A: rooted trees with two kinds of leaves.

A problem ``z' = f(t, z)`` is the autonomous one of (t, z) with ``t' = 1``. In its trees a leaf is either a derivative
of f in the direction of f, which a stage replaces by the row sum ``sum_j A_ij``, or a derivative in t, which it
replaces by ``c_i``. The order conditions ``sum_i b_i Phi_i(tree) = 1 / gamma(tree)`` must hold for every choice of
leaves; they are those of `nodeedu.order_conditions` if and only if c is the row sums of A. Otherwise a method may have
one order where f does not depend on t and a lower one where it does.

Leaves in t are written ``c``, all other vertices as in `nodeedu.order_conditions`: ``[c]`` is ``sum_i b_i c_i = 1/2``,
``[t]`` is ``sum_ij b_i A_ij = 1/2``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from itertools import combinations_with_replacement, product
from math import factorial, hypot
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...order_conditions import ROUND_OFF, rooted_trees

Array = NDArray[Any]
TimedTree = Any  # "c", or a tuple of TimedTrees
LEAF_IN_TIME = "c"
RANDOM_THETAS = tuple(float(theta) for theta in np.random.default_rng(0).uniform(0.05, 0.95, 5))


@dataclass(frozen=True)
class Condition:
    """An order condition, and by how much some weights miss it.

    Parameters
    ----------
    tree : str
        In brackets.
    order : int
        Number of vertices.
    residual : float
        ``sum_i b_i Phi_i - 1 / gamma``.
    coefficient : float
        The residual divided by the symmetry of the tree: what multiplies ``h**order`` and the tree's derivative of f
        in the error of one step.
    size : float
        Sum of the absolute values of the terms of the residual.
    """

    tree: str
    order: int
    residual: float
    coefficient: float
    size: float

    @property
    def holds(self) -> bool:
        """Whether the residual is round-off."""
        return bool(abs(self.residual) <= ROUND_OFF * self.size)


@dataclass(frozen=True)
class Order:
    """What the order conditions say of some weights.

    Parameters
    ----------
    autonomous, non_autonomous : int
        Order where f does not depend on t, and where it does; `highest` stands for this or more.
    highest : int
        Number of vertices of the largest trees that were looked at.
    conditions : tuple of tuples of Condition
        All conditions of problems that do not depend on t, by their order, from 1 on.
    missed : tuple of Condition
        Those of lowest order that fail, leaves in t included.
    """

    autonomous: int
    non_autonomous: int
    highest: int
    conditions: tuple[tuple[Condition, ...], ...]
    missed: tuple[Condition, ...]

    @property
    def principal_error(self) -> float | None:
        """Euclidean norm of the coefficients of the first power of h that is not met; None beyond `highest`.

        Prince & Dormand, J. Comput. Appl. Math. 7 (1981) 67, of autonomous problems.
        """
        if self.autonomous == self.highest:
            return None
        return hypot(*(each.coefficient for each in self.conditions[self.autonomous]))


def order_of(A: Array, c: Array, weights: Array, highest: int = 8) -> Order:
    """Evaluate all order conditions of a Runge-Kutta method.

    Parameters
    ----------
    A : array (s, s)
        Runge-Kutta matrix.
    c : array (s,)
        Nodes, of any value.
    weights : array (s,)
        Weights b or b_hat.
    highest : int
        Largest number of vertices.

    Returns
    -------
    Order
    """
    residuals = Residuals(A, c)
    plain = tuple(tuple(residuals.at(weights, rooted_trees(n))) for n in range(1, highest + 1))
    autonomous, missed = _first_miss(plain)
    if row_sum_error(A, c) == 0.0:
        return Order(autonomous, autonomous, highest, plain, missed)
    timed = (tuple(residuals.at(weights, timed_trees(n))) for n in range(1, autonomous + 1))
    non_autonomous, missed_in_time = _first_miss(timed)
    return Order(autonomous, non_autonomous, highest, plain, missed_in_time or missed)


def dense_order(A: Array, c: Array, interpolant: Array, highest: int = 8) -> int:
    """Return the order of a dense output on problems that depend on t, at random points of the step.

    At theta the weights are ``b_i(theta) = sum_j interpolant[i, j] theta**(j + 1)``, and the condition of a tree is
    ``sum_i b_i(theta) Phi_i = theta**order / gamma``. `nodeedu.order_conditions.attained_order` compares the same
    polynomials power by power, which is a second route where c is the row sums of A.

    Parameters
    ----------
    A, c : array
        As in `order_of`.
    interpolant : array (s, m)
        Coefficients.
    highest : int
        Largest number of vertices.

    Returns
    -------
    int
    """
    residuals, powers = Residuals(A, c), np.arange(1, interpolant.shape[1] + 1)
    trees = rooted_trees if row_sum_error(A, c) == 0.0 else timed_trees
    order = highest
    for theta in RANDOM_THETAS:
        # Size enters beside weights: the terms of b(theta) may cancel each other.
        weights, size = interpolant @ theta**powers, abs(interpolant) @ theta**powers
        order = min(order, _first_miss(residuals.at(weights, trees(n), theta, size) for n in range(1, highest + 1))[0])
    return order


def row_sum_error(A: Array, c: Array) -> float:
    """Return the largest difference between a node and its row sum, 0 where all are round-off."""
    difference = abs(A.sum(axis=1) - c)
    return float(difference[difference > ROUND_OFF * (abs(A).sum(axis=1) + abs(c))].max(initial=0.0))


def simplifying_assumptions(A: Array, b: Array, c: Array, highest: int = 12) -> tuple[int, int, int]:
    """Return the largest p, q, r such that B(p), C(q), D(r) hold; the order is at least min(p, q + r + 1, 2q + 2).

    ::

        B(p)  sum_i b_i c_i**(k-1)       = 1 / k                    k = 1, ..., p   the weights integrate polynomials
        C(q)  sum_j A_ij c_j**(k-1)      = c_i**k / k               k = 1, ..., q   so do the stages: the stage order
        D(r)  sum_i b_i c_i**(k-1) A_ij  = b_j (1 - c_j**k) / k     k = 1, ..., r

    (Butcher 1964; Hairer, Norsett & Wanner I, theorem II.7.4.)

    Parameters
    ----------
    A, b, c : array
        Of any Runge-Kutta method.
    highest : int
        Where to stop looking.

    Returns
    -------
    p, q, r : int
    """

    def largest(sides: Callable[[int, Array, Array, Array], tuple[Any, Any]]) -> int:
        for k in range(1, highest + 1):
            left, right = sides(k, A, b, c)
            size = np.add(*sides(k, abs(A), abs(b), abs(c)))
            if not np.all(abs(left - right) <= ROUND_OFF * size):
                return k - 1
        return highest

    p = largest(lambda k, _, b, c: (b @ c ** (k - 1), 1 / k))
    q = largest(lambda k, A, _, c: (A @ c ** (k - 1), c**k / k))
    # The size of b_j (1 - c_j**k) is b_j (1 + c_j**k): a part of it is lost to cancellation near c_j = 1.
    r = largest(lambda k, A, b, c: (k * (b * c ** (k - 1)) @ A + b * c**k, b))
    return p, q, r


@cache
def timed_trees(order: int) -> tuple[TimedTree, ...]:
    """List every rooted tree with a given number of vertices and each choice of its leaves; the root is not a leaf."""
    found: set[TimedTree] = set()
    for tree in rooted_trees(order):
        found.update(_choices(tree))
    return tuple(sorted(found, key=repr))


@cache
def _choices(tree: TimedTree) -> tuple[TimedTree, ...]:
    """List the trees that a choice of leaves makes of a plain one."""
    groups = []
    for branch in dict.fromkeys(tree):
        options = ((), LEAF_IN_TIME) if branch == () else _choices(branch)
        groups.append(tuple(combinations_with_replacement(options, tree.count(branch))))
    return tuple(tuple(branch for group in chosen for branch in group) for chosen in product(*groups))


def timed_notation(tree: TimedTree) -> str:
    """Write a tree in brackets, a leaf in t as ``c``."""
    if tree == LEAF_IN_TIME:
        return LEAF_IN_TIME
    return "[" + " ".join(map(timed_notation, tree)) + "]" if tree else "t"


class Residuals:
    """The order conditions of one matrix A with nodes c, each elementary weight computed once.

    Parameters
    ----------
    A, c : array
        As in `order_of`.
    """

    def __init__(self, A: Array, c: Array) -> None:
        self._phi = _elementary_weights(A, c)
        self._phi_size = _elementary_weights(abs(A), abs(c))

    def at(
        self, weights: Array, trees: Iterable[TimedTree], theta: float = 1.0, size: Array | None = None
    ) -> tuple[Condition, ...]:
        """Evaluate the conditions of some trees for the weights at the fraction theta of a step.

        Parameters
        ----------
        weights : array (s,)
            b(theta).
        trees : iterable of trees
        theta : float
        size : array (s,), optional
            Bounds of the terms that add up to the weights; by default the weights themselves.

        Returns
        -------
        tuple of Condition
        """
        conditions = []
        for tree in trees:
            order, gamma, symmetry = _numbers(tree)
            residual = float(weights @ self._phi(tree)) - theta**order / gamma
            bound = float((abs(weights) if size is None else size) @ self._phi_size(tree))
            conditions.append(Condition(timed_notation(tree), order, residual, residual / symmetry, bound))
        return tuple(conditions)


def _elementary_weights(A: Array, c: Array) -> Callable[[TimedTree], Array]:
    @cache
    def phi(tree: TimedTree) -> Array:
        value = np.ones(len(c))
        for branch in tree:
            value = value * (c if branch == LEAF_IN_TIME else A @ phi(branch))
        return value

    return phi


@cache
def _numbers(tree: TimedTree) -> tuple[int, int, int]:
    """Return the order, the density gamma and the symmetry of a tree; a leaf counts as a vertex of either kind."""
    if tree == LEAF_IN_TIME:
        return 1, 1, 1
    order, gamma, symmetry = 1, 1, 1
    for branch in dict.fromkeys(tree):
        copies = tree.count(branch)
        branch_order, branch_gamma, branch_symmetry = _numbers(branch)
        order += copies * branch_order
        gamma *= branch_gamma**copies
        symmetry *= branch_symmetry**copies * factorial(copies)
    return order, gamma * order, symmetry


def _first_miss(conditions: Iterable[tuple[Condition, ...]]) -> tuple[int, tuple[Condition, ...]]:
    """Return the order up to which all hold, and those of the next order that do not."""
    order = 0
    for group in conditions:
        missed = tuple(each for each in group if not each.holds)
        if missed:
            return order, missed
        order += 1
    return order, ()
