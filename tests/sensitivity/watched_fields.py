"""Fields that backsolve loses its way on, or does not: the arguments of a gradient, (field, z0, ts, theta, zs_bar)."""

from functools import cache

import numpy as np

import nodeedu as ne


def memory(t, z, theta):
    """x decays and is lost, yet y remembers it."""
    decay, one, two = theta
    x, y = z
    return np.stack([-decay * x, one * x**2 + two * y])


def drawn(t, z, theta):
    """x' = -k (x - cos t): all solutions meet."""
    return -theta * (z - np.cos(t))


@cache
def _traced(function, *shapes):
    return ne.vector_field(function, *(np.ones(shape) for shape in shapes))


def decaying_memory(decay):
    """L = y(1): the gradient needs the x that has decayed."""
    bar = np.array([[0.0, 0.0], [0.0, 1.0]])
    return _traced(memory, (2,), (3,)), np.ones(2), np.array([0.0, 1.0]), np.array([decay, 1.0, 1.0]), bar


def forced_decay(k):
    """L = x(1): the gradient needs the x of the last 1/k only."""
    return _traced(drawn, (1,), ()), np.array([0.5]), np.array([0.0, 1.0]), np.array(k), np.array([[0.0], [1.0]])
