"""Outputs: exact ends, dense output inside steps, records, and the shapes of what comes back."""

import numpy as np
import pytest
from problems import PROBLEMS, exact, network, oscillator, pendulum, rotation, solve, swing
from recorder import evaluation_times, recording

import nodeedu as ne

ADAPTIVE = ["bosh3", "dopri5", "tsit5"]
METHODS = ne.tableaus.names()

# ---------------------------------------------------------------- output times


@pytest.mark.parametrize("method", METHODS)
def test_the_first_output_is_z0_bit_for_bit(method):
    field, z0, theta = network()
    np.testing.assert_array_equal(ne.odeint(field, z0, [0.0, 1.0], theta, method=method).zs[0], z0)


@pytest.mark.parametrize("method", ADAPTIVE)
def test_adaptive_steps_do_not_depend_on_intermediate_outputs(method):
    field, z0, theta = oscillator()
    few = ne.odeint(field, z0, [0.0, 2.0], theta, method=method)
    many = ne.odeint(field, z0, np.linspace(0.0, 2.0, 101), theta, method=method)
    np.testing.assert_array_equal(few.stats.nfev, many.stats.nfev)
    np.testing.assert_array_equal(few.zs[-1], many.zs[-1])


@pytest.mark.parametrize("method", ADAPTIVE)
def test_an_output_does_not_depend_on_the_others_bit_for_bit(method):
    many = solve("pendulum", ts=np.linspace(0.0, 2.0, 9), method=method).zs
    few = solve("pendulum", ts=[0.0, 0.75, 2.0], method=method).zs
    np.testing.assert_array_equal(few, many[[0, 3, 8]])


@pytest.mark.parametrize("method", ADAPTIVE)
@pytest.mark.parametrize("seed", range(5))
def test_the_last_step_ends_exactly_at_the_last_time(method, seed):
    # Random ends: t + (end - t) need not be the end in floating point.
    ts = np.sort(np.random.default_rng(seed).uniform(-1, 2, 3))
    assert evaluation_times(swing, 1.0, ts, method=method).max() == ts[-1]


@pytest.mark.parametrize("method", ADAPTIVE)
def test_the_last_output_is_the_end_of_a_step_and_not_interpolated(method):
    f, calls = recording(swing)
    sol = ne.odeint(f, 1.0, [0.0, 1.0, 1.5], method=method)
    t, z = calls[-1]  # the last stage of an FSAL method is evaluated at the new state
    assert (t, z) == (1.5, sol.zs[-1])


@pytest.mark.parametrize("method", ADAPTIVE)
def test_intermediate_outputs_are_as_accurate_as_the_steps(method):
    sol = ne.odeint(swing, [1.0], np.linspace(0.0, 3.0, 50), method=method, rtol=1e-8, atol=1e-10)
    # dense output of order 3 (bosh3) and 4 on steps whose local error is 1e-8
    np.testing.assert_allclose(sol.zs[:, 0], np.exp(np.sin(sol.ts)), rtol=3e-7)


def test_many_outputs_within_one_step_are_all_filled():
    ts = np.linspace(0.0, 1e-3, 1000)
    sol = ne.odeint(lambda t, z: np.ones(1), [0.0], ts, first_step=1.0)
    assert sol.stats.accepted == 1
    np.testing.assert_allclose(sol.zs[:, 0], ts, rtol=0, atol=1e-17)  # a polynomial's round-off in numbers up to 1e-3


def test_neighbouring_floating_point_numbers_are_good_output_times():
    ts = [1.0, np.nextafter(1.0, 2.0), np.nextafter(np.nextafter(1.0, 2.0), 2.0), 2.0]
    zs = ne.odeint(lambda t, z: -z, 1.0, ts).zs
    np.testing.assert_allclose(zs[1:3], 1.0, rtol=0, atol=1e-15)  # z changes by 2e-16 from one to the next
    assert zs[3] == pytest.approx(np.exp(-1.0), rel=1e-5)  # rtol is 1e-6


