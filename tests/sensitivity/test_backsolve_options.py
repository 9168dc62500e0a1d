"""`backsolve` without the reset of z at observations, and with theta in the error norm; and what a gradient keeps."""

import numpy as np
import pytest
from adjoint_problems import TIGHT, M, V, both, gradients_of_loss, loss_gradient
from gradient_truths import contract
from watched_fields import decaying_memory

import nodeedu as ne
from nodeedu.autodiff.check import relative_error
from nodeedu.sensitivity.full_norm import largest_part

STARTS = np.array([[0.0, 0.0], [3.0, -6.0], [1.0, 0.5]])
OWN_TIMES = np.array([V.ts[::-1], V.ts, 1.5 * V.ts])  # in both directions
BAR = np.random.default_rng(0).normal(size=(4, 3, 2))
OPTIONS = {"no reset": {"reset": False}, "full norm": {"seminorm": False}, "both": {"reset": False, "seminorm": False}}
every_option = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)


@every_option
def test_the_gradient_is_right_to_1e_8_at_rtol_1e_10(problem, truth, options):
    g = gradients_of_loss(problem, "backsolve", **TIGHT)
    with_options = ne.gradients(
        problem.field, problem.z0, problem.ts, problem.theta, loss_gradient(truth.zs, problem.targets), "backsolve",
        **options, **TIGHT,
    )  # fmt: skip
    expected = contract(truth, loss_gradient(truth.zs, problem.targets))
    assert relative_error(both(with_options), expected) < 1e-8  # the promise
    np.testing.assert_allclose(with_options.ts, g.ts, rtol=1e-7)  # the promise, times cancellation in a f


@every_option
def test_samples_with_times_of_their_own_keep_their_own_steps(options):
    """dL/dtheta is the sum of what each sample alone would get; z0 and the evaluations are the same."""

    def gradient(b):
        return ne.gradients(V.field, STARTS[b], OWN_TIMES[b], V.theta, BAR[:, b], "backsolve", rtol=1e-4, **options)

    together, alone = gradient(slice(None)), [gradient(slice(b, b + 1)) for b in range(3)]
    np.testing.assert_array_equal(together.z0, [g.z0[0] for g in alone])
    np.testing.assert_array_equal(together.stats.nfev_backward, [g.stats.nfev_backward[0] for g in alone])
    np.testing.assert_allclose(together.theta, sum(g.theta for g in alone), rtol=1e-13)  # rounding


@every_option
def test_a_float32_solve_has_a_float32_gradient(options):
    single = STARTS.astype(np.float32)
    g = ne.gradients(V.field, single, V.ts, V.theta, BAR, "backsolve", rtol=1e-4, atol=1e-6, **options)
    exact = ne.gradients(V.field, STARTS, V.ts, V.theta, BAR, **TIGHT)
    assert g.z0.dtype == g.theta.dtype == g.returned_z0.dtype == np.float32
    assert relative_error(g.theta, exact.theta) < 1e-2  # rtol for each of some tens of steps, amplified


# ---------------------------------------------------------------- reset


def test_z0_comes_back_and_without_the_reset_its_error_has_grown_all_the_way():
    """x' = -16 x: an error grows by exp(16) from t = 1, by exp(4) from the observation at 0.25."""
    field, z0, _, theta, _ = decaying_memory(16.0)
    bar = np.zeros((5, 2))
    bar[-1, 1] = 1.0

    def off(**options):
        g = ne.gradients(field, z0, np.linspace(0.0, 1.0, 5), theta, bar, "backsolve", **options)
        return abs(g.returned_z0 - z0)

    with_reset, without = off().max(), off(reset=False).max()
    assert 1e-9 < with_reset < 1e-4  # rtol, times exp(4)
    assert without > 100.0 * with_reset
    assert off(reset=False, rtol=1e-10, atol=1e-13).max() < 1e-3 * without


def test_fixed_steps_take_the_same_way_back_but_for_where_z_starts():
    """Without the reset, z comes back as from a solve over all of the interval with the steps reversed."""
    options = {"solver": "rk4", "step_size": 0.1}
    g = ne.gradients(V.field, V.z0, V.ts, V.theta, V.targets, "backsolve", reset=False, **options)
    zs = ne.odeint(V.field, V.z0, V.ts, V.theta, method="rk4", step_size=0.1).zs
    back = ne.odeint(V.field, zs[-1], V.ts[::-1], V.theta, method="rk4", step_size=0.1).zs[-1]
    np.testing.assert_allclose(g.returned_z0, back, rtol=1e-13)  # rounding


