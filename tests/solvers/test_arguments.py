"""Bad arguments are refused with a message that names the argument, what was got and what was expected."""

import math

import numpy as np
import pytest
from problems import PROBLEMS, oscillator

import nodeedu as ne
from nodeedu.compile import linear_field

FIELD, Z0, THETA = oscillator()
TS = [0.0, 1.0]


def solve(field=FIELD, z0=Z0, ts=TS, theta=THETA, **options):
    return ne.odeint(field, z0, ts, theta, **options)


@pytest.mark.parametrize(
    ("z0", "error", "message"),
    [
        ([2.0, math.nan], ValueError, r"z0: got nan at index \(1,\), expected finite numbers"),
        ([[2.0, 0.0], [-math.inf, 0.0]], ValueError, r"z0: got -inf at index \(1, 0\)"),
        ([1.0, 2.0, 3.0], ValueError, r"z0: got shape \(3,\), expected \(2,\) or, for B samples, \('B', 2\)"),
        (1.0, ValueError, r"z0: got shape \(\), expected \(2,\)"),
        (np.ones((2, 2, 2)), ValueError, r"z0: got shape \(2, 2, 2\), expected \(2,\)"),
        (np.zeros((0, 2)), ValueError, r"z0: got the empty shape \(0, 2\)"),
        ([[1.0, 2.0], [3.0]], ValueError, "z0: got nested sequences of unequal lengths"),
        ([1j, 2.0], TypeError, "z0: got complex numbers, expected real ones"),
        (["a", "b"], TypeError, "z0: got dtype <U1, expected real numbers"),
        (np.array([None, 1.0]), TypeError, "z0: got dtype object"),
        (None, TypeError, "z0: got dtype object"),
        (np.array([0, 1], "datetime64[D]"), TypeError, "z0: got dtype datetime64"),
    ],
)
def test_a_wrong_z0_is_refused(z0, error, message):
    with pytest.raises(error, match=message):
        solve(z0=z0)


@pytest.mark.parametrize("z0", [[], np.zeros((0, 3)), np.zeros((3, 0))])
def test_a_callable_needs_a_state_with_components(z0):
    with pytest.raises(ValueError, match="z0: got the empty shape"):
        ne.odeint(lambda t, z: z, z0, TS)


@pytest.mark.parametrize(
    ("ts", "error", "message"),
    [
        ([0.0, 1.0, 1.0], ValueError, "ts: got a repeated time, 1.0 at index 1 and then 1.0"),
        ([1.0, 1.0], ValueError, "ts: got a repeated time, 1.0 at index 0 and then 1.0"),
        ([0.0, -0.0], ValueError, "ts: got a repeated time"),
        ([0.0, 2.0, 1.0], ValueError, "ts: got times that turn back, 2.0 at index 1 and then 1.0"),
        ([0.0, -1.0, 1.0], ValueError, "ts: got times that turn back, -1.0 at index 1 and then 1.0"),
        ([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0]], ValueError, "ts: got a repeated time of sample 2"),
        ([0.0, math.nan], ValueError, r"ts: got nan at index \(1,\)"),
        ([math.nan], ValueError, r"ts: got nan at index \(0,\)"),
        ([0.0, math.inf], ValueError, r"ts: got inf at index \(1,\)"),
        ([[0.0, 1.0], [0.0, 1.0], [0.0, math.nan]], ValueError, r"ts: got nan at index \(2, 1\)"),
        ([-1e308, 1e308], ValueError, "ts: "),
        ([], ValueError, r"ts: got shape \(0,\), expected \(T,\) with T >= 1, or \(3, T\)"),
        (1.0, ValueError, r"ts: got shape \(\), expected \(T,\)"),
        (np.zeros((3, 0)), ValueError, r"ts: got shape \(3, 0\)"),
        ([[0.0, 1.0]] * 2, ValueError, r"ts: got shape \(2, 2\), expected \(T,\) with T >= 1, or \(3, T\)"),
        (np.ones((3, 1, 2)), ValueError, r"ts: got shape \(3, 1, 2\)"),
        ([[0.0, 1.0], [0.0]], ValueError, "ts: got nested sequences of unequal lengths"),
        (["a"], TypeError, "ts: got dtype <U1"),
        ([0.0, None], TypeError, "ts: got dtype object"),
        ([0.0, 1j], TypeError, "ts: got complex numbers"),
    ],
)
def test_wrong_times_are_refused(ts, error, message):
    with pytest.raises(error, match=message):
        solve(ts=ts)


