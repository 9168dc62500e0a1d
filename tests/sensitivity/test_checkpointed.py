"""`checkpointed`: the bits of `discrete` from few stored states, and no step computed again without need."""

from functools import cache

import numpy as np
import pytest
from adjoint_problems import V, both, gradients_of_loss, loss_gradient
from gradient_truths import true_gradient

import nodeedu as ne
from nodeedu.autodiff.check import relative_error
from nodeedu.sensitivity.schedule import (
    ADVANCE,
    BACK,
    RESTORE,
    STORE,
    automatic_slots,
    binomial_schedule,
    fewest_advances,
    recursive_schedule,
    recursive_slots,
)

# Own numbers of steps, both directions of time; V from rest to violent.
STARTS = np.array([[0.0, 0.0], [3.0, -6.0], [1.0, 0.5], [2.0, 3.0]])
OWN_TIMES = np.array([V.ts, V.ts + 0.2, V.ts[::-1], 1.5 * V.ts])
BAR = np.random.default_rng(0).normal(size=(4, 4, 2))


def gradient(method, ts=OWN_TIMES, **options):
    return ne.gradients(V.field, STARTS, ts, V.theta, BAR, method=method, **options)


def gradient_of_loss(slots=None, solver="dopri5", **options):
    """`gradients_of_loss`, with slots."""
    bar = loss_gradient(ne.odeint(V.field, V.z0, V.ts, V.theta, method=solver, **options).zs, V.targets)
    return ne.gradients(V.field, V.z0, V.ts, V.theta, bar, "checkpointed", solver, slots=slots, **options)


def assert_same_bits(one, other):
    np.testing.assert_array_equal(one.z0, other.z0)
    np.testing.assert_array_equal(one.theta, other.theta)
    np.testing.assert_array_equal(one.ts, other.ts)


@pytest.mark.parametrize("slots", [1, 3, 1000, None, "recursive"])
@pytest.mark.parametrize(
    "options",
    [
        {"solver": "dopri5"},
        {"solver": "tsit5", "controller": "PI", "first_step": 1.0, "rtol": 1e-4},  # with rejected steps
        {"solver": "bosh3", "jump_ts": [0.6, 0.9], "rtol": 1e-4},
        {"solver": "rk4", "step_size": 0.05},
        {"solver": "euler", "step_size": 0.05},
        {"solver": "dopri5", "step_size": 0.1},
    ],
    ids=lambda options: "-".join(map(str, options.values())),
)
def test_the_gradient_has_the_bits_of_discrete(options, slots):
    assert_same_bits(gradient("checkpointed", slots=slots, **options), gradient("discrete", **options))


def test_the_gradient_is_right_to_1e_7_at_rtol_1e_10():
    g = gradient_of_loss(4, rtol=1e-10, atol=1e-12)
    assert relative_error(both(g), true_gradient(V)) < 1e-7  # the promise


@pytest.mark.parametrize("record", [True, False])
def test_a_solution_is_reused_whether_it_kept_its_steps_or_not(record):
    sol = ne.odeint(V.field, STARTS, OWN_TIMES, V.theta, record=record)
    assert_same_bits(gradient("checkpointed", slots=3, solution=sol), gradient("discrete"))


@pytest.mark.jit  # some seconds without
def test_a_long_sweep_returns_to_python_and_goes_on():
    """More than 10 000 steps on the way."""
    options = {"solver": "midpoint", "step_size": 1.5 / 6_000}
    one, other = gradient_of_loss(**options), gradients_of_loss(V, "discrete", **options)
    np.testing.assert_array_equal(both(one), both(other))


# ---------------------------------------------------------------- what it costs


def follow(actions):
    """Do what a schedule says, in the plainest way; return the steps advanced over and the slots used."""
    at, advanced, places, back = 0, 0, {0: 0}, []
    for kind, argument in actions.tolist():
        if kind == STORE:
            places[argument] = at
        elif kind == RESTORE:
            at = places[argument]
        elif kind == ADVANCE:
            assert argument > at
            advanced, at = advanced + argument - at, argument
        else:
            assert kind == BACK
            assert argument == at
            back.append(at)
    assert back == sorted(back, reverse=True)
    return advanced, len(places), len(back)


@cache
def best(steps, slots):
    """The fewest advances by trying every place for the next state to store: the definition, not the formula."""
    if steps == 1:
        return 0
    if slots == 1:
        return steps * (steps - 1) // 2
    return min(m + best(steps - m, slots - 1) + best(m, slots) for m in range(1, steps))


@pytest.mark.parametrize("slots", range(1, 6))
def test_the_binomial_schedule_makes_the_fewest_advances(slots):
    for steps in range(1, 60):
        advanced, used, back = follow(binomial_schedule(steps, slots))
        assert advanced == fewest_advances(steps, slots) == best(steps, slots)
        assert used <= slots
        assert back == steps


def test_the_recursive_schedule_stores_a_logarithm_of_the_steps():
    for steps in (1, 2, 3, 64, 100, 1000):
        advanced, used, back = follow(recursive_schedule(steps))
        assert back == steps
        assert used <= recursive_slots(steps) <= np.log2(steps) + 2
        assert advanced <= 0.5 * steps * np.ceil(np.log2(steps))


def test_left_alone_it_advances_over_no_step_more_than_twice_with_a_root_of_the_steps():
    for steps in (1, 2, 10, 100, 1000):
        slots = automatic_slots(steps)
        assert fewest_advances(steps, slots) <= 2 * steps
        assert slots <= np.sqrt(2 * steps)


@pytest.mark.parametrize("slots", [1, 2, 4, 50])
@pytest.mark.parametrize(("solver", "stages"), [("euler", 1), ("rk4", 4)])
def test_the_steps_computed_again_are_as_many_as_the_formula_says(solver, stages, slots):
    """To go back over a step takes its s stages with derivatives, and before them s - 1 without."""
    stats = gradient_of_loss(slots, solver=solver, step_size=0.05).stats
    again = fewest_advances(stats.accepted, slots)
    assert stats.accepted == 30
    assert stats.nfev_backward == stages * again + (2 * stages - 1) * stats.accepted


@pytest.mark.parametrize("slots", [1, 2, 5, "recursive", None])
def test_no_more_states_are_stored_than_there_are_slots(slots):
    stats = gradient_of_loss(slots, rtol=1e-9).stats
    allowed = {"recursive": recursive_slots(stats.accepted), None: automatic_slots(stats.accepted)}
    assert stats.stored_states == allowed.get(slots, slots)


@pytest.mark.parametrize("slots", [0, -1, 2.5, True, "all"])
def test_slots_that_are_no_positive_integer_are_refused(slots):
    with pytest.raises(ValueError, match=r"slots: got .*, expected an integer >= 1"):
        gradient("checkpointed", slots=slots)


def test_slots_are_refused_where_nothing_is_stored_in_them():
    with pytest.raises(ValueError, match="slots: 'discrete' has none"):
        gradient("discrete", slots=3)
