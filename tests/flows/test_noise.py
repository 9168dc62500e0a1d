"""Hutchinson's estimate: its mean and variance, by enumeration of all noise instead of sampling."""

from itertools import product

import numpy as np
import pytest

from nodeedu import flows, vector_field

SIGNS = np.array(list(product((-1.0, 1.0), repeat=3)))
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(3)  # exact up to the fifth power: the square of v J v has four
NORMAL = np.array(list(product(NODES, repeat=3)))
NORMAL_WEIGHTS = np.prod(list(product(WEIGHTS / WEIGHTS.sum(), repeat=3)), axis=1)

THETA = np.random.default_rng(3).normal(size=(3, 3))
Z = np.array([0.3, -0.5, 0.8])


def curved(t, z, theta):
    return np.sin(theta @ z) * z[::-1]


def moments(noise, weights):
    """Mean and variance of v J v over all noise, and J."""
    field = vector_field(curved, Z, THETA)
    estimates = flows.hutchinson_trace(field, 0.0, np.tile(Z, (len(noise), 1)), THETA, noise)
    mean = weights @ estimates
    columns = [(curved(0, Z + 1e-6 * e, THETA) - curved(0, Z - 1e-6 * e, THETA)) / 2e-6 for e in np.eye(3)]
    return mean, weights @ (estimates - mean) ** 2, np.array(columns).T


@pytest.mark.parametrize("kind", ["signs", "normal"])
def test_mean_and_variance_of_the_estimate_are_those_of_the_formulas(kind):
    noise, weights = (SIGNS, np.full(8, 1 / 8)) if kind == "signs" else (NORMAL, NORMAL_WEIGHTS)
    mean, variance, J = moments(noise, weights)
    S = (J + J.T) / 2
    expected = 2 * np.sum(S**2) - (2 * np.sum(np.diag(S) ** 2) if kind == "signs" else 0.0)
    assert mean == pytest.approx(np.trace(J), abs=1e-8)  # central differences
    assert variance == pytest.approx(expected, rel=1e-8)


def test_noise_repeats_with_its_seed_and_is_double():
    for draw in (flows.rademacher, flows.gaussian):
        assert draw((4, 3), 7).dtype == np.float64
        assert np.array_equal(draw((4, 3), 7), draw((4, 3), 7))
        assert not np.array_equal(draw((4, 3), 7), draw((4, 3), 8))
    assert set(np.unique(flows.rademacher(100, 0))) == {-1.0, 1.0}
