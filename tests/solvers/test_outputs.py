"""Outputs: exact ends, dense output inside steps, shapes, dtypes and both directions of time."""

import numpy as np
import pytest

import nodeedu as ne
from problems import network, oscillator, rotation, swing

ADAPTIVE = ["bosh3", "dopri5", "tsit5"]


def test_the_first_output_is_z0_bit_for_bit():
    field, z0, theta = network()
    np.testing.assert_array_equal(ne.odeint(field, z0, [0.0, 1.0], theta).zs[0], z0)


@pytest.mark.parametrize("method", ADAPTIVE)
def test_adaptive_steps_do_not_stop_at_intermediate_outputs(method):
    field, z0, theta = oscillator()
    few = ne.odeint(field, z0, [0.0, 2.0], theta, method=method)
    many = ne.odeint(field, z0, np.linspace(0.0, 2.0, 101), theta, method=method)
    np.testing.assert_array_equal(few.stats.nfev, many.stats.nfev)
    np.testing.assert_array_equal(few.zs[-1], many.zs[-1])


@pytest.mark.parametrize("method", ADAPTIVE)
def test_intermediate_outputs_are_as_accurate_as_the_steps(method):
    sol = ne.odeint(swing, [1.0], np.linspace(0.0, 3.0, 50), method=method, rtol=1e-8, atol=1e-10)
    # dense output of order 3 (bosh3) and 4 on steps whose local error is 1e-8
    np.testing.assert_allclose(sol.zs[:, 0], np.exp(np.sin(sol.ts)), rtol=3e-7)


@pytest.mark.parametrize("method", ne.tableaus.names())
def test_fixed_steps_end_at_every_output(method):
    field, z0, theta = network()
    ts = np.array([0.0, 0.3, 0.45, 1.0])
    sol = ne.odeint(field, z0, ts, theta, method=method, step_size=0.2)
    steps = np.ceil(np.diff(ts) / 0.2)
    assert (sol.stats.accepted == steps.sum()).all()
    part = ne.odeint(field, z0, ts[:2], theta, method=method, step_size=0.2)
    np.testing.assert_array_equal(part.zs[-1], sol.zs[1])


@pytest.mark.parametrize(("method", "stages"), [("euler", 1), ("midpoint", 2), ("heun", 2), ("rk4", 4)])
def test_a_method_without_error_estimate_makes_one_step_an_interval(method, stages):
    sol = ne.odeint(swing, [1.0], [0.0, 0.1, 0.5, 0.6], method=method)
    assert (sol.stats.accepted, sol.stats.nfev) == (3, 3 * stages)


def test_first_same_as_last_saves_an_evaluation_a_step():
    sol = ne.odeint(swing, [1.0], [0.0, 1.0], method="dopri5", step_size=0.1)
    assert sol.stats.nfev == 1 + 6 * 10


def test_round_off_in_an_interval_makes_no_extra_step():
    ts = 0.1 * np.arange(12)  # 0.30000000000000004 - 0.2 is longer than 0.1
    assert ne.odeint(swing, [1.0], ts, method="rk4", step_size=0.1).stats.accepted == 11


def test_max_step_without_a_rest_leaves_no_sliver():
    sol = ne.odeint(lambda t, z: np.ones(1), [0.0], [0.0, 1.0], first_step=0.1, max_step=0.1)
    assert sol.stats.accepted == 10


@pytest.mark.parametrize("method", ne.tableaus.names())
def test_dense_output_meets_the_outputs(method):
    field, z0, theta = network()
    ts = np.linspace(0.0, 1.0, 6)
    sol = ne.odeint(field, z0, ts, theta, method=method)
    # the same polynomial, summed in another order
    np.testing.assert_allclose(sol(ts), sol.zs, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize(("method", "order"), [("euler", 1), ("midpoint", 2), ("heun", 2), ("rk4", 4), ("bosh3", 3)])
def test_dense_output_of_fixed_steps_is_a_cubic_through_both_ends(method, order):
    def error(n):
        sol = ne.odeint(swing, [1.0], np.linspace(0.0, 2.0, n + 1), method=method, step_size=10.0)
        t = np.linspace(0.0, 2.0, 333)
        return abs(sol(t)[:, 0] - np.exp(np.sin(t))).max()

    # a cubic adds an error of order 4; the next terms shift the observed order a little
    assert np.log2(error(40) / error(80)) == pytest.approx(min(order, 4), abs=0.3)


def test_dense_output_has_the_shapes_of_its_argument():
    field, z0, theta = network(samples=4)
    sol = ne.odeint(field, z0, [0.0, 1.0], theta)
    assert sol(0.5).shape == (4, 2)
    assert sol([0.1, 0.2, 0.3]).shape == (3, 4, 2)
    assert ne.odeint(field, z0[0], [0.0, 1.0], theta)(0.5).shape == (2,)


def test_recording_gives_the_same_dense_output_as_solving_again():
    field, z0, theta = network()
    t = np.linspace(0.0, 1.0, 7)
    again, kept = (ne.odeint(field, z0, [0.0, 1.0], theta, record=record) for record in (False, True))
    np.testing.assert_array_equal(again(t), kept(t))


def test_dense_output_outside_the_interval_is_refused():
    sol = ne.odeint(swing, [1.0], [0.0, 1.0])
    with pytest.raises(ValueError, match=r"t: got .* expected times in the interval \[0.0, 1.0\]"):
        sol([0.5, 1.1])


@pytest.mark.parametrize("method", ne.tableaus.names())
def test_time_may_run_backwards(method):
    field, z0, theta = rotation()
    ts = np.linspace(0.0, -1.0, 101)
    sol = ne.odeint(field, z0, ts, theta, method=method)
    # the radius grows by half a percent with Euler's steps of 0.01
    np.testing.assert_allclose(sol.zs, np.stack([np.cos(ts), np.sin(ts)], axis=1), atol=1e-2 if method == "euler" else 1e-4)


def test_a_single_output_time_gives_z0():
    field, z0, theta = network()
    sol = ne.odeint(field, z0, [0.5], theta)
    np.testing.assert_array_equal(sol.zs, z0[None])
    np.testing.assert_array_equal(sol(0.5), z0)
    assert (sol.stats.nfev == 0).all()


def test_the_state_keeps_any_shape():
    z0 = np.arange(6.0).reshape(2, 3)
    sol = ne.odeint(lambda t, z: -z, z0, [0.0, 1.0, 2.0])
    assert sol.zs.shape == (3, 2, 3)
    assert ne.odeint(lambda t, z: -z, 1.0, [0.0, 1.0]).zs.shape == (2,)


def test_float32_stays_float32_with_times_in_float64():
    field, z0, theta = network()
    sol = ne.odeint(field, z0.astype(np.float32), [0.0, 0.5, 1.0], theta, rtol=1e-4, atol=1e-5)
    exact = ne.odeint(field, z0, [0.0, 0.5, 1.0], theta, rtol=1e-9, atol=1e-11)
    assert (sol.zs.dtype, sol.ts.dtype) == (np.float32, np.float64)
    # the tolerance, grown by the flow
    np.testing.assert_allclose(sol.zs, exact.zs, atol=1e-3)
