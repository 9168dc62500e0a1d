"""Events: when they occur and in which order, and what resets do to a solve."""

import math

import numpy as np
import pytest
from event_problems import FALL, GRAVITY, IMPACT, LINEAR, TIGHT, TURN, ball, event, first, floor, impacts, second
from problems import PROBLEMS
from recorder import recording
from scipy.integrate import solve_ivp

import nodeedu as ne

# ---------------------------------------------------------------- where events are


@pytest.mark.parametrize("end", [20.0, -20.0])
def test_zeros_of_an_oscillator_are_multiples_of_pi_in_both_directions_of_time(end):
    sol = ne.odeint(LINEAR, [1.0, 0.0], [0.0, end], TURN, events=[first, second], **TIGHT)
    zeros = np.sign(end) * np.pi * np.arange(1, 7)  # sin is zero at 0, too: the start does not count
    # Sixty steps of a relative error of 1e-10 each.
    np.testing.assert_allclose(sol.t_events[0], zeros - np.sign(end) * np.pi / 2, rtol=0, atol=1e-8)
    np.testing.assert_allclose(sol.t_events[1], zeros, rtol=0, atol=1e-8)
    np.testing.assert_allclose(sol.z_events[1], [[(-1) ** n, 0] for n in range(1, 7)], rtol=0, atol=1e-8)


@pytest.mark.parametrize(("direction", "remainder"), [(1, 1.5 * np.pi), (-1, 0.5 * np.pi)])
def test_direction_is_the_sign_of_the_crossing_in_the_order_of_the_solve(direction, remainder):
    forth, back = (
        ne.odeint(LINEAR, [1.0, 0.0], [0.0, end], TURN, events=event(first, direction=direction)) for end in (12, -12)
    )
    # cos is even: going back, it falls and rises at the same distances from 0. The default rtol is 1e-6.
    for times in (forth.t_events[0], -back.t_events[0]):
        np.testing.assert_allclose(times, remainder + 2 * np.pi * np.arange(2), rtol=0, atol=1e-4)


def test_events_agree_with_those_of_scipy_at_tight_tolerances():
    problem = PROBLEMS["van_der_pol"]

    def f(t, z):
        return problem.function(t, z, (2.0,))

    watched = [first, event(lambda t, z: z[1] - 0.5 * t, direction=1), event(lambda t, z: z[0] * z[1] - 0.1)]
    ours = ne.odeint(f, problem.z0, [0.0, 15.0], events=watched, rtol=1e-11, atol=1e-12)
    theirs = solve_ivp(f, (0, 15), problem.z0, "DOP853", rtol=1e-12, atol=1e-13, events=watched)
    assert sum(map(len, ours.t_events)) > 10
    for i in range(3):
        # A thousand tolerances: the limit cycle passes errors in time on from round to round.
        np.testing.assert_allclose(ours.t_events[i], theirs.t_events[i], rtol=0, atol=1e-8)
        np.testing.assert_allclose(ours.z_events[i], theirs.y_events[i], rtol=0, atol=1e-7)  # slopes up to 4


def test_each_sample_of_a_batch_has_its_own_events_as_if_it_were_alone():
    heights = np.array([1.0, 0.3, 2.0])
    z0, ts, bounce = np.stack([heights, 0 * heights], axis=1), np.linspace(0, 1.0, 5), floor(0.9)
    together = ne.odeint(LINEAR, z0, ts, FALL, events=[bounce, second])
    np.testing.assert_allclose([times[0] for times in together.t_events[0]], np.sqrt(2 * heights / GRAVITY), rtol=1e-14)
    for b in range(3):
        alone = ne.odeint(LINEAR, z0[b], ts, FALL, events=[bounce, second])
        np.testing.assert_array_equal(together.zs[:, b], alone.zs)
        for i in range(2):
            np.testing.assert_array_equal(together.t_events[i][b], alone.t_events[i])
            np.testing.assert_array_equal(together.z_events[i][b], alone.z_events[i])
        assert together.stats.nfev[b] == alone.stats.nfev


