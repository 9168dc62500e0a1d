"""Collocation methods, the implicit Runge-Kutta methods of this package: all of a method follows from its nodes.

The polynomial u of degree s with ``u(t) = z`` whose slope is that of the field at s nodes,

    u'(t + c_i h) = f(t + c_i h, u(t + c_i h)),     i = 1, ..., s,

is the dense output of the step, and ``z1 = u(t + h)``. With l_j the Lagrange polynomials of the nodes this is the
implicit Runge-Kutta method ``A_ij = int_0^c_i l_j``, ``b_j = int_0^1 l_j`` (Hairer, Norsett & Wanner, Solving Ordinary
Differential Equations I, theorem II.7.7). Its order is s, and up to 2 s at the end of the step, for Gauss' nodes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nodeedu.order_conditions import missed_condition, notation

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ImplicitTableau:
    """A collocation method with s stages; construction raises ValueError if it has not the order that is claimed.

    Parameters
    ----------
    name : str
        What `get` calls it.
    order : int
        Order of the weights b.
    c : array (s,)
        Nodes, different and increasing.
    reference : str
        Where the method was published.
    """

    name: str
    order: int
    c: Array
    reference: str

    # What an explicit tableau may have and this has not: weights of a second result, a last slope that is the first.
    b_hat = None
    embedded_order = None
    fsal = False

    def __post_init__(self) -> None:
        c = np.array(self.c, np.float64)
        c.flags.writeable = False
        object.__setattr__(self, "c", c)
        missed = missed_condition(self.A, self.b, highest=self.order)
        if missed is not None:
            raise ValueError(f"tableau {self.name!r}: misses the order condition of the tree {notation(missed)}")
        if missed_condition(self.A, self.b, highest=self.order + 1) is None:
            raise ValueError(f"tableau {self.name!r}: has an order higher than the {self.order} that is claimed")

    @property
    def stages(self) -> int:
        """Number of stages s."""
        return len(self.c)

    @cached_property
    def interpolant(self) -> Array:
        """Dense output ``z(t + theta h) = z + h sum_i k_i sum_j interpolant[i, j] theta**(j + 1)``, shape (s, s).

        Row i is the integral of the Lagrange polynomial of node i, ``sum_i c_i**k l_i = x**k``.
        """
        powers = np.arange(self.stages)
        lagrange = np.linalg.inv(self.c[None, :] ** powers[:, None])
        return lagrange / (powers + 1)

    @property
    def interpolant_order(self) -> int:
        """Order of the dense output at every theta: s."""
        return self.stages

    @cached_property
    def A(self) -> Array:
        """Runge-Kutta matrix (s, s)."""
        return self._weights(self.c).T

    @cached_property
    def b(self) -> Array:
        """Weights (s,)."""
        return self._weights(np.ones(1))[:, 0]

    @property
    def explicit_stages(self) -> int:
        """1 if the first node is 0, so that the first slope is that at the start of the step, else 0."""
        return int(self.c[0] == 0.0)

    def _weights(self, theta: Array) -> Array:
        """Weights (s, n) of the slopes at theta (n,)."""
        return self.interpolant @ theta ** np.arange(1, self.stages + 1)[:, None]


# fmt: off
_NODES: dict[str, dict[str, Any]] = {
    "implicit_euler": dict(
        order=1, c=[1],
        reference="Radau IIA with one stage: Hairer & Wanner II, section IV.3",
    ),
    "trapezoid": dict(
        order=2, c=[0, 1],
        reference="Crank & Nicolson, Math. Proc. Camb. Phil. Soc. 43 (1947) 50; Lobatto IIIA with two stages",
    ),
    "implicit_midpoint": dict(
        order=2, c=[1/2],
        reference="Gauss with one stage: Hairer, Norsett & Wanner I, section II.7",
    ),
    "gauss_legendre4": dict(
        order=4, c=[1/2 - sqrt(3)/6, 1/2 + sqrt(3)/6],
        reference="Hammer & Hollingsworth, MTAC 9 (1955) 92; Gauss with two stages: Butcher, Math. Comp. 18 (1964) 50",
    ),
    "radau5": dict(
        order=5, c=[(4 - sqrt(6))/10, (4 + sqrt(6))/10, 1],
        reference="Radau IIA with three stages: Ehle (1969), as in Hairer & Wanner II, sections IV.5 and IV.8",
    ),
}
# fmt: on


def names() -> tuple[str, ...]:
    """Return the names that `get` knows, simplest method first."""
    return tuple(_NODES)


@cache
def get(name: str) -> ImplicitTableau:
    """Return an implicit method; it is checked when first asked for.

    Parameters
    ----------
    name : str
        One of `names()`.

    Raises
    ------
    ValueError
        If no implicit method has this name.
    """
    if name not in _NODES:
        raise ValueError(f"unknown implicit method {name!r}: expected one of {', '.join(names())}")
    return ImplicitTableau(name, **_NODES[name])
