"""Step sizes: the first one, growth, limits, and how a solve ends that cannot go on."""

import importlib
import math
import pickle

import numpy as np
import pytest

import nodeedu as ne
from nodeedu.solvers import check_inputs, check_options, integrate, solve, step_control
from problems import blow_up, network, oscillator, swing


def plain(core):
    return getattr(core, "py_func", core)


def trial_times(f, *args, **options):
    """The times at which f was evaluated."""
    seen = []

    def spy(t, z):
        seen.append(t)
        return f(t, z)

    ne.odeint(spy, *args, **options)
    return np.array(seen)


@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_first_step_is_the_exact_size_of_the_first_trial_step(direction):
    times = trial_times(swing, [1.0], [0.0, direction], first_step=0.125)
    assert times[0] == 0.0
    assert times[6] == direction * 0.125  # the last stage of dopri5 is at the end of the step


def test_first_step_is_clipped_to_the_interval():
    assert ne.odeint(lambda t, z: np.ones(1), [0.0], [0.0, 1.0], first_step=5.0).stats.accepted == 1


@pytest.mark.parametrize("start", [0.0, 1e3, -1e3])
def test_the_field_is_never_asked_beyond_the_last_time(start):
    end = start + 1e-9
    times = trial_times(lambda t, z: -z, [1.0], [start, end])
    assert times.min() >= start
    assert times.max() <= end


@pytest.mark.parametrize("f", [lambda t, z: np.zeros(2), lambda t, z: np.ones(2), lambda t, z: -z])
def test_the_automatic_first_step_survives_zero_states_and_slopes(f):
    sol = ne.odeint(f, np.zeros(2), [0.0, 1.0])
    np.testing.assert_allclose(sol.zs[-1], f(0.0, np.zeros(2)))  # constant slopes are integrated exactly


def test_a_zero_component_with_zero_atol_is_no_error():
    sol = ne.odeint(lambda t, z: np.array([-z[0], 0.0]), [1.0, 0.0], [0.0, 1.0], atol=0.0)
    assert sol.zs[-1, 0] == pytest.approx(math.exp(-1), rel=1e-5)  # rtol is 1e-6


def test_max_step_is_never_exceeded():
    field, z0, theta = network()
    sol = ne.odeint(field, z0, [0.0, 1.0], theta, max_step=0.05, record=True)
    assert sol._records.steps["h"][: sol._records.count[0]].max() <= 0.05 * (1 + 1e-10)  # the sliver of step_control.py


def test_atol_may_have_the_shape_of_the_state():
    field, z0, theta = oscillator()
    loose = ne.odeint(field, z0, [0.0, 2.0], theta, atol=np.array([1e-9, 1e9]))
    strict = ne.odeint(field, z0, [0.0, 2.0], theta, atol=1e-9)
    assert (loose.stats.nfev < strict.stats.nfev).tolist() == [True, False, True]  # sample 1 is ruled by z[0]


def test_growth_is_capped_after_a_rejection():
    factor = plain(step_control.step_factor)
    assert factor(1e-8, 1.0, True, 0.2, 0.0) == 1.0
    assert factor(1e-8, 1.0, False, 0.2, 0.0) == 10.0
    assert factor(0.0, 1.0, False, 0.2, 0.0) == 10.0


def test_a_rejected_step_always_shrinks():
    factor = plain(step_control.step_factor)
    for damping in (0.0, step_control.DAMPING):
        assert factor(1.0 + 1e-12, 1e-4, False, 0.2, damping) < 1.0
        assert factor(1e30, 1.0, False, 0.2, damping) == 0.2
        assert factor(math.nan, 1.0, False, 0.2, damping) == 0.2


def test_the_recorded_steps_obey_the_controller():
    field, z0, theta = oscillator()
    sol = ne.odeint(field, z0[0], [0.0, 6.0], theta, rtol=1e-4, record=True)
    h = sol._records.steps["h"][: sol.stats.accepted]
    assert sol.stats.rejected > 0
    assert (h[1:] / h[:-1] <= 10.0 * (1 + 1e-12)).all()  # rounding


