"""Time: both directions are equal, solving back returns to the start, and the origin of time does not matter."""

import numpy as np
import pytest
from problems import PROBLEMS, duffing, rotation, solve
from recorder import evaluation_times

import nodeedu as ne

METHODS = ne.tableaus.names()
ADAPTIVE = ["bosh3", "dopri5", "tsit5"]
TS = np.array([0.0, 0.7, 1.9, 4.0])


def mirrored(t, z):
    """-f(-t, z): the solution of duffing with time running the other way."""
    return -duffing(-t, z)


@pytest.mark.parametrize("method", METHODS)
def test_time_may_run_backwards(method):
    field, z0, theta = rotation()
    ts = np.linspace(0.0, -1.0, 101)
    sol = ne.odeint(field, z0, ts, theta, method=method)
    exact = np.stack([np.cos(ts), np.sin(ts)], axis=1)
    # the radius grows by half a percent with Euler's steps of 0.01
    np.testing.assert_allclose(sol.zs, exact, atol=1e-2 if method == "euler" else 1e-4)


@pytest.mark.parametrize("options", [{}, {"controller": "PI"}, {"first_step": 0.1}, {"max_step": 0.05}])
@pytest.mark.parametrize("method", ADAPTIVE)
def test_decreasing_times_mirror_increasing_ones_bit_for_bit(method, options):
    forwards = ne.odeint(duffing, [1.0, 0.0], TS, method=method, **options)
    backwards = ne.odeint(mirrored, [1.0, 0.0], -TS, method=method, **options)
    np.testing.assert_array_equal(forwards.zs, backwards.zs)  # a sign changes no digit
    assert forwards.stats == backwards.stats


@pytest.mark.parametrize("method", METHODS)
def test_fixed_steps_mirror_each_other_bit_for_bit(method):
    forwards = ne.odeint(duffing, [1.0, 0.0], TS, method=method, step_size=0.3)
    backwards = ne.odeint(mirrored, [1.0, 0.0], -TS, method=method, step_size=0.3)
    np.testing.assert_array_equal(forwards.zs, backwards.zs)


@pytest.mark.parametrize("method", ADAPTIVE)
def test_dense_output_mirrors_itself_bit_for_bit(method):
    t = np.linspace(0.0, 4.0, 23)
    forwards = ne.odeint(duffing, [1.0, 0.0], TS, method=method)
    backwards = ne.odeint(mirrored, [1.0, 0.0], -TS, method=method)
    np.testing.assert_array_equal(forwards(t), backwards(-t))


def test_the_field_is_evaluated_at_the_mirrored_times():
    there = evaluation_times(duffing, [1.0, 0.0], TS)
    back = evaluation_times(mirrored, [1.0, 0.0], -TS)
    np.testing.assert_array_equal(there, -back)


@pytest.mark.parametrize("method", ADAPTIVE)
@pytest.mark.parametrize("name", ["pendulum", "kepler", "linear"])
def test_solving_back_returns_to_the_start(name, method):
    p = PROBLEMS[name]
    options = {"method": method, "rtol": 1e-8, "atol": 1e-10}
    there = solve(name, **options)
    back = solve(name, z0=there.zs[-1], ts=p.ts[::-1], **options)
    # the error of both ways, which grows most on Kepler's orbit (test_convergence.py) and as much again on the way back
    np.testing.assert_allclose(back.zs[-1], p.z0, rtol=0, atol=2e-5 if name == "kepler" else 5e-7)


@pytest.mark.parametrize(("method", "order"), [("euler", 1), ("midpoint", 2), ("heun", 2), ("rk4", 4)])
def test_fixed_steps_there_and_back_miss_the_start_by_the_order_of_the_method(method, order):
    p = PROBLEMS["pendulum"]

    def miss(steps):
        options = {"method": method, "step_size": 2.0 / steps}
        there = solve("pendulum", ts=[0.0, 2.0], **options)
        return np.linalg.norm(solve("pendulum", z0=there.zs[-1], ts=[2.0, 0.0], **options).zs[-1] - p.z0)

    # Half of an even leading error cancels on the way back, which may raise an order by one, as it does for midpoint's.
    assert np.log2(miss(100) / miss(200)) > order - 0.2


@pytest.mark.parametrize("method", METHODS)
def test_the_origin_of_time_does_not_matter_to_an_autonomous_field(method):
    ts, shift = PROBLEMS["linear"].ts, 64.0
    options = {"method": method} if method in ADAPTIVE else {"method": method, "step_size": 0.125}
    here, there = (solve("linear", ts=ts + s, **options) for s in (0.0, shift))
    assert (here.stats.nfev, here.stats.rejected) == (there.stats.nfev, there.stats.rejected)
    # step sizes are rounded to the spacing of times near 64, 1.4e-14, about forty times
    np.testing.assert_allclose(here.zs, there.zs, rtol=0, atol=1e-12)


def test_times_far_from_zero_keep_their_digits():
    far = 2.0**30  # the spacing of times is 2.4e-7 here: coarse, but the steps are made of whole spacings
    here, there = (solve("linear", ts=np.array([0.0, 1.0, 2.0]) + s, method="rk4", step_size=0.125) for s in (0.0, far))
    np.testing.assert_array_equal(here.zs, there.zs)
