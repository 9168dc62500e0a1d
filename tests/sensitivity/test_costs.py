"""What gradients cost: evaluations, stored states, and solves that are reused."""

import numpy as np
import pytest
from truths import flat, network

import nodeedu as ne


def slow_network():
    """Ten observations of a field that needs about a step between two of them, as in the spiral benchmark."""
    field, z0, _, theta, _ = network(samples=20, hidden=10)
    theta = tuple(0.3 * leaf for leaf in theta)
    ts = np.linspace(0.0, 0.25, 10)
    return field, z0, ts, theta, np.random.default_rng(1).normal(size=(10, 20, 2)), {"rtol": 1e-7, "atol": 1e-9}


def test_backsolve_carries_its_step_size_across_observations():
    field, z0, ts, theta, bar, options = slow_network()
    g = ne.gradients(field, z0, ts, theta, bar, method="backsolve", **options)
    # 7 for each of the 9 intervals and no search for a first step: a restart at each would take 126
    assert g.stats.nfev_backward.max() <= 70


def test_backsolve_stores_no_more_states_for_more_steps():
    field, z0, ts, theta, bar = network()
    few, many = (ne.gradients(field, z0, ts, theta, bar, method="backsolve", rtol=r).stats for r in (1e-4, 1e-10))
    assert many.accepted.sum() > 3 * few.accepted.sum()
    assert few.stored_states == many.stored_states == 4 * 3


def test_discrete_stores_the_state_and_the_slopes_of_every_step():
    field, z0, ts, theta, bar = network()
    stats = ne.gradients(field, z0, ts, theta, bar).stats
    assert stats.stored_states == stats.accepted.sum() * (1 + 7)


def test_discrete_evaluates_each_stage_of_an_accepted_step_once():
    field, z0, ts, theta, bar = network()
    dopri5 = ne.gradients(field, z0, ts, theta, bar).stats
    np.testing.assert_array_equal(dopri5.nfev_backward, 6 * dopri5.accepted + 1)
    rk4 = ne.gradients(field, z0, ts, theta, bar, solver="rk4", step_size=0.1).stats
    np.testing.assert_array_equal(rk4.nfev_backward, 4 * rk4.accepted)


@pytest.mark.parametrize("method", ["discrete", "backsolve"])
@pytest.mark.parametrize("record", [True, False])
def test_a_solution_is_reused(method, record):
    field, z0, ts, theta, bar = network()
    sol = ne.odeint(field, z0, ts, theta, method="tsit5", rtol=1e-5, record=record)
    reused = ne.gradients(field, z0, ts, theta, bar, method=method, solution=sol)
    direct = ne.gradients(field, z0, ts, theta, bar, method=method, solver="tsit5", rtol=1e-5)
    np.testing.assert_array_equal(reused.z0, direct.z0)
    np.testing.assert_array_equal(flat(reused.theta), flat(direct.theta))


@pytest.mark.jit  # in plain Python: 9 s; others run the same lines
def test_a_long_reverse_sweep_returns_to_python_and_goes_on():
    field, z0, _, theta, bar = network(samples=1)
    z0, bar = 0.1 * z0, bar[:2]
    g = ne.gradients(field, z0, [0.0, 1.0], theta, bar, solver="euler", step_size=1 / 12_000)
    exact = ne.gradients(field, z0, [0.0, 1.0], theta, bar, rtol=1e-8)
    # Euler's error is of the order of its step
    np.testing.assert_allclose(flat(g.theta), flat(exact.theta), rtol=1e-2, atol=1e-3)