def test_a_single_output_time_gives_z0_and_costs_nothing():
    field, z0, theta = network()
    sol = ne.odeint(field, z0, [0.5], theta)
    np.testing.assert_array_equal(sol.zs, z0[None])
    np.testing.assert_array_equal(sol(0.5), z0)
    for counter in (sol.stats.nfev, sol.stats.accepted, sol.stats.rejected, sol.stats.status):
        np.testing.assert_array_equal(counter, np.zeros(4))


def test_a_single_output_time_of_each_sample_gives_z0():
    field, z0, theta = network()
    np.testing.assert_array_equal(ne.odeint(field, z0, np.arange(4.0)[:, None], theta).zs, z0[None])


@pytest.mark.parametrize("ts", [[0.0, 0.5], [[0.0, 0.5]]])
def test_the_solution_keeps_the_times_as_they_were_given(ts):
    field, z0, theta = network(samples=1)
    np.testing.assert_array_equal(ne.odeint(field, z0, ts, theta).ts, np.array(ts), strict=True)


def test_the_solution_keeps_its_own_copy_of_the_times():
    ts = np.array([0.0, 1.0])
    sol = ne.odeint(swing, 1.0, ts)
    ts[1] = 7.0
    assert sol.ts[1] == 1.0


# ---------------------------------------------------------------- dense output


