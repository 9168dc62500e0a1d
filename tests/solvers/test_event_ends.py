"""Events that end a solve, and what must never happen silently."""

import math

import numpy as np
import pytest
from event_problems import FALL, GRAVITY, IMPACT, LINEAR, TIGHT, TURN, event, first, floor, impacts, second
from recorder import recording

import nodeedu as ne

# ---------------------------------------------------------------- terminal events


@pytest.mark.parametrize("terminal", [True, 3])
def test_a_terminal_event_ends_the_solve_at_its_occurrence(terminal):
    ts = np.linspace(0, 20, 41)
    sol = ne.odeint(LINEAR, [1.0, 0.0], ts, TURN, events=[event(second, terminal=terminal), first], **TIGHT)
    end = np.pi * terminal
    assert len(sol.t_events[0]) == int(terminal) == len(sol.t_events[1])
    assert sol.stats.status == 0
    np.testing.assert_array_equal(np.isnan(sol.zs[:, 0]), ts > end)
    np.testing.assert_array_equal(np.isnan(sol([end - 0.01, end + 0.01])[:, 0]), [False, True])


def test_nothing_is_evaluated_beyond_the_step_of_a_terminal_event():
    recorded, calls = recording(lambda t, z: -z)
    options = {"method": "rk4", "step_size": 0.25, "events": event(lambda t, z: t - 0.6, terminal=True)}
    assert ne.odeint(recorded, 1.0, [0.0, 100.0], **options).stats.accepted == 3
    assert max(t for t, _ in calls) == 0.75


def test_samples_end_at_their_own_terminal_events():
    heights = np.array([1.0, 3.0])
    ts = np.array([0.0, 0.4, 0.6, 0.8])
    sol = ne.odeint(LINEAR, np.stack([heights, 0 * heights], 1), ts, FALL, events=event(first, terminal=True))
    np.testing.assert_array_equal(np.isnan(sol.zs[..., 0]), ts[:, None] > np.sqrt(2 * heights / GRAVITY))
    assert sol.stats.status.tolist() == [0, 0]


def test_a_terminal_event_on_an_output_time_keeps_that_output_and_resets_nothing():
    sol = ne.odeint(LINEAR, [1.0, 0.0], [0.0, IMPACT, 0.7], FALL, events=floor(0.5, terminal=True))
    assert sol.t_events[0].tolist() == [IMPACT]
    np.testing.assert_array_equal(sol.zs[1], sol.z_events[0][0])
    assert sol.zs[1, 1] < 0
    assert np.isnan(sol.zs[2]).all()


# ---------------------------------------------------------------- what must not happen silently


@pytest.mark.parametrize("height", [0.0, 10.0])  # the noise of g = z[0] - height is that of z[0]
@pytest.mark.parametrize("restitution", [0.1, 0.5])
@pytest.mark.parametrize(
    ("options", "dtype", "rest"),
    [({}, np.float64, 1e-5), ({"step_size": 0.1}, np.float64, 1e-5), ({"rtol": 1e-3}, np.float32, 0.2)],
)
def test_a_ball_that_comes_to_rest_in_finite_time_is_an_error_and_never_falls_through(
    height, restitution, options, dtype, rest
):
    z0 = np.array([height + 1, 0.0], dtype)
    with pytest.raises(ne.SolverError, match=r"chattering; .* of events\[0\]") as error:
        ne.odeint(LINEAR, z0, [0.0, 50.0], FALL, events=floor(restitution, height), **options)
    assert error.value.cause == "chattering"
    # Bounces that are lower than 256 roundings of g are given up: a few um from 10 m in float64, a few cm in float32.
    assert error.value.t == pytest.approx(IMPACT * (1 + restitution) / (1 - restitution), abs=rest)


def test_a_ball_may_come_to_rest_by_a_terminal_count():
    sol = ne.odeint(LINEAR, [1.0, 0.0], [0.0, 50.0], FALL, events=floor(0.5, terminal=20))
    np.testing.assert_allclose(sol.t_events[0], impacts(20, 0.5), rtol=0, atol=1e-13)  # as above


def test_resets_do_not_save_a_solve_from_the_step_limit():
    with pytest.raises(ne.SolverError, match="max_steps = 40"):
        ne.odeint(LINEAR, [1.0, 0.0], [0.0, 50.0], FALL, events=floor(1.0), max_steps=40)


def fails(t, z):
    raise ArithmeticError("no event today")


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (lambda t, z: math.nan if t > 0.5 else 1.0, ValueError, r"events\[1\]: returned nan at t = .*finite"),
        (lambda t, z: z, ValueError, r"events\[1\]: returned shape \(2,\).*single number"),
        (lambda t, z: z[0] > 0, TypeError, r"events\[1\]: returned .*changes its sign"),
        (lambda t, z: None, TypeError, r"events\[1\]: returned None"),
        (lambda t, z: z.fill(0.0), ValueError, r"read-only"),
        (event(first, terminal=-1), ValueError, r"events\[1\]\.terminal: got -1"),
        (event(first, terminal=1.5), ValueError, r"events\[1\]\.terminal: got 1\.5"),
        (event(first, direction="up"), ValueError, r"events\[1\]\.direction: got 'up'"),
        (event(first, reset=0.0), TypeError, r"events\[1\]\.reset: got 0\.0"),
        (event(first, reset=lambda t, z: None), TypeError, r"events\[1\]\.reset: returned None"),
        (event(first, reset=lambda t, z: z[0]), ValueError, r"events\[1\]\.reset: returned shape \(\)"),
        (event(first, reset=lambda t, z: z * np.inf), ValueError, r"events\[1\]\.reset: .*finite"),
        (0.0, TypeError, r"events\[1\]: got 0\.0, expected a function"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_an_event_is_said_with_its_name(wrong, error, message):
    with pytest.raises(error, match=message):
        ne.odeint(LINEAR, [1.0, 0.0], [0.0, 2.0], TURN, events=[second, wrong])


def test_what_an_event_raises_comes_back_with_its_name():
    with pytest.raises(ArithmeticError, match="no event today") as error:
        ne.odeint(LINEAR, [1.0, 0.0], [0.0, 2.0], TURN, events=[second, fails])
    assert error.value.__notes__ == ["raised by events[1] at t = 0"]


def test_a_gradient_through_a_reset_or_an_end_is_refused():
    arguments = LINEAR, [1.0, 0.0], [0.0, 2.0], FALL
    sol = ne.odeint(*arguments, events=floor(0.5, terminal=1))
    with pytest.raises(ValueError, match="event has reset or ended"):
        ne.gradients(*arguments, np.ones((2, 2)), solution=sol)


def test_a_gradient_through_a_solve_that_was_only_watched_is_that_without_events():
    arguments, bar = (LINEAR, [1.0, 0.0], [0.0, 2.0], TURN), np.ones((2, 2))
    sol = ne.odeint(*arguments, events=first)
    watched, plain = ne.gradients(*arguments, bar, solution=sol), ne.gradients(*arguments, bar)
    np.testing.assert_array_equal(watched.z0, plain.z0)


@pytest.mark.parametrize("power", [3, 9])
def test_a_multiple_root_is_found(power):
    def crosses(t, z):
        return (z[0] - 0.5) ** power

    solution = ne.odeint(lambda t, z: -z, [1.0], [0.0, 2.0], events=crosses, rtol=1e-9, atol=1e-12)
    # Below the root of the smallest float, power by power, g is zero: the root is as wide.
    assert solution.t_events[0] == pytest.approx([np.log(2.0)], abs=1e-6)
