"""The vectorisable elementary functions: their error, their special values, their shape."""

import math
from functools import cache

import numpy as np
import pytest

from nodeedu.compile import elementary
from nodeedu.compile.build import build
from nodeedu.compile.kernels import JIT

OWN = ["tanh", "exp", "log", "sin", "cos", "sigmoid", "softplus"]
MANY = 20_000 if JIT else 200
PRECISIONS = {"64": np.float64, "32": np.float32}
own_functions = pytest.mark.parametrize("name", OWN)
both_precisions = pytest.mark.parametrize("suffix", PRECISIONS)

# The largest error in ulp, as documented in nodeedu.compile.elementary for machines without fused multiply-adds.
LARGEST_ERROR = {"tanh": 4.3, "exp": 1.8, "log": 0.9, "sin": 2.2, "cos": 2.2, "sigmoid": 2.7, "softplus": 2.2}
LARGEST_ERROR_FAR_OUT = 3.3  # of sin and cos up to 1e14: each of eight subtractions may round

# Where long double is double (Windows, Apple silicon) the reference errs by an ulp itself.
REFERENCE_ERROR = 0.0 if np.finfo(np.longdouble).eps < np.finfo(np.float64).eps else 1.0


def reference(name, x):
    """Return f(x) in extended precision."""
    x = x.astype(np.longdouble)
    if name == "sigmoid":
        return 1 / (1 + np.exp(-x))
    if name == "softplus":
        return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))
    return getattr(np, name)(x)


def error_in_ulp(value, exact):
    unit = np.spacing(np.abs(exact.astype(value.dtype)))  # at least the smallest subnormal number
    return np.max(np.abs(value - exact) / unit) - REFERENCE_ERROR


@cache
def emitted(name, suffix, arguments):
    """Return a loop over arrays, made the way emitted modules are: its flags include reassoc."""
    source = f"""
from numba import njit
from nodeedu.compile.build import FLAGS
from nodeedu.compile.elementary import {name}{suffix} as {name}

@njit(**FLAGS)
def loop({", ".join(arguments)}, out):
    for i in range(out.size):
        out[i] = {name}({", ".join(f"{each}[i]" for each in arguments)})
"""
    return build(source, f"loop_{name}{suffix}").loop


def in_a_loop(name, x, *y):
    out = np.empty_like(x)
    emitted(name, "64" if x.dtype == np.float64 else "32", "xy"[: 1 + len(y)])(x, *y, out)
    return out


def alone(name, x):
    function = getattr(elementary, name + ("64" if x.dtype == np.float64 else "32"))
    return np.array([function(each) for each in x], x.dtype)


def edges(values, dtype):
    """Return the values and their neighbours."""
    values = np.asarray(values, dtype)
    return np.concatenate([values, np.nextafter(values, dtype(-np.inf)), np.nextafter(values, dtype(np.inf))])


def points(name, dtype, n):
    """Return about 5 n numbers: the common range, the whole range, tiny ones, and where the reductions change."""
    rng = np.random.default_rng(0)
    largest = 700.0 if dtype == np.float64 else 85.0  # exp stays normal
    tiny = rng.choice([-1, 1], n) * 10.0 ** rng.uniform(-35, 0, n)
    random = [rng.uniform(-1, 1, n), 3 * rng.standard_normal(n), tiny]
    if name == "log":
        random += [10.0 ** rng.uniform(-35, 35, n), rng.uniform(0.7, 1.5, n)]
        borders = [2.0**k * math.sqrt(2) for k in range(-9, 9)]
    elif name in ("sin", "cos"):
        random += [rng.uniform(-40, 40, n), rng.uniform(-1e6, 1e6, n)]
        borders = [k * math.pi / 2 for k in range(-40, 41)]
    else:
        random += [rng.uniform(-40, 40, n), rng.uniform(-largest, largest, n)]
        borders = [(k + 0.5) * math.log(2) / 2 for k in range(-64, 64)]
    x = np.concatenate([*random, edges(borders, dtype)]).astype(dtype)
    return np.abs(x) if name == "log" else x


# -------------------- accuracy


