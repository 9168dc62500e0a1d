"""Array functions of fields, rewritten for a thread: the same numbers, here as plain Python."""

import ast
from dataclasses import replace

import numpy as np
import pytest

import nodeedu as ne
from nodeedu.compile import van_der_pol_field
from nodeedu.cuda.device import SIMULATOR
from nodeedu.cuda.emitted import _parameters, field_function, gradient_function

pytestmark = pytest.mark.cuda

PYTHON = replace(SIMULATOR, core=lambda function: function)  # is not the simulator's: functions are rewritten


def perceptron(t, z, theta):
    return theta["V"] @ np.tanh(theta["W"] @ z + theta["b"]) + theta["c"]


RNG = np.random.default_rng(0)
THETA = {"W": RNG.normal(size=(9, 2)), "b": RNG.normal(size=9), "V": RNG.normal(size=(2, 9)), "c": RNG.normal(size=2)}
FIELDS = {
    "traced": (ne.vector_field(perceptron, np.zeros(2), THETA), THETA),
    "by hand": (van_der_pol_field(), (np.array(1.3),)),
}
T, Z, A = np.array([0.3]), np.array([[0.4, -0.7]]), np.array([[1.1, 0.2]])


def results(kind, name, rewrite):
    """Call a function of a field on one sample; return what it has written."""
    field, theta = FIELDS[name]
    kernel, p = field.kernel(kind, np.float64), field.pack(theta, np.float64)
    out = {"f": [(1, 2)], "vjp_z": [(1, 2), (1, 2)], "vjp_theta": [(field.n_params,)]}[kind]
    given, written = [T, Z] if kind == "f" else [T, Z, A], [np.zeros(shape) for shape in out]
    (rewrite(kernel.function) if rewrite else kernel.function)(*given, p, *written, np.zeros(max(kernel.work_size, 1)))
    return np.concatenate([each.ravel() for each in written])


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("kind", ["f", "vjp_z", "vjp_theta"])
def test_a_rewritten_function_computes_the_same(kind, name):
    def add(row, i, value):
        row[i] += value

    def rewrite(function):
        return gradient_function(function, PYTHON, add) if kind == "vjp_theta" else field_function(function, PYTHON)

    # The device's tanh is another, and compiled code may fuse multiply-adds: a few ulp of numbers below 10
    np.testing.assert_allclose(results(kind, name, rewrite), results(kind, name, None), rtol=0, atol=1e-14)


def test_a_name_that_is_set_twice_does_not_stand_for_a_parameter():
    tree = ast.parse("w = p[3]\nv = p[4]\nv = v + 1\nu = z[0]")
    assert {name: ast.unparse(entry) for name, entry in _parameters(tree).items()} == {"w": "p[3]"}