def test_a_solution_that_blows_up_raises_and_names_the_time():
    with pytest.raises(ne.SolverError, match=r"dopri5 stopped at t = 1 after \d+ trial steps: step size underflow") as info:
        ne.odeint(blow_up, [1.0], [0.0, 2.0])
    assert info.value.t == pytest.approx(1.0, abs=1e-5)
    assert (info.value.method, info.value.sample) == ("dopri5", None)


def test_a_field_that_turns_nan_raises_and_names_the_time_and_the_component():
    def f(t, z):
        return np.array([1.0, math.nan if t > 0.7 else 1.0])

    with pytest.raises(ne.SolverError, match="non-finite, component 1") as info:
        ne.odeint(f, [0.0, 0.0], [0.0, 2.0])
    assert info.value.t == pytest.approx(0.7, abs=1e-9)


def test_a_field_that_is_nan_at_the_start_raises_at_once():
    with pytest.raises(ne.SolverError, match="stopped at t = 3 after 1 trial steps: non-finite"):
        ne.odeint(lambda t, z: z * math.nan, [0.0], [3.0, 4.0])


def test_fixed_steps_that_overflow_raise():
    with np.errstate(over="ignore"), pytest.raises(ne.SolverError, match="rk4 stopped at t = .*: non-finite"):
        ne.odeint(blow_up, [1.0], [0.0, 2.0], method="rk4", step_size=0.01)


def test_a_step_to_infinity_is_never_accepted():
    # The slope is constant and the error estimate zero, so that only the check of the new state can see it.
    with pytest.raises(ne.SolverError):
        ne.odeint(lambda t, z: np.array([1e308]), [1e308], [0.0, 10.0])


def test_max_steps_counts_rejected_steps_too_and_names_the_sample():
    field, z0, theta = oscillator()
    with pytest.raises(ne.SolverError, match=r"sample 0: dopri5 stopped .* after 5 trial steps: max_steps") as info:
        ne.odeint(field, z0, [0.0, 9.0], theta, max_steps=5)
    assert info.value.sample == 0


def test_just_enough_steps_are_enough():
    field, z0, theta = oscillator()
    stats = ne.odeint(field, z0[0], [0.0, 9.0], theta).stats
    trials = stats.accepted + stats.rejected
    assert ne.odeint(field, z0[0], [0.0, 9.0], theta, max_steps=trials).stats.status == 0
    with pytest.raises(ne.SolverError):
        ne.odeint(field, z0[0], [0.0, 9.0], theta, max_steps=trials - 1)


def test_a_solve_returns_to_python_and_goes_on(monkeypatch):
    calls = []

    def counting(*args):
        calls.append(1)
        return integrate.integrate(*args)

    # the package's name `solve` is the function, not its module
    monkeypatch.setattr(importlib.import_module("nodeedu.solvers.solve"), "integrate", counting)
    sol = ne.odeint(swing, [1.0], [0.0, 1.0], method="euler", step_size=1 / 25_000)
    assert len(calls) == 3  # 10 000 rounds a call
    assert sol.zs[-1, 0] == pytest.approx(math.exp(math.sin(1.0)), abs=1e-4)  # Euler's error is of the order of h


def test_records_grow_without_loss():
    field, z0, theta = oscillator()
    sol = solve(check_inputs(field, z0, [0.0, 4.0], theta), check_options("rk4", step_size=0.01), record=True)
    steps = sol._records.steps[: sol._records.count[0]]
    assert len(steps) == 1200
    for b in range(3):
        own = steps["t"][steps["sample"] == b]
        np.testing.assert_allclose(own, 0.01 * np.arange(400), atol=1e-12)  # rounding


def test_solver_errors_survive_pickling():
    with pytest.raises(ne.SolverError) as info:
        ne.odeint(blow_up, [1.0], [0.0, 2.0])
    copy = pickle.loads(pickle.dumps(info.value))
    assert (str(copy), copy.t, copy.cause) == (str(info.value), info.value.t, info.value.cause)
