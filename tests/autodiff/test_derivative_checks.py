"""The checks themselves: exact where they should be, honest about their error, and able to see a mistake."""

import numpy as np
import pytest

from nodeedu.autodiff import (
    central_difference,
    complex_step,
    dot_product_test,
    record,
    relative_error,
    tape_dot_product_test,
)

X = {"a": np.array([0.3, -0.7]), "b": [np.array(1.2), np.zeros(0)]}


def f(x):
    a, b = x["a"], x["b"][0]
    return np.stack([np.sin(a[0]) * b, np.exp(a[1] * b), a[0] * a[1] ** 3])


def exact_derivative(x):
    (p, q), b = x["a"], x["b"][0]
    by_a = [[np.cos(p) * b, 0.0], [0.0, b * np.exp(q * b)], [q**3, 3 * p * q**2]]
    return {"a": np.array(by_a), "b": [np.array([np.sin(p), q * np.exp(q * b), 0.0]), np.zeros((3, 0))]}


@pytest.mark.parametrize("derivative", [lambda f, x: central_difference(f, x).value, complex_step])
def test_derivatives_by_all_entries_have_the_structure_of_the_argument(derivative):
    got, expected = derivative(f, X), exact_derivative(X)
    for x, y in [(got["a"], expected["a"]), (got["b"][0], expected["b"][0]), (got["b"][1], expected["b"][1])]:
        assert x.shape == y.shape
        assert np.allclose(x, y, rtol=0, atol=1e-12)  # rounding of the differences: 2e-16 / (smallest step 5e-4)


def test_complex_step_is_exact_to_rounding():
    assert relative_error(complex_step(f, X), exact_derivative(X)) < 1e-15


def test_directional_derivative_is_the_derivative_times_the_direction():
    v = {"a": np.array([1.0, -2.0]), "b": [np.array(0.5), np.zeros(0)]}
    exact = exact_derivative(X)
    expected = exact["a"] @ v["a"] + exact["b"][0] * v["b"][0]
    assert np.allclose(
        central_difference(f, X, v).value, expected, rtol=1e-11
    )  # rounding: 2e-16 / (smallest step 2e-4)
    assert np.allclose(complex_step(f, X, v), expected, rtol=1e-15)


@pytest.mark.parametrize("x", [0.1, 1.0, 30.0, 1e4])
@pytest.mark.parametrize("g", [np.sin, np.cosh, lambda x: 1.0 / x, lambda x: np.sqrt(x) * np.log(x)])
def test_error_estimate_of_extrapolation_bounds_the_error(g, x):
    if g is np.cosh:
        x = min(x, 30.0)
    value, error = central_difference(g, x)
    assert abs(value - complex_step(g, x)) <= 3.0 * error  # an estimate: the last correction, no strict bound


def test_extrapolation_reaches_what_a_single_difference_cannot():
    error = abs(central_difference(np.exp, 1.0).value - np.e)
    best_single = min(abs((np.exp(1 + h) - np.exp(1 - h)) / (2 * h) - np.e) for h in 10.0 ** -np.arange(1, 12))
    assert error < best_single / 10


def test_large_steps_out_of_the_domain_do_not_spoil_the_result():
    with np.errstate(invalid="ignore"):
        value, error = central_difference(np.log, np.array(0.01))  # the first steps, 0.06 to 0.016, leave x > 0
    assert value == pytest.approx(100.0, rel=1e-6)  # steps of 0.008 and less beside a pole at 0.01: few orders remain
    assert abs(value - 100.0) <= error


def test_noise_in_the_function_shows_in_the_error_estimate():
    rng = np.random.default_rng(0)
    value, error = central_difference(lambda x: np.sin(x) + 1e-6 * rng.normal(), 0.4)
    assert 1e-7 < error < 1e-3
    assert abs(value - np.cos(0.4)) < 10 * error  # the noise differs between evaluations: no strict bound


def test_derivative_that_does_not_exist_has_a_large_error():
    assert (
        central_difference(lambda x: np.abs(x - 1e-5), 0.0).error > 0.01 or central_difference(np.abs, 0.0).value == 0.0
    )


def test_complex_step_refuses_a_function_that_drops_the_imaginary_part():
    with pytest.raises(TypeError, match="must pass the imaginary part on"):
        complex_step(np.abs, 0.3)


def test_numerical_derivatives_refuse_what_is_not_numbers():
    with pytest.raises(TypeError, match=r"x\['a'\] has dtype"):
        central_difference(f, {"a": "text"})


def test_dot_product_test_is_zero_to_rounding_for_a_matrix_and_its_transpose():
    A = np.random.default_rng(0).normal(size=(4, 3))
    assert dot_product_test(lambda v: A @ v, lambda w: w @ A, np.ones(3), np.arange(4.0)) < 1e-15  # 12 terms


def test_dot_product_test_sees_one_wrong_entry():
    rng = np.random.default_rng(0)
    A = rng.normal(size=(4, 3))
    wrong = A.copy()
    wrong[2, 1] *= -1.0
    assert dot_product_test(lambda v: A @ v, lambda w: w @ wrong, rng.normal(size=3), rng.normal(size=4)) > 1e-3


def test_dot_product_test_of_a_tape_sees_a_wrong_rule(monkeypatch):
    from nodeedu.autodiff import primitives

    tape = record(lambda z, theta: np.sin(theta @ z), {"z": np.ones(3), "theta": np.ones((2, 3))}, "dz")
    point = {"z": np.array([0.1, -0.4, 0.7]), "theta": np.arange(6.0).reshape(2, 3)}
    assert tape_dot_product_test(tape, point) < 1e-15  # 6 terms
    row = primitives.STRUCTURAL["einsum"]
    wrong = row._replace(jvp=lambda tangents, x, **attrs: 2.0 * row.jvp(tangents, x, **attrs))
    monkeypatch.setitem(primitives.STRUCTURAL, "einsum", wrong)
    assert tape_dot_product_test(tape, point) > 1e-3


@pytest.mark.parametrize(
    ("got", "expected", "error"),
    [
        ([1.0, 2.0], [1.0, 2.0], 0.0),
        (3.0, 2.0, 0.5),
        ({"a": 0.3}, {"a": 0.0}, 0.3),
        (np.zeros((0, 2)), np.zeros((0, 2)), 0.0),
    ],
)
def test_relative_error_is_relative_to_the_expected_norm(got, expected, error):
    assert relative_error(got, expected) == pytest.approx(error)
