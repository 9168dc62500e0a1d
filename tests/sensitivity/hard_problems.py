"""Problems that gradients must be right on to 1e-7, and their gradients by complex steps through SciPy's solver."""

from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from scipy.integrate import solve_ivp

import nodeedu as ne
from nodeedu.autodiff import structure

TINY = 1e-200  # of a complex step: its square vanishes, and nothing cancels


class Hard(NamedTuple):
    name: str
    function: Any
    z0: np.ndarray
    ts: np.ndarray
    theta: Any

    @property
    def zs_bar(self):
        return np.random.default_rng(0).normal(size=(len(self.ts), *self.z0.shape))

    @property
    def field(self):
        return traced(self.function)


def matrices(t, z, theta):
    """A matrix for a state, the time, parameters of the shapes () and (0,), and one that plays no part."""
    return theta["A"] @ z * np.cos(2.0 * t) - theta["damping"] * z**3


def drawn(t, z, theta):
    return -theta * (z - np.cos(t))


def lorenz(t, z, theta):
    x, y, w = z
    return np.stack([theta[0] * (y - x), x * (theta[1] - w) - y, x * y - theta[2] * w])


A = np.array([[0.3, -1.2], [0.9, -0.4]])
MATRICES = {"A": A, "damping": np.array(0.3), "none": np.zeros(0), "idle": np.ones(3)}
START = np.array([[1.0, -0.5], [0.3, 0.8]])

PROBLEMS = {
    each.name: each
    for each in (
        Hard("matrix state, time-dependent", matrices, START, np.array([0.2, 0.7, 1.5]), MATRICES),
        Hard("backward in time", matrices, START, np.array([1.5, 0.7, 0.2]), MATRICES),
        Hard("stiff", drawn, np.array([0.5]), np.array([0.0, 0.3, 1.0]), np.array(50.0)),
        Hard("chaotic", lorenz, np.array([1.0, 2.0, 20.0]), np.array([0.0, 0.4, 1.0]), np.array([10.0, 28.0, 8 / 3])),
    )
}


@cache
def traced(function):
    problem = next(each for each in PROBLEMS.values() if each.function is function)
    return ne.vector_field(function, problem.z0, problem.theta)


@cache
def truth(name):
    """dL/dz0, the leaves of dL/dtheta and dL/dts for L = sum zs_bar * zs, by a complex step in every argument."""
    _, function, z0, ts, theta = PROBLEMS[name]
    zs_bar, arguments = PROBLEMS[name].zs_bar, [z0, *structure.leaves(theta)]

    def states(z0, leaves):
        parameters = structure.unflatten(theta, leaves)

        def slopes(t, z):
            return np.ravel(function(t, z.reshape(z0.shape), parameters))

        found = [z0]
        for span in pairwise(ts):  # interval by interval: the end of a step is more accurate
            solved = solve_ivp(slopes, span, found[-1].ravel(), "DOP853", rtol=1e-13, atol=1e-14)
            found.append(solved.y[:, -1].reshape(z0.shape))
        return np.array(found)

    bars = []
    for i, argument in enumerate(arguments):
        bar = np.zeros(argument.shape)
        for index in np.ndindex(argument.shape):
            moved = [x.astype(complex) for x in arguments]
            moved[i][index] += 1j * TINY
            bar[index] = np.sum(zs_bar * states(moved[0], moved[1:])).imag / TINY
        bars.append(bar)
    slopes = np.array([function(t, z, theta) for t, z in zip(ts, states(z0, arguments[1:]), strict=True)])
    ts_bar = np.sum((zs_bar * slopes).reshape(len(ts), -1), axis=1)
    ts_bar[0] = -np.sum((bars[0] - zs_bar[0]) * slopes[0])
    return bars[0], bars[1:], ts_bar
