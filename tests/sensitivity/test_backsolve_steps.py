"""`backsolve`: how its error falls, what its steps depend on, what it costs, and where it fails."""

import numpy as np
import pytest
from adjoint_problems import V, both, gradients_of_loss, leaves, loss_gradient, oscillator
from fields import spiral
from gradient_truths import contract, sensitivities

import nodeedu as ne
from nodeedu.autodiff.check import relative_error

# Starts of V from rest to violent: at rtol 1e-4 they need between 4 and 11 backward steps.
STARTS = np.array([[0.0, 0.0], [3.0, -6.0], [1.0, 0.5], [2.0, 3.0]])


@pytest.mark.parametrize(("solver", "order"), [("euler", 1), ("midpoint", 2), ("bosh3", 3), ("rk4", 4)])
def test_backsolve_on_fixed_steps_approaches_discrete_with_the_order_of_the_method(problem, solver, order):
    """l3."""

    def gap(h):
        one, other = (gradients_of_loss(problem, m, solver=solver, step_size=h) for m in ("backsolve", "discrete"))
        return relative_error(both(one), both(other))

    observed = np.log2(gap(0.01875) / gap(0.009375))
    assert abs(observed - order) < 0.15  # the next term of the expansion is about h times as large


def test_backsolve_converges_with_the_tolerance(problem, truth):
    expected = contract(truth, loss_gradient(truth.zs, problem.targets))
    for rtol in (1e-3, 1e-5, 1e-7, 1e-9):
        g = gradients_of_loss(problem, "backsolve", rtol=rtol, atol=rtol / 100)
        # rtol is a local error: some steps of it, amplified by the flow
        assert relative_error(both(g), expected) < 10 * rtol


@pytest.mark.parametrize("method", ["discrete", "backsolve"])
def test_samples_that_reject_steps_beside_samples_that_do_not_give_the_right_theta_gradient(method):
    zs_bar = np.random.default_rng(0).normal(size=(len(V.ts), *STARTS.shape))
    # far too long a first step for some of the samples, in both directions
    g = ne.gradients(V.field, STARTS, V.ts, V.theta, zs_bar, method=method, rtol=1e-4, atol=1e-7, first_step=0.3)
    assert min(g.stats.rejected) == 0 < max(g.stats.rejected)
    expected = sum(contract(sensitivities(V, z0=z0), zs_bar[:, b])[2:] for b, z0 in enumerate(STARTS))
    # rtol for each of some tens of steps; a rejected step that counted would be an error of order one
    assert relative_error(g.theta, expected) < 1e-2


@pytest.mark.parametrize("method", ["discrete", "backsolve"])
def test_the_gradient_of_a_sample_does_not_depend_on_its_batch_mates(method):
    zs_bar = np.random.default_rng(0).normal(size=(len(V.ts), *STARTS.shape))

    def gradient(picked):
        return ne.gradients(V.field, STARTS[picked], V.ts, V.theta, zs_bar[:, picked], method=method, rtol=1e-4)

    everyone = gradient(np.arange(4))
    for b in range(4):
        alone = gradient(np.array([b]))
        np.testing.assert_array_equal(everyone.z0[b], alone.z0[0])
        assert everyone.stats.nfev_backward[b] == alone.stats.nfev_backward[0]
    np.testing.assert_array_equal(gradient(np.arange(4)[::-1]).z0, everyone.z0[::-1])


def test_parameters_that_come_twice_do_not_change_the_backward_steps():
    """The integral for theta takes no part in the error estimate: it does not act back on z and a."""

    def average(t, z, theta):
        return oscillator(t, z, 0.5 * (theta[0] + theta[1]))

    field = ne.vector_field(average, V.z0, (V.theta, V.theta))
    zs_bar = V.targets
    once = ne.gradients(V.field, V.z0, V.ts, V.theta, zs_bar, method="backsolve")
    twice = ne.gradients(field, V.z0, V.ts, (V.theta, V.theta), zs_bar, method="backsolve")
    assert twice.stats.nfev_backward == once.stats.nfev_backward
    assert (twice.stats.accepted, twice.stats.rejected) == (once.stats.accepted, once.stats.rejected)
    np.testing.assert_allclose(twice.z0, once.z0, rtol=1e-12)  # rounding
    for half in twice.theta:
        np.testing.assert_allclose(half, once.theta / 2, rtol=1e-12)  # rounding


def test_backsolve_carries_its_step_size_across_observations():
    """The spiral of the benchmark: 9 intervals, each shorter than a step."""
    rng = np.random.default_rng(0)
    theta = tuple(rng.normal(0.0, 0.1, shape) for shape in ((50, 2), (50,), (2, 50), (2,)))
    field, z0 = ne.vector_field(spiral, np.zeros(2), theta), rng.uniform(-2.0, 2.0, (3, 2))
    ts, zs_bar = np.linspace(0.0, 25.0, 1000)[:10], rng.normal(size=(10, 3, 2))
    g = ne.gradients(field, z0, ts, theta, zs_bar, method="backsolve", rtol=1e-7, atol=1e-9)
    # 7 an interval, as the jump costs a first slope; looking for a first step at each would make it 126
    assert max(g.stats.nfev_backward) <= 70
    expected = ne.gradients(field, z0, ts, theta, zs_bar, rtol=1e-11, atol=1e-13)
    for got, right in zip([g.z0, *leaves(g.theta)], [expected.z0, *leaves(expected.theta)], strict=True):
        assert relative_error(got, right) < 1e-7  # rtol


