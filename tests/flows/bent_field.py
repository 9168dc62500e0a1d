"""A small field of two dimensions that bends: neither linear, nor symmetric, nor autonomous."""

import numpy as np

from nodeedu import vector_field


def bent(t, z, theta):
    W, b, V = theta
    return V @ np.tanh(W @ z + b * (1 + t))


RNG = np.random.default_rng(5)
THETA = (RNG.normal(size=(6, 2)), RNG.normal(size=6), 0.4 * RNG.normal(size=(2, 6)))
BENT = vector_field(bent, np.zeros(2), THETA)
