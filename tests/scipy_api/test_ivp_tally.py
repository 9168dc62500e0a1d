"""The tally of `solve_ivp`: what every evaluation was for."""

import numpy as np
import pytest

from nodeedu.solvers.scipy_api import solve_ivp

METHODS = ["RK23", "RK45", "DOP853"]


def zero(t, y):
    return y[0]


CASES = [{}, {"t_eval": np.linspace(0, 9, 31)}, {"dense_output": True}, {"events": zero}, {"first_step": 1.0}]


def counted():
    """Return an oscillator that counts its evaluations, and the counter."""
    calls = np.zeros(1, np.int64)

    def f(t, y, calls=calls):
        calls[0] += 1
        return [y[1], -y[0]]

    return f, calls


@pytest.mark.parametrize("case", CASES, ids=lambda case: next(iter(case), "steps"))
@pytest.mark.parametrize("method", METHODS)
def test_the_tally_adds_up_to_nfev_and_to_a_counter_inside_f(method, case):
    f, calls = counted()
    stats = solve_ivp(f, (0, 9), [1.0, 0.5], method, **case).stats
    assert sum(stats.tally) == stats.nfev == calls[0]


def test_purposes_are_those_of_the_steps():
    stats = solve_ivp(counted()[0], (0, 9), [1.0, 0.5], "DOP853", first_step=5.0, rtol=1e-8).stats
    assert stats.rejected > 0
    assert stats.tally._asdict() == {
        "accepted": 12 * stats.accepted, "rejected": 12 * stats.rejected, "initial": 1,
        "dense": 0, "event": 0, "newton": 0, "adjoint": 0, "trace": 0,
    }  # fmt: skip


def test_dense_output_is_told_from_the_location_of_events():
    for_both = solve_ivp(counted()[0], (0, 9), [1.0, 0.5], "DOP853", dense_output=True, events=zero).stats
    for_events = solve_ivp(counted()[0], (0, 9), [1.0, 0.5], "DOP853", events=zero).stats
    assert (for_both.tally.dense, for_both.tally.event) == (3 * for_both.accepted, 0)
    assert for_events.tally.dense == 0
    assert for_events.tally.event == 3 * 3  # three zeros, three evaluations each


def test_methods_of_scipy_have_no_tally():
    assert solve_ivp(counted()[0], (0, 1), [1.0, 0.5], "LSODA").stats.tally is None
