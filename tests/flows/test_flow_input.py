"""What flows refuse, and what they warn of."""

import warnings

import numpy as np
import pytest
from bent_field import BENT, THETA

from nodeedu import SolverError, flows, linear_field, relu, vector_field

X = np.random.default_rng(0).normal(size=(4, 2))
FLOW = flows.CNF(BENT)


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"base": flows.StandardNormal(3)}, ValueError, "base: got a density of 3 dimensions, expected 2"),
        ({"base": "normal"}, TypeError, "base: got 'normal', which has no dim"),
        ({"trace": "approximate"}, ValueError, "trace: got 'approximate', expected one of 'exact', 'hutchinson'"),
        ({"t0": 1.0}, ValueError, "t0 and t1: got 1.0 for both"),
        ({"t1": np.nan}, ValueError, "t1: got nan, expected a finite number"),
    ],
)
def test_a_flow_refuses(arguments, error, said):
    with pytest.raises(error, match=said):
        flows.CNF(BENT, **arguments)


def test_a_field_without_a_tape_has_no_trace():
    with pytest.raises(TypeError, match="hand-written field, which has no tape"):
        flows.CNF(linear_field(2))
    with pytest.raises(TypeError, match=r"expected one of ne.vector_field"):
        flows.CNF(lambda t, z: z)


def test_a_state_that_is_no_vector_is_refused():
    with pytest.raises(ValueError, match=r"states of shape \(2, 2\), expected \(D,\)"):
        flows.CNF(vector_field(lambda t, z, theta: theta * z, np.zeros((2, 2)), 1.0))


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (np.where(np.eye(2), np.nan, 0.0), r"x: got nan at index \(0, 0\)"),
        (np.zeros(2), r"x: got shape \(2,\), expected \(B, 2\), a sample a row; one sample is x\[None\]"),
        (np.zeros((3, 4)), r"x: got shape \(3, 4\), expected \(B, 2\)"),
    ],
)
def test_data_are_checked(x, said):
    for call in (FLOW.log_prob, FLOW.nll_and_gradient, FLOW.pull, FLOW.score):
        with pytest.raises(ValueError, match=said):
            call(x, THETA)


def test_noise_is_needed_and_checked():
    flow = flows.CNF(BENT, trace="hutchinson")
    with pytest.raises(ValueError, match=r"noise: got None.*ne.flows.rademacher\(\(4, 2\), seed\)"):
        flow.log_prob(X, THETA)
    with pytest.raises(ValueError, match=r"noise: got shape \(3, 2\), expected \(4, 2\)"):
        flow.log_prob(X, THETA, np.ones((3, 2)))
    with pytest.raises(ValueError, match="noise: got nan or infinite"):
        flow.log_prob(X, THETA, np.full((4, 2), np.inf))


def test_an_option_that_no_solver_has_is_refused():
    with pytest.raises(TypeError, match="unknown argument 'tol'; options of the solver are method, rtol"):
        FLOW.log_prob(X, THETA, tol=1e-3)
    with pytest.raises(ValueError, match="gradient: got 'forward'"):
        FLOW.nll_and_gradient(X, THETA, gradient="forward")


KINKED = {
    "np.maximum": lambda t, z, theta: relu(theta * z),
    "np.abs": lambda t, z, theta: theta * np.abs(z),
    "np.where": lambda t, z, theta: np.where(z > 0, theta * z, z),
    "np.greater": lambda t, z, theta: theta * (z > 0),
}


@pytest.mark.parametrize("name", KINKED)
def test_a_kink_in_z_is_warned_of_by_name(name):
    with pytest.warns(UserWarning, match=f"not continuously differentiable in z, because of {name}:"):
        flows.CNF(vector_field(KINKED[name], np.zeros(2), 1.0))


def test_a_jump_in_time_is_no_kink_in_z():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        flows.CNF(vector_field(lambda t, z, theta: np.where(t > 0.5, theta, np.abs(theta)) * z, np.zeros(2), 1.0))


def test_mass_that_leaks_to_infinity_is_said_with_its_time():
    flow = flows.CNF(vector_field(lambda t, z, theta: theta * z**2, np.zeros(1), np.array(1.0)))
    with pytest.raises(SolverError, match=r"z\[1\]: its path leaves all bounds at t = 0.5, .*mass leaks to infinity"):
        flow.push([[0.5], [2.0]], np.array(1.0))
    with pytest.raises(SolverError, match=r"x\[0\]: its path leaves all bounds at t = 0.5, .*comes from infinity"):
        flow.log_prob([[-2.0]], np.array(1.0))
