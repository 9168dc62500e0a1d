"""Arrays that a traced function was not given: constants, each named once in a warning."""

import functools
import types
import warnings

import numpy as np
import pytest

from nodeedu.autodiff import CapturedArrayWarning, record

Z = np.array([0.7, -0.4, 1.3])
WEIGHTS = np.array([[0.2, -1.1, 0.5], [0.9, 0.3, -0.6], [0.1, 0.0, 1.0]])
PARAMETERS = {"W": [WEIGHTS.copy()], "k": 2.0}
NAMESPACE = types.SimpleNamespace(W=WEIGHTS.copy(), unused=WEIGHTS.copy())


def captures_global(z):
    return WEIGHTS @ z


def captures_before_use(z):
    return (2.0 * WEIGHTS) @ z


def captures_in_a_container(z):
    return PARAMETERS["W"][0] @ z


def captures_in_a_namespace(z):
    return NAMESPACE.W @ z


def captures_by_default(z, W=WEIGHTS):
    return W @ z


def captures_in_a_helper(z):
    return captures_global(z)


def given(z, W):
    return W @ z


def captures_in_a_closure():
    inner = WEIGHTS.copy()
    return lambda z: inner @ z


class Holder:
    def __init__(self):
        self.W = WEIGHTS.copy()
        self.unused = WEIGHTS.copy()

    def apply(self, z):
        return self.W @ z

    def __call__(self, z):
        return self.apply(z)


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (captures_global, "WEIGHTS"),
        (captures_before_use, "WEIGHTS"),
        (captures_in_a_container, r"PARAMETERS\['W'\]\[0\]"),
        (captures_in_a_namespace, "NAMESPACE.W"),
        (captures_by_default, "W"),
        (captures_in_a_helper, "WEIGHTS"),
        (captures_in_a_closure(), "inner"),
        (functools.partial(given, W=WEIGHTS), "W"),
        (Holder(), "self.W"),
        (Holder().apply, "self.W"),
        (lambda z: np.stack([WEIGHTS[0] @ z for _ in range(2)]), "WEIGHTS"),
    ],
)
def test_captured_array_is_named_once(function, name):
    with pytest.warns(CapturedArrayWarning, match=f"captures the array [\"']{name}") as caught:
        record(function, {"z": Z})
    assert len(caught) == 1
    assert caught[0].filename == __file__


def test_arrays_that_the_function_makes_or_gets_are_not_captured():
    T = WEIGHTS.copy()

    def f(z, theta):
        return theta.T @ np.array([1.0, 2.0, 3.0]) + z * len([T for T in range(2)])

    assert T is not None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        record(f, {"z": Z, "theta": WEIGHTS})


def test_captured_numbers_are_constants_without_a_warning():
    k, listed = np.float64(2.0), [1.0, 2.0, 3.0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.array_equal(record(lambda z: k * z + listed, {"z": Z}).evaluate({"z": Z})["y"], k * Z + listed)
