"""Flow matching: couplings, the regression, why its gradient is right, and what its field is worth."""

import math

import numpy as np
import pytest

import nodeedu as ne
from nodeedu import nn
from nodeedu.flows import CNF, GaussianMixture, densities, marginal, matching

DATA = np.array([[-1.2], [0.3], [1.5]])
SIGMA = 0.3


@pytest.fixture(scope="module")
def network():
    """A field of one dimension, and its parameters."""
    mlp = nn.MLP((1, 6, 1), time=True)
    theta = mlp.init(seed=0)
    return ne.vector_field(mlp, np.zeros(1), theta), theta


# ---------------------------------------------------------------- pairs and lines


def test_the_optimal_coupling_permutes_the_data():
    x0, x1 = np.random.default_rng(0).normal(size=(2, 30, 3))
    y0, y1 = matching.couple(x0, x1)
    np.testing.assert_array_equal(y0, x0)
    np.testing.assert_array_equal(np.sort(y1, axis=0), np.sort(x1, axis=0))


def test_on_the_line_the_optimal_coupling_is_the_sorted_one():
    x0, x1 = np.random.default_rng(1).normal(size=(2, 40, 1))
    y0, y1 = matching.couple(x0, x1)
    np.testing.assert_array_equal(np.sort(x1, axis=0), y1[np.argsort(y0[:, 0])])


def test_the_independent_coupling_leaves_pairs_as_they_are():
    x0, x1 = np.random.default_rng(2).normal(size=(2, 5, 2))
    np.testing.assert_array_equal(matching.couple(x0, x1, "independent"), (x0, x1))


def test_lines_lead_from_the_base_to_sigma_around_the_data():
    x0, x1 = np.random.default_rng(3).normal(size=(2, 5, 2))
    np.testing.assert_array_equal(matching.line(x0, x1, 0.0, SIGMA)[0], x0)
    np.testing.assert_allclose(matching.line(x0, x1, 1.0, SIGMA)[0], x1 + SIGMA * x0, rtol=1e-14)  # roundings


def test_the_velocity_of_a_line_is_its_derivative():
    x0, x1 = np.random.default_rng(4).normal(size=(2, 5, 2))
    (early, u), (late, _) = (matching.line(x0, x1, t, SIGMA) for t in (0.2, 0.7))
    np.testing.assert_allclose((late - early) / 0.5, u, rtol=1e-12)  # a difference of roundings


# ---------------------------------------------------------------- gradients


def test_the_gradient_of_the_regression_is_that_of_differences(network):
    field, theta = network
    rng = np.random.default_rng(5)
    x, u, direction = (
        rng.normal(size=(9, 1)),
        rng.normal(size=(9, 1)),
        {k: rng.normal(size=theta[k].shape) for k in theta},
    )
    t, h = rng.uniform(size=9), 1e-5
    up, down = (
        matching.regression(field, {k: theta[k] + s * h * direction[k] for k in theta}, t, x, u)[0] for s in (1, -1)
    )
    gradient = matching.regression(field, theta, t, x, u)[1]
    # truncation h² × third derivative, rounding 1e-15/h
    assert sum(np.sum(gradient[k] * direction[k]) for k in theta) == pytest.approx((up - down) / (2 * h), rel=1e-8)


def test_conditional_and_marginal_losses_have_the_same_gradient(network):
    field, theta = network
    (_, conditional), (_, marginal_) = marginal.conditional_and_marginal(field, theta, 0.6, DATA, SIGMA)
    for name in theta:  # both integrals are exact to the rounding of sums of some hundred terms
        np.testing.assert_allclose(conditional[name], marginal_[name], atol=1e-13)


def test_conditional_and_marginal_losses_differ_by_the_same_at_all_parameters(network):
    field, theta = network
    differences = []
    for factor in (0.0, 1.0, 2.0):
        scaled = {k: factor * theta[k] for k in theta}
        (conditional, _), (marginal_, _) = marginal.conditional_and_marginal(field, scaled, 0.6, DATA, SIGMA)
        differences.append(conditional - marginal_)
    np.testing.assert_allclose(differences, differences[0], rtol=1e-12)  # as above
    assert differences[0] > 0.5  # the variance of u given x_t: the conditional loss cannot reach 0


def test_the_gradient_of_a_batch_is_that_of_the_marginal_loss_up_to_noise(network):
    field, theta = network
    nodes, weights = np.polynomial.legendre.leggauss(12)
    times = 0.5 * (nodes + 1.0)
    exact = [marginal.conditional_and_marginal(field, theta, t, DATA, SIGMA)[1][1]["b2"][0] for t in times]
    batches = []
    for seed in range(100):
        x1 = np.random.default_rng([1, seed]).choice(DATA, 30)
        batches.append(matching.matching_loss(field, theta, x1, seed, sigma=SIGMA)[1]["b2"][0])
    error = np.std(batches) / math.sqrt(len(batches))
    assert abs(np.mean(batches) - 0.5 * weights @ exact) < 4 * error  # four standard errors


# ---------------------------------------------------------------- the marginal field


