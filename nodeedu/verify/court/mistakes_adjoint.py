"""Mistakes 1-4, 7, 9, 10 and 52: wrong equations, at a point.

    a' = -a J,    dL/dtheta = integral of a f_theta from t0 to t1,    a(t_i-) = a(t_i+) + g_i,    (delta z)' = J delta z

For claims of ``adjoint_rhs`` a formula is ``(c, t, z, a) -> a'``; in a claim of ``gradient`` the same mistake is a
sweep with another matrix. A `Where` reads t and z(t) off the path where they should not be read.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .case import Case
from .mistake import Mistake
from .sweep import Sweep, right, sweep

Array = NDArray[Any]
Where = Callable[[Case, float, Array], tuple[float, Array]]


def at_end(c: Case, t: float, z: Array) -> tuple[float, Array]:
    """Look at the end of the path."""
    return c.ends[1], c.path.zs[-1]


def at_last_state(c: Case, t: float, z: Array) -> tuple[float, Array]:
    """Look at the last state, at the right time."""
    return t, c.path.zs[-1]


def forwards(c: Case, t: float, z: Array) -> tuple[float, Array]:
    """Look at the states in the order in which they were stored while a runs backwards."""
    return t, c.path.at(c.mirrored(t))


def forwards_with_time(c: Case, t: float, z: Array) -> tuple[float, Array]:
    """Look at the states and the times in the order in which they were stored."""
    return c.mirrored(t), c.path.at(c.mirrored(t))


def reconstructed_onwards(c: Case, t: float, z: Array) -> tuple[float, Array]:
    """Look at a reconstruction of z with the sign of the forward solve."""
    return t, c.onwards(t)


def rhs(where: Where) -> Callable[[Case, float, Array, Array], Array]:
    """Return ``-a J`` with the Jacobian at the wrong place."""
    return lambda c, t, z, a: -a @ c.problem.J(*where(c, t, z))


def sweep_at(where: Where, theta_too: bool = False) -> Callable[[Case], Sweep]:
    """Return a sweep with the derivatives at the wrong place."""

    def wrong(c: Case) -> Sweep:
        J, f_theta = tabulated(c, where)
        return sweep(c, M=-J, f_theta=f_theta if theta_too else None)

    return wrong


@lru_cache(maxsize=16)
def tabulated(c: Case, where: Where) -> tuple[Array, Array]:
    """Return J and f_theta at the wrong places, for all nodes."""
    P, on_nodes = c.problem, c.path.on_nodes
    return on_nodes(lambda t, z: P.J(*where(c, t, z))), on_nodes(lambda t, z: P.f_theta(*where(c, t, z)))


def transposed(c: Case) -> Array:
    """Return -J' on the nodes."""
    return -c.path.J.transpose(0, 1, 3, 2)


# fmt: off
MISTAKES = (
    Mistake(1, "sign of the adjoint ODE",
            "The adjoint grows by +aJ; right is a' = -aJ.", {
                "adjoint_rhs": (lambda c, t, z, a: a @ c.problem.J(t, z),),
                "gradient": (lambda c: sweep(c, M=c.path.J),)},
            found="lecture slides that print da/dt = a df/dz; others with a(t) = a(t+1) + integral of a df/dz"),
    Mistake(2, "J where J' belongs",
            "The adjoint is multiplied from the wrong side, -J a; right is -a J, that is -J' a for a column.", {
                "adjoint_rhs": (lambda c, t, z, a: -c.problem.J(t, z) @ a,),
                "gradient": (lambda c: sweep(c, M=transposed(c)),)},
            found="notes that print -a df/dz without saying whether a is a row or a column",
            hidden_by="a symmetric Jacobian"),
    Mistake(3, "frozen Jacobian",
            "J is taken at the end of the path throughout; right is J(t, z(t)), at the state of the same time.", {
                "adjoint_rhs": (rhs(at_end), rhs(at_last_state)),
                "gradient": (sweep_at(at_end), sweep_at(at_last_state),
                             sweep_at(at_end, theta_too=True), sweep_at(at_last_state, theta_too=True))},
            hidden_by="a field that is linear with constant coefficients"),
    Mistake(4, "z is not reversed",
            "While a runs from t1 back to t0, z runs forwards; right is z(t) at the same t.", {
                "adjoint_rhs": (rhs(forwards), rhs(forwards_with_time), rhs(reconstructed_onwards)),
                "gradient": (sweep_at(forwards, theta_too=True), sweep_at(forwards_with_time, theta_too=True),
                             sweep_at(forwards), sweep_at(forwards_with_time),
                             sweep_at(reconstructed_onwards, theta_too=True))},
            hidden_by="a field that is linear with constant coefficients"),
    Mistake(7, "sign of the parameter gradient",
            "dL/dtheta has the wrong sign; right is the integral of +a f_theta from t0 to t1.", {
                "theta_integrand": (lambda c, t, z, a: -a @ c.problem.f_theta(t, z),),
                "gradient": (lambda c: negated(right(c), theta=True),)},
            found="lecture slides that print the integral of a df/dtheta from t1 to t0, without its minus"),
    Mistake(9, "sign of the jump",
            "The gradient of an observation is subtracted; right is a + g_i.", {
                "jump": (lambda c, a, g: a - g, lambda c, a, g: g - a),
                "gradient": (lambda c: sweep(c, jump=np.subtract, first_jump=np.add),
                             lambda c: sweep(c, jump=np.subtract))},
            hidden_by="a loss at the last time alone"),
    Mistake(10, "= where += belongs",
            "At an observation the adjoint is replaced, a = g_i; right is a + g_i.", {
                "jump": (lambda c, a, g: g,),
                "gradient": (lambda c: sweep(c, jump=lambda a, g: g, first_jump=np.add),
                             lambda c: sweep(c, jump=lambda a, g: g))},
            hidden_by="a loss at the last time alone"),
    Mistake(52, "tangent with J'",
            "The tangent is multiplied by J'; right is (delta z)' = J delta z: the transpose belongs to the adjoint.", {
                "tangent_rhs": (lambda c, t, z, dz: dz @ c.problem.J(t, z),)},
            hidden_by="a symmetric Jacobian"),
)
# fmt: on


def negated(s: Sweep, z0: bool = False, theta: bool = False, ts: bool = False) -> Sweep:
    """Return a sweep with some of its signs turned."""
    sign = {True: -1.0, False: 1.0}
    start = tuple(sign[ts] * value for value in s.start)
    return Sweep(sign[z0] * s.z0, sign[theta] * s.theta, sign[ts] * s.ts, s.plus, s.parts, start)
