"""jump_ts: steps end exactly at discontinuities, and no evaluation is on the wrong side of one."""

import math

import numpy as np
import pytest
from recorder import evaluation_times, recording

import nodeedu as ne

METHODS = ["bosh3", "dopri5", "tsit5"]
JUMPS = [0.7, 1.3]


def thermostat(t, z, theta):
    """A heater that is on between the jumps, and a drain: z' = heat(t) - theta z."""
    return (t - 0.7) * (1.3 - t) * 0 + np.where((t > 0.7) * (t < 1.3), 5.0, 1.0) - theta * z


def exact(t, theta=2.0, z=1.0):
    at = 0.0
    for end, heat in ((0.7, 1.0), (1.3, 5.0), (math.inf, 1.0)):
        stop = min(end, t)
        z = heat / theta + (z - heat / theta) * math.exp(-theta * (stop - at))
        if stop == t:
            return z
        at = stop
    return z


def relay(left):
    """Return z' = 1 before t = 1 and -1 behind it; the jump itself belongs to the left side, or to the right."""
    return lambda t, z: np.full(1, 1.0 if t < 1.0 or (left and t == 1.0) else -1.0)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("left", [False, True])
def test_a_jump_costs_no_rejected_step_whichever_side_it_belongs_to(method, backwards, left):
    ts = [2.0, 0.0] if backwards else [0.0, 2.0]
    sol = ne.odeint(relay(left), [0.0], ts, method=method, jump_ts=[1.0])
    assert sol.stats.rejected == 0
    assert sol.zs[-1, 0] == pytest.approx(0.0, abs=1e-14)  # round-off: slopes are constant on either side
    assert ne.odeint(relay(left), [0.0], ts, method=method).stats.rejected > 5


@pytest.mark.parametrize("backwards", [False, True])
def test_no_evaluation_lies_at_a_jump_but_just_before_and_just_behind_it(backwards):
    ts = [2.0, 0.0] if backwards else [0.0, 2.0]
    times = evaluation_times(lambda t, z: -z, [1.0], ts, jump_ts=JUMPS)
    for jump in JUMPS:
        assert jump not in times
        near = times[abs(times - jump) < 1e-12]
        assert near.min() < jump < near.max()
        assert abs(near - jump).max() <= 1e-15  # some units in the last place


def test_steps_end_exactly_at_jumps_and_the_others_are_ignored():
    field = ne.vector_field(lambda t, z, theta: theta * z + t, np.ones(1), np.array(-1.0))
    sol = ne.odeint(field, [1.0], [0.5, 2.0], np.array(-1.0), jump_ts=[1.3, -7.0, 0.7, 0.7, 3.0, 2.0, 0.5], record=True)
    steps = sol._records.steps[: sol.stats.accepted]
    assert set(JUMPS) <= set(steps["t"])
    assert sol.stats.tally.initial == 2 + 2  # the first slope and the probe; a new slope behind each of two jumps


def test_without_jumps_in_the_interval_the_solve_is_the_same():
    f, ts = (lambda t, z: -z * t), np.linspace(0.0, 2.0, 5)
    plain, far = ne.odeint(f, [1.0], ts), ne.odeint(f, [1.0], ts, jump_ts=[-1.0, 3.0])
    np.testing.assert_array_equal(plain.zs, far.zs)
    assert plain.stats == far.stats


def test_the_probe_for_the_first_step_does_not_cross_a_jump():
    f, calls = recording(lambda t, z: np.full(1, 1e-3))
    ne.odeint(f, [1.0], [0.0, 100.0], jump_ts=[0.01])
    assert calls[1][0] <= 0.01


@pytest.mark.parametrize("start", [0.7, 1.3])
def test_a_solve_that_starts_at_a_jump_starts_behind_it(start):
    assert evaluation_times(lambda t, z: -z, [1.0], [start, 2.0], jump_ts=JUMPS)[0] > start
    assert evaluation_times(lambda t, z: -z, [1.0], [start, 0.0], jump_ts=JUMPS)[0] < start


@pytest.fixture(scope="module")
def heated():
    return ne.vector_field(thermostat, np.ones(1), np.array(2.0))


