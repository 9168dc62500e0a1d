"""Forty problems on which nothing about the watch was tuned: they were written down before any of them was run.

From ecology, chemistry, mechanics, neurons and networks; harmless ones, hopeless ones, and what lies between.
"""

from typing import Any, NamedTuple

import numpy as np

import nodeedu as ne


class Problem(NamedTuple):
    name: str
    field: Any
    z0: np.ndarray
    ts: np.ndarray
    theta: Any
    bar: np.ndarray


def brusselator(t, z, theta):
    x, y = z
    return np.stack([theta[0] + x**2 * y - (theta[1] + 1) * x, theta[1] * x - x**2 * y])


def duffing(t, z, theta):
    return np.stack([z[1], z[0] - z[0] ** 3 - theta[0] * z[1] + theta[1] * np.cos(1.2 * t)])


def neuron(t, z, theta):
    v, w = z
    return np.stack([v - v**3 / 3 - w + theta[0], theta[1] * (v + 0.7 - 0.8 * w)])


def epidemic(t, z, theta):
    s, i, _ = z
    infected, recovered = theta[0] * s * i, theta[1] * i
    return np.stack([-infected, infected - recovered, recovered])


def logistic(t, z, theta):
    return theta * z * (1 - z)


def roessler(t, z, theta):
    x, y, w = z
    return np.stack([-y - w, x + theta[0] * y, theta[1] + w * (x - theta[2])])


def top(t, z, theta):
    x, y, w = z
    return np.stack([theta[0] * y * w, theta[1] * w * x, theta[2] * x * y])


def spiralling(t, z, theta):
    return np.stack([-theta[0] * z[0] - z[1], z[0] - theta[0] * z[1]]) * theta[1]


def two_rates(t, z, theta):
    x, y = z
    mean, difference = (theta[0] + theta[1]) / 2, (theta[0] - theta[1]) / 2
    return np.stack([-mean * x + difference * y, difference * x - mean * y])


def double_well(t, z, theta):
    return np.stack([z[0] - theta[0] * z[0] ** 3 + theta[1] * z[1], -z[1] + theta[1] * z[0]])


def chain(t, z, theta):
    first, second = theta[0] * z[0], theta[1] * z[1]
    return np.stack([-first, first - second, second - theta[2] * z[2]])


def network(t, z, theta):
    W1, b1, W2 = theta
    return W2 @ np.tanh(W1 @ z + b1) - 0.1 * z


def phases(t, z, theta):
    return theta[1:] + theta[0] * (np.sin(z[None, :] - z[:, None])).sum(axis=1) / 4


def competition(t, z, theta):
    return z * (1 - theta @ z)


def driven(t, z, theta):
    return np.stack([theta[0] * np.sin(3 * t) * z[0], np.cos(t) * z[0] - theta[1] * z[1]])


def growth(t, z, theta):
    return theta * z


def saddle(t, z, theta):
    return np.stack([theta[0] * z[0], -theta[1] * z[1] + 0.1 * z[0] ** 2])


def squared(t, z, theta):
    return theta * z**2


def enzyme(t, z, theta):
    rate = theta[0] * z[0] / (theta[1] + z[0])
    return np.stack([-rate, rate - theta[2] * z[1]])


def toggle(t, z, theta):
    return np.stack([theta[0] / (1 + z[1] ** 2) - z[0], theta[1] / (1 + z[0] ** 2) - z[1]])


def galaxy(t, z, theta):
    x, y, u, v = z
    return np.stack([u, v, -x - 2 * theta * x * y, -y - theta * (x**2 - y**2)])


def rod(t, z, theta):
    inner = z[:-2] - 2 * z[1:-1] + z[2:]
    left, right = z[1:2] - 2 * z[:1] + np.sin(t), z[-2:-1] - 2 * z[-1:]
    return theta * np.concatenate([left, inner, right])


def subspace(t, z, theta):
    product = theta @ z
    return product - z * (z @ product)


def relay(t, z, theta):
    return np.stack([-theta[0] * z[0], theta[1] * np.tanh(z[0]) - theta[2] * z[1], z[0] * z[1]])


def drag(t, z, theta):
    return np.stack([z[1], 1.0 - theta * z[1] * np.sqrt(1 + z[1] ** 2)])


