"""Every sample has its own steps, times, counts and end; its result does not depend on the others."""

import numpy as np
import pytest
from fields import FIELDS
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import PROBLEMS, field_of, network, oscillator, pendulum

import nodeedu as ne
from nodeedu.solvers import check_inputs, check_options, solve

METHODS = ne.tableaus.names()
COUNTERS = ("nfev", "accepted", "rejected", "status")
ORBITS = PROBLEMS["pendulum"].z0 + np.random.default_rng(0).normal(size=(17, 2))  # more than a few vector registers
OWN_TIMES = np.sort(np.random.default_rng(1).uniform(-2, 2, (17, 4)), axis=1)
OWN_TIMES[::3] = OWN_TIMES[::3, ::-1]  # every third sample runs backwards


def swarm(samples=slice(None), ts=(0.0, 0.5, 1.5), **options):
    """Solve some samples of the pendulum, each from its own state."""
    return ne.odeint(field_of("pendulum"), ORBITS[samples], ts, PROBLEMS["pendulum"].theta, **options)


OPTIONS = [{"method": m} for m in ("bosh3", "dopri5", "tsit5")]
OPTIONS += [{"method": "dopri5", "controller": "PI"}, {"method": "rk4", "step_size": 0.1}, {"method": "euler"}]


@pytest.mark.parametrize("options", OPTIONS)
def test_a_sample_does_not_depend_on_its_batch_mates_bit_for_bit(options):
    batch = swarm(**options)
    for b in range(len(ORBITS)):
        alone = swarm(b, **options)
        np.testing.assert_array_equal(batch.zs[:, b], alone.zs)
        for counter in COUNTERS:
            assert getattr(batch.stats, counter)[b] == getattr(alone.stats, counter)


@settings(max_examples=15)
@given(samples=st.lists(st.integers(0, 16), min_size=1, max_size=30))
@pytest.mark.jit  # in plain Python: 3 s; others run the same lines
def test_any_choice_of_samples_in_any_order_gives_each_its_own_result(samples):
    np.testing.assert_array_equal(swarm(samples).zs, swarm().zs[:, samples])


@pytest.mark.parametrize("options", OPTIONS)
def test_samples_may_have_their_own_times_and_directions(options):
    batch = swarm(ts=OWN_TIMES, **options)
    for b in range(len(ORBITS)):
        np.testing.assert_array_equal(batch.zs[:, b], swarm(b, ts=OWN_TIMES[b], **options).zs)


def test_equal_rows_of_times_are_the_same_as_shared_times():
    ts = np.array([0.0, 0.5, 1.5])
    np.testing.assert_array_equal(swarm(ts=ts).zs, swarm(ts=np.tile(ts, (17, 1))).zs)


def test_a_batch_of_one_is_that_sample():
    one, alone = swarm([4]), swarm(4)
    assert one.zs.shape == (3, 1, 2)
    np.testing.assert_array_equal(one.zs[:, 0], alone.zs)


def test_samples_take_different_steps():
    field, z0, theta = oscillator()
    assert len(set(ne.odeint(field, z0, [0.0, 4.0], theta).stats.accepted)) == 3


def test_a_hard_sample_costs_the_easy_ones_nothing():
    field, z0, theta = oscillator()
    easy = ne.odeint(field, z0, [0.0, 2.0], theta).stats.nfev
    hard = ne.odeint(field, np.array([*z0, [20.0, 0.0]]), [0.0, 2.0], theta).stats.nfev
    np.testing.assert_array_equal(hard[:3], easy)
    assert hard[3] > 10 * easy.max()


def test_the_order_of_samples_is_kept_when_lanes_retire():
    field, z0, theta = network(samples=7)
    ts = np.linspace(0.0, 1.0, 3) * np.array([3, 1, 7, 2, 6, 5, 4])[:, None]
    forwards = ne.odeint(field, z0, ts, theta)
    backwards = ne.odeint(field, z0[::-1], ts[::-1], theta)
    np.testing.assert_array_equal(forwards.zs, backwards.zs[:, ::-1])


def test_intervals_of_very_different_lengths_all_end_exactly():
    ts = np.stack([np.zeros(17), np.geomspace(1e-12, 4.0, 17)], axis=1)
    batch = swarm(ts=ts)
    for b in (0, 5, 16):
        np.testing.assert_array_equal(batch.zs[:, b], swarm(b, ts=ts[b]).zs)
    assert batch.stats.accepted[0] == 1


def test_statistics_are_arrays_for_a_batch_and_ints_for_a_sample():
    batch, single = swarm().stats, swarm(0).stats
    for name in COUNTERS:
        assert getattr(batch, name).shape == (17,)
        assert getattr(batch, name).dtype.kind == "i"
        assert type(getattr(single, name)) is int


def test_first_step_is_the_first_trial_step_of_every_sample():
    field = field_of("pendulum")
    stats = swarm(ts=[0.0, 1e-3], first_step=1e-3).stats
    assert stats.accepted.tolist() == [1] * 17
    assert ne.odeint(field, ORBITS, [0.0, 1e-3], np.array(2.0), first_step=0.5e-3).stats.accepted.tolist() == [2] * 17


def test_atol_has_the_shape_of_one_sample():
    np.testing.assert_array_equal(swarm(atol=[1e-9, 1e-9]).zs, swarm(atol=1e-9).zs)


@pytest.mark.parametrize("method", ["rk4", "dopri5"])
def test_a_failing_sample_leaves_the_others_intact(method):
    field, z0, theta = oscillator()
    ts = np.linspace(0.0, 4.0, 5)
    options = check_options(method, step_size=0.05 if method == "rk4" else None)
    healthy = solve(check_inputs(field, z0, ts, theta), options)
    z0[1] = 1e200  # z**2 overflows at once
    sick = solve(check_inputs(field, z0, ts, theta), options)
    assert (sick.stats.status != 0).tolist() == [False, True, False]
    np.testing.assert_array_equal(sick.zs[:, [0, 2]], healthy.zs[:, [0, 2]])
    assert np.isnan(sick.zs[1:, 1]).all()


@pytest.mark.parametrize("options", [{"method": "dopri5"}, {"method": "rk4", "step_size": 0.1}])
def test_the_error_of_a_failing_sample_names_it(options):
    field, z0, theta = oscillator()
    z0[2] = 1e200
    with pytest.raises(ne.SolverError, match=rf"^sample 2: {options['method']} stopped at t = 0 ") as info:
        ne.odeint(field, z0, [0.0, 1.0], theta, **options)
    assert info.value.sample == 2


def test_a_sample_of_a_wide_field_depends_on_its_batch_mates_by_rounding_only():
    wide = next(each for each in FIELDS if each.name == "wide_mlp")  # its matrix products run over tiles of samples
    field = ne.vector_field(wide.function, wide.z, wide.theta)
    z0 = np.random.default_rng(0).normal(size=(5, 8))
    batch = ne.odeint(field, z0, [0.0, 1.0], wide.theta).zs
    for b in range(5):
        # a few roundings a step in sums of 64 terms; steps differ as little
        alone = ne.odeint(field, z0[b], [0.0, 1.0], wide.theta).zs
        np.testing.assert_allclose(batch[:, b], alone, rtol=1e-11, atol=1e-12)


def test_a_plain_callable_gets_the_whole_batch_as_one_state():
    shapes = set()

    def f(t, z):
        shapes.add(z.shape)
        return np.stack([pendulum(t, row, 2.0) for row in z])

    sol = ne.odeint(f, ORBITS, [0.0, 1.0])
    assert shapes == {(17, 2)}
    assert type(sol.stats.nfev) is int
