"""The tape itself: what is recorded once, what is left out, and how it is evaluated and shown."""

import functools
import warnings

import numpy as np
import pytest

from nodeedu.autodiff import CapturedArrayWarning, TraceError, record, sigmoid

Z = np.array([0.7, -0.4, 1.3])
A = np.array([[0.2, -1.1, 0.5], [0.9, 0.3, -0.6]])


def tape_value(f, **inputs):
    return record(f, inputs).evaluate(inputs)["y"]


def test_common_subexpressions_are_recorded_once():
    def f(z):
        first = np.tanh(z) * np.exp(z)
        again = np.tanh(z) * np.exp(z)
        return first + again

    ops = [node.op for node in record(f, {"z": Z}).nodes]
    assert ops == ["input", "tanh", "exp", "mul", "add"]


def test_constants_of_equal_bytes_and_other_shapes_are_told_apart():
    def f(z):
        return np.array([[1.0, 2.0, 3.0]]) @ z + np.array([1.0, 2.0, 3.0]) @ z

    assert tape_value(f, z=Z) == pytest.approx(2 * np.array([1.0, 2.0, 3.0]) @ Z)


def test_a_constant_in_the_tape_does_not_follow_later_changes():
    inside = np.array([1.0, 2.0, 3.0])

    def f(z, constant):
        return constant * z

    with pytest.warns(CapturedArrayWarning):
        tape = record(functools.partial(f, constant=inside), {"z": Z})
    inside[:] = 0.0
    assert np.array_equal(tape.evaluate({"z": Z})["y"], [1.0, 2.0, 3.0] * Z)


@pytest.mark.parametrize(
    "expression",
    [
        lambda z: z + 0,
        lambda z: 0 + z,
        lambda z: z * 1.0,
        lambda z: z / 1,
        lambda z: z**1,
        lambda z: np.negative(-z),
        lambda z: z - 0.0,
    ],
)
def test_neutral_elements_leave_nothing_on_the_tape(expression):
    tape = record(expression, {"z": Z})
    assert tape.outputs["y"] == tape.inputs["z"]


def test_evaluation_returns_arrays_of_its_own():
    z = Z.copy()
    y = record(lambda z: z, {"z": z}).evaluate({"z": z})["y"]
    y[:] = 0.0
    assert np.array_equal(z, Z)


def test_evaluation_passes_complex_numbers_and_float32_on():
    tape = record(lambda z: np.where(z > 0, sigmoid(z), -z) ** 2, {"z": Z})
    assert tape.evaluate({"z": Z.astype(np.float32)})["y"].dtype == np.float32
    assert tape.evaluate({"z": Z + 0j})["y"].dtype == complex


def test_evaluation_gives_inf_and_nan_without_warning():
    tape = record(lambda z: np.log(z) / z, {"z": Z})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y = tape.evaluate({"z": np.array([0.0, -1.0, np.nan])})["y"]
    assert y[0] == -np.inf
    assert np.isnan(y[1:]).all()


def test_evaluation_names_a_missing_input():
    tape = record(lambda z, theta: theta["k"] * z, {"z": Z, "theta": {"k": 1.0}})
    with pytest.raises(ValueError, match=r"no value for the input \"theta\['k'\]\""):
        tape.evaluate({"z": Z})


def test_evaluation_names_an_input_of_another_shape():
    with pytest.raises(ValueError, match=r"input 'z' has shape \(2,\): expected \(3,\)"):
        record(lambda z: z, {"z": Z}).evaluate({"z": Z[:2]})


def test_show_lists_what_is_computed_and_the_names_of_the_user():
    def f(z, theta):
        h = np.tanh(theta["W"] @ z)
        return h

    text = record(f, {"z": Z, "theta": {"W": A}}, "dz").show()
    assert [line.split() for line in text.splitlines()[2:]] == [
        ["v2", "=", "einsum", "v1,", "v0,", "ij,j->i", "(2,)"],
        ["v3", "=", "tanh", "v2", "(2,)", "h"],
        ["dz", "=", "v3"],
    ]


def test_traced_array_of_another_trace_is_refused():
    kept = []
    record(lambda z: kept.append(z) or z, {"z": Z})
    with pytest.raises(TraceError, match="must not keep arrays between calls"):
        record(lambda z: z + kept[0], {"z": Z})
