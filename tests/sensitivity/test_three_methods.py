"""Every method gives the gradient of the same loss: that of forward sensitivity with a Jacobian written by hand."""

import numpy as np
import pytest
from adjoint_problems import TIGHT, V, both, flat, gradients_of_loss, loss_gradient
from gradient_truths import contract, true_gradient
from hypothesis import given, settings
from hypothesis import strategies as st

import nodeedu as ne
from nodeedu.autodiff.check import relative_error

METHODS = ("discrete", "backsolve", "forward")
every_method = pytest.mark.parametrize("method", METHODS)


@every_method
def test_the_gradient_is_right_to_1e_8_at_rtol_1e_10(problem, truth, method):
    g = gradients_of_loss(problem, method, **TIGHT)
    expected = contract(truth, loss_gradient(truth.zs, problem.targets))
    assert relative_error(both(g), expected) < 1e-8  # the promise; the truth itself is good to about 1e-12


@every_method
@pytest.mark.parametrize("solver", ["bosh3", "tsit5"])
def test_the_gradient_is_right_with_other_adaptive_methods(problem, truth, method, solver):
    g = gradients_of_loss(problem, method, solver=solver, rtol=1e-6, atol=1e-8)
    expected = contract(truth, loss_gradient(truth.zs, problem.targets))
    # rtol for each of some tens of steps, which the flow then amplifies
    assert relative_error(both(g), expected) < 1e-4


@every_method
def test_the_gradient_is_right_on_decreasing_times(problem, method):
    backwards = problem.ts[::-1]
    g = gradients_of_loss(problem, method, ts=backwards, **TIGHT)
    assert relative_error(both(g), true_gradient(problem, backwards)) < 1e-8  # as for increasing times


@every_method
def test_the_gradient_is_right_if_only_the_last_state_is_observed(problem, truth, method):
    zs_bar = np.zeros_like(truth.zs)
    zs_bar[-1] = loss_gradient(truth.zs[-1], problem.targets[-1])
    g = ne.gradients(problem.field, problem.z0, problem.ts, problem.theta, zs_bar, method=method, **TIGHT)
    assert relative_error(both(g), contract(truth, zs_bar)) < 1e-8  # the promise


@every_method
def test_an_observation_of_the_initial_state_alone_says_nothing_of_theta(problem, truth, method):
    zs_bar = np.zeros_like(truth.zs)
    zs_bar[0] = 1.0 + np.arange(len(problem.z0))
    g = ne.gradients(problem.field, problem.z0, problem.ts, problem.theta, zs_bar, method=method)
    np.testing.assert_array_equal(g.z0, zs_bar[0])
    assert not flat(g.theta).any()
    assert not g.ts.any()


@every_method
def test_a_single_time_leaves_the_observation_of_the_initial_state(problem, method):
    zs_bar = np.ones((1, len(problem.z0)))
    g = ne.gradients(problem.field, problem.z0, problem.ts[:1], problem.theta, zs_bar, method=method)
    np.testing.assert_array_equal(g.z0, zs_bar[0])
    assert not flat(g.theta).any()
    np.testing.assert_array_equal(g.ts, [0.0])


@every_method
def test_several_observations_give_the_sum_of_the_gradients_of_each(problem, truth, method):
    zs_bar = loss_gradient(truth.zs, problem.targets)

    options = TIGHT if method == "backsolve" else {"rtol": 1e-3}

    def gradient(zs_bar):
        return both(ne.gradients(problem.field, problem.z0, problem.ts, problem.theta, zs_bar, method, **options))

    single = [gradient(zs_bar * (np.arange(len(zs_bar)) == i)[:, None]) for i in range(len(zs_bar))]
    # rounding, but for backsolve, which takes other steps for each: there it is the promise for every one of them
    assert relative_error(sum(single), gradient(zs_bar)) < (1e-8 if method == "backsolve" else 1e-14)


@every_method
def test_the_adjoint_times_a_perturbation_is_constant_along_the_solution(problem, truth, method):
    """k1: a(t) dz(t) = a(t0) dz(t0), as a' = -a f_z and dz' = f_z dz."""
    rng = np.random.default_rng(1)
    terminal, dz0 = rng.normal(size=(2, len(problem.z0)))
    products = [terminal @ truth.z0[-1] @ dz0]
    for i in range(len(problem.ts) - 1):
        zs_bar = np.zeros_like(truth.zs[i:])
        zs_bar[-1] = terminal
        g = ne.gradients(
            problem.field, truth.zs[i], problem.ts[i:], problem.theta, zs_bar, method=method, rtol=1e-8, atol=1e-10
        )
        products.append(g.z0 @ truth.z0[i] @ dz0)
    np.testing.assert_allclose(products, products[0], rtol=1e-6)  # rtol for each of some tens of steps, amplified


numbers = st.floats(-3.0, 3.0).filter(lambda x: x == 0.0 or abs(x) > 1e-3)


@every_method
@settings(max_examples=25)  # each solves three times
@given(alpha=numbers, beta=numbers, seed=st.integers(0, 100))
def test_the_gradient_is_linear_in_the_loss_gradients(method, alpha, beta, seed):
    one, two = np.random.default_rng(seed).normal(size=(2, *V.targets.shape))

    def gradient(zs_bar):
        # steps that do not depend on the loss: adaptive backsolve is linear up to its tolerance only
        g = ne.gradients(V.field, V.z0, V.ts, V.theta, zs_bar, method=method, solver="rk4", step_size=0.5)
        return np.append(both(g), g.ts)

    expected = alpha * gradient(one) + beta * gradient(two)
    # rounding of sums whose terms are as large as the gradients
    size = abs(alpha) * abs(gradient(one)).max() + abs(beta) * abs(gradient(two)).max()
    np.testing.assert_allclose(gradient(alpha * one + beta * two), expected, rtol=0, atol=1e-13 * size)


@pytest.mark.jit  # in plain Python: 5 s; others run the same lines
def test_the_methods_agree_on_a_batch_with_times_of_its_own(problem):
    rng = np.random.default_rng(2)
    z0 = problem.z0 + 0.3 * rng.normal(size=(3, len(problem.z0)))
    ts = problem.ts + np.array([[0.0], [0.1], [-0.2]])
    zs_bar = rng.normal(size=(len(problem.ts), *z0.shape))
    results = []
    for method in METHODS:
        g = ne.gradients(problem.field, z0, ts, problem.theta, zs_bar, method=method, rtol=1e-8, atol=1e-10)
        results.append(np.concatenate([both(g), g.ts.ravel()]))
    # rtol for each of some tens of steps, amplified
    assert relative_error(results[0], results[2]) < 1e-6
    assert relative_error(results[1], results[2]) < 1e-6
