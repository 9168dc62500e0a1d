"""The words that the equations are written in: states, tangents and adjoints along a problem's path, kept once found.

t0 and t1 are the ends of the path, z the state on it, g the gradient of the loss at t1 (a row). "By definition" means
by the flow and its derivative, in which no adjoint equation takes part.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..problem import ATOL, RTOL, Problem

Array = NDArray[Any]
NODES = 40
MIDDLE = 0.37  # where on the path a local statement is checked: no special place


def ends(P: Problem) -> tuple[float, float]:
    """Return t0 and t1."""
    return float(P.ts[0]), float(P.ts[-1])


def middle(P: Problem) -> float:
    """Return a time inside the path."""
    t0, t1 = ends(P)
    return t0 + MIDDLE * (t1 - t0)


@lru_cache(maxsize=4096)
def state(P: Problem, t: float) -> Array:
    """Return z(t)."""
    return P.flow(float(P.ts[0]), t, P.z0)


@lru_cache(maxsize=4096)
def tangent(P: Problem, t: float, s: float) -> Array:
    """Return ``Phi = dz(s)/dz(t)`` (D, D) by the variational equation on complex steps."""
    return P.flow_jacobian(t, s, state(P, t))


@lru_cache(maxsize=4096)
def parameter_tangent(P: Problem, t: float, s: float) -> Array:
    """Return ``S = dz(s)/dtheta`` (D, P) of the path that is held fast at t."""
    return P.tangents(t, s, state(P, t))[2]  # not from the path below, which would prove c2 by itself


@lru_cache(maxsize=4096)
def adjoint(P: Problem, t: float) -> Array:
    """Return ``a(t) = dL(z(t1))/dz(t) = g Phi(t1, t)`` (D,), by definition."""
    t1 = float(P.ts[-1])
    return end_gradient(P) if t == t1 else end_gradient(P) @ tangent(P, t, t1)


@lru_cache(maxsize=64)
def end_gradient(P: Problem) -> Array:
    """Return ``g = dL/dz(t1)`` (D,)."""
    t1 = float(P.ts[-1])
    return P.loss_gradients(np.broadcast_to(state(P, t1), P.targets.shape))[-1]


def along(P: Problem, integrand: Callable[[float, Array, Array], Array], t: float, s: float) -> Array:
    """Return the integral of ``integrand(t, z(t), a(t))`` from t to s; a is carried on by the adjoint equation."""
    return accumulated(P, lambda t, z, a: -P.vjp(t, z, a)[1], adjoint(P, t), integrand, t, s)


def accumulated(
    P: Problem, slope: Callable[[float, Array, Array], Array], start: Array,
    integrand: Callable[[float, Array, Array], Array], t: float, s: float,
) -> Array:  # fmt: skip
    """Return the integral of ``integrand(t, z, a)`` from t to s, where ``a' = slope(t, z, a)``, ``a(t) = start``."""
    D, shape = P.size, np.shape(integrand(t, state(P, t), start))

    def rhs(t: float, y: Array) -> Array:
        z, a = y[:D], y[D : 2 * D]
        return np.concatenate([P.f(t, z), slope(t, z, a), np.ravel(integrand(t, z, a))])

    y = P.solve(rhs, t, s, np.concatenate([state(P, t), start, np.zeros(int(np.prod(shape)))]))
    return y[2 * D :].reshape(shape)


def carried(P: Problem, slope: Callable[[float, Array, Array], Array], start: Array, t: float, s: float) -> Array:
    """Return a(s) of ``a' = slope(t, z(t), a)``, ``a(t) = start``, solved with ``z' = f``."""
    D = P.size

    def rhs(t: float, y: Array) -> Array:
        return np.concatenate([P.f(t, y[:D]), slope(t, y[:D], y[D:])])

    return P.solve(rhs, t, s, np.concatenate([state(P, t), start]))[D:]


def with_tangent(P: Problem, integrand: Callable[[float, Array, Array], Array], t: float, s: float) -> Array:
    """Return the integral of ``integrand(t, z(t), S(t))`` from t to s, with ``S = dz/dtheta`` (D, P), ``S(t0) = 0``.

    By Gauss's rule on one path that is kept: its 40 nodes leave an error of 1e-13 on paths as smooth as these.
    """
    D, path = P.size, _tangent_path(P)
    total: Any = 0.0
    for x, weight in zip(*np.polynomial.legendre.leggauss(NODES), strict=True):
        time = t + 0.5 * (1.0 + x) * (s - t)
        y = path(time)
        total = total + 0.5 * weight * (s - t) * integrand(time, y[:D], y[D:].reshape(D, -1))
    return total


