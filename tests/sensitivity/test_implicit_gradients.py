"""Backpropagation through implicit steps is exact: compared with complex steps through a Newton method of its own."""

from itertools import pairwise

import numpy as np
import pytest
from adjoint_problems import PROBLEMS, M, V, both, flat, gradients_of_loss, like, loss, loss_gradient
from gradient_truths import true_gradient

import nodeedu as ne
from nodeedu.autodiff.check import relative_error
from nodeedu.compile.handwritten import van_der_pol_field
from nodeedu.solvers.implicit import tableaus as implicit_tableaus

METHODS = implicit_tableaus.names()


def implicit_steps(problem, theta, z0, nodes, tableau):
    """Make implicit steps from node to node by Newton's method on all stages; complex numbers go through it."""
    s, D, outputs, z = tableau.stages, len(z0), [z0], z0
    for t, end in pairwise(nodes):
        h, k = end - t, np.zeros((s, D), complex)
        times = t + tableau.c * h
        for _ in range(8):  # the last two are round-off
            stages = z + h * tableau.A @ k
            residual = k - [problem.function(*at, theta) for at in zip(times, stages, strict=True)]
            # The Jacobians by hand at the real parts: once these have converged, the imaginary parts follow at once.
            J = [problem.jacobians(time, at.real, like(problem.theta, flat(theta).real))[0]
                 for time, at in zip(times, stages, strict=True)]  # fmt: skip
            matrix = np.eye(s * D) - h * np.einsum("ij,iab->iajb", tableau.A, J).reshape(s * D, s * D)
            k = k - np.linalg.solve(matrix, residual.reshape(-1)).reshape(s, D)
        for at in problem.ts[len(outputs) : np.searchsorted(problem.ts, end)]:  # strictly inside the step
            powers = ((at - t) / h) ** np.arange(1, s + 1)
            outputs.append(z + h * (tableau.interpolant @ powers) @ k)
        z = z + h * tableau.b @ k
        if end in problem.ts:
            outputs.append(z)
    return np.array(outputs)


def complex_step_gradient(problem, nodes, method):
    """dL/dz0 and dL/dtheta of the discrete solution on a given grid, (D + P,)."""
    D, x = len(problem.z0), np.append(problem.z0, flat(problem.theta))

    def discrete_loss(x):
        theta = like(problem.theta, x[D:])
        zs = implicit_steps(problem, theta, x[:D], nodes, implicit_tableaus.get(method))
        return loss(zs, problem.targets)

    return np.array([discrete_loss(x + 1e-30j * unit).imag for unit in np.eye(len(x))]) / 1e-30


def fixed_nodes(ts, n):
    """Each interval in n equal steps."""
    return np.append(np.concatenate([np.linspace(*span, n, endpoint=False) for span in pairwise(ts)]), ts[-1])


@pytest.mark.parametrize("method", METHODS)
def test_gradients_of_fixed_steps_are_exact(method):
    g = gradients_of_loss(V, "discrete", solver=method, step_size=0.31)  # two steps an interval
    assert g.stats.accepted == 6
    # Both solve the stages to round-off, which the matrix of the stages enlarges a little.
    assert relative_error(both(g), complex_step_gradient(V, fixed_nodes(V.ts, 2), method)) < 1e-13


def test_gradients_of_a_network_with_time_input_are_exact():
    g = gradients_of_loss(M, "discrete", solver="gauss_legendre4")
    assert relative_error(both(g), complex_step_gradient(M, M.ts, "gauss_legendre4")) < 1e-13  # as above


def test_gradients_of_radau5_are_exact_for_its_own_steps_and_outputs_inside_them():
    problem = V._replace(ts=np.linspace(0.2, 1.7, 9), targets=np.random.default_rng(3).normal(size=(9, 2)))
    options = {"rtol": 1e-7, "atol": 1e-7, "first_step": 0.05}
    sol = ne.odeint(V.field, V.z0, problem.ts, V.theta, method="radau5", record=True, **options)
    steps = sol._records.steps[: sol.stats.accepted]
    g = gradients_of_loss(problem, "discrete", solver="radau5", **options)
    expected = complex_step_gradient(problem, np.append(steps["t"], problem.ts[-1]), "radau5")
    # Newton's method leaves at most 3e-4 tolerances of error in the stages, and the loss enlarges it.
    assert relative_error(both(g), expected) < 1e-9


