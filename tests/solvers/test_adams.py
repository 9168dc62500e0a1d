"""The Adams method of variable step and order: its formulas, its errors, its costs, and the contract of a method."""

import math

import numpy as np
import pytest
from numpy.polynomial import Polynomial
from problems import PROBLEMS, duffing, oscillator, solve, swing, truth
from recorder import recording
from scipy.integrate import ode, solve_ivp

import nodeedu as ne
from nodeedu.errors import SolverError
from nodeedu.solvers.multistep.adams_step import integrals

# How many tolerances the error may reach; measured at rtol = atol = 1e-8: 51, 6, 20, 102, 4.
GROWTH = {"lotka_volterra": 100, "pendulum": 12, "van_der_pol": 40, "kepler": 200, "linear": 8}


def integrated(times, slopes, start, stop):
    """Integrate the polynomial through slopes (n, D) at times (n,): fitted, which is all another way than ours."""
    size = stop - start
    out = []
    for column in np.transpose(slopes):
        polynomial = Polynomial(np.linalg.solve(np.vander((times - start) / size, increasing=True), column)).integ()
        out.append(size * (polynomial(1.0) - polynomial(0.0)))
    return np.array(out)


@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_every_step_integrates_the_polynomials_of_predictor_and_corrector(direction):
    f, ts = (lambda t, z: direction * duffing(direction * t, z)), [0.0, 5.0 * direction]
    records = ne.odeint(f, [1.0, 0.0], ts, method="adams", rtol=1e-7, atol=1e-7, record=True)._records
    steps, states = records.steps[: records.count[0]], records.rows[: records.count[0], 0]
    slopes = np.array([f(t, z) for t, z in zip(steps["t"], states, strict=True)])
    assert steps["order"].max() >= 6
    for n in range(len(steps) - 1):
        k, t, end = steps["order"][n], steps["t"], steps["t"][n + 1]
        past = slice(n + 1 - k, n + 1)
        predicted = states[n] + integrated(t[past], slopes[past], t[n], end)
        ahead = f(end, predicted)
        corrected = states[n] + integrated(np.append(t[past], end), np.vstack([slopes[past], ahead]), t[n], end)
        # Vandermonde matrices of up to 10 nodes: their condition, 1e6, times round-off, times a step of 0.1
        np.testing.assert_allclose(states[n + 1], corrected, rtol=0, atol=1e-11)


def test_with_equal_steps_the_coefficients_are_those_of_the_textbook():
    g = np.zeros(6)
    getattr(integrals, "py_func", integrals)(1.0, 5, 0.1, -0.1 * np.arange(7), np.zeros(8), g)
    np.testing.assert_allclose(g, [1, 1 / 2, 5 / 12, 3 / 8, 251 / 720, 95 / 288], rtol=1e-14)  # HNW I, table III.1.1


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_error_is_a_few_tolerances(name):
    zs = solve(name, method="adams", rtol=1e-8, atol=1e-8).zs
    np.testing.assert_allclose(zs, truth(name), rtol=0, atol=GROWTH[name] * 1e-8)


def test_the_error_is_proportional_to_the_tolerance():
    rtols = np.array([1e-3, 1e-5, 1e-7, 1e-9, 1e-11])
    errors = [abs(solve("pendulum", method="adams", rtol=r, atol=r).zs - truth("pendulum")).max() for r in rtols]
    # measured: 0.96; orders that come and go let it waver
    assert np.polyfit(np.log(rtols), np.log(errors), 1)[0] == pytest.approx(1.0, abs=0.15)


@pytest.mark.parametrize("name", PROBLEMS)
def test_it_costs_no_more_evaluations_than_the_adams_methods_of_lsoda_and_vode(name):
    p, rtol = PROBLEMS[name], 1e-6
    f, calls = recording(lambda t, z: p.function(t, z, p.theta))
    vode = ode(f).set_integrator("vode", method="adams", rtol=rtol, atol=rtol, nsteps=10_000)
    vode.set_initial_value(p.z0, p.ts[0]).integrate(p.ts[-1])
    lsoda = solve_ivp(lambda t, z: p.function(t, z, p.theta), p.ts[[0, -1]], p.z0, "LSODA", rtol=rtol, atol=rtol)
    ours = solve(name, method="adams", rtol=rtol, atol=rtol).stats
    assert ours.nfev < 1.1 * min(len(calls), lsoda.nfev)  # measured: 0.71 to 1.01 of either


def test_the_order_rises_with_the_tolerance():
    orders = []
    for rtol in (1e-3, 1e-6, 1e-10):
        records = ne.odeint(duffing, [1, 0], [0.0, 20.0], method="adams", rtol=rtol, atol=rtol, record=True)._records
        orders.append(np.median(records.steps["order"][: records.count[0]]))
    assert orders[0] < orders[1] < orders[2]
    assert orders[2] >= 8  # measured: 6, 9 and 11


