"""Every sample has its own steps, times, counts and end; its result does not depend on the others."""

import numpy as np
import pytest

import nodeedu as ne
from nodeedu.compile.handwritten import HandwrittenField
from nodeedu.solvers import check_inputs, check_options, solve
from problems import network, oscillator


@pytest.mark.parametrize("options", [{"method": "dopri5"}, {"method": "bosh3"}, {"method": "rk4", "step_size": 0.1}])
def test_a_sample_does_not_depend_on_its_batch_mates_bit_for_bit(options):
    field, z0, theta = oscillator()
    ts = np.linspace(0.0, 4.0, 5)
    batch = ne.odeint(field, z0, ts, theta, **options)
    for b in range(len(z0)):
        alone = ne.odeint(field, z0[b], ts, theta, **options)
        np.testing.assert_array_equal(batch.zs[:, b], alone.zs)
        assert (batch.stats.nfev[b], batch.stats.rejected[b]) == (alone.stats.nfev, alone.stats.rejected)


def test_samples_take_different_steps():
    field, z0, theta = oscillator()
    assert len(set(ne.odeint(field, z0, [0.0, 4.0], theta).stats.accepted)) == 3


def test_the_order_of_samples_is_kept_when_lanes_retire():
    field, z0, theta = network(samples=7)
    ts = np.linspace(0.0, 1.0, 3) * np.array([3, 1, 7, 2, 6, 5, 4])[:, None]
    forwards = ne.odeint(field, z0, ts, theta)
    backwards = ne.odeint(field, z0[::-1], ts[::-1], theta)
    np.testing.assert_array_equal(forwards.zs, backwards.zs[:, ::-1])


def test_samples_may_have_their_own_times_and_directions():
    field, z0, theta = oscillator()
    ts = np.array([[0.0, 1.0, 2.0], [0.5, 0.6, 3.0], [1.0, 0.0, -1.0]])
    batch = ne.odeint(field, z0, ts, theta)
    for b in range(3):
        np.testing.assert_array_equal(batch.zs[:, b], ne.odeint(field, z0[b], ts[b], theta).zs)


def test_statistics_are_arrays_for_a_batch_and_ints_for_a_sample():
    field, z0, theta = network()
    batch, single = (ne.odeint(field, z, [0.0, 1.0], theta).stats for z in (z0, z0[0]))
    for name in ("nfev", "accepted", "rejected", "status"):
        assert getattr(batch, name).shape == (4,)
        assert type(getattr(single, name)) is int


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


def test_evaluations_are_counted_for_each_sample():
    base, z0, theta = oscillator()
    seen = []

    def f(t, z, theta):
        seen.append(t)
        return base(t, z, theta)

    sol = ne.odeint(f, z0[0], [0.0, 2.0], theta)
    assert sol.stats.nfev == len(seen)
    assert ne.odeint(base, z0, [0.0, 2.0], theta).stats.nfev[0] == pytest.approx(len(seen), abs=6)  # rounding differs


def test_a_field_is_told_from_a_callable_by_its_kernels():
    field, z0, theta = oscillator()
    assert isinstance(field, HandwrittenField)
    assert ne.odeint(field, z0, [0.0, 1.0], theta).stats.path == "traced"
    assert ne.odeint(lambda t, z: -z, z0, [0.0, 1.0]).stats.path == "python"
