r"""Order conditions of Runge-Kutta methods, by rooted trees.

Expand both the exact solution and a Runge-Kutta step in powers of h. Each product of derivatives of f that occurs is
drawn as a rooted tree, and the two expansions agree up to h**p if and only if

    sum_i b_i Phi_i(tree) = 1 / gamma(tree)        for every rooted tree with at most p vertices

(Butcher 1963; Hairer, Norsett & Wanner, Solving Ordinary Differential Equations I, theorem II.2.13). A tree is written
here as the sorted tuple of its subtrees, so ``()`` is a single vertex and ``((),)`` is one vertex above another.
There are 1, 1, 2, 4, 9, 20, 48, 115 trees with 1, ..., 8 vertices.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Tree = tuple[Any, ...]  # of Trees
Array = NDArray[np.float64]

# A sum of constants that were rounded to double precision is exact when it is met to this part of the sum of its
# terms' absolute values. The published methods stay below 1 unit of round-off.
ROUND_OFF = 16 * np.finfo(np.float64).eps


@cache
def rooted_trees(order: int) -> tuple[Tree, ...]:
    """List every rooted tree with a given number of vertices.

    Parameters
    ----------
    order : int
        Number of vertices, at least 1.

    Returns
    -------
    tuple of trees
        Each tree once, as the sorted tuple of its subtrees.
    """
    return tuple(_forests(order - 1, order - 1))


def _forests(vertices: int, largest: int) -> list[Tree]:
    """List the multisets of trees with `vertices` vertices in all and at most `largest` in each."""
    if vertices == 0:
        return [()]
    forests: set[Tree] = set()
    for size in range(1, min(vertices, largest) + 1):
        for rest in _forests(vertices - size, size):
            forests.update(tuple(sorted((tree, *rest))) for tree in rooted_trees(size))
    return sorted(forests)


def tree_order(tree: Tree) -> int:
    """Count the vertices of a tree."""
    return 1 + sum(tree_order(subtree) for subtree in tree)


def density(tree: Tree) -> int:
    """Return gamma(tree): the product, over all vertices, of the number of vertices at and above it."""
    product = tree_order(tree)
    for subtree in tree:
        product *= density(subtree)
    return product


def stage_weights(tree: Tree, A: ArrayLike) -> Array:
    """Return Phi_i(tree), which is ``prod_k sum_j A_ij Phi_j(subtree_k)``, for every stage i.

    Parameters
    ----------
    tree : tuple
        A rooted tree.
    A : array (s, s)
        Runge-Kutta matrix.

    Returns
    -------
    array (s,)
    """
    A = np.asarray(A, dtype=np.float64)
    product = np.ones(len(A))
    for subtree in tree:
        product = product * (A @ stage_weights(subtree, A))
    return product


def missed_condition(A: ArrayLike, weights: ArrayLike, highest: int = 8) -> Tree | None:
    """Find the first order condition that some weights miss.

    For the weights b(theta) of a dense output the condition is ``b(theta) . Phi(tree) = theta**|tree| / gamma(tree)``.
    Both sides are polynomials in theta and are compared coefficient by coefficient, so that it holds at every theta.

    Parameters
    ----------
    A : array (s, s)
        Runge-Kutta matrix.
    weights : array (s,) or (s, m)
        Weights b, or the coefficients of a dense output, ``b_i(theta) = sum_j weights[i, j] theta**(j + 1)``.
    highest : int
        Check all trees with at most this many vertices.

    Returns
    -------
    tree or None
        The tree of the condition; None if all hold.
    """
    A, weights = np.asarray(A, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    if weights.ndim == 2:  # the powers that a dense output lacks, so that it can be seen to lack them
        weights = np.pad(weights, [(0, 0), (0, max(0, highest - weights.shape[1]))])
    for order in range(1, highest + 1):
        power = np.ones(()) if weights.ndim == 1 else np.arange(1, weights.shape[1] + 1) == order
        for tree in rooted_trees(order):
            residual = stage_weights(tree, A) @ weights - power / density(tree)
            # Rounded coefficients move each term by a few units of its own size, however much the terms cancel.
            size = stage_weights(tree, abs(A)) @ abs(weights)
            if not np.all(abs(residual) <= ROUND_OFF * size):
                return tree
    return None


def attained_order(A: ArrayLike, weights: ArrayLike, highest: int = 8) -> int:
    """Return the order of a Runge-Kutta method, or of its dense output, according to the order conditions.

    Parameters
    ----------
    A : array (s, s)
        Runge-Kutta matrix.
    weights : array (s,) or (s, m)
        As in `missed_condition`.
    highest : int
        Where to stop looking.

    Returns
    -------
    int
        The largest p, 0 <= p <= highest, such that all conditions up to order p hold.
    """
    tree = missed_condition(A, weights, highest)
    return highest if tree is None else tree_order(tree) - 1


def notation(tree: Tree) -> str:
    """Write a tree in Butcher's brackets: ``t`` for a single vertex, ``[t t]`` for a vertex that carries two."""
    return "[" + " ".join(notation(subtree) for subtree in tree) + "]" if tree else "t"
