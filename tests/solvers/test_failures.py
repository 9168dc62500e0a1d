"""A solve that cannot reach its last time raises SolverError with the time, the method and the cause; none hangs."""

import math
import pickle

import numpy as np
import pytest
from problems import blow_up, field_of, oscillator, solve

import nodeedu as ne

ADAPTIVE = ["bosh3", "dopri5", "tsit5"]


def failure(f, z0, ts, theta=None, **options):
    with np.errstate(all="ignore"), pytest.raises(ne.SolverError) as info:  # plain callables may warn
        ne.odeint(f, z0, ts, theta, **options)
    error = info.value
    assert f"{error.method} stopped at t = {error.t:.6g}" in str(error)
    assert error.cause in str(error)
    return error


# ---------------------------------------------------------------- blow-up


@pytest.mark.parametrize("method", ADAPTIVE)
def test_a_solution_that_blows_up_raises_and_names_the_time(method):
    error = failure(blow_up, [1.0], [0.0, 2.0], method=method, rtol=1e-4)
    assert error.t == pytest.approx(1.0, abs=1e-3)  # relative errors of 1e-4 in z move the pole by as much
    assert (error.method, error.sample) == (method, None)
    assert error.cause in ("step size underflow", "non-finite")


def test_a_solution_that_blows_up_in_the_past_raises_too():
    assert failure(blow_up, [-1.0], [0.0, -2.0]).t == pytest.approx(-1.0, abs=1e-5)  # as above, at rtol 1e-6


def test_a_blow_up_at_time_zero_where_floating_point_times_are_dense_ends_too():
    assert failure(blow_up, [1.0], [-1.0, 2.0]).t == pytest.approx(0.0, abs=1e-5)  # as above, at rtol 1e-6


def test_a_compiled_field_that_blows_up_raises_too():
    field = ne.vector_field(lambda t, z, theta: theta * z**2, np.ones(1), np.array(1.0))
    assert failure(field, [1.0], [0.0, 2.0], np.array(1.0)).t == pytest.approx(1.0, abs=1e-5)  # as above, at rtol 1e-6


@pytest.mark.parametrize("method", ["rk4", "dopri5"])
def test_fixed_steps_into_overflow_raise(method):
    error = failure(blow_up, [1.0], [0.0, 2.0], method=method, step_size=0.01)
    assert error.cause == "non-finite"
    assert 1.0 < error.t < 1.2  # fixed steps do not see the pole; the states after it grow beyond all bounds


def test_a_step_to_infinity_is_never_accepted():
    # The slope is constant and the error estimate zero, so that only the check of the new state can see it.
    failure(lambda t, z: np.array([1e308]), [1e308], [0.0, 10.0])


# ---------------------------------------------------------------- fields that are not finite


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("method", ADAPTIVE)
def test_a_field_that_turns_non_finite_raises_and_names_the_time_and_the_component(method, bad):
    def f(t, z):
        return np.array([1.0, bad if t > 0.7 else 1.0])

    error = failure(f, [0.0, 0.0], [0.0, 2.0], method=method)
    assert error.t == pytest.approx(0.7, abs=1e-9)  # steps shrink until times cannot be told apart
    assert error.cause == "non-finite"
    assert "component 1" in str(error)


def test_fixed_steps_into_nan_raise_and_name_the_last_good_time_and_the_component():
    def f(t, z):
        return [math.nan if t > 0.7 else 1.0, 1.0]

    error = failure(f, [0.0, 0.0], [0.0, 2.0], method="rk4", step_size=0.25)
    assert error.t == 0.5  # the step from 0.5 to 0.75 sees the nan
    assert "component 0" in str(error)


@pytest.mark.parametrize("t0", [0.0, 3.0, -3.0])
@pytest.mark.parametrize("options", [{}, {"first_step": 0.1}, {"method": "rk4"}, {"step_size": 0.1}])
def test_a_field_that_is_nan_at_the_start_raises_at_once(options, t0):
    error = failure(lambda t, z: z * math.nan, [0.0], [t0, 4.0], **options)
    assert (error.t, error.cause) == (t0, "non-finite")
    assert "after 1 trial steps" in str(error)


