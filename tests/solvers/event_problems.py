"""Linear problems with events, z' = A z + b: one compiled field serves all of them, and each has a closed form."""

import math

import numpy as np
from problems import rotation

from nodeedu.compile.handwritten import linear_field

LINEAR = linear_field(2)
GRAVITY = 9.81
FALL = (np.array([[0.0, 1.0], [0.0, 0.0]]), np.array([0.0, -GRAVITY]))  # z = (height, velocity)
TURN = rotation()[2]  # from (1, 0), z = (cos t, sin t)
IMPACT = math.sqrt(2 / GRAVITY)  # of a ball that falls from a height of 1
TIGHT = {"rtol": 1e-10, "atol": 1e-12}


def event(g, **attributes):
    """Give a function attributes, as a user would set them one by one."""

    def copy(t, z):
        return g(t, z)

    vars(copy).update(attributes)
    return copy


def first(t, z):
    return z[0]


def second(t, z):
    return z[1]


def floor(restitution, height=0.0, **attributes):
    """The floor throws the ball back with a part of its speed."""
    bounce = event(lambda t, z: z[0] - height, reset=lambda t, z: np.array([height, -restitution * z[1]]))
    vars(bounce).update(attributes)
    return bounce


def impacts(count, restitution):
    """Times of the first impacts of a ball that falls from a height of 1."""
    flights = 2 * IMPACT * restitution ** np.arange(1, count)
    return IMPACT + np.concatenate([[0.0], np.cumsum(flights)])


def ball(t, impact_times, restitution):
    """Height and velocity at t; at an impact, just after it."""
    n = np.searchsorted(impact_times, t, side="right")
    if n == 0:
        return np.array([1 - GRAVITY * t**2 / 2, -GRAVITY * t])
    start, speed = impact_times[n - 1], GRAVITY * IMPACT * restitution**n
    return np.array([speed * (t - start) - GRAVITY * (t - start) ** 2 / 2, speed - GRAVITY * (t - start)])
