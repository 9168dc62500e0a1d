"""Gradients through events: against closed forms by complex steps, against differences, and when there is none."""

import numpy as np
import pytest
from adjoint_problems import V
from bouncing_ball import LINEAR, RESTITUTION, START, bounced, complex_step, event, fall, floor, impact

import nodeedu as ne


def gradient_of_start(*args):
    """The gradient with respect to height, velocity and gravity."""
    g = ne.event_gradients(*args)
    return np.append(g.z0, -g.theta[1][1])


# ---------------------------------------------------------------- closed forms


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_ball_that_bounces_has_the_gradient_of_its_closed_form(n):
    t = (impact(START, n)[0] + impact(START, n + 1)[0]) / 2
    sol = fall(START, [0.0, 0.1, t])
    assert len(sol.t_events[0]) == n
    bar = np.array([[0.0, 0.0], [0.0, 0.0], [0.7, -0.4]])
    # A parabola is solved to rounding; an impact multiplies that by the speed over the gravity, and so does the next.
    np.testing.assert_allclose(
        gradient_of_start(sol, bar), complex_step(lambda x: bar[2] @ bounced(x, t, n)), rtol=1e-9, atol=1e-10
    )


def test_the_time_of_an_event_that_ends_a_solve_has_a_gradient():
    sol = fall(START, [0.0, 0.5, 9.0], floor(terminal=2))
    assert np.isnan(sol.zs[2]).all()
    found = gradient_of_start(sol, np.zeros((3, 2)), [np.array([0.0, 1.0])])
    np.testing.assert_allclose(found, complex_step(lambda x: impact(x, 2)[0]), rtol=1e-9)  # as above
    speed = gradient_of_start(sol, np.zeros((3, 2)), None, [np.array([[0.0, 0.0], [0.0, -RESTITUTION]])])
    np.testing.assert_allclose(speed, complex_step(lambda x: impact(x, 2)[1]), rtol=1e-9)


def test_an_event_that_shares_its_step_with_a_reset_has_a_gradient():
    low = event(lambda t, z: z[0] - 0.01, direction=-1)
    sol = fall(START, [0.0, 0.6], [floor(), low])
    assert sol._occurrences[0][0].record == sol._occurrences[0][1].record
    found = gradient_of_start(sol, np.zeros((2, 2)), [None, [1.0]])
    expected = complex_step(lambda x: impact(x - np.array([0.01, 0.0, 0.0]), 1)[0])  # there, the floor is higher
    np.testing.assert_allclose(found, expected, rtol=1e-9)  # as above


def test_float32_stays_float32():
    sol = fall(np.float32(START), [0.0, 0.6])
    g = ne.event_gradients(sol, np.ones((2, 2)))
    assert {g.z0.dtype, g.ts.dtype, *(leaf.dtype for leaf in g.theta)} == {np.dtype(np.float32)}
    exact = ne.event_gradients(fall(START, [0.0, 0.6]), np.ones((2, 2)))
    np.testing.assert_allclose(g.z0, exact.z0, rtol=1e-5)  # 80 roundings


def test_an_output_at_the_time_of_a_reset_has_the_gradient_of_the_state_after_it():
    """Of an event that comes no later than the output: after n impacts, the closed form says how z(t) changes."""
    ts = np.array([0.0, impact(START, 1)[0], impact(START, 2)[0]])  # the second is also where the solve ends
    sol, bar = fall(START, ts), np.array([[0.0, 0.0], [0.3, 1.1], [0.7, -0.4]])
    np.testing.assert_array_equal(sol.t_events[0], ts[1:])
    expected = complex_step(lambda x: sum(bar[n] @ bounced(x, ts[n], n) for n in (1, 2)))
    np.testing.assert_allclose(gradient_of_start(sol, bar), expected, rtol=1e-9)  # as above

    # As differences see it, to the side on which the impacts are earlier: of the first order, halved once.
    def loss(s):
        return np.sum(bar * fall(START - s * np.array([1.0, 0.0, 0.0]), ts).zs)

    first, half = ((loss(0.0) - loss(s)) / s for s in (1e-4, 5e-5))
    np.testing.assert_allclose(2 * half - first, expected[0], rtol=1e-6)


def test_where_an_event_ends_the_solve_at_an_output_time_the_output_is_one_like_any_other():
    ts = np.array([0.0, impact(START, 1)[0], 9.0])
    bar = np.array([[0.0, 0.0], [0.3, 1.1], [0.0, 0.0]])
    sol = fall(START, ts, floor(terminal=True))
    assert sol.t_events[0] == ts[1]
    no_event = fall(START, ts[:2], [])
    np.testing.assert_allclose(gradient_of_start(sol, bar), gradient_of_start(no_event, bar[:2]), rtol=1e-12)


