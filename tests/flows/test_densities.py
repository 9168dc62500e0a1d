"""Data sets of the plane: samples follow the density, the density integrates to 1, the entropy is the generator's."""

import math

import numpy as np
import pytest
from scipy.integrate import quad

from nodeedu.flows import GaussianMixture, densities

SETS = {name: densities.data_set(name) for name in densities.DATA_SETS}
KNOWN = [name for name in SETS if SETS[name].log_prob is not None]
every_set = pytest.mark.parametrize("name", SETS)
every_density = pytest.mark.parametrize("name", KNOWN)


@every_density
def test_a_density_integrates_to_one(name):
    x = np.arange(-5.0, 5.0, 0.1) + 0.05  # midpoints: no node on an edge of the checkerboard
    total = 0.0
    for x_i in x:
        total += np.sum(np.exp(SETS[name].log_prob(np.stack([np.full_like(x, x_i), x], -1)))) * 0.1**2
    # Nodes at most a deviation apart: the rectangle rule errs by 2 exp(−2π²) = 5e-9; beyond ±5 lies 1e-9 (8 gaussians).
    assert total == pytest.approx(1.0, abs=1e-8)


@every_density
def test_the_mean_log_density_of_samples_is_minus_the_entropy(name):
    logs = SETS[name].log_prob(SETS[name].sample(2000, seed=0))
    # Four standard errors; it would be less, by the Kullback–Leibler divergence, if samples and density disagreed.
    assert abs(logs.mean() + SETS[name].entropy) <= 4 * logs.std() / math.sqrt(len(logs)) + 1e-12


def test_the_density_of_two_moons_is_the_integral_along_them():
    x = np.array([0.3, -0.5])

    def integrand(s, sign, centre):
        distance = x - centre - sign * 2.0 * np.array([math.cos(s), math.sin(s)])
        return math.exp(-distance @ distance / (2 * 0.2**2)) / (2 * math.pi * 0.2**2) / (2 * math.pi)

    halves = [(1.0, np.array([-1.0, -0.2])), (-1.0, np.array([1.0, 0.8]))]
    truth = sum(quad(integrand, 0.0, math.pi, args=half, epsrel=1e-12, epsabs=0.0)[0] for half in halves)
    assert SETS["two-moons"].log_prob(x[None])[0] == pytest.approx(math.log(truth), abs=1e-11)  # quad's tolerance


def test_the_density_of_two_circles_is_the_mean_of_normals_along_them():
    s = 2 * math.pi * np.arange(400) / 400  # periodic: the rectangle rule is exact
    circle = np.stack([np.cos(s), np.sin(s)], -1)
    mixture = GaussianMixture(np.concatenate([1.5 * circle, 3.0 * circle]), 0.24)
    x = np.random.default_rng(0).normal(size=(20, 2)) * 3
    np.testing.assert_allclose(SETS["two-circles"].log_prob(x), mixture.log_prob(x), rtol=1e-12)  # both to rounding


def test_the_entropy_of_two_circles_by_radius_is_that_by_area():
    s = 2 * math.pi * np.arange(200) / 200
    circle = np.stack([np.cos(s), np.sin(s)], -1)
    means = np.concatenate([1.5 * circle, 3.0 * circle])
    by_area = densities._of_mixture("circles", None, lambda: GaussianMixture(means, 0.24), 0.24).entropy
    assert SETS["two-circles"].entropy == pytest.approx(by_area, abs=1e-8)  # the grid's own error is 1e-9


def test_the_entropy_of_narrow_moons_is_that_of_their_arcs_and_of_normal_noise():
    # Away from the ends the density is uniform along 4π of arc, normal across: log 4π + log(σ√(2πe)). Curvature and
    # ends contribute a term of order σ, here 0.28 σ.
    sigma = 0.1
    limit = math.log(4 * math.pi) + math.log(sigma * math.sqrt(2 * math.pi * math.e))
    assert densities.two_moons(sigma).entropy == pytest.approx(limit, abs=0.3 * sigma)


@every_set
def test_the_same_seed_gives_the_same_samples(name):
    np.testing.assert_array_equal(SETS[name].sample(5, seed=3), SETS[name].sample(5, seed=3))


@every_set
def test_samples_lie_in_the_square_of_side_eight(name):
    x = SETS[name].sample(5000, seed=1)
    assert x.shape == (5000, 2)
    assert np.mean(np.max(np.abs(x), axis=1) > 4.0) < 2e-3  # 3e-4 of them do not


def test_the_checkerboard_has_equal_numbers_on_its_dark_squares():
    x = SETS["checkerboard"].sample(8000, seed=2)
    counts, _, _ = np.histogram2d(*x.T, bins=4, range=[[-4, 4], [-4, 4]])
    assert np.all(counts.ravel()[[0, 2, 5, 7, 8, 10, 13, 15]] > 1000 - 4 * math.sqrt(1000 * 7 / 8))  # four deviations


def test_pinwheel_has_no_density_in_closed_form():
    assert (SETS["pinwheel"].log_prob, SETS["pinwheel"].entropy) == (None, None)


def test_an_unknown_data_set_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="name: got 'moons', expected one of two-moons, two-circles"):
        densities.data_set("moons")


@pytest.mark.parametrize("make", [densities.two_moons, densities.two_circles, densities.spirals])
def test_noise_that_the_quadrature_does_not_resolve_is_refused(make):
    with pytest.raises(ValueError, match="noise: got 0.0, expected a standard deviation of at least 0.02"):
        make(0.0)
