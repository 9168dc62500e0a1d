"""Adaptive solutions agree with SciPy and with the matrix exponential, as closely as the tolerances ask."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from problems import ARENSTORF_PERIOD, ARENSTORF_START, PROBLEMS, arenstorf, exact, field_of, oscillator, solve, truth
from scipy.linalg import expm

import nodeedu as ne

ADAPTIVE = ["bosh3", "dopri5", "tsit5"]

# How many tolerances the error may reach: every step adds up to one, and each problem lets them grow by a factor of its
# own. Measured at rtol 1e-8: 47, 5, 13, 1.4 and, after a passage of the perihelion, 128.
GROWTH = {"lotka_volterra": 100, "pendulum": 15, "van_der_pol": 40, "linear": 5, "kepler": 500}


@pytest.mark.parametrize("method", ADAPTIVE)
@pytest.mark.parametrize("name", PROBLEMS)
def test_the_error_is_a_few_tolerances(name, method):
    zs = solve(name, method=method, rtol=1e-8, atol=1e-10).zs
    np.testing.assert_allclose(zs, truth(name), rtol=0, atol=GROWTH[name] * 1e-8)


def test_the_arenstorf_orbit_closes():
    sol = ne.odeint(arenstorf, ARENSTORF_START, [0.0, ARENSTORF_PERIOD], rtol=1e-9, atol=1e-11)
    # Passing the moon multiplies errors by 1e4, twice; a wrong orbit misses by about 1.
    np.testing.assert_allclose(sol.zs[-1], ARENSTORF_START, atol=1e-3)


def test_a_batch_agrees_with_scipy_sample_by_sample():
    field, z0, theta = oscillator()
    ts = np.linspace(0.0, 3.0, 4)
    sol = ne.odeint(field, z0, ts, theta, rtol=1e-10, atol=1e-12)
    for b in range(len(z0)):
        scipy = exact(lambda t, z: field(t, z, theta), z0[b], ts)
        # global error at rtol 1e-10, grown by the expansion of the flow
        np.testing.assert_allclose(sol.zs[:, b], scipy, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("method", ADAPTIVE)
def test_the_error_is_proportional_to_the_tolerance(method):
    rtols = np.array([1e-4, 1e-6, 1e-8, 1e-10])
    errors = [abs(solve("pendulum", method=method, rtol=r, atol=r).zs - truth("pendulum")).max() for r in rtols]
    slope = np.polyfit(np.log(rtols), np.log(errors), 1)[0]
    # With error control per step and local extrapolation, the exponent is p / (q + 1) for the orders p of the result
    # and q of the estimate: 3/3 or 5/5. Measured: 0.96 to 1.02.
    assert slope == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize(("method", "q"), [("bosh3", 3), ("dopri5", 5), ("tsit5", 5)])
def test_the_number_of_steps_grows_like_the_root_of_the_tolerance(method, q):
    coarse, fine = (solve("pendulum", method=method, rtol=r, atol=r).stats.accepted for r in (1e-6, 1e-10))
    # h^q is proportional to the tolerance; the ends of the interval and the first step cost a few steps at rtol 1e-6
    assert np.log(fine / coarse) / np.log(1e4) == pytest.approx(1 / q, rel=0.1)


def test_a_component_with_a_loose_atol_is_not_controlled():
    # The second component oscillates fast and is worth nothing; the first one alone decides.
    def f(t, z):
        return np.array([-z[0], 40.0 * np.cos(40.0 * t)])

    both, one = (ne.odeint(f, [1.0, 0.0], [0.0, 2.0], atol=atol).stats.nfev for atol in (1e-9, [1e-9, 1e6]))
    assert one < both / 4


def test_atol_has_the_shape_of_a_matrix_state():
    def f(t, z):
        return np.array([[-z[0, 0], 40.0 * np.cos(40.0 * t)]])

    z0 = np.array([[1.0, 0.0]])
    swapped, right = (ne.odeint(f, z0, [0.0, 2.0], atol=[atol]).stats.nfev for atol in ([1e6, 1e-9], [1e-9, 1e6]))
    assert right < swapped / 4


@pytest.mark.parametrize("method", ADAPTIVE)
def test_with_atol_zero_the_unit_of_the_state_changes_no_step(method):
    unit, p = 2.0**40, PROBLEMS["linear"]
    A, b = p.theta
    one = solve("linear", method=method, atol=0.0, rtol=1e-7)
    other = solve("linear", z0=p.z0 * unit, theta=(A, b * unit), method=method, atol=0.0, rtol=1e-7)
    np.testing.assert_array_equal(one.zs * unit, other.zs)  # a power of two changes no digit


@pytest.mark.parametrize("method", ADAPTIVE)
def test_with_rtol_zero_only_the_ratio_of_state_and_atol_matters(method):
    unit, p = 2.0**40, PROBLEMS["linear"]
    A, b = p.theta
    one = solve("linear", method=method, rtol=0.0, atol=1e-7)
    other = solve("linear", z0=p.z0 * unit, theta=(A, b * unit), method=method, rtol=0.0, atol=1e-7 * unit)
    np.testing.assert_array_equal(one.zs * unit, other.zs)


@pytest.mark.parametrize("name", PROBLEMS)
def test_pi_control_is_as_accurate_as_i_control(name):
    zs = solve(name, controller="PI", rtol=1e-8, atol=1e-10).zs
    np.testing.assert_allclose(zs, truth(name), rtol=0, atol=GROWTH[name] * 1e-8)


@pytest.mark.parametrize("method", ["dopri5", "tsit5"])
def test_pi_control_rejects_far_fewer_steps_of_a_mildly_stiff_problem(method):
    i, pi = (
        solve("van_der_pol", theta=(30.0,), ts=[0.0, 60.0], method=method, controller=c, rtol=1e-5, atol=1e-5).stats
        for c in ("I", "PI")
    )
    assert pi.rejected < i.rejected / 2  # measured: 30 of 1142 against 160 of 1267, and 28 against 240
    assert pi.nfev < i.nfev


@pytest.mark.parametrize("method", ADAPTIVE)
def test_a_stiff_problem_costs_many_steps_but_ends_with_the_right_answer(method):
    sol = ne.odeint(lambda t, z: -2000.0 * (z - np.cos(t)), 0.0, [0.0, 0.5], method=method)
    # z = cos t + O(1/2000) on the slow manifold; stability bounds the steps to about 3 / 2000
    assert sol.zs[-1] == pytest.approx(np.cos(0.5), abs=1e-3)
    assert sol.stats.accepted > 200


coefficients = st.floats(-1.5, 1.5, allow_subnormal=False)


@settings(max_examples=30)
@given(A=arrays(float, (3, 3), elements=coefficients), z0=arrays(float, 3, elements=coefficients))
def test_linear_problems_agree_with_the_matrix_exponential(A, z0):
    zs = solve("linear", z0=z0, ts=[0.0, 1.0, 2.0], theta=(A, np.zeros(3)), rtol=1e-9, atol=1e-11).zs
    expected = np.stack([z0, expm(A) @ z0, expm(2 * A) @ z0])
    # A local error of 1e-9 times what it may grow to until t = 2, exp(2 |A|), in less than 100 steps.
    np.testing.assert_allclose(zs, expected, rtol=0, atol=1e-7 * np.exp(2 * np.linalg.norm(A, 2)))


@settings(max_examples=30)
@given(
    M=arrays(float, (3, 3), elements=coefficients),
    c=arrays(float, 3, elements=coefficients),
    method=st.sampled_from(ne.tableaus.names()),
)
def test_fixed_steps_commute_with_affine_changes_of_coordinates(M, c, method):
    M = M + 6 * np.eye(3)  # well conditioned: diagonally dominant
    p = PROBLEMS["linear"]
    A, b = p.theta
    A_new = M @ A @ np.linalg.inv(M)
    one = solve("linear", method=method, step_size=0.25).zs
    other = solve("linear", z0=M @ p.z0 + c, theta=(A_new, M @ b - A_new @ c), method=method, step_size=0.25).zs
    # Only round-off: 16 steps with numbers up to 20, in coordinates of condition at most 10.
    np.testing.assert_allclose(other, one @ M.T + c, rtol=0, atol=1e-12)


def test_the_batch_of_a_field_solves_the_same_problem_as_its_samples_joined_into_one_callable_would():
    field, p = field_of("pendulum"), PROBLEMS["pendulum"]
    z0 = p.z0 + np.random.default_rng(0).normal(size=(3, 2))
    batch = ne.odeint(field, z0, p.ts, p.theta, rtol=1e-9, atol=1e-11)
    joined = ne.odeint(lambda t, z: [field(t, row, p.theta) for row in z], z0, p.ts, rtol=1e-9, atol=1e-11)
    # Other steps, so that only errors of the size of the tolerance times the growth of errors agree.
    np.testing.assert_allclose(batch.zs, joined.zs, rtol=0, atol=30e-9)
