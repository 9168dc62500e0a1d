"""The two problems of the chapters, chosen so that no mistake can hide.

Their Jacobians are not symmetric, they depend on time, D is not the same for both, and neither is 1.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from .problem import Problem, make_problem


def mlp(t: Any, z: Any, theta: Any) -> Any:
    """Evaluate M, a tanh network of 35 parameters that sees the time."""
    W1, b1, W2, b2 = theta
    return W2 @ np.tanh(W1 @ np.concatenate([z, np.reshape(t, (1,))]) + b1) + b2


def van_der_pol(t: Any, z: Any, theta: Any) -> Any:
    """Evaluate V, the driven oscillator of van der Pol."""
    mu, stiffness, force, frequency = theta
    x, v = z
    return np.stack([v, mu * (1 - x**2) * v - stiffness * x + force * np.cos(frequency * t)])


@cache
def M() -> Problem:
    """Return the network with random weights; D = 3, P = 35."""
    rng = np.random.default_rng(2)
    theta = (rng.normal(size=(4, 4)), rng.normal(size=4), rng.normal(size=(3, 4)), rng.normal(size=3))
    return make_problem(mlp, rng.normal(size=3), theta, name="M")


@cache
def V() -> Problem:
    """Return van der Pol's oscillator; D = 2, P = 4."""
    return make_problem(van_der_pol, [1.2, -0.4], (1.5, 1.0, 1.2, 2.0), name="V")
