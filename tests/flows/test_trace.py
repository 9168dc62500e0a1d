"""Hutchinson's trace inside a solve: frozen noise, probes, tolerances, and the regularisers."""

import numpy as np
import pytest
from bent_field import BENT, THETA, bent

from nodeedu import SolverError, flows, odeint
from nodeedu.autodiff import central_difference, relative_error

TIGHT = {"rtol": 1e-10, "atol": 1e-12}
X = np.random.default_rng(0).normal(size=(4, 2))
SIGNS = np.array([[1.0, 1.0], [1.0, -1.0]])  # and their negatives, which give the same


@pytest.mark.parametrize(("t0", "t1"), [(0.0, 1.0), (1.0, 0.0)])
def test_the_mean_of_the_log_density_over_all_signs_is_the_exact_one(t0, t1):
    exact = flows.CNF(BENT, t0, t1, **TIGHT).log_prob(X, THETA)
    estimated = flows.CNF(BENT, t0, t1, trace="hutchinson", **TIGHT)
    each = [estimated.log_prob(X, THETA, np.tile(v, (4, 1))) for v in SIGNS]
    assert not np.allclose(each[0], exact, atol=1e-3)
    assert np.allclose(np.mean(each, axis=0), exact, rtol=0, atol=1e-9)  # the solver's 1e-10, a few times


def test_probes_of_one_sample_are_averaged():
    flow = flows.CNF(BENT, trace="hutchinson", **TIGHT)
    both = np.tile(SIGNS, (4, 1, 1))
    assert np.allclose(flow.log_prob(X, THETA, both), flows.CNF(BENT, **TIGHT).log_prob(X, THETA), rtol=0, atol=1e-9)


def test_each_sample_has_its_own_noise_and_its_own_steps():
    flow, noise = flows.CNF(BENT, trace="hutchinson"), flows.gaussian((4, 2), 3)
    together = flow.log_prob(X, THETA, noise)
    alone = [flow.log_prob(X[b : b + 1], THETA, noise[b : b + 1])[0] for b in range(4)]
    assert together.tolist() == alone


def redrawn(rng):
    """The augmented field with new noise at every evaluation, as no one should write it."""

    def f(t, state):
        v = rng.choice([-1.0, 1.0], 2)
        slope = central_difference(lambda z: bent(t, z, THETA), state[:2], v, step=1e-3, levels=2).value
        return np.append(bent(t, state[:2], THETA), -v @ slope)

    return f


def test_noise_that_is_redrawn_at_every_evaluation_makes_evaluations_explode():
    frozen = flows.augment.augment(BENT, probes=1)
    start, ts = frozen.start(X[:1], np.ones((1, 1, 2))), [1.0, 0.0]
    usual = odeint(frozen.field, start, ts, THETA, rtol=1e-5, atol=1e-5).stats.nfev[0]
    limit = 8 * usual // 6  # trial steps of 6 evaluations: eight times as many evaluations
    with pytest.raises(SolverError, match="max_steps"):
        odeint(redrawn(np.random.default_rng(0)), start[0, :3], ts, rtol=1e-5, atol=1e-5, max_steps=int(limit))


def test_the_noise_in_the_state_does_not_loosen_the_tolerance():
    """With v carried along, the mean square of an error is taken over more components, of which v's err by nothing."""
    exact, noisy = flows.augment.augment(BENT), flows.augment.augment(BENT, probes=3)
    assert exact.dilution == 1.0
    assert noisy.dilution == pytest.approx(np.sqrt(3 / 9))  # 2 + 1 components of 2 + 1 + 3 * 2
    v = np.zeros((4, 3, 2))  # no trace: the errors are those of z alone, in both
    ts = [1.0, 0.0]
    alone = odeint(exact.field, exact.start(X, None), ts, THETA, rtol=1e-6, atol=1e-6)
    tolerance = 1e-6 * noisy.dilution
    carried = odeint(noisy.field, noisy.start(X, v), ts, THETA, rtol=tolerance, atol=tolerance)
    assert np.all(abs(carried.stats.accepted - alone.stats.accepted) <= 1)


# --------------------------------------------------------------------------------------------------------- regularisers


@pytest.mark.parametrize(("trace", "gradient"), [("exact", "backsolve"), ("hutchinson", "discrete")])
@pytest.mark.jit  # in plain Python: 7 s; others run the same lines
def test_the_gradient_with_regularisers_equals_differences(trace, gradient):
    flow, noise = flows.CNF(BENT, t0=0.9, t1=0.1, trace=trace, **TIGHT), None
    if trace == "hutchinson":
        noise = flows.rademacher(X.shape, 1)
    weights = {"kinetic": 0.7, "jacobian": 0.3}
    _, got = flow.nll_and_gradient(X, THETA, noise, gradient, **weights)
    direction = (THETA[0][::-1], np.cos(THETA[1]), THETA[2] ** 2)

    def loss(s):
        theta = tuple(x + s * d for x, d in zip(THETA, direction, strict=True))
        return flow.nll_and_gradient(X, theta, noise, **weights)[0]

    expected = central_difference(loss, 0.0, 1.0, step=0.1, levels=4).value
    along = sum(np.sum(g * d) for g, d in zip(got, direction, strict=True))
    assert relative_error(along, expected) < 1e-7  # differences: the solver's 1e-10 over a step of 0.01


def test_the_regularisers_are_the_energies_of_the_path():
    flow = flows.CNF(BENT, **TIGHT)
    nll = flow.nll_and_gradient(X, THETA)[0]
    kinetic = flow.nll_and_gradient(X, THETA, kinetic=1.0)[0] - nll
    jacobian = flow.nll_and_gradient(X, THETA, jacobian=1.0)[0] - nll
    nodes, weights = np.polynomial.legendre.leggauss(20)
    times = (nodes[::-1] + 1) / 2
    path = odeint(BENT, X, [1.0, *times], THETA, **TIGHT).zs[1:]
    speed, squares = 0.0, 0.0
    for t, w, z in zip(times, weights / 2, path, strict=True):
        for each in z:
            J = central_difference(lambda z, t=t: bent(t, z, THETA), each, step=0.05, levels=4).value
            speed += w * np.sum(bent(t, each, THETA) ** 2) / 4
            squares += w * np.sum(J**2) / 4
    assert kinetic == pytest.approx(speed, rel=1e-8)  # quadrature and differences
    assert jacobian == pytest.approx(squares, rel=1e-7)
