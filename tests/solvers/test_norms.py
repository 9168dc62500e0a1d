"""The norm of the scaled error: built-in or the user's own, which the compiled driver calls back."""

import numpy as np
import pytest
from problems import oscillator
from recorder import evaluation_times

import nodeedu as ne
from nodeedu.compile.kernels import JIT


def rms(x):
    return np.sqrt(np.mean(x**2))


def solve(norm, **options):
    field, z0, theta = oscillator()
    return ne.odeint(field, z0, np.linspace(0.0, 4.0, 5), theta, rtol=1e-5, norm=norm, **options)


@pytest.mark.parametrize(("name", "function"), [("rms", rms), ("max", lambda x: abs(x).max())])
def test_a_norm_of_ones_own_makes_the_steps_of_the_built_in_one(name, function):
    built_in, own = solve(name), solve(function)
    assert own.stats.nfev.tolist() == built_in.stats.nfev.tolist()
    np.testing.assert_allclose(own.zs, built_in.zs, rtol=1e-12)  # NumPy sums in another order


def test_the_norm_sees_the_scaled_error_of_one_sample_in_the_shape_of_its_state():
    seen = []
    z0 = np.ones((2, 3))
    ne.odeint(lambda t, z: -z * np.arange(6.0).reshape(2, 3), z0, [0.0, 1.0], norm=lambda x: seen.append(x) or rms(x))
    assert {x.shape for x in seen} == {(2, 3)}
    assert all(x[0, 0] == 0.0 for x in seen[3:])  # the first three are of the state and of slopes; -0 z has no error
    assert seen[1].min() < 0.0  # signed


def test_a_norm_that_leaves_out_a_component_leaves_it_out_of_step_control():
    def f(t, z):
        return np.array([0.0 * t, np.sin(100.0 * t)])

    all_of_it, first = (ne.odeint(f, [1.0, 0.0], [0.0, 10.0], norm=norm).stats for norm in (rms, lambda x: abs(x[0])))
    assert first.accepted < all_of_it.accepted / 50


@pytest.mark.parametrize("traced", [True, False])
def test_what_a_norm_raises_comes_back_and_the_next_solve_is_sound(traced):
    field, z0, theta = oscillator()
    calls = []

    def norm(x):
        calls.append(1)
        if len(calls) == 10:
            raise LookupError("tenth")
        return rms(x)

    given = (field, z0[0], [0.0, 4.0], theta) if traced else (lambda t, z: -z, np.ones(2), [0.0, 9.0])
    with pytest.raises(LookupError, match="tenth"):
        ne.odeint(*given, norm=norm)
    assert len(calls) == 10
    assert ne.odeint(*given, norm=norm).stats.status == 0


@pytest.mark.parametrize(
    ("norm", "error", "message"),
    [
        ("l2", ValueError, r"norm: got 'l2', expected one of 'rms', 'max', or a callable"),
        (lambda x: None, TypeError, "norm: .*returned None, expected a float"),
        (lambda x: -1.0, ValueError, "norm: .*returned -1.0, expected a number >= 0"),
        (lambda x: x, TypeError, "norm: .*expected a float"),
    ],
)
def test_a_wrong_norm_is_named(norm, error, message):
    with pytest.raises(error, match=message):
        solve(norm)


def test_a_norm_that_is_nan_rejects_the_step():
    times = []
    with pytest.raises(ne.SolverError, match="non-finite"):
        times = evaluation_times(lambda t, z: -z, [1.0], [0.0, 1.0], norm=lambda x: np.nan, first_step=0.5)
    assert len(times) == 0


@pytest.mark.parametrize("method", ["discrete", "backsolve", "forward"])
def test_gradients_hold_the_norm_in_every_direction(method):
    field, z0, theta = oscillator()
    ts, bar = [0.0, 1.0, 2.0], np.ones((3, *z0.shape))
    largest = ne.gradients(field, z0, ts, theta, bar, method=method, norm="max")
    own = ne.gradients(field, z0, ts, theta, bar, method=method, norm=lambda x: abs(x).max())
    assert own.stats.nfev_backward.tolist() == largest.stats.nfev_backward.tolist()
    np.testing.assert_allclose(own.z0, largest.z0, rtol=1e-12)  # the same steps


@pytest.mark.skipif(not JIT, reason="plain Python, no machine code that has to go on after an exception")
def test_an_interrupt_in_the_norm_ends_the_solve():
    calls = []

    def norm(x):
        calls.append(1)
        if len(calls) == 50:
            raise KeyboardInterrupt
        return 0.5

    with pytest.raises(KeyboardInterrupt):
        ne.odeint(lambda t, z: -z, [1.0], [0.0, 1e6], norm=norm, first_step=1.0, max_step=1.0)
    assert len(calls) == 50
