"""Initial value problems that the tests of the solvers share, with their fields and reference solutions.

Every function is written as a user would write it: it runs as a plain callable and can be traced.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from scipy.integrate import solve_ivp

import nodeedu as ne
from nodeedu.compile.handwritten import linear_field, mlp_field, van_der_pol_field

# ---------------------------------------------------------------- plain callables f(t, z)


def swing(t, z):
    """z' = z cos t: not autonomous; z = exp(sin t) from z(0) = 1."""
    return z * np.cos(t)


def duffing(t, z):
    """A driven nonlinear oscillator, neither autonomous nor linear, so that all order conditions count."""
    return np.array([z[1], np.cos(t) - z[0] - z[0] ** 3])


def blow_up(t, z):
    """z' = z**2 from z(0) = 1 is 1 / (1 - t): it ends at t = 1."""
    return z * z


def arenstorf(t, z):
    """A satellite of earth and moon on a closed orbit; Hairer, Norsett & Wanner I, II.0, equation (0.1)."""
    mu, (x, y, vx, vy) = 0.012277471, z
    earth, moon = ((x + mu) ** 2 + y**2) ** 1.5, ((x - 1 + mu) ** 2 + y**2) ** 1.5
    ax = x + 2 * vy - (1 - mu) * (x + mu) / earth - mu * (x - 1 + mu) / moon
    return [vx, vy, ax, y - 2 * vx - (1 - mu) * y / earth - mu * y / moon]


ARENSTORF_START = np.array([0.994, 0.0, 0.0, -2.00158510637908252240537862224])
ARENSTORF_PERIOD = 17.0652165601579625588917206249

# ---------------------------------------------------------------- hand-written fields: field, z0 of a batch, theta


def oscillator():
    """Van der Pol's, with mu = 1.5 and three samples that take different steps."""
    return van_der_pol_field(), np.array([[2.0, 0.0], [0.1, -0.3], [1.0, 3.0]]), (np.array(1.5),)


def network(samples=4, hidden=5, seed=0):
    """A small random MLP field with a batch of states."""
    rng = np.random.default_rng(seed)
    field = mlp_field(2, hidden)
    theta = tuple(rng.normal(size=shape) for shape in field.leaf_shapes.values())
    return field, rng.normal(size=(samples, 2)), theta


def rotation():
    """z' = A z with A a rotation by one radian a time unit."""
    return linear_field(2), np.array([1.0, 0.0]), (np.array([[0.0, -1.0], [1.0, 0.0]]), np.zeros(2))


# ---------------------------------------------------------------- problems f(t, z, theta) with fields


class Problem(NamedTuple):
    function: Callable[..., Any]
    z0: np.ndarray
    ts: np.ndarray
    theta: Any


def lotka_volterra(t, z, theta):
    a, b, c, d = theta
    x, y = z
    return np.array([a * x - b * x * y, d * x * y - c * y])


def pendulum(t, z, theta):
    """Forced and damped: nonlinear, non-autonomous, and its Jacobian does not commute along the solution."""
    return np.array([z[1], -theta * np.sin(z[0]) - 0.1 * z[1] + np.cos(t)])


def van_der_pol(t, z, theta):
    x, v = z
    return np.array([v, theta[0] * (1 - x * x) * v - x])


def kepler(t, z, theta):
    x, y, vx, vy = z
    r3 = (x * x + y * y) ** 1.5
    return np.array([vx, vy, -theta * x / r3, -theta * y / r3])


def linear(t, z, theta):
    A, b = theta
    return A @ z + b


MATRIX = np.array([[-0.3, 1.0, 0.2], [-1.0, -0.3, 0.0], [0.1, 0.4, -0.5]])
PERIHELION = np.array([0.5, 0.0, 0.0, np.sqrt(3.0)])  # eccentricity 1/2, semi-axis 1, period 2 pi

PROBLEMS = {
    "lotka_volterra": Problem(lotka_volterra, np.array([1.0, 0.5]), np.linspace(0, 8, 5), (1.5, 1.0, 3.0, 1.0)),
    "pendulum": Problem(pendulum, np.array([0.3, 0.0]), np.linspace(0, 5, 6), np.array(2.0)),
    "van_der_pol": Problem(van_der_pol, np.array([2.0, 0.0]), np.linspace(0, 7, 5), (np.array(2.0),)),
    "kepler": Problem(kepler, PERIHELION, 2 * np.pi * np.array([0.0, 0.1, 0.5, 1.0]), np.array(1.0)),
    "linear": Problem(linear, np.array([1.0, -0.5, 0.2]), np.linspace(0, 4, 5), (MATRIX, np.array([0.1, -0.2, 0.3]))),
}


@cache
def field_of(name):
    """Field of a problem: hand-written where there is one, else traced; one for all tests."""
    p = PROBLEMS[name]
    handwritten = {"van_der_pol": van_der_pol_field, "linear": lambda: linear_field(3)}
    return handwritten[name]() if name in handwritten else ne.vector_field(p.function, p.z0, p.theta)


def solve(name, **options):
    """Solve a problem with its field; z0, ts and theta may be given too."""
    p = PROBLEMS[name]
    return ne.odeint(field_of(name), **({"z0": p.z0, "ts": p.ts, "theta": p.theta} | options))


@cache
def truth(name):
    """States of a problem at its output times."""
    p = PROBLEMS[name]
    return exact(lambda t, z: p.function(t, z, p.theta), p.z0, p.ts)


def exact(f, z0, ts):
    """States at the times ts of ``z' = f(t, z)`` by SciPy's DOP853, to about 1e-11."""
    return solve_ivp(f, (ts[0], ts[-1]), z0, "DOP853", ts, rtol=1e-12, atol=1e-14).y.T
