"""Events, dense output and the fields of the result."""

import numpy as np
import pytest
import scipy.integrate
from scipy.optimize import OptimizeResult

from nodeedu.solvers.scipy_api import DOP853, RK23, RK45, solve_ivp

EXPLICIT = ["RK23", "RK45", "DOP853"]
METHODS = [*EXPLICIT, "Radau", "BDF", "LSODA"]


def oscillator(t, y):
    return [y[1], -y[0]]


def make_event(terminal=False, direction=0, component=0):
    def event(t, y):
        return y[component]

    event.terminal, event.direction = terminal, direction
    return event


@pytest.mark.parametrize("t_span", [(0.0, 10.0), (10.0, 0.0)])
@pytest.mark.parametrize("direction", [-1, 0, 1])
@pytest.mark.parametrize("method", EXPLICIT)
def test_events_are_scipys_in_both_directions_of_time(method, direction, t_span):
    events = [make_event(direction=direction), make_event(terminal=2, component=1)]
    kwargs = {"method": method, "rtol": 1e-6, "atol": 1e-8, "events": events}
    ours = solve_ivp(oscillator, t_span, [1.0, 0.5], **kwargs)
    scipys = scipy.integrate.solve_ivp(oscillator, t_span, [1.0, 0.5], **kwargs)
    assert (ours.status, ours.nfev, ours.message) == (scipys.status, scipys.nfev, scipys.message)
    for i in range(2):
        np.testing.assert_allclose(ours.t_events[i], scipys.t_events[i], rtol=1e-8)  # amplified rounding
        np.testing.assert_allclose(ours.y_events[i], scipys.y_events[i], rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(ours.t, scipys.t, rtol=0, atol=1e-7)


@pytest.mark.parametrize("method", METHODS)
def test_a_terminal_event_ends_the_solve_at_its_root(method):
    result = solve_ivp(oscillator, (0.0, 10.0), [1.0, 0.0], method, events=make_event(True), rtol=1e-8, atol=1e-10)
    assert result.status == 1
    assert result.success
    assert result.t[-1] == result.t_events[0][0] == pytest.approx(np.pi / 2, abs=1e-5)  # what BDF reaches
    assert result.y[0, -1] == pytest.approx(0.0, abs=1e-14)  # the root finder's accuracy


def test_a_terminal_count_ends_the_solve_at_that_occurrence():
    result = solve_ivp(oscillator, (0.0, 100.0), [1.0, 0.0], events=make_event(3))
    assert len(result.t_events[0]) == len(result.y_events[0]) == 3


@pytest.mark.parametrize("terminal", [-1, 3.5])
def test_terminal_must_be_a_boolean_or_a_positive_integer(terminal):
    with pytest.raises(ValueError, match="`terminal` attribute of each event must be a boolean or positive integer"):
        solve_ivp(oscillator, (0.0, 1.0), [1.0, 0.0], events=make_event(terminal))


def test_an_event_that_never_happens_leaves_an_empty_array():
    result = solve_ivp(oscillator, (0.0, 1.0), [1.0, 0.0], events=make_event())
    assert result.t_events[0].shape == result.y_events[0].shape == (0,)


def test_output_times_stop_at_a_terminal_event():
    times = np.linspace(0.0, 10.0, 101)
    result = solve_ivp(oscillator, (0.0, 10.0), [1.0, 0.0], t_eval=times, events=make_event(True))
    np.testing.assert_array_equal(result.t, times[times <= result.t_events[0][0]])


def test_no_output_time_before_a_terminal_event_gives_empty_lists_as_in_scipy():
    result = solve_ivp(oscillator, (0.0, 10.0), [1.0, 0.0], t_eval=[9.0], events=make_event(True))
    assert result.t == []
    assert result.y == []


@pytest.mark.parametrize("t_span", [(0.0, 10.0), (10.0, 0.0)])
@pytest.mark.parametrize("method", EXPLICIT)
def test_output_times_are_the_values_of_the_dense_output(method, t_span):
    times = np.linspace(*t_span, 37)
    alone = solve_ivp(oscillator, t_span, [1.0, 0.0], method, t_eval=times)
    both = solve_ivp(oscillator, t_span, [1.0, 0.0], method, t_eval=times, dense_output=True)
    watched = solve_ivp(oscillator, t_span, [1.0, 0.0], method, t_eval=times, dense_output=True, events=make_event())
    np.testing.assert_array_equal(alone.y, both.y)
    np.testing.assert_array_equal(alone.y, watched.y)
    np.testing.assert_array_equal(alone.y, both.sol(times))
    np.testing.assert_array_equal(alone.y[:, 5], watched.sol(times[5]))


@pytest.mark.parametrize("method", EXPLICIT)
def test_dense_output_passes_through_the_accepted_states(method):
    result = solve_ivp(oscillator, (0.0, 10.0), [1.0, 0.0], method, dense_output=True)
    np.testing.assert_allclose(result.sol(result.t), result.y, rtol=1e-14, atol=1e-14)  # rounding


@pytest.mark.parametrize(("cls", "order"), [(RK23, 3), (RK45, 4), (DOP853, 7)])
def test_dense_output_converges_with_its_order(cls, order):
    def error(h):
        solver = cls(oscillator, 0.0, [1.0, 0.0], 10.0, first_step=h, rtol=0.1, atol=10.0)
        solver.step()
        times = np.linspace(0.0, h, 9)
        return abs(solver.dense_output()(times) - [np.cos(times), -np.sin(times)]).max()

    measured = np.log2(error(0.4) / error(0.2))
    assert measured > order + 0.7  # one step: h^(order + 1), or more on this symmetric problem; 0.3 for finite h


def test_many_chunks_of_steps_are_joined_without_a_seam():
    result = solve_ivp(oscillator, (0.0, 10.0), [1.0, 0.0], max_step=0.01, dense_output=True)
    stepwise = solve_ivp(oscillator, (0.0, 10.0), [1.0, 0.0], max_step=0.01, events=make_event())
    assert len(result.t) > 1000  # more than the first two chunks hold
    np.testing.assert_array_equal(result.t, stepwise.t)
    np.testing.assert_array_equal(result.y, stepwise.y)
    np.testing.assert_array_equal(result.sol(result.t[500]), result.y[:, 500])


@pytest.mark.parametrize("kwargs", [{}, {"t_eval": [0.5]}, {"dense_output": True}, {"events": make_event()}])
def test_the_result_has_scipys_fields_and_stats(kwargs):
    ours = solve_ivp(oscillator, (0.0, 1.0), [1.0, 0.0], **kwargs)
    scipys = scipy.integrate.solve_ivp(oscillator, (0.0, 1.0), [1.0, 0.0], **kwargs)
    assert isinstance(ours, OptimizeResult)
    assert set(ours) == {*scipys, "stats"}
    assert {key: type(ours[key]) for key in scipys} == {key: type(value) for key, value in scipys.items()}
    assert ours.stats.nfev == ours.nfev
    assert ours.nfev == 2 + 6 * (ours.stats.accepted + ours.stats.rejected)


@pytest.mark.parametrize("method", METHODS)
def test_an_empty_interval_returns_the_start_twice(method):
    result = solve_ivp(oscillator, (4.0, 4.0), [2.0, 3.0], method, dense_output=True)
    np.testing.assert_array_equal(result.t, [4.0, 4.0])
    np.testing.assert_array_equal(result.sol([4.0, 5.0]), [[2.0, 2.0], [3.0, 3.0]])
