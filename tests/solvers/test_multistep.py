"""Adams methods of fixed order: weights, orders on regular and irregular times, cost, dense output, gradients."""

import numpy as np
import pytest
from problems import PROBLEMS, duffing, field_of, oscillator, solve, swing
from recorder import recording

import nodeedu as ne
from nodeedu.errors import SolverError
from nodeedu.solvers.multistep.fixed_order_step import lagrange_integrals

METHODS = [(f"adams_{kind}{order}", order) for kind in ("bashforth", "moulton") for order in range(1, 6)]
IRREGULAR = np.array([0.0, 0.31, 0.4, 0.93, 1.0, 1.7, 2.0])


def weights(sigma):
    sigma, out = np.array(sigma, float), np.zeros(len(sigma))
    getattr(lagrange_integrals, "py_func", lagrange_integrals)(1.0, sigma, len(sigma), np.zeros(len(sigma) + 1), out)
    return out


@pytest.mark.parametrize(
    ("sigma", "expected"),
    [
        ([0, -1, -2, -3], np.array([55, -59, 37, -9]) / 24),  # Adams-Bashforth, HNW I, III.1.5
        ([0, -1, -2, -3, -4], np.array([1901, -2774, 2616, -1274, 251]) / 720),
        ([1, 0, -1, -2], np.array([9, 19, -5, 1]) / 24),  # Adams-Moulton, HNW I, III.1.9
        ([1, 0, -1, -2, -3], np.array([251, 646, -264, 106, -19]) / 720),
    ],
)
def test_the_weights_of_equal_steps_are_those_of_the_textbook(sigma, expected):
    np.testing.assert_allclose(weights(sigma), expected, rtol=0, atol=1e-14)  # sums of a few terms up to 30


@pytest.mark.parametrize(("method", "order"), METHODS)
def test_fixed_steps_converge_with_the_order_of_the_method(method, order):
    coarse, middle, fine = (
        solve("pendulum", ts=[0.0, 2.0], method=method, step_size=2 / n).zs[-1] for n in (80, 160, 320)
    )
    observed = np.log2(np.linalg.norm(coarse - middle) / np.linalg.norm(middle - fine))
    # The next term of the error expansion changes it by up to 0.16 (moulton5, measured); one order more or less by 1.
    assert observed == pytest.approx(order, abs=0.25)


@pytest.mark.parametrize(("method", "order"), METHODS)
def test_the_order_holds_where_every_step_has_another_size(method, order):
    errors = []
    for n in (80, 160):
        x = (np.arange(n + 1) + 0.3 * (np.arange(n + 1) % 2)) / n  # neighbours differ by 1.3 / 0.7
        ts = 2 * (x + 0.03 * np.sin(6 * np.pi * x))
        errors.append(abs(ne.odeint(swing, 1.0, ts, method=method).zs - np.exp(np.sin(ts))).max())
    # The next term of the error expansion changes it by up to 0.22 (moulton5, measured); one order more or less by 1.
    assert np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.3)


@pytest.mark.parametrize(("method", "order"), METHODS)
def test_a_polynomial_of_degree_order_is_solved_exactly_on_irregular_times(method, order):
    zs = ne.odeint(lambda t, z: order * t ** (order - 1) + 0 * z, 0.0, IRREGULAR, method=method, step_size=0.2).zs
    np.testing.assert_allclose(zs, IRREGULAR**order, rtol=1e-13, atol=1e-14)  # round-off of 11 steps


