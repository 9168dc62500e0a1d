"""Fixed steps: orders, the number and the ends of steps, and what they cost."""

import math

import numpy as np
import pytest
from problems import PROBLEMS, solve, swing
from recorder import evaluation_times, recording

import nodeedu as ne
from nodeedu import tableaus

METHODS = tableaus.names()
ADAPTIVE = ("bosh3", "dopri5", "tsit5")


@pytest.mark.parametrize(
    ("method", "order"),
    [("euler", 1), ("midpoint", 2), ("heun", 2), ("bosh3", 3), ("rk4", 4), ("dopri5", 5), ("tsit5", 5)],
)
def test_fixed_steps_converge_with_the_order_of_the_method(method, order):
    coarse, middle, fine = (
        solve("pendulum", ts=[0.0, 2.0], method=method, step_size=2.0 / n).zs[-1] for n in (40, 80, 160)
    )
    observed = np.log2(np.linalg.norm(coarse - middle) / np.linalg.norm(middle - fine))
    # The next term of the error expansion is a few percent with 40 steps; one order more or less changes this by 1.
    assert observed == pytest.approx(order, abs=0.2)


@pytest.mark.parametrize("method", METHODS)
def test_one_step_of_a_linear_field_is_the_taylor_polynomial_of_the_exponential(method):
    z0, h, order = PROBLEMS["linear"].z0, 2.0**-6, tableaus.get(method).order
    A = PROBLEMS["linear"].theta[0]
    z = solve("linear", ts=[0.0, h], theta=(A, np.zeros(3)), method=method, step_size=h).zs[-1]
    expected = z0 + sum(np.linalg.matrix_power(h * A, n) @ z0 / math.factorial(n) for n in range(1, order + 1))
    # With as many stages as its order, an explicit method has no other choice. With more (the two of order 5), it
    # agrees to its order; what follows has the size of (h A)^6 at most.
    more = (h * np.linalg.norm(A, 2)) ** 6 if order == 5 else 0.0
    np.testing.assert_allclose(z, expected, rtol=0, atol=more + 5e-16)  # a few roundings of numbers near 1


@pytest.mark.parametrize(
    ("step_size", "counts"), [(0.25, [4, 1, 6]), (0.3, [4, 1, 5]), (1.0, [1, 1, 2]), (9, [1, 1, 1])]
)
def test_each_interval_is_cut_into_the_fewest_equal_steps_that_are_no_longer(step_size, counts):
    ts = np.array([0.0, 1.0, 1.125, 2.625])
    starts = evaluation_times(swing, 1.0, ts, method="euler", step_size=step_size)
    pieces = [np.linspace(a, b, n, endpoint=False) for a, b, n in zip(ts[:-1], ts[1:], counts, strict=True)]
    np.testing.assert_allclose(starts, np.concatenate(pieces), rtol=0, atol=4e-16)  # a rounding or two of each sum


@pytest.mark.parametrize(
    ("start", "stop", "count"), [(0.0, 0.1 * 3, 3), (0.2, 0.1 * 3, 1), (0.1 * 6, 0.1 * 3, 3), (1e6, 1e6 + 0.3, 3)]
)
def test_round_off_in_the_length_of_an_interval_makes_no_extra_step(start, stop, count):
    assert abs(stop - start) / 0.1 > count  # in floating point
    assert ne.odeint(swing, 1.0, [start, stop], method="euler", step_size=0.1).stats.accepted == count


def test_every_interval_ends_exactly_at_its_output_time():
    ts = np.sort(np.random.default_rng(0).uniform(-3, 3, 200))
    times = evaluation_times(swing, 1.0, ts, method="euler", step_size=0.07)
    assert set(ts[:-1]) <= set(times)


def test_a_longer_list_of_times_leaves_earlier_outputs_as_they_were_bit_for_bit():
    ts = np.array([0.0, 0.3, 0.45, 1.0])
    short, long = (solve("pendulum", ts=ts[:n], method="rk4", step_size=0.2).zs for n in (3, 4))
    np.testing.assert_array_equal(short, long[:3])


