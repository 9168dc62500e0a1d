"""Step for step with SciPy: accepted times and numbers of evaluations."""

import numpy as np
import pytest
import scipy.integrate
from detest import DISCONTINUOUS, PROBLEMS
from parity import BARE, comparisons

from nodeedu.solvers.scipy_api import DOP853, RK23, RK45, solve_ivp


@pytest.fixture(scope="module")
def hundred():
    return list(comparisons(PROBLEMS, per_problem=2))


def test_hundred_problems_are_compared(hundred):
    assert len(hundred) == 100


def test_steps_are_scipys_to_within_ten_times_what_one_ulp_of_y0_moves_scipys_own(hundred):
    missed = [each for each in hundred if each.missed]
    # None was measured; elsewhere two may: an error estimate whose large terms cancel to 1e-11 (A5 with DOP853) has
    # only the digits that the order of summation leaves it; SciPy's order is that of its BLAS, which moving y0 keeps.
    assert len(missed) <= 2, missed


def test_evaluations_are_as_many_as_scipys_wherever_scipys_number_is_stable(hundred):
    assert [each for each in hundred if each.decided and not each.same_nfev] == []


def test_scipys_own_number_of_evaluations_is_stable_on_nearly_all_problems(hundred):
    assert sum(each.decided for each in hundred) >= 95  # otherwise the comparison would say little; 98 were measured


def test_a_third_of_the_problems_agrees_to_1e_12_of_the_span(hundred):
    assert sum(each.ours <= BARE for each in hundred) >= 33  # 43 were measured; the others amplify the last bit


def test_evaluations_across_discontinuities_are_as_many_as_scipys_wherever_scipys_number_is_stable():
    ten = list(comparisons(DISCONTINUOUS, per_problem=1))
    assert [each for each in ten if each.decided and not each.same_nfev] == []
    assert sum(each.decided for each in ten) >= 7  # 8 were measured: at a jump, a last bit decides on a step


@pytest.mark.slow
def test_steps_are_scipys_with_every_problem_and_setting():
    all_of_them = list(comparisons(PROBLEMS, per_problem=6))
    assert len(all_of_them) == 300
    assert sum(each.missed for each in all_of_them) <= 6  # 2 were measured, both A5 with DOP853


@pytest.mark.parametrize("method", ["RK23", "RK45", "DOP853"])
def test_states_at_accepted_times_are_scipys(method):
    f, y0 = PROBLEMS["B1"]
    kwargs = {"method": method, "rtol": 1e-6, "atol": 1e-9}
    ours, scipys = solve_ivp(f, (0, 4), y0, **kwargs), scipy.integrate.solve_ivp(f, (0, 4), y0, **kwargs)
    np.testing.assert_allclose(ours.y, scipys.y, rtol=1e-8)  # rounding, amplified by the feedback through the step size


@pytest.mark.parametrize("ours", [RK23, RK45, DOP853])
def test_scipys_solve_ivp_takes_our_classes_and_gives_the_same_result(ours):
    f, y0 = PROBLEMS["E2"]
    by_scipy = scipy.integrate.solve_ivp(f, (0, 4), y0, method=ours)
    by_us = solve_ivp(f, (0, 4), y0, method=ours)
    np.testing.assert_array_equal(by_scipy.t, by_us.t)
    np.testing.assert_array_equal(by_scipy.y, by_us.y)
    assert by_scipy.nfev == by_us.nfev


@pytest.mark.parametrize("t_span", [(0.0, 4.0), (4.0, 0.0)])
@pytest.mark.parametrize("method", ["RK23", "RK45", "DOP853"])
def test_output_times_and_dense_output_cost_what_they_cost_in_scipy(method, t_span):
    f, y0 = PROBLEMS["B5"]
    for kwargs in ({"t_eval": np.linspace(*t_span, 5)}, {"dense_output": True}, {"first_step": 0.01, "max_step": 0.1}):
        ours = solve_ivp(f, t_span, y0, method=method, **kwargs)
        scipys = scipy.integrate.solve_ivp(f, t_span, y0, method=method, **kwargs)
        assert (ours.nfev, ours.status, ours.message) == (scipys.nfev, scipys.status, scipys.message)
        np.testing.assert_allclose(ours.t, scipys.t, rtol=0, atol=1e-9)  # amplified rounding, as above
        np.testing.assert_allclose(ours.y, scipys.y, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("method", ["RK23", "RK45", "DOP853"])
def test_a_singularity_ends_the_solve_where_it_ends_scipys(method):
    ours = solve_ivp(lambda t, y: y * y, (0, 2), [1.0], method=method)
    scipys = scipy.integrate.solve_ivp(lambda t, y: y * y, (0, 2), [1.0], method=method)
    assert (ours.status, ours.success, ours.message) == (scipys.status, scipys.success, scipys.message)
    assert ours.t[-1] == pytest.approx(scipys.t[-1], rel=1e-6)
