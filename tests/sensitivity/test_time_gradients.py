"""Gradients of the output times: dL/dt_i = dL/dz(t_i) f(t_i, z_i) for i >= 1, and dL/dt0 = -a(t0+) f(t0, z0)."""

import numpy as np
import pytest
from adjoint_problems import TIGHT, both, gradients_of_loss, loss, loss_gradient
from gradient_truths import states

import nodeedu as ne
from nodeedu.autodiff import central_difference

every_method = pytest.mark.parametrize("method", ["discrete", "backsolve", "forward"])


@pytest.fixture(scope="module", params=[1, -1], ids=["increasing", "decreasing"])
def times_and_differences(problem, request):
    """Times in either direction, and finite differences of the loss, solved by SciPy, for each of them."""
    ts = problem.ts[:: request.param]

    def loss_at(ts):
        return loss(states(problem, ts), problem.targets)

    return ts, central_difference(loss_at, ts, step=1 / 64, levels=3).value


@every_method
def test_the_gradient_of_every_time_is_what_differences_see(problem, times_and_differences, method):
    """f1."""
    ts, expected = times_and_differences
    g = gradients_of_loss(problem, method, ts=ts, **TIGHT)
    # differences of order 6 with steps of 1/64, of solves to 1e-12; the gradients themselves are promised to 1e-8
    np.testing.assert_allclose(g.ts, expected, rtol=1e-7, atol=1e-7)


@every_method
def test_the_gradients_of_the_times_of_an_autonomous_field_add_up_to_nothing(method):
    """A common shift of all times changes nothing if f does not see the time."""
    field = ne.mlp_field(2, 3)
    rng = np.random.default_rng(0)
    theta = tuple(rng.normal(size=shape) for shape in field.leaf_shapes.values())
    z0, ts, zs_bar = rng.normal(size=2), np.array([0.2, 0.9, 1.4]), rng.normal(size=(3, 2))
    g = ne.gradients(field, z0, ts, theta, zs_bar, method=method, **TIGHT)
    assert abs(g.ts).min() > 1e-2
    assert abs(g.ts.sum()) < 1e-8  # the promise


@every_method
def test_the_gradients_of_the_times_add_up_to_the_gradient_of_a_shift_of_the_clock(problem, truth, method):
    """f3: sum dL/dt_i = int a f_t dt, which is the gradient of s in f(t + s, z): here by forward sensitivity."""
    g = gradients_of_loss(problem, method, **TIGHT)
    shift = np.sum(loss_gradient(truth.zs, problem.targets) * truth.shift)
    np.testing.assert_allclose(g.ts.sum(), shift, rtol=1e-7)  # the promise, times cancellation in the sum


@every_method
def test_an_observation_of_the_initial_state_counts_for_z0_and_not_for_the_first_time(problem, method):
    zs_bar = problem.targets
    without = np.concatenate([np.zeros((1, len(problem.z0))), zs_bar[1:]])

    def gradient(zs_bar):
        # steps that do not depend on the loss
        return ne.gradients(
            problem.field, problem.z0, problem.ts, problem.theta, zs_bar, method=method, solver="rk4", step_size=0.3
        )

    one, other = gradient(zs_bar), gradient(without)
    np.testing.assert_array_equal(one.ts, other.ts)
    np.testing.assert_allclose(one.z0, other.z0 + zs_bar[0], rtol=1e-15)  # one rounding


@every_method
def test_the_first_time_moves_the_loss_by_minus_the_adjoint_times_the_slope(problem, method):
    zs_bar = problem.targets
    g = ne.gradients(problem.field, problem.z0, problem.ts, problem.theta, zs_bar, method=method)
    slope = problem.function(problem.ts[0], problem.z0, problem.theta)
    np.testing.assert_allclose(g.ts[0], -(g.z0 - zs_bar[0]) @ slope, rtol=1e-12)  # rounding


@every_method
def test_the_other_times_move_the_loss_by_its_own_gradient_times_the_slope(problem, method):
    g = gradients_of_loss(problem, method)
    zs = ne.odeint(problem.field, problem.z0, problem.ts, problem.theta).zs
    slopes = [problem.function(t, z, problem.theta) for t, z in zip(problem.ts, zs, strict=True)]
    expected = np.sum(loss_gradient(zs, problem.targets) * slopes, axis=1)
    # "forward" takes other steps, so that its states differ by about rtol
    np.testing.assert_allclose(g.ts[1:], expected[1:], rtol=1e-4 if method == "forward" else 1e-12)


@every_method
def test_times_that_a_batch_shares_get_the_sum_over_samples(problem, method):
    z0 = problem.z0 + np.array([[0.0], [0.2], [-0.3]])
    zs_bar = np.random.default_rng(0).normal(size=(len(problem.ts), *z0.shape))

    def gradient(z0, zs_bar):
        return ne.gradients(problem.field, z0, problem.ts, problem.theta, zs_bar, method=method, rtol=1e-4)

    single = [gradient(z0[b], zs_bar[:, b]) for b in range(3)]
    np.testing.assert_allclose(gradient(z0, zs_bar).ts, sum(g.ts for g in single), rtol=1e-12)  # rounding


@every_method
def test_times_of_each_sample_get_gradients_of_each_sample(problem, method):
    z0 = problem.z0 + np.array([[0.0], [0.2], [-0.3]])
    ts = np.stack([problem.ts, 2.0 * problem.ts - 0.1, problem.ts[::-1]])  # in both directions
    zs_bar = np.random.default_rng(0).normal(size=(len(problem.ts), *z0.shape))

    def gradient(z0, ts, zs_bar):
        return ne.gradients(problem.field, z0, ts, problem.theta, zs_bar, method=method, rtol=1e-4)

    together = gradient(z0, ts, zs_bar)
    assert together.ts.shape == ts.shape
    single = [gradient(z0[b], ts[b], zs_bar[:, b]) for b in range(3)]
    np.testing.assert_allclose(together.ts, [g.ts for g in single], rtol=1e-12)  # rounding
    np.testing.assert_allclose(together.z0, [g.z0 for g in single], rtol=1e-12)
    for one in (together, *single):
        assert np.isfinite(both(one)).all()
