"""What a trace refuses, and that the message names the user's line and the remedy."""

import math

import numpy as np
import pytest

from nodeedu.autodiff import Tensor, TraceError, record
from nodeedu.autodiff.structure import as_arrays

Z = np.array([0.7, -0.4, 1.3])


def data_dependent_if(z):
    if z[0] > 0:
        return z
    return -z


def data_dependent_maximum(z):
    return max(z[0], z[1]) * z


def unknown_function(z):
    return np.fft.fft(z)


def unknown_ufunc(z):
    return np.arcsin(z)


def math_function(z):
    return math.sin(z[0]) * z


def write_into_argument(z):
    z[0] = 0.0
    return z


def add_into_argument(z):
    z += 1.0
    return z


def add_into_plain_array(z):
    dz = np.zeros(3)
    dz += z
    return dz


def write_into_plain_array(z):
    dz = np.zeros(3)
    dz[0] = z[1]
    return dz


def write_row_into_plain_array(z):
    dz = np.zeros((2, 3))
    dz[0] = z
    return dz


def recorded_index(z):
    return z[z]


def value_as_count(z):
    return sum(z[k] for k in range(int(z[0])))


def membership(z):
    return z if 1.0 in z else -z


def unknown_method(z):
    return z.astype(float)


def unknown_keyword(z):
    return np.sum(z, where=[True, False, True])


def unknown_reduction(z):
    return np.multiply.reduce(z)


def object_array_comparison(z):
    return np.maximum(np.array([z[0], z[1]]), 0.0)


def object_array_function(z):
    return np.sin(np.array([z[0], 0.0]))


def other_norm(z):
    return np.linalg.norm(z, 1) * z


def text_constant(z):
    return z * "2"


def complex_constant(z):
    return z * 1j


def helper_with_if(z):
    return data_dependent_if(z)


REFUSED = [
    (data_dependent_if, "if z[0] > 0:", "np.where"),
    (data_dependent_maximum, "max(z[0], z[1])", "np.maximum"),
    (unknown_function, "np.fft.fft(z)", "known are"),
    (unknown_ufunc, "np.arcsin(z)", "known are"),
    (math_function, "math.sin(z[0])", "np.sin, not math.sin"),
    (write_into_argument, "z[0] = 0.0", "build a new one"),
    (add_into_argument, "z += 1.0", "build a new one"),
    (add_into_plain_array, "dz += z", "build a new one"),
    (write_into_plain_array, "dz[0] = z[1]", "np.stack"),
    (write_row_into_plain_array, "dz[0] = z", "np.stack"),
    (recorded_index, "z[z]", "constant arrays"),
    (value_as_count, "int(z[0])", "turned into an integer"),
    (membership, "1.0 in z", "np.where"),
    (unknown_keyword, "where=", "unexpected keyword argument 'where'"),
    (unknown_reduction, "np.multiply.reduce(z)", "np.multiply.reduce is not recorded"),
    (object_array_comparison, "np.maximum(np.array", "np.stack"),
    (object_array_function, "np.sin(np.array", "np.stack"),
    (other_norm, "np.linalg.norm(z, 1)", "leave ord out"),
    (text_constant, 'z * "2"', "real numbers"),
    (complex_constant, "z * 1j", "real numbers"),
    (helper_with_if, "if z[0] > 0:", "np.where"),
]


@pytest.mark.parametrize(("function", "line", "remedy"), REFUSED, ids=lambda x: getattr(x, "__name__", ""))
def test_refusal_names_the_line_and_the_remedy(function, line, remedy):
    with pytest.raises(TraceError) as caught:
        record(function, {"z": Z})
    message = str(caught.value)
    assert "test_trace_errors.py, line " in message
    assert line in message
    assert remedy in message


def test_unknown_attribute_names_the_line():
    with pytest.raises(AttributeError, match=r"no \.astype .*return z\.astype\(float\)"):
        record(unknown_method, {"z": Z})


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda z: z + np.ones(2), r"add of shapes \(3,\) and \(2,\)"),
        (lambda z: np.ones((2, 2)) @ z, r"@ of shapes \(2, 2\) and \(3,\)"),
        (lambda z: z[0] @ z, r"@ of shapes \(\) and \(3,\)"),
        (lambda z: np.stack([z, z[:2]]), r"np.stack of shapes"),
        (lambda z: np.concatenate([z, z[None]]), "dimensions"),
        (lambda z: z.reshape(2, 2), "cannot reshape"),
    ],
)
def test_wrong_shapes_are_value_errors_as_in_numpy(function, said):
    with pytest.raises(ValueError, match=said):
        record(function, {"z": Z})


@pytest.mark.parametrize(
    "function", [lambda z: z[3], lambda z: z[[0, 5]], lambda z: z[-4], lambda z: z[0, 0], lambda z: z[[True, False]]]
)
def test_index_out_of_bounds_is_an_index_error(function):
    with pytest.raises(IndexError):
        record(function, {"z": Z})


@pytest.mark.parametrize(
    "function",
    [lambda z: np.sum(z, axis=1), lambda z: np.stack([z, z], axis=3), lambda z: np.concatenate([z, z], axis=1)],
)
def test_axis_out_of_bounds_is_an_axis_error(function):
    with pytest.raises(np.exceptions.AxisError):
        record(function, {"z": Z})


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (None, "returned None"),
        ({"z": 1.0}, "type dict"),
        ("text", "type str"),
        ([np.zeros(2), 1.0], r"pieces of shapes \[\(2,\), \(\)\]"),
        (np.array([1j]), "real numbers"),
    ],
)
def test_result_that_is_no_array_is_named(result, said):
    with pytest.raises(TraceError, match=said):
        record(lambda z: result, {"z": Z})


def test_errors_of_the_function_itself_pass_through():
    cause = KeyError("cause")

    def f(z):
        raise ValueError("of the function") from cause

    with pytest.raises(ValueError, match="of the function") as caught:
        record(f, {"z": Z})
    assert caught.value.__cause__ is cause


def test_tensor_inside_a_trace_is_refused():
    w = Tensor(2.0)
    with pytest.raises(TraceError, match="Tensor meets a traced array"):
        record(lambda z: w * z, {"z": Z})


@pytest.mark.parametrize("leaf", ["text", 1j, None.__class__, [np.zeros(2), "x"]])
def test_parameters_that_are_no_numbers_are_named_by_their_path(leaf):
    with pytest.raises(TypeError, match=r"theta\['a'\]"):
        as_arrays({"a": leaf})
