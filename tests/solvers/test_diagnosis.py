"""The failure microscope names the cause of a failure, with evidence and a remedy that helps; health is no cause."""

import math
import pickle
from collections import Counter

import numpy as np
import pytest
from diagnosis_cases import FAILURES, HEALTHY, decay, rotation, tracking
from diagnosis_held_out import HELD_OUT
from problems import blow_up, field_of

import nodeedu as ne
from nodeedu.solvers import check_inputs, check_options, solve
from nodeedu.solvers.diagnosis.diagnose import MEANING, diagnose

# Two and more of each cause, both directions of time, the quickest.
QUICK = [
    "heat, backwards bosh3", "tracking, PI", "cubic, euler", "z^2 at 0, loose", "cube backwards", "logarithmic",
    "quench", "z^2, few steps", "root of time", "logarithm of state", "0 / 0 at start", "backwards",
    "root of time, heun", "strong jump", "strong jump backwards", "stairs to the end", "impact", "rtol 1e-25",
    "float32 state", "times of 1e16", "late and fast", "many turns", "backwards, few", "fixed, few", "orbit", "network",
]  # fmt: skip


def solved(case):
    inputs = check_inputs(case.f, case.z0, case.ts, None)
    with np.errstate(all="ignore"):  # plain callables may warn
        return solve(inputs, check_options(**case.options, shape=inputs.field.shape))


def named(case):
    found = solved(case).diagnosis
    # Poles move by errors of rtol in the state, at most 1e-3 here, and jumps and nans are met to round-off.
    right_place = case.t is None or found.t == pytest.approx(case.t, rel=2e-3, abs=1e-9)
    return found.cause if right_place else f"{found.cause} at {found.t}"


def failure(*args, **options):
    with np.errstate(all="ignore"), pytest.raises(ne.SolverError) as info:
        ne.odeint(*args, **options)
    return info.value


# ---------------------------------------------------------------- causes


@pytest.mark.parametrize("case", [each for each in FAILURES + HELD_OUT if each.name in QUICK], ids=lambda each: each[0])
def test_the_cause_of_a_scripted_failure_is_named(case):
    assert named(case) == case.cause


@pytest.mark.jit  # in plain Python: 3 s; others run the same lines
def test_no_healthy_problem_is_flagged():
    assert len(HEALTHY) >= 30
    for f, z0, ts, theta in (each[1:] for each in HEALTHY):
        assert not ne.odeint(f, z0, ts, theta, rtol=1e-5).diagnosis


@pytest.mark.slow
def test_the_confusion_table_is_diagonal_but_for_one_in_twelve_and_flags_no_healthy_solve():
    table = Counter((case.cause, named(case)) for case in FAILURES + HELD_OUT)
    for f, z0, ts, theta in (each[1:] for each in HEALTHY):
        for rtol in (1e-3, 1e-5, 1e-7, 1e-9):
            for method in ("bosh3", "dopri5", "tsit5"):
                if rtol > 1e-6 or method != "bosh3":  # which would take 100 000 steps
                    sol = ne.odeint(f, z0, ts, theta, method=method, rtol=rtol, atol=1e-3 * rtol)
                    table["healthy", sol.diagnosis.cause] += 1
    for (cause, found), count in sorted(table.items()):
        print(f"{cause:14s} named {found:14s} {count:4d}")
    scripted = {pair: count for pair, count in table.items() if pair[0] != "healthy"}
    right = sum(count for (cause, found), count in scripted.items() if cause == found)
    assert right >= 11 / 12 * sum(scripted.values())
    assert all(found == "healthy" for cause, found in table if cause == "healthy")


# ---------------------------------------------------------------- evidence and remedy


def test_the_evidence_of_a_blow_up_is_its_time_and_its_exponent():
    error = failure(blow_up, [1.0], [0.0, 2.0])
    evidence = error.diagnosis.evidence
    assert evidence["blow-up_time"] == pytest.approx(1.0, abs=1e-5)  # rtol is 1e-6
    assert evidence["exponent_of_state"] == pytest.approx(1.0, abs=1e-3)  # z = 1 / (1 - t)


def test_a_nan_is_traced_to_component_stage_time_and_to_what_it_depends_on():
    found = failure(lambda t, z: [1.0, np.sqrt(0.7 - t)], [0.0, 0.0], [0.0, 2.0]).diagnosis
    assert (found.cause, found.component) == ("nan", 1)
    assert found.stage >= 1  # the first slope of the step was finite
    assert found.t == pytest.approx(0.7, abs=1e-9)  # steps have shrunk to the spacing of times
    assert math.isnan(found.evidence["value"])
    assert "because of its time" in found.remedy


def test_the_remedy_of_a_jump_helps():
    def f(t, z):
        return z * 0 + (1.0 if t < 0.3 else -200.0)

    found = ne.odeint(f, [0.0], [0.0, 1.0]).diagnosis
    assert (found.cause, found.remedy[:14]) == ("discontinuity", "jump_ts=[0.3]:")
    assert found.evidence["jump_of_slope"] == pytest.approx(201.0)
    assert not ne.odeint(f, [0.0], [0.0, 1.0], jump_ts=[found.t]).diagnosis


