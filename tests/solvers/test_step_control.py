"""Step sizes: the first one, growth, limits."""

import importlib
import math

import numpy as np
import pytest
from problems import PROBLEMS, oscillator, solve, swing
from recorder import evaluation_times, trial_steps

import nodeedu as ne
from nodeedu.solvers import check_inputs, check_options, integrate, reference, step_control
from nodeedu.solvers import solve as solve_inputs

ADAPTIVE = ["bosh3", "dopri5", "tsit5"]
CONTROLLERS = ["I", "PI", "PID"]
OPTIONS = [{}, {"controller": "PI"}, {"controller": "PID"}, {"method": "tsit5"}, {"method": "bosh3", "rtol": 1e-3}]


def plain(core):
    return getattr(core, "py_func", core)


def rough(t, z):
    """A slope with narrow bumps at 1, 2, 3, ...: step sizes go up and down, and many trials are rejected."""
    return np.exp(-200.0 * (t - np.round(t)) ** 2) - 0.1 * z


def rough_trials(method="dopri5", **options):
    return trial_steps(rough, [0.0], [0.5, 6.5], method=method, first_step=0.1, **options)


# ---------------------------------------------------------------- first step


@pytest.mark.parametrize("direction", [1.0, -1.0])
@pytest.mark.parametrize("method", ADAPTIVE)
def test_first_step_is_the_exact_size_of_the_first_trial_step(method, direction):
    times = evaluation_times(swing, [1.0], [0.0, direction], method=method, first_step=0.125)
    assert times[0] == 0.0
    assert times[ne.tableaus.get(method).stages - 1] == direction * 0.125  # the last stage is at the end of the step


def test_a_first_step_that_is_too_large_is_rejected_and_shrinks():
    trials = trial_steps(swing, [1.0], [0.0, 100.0], first_step=50.0)
    assert not trials.accepted[0]
    assert trials.h[1] < trials.h[0]


def test_first_step_is_clipped_to_the_interval():
    assert ne.odeint(lambda t, z: np.ones(1), [0.0], [0.0, 1.0], first_step=5.0).stats.accepted == 1


@pytest.mark.parametrize(("start", "end"), [(-0.1, 0.2), (0.1, -0.2)])
@pytest.mark.parametrize("options", [{"first_step": 1.0}, {"max_step": 0.1}, {"step_size": 1.0}, {}])
def test_no_stage_lies_one_rounding_beyond_the_end(start, end, options):
    assert abs(start + (end - start)) > abs(end)  # in floating point
    assert abs(evaluation_times(lambda t, z: np.ones(1), [0.0], [start, end], **options)).max() == abs(end)


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("seed", range(20))
def test_the_field_is_never_asked_beyond_the_ends(seed, backwards):
    rng = np.random.default_rng(seed)
    start = rng.uniform(-1, 1) * 10.0 ** rng.integers(0, 4)
    end = start + 10.0 ** rng.uniform(-9, 0)  # in shorter intervals than 1e-6, the probe is clipped
    ts = np.array([end, start] if backwards else [start, end])
    times = evaluation_times(lambda t, z: np.ones(1), [0.0], ts, method=ADAPTIVE[seed % 3])
    assert times.min() >= start
    assert times.max() <= end


def test_max_step_bounds_the_probe_for_the_first_step():
    times = evaluation_times(lambda t, z: 1e-3 * z, [1.0], [0.0, 100.0], max_step=0.5)
    assert times[1] <= 0.5  # without it, the probe goes to t = 10


@pytest.mark.parametrize("f", [lambda t, z: np.zeros(2), lambda t, z: np.ones(2), lambda t, z: -z])
@pytest.mark.parametrize("atol", [1e-9, 0.0])
def test_the_automatic_first_step_survives_zero_states_and_slopes(f, atol):
    sol = ne.odeint(f, np.zeros(2), [0.0, 1.0], atol=atol)
    np.testing.assert_allclose(sol.zs[-1], f(0.0, np.zeros(2)))  # constant slopes are integrated exactly


def test_a_zero_component_with_zero_atol_is_no_error():
    sol = ne.odeint(lambda t, z: np.array([-z[0], 0.0]), [1.0, 0.0], [0.0, 1.0], atol=0.0)
    assert sol.zs[-1, 0] == pytest.approx(math.exp(-1), rel=1e-5)  # rtol is 1e-6


def test_the_automatic_first_step_survives_a_probe_into_nan():
    # From z = 1 the probe steps to z < 0.99, where the logarithm's argument turns negative.
    with np.errstate(invalid="ignore"):
        sol = ne.odeint(lambda t, z: -1e-3 * z + 0 * np.log(z - 0.9995), [1.0], [0.0, 0.1])
    assert sol.zs[-1, 0] == pytest.approx(math.exp(-1e-4), rel=1e-6)  # rtol is 1e-6


# ---------------------------------------------------------------- growth


@pytest.mark.parametrize("options", OPTIONS)
def test_a_step_never_grows_right_after_a_rejection(options):
    trials = rough_trials(**options)
    after_rejection = ~trials.accepted[:-2] & trials.accepted[1:-1]
    assert after_rejection.sum() > 3
    # 1e-9: step sizes are differences of times here
    assert (trials.h[2:][after_rejection] <= trials.h[1:-1][after_rejection] * (1 + 1e-9)).all()


