"""Points of the plane and a flow of them that is small enough for plain Python."""

import numpy as np
import pytest

from nodeedu.models.flow.samples import split
from nodeedu.models.flow.training import Recipe, fit

STEPS = 20


@pytest.fixture(scope="session")
def samples():
    """Sixty points of a slanted Gaussian."""
    x = np.random.default_rng(0).standard_normal((60, 2)) @ [[2.0, 0.0], [1.5, 0.5]] + [5.0, -1.0]
    return split("slanted", ("a", "b"), {}, x)


def recipe(trace="exact", steps=STEPS):
    return Recipe(trace, seed=0, steps=steps, width=4, batch=8, rate=3e-2)


@pytest.fixture(scope="session")
def trained(samples):
    return fit(samples, recipe(), show=False)