# ---------------------------------------------------------------- differences

kick = event(
    lambda t, z: z[0] - 0.1 * np.sin(3 * t), reset=lambda t, z: np.stack([z[0] + 0.9 + 0.1 * z[1] ** 2, z[1] + t])
)
watch = event(lambda t, z: z[0] * z[1] - 0.1 * t)


@pytest.mark.parametrize("end", [4.0, -3.5])
@pytest.mark.jit  # in plain Python: 7 s; others run the same lines
def test_gradients_through_two_events_are_what_differences_see(end):
    """Outputs and occurrences count; g and reset depend on the time; f is nonlinear and depends on the time."""
    ts, rng, events = np.linspace(0.2, end, 5), np.random.default_rng(0), [kick, watch]

    def solve(z0, theta, ts):
        return ne.odeint(V.field, z0, ts, theta, events=events, rtol=1e-11, atol=1e-12)

    def looked_at(sol):
        return [sol.zs, *sol.t_events, *sol.z_events]

    sol = solve(V.z0, V.theta, ts)
    assert min(map(len, sol.t_events)) >= 1
    bars = [rng.normal(size=x.shape) for x in looked_at(sol)]
    g = ne.event_gradients(sol, bars[0], bars[1:3], bars[3:])
    for name, x in {"z0": V.z0, "theta": V.theta, "ts": ts}.items():
        along = rng.normal(size=x.shape)

        def loss(s, name=name, x=x, along=along):
            arguments = {"z0": V.z0, "theta": V.theta, "ts": ts} | {name: x + s * along}
            return sum(np.sum(bar * y) for bar, y in zip(bars, looked_at(solve(**arguments)), strict=True))

        wide, narrow = ((loss(s) - loss(-s)) / (2 * s) for s in (1e-3, 5e-4))
        # Of the fourth order; solves to 1e-11 that are divided by 5e-4.
        np.testing.assert_allclose(np.sum(getattr(g, name) * along), (4 * narrow - wide) / 3, rtol=1e-6, atol=1e-6)


def test_gradients_through_events_on_fixed_steps_converge_with_the_order_of_the_method():
    ts, bar = np.linspace(0.2, 4.0, 5), np.random.default_rng(0).normal(size=(5, 2))

    def gradient(**options):
        sol = ne.odeint(V.field, V.z0, ts, V.theta, events=[kick, watch], **options)
        g = ne.event_gradients(sol, bar, [np.ones(len(t)) for t in sol.t_events])
        return np.concatenate([g.z0, g.theta, g.ts])

    exact = gradient(rtol=1e-12, atol=1e-13)
    errors = [np.abs(gradient(method="rk4", step_size=1 / n) - exact).max() for n in (32, 128)]
    # Two halvings: four times the order. That the steps fit between events in whole numbers makes it vary by a half.
    assert 3.5 < np.log2(errors[0] / errors[1]) / 2 < 4.5
    assert errors[1] < 1e-7


def test_a_batch_has_the_gradients_of_its_samples_and_the_sum_of_those_of_theta():
    z0 = np.array([[1.0, 0.5], [0.4, -0.3], [2.0, 1.0]])
    ts = np.array([[0.2, 1.0, 4.0], [0.0, 0.5, 1.0], [0.5, -1.0, -2.0]])
    together = ne.odeint(V.field, z0, ts, V.theta, events=[kick, watch])
    rng = np.random.default_rng(0)
    bar = rng.normal(size=together.zs.shape)
    t_bar = [[rng.normal(size=t.shape) for t in own] for own in together.t_events]
    g = ne.event_gradients(together, bar, t_bar, [None, None])
    assert len({len(t) for t in together.t_events[0]}) > 1
    alone = [
        ne.event_gradients(
            ne.odeint(V.field, z0[b], ts[b], V.theta, events=[kick, watch]), bar[:, b], [own[b] for own in t_bar]
        )
        for b in range(3)
    ]
    np.testing.assert_array_equal(g.z0, [each.z0 for each in alone])
    np.testing.assert_array_equal(g.ts, [each.ts for each in alone])
    # The same numbers, added in another order.
    np.testing.assert_allclose(g.theta, sum(each.theta for each in alone), rtol=1e-13)
    assert g.stats.nfev_backward.tolist() == [each.stats.nfev_backward for each in alone]