@pytest.mark.parametrize("options", OPTIONS)
def test_a_rejected_step_is_tried_again_from_its_start_with_a_smaller_size(options):
    trials = rough_trials(**options)
    rejected = ~trials.accepted[:-1]
    assert (trials.h[1:][rejected] < trials.h[:-1][rejected]).all()
    np.testing.assert_allclose(trials.t[1:][rejected], trials.t[:-1][rejected], rtol=1e-12)  # differences of times


@pytest.mark.parametrize("method", ADAPTIVE)
def test_a_step_is_at_most_ten_times_as_long_as_the_one_before_and_at_least_a_fifth(method):
    trials = rough_trials(method=method)
    factors = trials.h[1:-1] / trials.h[:-2]  # the last one is clipped to the end
    assert factors.max() <= 10 * (1 + 1e-9)  # differences of times
    assert factors.min() >= 0.2 * (1 - 1e-9)


def factor_of(controller, ratio, old_ratio=1.0, was_rejected=False):
    betas = (0.2 * b for b in step_control.CONTROLLERS[controller])
    return plain(step_control.step_factor)(ratio, old_ratio, 1.0, was_rejected, 0.2, *betas)


@pytest.mark.parametrize("controller", CONTROLLERS)
def test_growth_is_capped_after_a_rejection(controller):
    assert factor_of(controller, 1e-16, was_rejected=True) == 1.0
    assert factor_of(controller, 1e-16) == 10.0
    assert factor_of(controller, 0.0) == 10.0


@pytest.mark.parametrize("controller", CONTROLLERS)
def test_a_rejected_step_always_shrinks(controller):
    assert factor_of(controller, 1.0 + 1e-12, old_ratio=1e-4) < 1.0
    assert factor_of(controller, 1e30) == 0.2
    assert factor_of(controller, math.nan) == 0.2


@pytest.mark.parametrize("norm", ["rms", "max"])
@pytest.mark.parametrize("controller", CONTROLLERS)
@pytest.mark.parametrize("method", ["dopri5", "bosh3"])
def test_the_steps_of_every_controller_and_norm_are_those_of_the_reference(method, controller, norm):
    p = PROBLEMS["van_der_pol"]
    norms = {"rms": reference.root_mean_square, "max": lambda x: abs(x).max()}
    points = reference.adaptive(
        lambda t, z: p.function(t, z, p.theta), p.z0, *p.ts[[0, -1]], ne.tableaus.get(method), 1e-5, 1e-7,
        step_control.CONTROLLERS[controller], norms[norm],
    )  # fmt: skip
    times, states = np.array([t for t, _ in points]), np.array([z for _, z in points])
    sol = solve("van_der_pol", ts=times, method=method, rtol=1e-5, atol=1e-7, controller=controller, norm=norm)
    assert sol.stats.accepted == len(points) - 1
    # Dense output meets the states at the ends of steps. rtol: round-off that the flow lets grow; atol: zero crossings
    np.testing.assert_allclose(sol.zs, states, rtol=1e-8, atol=1e-9)


def test_pid_control_rejects_far_fewer_steps_than_i_control():
    def van_der_pol(t, z):
        return np.array([z[1], 5.0 * (1.0 - z[0] ** 2) * z[1] - z[0]])

    rejected = {c: ne.odeint(van_der_pol, [2.0, 0.0], [0.0, 10.0], controller=c).stats.rejected for c in ("I", "PID")}
    assert rejected["PID"] < rejected["I"] / 3


def test_the_recorded_steps_obey_the_controller():
    field, z0, theta = oscillator()
    sol = ne.odeint(field, z0[0], [0.0, 6.0], theta, rtol=1e-4, record=True)
    h = sol._records.steps["h"][: sol.stats.accepted]
    assert sol.stats.rejected > 0
    assert (h[1:] / h[:-1] <= 10.0 * (1 + 1e-12)).all()  # rounding


# ---------------------------------------------------------------- limits


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("method", ADAPTIVE)
def test_no_trial_step_is_longer_than_max_step(method, sign):
    ts = sign * np.array([0.0, 10.0])
    trials = trial_steps(lambda t, z: 0 * z, [1.0], ts, method=method, first_step=0.01, max_step=0.3)
    # The last step may take in what would be a sliver of 1e-10 of itself; 1e-9: differences of times.
    assert abs(trials.h).max() <= 0.3 * (1 + 1e-9)
    assert abs(trials.h[5]) == pytest.approx(0.3)


def test_max_step_keeps_a_narrow_pulse_from_being_stepped_over():
    def pulse(t, z):
        return np.exp(-0.5 * ((t - 50.3) / 0.1) ** 2) / (0.1 * np.sqrt(2 * np.pi)) + 0 * z

    blind, seeing = (ne.odeint(pulse, [0.0], [0.0, 100.0], max_step=m).zs[-1, 0] for m in (math.inf, 0.2))
    assert blind == 0.0
    assert seeing == pytest.approx(1.0, abs=1e-4)  # the tolerance 1e-6 a step, over the 30 steps of the pulse