def test_samples_may_have_times_of_their_own_in_directions_of_their_own():
    ts = np.array([[0.0, 5.0], [0.0, -8.0]])
    sol = ne.odeint(LINEAR, [[1.0, 0.0]] * 2, ts, TURN, events=second, **TIGHT)
    # As above.
    np.testing.assert_allclose(sol.t_events[0][0], [np.pi], rtol=0, atol=1e-8)
    np.testing.assert_allclose(sol.t_events[0][1], [-np.pi, -2 * np.pi], rtol=0, atol=1e-8)


def test_several_events_in_a_step_come_in_the_order_of_time():
    stop = event(lambda t, z: t - 0.6, terminal=True)
    watched = [event(lambda t, z: t - 0.5), event(lambda t, z: t - 0.8), stop, event(lambda t, z: t - 0.2)]
    sol = ne.odeint(LINEAR, [1.0, 0.0], [0.0, 1.0], TURN, method="rk4", events=watched)
    assert [times.tolist() for times in sol.t_events] == [[0.5], [], [0.6], [0.2]]


@pytest.mark.parametrize("zero", [0.25, 0.5])  # the end of a step; the end of a step at an output time
def test_a_zero_that_is_just_reached_at_the_end_of_a_step_counts_once(zero):
    touching, crossing = event(lambda t, z: (t - zero) ** 2), event(lambda t, z: t - zero)
    options = {"method": "rk4", "step_size": 0.25, "events": [touching, crossing]}
    sol = ne.odeint(LINEAR, [1.0, 0.0], [0.0, 0.5, 1.0], TURN, **options)
    assert [times.tolist() for times in sol.t_events] == [[zero], [zero]]


def test_an_event_that_is_zero_for_a_while_counts_when_it_becomes_zero():
    sol = ne.odeint(
        LINEAR, [1.0, 0.0], [0.0, 1.0], TURN, method="rk4", step_size=0.125,
        events=[event(lambda t, z: min(t - 0.5, 0.0)), event(lambda t, z: max(t - 0.5, 0.0))],
    )  # fmt: skip
    assert [times.tolist() for times in sol.t_events] == [[0.5], []]


# ---------------------------------------------------------------- what they change


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"step_size": 0.3},
        {"method": "tsit5", "controller": "PI", "first_step": 0.01, "max_step": 0.2},
        {"norm": lambda x: float(abs(x).max()), "jump_ts": [0.0, 2.5]},
    ],
)  # fmt: skip
def test_events_that_neither_reset_nor_end_change_nothing(options):
    ts = np.linspace(0, 7, 8)
    plain = ne.odeint(LINEAR, [1.0, 0.0], ts, TURN, **options)
    watched = ne.odeint(LINEAR, [1.0, 0.0], ts, TURN, events=[first, second], **options)
    np.testing.assert_array_equal(watched.zs, plain.zs)
    assert (watched.stats.nfev, watched.stats.accepted) == (plain.stats.nfev, plain.stats.accepted)
    assert plain.t_events is None
    assert plain.z_events is None


@pytest.mark.parametrize("options", [TIGHT, {"step_size": 0.05}, {"method": "rk4", "step_size": 0.1}])
def test_a_bouncing_ball_follows_its_closed_form(options):
    restitution, ts = 0.8, np.linspace(0, 2.5, 26)
    sol = ne.odeint(LINEAR, [1.0, 0.0], ts, FALL, events=floor(restitution), **options)
    expected = impacts(4, restitution)
    # All methods of order 2 solve the parabolas exactly; a few roundings in the speed add up over the flights.
    np.testing.assert_allclose(sol.t_events[0], expected, rtol=0, atol=1e-13)
    np.testing.assert_allclose(sol.zs, [ball(t, expected, restitution) for t in ts], rtol=0, atol=1e-12)
    times = np.linspace(0.01, 2.49, 40)
    np.testing.assert_allclose(sol(times), [ball(t, expected, restitution) for t in times], rtol=0, atol=1e-12)


