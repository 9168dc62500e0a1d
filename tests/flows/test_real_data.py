"""Real data for flows: the way to standardised units and back keeps likelihoods in the units of the data."""

import math

import numpy as np
import pytest
from scipy.special import roots_legendre

from nodeedu.flows import Gaussian, StandardNormal, real_data

SETS = {
    "old-faithful": real_data.old_faithful(),
    "quakes-fiji": real_data.quakes_fiji(),
    "uci-digits": real_data.uci_digits(seed=0),
}
every_set = pytest.mark.parametrize("it", SETS.values(), ids=SETS)


@every_set
def test_standardised_columns_have_mean_zero_and_deviation_one(it):
    np.testing.assert_allclose(it.x.mean(0), 0.0, atol=1e-12)  # a sum of 1797 rounded terms
    np.testing.assert_allclose(it.x.std(0), 1.0, rtol=1e-12)


@every_set
def test_the_way_back_undoes_the_way_there(it):
    # The logit loses up to the factor 1/α = 100 of its 1e-16.
    np.testing.assert_allclose(it.from_data(it.to_data(it.x)), it.x, atol=1e-12)


@every_set
def test_the_log_determinant_is_that_of_differences(it):
    x = it.x[:5]
    h = 1e-5
    slopes = (it.to_data(x + h) - it.to_data(x - h)) / (2 * h)  # of each column: the map goes column by column
    # truncation h² and rounding 1e-14/h a column, on up to 64 columns
    np.testing.assert_allclose(it.log_det(x), -np.sum(np.log(slopes), axis=1), rtol=1e-7)


def test_a_density_in_minutes_integrates_to_one():
    it = SETS["old-faithful"]
    duration, waiting = np.linspace(-8.0, 15.0, 300), np.linspace(-60.0, 200.0, 300)
    grid = np.stack(np.meshgrid(duration, waiting), -1).reshape(-1, 2)
    x = it.from_data(grid)
    p = np.exp(StandardNormal(2).log_prob(x) + it.log_det(x))
    cell = (duration[1] - duration[0]) * (waiting[1] - waiting[0])
    assert np.sum(p) * cell == pytest.approx(1.0, abs=1e-12)  # 15 nodes a deviation: the rectangle rule is exact


def test_a_density_per_square_kilometre_has_the_mass_of_that_per_square_degree():
    latitude, weights = roots_legendre(20)
    latitude, weights = 45.0 * latitude - 30.0, 45.0 * weights  # −75° to 15°
    log_p = -np.log(90.0 * 360.0) * np.ones(20)  # uniform in degrees over all longitudes
    per_area = np.exp(real_data.per_square_kilometre(log_p, latitude))
    ring = 2 * math.pi * real_data.EARTH_RADIUS**2 * np.cos(np.radians(latitude)) * math.pi / 180.0  # km² a degree
    assert np.sum(weights * ring * per_area) == pytest.approx(1.0, rel=1e-13)  # cos φ cancels, a constant is left


def test_the_floor_of_dequantised_levels_is_the_levels():
    images = real_data.data.load("uci_digits_8x8")["images"].reshape(-1, 64)
    np.testing.assert_array_equal(np.floor(real_data.dequantise(images, seed=1)), images)


def test_digits_in_data_units_are_the_dequantised_images():
    images = real_data.data.load("uci_digits_8x8")["images"].reshape(-1, 64)
    it = SETS["uci-digits"]
    np.testing.assert_allclose(it.to_data(it.x), real_data.dequantise(images, seed=0), atol=1e-12)  # levels up to 17


def test_a_uniform_density_over_grey_levels_costs_their_logarithm_in_bits():
    assert real_data.bits_per_dim(-64 * math.log(17.0), 64) == pytest.approx(math.log2(17.0), rel=1e-15)  # roundings


def test_a_normal_density_codes_held_out_digits_with_fewer_bits_than_a_uniform_one():
    it = SETS["uci-digits"]
    order = np.random.default_rng(0).permutation(len(it.x))
    train, rest = it.x[order[:1400]], it.x[order[1400:]]
    normal = Gaussian(train.mean(0), np.cov(train.T) + 1e-3 * np.eye(64))
    bits = real_data.bits_per_dim(normal.log_prob(rest) + it.log_det(rest), 64)
    # 2.29 was measured; the mean over 397 images has a standard error of 0.01.
    assert bits.mean() == pytest.approx(2.29, abs=0.04)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: real_data.standardise("x", ("a", "b"), [[1.0, 2.0], [3.0, 2.0]]), "y: column 'b' is constant"),
        (lambda: real_data.standardise("x", ("a",), [[1.0], [np.nan]]), "y: got an entry that is not finite"),
        (lambda: real_data.standardise("x", ("a",), [[1.0], [18.0]], levels=17), "got grey levels from 1 to 18"),
        (lambda: real_data.dequantise([1.0, 2.5], 0), "levels: got an entry that is not a whole number"),
        (lambda: real_data.uci_digits(None), "seed: got None"),
        (lambda: SETS["old-faithful"].log_det(np.zeros(2)), r"x: got shape \(2,\), expected \(B, 2\)"),
    ],
)
def test_what_cannot_be_standardised_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
