"""Butcher tableaus of explicit Runge-Kutta methods: frozen, each with its reference, each checked before it is used.

One step of size h from (t, z) evaluates the slopes ``k_i = f(t + c_i h, z + h sum_j A_ij k_j)`` and returns
``z + h sum_i b_i k_i``. The embedded weights b_hat give a second result of lower order; the difference of the two
estimates the error. See Hairer, Norsett & Wanner, Solving Ordinary Differential Equations I (1993), chapter II.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from nodeedu.order_conditions import ROUND_OFF, missed_condition, notation, tree_order
from nodeedu.tableau_constants import CONSTANTS

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Tableau:
    """An explicit Runge-Kutta method with s stages; construction raises ValueError if its constants do not agree.

    Parameters
    ----------
    name : str
        What `get` calls it.
    order : int
        Order of the weights b.
    A : array (s, s)
        Strictly lower triangular. A method whose last stage is the first of the next step (FSAL) includes that stage.
    b : array (s,)
        Weights.
    c : array (s,)
        Nodes, the row sums of A.
    reference : str
        Where the constants were published.
    b_hat : array (s,), optional
        Embedded *weights* (not the weights ``b - b_hat`` of the error), None for a method of fixed step size.
    embedded_order : int, optional
        Order of b_hat.
    fsal : bool
        Whether the last row of A equals b and the last node is 1.
    interpolant : array (s, m), optional
        Dense output, ``z(t + theta h) = z + h sum_i k_i sum_{j<m} interpolant[i, j] theta**(j + 1)`` for
        0 <= theta <= 1. None where the stages give none; cubic Hermite interpolation then needs the slope at the end.
    interpolant_order : int, optional
        Order of the dense output at every theta.

    Raises
    ------
    ValueError
        If a shape is wrong, A is not strictly lower triangular, its rows do not sum to c, or one of b, b_hat and the
        interpolant is not exactly of the order claimed for it.
    """

    name: str
    order: int
    A: Array
    b: Array
    c: Array
    reference: str
    b_hat: Array | None = None
    embedded_order: int | None = None
    fsal: bool = False
    interpolant: Array | None = None
    interpolant_order: int | None = None

    def __post_init__(self) -> None:
        for field in ("A", "b", "c", "b_hat", "interpolant"):
            if (value := getattr(self, field)) is not None:
                array = np.array(value, dtype=np.float64)
                array.flags.writeable = False
                object.__setattr__(self, field, array)
        self._check_structure()
        self._check_order("b", self.b, self.order)
        self._check_order("b_hat", self.b_hat, self.embedded_order)
        self._check_order("the interpolant", self.interpolant, self.interpolant_order)

    @property
    def stages(self) -> int:
        """Number of stages s, the FSAL stage included."""
        return len(self.b)

    def _require(self, holds: bool | np.bool_, complaint: str) -> None:
        if not holds:
            raise ValueError(f"tableau {self.name!r}: {complaint}")

    def _require_equal(self, got: Array, expected: Array, size: Array, what: str) -> None:
        """Compare sums whose terms have absolute values that add up to `size`; `what` is a template for the message."""
        for i in np.flatnonzero(~(abs(got - expected) <= ROUND_OFF * (size + abs(expected)))):
            self._require(False, what.format(i=i, got=float(got[i]), expected=float(expected[i])))

    def _check_structure(self) -> None:
        s = self.stages
        for field, array, shape in (("A", self.A, (s, s)), ("c", self.c, (s,)), ("b_hat", self.b_hat, (s,))):
            self._require(array is None or array.shape == shape, f"{field} must have shape {shape}")
        self._require(not np.any(np.triu(self.A)), "A must be strictly lower triangular, as the method is explicit")
        size = abs(self.A).sum(axis=1)
        self._require_equal(self.A.sum(axis=1), self.c, size, "row {i} of A sums to {got}, but c[{i}] is {expected}")
        if self.fsal:
            same = np.array_equal(self.A[-1], self.b) and self.c[-1] == 1.0
            self._require(same, "fsal needs the last row of A to equal b, and the last node to be 1")
        if self.interpolant is not None:
            end, size = self.interpolant.sum(axis=1), abs(self.interpolant).sum(axis=1)
            self._require_equal(end, self.b, size, "the interpolant ends with weight {got} of k[{i}], not {expected}")

    def _check_order(self, what: str, weights: Array | None, claimed: int | None) -> None:
        self._require((weights is None) == (claimed is None), f"{what} and its order must be given together")
        if weights is None or claimed is None:
            return
        # One order beyond the claim: b given as b_hat would pass for less than it is, and estimate every error as zero.
        missed = missed_condition(self.A, weights, highest=claimed + 1)
        order = claimed + 1 if missed is None else tree_order(missed) - 1
        because = "" if missed is None else f", as the order condition of the tree {notation(missed)} is missed"
        self._require(order == claimed, f"{what} is claimed to have order {claimed}, but has order {order}{because}")


def names() -> tuple[str, ...]:
    """Return the names that `get` knows, simplest method first."""
    return tuple(CONSTANTS)


@cache
def get(name: str) -> Tableau:
    """Return the tableau of a method; it is checked when first asked for.

    Parameters
    ----------
    name : str
        One of `names()`.

    Returns
    -------
    Tableau
        The same object each time.

    Raises
    ------
    ValueError
        If no tableau has this name.
    """
    if name not in CONSTANTS:
        raise ValueError(f"unknown tableau {name!r}: expected one of {', '.join(names())}")
    constants = CONSTANTS[name]
    return Tableau(name, **(constants() if callable(constants) else constants))