def test_the_marginal_field_and_density_obey_the_continuity_equation():
    data, t, h = np.array([[-1.0, 0.2], [0.4, -0.6], [1.0, 1.0]]), 0.7, 1e-4
    x = np.random.default_rng(6).normal(size=(10, 2))

    def p(t, x):
        return np.exp(marginal.marginal_density(t, data, SIGMA).log_prob(x))

    def flux(x, i):
        return p(t, x) * marginal.marginal_field(t, x, data, SIGMA)[:, i]

    rate = (p(t + h, x) - p(t - h, x)) / (2 * h)
    outflow = sum((flux(x + h * e, i) - flux(x - h * e, i)) / (2 * h) for i, e in enumerate(np.eye(2)))
    np.testing.assert_allclose(rate, -outflow, atol=1e-5)  # h² × third derivatives up to 1/s³ = 8 and more


def kernel_field(t, x, theta):
    """marginal_field for one sample, as the tape wants it."""
    s = 1.0 - (1.0 - SIGMA) * t
    shares = np.exp(-0.5 * ((x - t * theta) / s) ** 2)
    return ((shares @ theta) / np.sum(shares) - (1.0 - SIGMA) * x) / s


def test_the_likelihood_of_the_marginal_field_is_the_kernel_density_of_the_data():
    data = DATA[:, 0]
    field = ne.vector_field(kernel_field, np.zeros(1), data)
    x = np.linspace(-2.0, 2.0, 9)[:, None]
    cnf = CNF(field, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(
        kernel_field(0.4, x[2], data), marginal.marginal_field(0.4, x, DATA, SIGMA)[2], rtol=1e-13
    )
    # The solver's tolerance, times the growth of perturbations up to 1/σ.
    np.testing.assert_allclose(cnf.log_prob(x, data), GaussianMixture(DATA, SIGMA).log_prob(x), atol=1e-8)


# ---------------------------------------------------------------- straightness


def test_the_straightness_of_exponential_paths_is_its_closed_form():
    field, rate = ne.linear_field(1), 0.8
    x0 = np.array([[1.0], [2.0]])
    # ∫(c − g')² = ∫g'² − c² with g = x₀ e^{λt} and c = g(1) − g(0)
    closed_form = 0.5 * rate * math.expm1(2 * rate) - math.expm1(rate) ** 2
    got = matching.straightness(field, (np.array([[rate]]), np.zeros(1)), x0, rtol=1e-10, atol=1e-12)
    assert got == pytest.approx(2.5 * closed_form, rel=1e-8)  # (1 + 4)/2; the solver's tolerance


def trained_on_moons(coupling, batch, steps, lr):
    """A network after flow matching on two moons."""
    moons, mlp = densities.two_moons(), nn.MLP((2, 48, 48, 2), time=True)
    field = ne.vector_field(mlp, np.zeros(2), mlp.init(0))

    def step(theta, k):
        rng = np.random.default_rng([1, k])
        return matching.matching_loss(field, theta, moons.sample(batch, rng), rng, coupling=coupling)

    optimiser = nn.Adam(lr=nn.CosineDecay(lr, steps=steps))
    return field, nn.train(step, mlp.init(0), optimiser, steps=steps, progress=False).theta


@pytest.mark.slow
@pytest.mark.jit
def test_optimal_pairs_make_straighter_paths_that_take_fewer_evaluations():
    found, x0 = {}, np.random.default_rng(3).normal(size=(200, 2))
    for coupling in matching.COUPLINGS:
        field, theta = trained_on_moons(coupling, batch=64, steps=1500, lr=5e-3)
        evaluations = ne.odeint(field, x0, [0.0, 1.0], theta, rtol=1e-5, atol=1e-7).stats.nfev.mean()
        found[coupling] = matching.straightness(field, theta, x0), evaluations
    (bent, many), (straight, few) = found["independent"], found["optimal"]
    assert straight < 0.1 * bent  # measured: 0.008 and 1.07
    assert few < 0.75 * many  # measured: 25 and 47


@pytest.mark.slow
@pytest.mark.jit
def test_flow_matching_brings_the_likelihood_near_the_entropy_of_the_data():
    field, theta = trained_on_moons("independent", batch=512, steps=4000, lr=1e-2)
    moons = densities.two_moons()
    fresh = moons.sample(1000, seed=2)
    divergence = np.mean(moons.log_prob(fresh) - CNF(field, rtol=1e-5, atol=1e-7).log_prob(fresh, theta))
    assert divergence < 0.3  # measured: 0.22 nats, with a standard error of 0.015; wider and longer, 0.08


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: matching.couple(np.zeros((3, 2)), np.zeros((4, 2))), r"x0, x1: got shapes \(3, 2\) and \(4, 2\)"),
        (lambda: matching.couple(np.zeros((3, 2)), np.zeros((3, 2)), "ot"), "coupling: got 'ot', expected one of"),
        (lambda: matching.line(np.zeros((3, 2)), np.zeros((3, 2)), 0.5, 1.0), r"sigma: got 1.0, expected a number in"),
        (lambda: marginal.marginal_field(1.0, np.zeros((1, 1)), DATA, 0.0), "std: got .* expected one positive number"),
        (
            lambda: marginal.marginal_field(0.5, np.zeros((1, 2)), DATA, 0.1),
            r"x: got shape \(1, 2\), expected \(B, 1\)",
        ),
    ],
)
def test_what_cannot_be_matched_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("x1", "message"),
    [(np.zeros((4, 2)), r"x1: got shape \(4, 2\), expected \(B, 1\)"), (np.full((4, 1), np.nan), "x1: .*nan")],
)
def test_data_that_do_not_suit_the_field_are_refused(network, x1, message):
    field, theta = network
    with pytest.raises(ValueError, match=message):
        matching.matching_loss(field, theta, x1, seed=0)
