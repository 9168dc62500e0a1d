"""What a user's function may do, and that its tape computes what the function computes."""

import cProfile
import functools
from collections import namedtuple

import numba
import numpy as np
import pytest
from expressions import CALLS, EXPRESSIONS, A, Z
from fields import FIELDS

from nodeedu.autodiff import record
from nodeedu.autodiff.numpy_functions import FUNCTIONS


def tape_value(f, **inputs):
    return record(f, inputs).evaluate(inputs)["y"]


def check_against_numpy(expression):
    expected = np.asarray(expression(Z, A), float)
    got = tape_value(expression, z=Z, a=A)
    assert got.shape == expected.shape
    assert np.allclose(got, expected, rtol=1e-14, atol=1e-14)  # the same operations, sums perhaps in another order


@pytest.mark.filterwarnings("ignore::nodeedu.autodiff.CapturedArrayWarning")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_of_the_list_computes_what_numpy_computes(name):
    check_against_numpy(CALLS[name])


@pytest.mark.filterwarnings("ignore::nodeedu.autodiff.CapturedArrayWarning")
@pytest.mark.parametrize("name", EXPRESSIONS)
def test_traced_expression_computes_what_numpy_computes(name):
    check_against_numpy(EXPRESSIONS[name])


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_tape_of_a_field_computes_the_field(field):
    tape = record(field.function, {"t": field.t, "z": field.z, "theta": field.theta}, "dz")
    expected = np.asarray(field.function(field.t, field.z, field.theta))
    got = tape.evaluate(field.inputs())["dz"]
    assert got.shape == expected.shape == field.z.shape
    assert np.allclose(got, expected, rtol=1e-13, atol=1e-14)  # einsum sums in another order than BLAS


# ----------------------------------------------------------------------------------------------------------- structures

Weights = namedtuple("Weights", "W b")


@pytest.mark.parametrize(
    ("theta", "roles"),
    [
        (np.array(2.0), ["theta"]),
        (2.0, ["theta"]),
        ((1.0, np.zeros(0)), ["theta[0]", "theta[1]"]),
        ([1.0, (2.0, {"k": 3.0})], ["theta[0]", "theta[1][0]", "theta[1][1]['k']"]),
        ({"a": 1.0, "b": [2.0], 3: 4.0}, ["theta['a']", "theta['b'][0]", "theta[3]"]),
        (Weights(np.zeros((2, 2)), np.zeros(2)), ["theta[0]", "theta[1]"]),
        (None, []),
    ],
)
def test_parameters_keep_their_containers_and_have_their_path_as_role(theta, roles):
    seen = []
    tape = record(lambda z, theta: seen.append(theta) or z, {"z": Z, "theta": theta})
    assert type(seen[0]) is type(theta) or not isinstance(theta, (tuple, list, dict))
    assert list(tape.inputs) == ["z", *roles]


def test_named_tuple_is_seen_inside_as_a_named_tuple():
    theta = Weights(A, np.array([1.0, 2.0]))
    got = record(lambda z, theta: theta.W @ z + theta.b, {"z": Z, "theta": theta})
    values = got.evaluate({"z": Z, "theta[0]": theta.W, "theta[1]": theta.b})
    assert np.allclose(values["y"], A @ Z + theta.b, rtol=1e-15)


@pytest.mark.parametrize("shape", [(), (1,), (0,), (3,), (2, 3), (2, 1, 3)])
def test_state_may_have_any_shape(shape):
    z = np.random.default_rng(0).normal(size=shape)
    assert np.array_equal(tape_value(lambda z: 2.0 * z + 1.0, z=z), 2.0 * z + 1.0)


# --------------------------------------------------------------------------------------------------- kinds of functions


def scaled(z, a, factor=2.0):
    return factor * z


class Model:
    factor = 2.0

    def __call__(self, z, a):
        return self.factor * z

    def method(self, z, a):
        return self.factor * z


def decorated(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


@pytest.mark.parametrize(
    "function",
    [
        scaled,
        numba.njit(scaled),
        lambda z, a: scaled(z, a),
        functools.partial(scaled, factor=2.0),
        Model(),
        Model().method,
        decorated(scaled),
    ],
    ids=["function", "compiled function", "lambda", "partial", "callable object", "method", "decorated"],
)
def test_any_callable_can_be_traced(function):
    assert np.array_equal(tape_value(function, z=Z, a=A), 2.0 * Z)


def test_function_is_called_once():
    calls = []
    record(lambda z: calls.append(0) or z, {"z": Z})
    assert len(calls) == 1


def test_nodes_are_named_after_the_locals_of_the_function():
    def f(z, theta):
        weights = theta["W"]
        hidden = np.tanh(weights * z)
        return 2 * hidden

    tape = record(f, {"z": Z, "theta": {"W": Z}})
    assert [node.name for node in tape.nodes if node.name] == ["z", "weights", "hidden"]


def test_python_keywords_are_not_used_as_names():
    tape = record(lambda z, theta: theta["lambda"] * z, {"z": Z, "theta": {"lambda": 1.0}})
    assert [node.name for node in tape.nodes if node.op == "input"] == ["z", ""]


def test_a_traced_value_can_be_printed():
    shown = []
    record(lambda z: shown.append(f"{z[0]:.3f} {z}") or z, {"z": Z})
    assert shown == ["Traced(v1, shape=()) Traced(v0, shape=(3,))"]


def test_tracing_works_under_a_profiler():
    with cProfile.Profile():
        assert np.array_equal(tape_value(lambda z: 2 * z, z=Z), 2 * Z)


def test_lines_of_the_tape_know_the_lines_of_the_function():
    def f(z):
        x = np.sin(z)
        return np.cos(x)

    lines = {node.op: node.line for node in record(f, {"z": Z}).nodes}
    assert lines["cos"] == lines["sin"] + 1 == f.__code__.co_firstlineno + 2
