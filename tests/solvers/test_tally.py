"""The tally: every evaluation has a purpose, and they add up to nfev and to what f itself has counted."""

import numpy as np
import pytest
from problems import PROBLEMS, field_of, oscillator
from recorder import recording

import nodeedu as ne

METHODS = ["euler", "rk4", "bosh3", "dopri5", "tsit5"]
PURPOSES = ("accepted", "rejected", "initial", "dense", "event", "newton", "adjoint", "trace")


def options_of(method):
    return {"method": method} | ({"rtol": 1e-5, "jump_ts": [1.3]} if method in METHODS[2:] else {"step_size": 0.1})


def recorded_solve(method, **more):
    p = PROBLEMS["van_der_pol"]
    f, calls = recording(lambda t, z: p.function(t, z, p.theta))
    return ne.odeint(f, p.z0, p.ts, **options_of(method), **more), calls


@pytest.mark.parametrize("method", METHODS)
def test_the_tally_adds_up_to_nfev_and_to_an_independent_counter_inside_f(method):
    sol, calls = recorded_solve(method)
    assert sol.stats.tally._fields == PURPOSES
    assert sum(sol.stats.tally) == sol.stats.nfev == len(calls)


@pytest.mark.parametrize("method", METHODS)
def test_every_purpose_has_the_evaluations_that_steps_imply(method):
    stats = recorded_solve(method)[0].stats
    tableau = ne.tableaus.get(method)
    if method in METHODS[2:]:
        assert stats.rejected > 0
        expected = (tableau.stages - 1) * stats.accepted, (tableau.stages - 1) * stats.rejected, 3
    else:
        expected = tableau.stages * stats.accepted - 1, 0, 1
    assert stats.tally == (*expected, 0, 0, 0, 0, 0)


@pytest.mark.parametrize("method", METHODS)
def test_a_compiled_field_has_the_tally_of_the_python_function(method):
    p = PROBLEMS["van_der_pol"]
    sol = ne.odeint(field_of("van_der_pol"), p.z0, p.ts, p.theta, **options_of(method))
    assert sol.stats.tally == recorded_solve(method)[0].stats.tally


def test_samples_have_tallies_of_their_own():
    field, z0, theta = oscillator()
    together = ne.odeint(field, z0, [0.0, 6.0], theta, rtol=1e-4).stats
    np.testing.assert_array_equal(sum(together.tally), together.nfev)
    for b in range(len(z0)):
        alone = ne.odeint(field, z0[b], [0.0, 6.0], theta, rtol=1e-4).stats.tally
        assert alone == tuple(column[b] for column in together.tally)


@pytest.mark.parametrize("record", [True, False])
@pytest.mark.parametrize("method", ["rk4", "dopri5"])
def test_a_second_solve_for_dense_output_is_counted_as_dense_once(method, record):
    sol, calls = recorded_solve(method, record=record)
    before, made = sol.stats, len(calls)
    sol(0.5)
    sol(0.7)
    assert sol.stats.tally.dense == len(calls) - made
    assert (len(calls) > made) == (not record)
    assert sum(sol.stats.tally) == sol.stats.nfev == len(calls)
    assert before.nfev == made  # what was read before does not change


def test_a_failed_solve_adds_up_too():
    f, calls = recording(lambda t, z: z**2)
    options = ne.solvers.check_options(method="dopri5", max_steps=30)
    sol = ne.solvers.solve(ne.solvers.check_inputs(f, [1.0], [0.0, 2.0], None), options)
    assert sol.stats.status > 0
    assert sum(sol.stats.tally) == sol.stats.nfev == len(calls)


@pytest.mark.parametrize("method", ["discrete", "backsolve", "forward"])
def test_the_tally_of_a_gradient_has_its_backward_evaluations_as_adjoint(method):
    field, z0, theta = oscillator()
    stats = ne.gradients(field, z0, [0.0, 1.0, 2.0], theta, np.ones((3, *z0.shape)), method=method).stats
    np.testing.assert_array_equal(stats.tally.adjoint, stats.nfev_backward)
    np.testing.assert_array_equal(sum(stats.tally), stats.nfev + stats.nfev_backward)