@own_functions
@both_precisions
def test_error_in_a_reassoc_loop_is_within_the_documented_ulp(name, suffix):
    x = points(name, PRECISIONS[suffix], MANY)
    assert error_in_ulp(in_a_loop(name, x), reference(name, x)) <= LARGEST_ERROR[name]


@own_functions
@both_precisions
def test_error_of_a_single_call_is_within_the_documented_ulp(name, suffix):
    x = points(name, PRECISIONS[suffix], 200)
    assert error_in_ulp(alone(name, x), reference(name, x)) <= LARGEST_ERROR[name]


@pytest.mark.parametrize("name", ["sin", "cos"])
@both_precisions
def test_sin_and_cos_are_accurate_to_1e14(name, suffix):
    rng = np.random.default_rng(1)
    x = (rng.choice([-1, 1], MANY) * 10.0 ** rng.uniform(5, 13.99, MANY)).astype(PRECISIONS[suffix])
    assert error_in_ulp(in_a_loop(name, x), reference(name, x)) <= LARGEST_ERROR_FAR_OUT


@pytest.mark.parametrize("name", ["sin", "cos"])
@both_precisions
def test_sin_and_cos_keep_their_digits_next_to_their_zeros(name, suffix):
    # Numerators of the convergents of pi, and their halves: no numbers of their size are closer to a multiple of pi/2.
    numerators = [22, 333, 355, 103993, 104348, 833719, 80143857, 6167950454, 14885392687, 8958937768937]
    x = np.array([q / d for q in numerators for d in (1, 2)] + [k * math.pi / 2 for k in range(1, 60)])
    x = np.concatenate([x, -x]).astype(PRECISIONS[suffix])
    assert error_in_ulp(in_a_loop(name, x), reference(name, x)) <= LARGEST_ERROR_FAR_OUT


@pytest.mark.parametrize("name", ["sin", "cos"])
@pytest.mark.parametrize("x", [1.01e14, -1e15, 1e20, 1e300, np.inf, -np.inf])
def test_sin_and_cos_of_arguments_out_of_range_are_nan(name, x):
    assert np.isnan(getattr(elementary, name + "64")(x))


# -------------------- special values


@own_functions
@both_precisions
def test_nan_gives_nan(name, suffix):
    x = np.full(40, np.nan, PRECISIONS[suffix])
    assert np.isnan(in_a_loop(name, x)).all()


@own_functions
@both_precisions
def test_zeros_and_infinities_give_what_numpy_gives(name, suffix):
    x = np.array([0.0, -0.0, np.inf, -np.inf], PRECISIONS[suffix])
    with np.errstate(all="ignore"):
        expected = reference(name, x).astype(x.dtype)
    value = in_a_loop(name, x)
    np.testing.assert_array_equal(value, expected)
    zero = expected == 0
    np.testing.assert_array_equal(np.signbit(value[zero]), np.signbit(expected[zero]))


@pytest.mark.parametrize("name", ["tanh", "sin"])
@both_precisions
def test_tanh_and_sin_of_tiny_arguments_are_the_arguments(name, suffix):
    info = np.finfo(PRECISIONS[suffix])
    x = info.smallest_subnormal * np.array([1, -1, 2, 3, 1000], info.dtype)
    x = np.concatenate([x, info.smallest_normal * np.array([0.5, 1, -3], info.dtype)])
    np.testing.assert_array_equal(in_a_loop(name, x), x)


@pytest.mark.parametrize("name", ["exp", "sigmoid", "softplus"])
@pytest.mark.parametrize(("suffix", "first", "last"), [("64", -745.1, -708.5), ("32", -103.9, -87.4)])
def test_results_become_subnormal_before_they_become_zero(name, suffix, first, last):
    x = np.linspace(first, last, 50).astype(PRECISIONS[suffix])
    value = in_a_loop(name, x)
    assert (value > 0).all()
    # Half a unit for the rounding of a subnormal result, on top of the error before it.
    assert error_in_ulp(value, reference(name, x)) <= LARGEST_ERROR[name] + 0.5
    np.testing.assert_array_equal(in_a_loop(name, 2 * x), 0)