def test_a_single_state_has_no_times_of_each_sample():
    with pytest.raises(ValueError, match=r"ts: got shape \(1, 2\), expected \(T,\) with T >= 1$"):
        solve(z0=Z0[0], ts=[TS])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rtol": -1e-6}, "rtol: got -1e-06, expected a number >= 0"),
        ({"rtol": math.nan}, "rtol: got nan"),
        ({"rtol": math.inf}, "rtol: got inf"),
        ({"rtol": "small"}, "rtol: got 'small'"),
        ({"rtol": None}, "rtol: got None"),
        ({"rtol": [1e-6, 1e-6]}, r"rtol: got \[1e-06, 1e-06\]"),
        ({"atol": -1.0}, "atol: got -1.0, expected numbers >= 0"),
        ({"atol": math.nan}, "atol: got nan"),
        ({"atol": [1e-6, math.inf]}, r"atol: got \[1e-06, inf\], expected numbers >= 0"),
        ({"atol": [1e-6, -1e-6]}, r"atol: got \[1e-06, -1e-06\], expected numbers >= 0"),
        ({"atol": [1e-6] * 3}, r"atol: got shape \(3,\), expected a scalar or the shape \(2,\) of a state"),
        ({"atol": np.full((3, 2), 1e-6)}, r"atol: got shape \(3, 2\), expected a scalar or the shape \(2,\)"),
        ({"rtol": 0.0, "atol": 0.0}, "rtol and atol: got zero for both"),
        ({"rtol": 0.0, "atol": [0.0, 1e-6]}, "rtol and atol: got zero for both"),
        ({"method": "RK45"}, r"method: got 'RK45' \(did you mean 'dopri5'\?\), expected one of euler, midpoint, "),
        ({"method": "redau5"}, r"method: got 'redau5' \(did you mean 'radau5'\?\), expected one of .*; radau5, "),
        ({"method": None}, "method: got None, expected one of euler"),
        ({"controller": "P"}, "controller: got 'P', expected one of 'I', 'PI', 'PID'"),
        ({"first_step": 0.1, "method": "rk4"}, "first_step: 'rk4' takes fixed steps"),
        ({"first_step": 0.1, "step_size": 0.1}, "first_step: 'dopri5' takes fixed steps"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        solve(**options)


@pytest.mark.parametrize("atol", ["tiny", 1j, None])
def test_an_atol_that_is_no_number_is_refused(atol):
    with pytest.raises(TypeError, match="^atol: got "):
        solve(atol=atol)


@pytest.mark.parametrize("value", [0, 0.0, -0.1, math.nan, -math.inf, "long", 1j, [0.1]])
@pytest.mark.parametrize("name", ["step_size", "first_step", "max_step", "max_steps"])
def test_a_size_must_be_a_positive_number(name, value):
    with pytest.raises(ValueError, match=rf"^{name}: got .*, expected a positive number"):
        solve(**{name: value})


@pytest.mark.parametrize("name", ["max_step", "max_steps"])
def test_a_limit_may_not_be_none(name):
    with pytest.raises((TypeError, ValueError), match=rf"^{name}: got None"):
        solve(**{name: None})


@pytest.mark.parametrize("options", [{"rtol": 0.0}, {"atol": 0.0}, {"atol": [0.0, 1e-9]}, {"atol": np.float32(1e-9)}])
def test_one_tolerance_may_be_zero(options):
    zs = solve(z0=Z0[0], **options).zs
    np.testing.assert_allclose(zs, solve(z0=Z0[0], rtol=1e-9).zs, rtol=0, atol=1e-5)  # rtol 1e-6, grown by the flow


@pytest.mark.parametrize("max_steps", [math.inf, 1e30, 10**30, np.int64(1000)])
def test_the_step_limit_may_be_any_large_number(max_steps):
    assert (solve(max_steps=max_steps).stats.status == 0).all()


def test_something_that_is_neither_field_nor_callable_is_refused():
    with pytest.raises(TypeError, match="field: got 3, expected a vector field or a callable"):
        solve(field=3)


# ---------------------------------------------------------------- parameters of a field


@pytest.fixture(scope="module")
def rates():
    """A traced field with a dictionary of parameters, and these."""
    theta = {"slow": np.array(0.5), "fast": np.array([1.0, 2.0])}
    return ne.vector_field(lambda t, z, theta: -theta["slow"] * theta["fast"] * z, np.ones(2), theta), theta


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_parameters_that_are_not_finite_are_named(rates, bad):
    field, theta = rates
    with pytest.raises(ValueError, match=r"theta\['fast'\]: got (nan|inf) at index \(1,\), expected finite numbers"):
        ne.odeint(field, [1.0, 1.0], TS, theta | {"fast": np.array([1.0, bad])})


def test_parameters_of_a_handwritten_field_that_are_not_finite_are_named():
    with pytest.raises(ValueError, match=r"theta\[0\]: got nan, expected finite numbers"):
        solve(theta=(math.nan,))


def test_parameters_of_another_shape_are_refused(rates):
    field, theta = rates
    with pytest.raises(ValueError, match=r"theta.*\['fast'\] \(3,\).*made for.*\['fast'\] \(2,\)"):
        ne.odeint(field, [1.0, 1.0], TS, theta | {"fast": np.ones(3)})


def test_missing_parameters_are_refused(rates):
    field, _ = rates
    with pytest.raises(ValueError, match="theta"):
        ne.odeint(field, [1.0, 1.0], TS)


def test_the_order_of_a_dictionary_of_parameters_does_not_matter():
    def f(t, z, theta):
        return np.array([theta["a"] * z[0], theta["b"] * z[1]])

    field = ne.vector_field(f, np.ones(2), {"a": 1.0, "b": 2.0})
    one, other = (ne.odeint(field, [1.0, 1.0], TS, theta).zs for theta in ({"a": 1.0, "b": 2.0}, {"b": 2.0, "a": 1.0}))
    np.testing.assert_array_equal(one, other)


def test_a_misspelt_parameter_is_refused(rates):
    field, theta = rates
    with pytest.raises(ValueError, match="theta.*rapid"):
        ne.odeint(field, [1.0, 1.0], TS, {"slow": theta["slow"], "rapid": theta["fast"]})


@pytest.mark.parametrize("fast", [np.array([1.0, 1j]), np.array([1.0, None]), np.array(["1", "2"])])
def test_parameters_that_are_no_real_numbers_are_refused(rates, fast):
    field, theta = rates
    with pytest.raises(TypeError, match="theta"):
        ne.odeint(field, [1.0, 1.0], TS, theta | {"fast": fast})


def test_parameters_too_large_for_a_float32_state_are_refused(rates):
    field, theta = rates
    with pytest.raises(ValueError, match=r"theta\['fast'\]"):
        ne.odeint(field, np.ones(2, np.float32), TS, theta | {"fast": np.array([1.0, 1e300])})


def test_integer_parameters_are_numbers():
    z0, b = PROBLEMS["linear"].z0, PROBLEMS["linear"].theta[1]
    one, other = (ne.odeint(linear_field(3), z0, TS, (M, b)).zs for M in (np.eye(3), np.eye(3, dtype=int).tolist()))
    np.testing.assert_array_equal(one, other)