@pytest.mark.parametrize("ts", [[0.0, 1.0], [0.0, -1.0], [-1.0, 1.0]])
def test_a_field_that_is_nan_right_after_time_zero_ends_though_steps_may_shrink_to_1e_300(ts):
    direction = np.sign(ts[1] - ts[0])
    error = failure(lambda t, z: -z if direction * t <= 0 else math.nan * z, [1.0], ts)
    assert error.t == pytest.approx(0.0, abs=1e-300)
    assert error.cause == "non-finite"


def test_the_state_before_a_failure_is_not_returned_as_a_result():
    with pytest.raises(ne.SolverError):
        ne.odeint(lambda t, z: z * (math.nan if t > 1.5 else 1.0), [1.0], [0.0, 1.0, 2.0])


def test_a_nan_that_the_steps_avoid_does_no_harm():
    # sqrt(z) is nan for z < 0, into which only trial steps that are too long lead; they are rejected.
    with np.errstate(invalid="ignore"):
        sol = ne.odeint(lambda t, z: -np.sqrt(z), [1.0], [0.0, 1.9], first_step=1.9)
    assert sol.zs[-1, 0] == pytest.approx((1 - 0.95) ** 2, rel=1e-4)  # rtol 1e-6, and the relative error grows 20 times
    assert sol.stats.rejected > 0


# ---------------------------------------------------------------- too many or too small steps


@pytest.mark.parametrize("method", ADAPTIVE)
def test_a_stiff_problem_ends_at_the_step_limit(method):
    error = failure(lambda t, z: -1e9 * (z - np.cos(t)), [0.0], [0.0, 1.0], method=method, max_steps=300)
    assert error.cause == "max_steps"
    assert 0 < error.t < 1e-3
    assert "after 300 trial steps" in str(error)
    assert "max_steps = 300" in str(error)


def test_tolerances_below_round_off_end_with_an_error_and_no_hang():
    error = failure(lambda t, z: -z, [1.0], [0.0, 1.0], rtol=1e-25, atol=0.0, max_steps=2000)
    assert error.cause in ("max_steps", "step size underflow")


def test_a_discontinuous_field_is_solved_with_small_steps_at_the_jump():
    sol = ne.odeint(lambda t, z: 0 * z + (1.0 if t < 0.3 else -2.0), [0.0], [0.0, 1.0])
    # error estimates see a few percent of a jump: measured is 1.3e-5 at rtol 1e-6
    assert sol.zs[-1, 0] == pytest.approx(0.3 - 1.4, abs=1e-4)
    assert sol.stats.rejected > 0


def test_steps_below_the_spacing_of_times_raise_instead_of_standing_still():
    error = failure(lambda t, z: -z, [1.0], [1e16, 1e16 + 2])  # there is no floating-point number between them
    assert (error.t, error.cause) == (1e16, "step size underflow")


@pytest.mark.parametrize("step_size", [1e-300, 1e-17])
def test_fixed_steps_too_small_to_count_end_at_the_step_limit(step_size):
    assert failure(lambda t, z: -z, [1.0], [1.0, 2.0], step_size=step_size, max_steps=50).cause == "max_steps"


# ---------------------------------------------------------------- the error itself


def test_the_error_of_a_batch_names_the_first_failing_sample():
    field, z0, theta = oscillator()
    z0 = np.stack([z0[0], [1e200, 0.0], z0[1], [1e200, 0.0]])
    error = failure(field, z0, [0.0, 1.0], theta)
    assert error.sample == 1
    assert str(error).startswith("sample 1: ")


def test_the_error_of_a_single_state_names_no_sample():
    error = failure(field_of("van_der_pol"), [1e200, 0.0], [0.0, 1.0], (2.0,))
    assert error.sample is None
    assert str(error).startswith("dopri5 ")


def test_a_solver_error_is_a_runtime_error():
    assert issubclass(ne.SolverError, RuntimeError)


def test_solver_errors_survive_pickling():
    error = failure(blow_up, [1.0], [0.0, 2.0])
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.t, copy.cause, copy.method) == (str(error), error.t, error.cause, error.method)


def test_a_field_works_again_after_a_failed_solve():
    before = solve("van_der_pol").zs
    failure(field_of("van_der_pol"), [1e200, 0.0], [0.0, 1.0], (2.0,))
    np.testing.assert_array_equal(solve("van_der_pol").zs, before)
