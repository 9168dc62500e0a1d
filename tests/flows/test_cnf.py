"""Continuous normalising flows against a closed form, differences and quadrature."""

import numpy as np
import pytest
from bent_field import BENT
from bent_field import THETA as BENT_THETA
from scipy.linalg import expm

from nodeedu import flows, vector_field
from nodeedu.autodiff import central_difference, relative_error

TIGHT = {"rtol": 1e-11, "atol": 1e-12}


def linear(t, z, theta):
    A, b = theta
    return A @ z + b


THETA = (np.array([[0.3, -0.8], [0.5, -0.4]]), np.array([0.7, -0.2]))
X = np.random.default_rng(0).normal(size=(6, 2))
LINEAR = vector_field(linear, np.zeros(2), THETA)


def carried(start, theta, span):
    """The normal density that a linear flow makes of the standard normal one, by the matrix exponential."""
    generator = np.zeros((3, 3))
    generator[:2, :2], generator[:2, 2] = theta
    flow = expm(generator * span)
    covariance = flow[:2, :2] @ flow[:2, :2].T
    return flows.Gaussian(flow[:2, 2] + flow[:2, :2] @ start, (covariance + covariance.T) / 2)


@pytest.mark.parametrize(("t0", "t1"), [(0.0, 1.0), (1.0, -0.5)])
def test_the_linear_flow_of_a_normal_density_is_the_normal_density_of_the_closed_form(t0, t1):
    flow, expected = flows.CNF(LINEAR, t0, t1, **TIGHT), carried(np.zeros(2), THETA, t1 - t0)
    # the tolerance of the solver, a few times
    assert np.allclose(flow.log_prob(X, THETA), expected.log_prob(X), rtol=0, atol=1e-10)
    assert np.allclose(flow.score(X, THETA), expected.score(X), rtol=0, atol=1e-10)


@pytest.mark.parametrize("gradient", ["backsolve", "discrete"])
@pytest.mark.parametrize("trace", ["exact", "hutchinson"])
@pytest.mark.jit  # in plain Python: 14 s; others run the same lines
def test_the_gradient_of_the_nll_equals_differences(trace, gradient):
    flow = flows.CNF(LINEAR, t1=0.7, trace=trace, **TIGHT)
    noise = flows.gaussian(X.shape, seed=1) if trace == "hutchinson" else None
    value, got = flow.nll_and_gradient(X, THETA, noise, gradient)
    expected = central_difference(lambda theta: -np.mean(flow.log_prob(X, theta, noise)), THETA, step=0.1, levels=4)
    assert value == pytest.approx(-np.mean(flow.log_prob(X, THETA, noise)), rel=1e-14)
    assert relative_error(got, expected.value) < 1e-7  # differences: the solver's 1e-11 over a step of 0.01


@pytest.mark.jit  # in plain Python: 3 s; others run the same lines
def test_the_score_equals_differences_of_the_log_density():
    """Along the path it solves s' = -s J - grad tr J, which takes the second derivatives of a field that bends."""
    for trace, noise in (("exact", None), ("hutchinson", flows.rademacher((1, 2), 0))):
        flow = flows.CNF(BENT, 1.0, 0.2, trace=trace, **TIGHT)
        expected = central_difference(lambda x, flow=flow, noise=noise: flow.log_prob(x, BENT_THETA, noise)[0], X[:1])
        got = flow.score(X[:1], BENT_THETA, noise)
        assert relative_error(got, expected.value) < 1e-7  # differences: the solver's 1e-11 over a step of 1e-3


def test_pull_undoes_push():
    flow = flows.CNF(LINEAR, **TIGHT)
    assert np.allclose(flow.pull(flow.push(X, THETA), THETA), X, rtol=0, atol=1e-10)  # the solver's 1e-11


@pytest.mark.jit  # thousands of points
def test_samples_have_the_moments_of_the_density():
    n, expected = 5_000, carried(np.zeros(2), THETA, 1.0)
    x = flows.CNF(LINEAR).sample(THETA, n, seed=0)
    assert np.array_equal(x, flows.CNF(LINEAR).sample(THETA, n, seed=0))
    scale = np.sqrt(np.diag(expected.covariance))
    assert np.all(abs(x.mean(axis=0) - expected.mean) < 5 * scale / np.sqrt(n))  # 5 standard errors
    assert np.allclose(np.cov(x.T), expected.covariance, atol=5 * 2 * scale.max() ** 2 / np.sqrt(n))


def test_single_precision_stays_single_precision():
    flow, x = flows.CNF(LINEAR, rtol=1e-5, atol=1e-5), X.astype(np.float32)
    log_p = flow.log_prob(x, THETA)
    assert log_p.dtype == np.float32
    assert np.allclose(log_p, flow.log_prob(X, THETA), atol=1e-4)  # ten times the tolerance
    assert flow.nll_and_gradient(x, THETA)[1][0].dtype == np.float32