@pytest.mark.parametrize("method", METHODS)
def test_outputs_and_dense_output_are_as_accurate_as_if_f_were_smooth(heated, method):
    ts = np.array([0.0, 0.3, 0.7, 0.71, 1.3, 2.0])
    sol = ne.odeint(heated, np.ones((3, 1)), ts, np.array(2.0), method=method, rtol=1e-8, atol=1e-10, jump_ts=JUMPS)
    assert sol.stats.rejected.max() <= 3
    # the tolerance, over a few dozen steps; Hermite's cubic of bosh3 is no better between its steps
    np.testing.assert_allclose(sol.zs[:, 1, 0], [exact(t) for t in ts], rtol=1e-6)
    times = np.linspace(0.0, 2.0, 41)
    np.testing.assert_allclose(sol(times)[:, 0, 0], [exact(t) for t in times], rtol=1e-6)


@pytest.mark.parametrize("method", ["discrete", "backsolve", "forward"])
def test_gradients_across_jumps_are_those_of_the_exact_solution(heated, method):
    def loss(theta, z):
        return exact(1.0, theta, z) + exact(2.0, theta, z)

    g = ne.gradients(
        heated, np.ones(1), [0.0, 1.0, 2.0], np.array(2.0), np.array([[0.0], [1.0], [1.0]]), method=method,
        rtol=1e-9, atol=1e-11, jump_ts=JUMPS,
    )  # fmt: skip
    e = 1e-5  # of central differences, the error of which is of the order of 1e-10
    assert g.theta == pytest.approx((loss(2.0 + e, 1.0) - loss(2.0 - e, 1.0)) / (2 * e), rel=1e-7)
    assert g.z0[0] == pytest.approx((loss(2.0, 1.0 + e) - loss(2.0, 1.0 - e)) / (2 * e), rel=1e-7)
    assert np.max(g.stats.rejected) <= 3


def test_the_discrete_gradient_across_jumps_is_that_of_the_steps(heated):
    # At a coarse tolerance only the gradient of the steps themselves agrees with differences of the same steps.
    jumps = np.array(JUMPS)
    ts, grid, bar = [0.0, 2.0], {"rtol": 1e-2, "atol": 1e-2, "first_step": 0.2}, np.array([[0.0], [1.0]])
    sol = ne.odeint(heated, [1.0], ts, np.array(2.0), jump_ts=jumps, record=True, **grid)
    g = ne.gradients(heated, [1.0], ts, np.array(2.0), bar, solution=sol)
    e = 1e-6

    def moved(by):
        return ne.odeint(heated, [1.0 + by], ts, np.array(2.0), jump_ts=jumps, **grid).zs[-1, 0]

    # The problem is linear in z; a step size that moved with z would show at 1e-4.
    assert g.z0[0] == pytest.approx((moved(e) - moved(-e)) / (2 * e), rel=2e-3)
    assert g.stats.nfev_backward == 6 * g.stats.accepted + 1 + 2  # two first slopes are behind jumps


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"jump_ts": 1.0}, ValueError, r"jump_ts: got shape \(\), expected times \(n,\)"),
        ({"jump_ts": [0.0, np.nan]}, ValueError, r"jump_ts: got nan at index \(1,\)"),
        ({"jump_ts": ["x"]}, TypeError, "jump_ts: got dtype"),
        ({"jump_ts": [0.5], "method": "rk4"}, ValueError, "jump_ts: 'rk4' takes fixed steps here"),
        ({"min_step": -1.0}, ValueError, "min_step: got -1.0"),
        ({"min_step": 0.1, "step_size": 0.1}, ValueError, "min_step: 'dopri5' takes fixed steps here"),
        ({"min_step": 0.2, "max_step": 0.1}, ValueError, "min_step: got 0.2, more than max_step = 0.1"),
        ({"min_step": 0.2, "first_step": 0.1}, ValueError, "min_step: got 0.2, more than first_step = 0.1"),
    ],
)
def test_a_wrong_option_is_named(options, error, message):
    with pytest.raises(error, match=message):
        ne.odeint(lambda t, z: -z, [1.0], [0.0, 1.0], **options)
