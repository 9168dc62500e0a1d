"""A ball that bounces, with its closed form, for complex numbers too."""

import numpy as np
from adjoint_problems import TIGHT

import nodeedu as ne

LINEAR = ne.linear_field(2)
RESTITUTION = 0.8
START = np.array([1.0, 0.3, 9.81])  # height, velocity and gravity of a ball


def event(g, **attributes):
    """Give a function attributes, as a user would set them one by one."""

    def copy(t, z):
        return g(t, z)

    vars(copy).update(attributes)
    return copy


def floor(**attributes):
    return event(lambda t, z: z[0], reset=lambda t, z: np.stack([0.0, -RESTITUTION * z[1]]), **attributes)


def fall(x, ts, events=None, **options):
    """Solve for a ball of which x is height, velocity and gravity."""
    theta = np.array([[0.0, 1.0], [0.0, 0.0]]), np.array([0.0, -x[2]])
    return ne.odeint(LINEAR, x[:2], ts, theta, events=floor() if events is None else events, **(TIGHT | options))


def impact(x, n):
    """Time of impact n = 1, 2, ... and the speed after it, of complex numbers too."""
    height, velocity, gravity = x
    speed = np.sqrt(velocity**2 + 2 * gravity * height)
    flights = sum(2 * RESTITUTION**k * speed / gravity for k in range(1, n))
    return (velocity + speed) / gravity + flights, RESTITUTION**n * speed


def bounced(x, t, n):
    """Height and velocity at t, after n impacts."""
    start, speed = impact(x, n)
    return np.array([speed * (t - start) - x[2] * (t - start) ** 2 / 2, speed - x[2] * (t - start)])


def complex_step(f):
    """The gradient of f at START, exact to rounding."""
    return np.array([f(START + 1e-30j * unit).imag for unit in np.eye(3)]) / 1e-30
