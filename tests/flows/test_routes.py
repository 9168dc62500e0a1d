"""The log density by three routes: that they agree where they must, and that they tell when something is missing."""

import numpy as np
import pytest
from bent_field import BENT, THETA

from nodeedu import flows, vector_field

POINTS = 80  # over some 12 standard deviations of a smooth density: the midpoint rule has converged beyond its digits


@pytest.fixture(scope="module")
def routes():
    flow = flows.CNF(BENT, rtol=1e-5, atol=1e-7)
    return flows.three_routes(flow, flow.sample(THETA, 5, seed=1), THETA, points=POINTS)


@pytest.mark.jit  # thousands of points
def test_trace_determinant_and_integral_agree(routes):
    assert routes.difference < 1e-6  # solved to 1e-9
    assert routes.integral == pytest.approx(1.0, abs=1e-4)
    assert routes.agree


@pytest.mark.jit  # thousands of points
def test_the_record_says_so_in_words(routes):
    assert "5 points by three routes: they agree" in str(routes)
    assert f"on {POINTS} x {POINTS} points" in str(routes)


@pytest.mark.jit  # thousands of points
def test_the_figure_shows_the_density_and_the_difference(routes):
    titles = [axis.get_xlabel() for axis in routes.figure().axes]
    assert "$x_1$" in titles
    assert "log density by trace (nats)" in titles


@pytest.mark.jit  # thousands of points
def test_mass_beyond_the_grid_is_missed_and_said():
    flow = flows.CNF(BENT, rtol=1e-4, base=flows.GaussianMixture([[0.0, 0.0], [90.0, 0.0]], 1.0, [0.9999, 0.0001]))
    with pytest.warns(UserWarning, match=r"integrates to .* over the grid, expected 1"):
        found = flows.three_routes(flow, np.zeros((1, 2)), THETA, points=12)
    assert not found.agree
    assert "THEY DIFFER" in str(found)


def test_in_more_than_two_dimensions_two_routes_are_left():
    field = vector_field(lambda t, z, theta: theta * np.roll(z, 1) * np.cos(z), np.zeros(3), np.array(0.8))
    found = flows.three_routes(flows.CNF(field), np.eye(3), np.array(0.8))
    assert found.integral is None
    assert found.difference < 1e-6  # solved to 1e-9
    assert len(found.figure().axes) == 1