@pytest.mark.parametrize("kind", ["bashforth", "moulton"])
def test_order_four_is_the_recurrence_of_the_textbook_started_by_rk4(kind):
    h, n = 0.05, 20
    t = h * np.arange(n + 1)
    zs = list(ne.odeint(duffing, [1.0, 0.0], t[:4], method="rk4").zs)
    for i in range(3, n):
        f = [duffing(t[i - j], zs[i - j]) for j in range(4)]
        predicted = zs[i] + h / 24 * (55 * f[0] - 59 * f[1] + 37 * f[2] - 9 * f[3])
        ahead = duffing(t[i + 1], predicted)
        corrected = zs[i] + h / 24 * (9 * ahead + 19 * f[0] - 5 * f[1] + f[2])
        zs.append(predicted if kind == "bashforth" else corrected)
    ours = ne.odeint(duffing, [1.0, 0.0], t[[0, -1]], method=f"adams_{kind}", step_size=h).zs[-1]
    np.testing.assert_allclose(ours, zs[-1], rtol=0, atol=1e-13)  # weights from times: a few roundings a step


@pytest.mark.parametrize(
    ("method", "extra", "each"),
    [("adams_bashforth1", 0, 1), ("adams_bashforth4", 9, 1), ("adams_moulton4", 6, 2), ("adams_moulton5", 16, 2)],
)
def test_a_step_costs_one_evaluation_or_two_and_a_start_those_of_its_stages(method, extra, each):
    f, calls = recording(swing)
    stats = ne.odeint(f, 1.0, [0.0, 1.0, 1.5], method=method, step_size=0.05).stats
    assert stats.nfev == len(calls) == sum(stats.tally) == 30 * each + extra
    assert (stats.accepted, stats.rejected, stats.tally.initial) == (30, 0, 1)


def test_a_bare_name_is_order_four():
    one, other = (solve("pendulum", method="adams_moulton" + k, step_size=0.2).zs for k in ("", "4"))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("method", ["adams_bashforth5", "adams_moulton5"])
def test_tiny_intervals_among_long_ones_do_not_magnify_round_off(method):
    equal = np.linspace(0, 2, 41)
    ts = np.sort(np.append(equal, [1e-9, 2e-9, 1.0 + 1e-10, 1.0 + 2e-10, 1.0 + 3e-10]))
    error, usual = (abs(ne.odeint(swing, 1.0, t, method=method).zs - np.exp(np.sin(t))).max() for t in (ts, equal))
    assert error < usual  # new starts are Runge-Kutta steps; without them, 1e-16 / (1e-10)**4 would be everywhere


@pytest.mark.parametrize("method", ["adams_bashforth5", "adams_moulton4"])
@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_dense_output_is_as_exact_as_the_steps_in_both_directions(method, direction):
    ts, inside = direction * IRREGULAR, direction * np.linspace(0, 2, 33)
    sol = ne.odeint(swing, 1.0, ts, method=method, step_size=0.02)
    at_ends = abs(sol.zs - np.exp(np.sin(ts))).max()
    np.testing.assert_allclose(sol(inside), np.exp(np.sin(inside)), rtol=0, atol=2 * at_ends)
    # the steps end where they ended, up to a rounding of numbers near 2
    np.testing.assert_allclose(sol(ts), sol.zs, rtol=0, atol=1e-15)


def test_dense_output_is_counted():
    sol = ne.odeint(swing, 1.0, [0.0, 1.0], method="adams_bashforth2", step_size=0.1)
    before = sol.stats.nfev
    sol(0.5)
    assert sol.stats.tally.dense == before + 1  # a second solve, and the slope at the end
    assert sum(sol.stats.tally) == sol.stats.nfev == 2 * before + 1


@pytest.mark.parametrize("method", ["adams_bashforth", "adams_moulton5"])
def test_samples_are_independent_of_their_batch_bit_for_bit(method):
    field, z0, theta = oscillator()
    own = np.array([[0, 1.0, 2.0], [0, -0.5, -1.0], [1, 1.2, 4.0]])
    for ts in (own, own[:1].repeat(3, axis=0), own[0]):
        batch = ne.odeint(field, z0, ts, theta, method=method, step_size=0.03)
        for b in range(3):
            alone = ne.odeint(field, z0[b], np.atleast_2d(ts)[b % len(np.atleast_2d(ts))], theta, method=method,
                              step_size=0.03)  # fmt: skip
            np.testing.assert_array_equal(batch.zs[:, b], alone.zs)
            assert batch.stats.nfev[b] == alone.stats.nfev