def test_backsolve_stores_the_observed_states_however_many_steps_it_takes():
    def stats(method, max_step):
        return ne.gradients(V.field, STARTS, V.ts, V.theta, np.ones((4, 4, 2)), method=method, max_step=max_step).stats

    few, many = stats("backsolve", 0.1), stats("backsolve", 0.02)
    assert min(many.accepted) > 2 * max(few.accepted)
    assert few.stored_states == many.stored_states == 4 * 4
    assert stats("discrete", 0.02).stored_states > 2 * stats("discrete", 0.1).stored_states


@pytest.mark.jit  # some seconds without
def test_a_backward_solve_of_many_steps_goes_on_after_each_return_to_python():
    """Control returns to Python every 10 000 steps."""
    options = {"solver": "midpoint", "step_size": 1.5 / 25_000}
    one, other = (gradients_of_loss(V, method, **options) for method in ("backsolve", "discrete"))
    assert one.stats.accepted >= 25_000
    assert relative_error(both(one), both(other)) < 1e-8  # the square of the step


@pytest.fixture(scope="module")
def forgetful():
    """x decays and is lost, yet y remembers it: x' = -lambda x, y' = theta1 x^2 + theta2 y, L = y(1)."""

    def field(t, z, theta):
        decay, one, two = theta
        x, y = z
        return np.stack([-decay * x, one * x**2 + two * y])

    return ne.vector_field(field, np.ones(2), np.ones(3))


def forgetful_gradient(field, decay, method, times=2):
    theta, zs_bar = np.array([decay, 1.0, 1.0]), np.zeros((times, 2))
    zs_bar[-1, 1] = 1.0
    return ne.gradients(field, np.ones(2), np.linspace(0.0, 1.0, times), theta, zs_bar, method=method).theta


def test_backsolve_is_right_where_the_state_can_be_recovered(forgetful):
    right = forgetful_gradient(forgetful, 10.0, "forward")
    assert relative_error(forgetful_gradient(forgetful, 10.0, "backsolve"), right) < 1e-4  # rtol, amplified


def test_backsolve_goes_wrong_where_the_state_cannot_be_recovered_and_discrete_does_not(forgetful):
    """Backwards, an error grows by exp(40): no warning, a wrong number. The other methods never run backwards."""
    right = forgetful_gradient(forgetful, 40.0, "forward")
    assert relative_error(forgetful_gradient(forgetful, 40.0, "discrete"), right) < 1e-5  # rtol
    assert relative_error(forgetful_gradient(forgetful, 40.0, "backsolve"), right) > 1.0


def test_backsolve_starts_anew_from_the_stored_state_of_every_output_time(forgetful):
    """From one of 41 times to the one before, an error grows by no more than exp(1)."""
    right = forgetful_gradient(forgetful, 40.0, "forward")
    assert relative_error(forgetful_gradient(forgetful, 40.0, "backsolve", times=41), right) < 1e-5  # rtol


@pytest.fixture(scope="module")
def contraction():
    """z' = -theta z^3: two solutions that meet; backwards, from a state that is off, it blows up before t0."""
    return ne.vector_field(lambda t, z, theta: -theta * z**3, np.array(1.0), np.array(1.0))


@pytest.mark.parametrize("start", [1e3, 1e6])
def test_blow_up_of_the_backward_solve_is_reported(contraction, start):
    with pytest.raises(ne.SolverError, match="backsolve") as caught:
        ne.gradients(contraction, np.array(start), [0.0, 1.0], np.array(1.0), [0.0, 1.0], method="backsolve")
    assert 0.0 < caught.value.t < 1e-4
    right = 1.0 / (1.0 + 2.0 * start**2) ** 1.5  # of z1 = z0 / sqrt(1 + 2 theta z0^2)
    g = ne.gradients(contraction, np.array(start), [0.0, 1.0], np.array(1.0), [0.0, 1.0])
    np.testing.assert_allclose(g.z0, right, rtol=1e-2)  # rtol 1e-6 for the state, where the loss is within 1e-9 of flat


def test_too_few_steps_for_the_backward_solve_are_reported(contraction):
    """Forwards 30 trial steps suffice, backwards they do not."""
    problem = contraction, np.array(10.0), [0.0, 1.0], np.array(1.0)
    assert ne.odeint(*problem, max_steps=40).stats.status == 0
    with pytest.raises(ne.SolverError, match="backsolve.*max_steps = 40"):
        ne.gradients(*problem, [0.0, 1.0], method="backsolve", max_steps=40)
