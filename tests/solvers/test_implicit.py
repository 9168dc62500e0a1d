"""Implicit methods of fixed steps: their order and stability, what they conserve, and how they fail."""

import numpy as np
import pytest
from problems import PROBLEMS, duffing, exact, oscillator, rotation, solve, truth

import nodeedu as ne
from nodeedu.solvers.implicit import tableaus as implicit_tableaus
from nodeedu.solvers.implicit.lu import factor, substitute
from nodeedu.verify.tableau.audit import audit
from nodeedu.verify.tableau.file import find
from nodeedu.verify.tableau.stability import stability_of

METHODS = implicit_tableaus.names()
SYMMETRIC = ["trapezoid", "implicit_midpoint", "gauss_legendre4"]
COARSEST = {"implicit_euler": 2.0**-7, "radau5": 2.0**-1}  # steps at which the next term of the error counts for little


@pytest.mark.parametrize("method", METHODS)
def test_the_auditor_finds_what_a_method_claims(method):
    assert audit(find(method)).passed


def test_nodes_alone_give_the_published_coefficients():
    """Radau IIA of order 5: Hairer & Wanner II, section IV.5."""
    radau5, r = implicit_tableaus.get("radau5"), np.sqrt(6)
    A = [
        [(88 - 7 * r) / 360, (296 - 169 * r) / 1800, (-2 + 3 * r) / 225],
        [(296 + 169 * r) / 1800, (88 + 7 * r) / 360, (-2 - 3 * r) / 225],
        [(16 - r) / 36, (16 + r) / 36, 1 / 9],
    ]
    np.testing.assert_allclose(radau5.A, A, rtol=0, atol=4e-16)  # rounding of sums of numbers up to 1
    np.testing.assert_allclose(radau5.b, A[2], rtol=0, atol=4e-16)


def test_a_wrong_node_is_found_out():
    with pytest.raises(ValueError, match="misses the order condition"):
        implicit_tableaus.ImplicitTableau("gl4", 4, np.array([0.25, 0.75]), "")


@pytest.mark.parametrize("method", METHODS)
def test_errors_fall_with_the_order_on_a_nonlinear_driven_problem(method):
    h, order = COARSEST.get(method, 2.0**-3), implicit_tableaus.get(method).order
    errors = [abs(solve("pendulum", method=method, step_size=step).zs - truth("pendulum")).max() for step in (h, h / 2)]
    assert abs(np.log2(errors[0] / errors[1]) - order) < 0.1  # the next term of the expansion is about h times as large


def test_a_plain_callable_is_solved_with_the_same_order():
    ts = np.array([0.0, 1.0, 2.0])
    sols = [ne.odeint(duffing, [0.5, 0.0], ts, method="gauss_legendre4", step_size=h) for h in (0.125, 0.0625)]
    errors = [abs(sol.zs - exact(duffing, [0.5, 0.0], ts)).max() for sol in sols]
    assert abs(np.log2(errors[0] / errors[1]) - 4) < 0.1  # as above


def test_float32_keeps_the_order_down_to_its_round_off():
    z0 = PROBLEMS["pendulum"].z0.astype(np.float32)
    errors = [
        abs(solve("pendulum", z0=z0, method="implicit_midpoint", step_size=h).zs - truth("pendulum")).max()
        for h in (0.125, 0.0625)
    ]
    assert abs(np.log2(errors[0] / errors[1]) - 2) < 0.1  # round-off, 1e-6, is little of the errors, 5e-3 and 1e-3


@pytest.mark.parametrize("method", METHODS)
def test_a_step_of_a_linear_problem_is_its_stability_function_of_the_matrix(method):
    """``z1 = P(hA) Q(hA)^-1 z0``; that of the trapezoid is ``(1 + hA/2) (1 - hA/2)^-1``."""
    field, z0, theta = rotation()
    R, hA = stability_of(implicit_tableaus.get(method).A, implicit_tableaus.get(method).b), 0.7 * theta[0]
    P, Q = (sum(c * np.linalg.matrix_power(hA, i) for i, c in enumerate(p)) for p in (R.numerator, R.denominator))
    zs = ne.odeint(field, z0, [0.0, 0.7], theta, method=method, step_size=1.0).zs
    np.testing.assert_allclose(zs[1], P @ np.linalg.solve(Q, z0), rtol=0, atol=1e-14)  # rounding


@pytest.mark.parametrize("method", METHODS)
def test_steps_far_too_long_for_an_explicit_method_are_stable(method):
    """``z' = -1e6 (z - cos t) - sin t`` from 2: h lambda = -1e5, where a step multiplies what is not cos t by R."""
    ts = np.linspace(0, 2, 21)
    sol = ne.odeint(lambda t, z: -1e6 * (z - np.cos(t)) - np.sin(t), [2.0], ts, method=method, step_size=0.1)
    distance = abs(sol.zs[:, 0] - np.cos(ts))
    if method in ("implicit_euler", "radau5"):  # L-stable: R vanishes at infinity
        assert distance[1:].max() < 4e-5  # R(z) is 1 / |z| and 3 / |z| there
    else:  # |R| = 1 at infinity: what is not cos t stays, with the errors of the stages, and does not grow
        assert distance.max() < 1.001 + 20 * 0.1**2