@pytest.mark.parametrize(("suffix", "last"), [("64", 709.782712893384), ("32", 88.72283)])
def test_exp_is_finite_up_to_the_largest_number_and_inf_beyond(suffix, last):
    dtype = PRECISIONS[suffix]
    last = dtype(last)  # the largest number whose exponential is finite: log of the largest number, rounded down
    below, beyond = in_a_loop("exp", np.array([last, np.nextafter(last, dtype(np.inf))]))
    assert below > 0.999 * np.finfo(dtype).max
    assert np.isfinite(below)
    assert np.isposinf(beyond)


@both_precisions
def test_log_of_subnormal_numbers_is_accurate(suffix):
    info = np.finfo(PRECISIONS[suffix])
    x = info.smallest_subnormal * np.array([1, 2, 3, 5, 1000, 12345, 2**22], info.dtype)
    assert error_in_ulp(in_a_loop("log", x), reference("log", x)) <= LARGEST_ERROR["log"]


@both_precisions
def test_log_of_negative_numbers_is_nan(suffix):
    info = np.finfo(PRECISIONS[suffix])
    x = np.array([-1.0, -info.smallest_subnormal, -info.max], info.dtype)
    assert np.isnan(in_a_loop("log", x)).all()


# -------------------- shape of the functions


@both_precisions
def test_tanh_is_exactly_odd(suffix):
    x = np.abs(points("tanh", PRECISIONS[suffix], 200))
    np.testing.assert_array_equal(in_a_loop("tanh", -x), -in_a_loop("tanh", x))


@both_precisions
def test_tanh_and_sigmoid_stay_within_their_bounds(suffix):
    x = np.linspace(0, 45, MANY).astype(PRECISIONS[suffix])
    assert in_a_loop("tanh", x).max() == 1
    assert in_a_loop("sigmoid", x).max() == 1


@pytest.mark.parametrize(("name", "first", "last"), [
    ("tanh", -4, 4), ("exp", -80, 80), ("log", 1e-3, 9), ("sin", -1.5, 1.5), ("cos", 3.2, 6.2), ("sigmoid", -80, 6),
    ("softplus", -80, 80),
])  # fmt: skip
@both_precisions
def test_functions_increase_where_they_should(name, first, last, suffix):
    x = np.linspace(first, last, 300).astype(PRECISIONS[suffix])  # steps far above the error, in float32 too
    assert (np.diff(in_a_loop(name, x)) > 0).all()


@own_functions
@both_precisions
def test_a_result_does_not_depend_on_its_place_in_the_array(name, suffix):
    # Vector lanes and the remainder of a loop are different machine code.
    x = points(name, PRECISIONS[suffix], 20)[:37]
    whole = in_a_loop(name, x)
    for start in range(37):
        np.testing.assert_array_equal(in_a_loop(name, x[start:].copy()), whole[start:])


# -------------------- functions that are NumPy's


@pytest.mark.parametrize("name", ["maximum", "minimum"])
@both_precisions
def test_maximum_and_minimum_propagate_nan(name, suffix):
    x = np.array([np.nan, 1.0, np.nan, 2.0, 3.0] * 8, PRECISIONS[suffix])
    y = np.array([1.0, np.nan, np.nan, 3.0, 2.0] * 8, PRECISIONS[suffix])
    np.testing.assert_array_equal(in_a_loop(name, x, y), getattr(np, name)(x, y))


@both_precisions
def test_sign_of_zero_is_zero_and_sign_of_nan_is_nan(suffix):
    x = np.array([0.0, np.nan, -3.0, 3.0, np.inf, -np.inf] * 6, PRECISIONS[suffix])
    np.testing.assert_array_equal(in_a_loop("sign", x), [0.0, np.nan, -1.0, 1.0, 1.0, -1.0] * 6)


@both_precisions
def test_relu_is_zero_below_zero_and_propagates_nan(suffix):
    x = np.array([-1.0, 0.0, 2.0, np.nan, np.inf, -np.inf] * 6, PRECISIONS[suffix])
    np.testing.assert_array_equal(in_a_loop("relu", x), [0.0, 0.0, 2.0, np.nan, np.inf, 0.0] * 6)