@pytest.mark.parametrize("problem", PROBLEMS, ids=["M", "V"])
def test_gradients_of_radau5_are_the_true_ones(problem):
    """By forward sensitivities with Jacobians by hand, solved by SciPy."""
    g = gradients_of_loss(problem, "discrete", solver="radau5", rtol=1e-9, atol=1e-9)
    assert relative_error(both(g), true_gradient(problem)) < 1e-7  # some hundred tolerances, for outputs inside steps


@pytest.mark.parametrize(("solver", "options"), [("radau5", {"rtol": 1e-9, "atol": 1e-11}), ("gauss_legendre4", {})])
def test_the_times_have_their_gradients_too(truth, problem, solver, options):
    """In sum they are what a shift of the clock does to the field, which forward sensitivity tells, too."""
    options = options or {"step_size": 0.01}
    g = ne.gradients(
        problem.field, problem.z0, problem.ts, problem.theta, loss_gradient(truth.zs, problem.targets), solver=solver,
        **options,
    )  # fmt: skip
    shift = np.sum(loss_gradient(truth.zs, problem.targets) * truth.shift)
    np.testing.assert_allclose(g.ts.sum(), shift, rtol=1e-6)  # rtol over some steps, and cancellation in the sum


def test_a_batch_with_its_own_times_is_the_sum_of_its_samples():
    z0 = np.array([[1.0, 0.5], [3.0, -6.0], [0.2, 0.3]])
    ts = np.array([[0.0, 0.4, 1.0], [0.0, 0.3, 0.9], [2.0, 0.1, 0.0]])  # the last one runs backwards
    zs_bar = np.random.default_rng(4).normal(size=(3, 3, 2))
    g = ne.gradients(V.field, z0, ts, V.theta, zs_bar, solver="radau5")
    alone = [ne.gradients(V.field, z0[b], ts[b], V.theta, zs_bar[:, b], solver="radau5") for b in range(3)]
    np.testing.assert_array_equal(g.z0, [each.z0 for each in alone])
    np.testing.assert_allclose(g.theta, sum(each.theta for each in alone), rtol=1e-13)  # the order of a sum
    np.testing.assert_array_equal(g.stats.nfev_backward, 3 * g.stats.accepted)
    assert g.stats.stored_states == 4 * sum(g.stats.accepted)  # a state and three slopes a step


def test_gradients_of_a_stiff_problem_agree_with_differences():
    """Van der Pol with mu = 1000 while it creeps: what is off the slow curve at the start is forgotten."""
    field, ts = van_der_pol_field(), np.array([0.0, 100.0, 300.0])
    options = {"method": "radau5", "rtol": 1e-9, "atol": 1e-11}

    def end(x, mu):
        return ne.odeint(field, [x, 0.0], ts, (np.array(mu),), **options).zs[-1, 0]

    zs_bar = np.array([[0.0, 0.0], [0.0, 0.0], [1.0, 0.0]])
    g = ne.gradients(field, [2.0, 0.0], ts, (np.array(1000.0),), zs_bar, solver="radau5", rtol=1e-9, atol=1e-11)
    # Central differences: the error of the solution, 1e-9, over the changes, and their squares.
    assert abs(g.z0[0] / ((end(2.01, 1000.0) - end(1.99, 1000.0)) / 0.02) - 1) < 1e-4
    assert abs(g.theta[0] / ((end(2.0, 1005.0) - end(2.0, 995.0)) / 10) - 1) < 1e-4
    assert abs(g.z0[1]) < 1e-3  # 1 / (3 mu)


def test_a_tensor_goes_through_an_implicit_solve():
    theta = ne.Tensor(V.theta)
    zs = ne.odeint(V.field, V.z0, V.ts, theta, method="gauss_legendre4", step_size=0.31).zs
    (0.5 * (zs**2).sum()).backward()
    bar = ne.odeint(V.field, V.z0, V.ts, V.theta, method="gauss_legendre4", step_size=0.31).zs
    g = ne.gradients(V.field, V.z0, V.ts, V.theta, bar, solver="gauss_legendre4", step_size=0.31)
    np.testing.assert_allclose(theta.grad, g.theta, rtol=1e-13)  # rounding


def test_loss_gradients_at_a_single_time_are_passed_through():
    zs_bar = loss_gradient(V.z0[None], V.targets[:1])
    g = ne.gradients(V.field, V.z0, V.ts[:1], V.theta, zs_bar, solver="radau5")
    np.testing.assert_array_equal(g.z0, zs_bar[0])
    np.testing.assert_array_equal(g.theta, np.zeros(4))