def test_events_that_only_watch_change_nothing_of_the_gradient_of_outputs():
    ts, bar = np.linspace(0.2, 3.0, 5), np.random.default_rng(0).normal(size=(5, 2))
    sol = ne.odeint(V.field, V.z0, ts, V.theta, events=watch)
    g, plain = ne.event_gradients(sol, bar), ne.gradients(V.field, V.z0, ts, V.theta, bar)
    # The last output is inside its step here, where theta**j for theta = 1 adds up the weights that the other knows.
    np.testing.assert_allclose(g.z0, plain.z0, rtol=1e-13)
    np.testing.assert_allclose(g.theta, plain.theta, rtol=1e-13)


# ---------------------------------------------------------------- no gradient


def test_a_trajectory_that_grazes_an_event_is_refused():
    """A ball thrown upwards reaches a height just below its highest point at a speed below 1e-5."""
    top, height = START[1] / START[2], START[0] + START[1] ** 2 / (2 * START[2])
    graze = event(lambda t, z: z[0] - (height - 1e-12), reset=lambda t, z: np.stack([z[0], -2.0]))
    sol = fall(START, [0.0, top], graze, rtol=1e-6)
    assert len(sol.t_events[0]) == 1
    with pytest.raises(ValueError, match=r"events\[0\]: the trajectory only grazes it at t = 0\.03.*lower rtol"):
        ne.event_gradients(sol, np.ones((2, 2)))
    g = ne.event_gradients(sol, np.array([[1.0, 2.0], [0.0, 0.0]]))  # of a loss that looks at z0 alone
    np.testing.assert_array_equal(g.z0, [1.0, 2.0])


def test_two_resets_at_one_time_are_refused():
    twice = event(lambda t, z: 2 * z[0], reset=lambda t, z: z + np.array([0.1, 0.0]))
    sol = fall(START, [0.0, 0.6], [floor(), twice])
    with pytest.raises(ValueError, match=r"events\[0\] and events\[1\] both occur at t = 0\.48"):
        ne.event_gradients(sol, np.ones((2, 2)))


def in_place(t, z):
    z[1] *= -RESTITUTION
    return z


@pytest.mark.parametrize(
    ("bounce", "message"),
    [
        (event(lambda t, z: float(z[0])), r"events\[0\]: has no gradient.*use NumPy functions"),
        (event(lambda t, z: z[0], reset=in_place), r"events\[0\]\.reset: has no gradient.*build a new one"),
    ],
)
def test_functions_that_cannot_be_recorded_are_named(bounce, message):
    sol = fall(START, [0.0, 0.6], bounce)
    with pytest.raises(ne.TraceError, match=message):
        ne.event_gradients(sol, np.ones((2, 2)), [np.ones(len(sol.t_events[0]))])


def test_a_reset_that_depends_on_more_than_t_and_z_is_refused():
    calls = []
    moody = event(
        lambda t, z: z[0], reset=lambda t, z: np.stack([0.0, -z[1] / len(calls)]) if calls.append(t) is None else z
    )
    sol = fall(START, [0.0, 0.6], moody)
    with pytest.raises(ValueError, match=r"events\[0\]\.reset: .*expected a function of t and z alone"):
        ne.event_gradients(sol, np.ones((2, 2)))


def test_arguments_that_do_not_fit_are_named():
    sol = fall(START, [0.0, 0.5, 9.0], floor(terminal=1))
    none = np.zeros((3, 2))
    with pytest.raises(ValueError, match="zs_bar: got .* for output 2, behind an event that ended it"):
        ne.event_gradients(sol, none + np.eye(3)[2][:, None])
    with pytest.raises(ValueError, match=r"t_events_bar: got .*each of the 1 events"):
        ne.event_gradients(sol, none, [None, None])
    with pytest.raises(ValueError, match=r"z_events_bar\[0\]: got shape \(2,\), expected \(1, 2\)"):
        ne.event_gradients(sol, none, None, [np.zeros(2)])
    with pytest.raises(ValueError, match="without events"):
        ne.event_gradients(ne.odeint(V.field, V.z0, V.ts, V.theta), np.zeros((4, 2)))
    with pytest.raises(TypeError, match="which has no derivatives"):
        ne.event_gradients(ne.odeint(lambda t, z: -z, V.z0, V.ts, events=watch), np.zeros((4, 2)))
    theta = np.array([[0.0, 1.0], [0.0, 0.0]]), np.array([0.0, -START[2]])
    with pytest.raises(ValueError, match="use ne.event_gradients"):
        ne.gradients(LINEAR, START[:2], [0.0, 0.5, 9.0], theta, none, solution=sol)