@pytest.mark.parametrize("options", [{}, {"step_size": 0.13}])
@pytest.mark.parametrize("method", METHODS)
def test_dense_output_meets_the_outputs(method, options):
    field, z0, theta = network()
    sol = ne.odeint(field, z0, np.linspace(0.0, 1.0, 6), theta, method=method, **options)
    # the same polynomial, summed in another order
    np.testing.assert_allclose(sol(sol.ts), sol.zs, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize(
    ("method", "order"),
    [("euler", 1), ("midpoint", 2), ("heun", 2), ("bosh3", 3), ("rk4", 4), ("dopri5", 5), ("tsit5", 5)],
)
def test_dense_output_converges_at_random_points_with_the_order_of_the_method(method, order):
    t = np.sort(np.random.default_rng(1).uniform(0.0, 2.0, 200))

    def error(steps):
        sol = ne.odeint(swing, 1.0, [0.0, 2.0], method=method, step_size=2.0 / steps)
        return np.sqrt(np.mean((sol(t) - np.exp(np.sin(t))) ** 2))

    # Cubic Hermite and the quartics of dopri5 and tsit5 err by h^4 and h^5 inside a step, as much as the steps add up
    # to. 0.25: the next terms of the error; a wrong interpolant costs at least one order.
    assert np.log2(error(40) / error(80)) == pytest.approx(order, abs=0.25)


@pytest.mark.parametrize(("method", "order"), [("bosh3", 3), ("dopri5", 4), ("tsit5", 4)])
def test_within_one_step_dense_output_has_the_order_of_its_polynomial(method, order):
    theta = np.random.default_rng(2).uniform(0.05, 0.95, 30)
    z0, parameter = PROBLEMS["pendulum"].z0, PROBLEMS["pendulum"].theta

    def error(h):
        sol = ne.odeint(pendulum, z0, [0.0, h], parameter, method=method, step_size=h)
        times = np.append(0.0, np.sort(theta) * h)
        return np.linalg.norm(sol(times) - exact(lambda t, z: pendulum(t, z, parameter), z0, times))

    # the error of one step is of one order more; 0.3: the next term, at h = 1/8
    assert np.log2(error(0.25) / error(0.125)) == pytest.approx(order + 1, abs=0.3)


def test_dense_output_is_continuous_where_steps_meet():
    sol = solve("pendulum")
    t = np.linspace(0.0, 5.0, 20001)
    # neighbours are 2.5e-4 apart, and no slope exceeds 5; a jump would be as large as a tolerance at least
    assert abs(np.diff(sol(t), axis=0)).max() < 5 * 2.5e-4


def test_dense_output_has_the_shapes_of_its_argument():
    field, z0, theta = network(samples=4)
    sol = ne.odeint(field, z0, [0.0, 1.0], theta)
    assert sol(0.5).shape == (4, 2)
    assert sol([0.1, 0.2, 0.3]).shape == (3, 4, 2)
    assert sol([]).shape == (0, 4, 2)
    assert ne.odeint(field, z0[0], [0.0, 1.0], theta)(0.5).shape == (2,)


def test_dense_output_of_a_state_without_axes_has_none_either():
    sol = ne.odeint(swing, 1.0, [0.0, 1.0])
    assert sol(0.5).shape == ()
    assert sol([0.5, 0.6]).shape == (2,)


def test_dense_output_takes_times_in_any_order():
    sol = solve("pendulum")
    t = np.random.default_rng(3).uniform(0.0, 5.0, 40)
    # the same polynomials, summed in another order
    np.testing.assert_allclose(sol(t), np.stack([sol(each) for each in t]), rtol=0, atol=1e-14)


@pytest.mark.parametrize("method", METHODS)
def test_dense_output_follows_time_backwards(method):
    field, z0, theta = rotation()
    sol = ne.odeint(field, z0, [0.0, -1.0], theta, method=method, step_size=0.02)
    t = np.linspace(-1.0, 0.0, 17)
    exact = np.stack([np.cos(t), np.sin(t)], axis=1)
    # the radius grows by 1 % with Euler's steps of 0.02
    np.testing.assert_allclose(sol(t), exact, atol=2e-2 if method == "euler" else 1e-4)


def test_each_sample_of_dense_output_is_what_it_is_alone():
    field, z0, theta = oscillator()
    ts = np.array([[0.0, 2.0], [1.5, -1.0], [0.2, 4.0]])
    batch, t = ne.odeint(field, z0, ts, theta), np.linspace(0.2, 1.5, 9)
    alone = [ne.odeint(field, z0[b], ts[b], theta)(t) for b in range(3)]
    np.testing.assert_array_equal(batch(t), np.stack(alone, axis=1))


def test_samples_with_their_own_times_have_dense_output_where_their_intervals_meet():
    field, z0, theta = oscillator()
    sol = ne.odeint(field, z0, np.array([[0.0, 2.0], [1.5, -1.0], [0.2, 4.0]]), theta)
    with pytest.raises(ValueError, match=r"t: got .* expected times in the solved interval \[0.2, 1.5\]"):
        sol([0.5, 1.6])


@pytest.mark.parametrize("t", [1.1, -1e-9, np.nan, np.inf])
def test_dense_output_outside_the_interval_is_refused(t):
    sol = ne.odeint(swing, [1.0], [0.0, 1.0])
    with pytest.raises(ValueError, match=r"t: got .* expected times in the solved interval \[0.0, 1.0\]"):
        sol([0.5, t])


def test_dense_output_takes_a_number_or_a_list_of_times_only():
    with pytest.raises(ValueError, match=r"t: got shape \(1, 2\), expected a number or \(n,\)"):
        ne.odeint(swing, [1.0], [0.0, 1.0])([[0.1, 0.2]])


# ---------------------------------------------------------------- records


@pytest.mark.parametrize("method", METHODS)
def test_recording_changes_neither_states_nor_dense_output(method):
    field, z0, theta = network()
    t = np.linspace(0.0, 1.0, 7)
    plain, kept = (ne.odeint(field, z0, [0.0, 1.0], theta, method=method, record=r) for r in (False, True))
    np.testing.assert_array_equal(plain.zs, kept.zs)
    np.testing.assert_array_equal(plain(t), kept(t))


def test_dense_output_of_a_recorded_solve_evaluates_nothing_more():
    f, calls = recording(swing)
    sol = ne.odeint(f, [1.0], [0.0, 1.0], record=True)
    before = len(calls)
    sol(0.5)
    assert len(calls) == before


def test_dense_output_of_a_solve_without_records_solves_once_more_and_not_twice():
    f, calls = recording(swing)
    sol = ne.odeint(f, [1.0], [0.0, 1.0])
    once = len(calls)
    sol(0.5)
    sol(0.7)
    assert len(calls) == 2 * once