def test_dense_output_jumps_at_a_reset_and_is_there_the_state_after():
    sol = ne.odeint(LINEAR, [1.0, 0.0], [0.0, 1.0], FALL, events=floor(0.8))
    (t,), (before,) = sol.t_events[0], sol.z_events[0]
    np.testing.assert_array_equal(sol(t), [0.0, -0.8 * before[1]])
    # The distance of two float64 times near 0.45 is 6e-17, and the slopes are at most 9.81.
    np.testing.assert_allclose(sol(np.nextafter(t, 0)), before, rtol=0, atol=2e-15)
    np.testing.assert_allclose(sol(np.nextafter(t, 1)), sol(t), rtol=0, atol=2e-15)


@pytest.mark.parametrize("last", [True, False])
def test_at_an_output_time_a_reset_leaves_the_state_after_it(last):
    ts = np.array([0.0, 0.2, IMPACT, 0.7][: 3 if last else 4])
    sol = ne.odeint(LINEAR, [1.0, 0.0], ts, FALL, events=floor(0.5))
    assert sol.t_events[0].tolist() == [IMPACT]  # not a rounding beside it
    assert sol.z_events[0][0, 1] < 0 < sol.zs[2, 1]
    np.testing.assert_array_equal(sol(IMPACT), sol.zs[2])


def test_a_ball_thrown_up_from_the_floor_does_not_hit_it_at_the_start():
    sol = ne.odeint(LINEAR, [0.0, GRAVITY / 2], [0.0, 1.5], FALL, events=event(first, terminal=True))
    np.testing.assert_allclose(sol.t_events[0], [1.0], rtol=1e-14)


def test_a_reset_that_lifts_g_over_zero_is_no_event_of_it():
    above = event(lambda t, z: z[0] - 0.5)
    throw = event(first, reset=lambda t, z: [0.8, 0.0])  # from the floor back to above the half
    sol = ne.odeint(LINEAR, [1.0, 0.0], [0.0, 1.0], FALL, events=[above, throw])
    again = IMPACT + math.sqrt(2 * 0.3 / GRAVITY)  # 0.8 down to 0.5
    np.testing.assert_allclose(sol.t_events[0], [math.sqrt(1 / GRAVITY), again], rtol=1e-14)


def test_resets_at_one_time_follow_one_another_in_the_order_of_the_list():
    add = event(lambda t, z: t - 0.5, reset=lambda t, z: z + 1)
    double = event(lambda t, z: 0.5 - t, reset=lambda t, z: 2 * z)
    still = (np.zeros((2, 2)), np.zeros(2))
    zs = [ne.odeint(LINEAR, [1.0, 0.0], [0, 1], still, events=both).zs[-1] for both in ([add, double], [double, add])]
    np.testing.assert_array_equal(zs, [[4.0, 2.0], [3.0, 1.0]])


def test_a_thermostat_switches_between_its_two_thresholds():
    def f(t, z):  # temperature and whether the heating is on: relaxes to 30 or to 10 at rate 1
        return [10 + 20 * z[1] - z[0], 0.0]

    cold = event(lambda t, z: z[0] - 18, direction=-1, reset=lambda t, z: [z[0], 1.0])
    warm = event(lambda t, z: z[0] - 22, direction=1, reset=lambda t, z: [z[0], 0.0])
    sol = ne.odeint(f, [20.0, 0.0], [0.0, 5.0], events=[cold, warm], **TIGHT)
    half_period = math.log(12 / 8)  # from 22 down to 18, and from 18 up to 22
    switches = math.log(10 / 8) + half_period * np.arange(12)
    switches = switches[switches < 5.0]
    # Eleven flights with a relative error of 1e-10 each.
    np.testing.assert_allclose(sol.t_events[0], switches[::2], rtol=0, atol=1e-8)
    np.testing.assert_allclose(sol.t_events[1], switches[1::2], rtol=0, atol=1e-8)


def test_resets_are_exact_in_the_count_of_evaluations():
    recorded, calls = recording(lambda t, z: [z[1], -GRAVITY])
    sol = ne.odeint(recorded, [1.0, 0.0], [0.0, 2.0], events=floor(0.8))
    assert sol.stats.nfev == len(calls) == sum(sol.stats.tally)
    assert sol.stats.tally.initial == 2 * (1 + len(sol.t_events[0]))  # first slope and probe, at every start
