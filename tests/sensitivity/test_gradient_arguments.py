"""Wrong arguments of `gradients` are named, right ones are left as they were."""

import copy

import numpy as np
import pytest
from adjoint_problems import V, both

import nodeedu as ne

METHODS = ("discrete", "backsolve", "forward")
RIGHT = {"field": V.field, "z0": V.z0, "ts": V.ts, "theta": V.theta, "zs_bar": V.targets}


def changed(array, index, value):
    array = array.copy()
    array[index] = value
    return array


WRONG = {
    "unknown method": ({"method": "magic"}, ValueError, "method: got 'magic', expected one of discrete"),
    "unknown solver": ({"solver": "magic"}, ValueError, "got 'magic', expected one of euler"),
    "missing observation": ({"zs_bar": V.targets[1:]}, ValueError, r"zs_bar: got shape \(3, 2\), expected \(4, 2\)"),
    "a number as loss gradient": ({"zs_bar": 1.0}, ValueError, r"zs_bar: got shape \(\), expected \(4, 2\)"),
    "transposed loss gradient": ({"zs_bar": V.targets.T}, ValueError, r"zs_bar: got shape \(2, 4\), expected \(4, 2\)"),
    "batch of loss gradients": ({"zs_bar": V.targets[:, None]}, ValueError, r"zs_bar: got shape \(4, 1, 2\)"),
    "nan in loss gradient": ({"zs_bar": changed(V.targets, (2, 1), np.nan)}, ValueError, r"zs_bar: got nan at .*2, 1"),
    "infinite loss gradient": ({"zs_bar": changed(V.targets, (0, 0), np.inf)}, ValueError, "zs_bar: got inf"),
    "complex loss gradient": ({"zs_bar": V.targets + 1j}, TypeError, "zs_bar: got complex numbers"),
    "loss gradient of objects": ({"zs_bar": V.targets.astype(object)}, TypeError, "zs_bar: got dtype object"),
    "nan in z0": ({"z0": [np.nan, 0.0]}, ValueError, "z0: got nan"),
    "wrong z0": ({"z0": np.zeros(3)}, ValueError, r"z0: got shape \(3,\)"),
    "empty batch": ({"z0": np.zeros((0, 2)), "zs_bar": np.zeros((4, 0, 2))}, ValueError, "z0: got the empty shape"),
    "nan in theta": ({"theta": [1.0, np.nan, 0.0, 0.0]}, ValueError, "theta"),
    "wrong theta": ({"theta": np.zeros(3)}, ValueError, "theta"),
    "repeated time": ({"ts": [0.0, 1.0, 1.0, 2.0]}, ValueError, "ts: got a repeated time"),
    "unsorted times": ({"ts": [0.0, 2.0, 1.0, 3.0]}, ValueError, "ts: got times that turn back"),
    "no times": ({"ts": [], "zs_bar": np.zeros((0, 2))}, ValueError, "ts: got shape"),
    "negative rtol": ({"rtol": -1e-6}, ValueError, "rtol"),
    "no tolerance": ({"rtol": 0.0, "atol": 0.0}, ValueError, "rtol and atol"),
    "negative step": ({"step_size": -0.1}, ValueError, "step_size"),
    "no steps": ({"max_steps": 0}, ValueError, "max_steps"),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_argument_is_named(case, method):
    wrong, error, message = WRONG[case]
    with pytest.raises(error, match=message):
        ne.gradients(**{**RIGHT, "method": method, **wrong})


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("field", [lambda t, z, theta: -z, np.sin, None])
def test_what_has_no_derivatives_is_refused_and_nothing_is_traced_silently(field, method):
    with pytest.raises(TypeError, match=r"ne\.vector_field"):
        ne.gradients(field, V.z0, V.ts, V.theta, V.targets, method=method)


@pytest.mark.parametrize("method", METHODS)
def test_too_few_steps_are_an_error(method):
    with pytest.raises(ne.SolverError, match="max_steps = 3"):
        ne.gradients(**RIGHT, method=method, max_steps=3, rtol=1e-9)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("name", "value"), [("z0", V.z0 + 1.0), ("ts", V.ts + 1.0), ("theta", V.theta + 1.0), ("field", ne.linear_field(2))]
)
def test_the_solution_of_another_problem_is_refused(name, value, method):
    arguments = RIGHT | {name: value}
    if name == "field":
        arguments["theta"] = (np.eye(2), np.zeros(2))
    with pytest.raises(ValueError, match=f"solution: got that of another .*{name}"):
        ne.gradients(**arguments, method=method, solution=ne.odeint(V.field, V.z0, V.ts, V.theta))


@pytest.mark.parametrize("method", METHODS)
def test_arguments_are_not_written_to_and_may_be_read_only_views(method):
    given = {name: np.repeat(RIGHT[name], 2, axis=-1)[..., ::2] for name in ("z0", "ts", "theta", "zs_bar")}
    before = copy.deepcopy(given)
    for array in given.values():
        assert not array.flags.contiguous
        array.flags.writeable = False
    g = ne.gradients(V.field, **given, method=method)
    for name, array in given.items():
        np.testing.assert_array_equal(array, before[name])
    np.testing.assert_array_equal(both(g), both(ne.gradients(**RIGHT, method=method)))


@pytest.mark.parametrize("method", METHODS)
def test_results_belong_to_the_caller(method):
    """Writing into one result changes neither the next nor the solution that both came from."""
    sol = ne.odeint(V.field, V.z0, V.ts, V.theta, record=True)
    first = ne.gradients(**RIGHT, method=method, solution=sol)
    expected, zs = both(first), sol.zs.copy()
    first.z0[...] = 0.0
    first.theta[...] = 0.0
    np.testing.assert_array_equal(both(ne.gradients(**RIGHT, method=method, solution=sol)), expected)
    np.testing.assert_array_equal(sol.zs, zs)


@pytest.mark.parametrize("method", METHODS)
def test_zero_loss_gradients_give_zero_gradients(method):
    g = ne.gradients(**RIGHT | {"zs_bar": np.zeros_like(V.targets)}, method=method)
    assert not both(g).any()
    assert not g.ts.any()


@pytest.mark.parametrize("method", ["discrete", "backsolve"])
def test_writing_into_the_states_of_a_solution_does_not_change_its_gradients(method):
    sol = ne.odeint(V.field, V.z0, V.ts, V.theta, record=True)
    expected = both(ne.gradients(**RIGHT, method=method, solution=sol))
    sol.zs[...] = np.nan
    np.testing.assert_array_equal(both(ne.gradients(**RIGHT, method=method, solution=sol)), expected)