def test_without_step_size_a_fixed_method_makes_one_step_an_interval():
    ts = np.array([0.0, 0.3, 1.0, 1.1])
    times = evaluation_times(swing, 1.0, ts, method="euler")
    np.testing.assert_array_equal(times, ts[:-1])


def test_an_infinite_step_size_makes_one_step_an_interval():
    one, other = (solve("pendulum", method="dopri5", step_size=size).zs for size in (math.inf, 100.0))
    np.testing.assert_array_equal(one, other)


def test_eulers_result_is_the_product_that_one_computes_by_hand():
    ts = np.linspace(0.0, 1.0, 5)
    zs = ne.odeint(swing, 1.0, ts, method="euler").zs
    np.testing.assert_allclose(zs, np.cumprod([1.0, *(1 + 0.25 * np.cos(ts[:-1]))]), rtol=1e-15)  # four roundings


@pytest.mark.parametrize("method", ["euler", "midpoint", "heun", "rk4"])
def test_a_method_without_fsal_evaluates_every_stage_of_every_step(method):
    stats = ne.odeint(swing, 1.0, [0.0, 1.0, 1.5], method=method, step_size=0.25).stats
    assert (stats.accepted, stats.nfev) == (6, 6 * tableaus.get(method).stages)


@pytest.mark.parametrize("method", ADAPTIVE)
def test_an_fsal_method_saves_one_stage_of_every_step_but_the_first(method):
    stats = ne.odeint(swing, 1.0, [0.0, 1.0, 1.5], method=method, step_size=0.25).stats
    assert (stats.accepted, stats.nfev) == (6, 6 * (tableaus.get(method).stages - 1) + 1)


@pytest.mark.parametrize("method", METHODS)
def test_nfev_is_the_number_of_times_that_a_callable_was_called(method):
    f, calls = recording(swing)
    assert ne.odeint(f, 1.0, [0.0, 1.0, 1.5], method=method, step_size=0.2).stats.nfev == len(calls)


@pytest.mark.parametrize("method", ADAPTIVE)
def test_step_size_switches_error_control_off(method):
    stats = ne.odeint(lambda t, z: -50.0 * z, 1.0, [0.0, 1.0], method=method, step_size=0.25, rtol=1e-12).stats
    assert (stats.accepted, stats.rejected) == (4, 0)


@pytest.mark.parametrize(("step_size", "max_step", "count"), [(None, 0.3, 4), (0.5, 0.1, 10), (0.1, 0.5, 10)])
def test_max_step_bounds_fixed_steps_too(step_size, max_step, count):
    sol = ne.odeint(swing, 1.0, [0.0, 1.0], method="rk4", step_size=step_size, max_step=max_step)
    assert sol.stats.accepted == count


def test_fixed_steps_of_samples_follow_their_own_times():
    z0 = np.stack([PROBLEMS["pendulum"].z0] * 2)
    ts = np.array([[0.0, 1.0, 1.5], [0.0, -0.2, -2.0]])
    stats = solve("pendulum", z0=z0, ts=ts, method="rk4", step_size=0.25).stats
    assert stats.accepted.tolist() == [4 + 2, 1 + math.ceil(1.8 / 0.25)]
    assert stats.nfev.tolist() == [4 * 6, 4 * 9]


def test_recording_the_steps_does_not_change_the_states():
    plain, recorded = (solve("pendulum", method="rk4", record=record).zs for record in (False, True))
    np.testing.assert_array_equal(plain, recorded)


@pytest.mark.parametrize("method", ["euler", "dopri5"])
def test_a_change_of_the_unit_of_time_by_a_power_of_two_changes_no_bit(method):
    unit = 2.0**-600  # so small that the product of two times underflows
    ts = np.array([0.0, 0.25, 1.0, 1.5])
    one = ne.odeint(lambda t, z: np.cos(z), 0.3, ts, method=method, step_size=0.5)
    other = ne.odeint(lambda t, z: np.cos(z) / unit, 0.3, ts * unit, method=method, step_size=0.5 * unit)
    np.testing.assert_array_equal(one.zs, other.zs)
