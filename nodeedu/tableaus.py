"""Butcher tableaus of explicit Runge-Kutta methods: frozen, each with its reference, each checked before it is used.

One step of size h from (t, z) evaluates the slopes ``k_i = f(t + c_i h, z + h sum_j A_ij k_j)`` and returns
``z + h sum_i b_i k_i``. The embedded weights b_hat give a second result of lower order; the difference of the two
estimates the error. See Hairer, Norsett & Wanner, Solving Ordinary Differential Equations I (1993), chapter II.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nodeedu.order_conditions import ROUND_OFF, missed_condition, notation, tree_order

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
    return tuple(_CONSTANTS)


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
    if name not in _CONSTANTS:
        raise ValueError(f"unknown tableau {name!r}: expected one of {', '.join(names())}")
    return Tableau(name, **_CONSTANTS[name])


def _lower(*rows: ArrayLike) -> Array:
    """Fill a strictly lower triangular matrix from its rows below the first."""
    A = np.zeros((len(rows) + 1, len(rows) + 1))
    for i, row in enumerate(rows):
        A[i + 1, : i + 1] = row
    return A


def _hermite(b: Array, bump: ArrayLike | None) -> Array:
    """Make the dense output of an FSAL method, from the values and slopes at both ends of the step.

    With ``dz = h sum_i b_i k_i``, the cubic Hermite polynomial through them is ``z + theta dz + theta (1 - theta)
    ((1 - theta) (h k_1 - dz) - theta (h k_s - dz))``. A multiple of ``theta**2 (1 - theta)**2 h sum_i bump_i k_i``
    changes neither values nor slopes at the ends (Hairer, Norsett & Wanner I, section II.6).
    """
    first, last = np.eye(len(b))[[0, -1]]
    cubic = np.stack([first, 3 * b - 2 * first - last, first + last - 2 * b], axis=1)
    if bump is None:
        return cubic
    return np.pad(cubic, [(0, 0), (0, 1)]) + np.multiply.outer(np.asarray(bump), [0, 1, -2, 1])


def _fsal(*rows: ArrayLike, bump: ArrayLike | None = None, **others: Any) -> dict[str, Any]:
    """Complete the constants of a method whose last stage is the first of its next step: b is the last row of A."""
    A = _lower(*rows)
    return {"A": A, "b": A[-1], "fsal": True, "interpolant": _hermite(A[-1], bump)} | others


# fmt: off
_CONSTANTS: dict[str, dict[str, Any]] = {
    "euler": dict(
        order=1, A=_lower(), b=[1], c=[0],
        reference="Euler, Institutionum calculi integralis (1768)",
    ),
    "midpoint": dict(
        order=2, A=_lower([1/2]), b=[0, 1], c=[0, 1/2],
        reference="Runge, Math. Ann. 46 (1895) 167",
    ),
    "heun": dict(
        order=2, A=_lower([1]), b=[1/2, 1/2], c=[0, 1],
        reference="Heun, Z. Math. Phys. 45 (1900) 23",
    ),
    "rk4": dict(
        order=4, A=_lower([1/2], [0, 1/2], [0, 0, 1]), b=[1/6, 1/3, 1/3, 1/6], c=[0, 1/2, 1/2, 1],
        reference="Kutta, Z. Math. Phys. 46 (1901) 435",
    ),
    "bosh3": _fsal(
        [1/2],
        [0, 3/4],
        [2/9, 1/3, 4/9],
        order=3, c=[0, 1/2, 3/4, 1],
        b_hat=[7/24, 1/4, 1/3, 1/8], embedded_order=2,
        interpolant_order=3,
        reference="Bogacki & Shampine, Appl. Math. Lett. 2 (1989) 321",
    ),
    "dopri5": _fsal(
        [1/5],
        [3/40, 9/40],
        [44/45, -56/15, 32/9],
        [19372/6561, -25360/2187, 64448/6561, -212/729],
        [9017/3168, -355/33, 46732/5247, 49/176, -5103/18656],
        [35/384, 0, 500/1113, 125/192, -2187/6784, 11/84],
        order=5, c=[0, 1/5, 3/10, 4/5, 8/9, 1, 1],
        b_hat=[5179/57600, 0, 7571/16695, 393/640, -92097/339200, 187/2100, 1/40], embedded_order=4,
        bump=[
            -12715105075/11282082432, 0, 87487479700/32700410799, -10690763975/1880347072,
            701980252875/199316789632, -1453857185/822651844, 69997945/29380423,
        ],
        interpolant_order=4,
        reference="Dormand & Prince, J. Comput. Appl. Math. 6 (1980) 19; "
                  "dense output: Shampine, Math. Comp. 46 (1986) 135, as in Hairer, Norsett & Wanner I, section II.6",
    ),
    "tsit5": _fsal(
        [0.161],
        [-0.008480655492356989, 0.335480655492357],
        [2.897153057105493, -6.359448489975075, 4.362295432869581],
        [5.325864828439257, -11.748883564062828, 7.495539342889836, -0.09249506636175525],
        [5.86145544294642, -12.92096931784711, 8.159367898576159, -0.071584973281401, -0.028269050394068383],
        [0.09646076681806523, 0.01, 0.4798896504144996, 1.379008574103742, -3.290069515436081, 2.324710524099774],
        order=5, c=[0, 0.161, 0.327, 0.9, 0.9800255409045097, 1, 1],
        # The paper prints b - b_hat, with the minus of its last entry, -1/66, lost; the order conditions need it.
        b_hat=[
            0.09468075576583946, 0.009183565540343254, 0.4877705284247616, 1.234297566930479,
            -2.7077123499835256, 1.866628418170587, 1/66,
        ],
        embedded_order=4,
        interpolant=[
            [1, -2.763706197274826, 2.9132554618219126, -1.0530884977290216],
            [0, 0.1317, -0.2234, 0.1017],
            [0, 3.9302962368947516, -5.941033872131505, 2.490627285651253],
            [0, -12.411077166933676, 30.33818863028232, -16.548102889244902],
            [0, 37.50931341651104, -88.1789048947664, 47.37952196281928],
            [0, -27.896526289197286, 65.09189467479366, -34.87065786149661],
            [0, 1.5, -4, 2.5],
        ],
        interpolant_order=4,
        reference="Tsitouras, Comput. Math. Appl. 62 (2011) 770",
    ),
}
# fmt: on
