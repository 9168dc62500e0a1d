"""`interpolated` and `quadrature`: the adjoint along the dense output of the forward solve."""

import numpy as np
import pytest
from adjoint_problems import TIGHT, V, both, flat, gradients_of_loss, loss_gradient
from gradient_truths import contract, true_gradient
from watched_fields import decaying_memory, forced_decay

import nodeedu as ne
from nodeedu.autodiff.check import relative_error

along_the_path = pytest.mark.parametrize("method", ["interpolated", "quadrature"])
STARTS = np.array([[0.0, 0.0], [3.0, -6.0], [1.0, 0.5], [2.0, 3.0]])
OWN_TIMES = np.array([V.ts, V.ts + 0.2, V.ts[::-1], 1.5 * V.ts])
BAR = np.random.default_rng(0).normal(size=(4, 4, 2))


def gradient(method, picked=slice(None), **options):
    z0, ts, bar = STARTS[picked], OWN_TIMES[picked], BAR[:, picked]
    return ne.gradients(V.field, z0, ts, V.theta, bar, method=method, **options)


@along_the_path
def test_the_gradient_is_right_to_1e_8_at_rtol_1e_10(problem, truth, method):
    g = gradients_of_loss(problem, method, **TIGHT)
    assert relative_error(both(g), contract(truth, loss_gradient(truth.zs, problem.targets))) < 1e-8  # the promise


@along_the_path
def test_the_gradient_is_right_on_decreasing_times_and_with_respect_to_them(method):
    backwards = V.ts[::-1]
    g = gradients_of_loss(V, method, ts=backwards, **TIGHT)
    assert relative_error(both(g), true_gradient(V, backwards)) < 1e-8  # the promise
    other = gradients_of_loss(V, "forward", ts=backwards, **TIGHT)
    np.testing.assert_allclose(g.ts, other.ts, rtol=1e-8)  # as above


@along_the_path
@pytest.mark.parametrize(("solver", "order"), [("euler", 1), ("midpoint", 2), ("rk4", 4)])
def test_on_fixed_steps_the_error_falls_with_the_order_of_the_method(method, solver, order):
    """Methods without an interpolant get cubic Hermite polynomials, which are of order 4 in a and in z."""
    options = {"solver": solver, "rtol": 1e-10}  # rtol is that of the quadrature
    truth = true_gradient(V)
    found = [gradients_of_loss(V, method, step_size=h, **options) for h in (0.025, 0.0125)]
    errors = [relative_error(both(g), truth) for g in found]
    assert np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.2)  # the next term is a few percent


@along_the_path
def test_samples_of_a_batch_go_back_over_steps_of_their_own(method):
    everyone = gradient(method)
    alone = [gradient(method, [b]) for b in range(4)]
    np.testing.assert_array_equal(everyone.z0, [g.z0[0] for g in alone])
    np.testing.assert_array_equal(everyone.stats.nfev_backward, [g.stats.nfev_backward[0] for g in alone])
    np.testing.assert_allclose(everyone.theta, sum(g.theta for g in alone), rtol=1e-13)  # rounding of four terms
    exact = gradient("discrete", rtol=1e-10, atol=1e-12)
    assert relative_error(everyone.theta, exact.theta) < 1e-4  # rtol for each of some tens of steps, amplified


@along_the_path
def test_the_gradient_is_right_where_backsolve_has_lost_the_state(method):
    """x decays by exp(25) and is lost, yet y remembers it."""
    problem = decaying_memory(25.0)
    right = ne.gradients(*problem, method="forward", rtol=1e-11, atol=1e-13).theta
    assert relative_error(ne.gradients(*problem, method=method).theta, right) < 1e-6  # rtol; 1e-8 is observed
    assert relative_error(ne.gradients(*problem, method="backsolve").theta, right) > 0.1


@along_the_path
def test_the_gradient_of_a_stiff_field_is_right(method):
    """x' = -50 (x - cos t)."""
    problem = forced_decay(50.0)
    right = ne.gradients(*problem, method="forward", **TIGHT)
    g = ne.gradients(*problem, method=method, **TIGHT)
    assert relative_error(both_of(g), both_of(right)) < 1e-7  # the promise


def both_of(g):
    return np.append(g.z0.ravel(), flat(g.theta))


def matrix_field(t, z, theta):
    """A matrix state, parameters of shapes (), (0,) and (2, 2), and one that is not used."""
    return theta["rate"] * (theta["W"] @ z - z) * np.cos(t) + np.sum(theta["none"])