FAMILIES = (  # function, z0, times, parameters
    (brusselator, [1.5, 2.5], [0.0, 1.0, 4.0], ([1.0, 1.5], [1.0, 3.0])),
    (duffing, [0.5, 0.0], [0.0, 3.0, 6.0], ([0.1, 0.3], [1.0, 0.5])),
    (neuron, [-1.0, 1.0], [0.0, 5.0, 15.0], ([0.5, 0.08], [0.0, 0.3])),
    (epidemic, [0.99, 0.01, 0.0], [0.0, 10.0, 40.0], ([0.5, 0.2],)),
    (logistic, [0.1], [0.0, 3.0], (1.0, 4.0)),
    (roessler, [1.0, 1.0, 0.5], [0.0, 3.0, 8.0], ([0.2, 0.2, 5.7],)),
    (top, [1.0, 0.2, -0.5], [0.0, 5.0], ([-2.0, 1.25, 0.5],)),
    (spiralling, [1.0, -0.5], [0.0, 2.0], ([0.1, 3.0], [2.0, 2.0])),
    (two_rates, [1.0, 0.3], [0.0, 1.0], ([1.0, 8.0], [1.0, 30.0])),
    (double_well, [0.3, -0.4], [0.0, 2.0, 4.0], ([1.0, 0.5],)),
    (chain, [1.0, 0.0, 0.0], [0.0, 0.5, 2.0], ([1.0, 5.0, 20.0], [0.5, 1.0, 2.0])),
    (phases, [0.0, 1.0, 2.5, -1.0], [0.0, 1.0, 4.0], ([0.5, 1.0, 1.2, 0.8, 1.1], [3.0, 1.0, 1.2, 0.8, 1.1])),
    (competition, [0.2, 0.3, 0.1], [0.0, 2.0, 8.0], ([[1.0, 0.6, 0.3], [0.4, 1.0, 0.7], [0.8, 0.2, 1.0]],)),
    (driven, [1.0, 0.0], [0.0, 1.0, 3.0], ([1.0, 2.0], [2.0, 9.0])),
    (growth, [0.5, -1.0], [0.0, 1.0, 2.0], (2.0,)),
    (saddle, [0.1, 1.0], [0.0, 2.0], ([1.5, 6.0],)),
    (squared, [0.5], [0.0, 1.5], (1.0, -3.0)),
    (enzyme, [2.0, 0.0], [0.0, 1.0, 3.0], ([3.0, 0.5, 1.0],)),
    (toggle, [1.0, 0.5], [0.0, 2.0, 6.0], ([3.0, 2.0],)),
    (galaxy, [0.1, 0.2, 0.3, -0.1], [0.0, 4.0, 9.0], (1.0,)),
    (rod, [0.0, 0.3, 1.0, 0.3, 0.1], [0.0, 0.5, 1.0], (0.5, 4.0)),
    (subspace, [[0.5, 0.1, 0.2], [0.1, 0.4, -0.3]], [0.0, 1.0, 2.0], ()),  # theta below
    (relay, [1.0, 0.5, 0.0], [0.0, 1.0], ([12.0, 2.0, 1.0], [24.0, 2.0, 1.0])),
    (drag, [0.5, 0.2], [0.0, 2.0], (1.0,)),
    (network, [0.5, -0.2, 0.1, 0.8], [0.0, 1.0, 2.0, 3.0], ()),
)


def problems():
    """Return the forty."""
    rng, found = np.random.default_rng(40), []
    for function, start, times, thetas in FAMILIES:
        z0, ts = np.array(start, float), np.array(times)
        if function is subspace:
            z0, thetas = z0[0], (np.diag([2.0, 1.0, 0.5]), np.diag([6.0, 1.0, 0.5]))
        elif function is network:
            shapes = (6, 4), (6,), (4, 6)
            thetas = tuple(tuple(size * rng.normal(size=shape) for shape in shapes) for size in (0.5, 1.0, 1.5))
        values = [x if isinstance(x, tuple) else np.array(x, float) for x in thetas]
        field = ne.vector_field(function, z0, values[0])
        for theta in values:
            found.append(Problem(function.__name__, field, z0, ts, theta, rng.normal(size=(len(ts), *z0.shape))))
    return found