def test_the_longest_stable_step_is_stable_and_a_longer_one_is_not():
    def f(t, z):
        return -1e4 * (z - np.cos(t))

    step = failure(f, [0.0], [0.0, 0.2], method="rk4", step_size=1e-3).diagnosis.evidence["longest_stable_step"]
    ts = [0.0, 400 * step]
    sizes = [abs(ne.odeint(f, [1.5], ts, method="rk4", step_size=c * step).zs[-1, 0]) for c in (0.98, 1.02)]
    assert sizes[0] < 2 < 1e3 < sizes[1]  # an error of 1/2 in z0 either decays or grows, 400 times


def test_the_steps_that_a_step_limit_is_said_to_need_are_enough():
    options = {"rtol": 1e-4, "max_steps": 50}
    found = failure(rotation, [1.0, 0.0], [0.0, 100.0], **options).diagnosis
    assert found.cause == "step limit"
    needed = math.ceil(1.2 * found.evidence["steps_needed"])  # the remedy adds a fifth, too
    assert ne.odeint(rotation, [1.0, 0.0], [0.0, 100.0], **(options | {"max_steps": needed})).zs.shape == (2, 2)


def test_rounding_errors_of_a_float32_state_are_told_from_a_step_limit():
    found = ne.odeint(decay, np.ones(2, np.float32), [0.0, 3.0], rtol=1e-9, atol=1e-12).diagnosis
    assert found.cause == "round-off"
    assert "float64" in found.remedy


# ---------------------------------------------------------------- samples, fields, methods


def test_a_batch_is_diagnosed_sample_by_sample():
    field = field_of("van_der_pol")
    z0 = np.array([[2.0, 0.0], [1.0, 0.0], [1e200, 0.0]])
    error = failure(field, z0, [0.0, 1e4], (2.0,), max_steps=100)
    assert (error.diagnosis.cause, error.diagnosis.sample) == ("step limit", 0)
    assert [error.diagnose(b).cause for b in range(3)] == ["step limit", "step limit", "nan"]
    assert error.diagnose(2).sample == 2
    with pytest.raises(IndexError, match="got 3, expected 0 to 2"):
        error.diagnose(3)


def test_a_batch_that_succeeds_is_diagnosed_by_its_sample_of_most_steps():
    sol = ne.odeint(field_of("van_der_pol"), np.array([[0.1, 0.0], [2.0, 5.0]]), [0.0, 5.0], (2.0,))
    assert sol.diagnosis.sample == np.argmax(sol.stats.accepted + sol.stats.rejected)
    assert sol.diagnosis == diagnose(sol)


def test_a_stiff_compiled_field_is_recognised():
    error = failure(field_of("van_der_pol"), [2.0, 0.0], [0.0, 50.0], (1000.0,), max_steps=500)
    assert error.diagnosis.cause == "stiff"


def test_a_step_that_min_step_forbids_to_shrink_is_diagnosed():
    assert failure(tracking, [0.0], [0.0, 1.0], min_step=1e-4).diagnosis.cause == "stiff"


def test_other_methods_are_diagnosed_by_an_explicit_one_or_else_by_their_status():
    assert failure(blow_up, [1.0], [0.0, 2.0], method="adams").diagnosis.cause == "blow-up"
    assert failure(decay, [1.0], [0.0, 9.0], method="adams", max_steps=3).diagnosis.cause == "step limit"


def test_a_solve_that_an_event_reset_is_followed_from_there():
    def fall(t, z):
        return [z[1], -1.0 if z[1] > -2.5 else math.nan]

    def ground(t, z):
        return z[0]

    ground.direction, ground.reset = -1, lambda t, z: np.array([0.0, 3.0])
    error = failure(fall, [1.0, 0.0], [0.0, 20.0], events=ground)  # hits the ground at sqrt(2), flies up, and is fast
    assert (error.diagnosis.cause, error.diagnosis.component) == ("nan", 1)
    assert error.diagnosis.t == pytest.approx(math.sqrt(2) + 5.5, abs=1e-6)  # from 3 to -2.5 at -1


# ---------------------------------------------------------------- the record


def test_a_healthy_diagnosis_is_false_and_all_others_are_true():
    sol = ne.odeint(decay, [1.0], [0.0, 1.0])
    assert (sol.diagnosis.cause, bool(sol.diagnosis)) == ("healthy", False)
    assert failure(blow_up, [1.0], [0.0, 2.0]).diagnosis


def test_a_diagnosis_reads_as_cause_place_evidence_and_remedy():
    lines = str(failure(decay, [1.0], [0.0, 90.0], max_steps=20).diagnosis).splitlines()
    assert lines[0].startswith(MEANING["step limit"] + " (t = ")
    assert any(line.startswith("    steps needed: ") for line in lines)
    assert lines[-1].startswith("    remedy: max_steps=")


def test_the_message_points_to_the_diagnosis_and_making_an_error_makes_none():
    calls = []
    error = failure(lambda t, z: (calls.append(t), -z)[1], [1.0], [0.0, 90.0], max_steps=20)
    assert str(error).endswith("; error.diagnosis explains")
    made = len(calls)
    assert error.diagnosis is error.diagnosis
    assert len(calls) > made == 2 + 6 * 20  # two for the first step, and six stages each


def test_the_diagnosis_survives_pickling():
    error = failure(blow_up, [1.0], [0.0, 2.0])
    assert pickle.loads(pickle.dumps(error)).diagnosis == error.diagnosis


def test_a_solver_error_without_a_solve_of_its_own_has_no_diagnosis():
    error = ne.SolverError("lost", t=0.0, method="dopri5", cause="max_steps")
    assert error.diagnosis is None
    assert pickle.loads(pickle.dumps(error)).diagnosis is None