def test_every_evaluation_is_counted_and_none_lies_beyond_the_end():
    f, calls = recording(swing)
    stats = ne.odeint(f, 1.0, [3.0, 0.5, -1.0], method="adams").stats
    assert stats.nfev == len(calls) == sum(stats.tally)
    # two a step, of which the last needs one; a rejected step has one, as its second was never made
    assert stats.tally[:3] == (2 * stats.accepted - 1, stats.rejected, 2)
    assert {t for t, _ in calls} <= {3.0, -1.0} | {t for t, _ in calls if -1.0 < t < 3.0}


@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_dense_output_is_that_of_the_output_times_and_as_exact_as_the_steps(direction):
    times = direction * np.linspace(0, 4, 60)
    one = ne.odeint(swing, 1.0, times, method="adams", rtol=1e-9, atol=1e-9)
    two = ne.odeint(swing, 1.0, times[[0, -1]], method="adams", rtol=1e-9, atol=1e-9)
    assert one.stats.nfev == two.stats.nfev  # output times change no step
    np.testing.assert_allclose(two(times), one.zs, rtol=1e-14)  # sums in another order
    np.testing.assert_allclose(one.zs, np.exp(np.sin(times)), rtol=0, atol=20e-9)  # a few tolerances
    assert two.stats.tally.dense == one.stats.nfev


def test_samples_take_their_own_steps_bit_for_bit():
    field, z0, theta = oscillator()
    own = np.array([[0, 1.0, 2.0], [0, -0.5, -1.0], [1, 1.2, 4.0]])
    for ts in (own, own[0]):
        batch = ne.odeint(field, z0, ts, theta, method="adams")
        for b in range(3):
            alone = ne.odeint(field, z0[b], ts[b] if ts.ndim == 2 else ts, theta, method="adams")
            np.testing.assert_array_equal(batch.zs[:, b], alone.zs)
            assert batch.stats.nfev[b] == alone.stats.nfev
    assert len(set(batch.stats.nfev)) == 3


def test_a_float32_state_stays_float32():
    field, z0, theta = oscillator()
    sol = ne.odeint(field, z0.astype(np.float32), [0.0, 1.0, 2.0], theta, method="adams", rtol=1e-4, atol=1e-5)
    assert (sol.zs.dtype, sol(0.5).dtype) == (np.float32, np.float32)
    double = ne.odeint(field, z0, [0.0, 1.0, 2.0], theta, method="adams", rtol=1e-8, atol=1e-8).zs
    np.testing.assert_allclose(sol.zs, double, rtol=0, atol=2e-3)  # a few tolerances of numbers up to 3


def test_longest_and_first_steps_are_heeded():
    sol = ne.odeint(swing, 1.0, [0.0, 2.0], method="adams", max_step=0.03, first_step=0.001, record=True)
    h = sol._records.steps["h"][: sol.stats.accepted]
    assert h[0] == 0.001
    assert h.max() == 0.03
    assert sol.stats.tally.initial == 1


def test_a_jump_in_the_slope_costs_steps_but_not_the_answer():
    sol = ne.odeint(lambda t, z: np.sign(t - 1.0) + 0 * z, 0.0, [0.0, 0.5, 1.5, 3.0], method="adams", rtol=1e-8)
    np.testing.assert_allclose(sol.zs, [0.0, -0.5, -0.5, 1.0], rtol=0, atol=1e-7)
    assert sol.stats.rejected > 5


def test_zero_slopes_and_zero_tolerances_of_zero_states_are_no_error():
    sol = ne.odeint(lambda t, z: 0 * z, np.zeros(2), [0.0, 1e3], method="adams", atol=0.0)
    np.testing.assert_array_equal(sol.zs, np.zeros((2, 2)))


@pytest.mark.parametrize(
    ("f", "options", "cause"),
    [
        (lambda t, z: z * z, {}, "step size underflow"),  # blows up at t = 1
        (lambda t, z: z * (1.0 if t < 0.5 else math.nan), {}, "non-finite"),
        (lambda t, z: z * math.nan, {}, "non-finite"),
        (swing, {"max_steps": 3}, "max_steps"),
    ],
)
def test_failures_have_their_causes(f, options, cause):
    with pytest.raises(SolverError) as raised:
        ne.odeint(f, 1.0, [0.0, 2.0], method="adams", **options)
    assert raised.value.cause == cause


def test_what_a_callable_raises_comes_through():
    with pytest.raises(ZeroDivisionError):
        ne.odeint(lambda t, z: 1 / 0, 1.0, [0.0, 1.0], method="adams")


def test_a_single_time_is_the_start():
    sol = ne.odeint(swing, 1.0, [2.0], method="adams")
    assert (sol.zs, sol(2.0), sol.stats.nfev) == ([1.0], 1.0, 0)


def test_a_step_size_and_backpropagation_are_refused():
    with pytest.raises(ValueError, match=r"step_size: 'adams' chooses its own.*adams_bashforth"):
        ne.odeint(swing, 1.0, [0.0, 1.0], method="adams", step_size=0.1)
    field, z0, theta = oscillator()
    with pytest.raises(ValueError, match="'discrete' cannot differentiate 'adams'; take 'backsolve'"):
        ne.gradients(field, z0, [0.0, 1.0], theta, np.ones((2, 3, 2)), solver="adams")
