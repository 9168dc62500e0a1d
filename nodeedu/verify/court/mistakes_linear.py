"""Mistakes 49-51 and 54: the adjoint trick for linear systems, and the Lagrange multiplier.

For ``A B = C`` and a row u, ``u B = v C`` with ``A' v = u``: one solve, whatever the number of columns of C.

For the loss L(z(t1)) written as an integral, L(z0) + integral of l = L_z f, the multiplier obeys
``m' = l_z - m J``, ``m(t1) = 0``, and ``dL/dtheta = integral of (L_z - m) f_theta``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .case import Case
from .mistake import Mistake
from .sweep import sweep

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class System:
    """A linear system ``A B = C`` and a row u.

    Parameters
    ----------
    A, C : array (n, n)
    u : array (n,)
    """

    A: Array
    C: Array
    u: Array


def systems() -> list[System]:
    """Return random systems of several sizes, none of them symmetric."""
    rng = np.random.default_rng(5)
    shapes = [(n, n) for n in (2, 3, 5)]
    return [System(rng.normal(size=s) + 2 * np.eye(s[0]), rng.normal(size=s), rng.normal(size=s[0])) for s in shapes]


def loss_for_running_loss(c: Case) -> Array:
    """Return dL/dtheta (P,) by a multiplier whose equation is ``m' = L_z - m J``."""
    from scipy.integrate import solve_ivp

    P, path, (t0, t1) = c.problem, c.path, c.ends

    def rhs(t: float, y: Array) -> Array:
        z, m = path.at(t), y[: c.D]
        L_z = gradient_at(c, z)
        return np.concatenate([L_z - P.vjp(t, z, m)[1], P.vjp(t, z, L_z - m)[2]])

    y = solve_ivp(rhs, (t1, t0), np.zeros(c.D + len(P.p)), "DOP853", rtol=1e-8, atol=1e-10).y[:, -1]
    return -y[c.D :]


def gradient_at(c: Case, z: Array) -> Array:
    """Return the gradient of the last loss at any state (D,)."""
    zs = c.path.zs.copy()
    zs[-1] = z
    return c.cotangents_of(zs)[-1]


def right_lagrange(c: Case) -> Array:
    """Return the right dL/dtheta for the loss at the last time alone."""
    g = np.zeros_like(c.g)
    g[-1] = c.g[-1]
    return sweep(c, g=g).parts.sum(axis=0)


# fmt: off
MISTAKES = (
    Mistake(49, "A v = u",
            "The system is solved with A; right is A' v = u.", {
                "linear_adjoint": (lambda s: np.linalg.solve(s.A, s.u) @ s.C,)},
            hidden_by="a symmetric matrix"),
    Mistake(50, "u C A^-1",
            "The product is taken in the wrong order, u C A^-1; right is u A^-1 C.", {
                "linear_adjoint": (lambda s: s.u @ s.C @ np.linalg.inv(s.A),)}),
    Mistake(51, "multiplier that ends at dL/dz",
            "The multiplier starts at m(t1) = L_z, so that dL/dtheta is zero whatever the field; right is m(t1) = 0.", {
                "lagrange": (lambda c: 0 * c.problem.p,)},
            found="notes on the adjoint by Lagrange multipliers that do not say at which end m is zero"),
    Mistake(54, "the loss for the running loss",
            "The multiplier's equation has L_z; right is l_z, with the running loss l = L_z f.", {
                "lagrange": (loss_for_running_loss,)},
            found="the same notes, which print m' = L_z - m J"),
)
# fmt: on
