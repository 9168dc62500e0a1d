"""A module as a user of `nodeedu check-gradient` would write it."""

import numpy as np


def oscillator(t, z, theta):
    return np.stack([z[1], -theta[0] * z[0] ** 3 - theta[1] * z[1] + np.cos(t)])


oscillator.z0 = [0.8, -0.3]
oscillator.theta = np.array([1.3, 0.4])


def without_z0(t, z):
    return -z


def right_jump(a, g):
    return a + g


def wrong_jump(a, g):
    return a - g
