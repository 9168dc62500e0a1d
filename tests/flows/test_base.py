"""Base densities: they integrate to 1, their score is the gradient, their samples follow them."""

import math

import numpy as np
import pytest

from nodeedu.flows import Gaussian, GaussianMixture, StandardNormal

COVARIANCE = np.array([[1.3, 0.4], [0.4, 0.6]])
BASES = {
    "standard": StandardNormal(2),
    "diagonal": Gaussian([0.3, -0.2], [1.5, 0.4]),
    "full": Gaussian([0.3, -0.2], COVARIANCE),
    "mixture": GaussianMixture([[1.0, 0.0], [-1.0, 0.5], [0.0, -1.2]], [0.4, 0.6, 0.5], [0.2, 0.5, 0.3]),
}
MEANS = {"standard": [0.0, 0.0], "diagonal": [0.3, -0.2], "full": [0.3, -0.2], "mixture": [-0.3, -0.11]}
every_base = pytest.mark.parametrize("base", BASES.values(), ids=BASES)


@every_base
def test_a_base_density_integrates_to_one(base):
    x = np.linspace(-12.0, 12.0, 241)
    grid = np.stack(np.meshgrid(x, x), -1).reshape(-1, 2)
    # The rectangle rule with h = 0.1 is exact to rounding for normals with a deviation of 0.4 and more.
    assert np.sum(np.exp(base.log_prob(grid))) * 0.01 == pytest.approx(1.0, abs=1e-12)


@every_base
def test_the_score_is_the_gradient_of_the_log_density(base):
    z = np.random.default_rng(0).normal(size=(5, 2))
    h = 1e-5
    for i, e in enumerate(np.eye(2)):
        differences = (base.log_prob(z + h * e) - base.log_prob(z - h * e)) / (2 * h)
        # truncation h² × third derivative, rounding 1e-15/h
        np.testing.assert_allclose(base.score(z)[:, i], differences, atol=2e-9)


@pytest.mark.parametrize("name", BASES)
def test_samples_have_the_mean_of_the_density(name):
    x = BASES[name].sample(20_000, seed=0)
    assert np.all(np.abs(x.mean(0) - MEANS[name]) < 4 * x.std(0) / math.sqrt(len(x)))  # four standard errors


def test_samples_have_the_covariance_asked_for():
    x = BASES["full"].sample(40_000, seed=1)
    # The standard error of a covariance is at most √(2 C_ii C_jj / n) = 0.009.
    np.testing.assert_allclose(np.cov(x.T), COVARIANCE, atol=0.04)


@every_base
def test_minus_the_mean_log_density_of_samples_is_the_entropy_by_quadrature(base):
    logs = base.log_prob(base.sample(20_000, seed=2))
    x = np.linspace(-12.0, 12.0, 241)
    grid = np.stack(np.meshgrid(x, x), -1).reshape(-1, 2)
    on_grid = base.log_prob(grid)
    entropy = -np.sum(np.exp(on_grid) * on_grid) * 0.01
    assert abs(-logs.mean() - entropy) < 4 * logs.std() / math.sqrt(len(logs))  # four standard errors


def test_the_diagonal_and_the_full_gaussian_agree():
    z = np.random.default_rng(3).normal(size=(4, 2))
    full = Gaussian([0.3, -0.2], np.diag([1.5, 0.4]))
    np.testing.assert_array_equal(BASES["diagonal"].log_prob(z), full.log_prob(z))


def test_a_mixture_far_from_its_means_has_a_finite_log_density():
    base = BASES["mixture"]
    z = np.array([[1e3, -1e3]])  # exp(−10⁶) underflows
    nearest = min(np.sum((z - m) ** 2) / (2 * s**2) for m, s in zip(base.means, base.std, strict=True))
    assert base.log_prob(z)[0] == pytest.approx(-nearest, rel=1e-5)  # the rest is of order 10 in 10⁶


@every_base
def test_the_same_seed_gives_the_same_samples(base):
    np.testing.assert_array_equal(base.sample(3, seed=5), base.sample(3, seed=5))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: StandardNormal(0), "dim: got 0, expected a positive integer"),
        (lambda: StandardNormal(2.0), "dim: got 2.0"),
        (lambda: Gaussian([0.0, 0.0], [[1.0, 2.0], [2.0, 1.0]]), "covariance: its smallest eigenvalue is -1"),
        (lambda: Gaussian([0.0, 0.0], [[1.0, 0.2], [0.0, 1.0]]), "covariance: got a matrix that is not symmetric"),
        (lambda: Gaussian([0.0, 0.0], np.eye(3)), r"covariance: got shape \(3, 3\), expected \(2, 2\)"),
        (lambda: Gaussian([0.0, np.nan], np.eye(2)), "mean: got an entry that is not finite"),
        (lambda: Gaussian(0.0, [1.0]), r"mean: got shape \(\)"),
        (lambda: GaussianMixture([0.0, 1.0], 1.0), r"means: got shape \(2,\), expected \(K, D\)"),
        (lambda: GaussianMixture([[0.0], [1.0]], [1.0, 0.0]), "std: got .*expected one positive number"),
        (lambda: GaussianMixture([[0.0], [1.0]], 1.0, [0.5, 0.6]), "weights: got .*with sum 1"),
        (lambda: StandardNormal(2).log_prob(np.zeros(2)), r"z: got shape \(2,\), expected \(B, 2\)"),
        (lambda: StandardNormal(2).sample(3, None), "seed: got None"),
        (lambda: StandardNormal(2).sample(-1, 0), "n: got -1"),
    ],
)
def test_what_cannot_be_a_base_density_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