@lru_cache(maxsize=64)
def _tangent_path(P: Problem) -> Callable[[float], Array]:
    """Return (z, S) at any time, by ``S' = J S + f_theta`` on complex steps."""
    from scipy.integrate import solve_ivp

    D = P.size

    def rhs(t: float, y: Array) -> Array:
        S_dot = P.J_by_steps(t, y[:D]) @ y[D:].reshape(D, -1) + P.f_theta_by_steps(t, y[:D])
        return np.concatenate([P.f(t, y[:D]), S_dot.ravel()])

    start = np.concatenate([P.z0, np.zeros(D * len(P.p))])
    return solve_ivp(rhs, ends(P), start, "DOP853", rtol=RTOL, atol=P.atol, dense_output=True).sol


def loss_at(P: Problem, z: Array) -> float:
    """Return the last loss at any state, ``L(z)``."""
    return P.at_end.loss(np.broadcast_to(z, P.targets.shape))


def gradient_at(P: Problem, z: Array) -> Array:
    """Return the gradient of the last loss at any state, a row (D,)."""
    return P.loss_gradients(np.broadcast_to(z, P.targets.shape))[-1]


def hessian_at(P: Problem, z: Array) -> Array:
    """Return the second derivative of the last loss at any state (D, D)."""
    return np.diag(1.0 - 0.3 * np.cos(z))


def end_theta_gradient(P: Problem) -> Array:
    """Return ``dL(z(t1))/dtheta = g S(t1)`` (P,), by definition."""
    return end_gradient(P) @ parameter_tangent(P, *ends(P))


def integrated(P: Problem, integrand: Callable[[float, Array], Any], t: float, s: float) -> Array:
    """Return the integral of ``integrand(t, z(t))`` from t to s, by Gauss's rule on every step of the path's solver."""
    times, path = _path(P, t, s)
    nodes, weights = np.polynomial.legendre.leggauss(5)
    total = np.array(0.0)
    for begin, end in pairwise(times):
        half = 0.5 * (end - begin)
        for x, weight in zip(nodes, weights, strict=True):
            time = begin + half * (1.0 + x)
            total = total + half * weight * np.asarray(integrand(time, path(time)))
    return total


@lru_cache(maxsize=64)
def _path(P: Problem, t: float, s: float) -> tuple[Array, Callable[[float], Array]]:
    """Return the times of the solver's steps from t to s, and z at any time between."""
    from scipy.integrate import solve_ivp

    found = solve_ivp(P.f, (t, s), state(P, t), "DOP853", rtol=RTOL, atol=ATOL, dense_output=True)
    return found.t, found.sol


def observed_back(
    P: Problem, slope: Callable[[float, Array, Array], tuple[Array, Array, Array]],
    jump: Callable[[float, Array, Array, Array, Array], tuple[Array, Array]],
) -> tuple[Array, Array]:  # fmt: skip
    """Solve (z, a, q) from t1 back to t0; at each later observation ``a, q = jump(t, z, a, q, g)``; return (a, q).

    ``slope(t, z, a)`` are the derivatives by time of z (D,), a (D,) and q of any shape. All start from a = q = 0 and
    z(t1); z is not looked up on the way.
    """
    D, shape = P.size, np.shape(slope(P.ts[0], P.z0, np.zeros(P.size))[2])
    y = np.concatenate([state(P, float(P.ts[-1])), np.zeros(D + int(np.prod(shape)))])
    observations = P.loss_gradients(np.array([state(P, t) for t in map(float, P.ts)]))

    def rhs(t: float, y: Array) -> Array:
        return np.concatenate([np.ravel(x) for x in slope(t, y[:D], y[D : 2 * D])])

    for i in range(len(P.ts) - 1, 0, -1):
        z, a, q = y[:D], y[D : 2 * D], y[2 * D :].reshape(shape)
        y = np.concatenate([z, *(np.ravel(x) for x in jump(float(P.ts[i]), z, a, q, observations[i]))])
        y = P.solve(rhs, float(P.ts[i]), float(P.ts[i - 1]), y)
    return y[D : 2 * D], y[2 * D :].reshape(shape)