def test_only_what_runs_backwards_finds_z0_again():
    options = {"solver": "reversible_heun", "step_size": 0.1}
    reversible = ne.gradients(V.field, V.z0, V.ts, V.theta, V.targets, "reversible", **options)
    np.testing.assert_allclose(reversible.returned_z0, V.z0, rtol=1e-13)  # rounding
    assert ne.gradients(V.field, V.z0, V.ts, V.theta, V.targets).returned_z0 is None


# ---------------------------------------------------------------- full norm


def backsolved(problem, field, theta, **options):
    zs_bar = loss_gradient(ne.odeint(problem.field, problem.z0, problem.ts, problem.theta).zs, problem.targets)
    options = {"rtol": 1e-8, "atol": 1e-10, **options}
    return ne.gradients(field, problem.z0, problem.ts, theta, zs_bar, "backsolve", **options)


def test_the_full_norm_takes_more_evaluations_for_the_same_gradient():
    seminorm, full = (backsolved(M, M.field, M.theta, seminorm=s) for s in (True, False))
    assert full.stats.nfev_backward > 1.2 * seminorm.stats.nfev_backward
    assert relative_error(both(full), both(seminorm)) < 1e-7  # rtol for each of some tens of steps


def test_the_full_norm_is_the_largest_root_mean_square_of_a_part():
    norm = largest_part.py_func
    x = np.array([3.0, 4.0, 1.0, 2.0, 2.0, -5.0])
    assert norm(x, np.array([2, 5, 6])) == 5.0
    assert norm(x, np.array([2, 6])) == np.sqrt(12.5)  # not diluted by the second part, whose mean square is 8.5
    assert np.isnan(norm(np.array([1.0, np.nan, 9.0]), np.array([2, 3])))


# ---------------------------------------------------------------- refused

REFUSED = {
    "reset of another method": ({"method": "discrete", "reset": False}, "reset: 'discrete' has none"),
    "seminorm of another method": ({"method": "interpolated", "seminorm": False}, "seminorm: 'interpolated' has none"),
    "reset that is no bool": ({"reset": None}, "reset: got None, expected True or False"),
    "seminorm that is no bool": ({"seminorm": "full"}, "seminorm: got 'full', expected True or False"),
    "norm of fixed steps": ({"seminorm": False, "step_size": 0.1}, "seminorm: fixed steps have no error estimate"),
    "a norm of one's own": ({"seminorm": False, "norm": np.linalg.norm}, "seminorm: your own norm"),
    "watch without reset": ({"reset": False, "watch": True}, "watch: .* compare returned_z0 with z0"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_combinations_that_mean_nothing_are_refused(case):
    options, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        ne.gradients(V.field, V.z0, V.ts, V.theta, V.targets, **{"method": "backsolve", **options})


# ---------------------------------------------------------------- what is kept


def test_stored_bytes_are_those_of_the_arrays_that_are_kept():
    """V has D = 2 and P = 4, three samples are seen at four times."""
    given = V.field, STARTS, V.ts, V.theta, BAR
    solution = ne.odeint(*given[:-1], record=True)
    records = sum(each.nbytes for each in solution._records)
    steps = sum(solution.stats.accepted)

    def kept(method, **options):
        return ne.gradients(*given, method, solution=solution, **options).stats.stored_bytes

    assert kept("discrete") == records
    assert kept("backsolve") == 8 * 4 * 3 * 2
    assert kept("backsolve", reset=False) == 8 * 1 * 3 * 2
    assert kept("checkpointed", slots=2) == 8 * (2 * 3 * 2 + 4 * steps + 3 + 1)  # states, times, first rows
    assert kept("forward") == 8 * 3 * 2 * (2 + 4)
    assert kept("interpolated") == records + 8 * (steps * 5 * 2 + 2 * steps + 3 + 1)  # a quartic, t and h of each
    assert kept("interpolated") < kept("quadrature") < 2 * kept("interpolated")
    own = V.field, V.z0, V.ts, V.theta, V.targets
    reversible = ne.gradients(*own, "reversible", solver="reversible_heun", step_size=0.1).stats
    assert reversible.stored_bytes == 8 * 2 * reversible.stored_states
