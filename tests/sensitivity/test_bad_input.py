"""Wrong arguments of `gradients`."""

import numpy as np
import pytest
from truths import network

import nodeedu as ne

FIELD, Z0, TS, THETA, BAR = network()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"zs_bar": BAR[1:]}, ValueError, r"zs_bar: got shape \(3, 3, 2\), expected \(4, 3, 2\)"),
        ({"zs_bar": BAR * np.nan}, ValueError, r"zs_bar: got nan at index \(0, 0, 0\)"),
        ({"zs_bar": BAR * 1j}, TypeError, "zs_bar: got complex numbers"),
        ({"method": "adjoint"}, ValueError, "method: got 'adjoint', expected one of discrete, backsolve, forward"),
        ({"solver": "rk45"}, ValueError, "solver: got 'rk45' .*, expected one of euler"),
        ({"field": lambda t, z, theta: -z}, TypeError, "has no derivatives; .* ne.vector_field"),
        ({"z0": Z0[:, :1]}, ValueError, "z0: got shape"),
        ({"ts": TS[::-1] * 0}, ValueError, "ts: got a repeated time"),
    ],
)
def test_wrong_arguments_are_refused(arguments, error, message):
    given = {"field": FIELD, "z0": Z0, "ts": TS, "theta": THETA, "zs_bar": BAR} | arguments
    with pytest.raises(error, match=message):
        ne.gradients(**given)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"z0": Z0 + 1.0}, "solution: got that of another z0"),
        ({"ts": TS * 2.0}, "solution: got that of another ts"),
        ({"theta": tuple(2 * leaf for leaf in THETA)}, "solution: got that of another theta"),
    ],
)
def test_the_solution_of_another_problem_is_refused(wrong, message):
    sol = ne.odeint(FIELD, Z0, TS, THETA)
    given = {"z0": Z0, "ts": TS, "theta": THETA} | wrong
    with pytest.raises(ValueError, match=message):
        ne.gradients(FIELD, **given, zs_bar=BAR, solution=sol)


def test_a_backward_solve_that_fails_says_so():
    # z' = -40 z forgets where it came from: backwards, the tolerance cannot be met in 30 steps
    field = ne.linear_field(1)
    theta = (np.array([[-40.0]]), np.zeros(1))
    with pytest.raises(ne.SolverError, match="backsolve: dopri5 stopped at t = .*: max_steps"):
        ne.gradients(field, [1.0], [0.0, 2.0], theta, [[0.0], [1.0]], method="backsolve", max_steps=80, rtol=1e-6)


def test_a_forward_solve_that_fails_raises():
    with pytest.raises(ne.SolverError, match="sample 0: dopri5 stopped"):
        ne.gradients(FIELD, Z0, TS, THETA, BAR, max_steps=2)
