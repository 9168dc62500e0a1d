"""Stability functions of Runge-Kutta methods: their intervals and flags are the known ones."""

from math import inf, sqrt

import numpy as np
import pytest
from implicit_methods import implicit

from nodeedu.verify import find
from nodeedu.verify.tableau.stability import stability_of


@pytest.mark.parametrize(
    ("name", "real", "imaginary"),
    [
        ("euler", 2.0, 0.0),
        ("heun", 2.0, 0.0),
        ("bosh3", 2.512745, sqrt(3)),  # of 1 + z + z**2/2 + z**3/6; Hairer & Wanner II, section IV.2
        ("rk4", 2.785294, sqrt(8)),
        ("dopri5", 3.306568, 0.997191),  # by bisection on abs(R), below
    ],
)
def test_explicit_methods_are_stable_on_the_axes_as_far_as_known(name, real, imaginary):
    stability = stability_of(find(name).A, find(name).b)
    assert stability.real_interval == pytest.approx(real, abs=2e-6)  # the digits above
    assert stability.imaginary_interval == pytest.approx(imaginary, abs=2e-6)


@pytest.mark.parametrize("name", ["rk4", "dopri5", "tsit5"])
def test_the_stability_interval_ends_where_the_modulus_of_a_step_passes_one(name):
    method = find(name)

    def modulus(z):  # from the definition, without the polynomial
        k = np.linalg.solve(np.eye(method.stages) - z * method.A, np.ones(method.stages))
        return abs(1 + z * method.b @ k)

    stability = stability_of(method.A, method.b)
    for direction, end in ((-1, stability.real_interval), (1j, stability.imaginary_interval)):
        assert modulus(direction * end * (1 - 1e-4)) < 1 < modulus(direction * end * (1 + 1e-4))


@pytest.mark.parametrize(
    ("name", "a_stable", "l_stable"),
    [
        ("implicit euler", True, True),
        ("trapezoid", True, False),
        ("sdirk2", True, True),
        ("gauss4", True, False),
        ("radau3", True, True),
    ],
)
def test_implicit_methods_are_stable_as_known(name, a_stable, l_stable):
    stability = stability_of(implicit(name).A, implicit(name).b)
    assert (stability.a_stable, stability.l_stable) == (a_stable, l_stable)
    assert stability.real_interval == inf


def test_a_diagonally_implicit_method_with_too_small_a_coefficient_is_not_a_stable():
    # Of the two methods of order 3, gamma = (3 +- sqrt(3)) / 6, only the larger gamma is (Hairer & Wanner II, IV.6).
    for sign, stable in ((1, True), (-1, False)):
        g = (3 + sign * sqrt(3)) / 6
        assert stability_of(np.array([[g, 0], [1 - 2 * g, g]]), np.full(2, 0.5)).a_stable is stable


def test_an_explicit_method_is_not_a_stable():
    assert not stability_of(find("rk4").A, find("rk4").b).a_stable


def test_the_stability_function_of_gauss_is_the_pade_approximation():
    stability = stability_of(implicit("gauss4").A, implicit("gauss4").b)
    # Coefficients of size 1 from eigenvalues: a few units of round-off.
    np.testing.assert_allclose(stability.numerator, [1, 1 / 2, 1 / 12], atol=1e-14)
    np.testing.assert_allclose(stability.denominator, [1, -1 / 2, 1 / 12], atol=1e-14)
    assert stability.order == 4