def test_max_step_without_a_rest_leaves_no_sliver():
    sol = ne.odeint(lambda t, z: np.ones(1), [0.0], [0.0, 1.0], first_step=0.1, max_step=0.1)
    assert sol.stats.accepted == 10


def test_first_step_is_clipped_to_max_step():
    assert ne.odeint(lambda t, z: np.ones(1), [0.0], [0.0, 1.0], first_step=1.0, max_step=0.5).stats.accepted == 2


def step_down(t, z):
    return np.full(1, 1.0 if t < 1.0 else -1.0)


@pytest.mark.parametrize("end", [2.0, 1.5])
def test_a_step_that_fails_at_the_least_size_is_an_error_and_never_accepted(end):
    trials = []
    with pytest.raises(ne.SolverError, match=r"min_step = 0.01, still fails .* jump_ts") as info:
        ne.odeint(lambda t, z: trials.append(t) or step_down(t, z), [0.0], [0.0, end], min_step=0.01)
    assert info.value.cause == "min_step"
    assert 0.98 <= info.value.t < 1.0  # within the last steps of 0.01 before the discontinuity


def test_no_step_but_the_last_is_shorter_than_min_step():
    field, z0, theta = oscillator()
    free, bounded = (
        ne.odeint(field, z0[0], [0.0, 6.0], theta, rtol=1e-4, min_step=least, record=True) for least in (0.0, 0.05)
    )
    assert free._records.steps["h"][0] < 1e-5  # the automatic first step
    assert bounded._records.steps["h"][: bounded.stats.accepted - 1].min() == 0.05
    assert bounded.stats.rejected > 0


def test_a_step_that_lands_may_be_shorter_than_min_step():
    sol = ne.odeint(lambda t, z: np.ones(1), [0.0], [0.0, 1.0], first_step=0.3, max_step=0.3, min_step=0.3)
    assert sol.stats.accepted == 4


def test_nan_at_the_least_step_size_is_said_to_be_nan():
    with pytest.raises(ne.SolverError) as info, np.errstate(invalid="ignore"):
        ne.odeint(lambda t, z: np.sqrt(1.0 - t) + 0 * z, [0.0], [0.0, 2.0], min_step=0.01)
    assert info.value.cause == "non-finite"


def test_max_steps_counts_rejected_steps_too_and_names_the_sample():
    field, z0, theta = oscillator()
    with pytest.raises(ne.SolverError, match=r"sample 0: dopri5 stopped .* after 5 trial steps: max_steps") as info:
        ne.odeint(field, z0, [0.0, 9.0], theta, max_steps=5)
    assert (info.value.sample, info.value.cause) == (0, "max_steps")


@pytest.mark.parametrize("ts", [[0.0, 9.0], np.linspace(0.0, 9.0, 50)])
def test_just_enough_steps_for_the_whole_solve_are_enough(ts):
    field, z0, theta = oscillator()
    stats = ne.odeint(field, z0[0], ts, theta).stats
    trials = stats.accepted + stats.rejected
    assert stats.rejected > 0
    assert ne.odeint(field, z0[0], ts, theta, max_steps=trials).stats.status == 0
    with pytest.raises(ne.SolverError, match="max_steps"):
        ne.odeint(field, z0[0], ts, theta, max_steps=trials - 1)


def test_max_steps_counts_fixed_steps_of_all_intervals():
    assert solve("pendulum", method="rk4", max_steps=5).stats.accepted == 5
    with pytest.raises(ne.SolverError, match=r"rk4 stopped at t = 4 after 4 trial steps: max_steps") as info:
        solve("pendulum", method="rk4", max_steps=4)
    assert (info.value.t, info.value.method, info.value.cause) == (4.0, "rk4", "max_steps")


@pytest.mark.jit  # in plain Python: 4 s; others run the same lines
def test_a_solve_returns_to_python_and_goes_on(monkeypatch):
    calls = []

    def counting(*args):
        calls.append(1)
        return integrate.integrate(*args)

    # the package's name `solve` is the function, not its module
    monkeypatch.setattr(importlib.import_module("nodeedu.solvers.solve"), "integrate", counting)
    sol = ne.odeint(swing, [1.0], [0.0, 1.0], method="euler", step_size=1 / 10_500)
    assert len(calls) == 2  # 10 000 rounds a call
    assert sol.zs[-1, 0] == pytest.approx(math.exp(math.sin(1.0)), abs=1e-4)  # Euler's error is of the order of h


def test_records_grow_without_loss():
    field, z0, theta = oscillator()
    inputs, options = check_inputs(field, z0, [0.0, 4.0], theta), check_options("rk4", step_size=0.01)
    sol = solve_inputs(inputs, options, record=True)
    steps = sol._records.steps[: sol._records.count[0]]
    assert len(steps) == 1200
    for b in range(3):
        own = steps["t"][steps["sample"] == b]
        np.testing.assert_allclose(own, 0.01 * np.arange(400), atol=1e-12)  # rounding