@pytest.fixture(scope="module")
def matrix_problem():
    W = np.array([[0.3, -1.0], [0.7, 0.2]])
    theta = {"rate": np.array(0.8), "none": np.zeros(0), "W": W, "unused": np.ones(2)}
    z0, ts = np.array([[1.0, 0.5], [-0.3, 2.0]]), np.array([2.0, 1.2, 0.1])
    return ne.vector_field(matrix_field, z0, theta), z0, ts, theta, np.random.default_rng(1).normal(size=(3, 2, 2))


@pytest.mark.parametrize("method", ["interpolated", "quadrature", "checkpointed"])
def test_states_and_parameters_may_have_any_shape(matrix_problem, method):
    g, right = (ne.gradients(*matrix_problem, method=m, **TIGHT) for m in (method, "forward"))
    assert relative_error(g.z0, right.z0) < 1e-8  # the promise
    for name, leaf in right.theta.items():
        assert g.theta[name].shape == leaf.shape
        np.testing.assert_allclose(g.theta[name], leaf, rtol=1e-8)  # as above
    np.testing.assert_array_equal(g.theta["unused"], [0.0, 0.0])


@along_the_path
def test_an_observation_of_the_initial_state_alone_says_nothing_of_theta(method):
    for ts, bar in ((V.ts, [[1.0, 2.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]]), (V.ts[:1], [[1.0, 2.0]])):
        g = ne.gradients(V.field, V.z0, ts, V.theta, bar, method=method)
        np.testing.assert_array_equal(g.z0, [1.0, 2.0])
        assert not g.theta.any()
        assert not g.ts.any()


@along_the_path
@pytest.mark.parametrize("solver", ["dopri5", "rk4"])
def test_a_solution_is_reused_whether_it_kept_its_steps_or_not(method, solver):
    options = {"step_size": 0.1} if solver == "rk4" else {}
    direct = gradient(method, solver=solver, **options)
    for record in (True, False):
        sol = ne.odeint(V.field, STARTS, OWN_TIMES, V.theta, method=solver, record=record, **options)
        g = gradient(method, solution=sol)
        np.testing.assert_array_equal(g.z0, direct.z0)
        np.testing.assert_array_equal(g.theta, direct.theta)


@along_the_path
def test_a_jump_of_the_field_is_stepped_to_in_both_directions(method):
    g, right = (gradient(m, jump_ts=[0.6, 0.9], rtol=1e-9, atol=1e-11) for m in (method, "discrete"))
    assert relative_error(g.theta, right.theta) < 1e-7  # rtol for each of a hundred steps


@along_the_path
def test_the_gradient_of_a_float32_solve_is_float32(method):
    single = ne.gradients(V.field, STARTS.astype(np.float32), V.ts, V.theta, BAR, method=method, rtol=1e-4, atol=1e-6)
    exact = ne.gradients(V.field, STARTS, V.ts, V.theta, BAR, **TIGHT)
    assert single.z0.dtype == single.theta.dtype == np.float32
    assert relative_error(single.theta, exact.theta) < 1e-2  # rtol for each of some tens of steps, amplified


# ---------------------------------------------------------------- what they cost


def test_interpolated_takes_no_more_evaluations_than_backsolve():
    one, other = (gradients_of_loss(V, method).stats for method in ("interpolated", "backsolve"))
    assert one.nfev_backward <= 1.05 * other.nfev_backward  # z, too, may shorten a step of backsolve


def test_interpolated_stores_the_polynomial_of_every_step():
    stats = gradients_of_loss(V, "interpolated")
    steps = gradients_of_loss(V, "discrete").stats.accepted
    assert stats.stats.stored_states == steps * (1 + 4)  # dopri5: quartic


@pytest.mark.jit  # in plain Python: 3 s; others run the same lines
def test_quadrature_chooses_its_nodes_by_the_tolerance():
    """Of the quadrature alone: fixed steps have no tolerance of their own."""
    ts, bar = [0.0, 12.0], [[0.0, 0.0], [1.0, -1.0]]

    def gradient(rtol):
        options = {"solver": "rk4", "step_size": 0.02, "rtol": rtol, "atol": 0.0}
        return ne.gradients(V.field, V.z0, ts, V.theta, bar, "quadrature", **options)

    loose, middle, tight = gradient(1e-1), gradient(1e-3), gradient(1e-9)
    assert loose.stats.nfev_backward < middle.stats.nfev_backward < tight.stats.nfev_backward
    for g, rtol in ((loose, 1e-1), (middle, 1e-3)):
        assert relative_error(g.theta, tight.theta) < rtol