def test_a_float32_state_stays_float32():
    field, z0, theta = oscillator()
    sol = ne.odeint(field, z0.astype(np.float32), [0.0, 1.0], theta, method="adams_moulton", step_size=0.02)
    assert (sol.zs.dtype, sol(0.5).dtype) == (np.float32, np.float32)
    double = ne.odeint(field, z0, [0.0, 1.0], theta, method="adams_moulton", step_size=0.02).zs
    np.testing.assert_allclose(sol.zs, double, rtol=0, atol=2e-5)  # 50 steps round numbers up to 4 to 2e-7 each


@pytest.mark.parametrize("method", ["adams_bashforth3", "adams_moulton5"])
@pytest.mark.parametrize("step_size", [0.11, None])
def test_gradients_are_those_of_the_computed_states(method, step_size):
    rng, p, field = np.random.default_rng(0), PROBLEMS["pendulum"], field_of("pendulum")
    zs_bar, dz, e = rng.normal(size=(7, 2)), rng.normal(size=2), 1e-5
    g = ne.gradients(field, p.z0, IRREGULAR, p.theta, zs_bar, solver=method, step_size=step_size)

    def loss(z0, theta):
        return (zs_bar * ne.odeint(field, z0, IRREGULAR, theta, method=method, step_size=step_size).zs).sum()

    by_z0 = (loss(p.z0 + e * dz, p.theta) - loss(p.z0 - e * dz, p.theta)) / (2 * e)
    by_theta = (loss(p.z0, p.theta + e) - loss(p.z0, p.theta - e)) / (2 * e)
    # Central differences: 1e-10 of truncation and 1e-15 / 1e-5 of round-off, times derivatives up to 10.
    np.testing.assert_allclose([g.z0 @ dz, g.theta], [by_z0, by_theta], rtol=0, atol=2e-9)


def test_gradients_of_a_batch_with_own_times_are_those_of_its_samples():
    field, z0, theta = oscillator()
    ts, method = np.array([[0, 1, 2], [0, -0.5, -1], [1, 1.2, 4]]), {"solver": "adams_moulton", "step_size": 0.1}
    bar = np.random.default_rng(0).normal(size=(3, 3, 2))
    batch = ne.gradients(field, z0, ts, theta, bar, **method)
    each = [ne.gradients(field, z0[b], ts[b], theta, bar[:, b], **method) for b in range(3)]
    np.testing.assert_allclose(batch.z0, [g.z0 for g in each], rtol=1e-14)  # rows of one kernel or of three
    np.testing.assert_allclose(batch.theta[0], sum(g.theta[0] for g in each), rtol=1e-13)  # in another order
    assert batch.stats.nfev_backward.tolist() == [g.stats.nfev_backward for g in each]
    assert batch.stats.stored_states == 2 * (20 + 10 + 30)


def test_a_state_that_leaves_the_numbers_is_reported_with_its_sample():
    field, z0, theta = oscillator()
    with pytest.raises(SolverError, match=r"sample 1: adams_bashforth stopped at t = .*non-finite") as raised:
        ne.odeint(field, z0 * [[1.0], [1e200], [1.0]], [0.0, 1.0], theta, method="adams_bashforth", step_size=0.1)
    assert raised.value.cause == "non-finite"


def test_the_number_of_steps_is_limited():
    with pytest.raises(SolverError, match=r"stopped at t = 0\.3 after 3 trial steps: max_steps = 3"):
        ne.odeint(swing, 1.0, [0.0, 1.0], method="adams_moulton2", step_size=0.1, max_steps=3)
    assert ne.odeint(swing, 1.0, [0.0, 1.0], method="adams_moulton2", step_size=0.1, max_steps=10).stats.accepted == 10
