"""Twenty problems for the court: different sizes, structures of theta, states, times and directions of time."""

import numpy as np

from nodeedu.verify.court.case import make_case

RNG = np.random.default_rng(8)
TIMES = (0.2, 0.7, 1.1, 1.7)


def pendulum(t, z, k):
    return np.stack([z[1], -k * np.sin(z[0]) - 0.3 * z[1] + np.cos(2 * t) * z[0]])


def seasonal_lotka_volterra(t, z, theta):
    a, b, c, d = theta
    x, y = z
    return np.stack([a * (1 + 0.3 * np.sin(3 * t)) * x - b * x * y, -c * y + d * x * y])


def lotka_volterra_dict(t, z, theta):
    x, y = z
    return np.stack([theta["a"] * x - theta["b"] * x * y + 0.1 * t * y, theta["d"] * x * y - theta["c"] * y * t])


def matrix_state(t, z, A):
    return A @ z - t * z @ A.T @ z


def turning(t, z, k):
    return np.stack([-k[0] * z[0] + 2 * t * z[1], np.sin(t) * z[0] - 0.5 * k[0] * z[1] * z[0]])


def duffing_pair(t, z, theta):
    q, v = z[:2], z[2:]
    force = -q - theta[0] * q**3 + theta[1] * q[::-1] - 0.2 * v + np.cos(theta[2] * t)
    return np.concatenate([v, force])


def driven_lorenz(t, z, theta):
    s, r, b = theta
    x, y, w = z
    return np.stack([s * (y - x), x * (r - w) - y + np.sin(4 * t), x * y - b * w * (1 + 0.2 * np.cos(t))])


def brusselator(t, z, theta):
    a, b = theta["a"], theta["b"]
    x, y = z
    return np.stack([a + x**2 * y - (b + 1) * x + 0.4 * np.sin(2 * t), b * x - x**2 * y])


def fitzhugh_nagumo(t, z, theta):
    v, w = z
    return np.stack([v - v**3 / 3 - w + theta[0] * np.cos(t), theta[1] * (v + theta[2] - theta[3] * w)])


def reactions(t, z, k):
    a, b, c, d = z
    r1, r2, r3 = k[0] * a * b, k[1] * c * (1 + 0.5 * np.sin(t)), k[2] * c * b
    return np.stack([-r1 + r2, -r1 + r2 - r3, r1 - r2 - r3, r3 - 0.1 * d * t])


def mlp(t, z, theta):
    h = np.tanh(theta["W"] @ np.concatenate([z, np.reshape(t, (1,))]) + theta["b"])
    return theta["V"] @ h


def epidemic(t, z, theta):
    beta, gamma = theta
    s, i, r = z
    new = beta * (1 + 0.4 * np.cos(3 * t)) * s * i
    return np.stack([-new + 0.05 * r, new - gamma * i, gamma * i - 0.05 * r])


def hill(t, z, theta):
    n, K = theta
    x, y = z
    return np.stack([1 / (1 + (y / K) ** n) - x, x * (1.5 + np.sin(t)) - y * x])


def rotating(t, z, w):
    return np.stack([np.cos(w * t) * z[1] - 0.3 * z[0], -np.sin(w * t) * z[0] + 0.2 * z[0] * z[1]])


def cubic(t, z, theta):
    return theta @ z**3 - z * np.exp(-t)


def exponential_decay(t, z, theta):
    return -np.exp(theta["rate"] * t) * z + theta["mix"] @ np.sin(z)


def weights(D, H):
    return {"W": RNG.normal(size=(H, D + 1)), "b": RNG.normal(size=H), "V": RNG.normal(size=(D, H)) / 2}


PROBLEMS = {
    "pendulum": (pendulum, [0.8, -0.4], np.array(1.7), TIMES),
    "seasonal": (seasonal_lotka_volterra, [1.2, 0.7], (1.1, 0.9, 1.3, 0.8), TIMES),
    "dict": (lotka_volterra_dict, [0.9, 1.3], {"a": 1.1, "b": 0.8, "c": 0.7, "d": 1.2}, TIMES),
    "matrix state": (matrix_state, RNG.normal(size=(2, 2)) / 2, RNG.normal(size=(2, 2)), TIMES),
    "turning": (turning, [1.1, -0.6], np.array([0.7]), TIMES),
    "duffing": (duffing_pair, [0.6, -0.3, 0.2, 0.9], (0.8, 0.5, 1.9), TIMES),
    "lorenz": (driven_lorenz, [1.0, -0.5, 0.8], (2.0, 3.0, 1.1), (0.1, 0.4, 0.6, 1.0)),
    "brusselator": (brusselator, [1.0, 1.4], {"a": 0.9, "b": 1.6}, TIMES),
    "fitzhugh": (fitzhugh_nagumo, [0.5, -0.3], np.array([0.6, 0.4, 0.7, 0.8]), (0.0, 0.8, 1.9, 2.5)),
    "reactions": (reactions, [1.0, 0.8, 0.3, 0.2], np.array([1.2, 0.7, 0.9]), TIMES),
    "mlp 2": (mlp, [0.4, -0.9], weights(2, 5), TIMES),
    "mlp 4": (mlp, RNG.normal(size=4), weights(4, 4), TIMES),
    "epidemic": (epidemic, [0.8, 0.3, 0.1], (2.2, 0.9), (0.3, 1.2, 2.4)),
    "hill": (hill, [0.7, 1.2], (2.5, 0.9), TIMES),
    "rotating": (rotating, [0.9, -0.7], np.array(2.1), (0.2, 0.5, 0.9, 1.4, 1.8, 2.1)),
    "cubic": (cubic, [0.6, -0.5], RNG.normal(size=(2, 2)) / 2, TIMES),
    "exponential": (exponential_decay, [0.7, 1.1], {"rate": 0.3, "mix": RNG.normal(size=(2, 2))}, TIMES),
    "backwards": (pendulum, [0.5, 0.7], np.array(1.3), (1.6, 1.1, 0.7, 0.1)),
    "backwards mlp": (mlp, [0.4, -0.9], weights(2, 4), (1.5, 1.0, 0.6, 0.2)),
    "three times": (brusselator, [0.8, 1.2], {"a": 1.1, "b": 1.3}, (0.1, 1.0, 1.6)),
}


def case(name):
    f, z0, theta, ts = PROBLEMS[name]
    return make_case(f, z0, ts, theta, name=name)
