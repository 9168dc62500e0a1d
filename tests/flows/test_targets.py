"""Target densities: their integrals in closed form, their scores by two routes, and why they have walls."""

import math

import numpy as np
import pytest
from scipy.special import roots_legendre

from nodeedu.autodiff import grad, record
from nodeedu.flows import targets

every_target = pytest.mark.parametrize("it", targets.TARGETS.values(), ids=targets.TARGETS)
ROOT = math.sqrt(2 * math.pi)
# Across the ridge stands a normal, or two; along it, the square and the two halves of a normal behind the walls.
ALONG = 2 * targets.WALL + 0.4 * ROOT


@pytest.mark.parametrize(("name", "deviations"), [("u2", 0.4), ("u3", 0.35 + 0.35), ("u4", 0.4 + 0.35)])
def test_the_normaliser_of_a_ridge_is_its_closed_form(name, deviations):
    closed_form = math.log(ROOT * deviations * ALONG)
    assert targets.target(name).log_normaliser == pytest.approx(closed_form, abs=1e-10)  # what the quadrature promises


def test_the_normaliser_of_the_ring_is_that_in_polar_coordinates():
    nodes, weights = roots_legendre(200)
    r, w = 4.0 * (nodes + 1.0), 4.0 * weights
    phi = 2 * math.pi * np.arange(200) / 200
    z = r[:, None, None] * np.stack([np.cos(phi), np.sin(phi)], -1)
    polar = 2 * math.pi / 200 * np.sum((w * r)[:, None] * np.exp(-targets.u1(z)))
    # In the plane the cone at the origin, of height exp(−18), limits the quadrature.
    assert targets.target("u1").log_normaliser == pytest.approx(math.log(polar), abs=1e-9)


@every_target
def test_an_energy_can_be_traced_and_its_gradient_is_that_of_differences(it):
    z = np.array([0.8, -0.4])
    gradient = grad(record(it.energy, {"z": z}, "loss")).evaluate({"z": z})["z_grad"]
    h = 1e-5
    differences = [(it.energy(z + h * e) - it.energy(z - h * e)) / (2 * h) for e in np.eye(2)]
    np.testing.assert_allclose(gradient, differences, atol=1e-7)  # h² × a third derivative up to 100


def test_the_score_of_a_target_is_the_gradient_of_its_log_density():
    it = targets.target("u4")
    z = 2.0 * np.random.default_rng(0).normal(size=(20, 2))
    h = 1e-5
    for i, e in enumerate(np.eye(2)):
        differences = (it.log_prob(z + h * e) - it.log_prob(z - h * e)) / (2 * h)
        np.testing.assert_allclose(it.score(z)[:, i], differences, atol=1e-7)  # as above


@pytest.mark.parametrize("name", ["u2", "u3", "u4"])
def test_without_walls_the_mass_along_a_ridge_grows_without_end(name):
    z2 = np.linspace(-9.0, 9.0, 1801)

    def mass_between_walls_at(end):
        z1 = np.linspace(-end, -4.0, 400)
        z = np.stack(np.broadcast_arrays(z1[:, None], z2), -1)
        bare = targets.TARGETS[name].energy(z) - targets._walls(z)
        return np.sum(np.exp(-bare)) * 0.01 * (z1[1] - z1[0])

    # Twice the length holds twice the mass: the density as printed has none. The rule adds one cell in 400.
    assert mass_between_walls_at(24.0) / mass_between_walls_at(14.0) == pytest.approx(2.0, rel=1e-3)


def test_walls_leave_the_square_of_the_figures_as_it_is():
    z = np.random.default_rng(1).uniform(-4.0, 4.0, (100, 2))
    np.testing.assert_array_equal(targets._walls(z), 0.0)


def test_an_unknown_target_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="name: got 'u5', expected one of u1, u2, u3, u4"):
        targets.target("u5")