def test_gauss_methods_conserve_quadratic_invariants():
    """Euler's equations of a rigid body conserve |z|^2 and its energy; Hairer, Lubich & Wanner, theorem IV.2.1."""

    def rigid_body(t, z):
        return np.array([z[1] * z[2], -2 * z[0] * z[2], 0.7 * z[0] * z[1]])

    def drift(method):
        zs = ne.odeint(rigid_body, [1.0, 0.2, 0.5], np.linspace(0, 20, 21), method=method, step_size=0.25).zs
        return np.ptp(zs**2 @ [[2.0, 0.7], [1.0, 0.0], [0.0, -1.0]], axis=0).max()

    assert drift("implicit_midpoint") < 1e-13  # round-off of 80 steps, to which the equations are solved
    assert drift("gauss_legendre4") < 1e-13
    assert drift("radau5") > 1e-6


@pytest.mark.parametrize("method", SYMMETRIC)
def test_symmetric_methods_undo_their_steps(method):
    there = solve("pendulum", ts=[0.0, 1.0], method=method, step_size=0.1).zs[1]
    back = solve("pendulum", z0=there, ts=[1.0, 0.0], method=method, step_size=0.1).zs[1]
    np.testing.assert_allclose(back, PROBLEMS["pendulum"].z0, rtol=0, atol=1e-14)  # rounding of 20 steps


@pytest.mark.parametrize("method", ["trapezoid", "gauss_legendre4", "radau5"])
def test_samples_with_their_own_times_and_directions_do_not_depend_on_each_other(method):
    field, z0, theta = oscillator()
    ts = np.array([[0.0, 0.5, 2.0], [1.0, 0.2, -0.5], [0.0, 0.1, 0.3]])
    options = {"method": method} if method == "radau5" else {"method": method, "step_size": 0.07}
    batch = ne.odeint(field, z0, ts, theta, **options)
    for b in range(3):
        alone = ne.odeint(field, z0[b], ts[b], theta, **options)
        np.testing.assert_array_equal(batch.zs[:, b], alone.zs)
        for counter in ("nfev", "accepted", "rejected", "status", "njev", "nlu"):
            assert getattr(batch.stats, counter)[b] == getattr(alone.stats, counter)


@pytest.mark.parametrize("method", METHODS)
def test_every_evaluation_is_counted_and_has_its_purpose(method):
    calls = []

    def counted(t, z):
        calls.append(t)
        return duffing(t, z)

    options = {"method": method} if method == "radau5" else {"method": method, "step_size": 0.1}
    sol = ne.odeint(counted, [0.5, 0.0], [0.0, 0.5, 1.0], **options)
    assert sol.stats.nfev == len(calls) == sum(sol.stats.tally)
    before = len(calls)
    np.testing.assert_allclose(sol(0.5), sol.zs[1], rtol=1e-14)  # the end of a step, or in it: rounding
    assert sol.stats.tally.dense == len(calls) - before
    assert sol.stats.nfev == len(calls) == sum(sol.stats.tally)


def test_the_jacobian_of_a_field_takes_no_evaluation_of_f():
    field, z0, theta = oscillator()
    stats = ne.odeint(field, z0[0], [0.0, 1.0], theta, method="implicit_midpoint", step_size=0.1).stats
    assert stats.tally.newton == stats.nfev
    assert 0 < stats.njev <= stats.nlu <= stats.accepted == 10


@pytest.mark.parametrize("method", ["implicit_euler", "gauss_legendre4"])
def test_equations_without_a_solution_are_reported(method):
    """Implicit Euler from 1 over h = 1 asks for ``z = 1 + z**2 + t**2``."""
    overflow = np.errstate(over="ignore")  # where the iterates diverge
    with overflow, pytest.raises(ne.SolverError, match="Newton did not converge") as caught:
        ne.odeint(lambda t, z: z**2 + t**2, [1.0], [0.0, 3.0], method=method)
    assert caught.value.cause == "Newton did not converge"
    assert caught.value.t == 0.0


def test_a_nan_is_told_from_equations_without_a_solution():
    def broken(t, z):
        return np.array([1.0, np.nan if t > 0.5 else 0.0])

    with pytest.raises(ne.SolverError, match="non-finite, component 1") as caught:
        ne.odeint(broken, [0.0, 0.0], [0.0, 1.0], method="implicit_euler", step_size=0.1)
    assert abs(caught.value.t - 0.5) < 1e-12  # rounding of a sum of steps


@pytest.mark.parametrize("z0", [1.0, [[1.0, 2.0], [3.0, 4.0]]])
def test_states_may_have_any_shape(z0):
    sol = ne.odeint(lambda t, z: -z, z0, [0.0, 1.0], method="gauss_legendre4", step_size=0.25)
    assert sol.zs.shape == (2, *np.shape(z0))
    np.testing.assert_allclose(sol.zs[1], np.exp(-1.0) * np.array(z0), rtol=1e-5)  # h^4 / 720


def test_what_a_callable_raises_comes_back():
    def broken(t, z):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        ne.odeint(broken, [0.0], [0.0, 1.0], method="gauss_legendre4")


def test_the_step_limit_holds():
    with pytest.raises(ne.SolverError, match="max_steps = 5"):
        solve("pendulum", method="trapezoid", step_size=0.01, max_steps=5)


def test_lu_solves_where_pivots_must_be_exchanged():
    rng = np.random.default_rng(0)
    for n in (1, 2, 5):
        matrix = rng.normal(size=(n, n)) + 1j * rng.normal(size=(n, n))
        matrix[0, 0] = 0.0 if n > 1 else 2.0
        x, factors, pivots = rng.normal(size=n) + 0j, matrix.copy(), np.zeros(n, int)
        b = matrix @ x
        assert factor.py_func(factors, pivots)
        substitute.py_func(factors, pivots, b)
        np.testing.assert_allclose(b, x, atol=1e-13)  # rounding times a condition number below 100


def test_lu_reports_a_singular_matrix():
    assert not factor.py_func(np.ones((2, 2)), np.zeros(2, int))
