"""Initial value problems with known solutions, and hand-written fields with parameters."""

import numpy as np

from nodeedu.compile.handwritten import linear_field, mlp_field, van_der_pol_field


def swing(t, z):
    """z' = z cos t: not autonomous; z = exp(sin t) from z(0) = 1."""
    return z * np.cos(t)


def duffing(t, z):
    """A driven nonlinear oscillator, neither autonomous nor linear, so that all order conditions count."""
    return np.array([z[1], np.cos(t) - z[0] - z[0] ** 3])


def blow_up(t, z):
    """z' = z**2 from z(0) = 1 is 1 / (1 - t): it ends at t = 1."""
    return z * z


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
