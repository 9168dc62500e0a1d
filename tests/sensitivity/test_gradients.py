"""All methods against truths that never use a derivative of the package, and against each other."""

import numpy as np
import pytest
from truths import (
    complex_gradient_of_the_ode,
    complex_gradient_on_the_recorded_steps,
    flat,
    loss_of,
    network,
    oscillator,
    oscillator_sensitivity,
)

import nodeedu as ne
from nodeedu.solvers import check_inputs, check_options, solve

METHODS = ["discrete", "backsolve", "forward"]
TIGHT = {"rtol": 1e-10, "atol": 1e-12}


@pytest.mark.parametrize("method", METHODS)
def test_every_method_agrees_with_a_hand_written_jacobian(method):
    field, z0, ts, theta, bar = oscillator()
    z0_bar, mu_bar = oscillator_sensitivity(z0, ts, 1.5, bar)
    g = ne.gradients(field, z0, ts, theta, bar, method=method, **TIGHT)
    # the project's promise: 1e-8 at rtol 1e-10
    np.testing.assert_allclose(g.z0, z0_bar, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(g.theta[0], mu_bar, rtol=1e-8, atol=1e-8)


@pytest.fixture(scope="module")
def by_complex_steps():
    field, z0, ts, theta, bar = network(samples=1)
    return complex_gradient_of_the_ode(field, z0[0], ts, theta, bar[:, 0])


@pytest.mark.parametrize("solver", ["dopri5", "tsit5"])
@pytest.mark.parametrize("method", METHODS)
def test_every_method_agrees_with_complex_steps_through_scipy(by_complex_steps, method, solver):
    field, z0, ts, theta, bar = network(samples=1)
    z0_bar, theta_bar = by_complex_steps
    g = ne.gradients(field, z0[0], ts, theta, bar[:, 0], method=method, solver=solver, **TIGHT)
    # the project's promise: 1e-8 at rtol 1e-10
    np.testing.assert_allclose(g.z0, z0_bar, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(flat(g.theta), flat(theta_bar), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("direction", [1.0, -1.0])
@pytest.mark.parametrize("solver", ["bosh3", "dopri5", "tsit5"])
def test_discrete_is_the_exact_derivative_of_adaptive_steps(solver, direction):
    field, z0, ts, theta, bar = network()
    ts = direction * ts
    sol = ne.odeint(field, z0, ts, theta, method=solver, rtol=1e-4, atol=1e-6, record=True)
    g = ne.gradients(field, z0, ts, theta, bar, solution=sol)
    z0_bar, theta_bar = complex_gradient_on_the_recorded_steps(field, sol, theta, bar)
    # both are exact up to rounding, through some tens of steps
    np.testing.assert_allclose(g.z0, z0_bar, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(flat(g.theta), flat(theta_bar), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("solver", ne.tableaus.names())
def test_discrete_is_the_exact_derivative_of_fixed_steps(solver):
    field, z0, ts, theta, bar = network()
    options = {"step_size": 0.2}
    g = ne.gradients(field, z0, ts, theta, bar, solver=solver, **options)
    # odeint(record=True) would add a stage for dense output to methods without an interpolant
    sol = solve(check_inputs(field, z0, ts, theta), check_options(solver, **options), record=True)
    z0_bar, theta_bar = complex_gradient_on_the_recorded_steps(field, sol, theta, bar)
    # both are exact up to rounding
    np.testing.assert_allclose(g.z0, z0_bar, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(flat(g.theta), flat(theta_bar), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("solver", ["euler", "midpoint", "heun", "rk4"])
def test_discrete_through_a_recording_for_dense_output_is_the_same(solver):
    field, z0, ts, theta, bar = network()
    options = {"step_size": 0.2}
    sol = ne.odeint(field, z0, ts, theta, method=solver, record=True, **options)
    direct = ne.gradients(field, z0, ts, theta, bar, solver=solver, **options)
    reused = ne.gradients(field, z0, ts, theta, bar, solution=sol)
    # the recording has one more stage, whose cotangent takes another way to the same place
    np.testing.assert_allclose(reused.z0, direct.z0, rtol=1e-12)
    np.testing.assert_allclose(flat(reused.theta), flat(direct.theta), rtol=1e-12)


@pytest.mark.parametrize(("solver", "order"), [("euler", 1), ("midpoint", 2), ("rk4", 4)])
def test_backsolve_converges_to_discrete_with_the_order_of_the_method(solver, order):
    field, z0, ts, theta, bar = network()

    def gap(step_size):
        d, b = (
            ne.gradients(field, z0, ts, theta, bar, method=m, solver=solver, step_size=step_size)
            for m in ("discrete", "backsolve")
        )
        return abs(flat(d.theta) - flat(b.theta)).max()

    # the next term of the error expansion shifts the observed order at these steps
    assert np.log2(gap(0.02) / gap(0.01)) == pytest.approx(order, abs=0.25)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.jit  # in plain Python: 5 s; others run the same lines
def test_gradients_of_the_times_agree_with_differences(method):
    field, z0, ts, theta, bar = network()
    loss = loss_of(field, ts, bar, **TIGHT)
    g = ne.gradients(field, z0, ts, theta, bar, method=method, **TIGHT)
    step = 1e-5
    differences = [(loss(z0, ts + d, theta) - loss(z0, ts - d, theta)) / (2 * step) for d in step * np.eye(len(ts))]
    # central differences: 1e-10 from the step squared, 1e-12 / 1e-5 from the solver
    np.testing.assert_allclose(g.ts, differences, rtol=1e-6, atol=1e-6)


def test_the_gradient_of_the_first_time_leaves_out_the_observation_there():
    field, z0, ts, theta, bar = oscillator()
    changed = bar.copy()
    changed[0] += 10.0
    one, other = (ne.gradients(field, z0, ts, theta, each) for each in (bar, changed))
    np.testing.assert_array_equal(one.ts[0], other.ts[0])
    np.testing.assert_allclose(other.z0 - one.z0, 10.0, rtol=1e-12)  # rounding of the sum


@pytest.mark.parametrize("method", METHODS)
def test_samples_with_their_own_times_have_gradients_of_their_own(method):
    field, z0, ts, theta, bar = network()
    own = ts * np.array([1.0, -0.5, 1.3])[:, None] + np.array([0.0, 1.0, -2.0])[:, None]
    batch = ne.gradients(field, z0, own, theta, bar, method=method)
    singles = [ne.gradients(field, z0[b], own[b], theta, bar[:, b], method=method) for b in range(3)]
    assert batch.ts.shape == (3, 4)
    # a batch sums in another order
    np.testing.assert_allclose(batch.z0, [g.z0 for g in singles], rtol=1e-12)
    np.testing.assert_allclose(batch.ts, [g.ts for g in singles], rtol=1e-12)
    np.testing.assert_allclose(flat(batch.theta), sum(flat(g.theta) for g in singles), rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("method", METHODS)
def test_gradients_work_backwards_in_time(method):
    field, z0, ts, theta, bar = oscillator()
    z0_bar, mu_bar = oscillator_sensitivity(z0, -ts, 1.5, bar)
    g = ne.gradients(field, z0, -ts, theta, bar, method=method, **TIGHT)
    # the flow expands backwards in time, and with it the error
    np.testing.assert_allclose(g.z0, z0_bar, rtol=1e-7)
    np.testing.assert_allclose(g.theta[0], mu_bar, rtol=1e-7)


@pytest.mark.parametrize("method", METHODS)
def test_float32_gradients_have_float32_accuracy(method):
    field, z0, ts, theta, bar = network()
    exact = ne.gradients(field, z0, ts, theta, bar, **TIGHT)
    g = ne.gradients(field, z0.astype(np.float32), ts, theta, bar, method=method, rtol=1e-5, atol=1e-6)
    assert {g.z0.dtype, *(leaf.dtype for leaf in g.theta)} == {np.dtype(np.float32)}
    # the tolerance and float32's rounding, grown by the flow
    np.testing.assert_allclose(flat(g.theta), flat(exact.theta), rtol=1e-2, atol=1e-3)
    np.testing.assert_allclose(g.z0, exact.z0, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_a_single_time_has_only_the_gradient_of_its_observation(method):
    field, z0, _, theta, bar = network()
    g = ne.gradients(field, z0, [0.5], theta, bar[:1], method=method)
    np.testing.assert_array_equal(g.z0, bar[0])
    assert not flat(g.theta).any()
    np.testing.assert_array_equal(g.ts, [0.0])


@pytest.mark.parametrize("method", METHODS)
def test_results_have_the_shapes_of_the_arguments(method):
    field, z0, ts, theta, bar = network()
    g = ne.gradients(field, z0, ts, theta, bar, method=method)
    assert (g.z0.shape, g.ts.shape) == (z0.shape, ts.shape)
    assert [leaf.shape for leaf in g.theta] == [leaf.shape for leaf in theta]
    assert type(ne.gradients(field, z0[0], ts, theta, bar[:, 0], method=method).stats.nfev) is int
