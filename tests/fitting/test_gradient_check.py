"""The gradient check passes when it should, and names what stands apart when it should not."""

import dataclasses

import numpy as np
import pytest

from nodeedu.autodiff.check import relative_error
from nodeedu.fitting import coordinates, gradient_check, report
from nodeedu.fitting.gradient_check import METHODS, ROUTES, check_gradient
from nodeedu.fitting.model import neural_field
from nodeedu.fitting.training import initial_theta


@pytest.fixture(scope="module")
def check(noisy):
    return check_gradient(noisy, coordinates.choose(noisy), seed=0)


def test_scipy_and_the_tape_agree_with_backpropagation_through_the_steps(noisy):
    c = coordinates.choose(noisy)
    s, z, theta = c.s(noisy.t)[:6], c.z(noisy.y)[:6], initial_theta(c, noisy, seed=0, scale=1.0)
    arguments = (neural_field(theta["weights"]), theta, s, z)
    got, expected = gradient_check._by_method(*arguments, "discrete"), gradient_check._by_scipy(*arguments)
    assert relative_error(got, expected) < 1e-8  # both solve to 1e-10, in some ten steps


@pytest.mark.jit  # 1664 solves for the differences
@pytest.mark.parametrize("route", ROUTES)
def test_five_routes_agree_on_the_gradient_of_the_training_loss(check, route):
    # solves to 1e-10 and a loss with 100 steps: two digits are lost; extrapolated differences lose three more
    limit = 1e-6 if route == "differences" else 1e-7
    others = [i for i, other in enumerate(ROUTES) if other not in (route, "differences")]
    assert check.errors[ROUTES.index(route), others].max() < limit


@pytest.mark.jit
def test_all_parameters_and_the_initial_state_are_checked(check):
    assert check.n_parameters == 2 + (20 * 2 + 20) + (2 * 20 + 2)


@pytest.mark.jit
def test_the_table_ends_in_one_sentence_that_says_they_agree(check):
    assert report.describe_check(check).splitlines()[-1].startswith("All five routes agree to ")


@pytest.mark.jit
def test_a_wrong_gradient_is_told_from_the_others(noisy, monkeypatch):
    def wrong(field, theta, s, z, method):
        gradient = right(field, theta, s, z, "discrete")
        return {**gradient, "z0": -gradient["z0"]} if method == "backsolve" else gradient

    right = gradient_check._by_method
    monkeypatch.setattr(gradient_check, "_by_method", wrong)
    monkeypatch.setattr(gradient_check, "ROWS", 6)  # fewer make shorter solves
    check = check_gradient(noisy, coordinates.choose(noisy), seed=0)
    bad = METHODS.index("backsolve")
    assert not check.agree
    assert np.delete(check.errors[bad], bad).min() > 1e-2  # the sign of two of 104 entries
    assert "do NOT all agree" in report.describe_check(check)


@pytest.mark.jit
def test_nan_is_not_agreement(check):
    assert not dataclasses.replace(check, errors=np.full((5, 5), np.nan)).agree
