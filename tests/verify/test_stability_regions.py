"""Stability regions measured on the solvers are those of theory."""

import numpy as np
import pytest

from nodeedu import tableaus
from nodeedu.solvers.implicit import tableaus as implicit_tableaus
from nodeedu.verify.stability_figure import REVERSIBLE
from nodeedu.verify.stability_regions import SLACK, growth, is_stable, oscillation_interval, real_interval
from nodeedu.verify.tableau.stability import stability_of

pytestmark = pytest.mark.jit  # hundreds of steps of every method: as Python, forty seconds

POINTS = np.array([-0.3, -0.7 + 0.4j, -1.5 + 0.5j, 0.2 + 0.3j, -0.1 + 1.4j])


@pytest.mark.parametrize("method", [*tableaus.names(), *implicit_tableaus.names()])
def test_growth_of_a_runge_kutta_method_is_its_stability_function(method):
    get = tableaus.get if method in tableaus.names() else implicit_tableaus.get
    expected = abs(stability_of(get(method).A, get(method).b)(POINTS))
    np.testing.assert_allclose(growth(method, POINTS), expected, rtol=1e-10)  # 200 steps of rounding, and their root


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("kind", ["bashforth", "moulton"])
def test_growth_of_an_adams_method_is_the_largest_root_of_its_characteristic_polynomial(kind, k):
    # Weights that integrate the powers 0 ... k - 1 from 0 to 1 exactly, at the nodes 0, -1, ... and 1, 0, -1, ...
    def weights(nodes):
        powers = np.arange(k)
        return np.linalg.solve(np.array([nodes**p for p in powers]), 1.0 / (powers + 1.0))

    beta, gamma = weights(-np.arange(k)), weights(1 - np.arange(k))
    # For real z of slow decay the largest root is the solution's own, real one: no turning spoils the growth.
    z = -0.05
    if kind == "bashforth":
        polynomial = np.append([1.0], -z * beta)
        polynomial[1] -= 1.0
    else:  # predicted, evaluated, corrected, evaluated: slopes are those of the corrected states
        # z_{n+1} = z_n + z (gamma_0 (z_n + z sum beta_j z_{n-j}) + sum gamma_{j+1} z_{n-j})
        polynomial = np.append([1.0], -z * (gamma[0] * z * beta + np.append(gamma[1:], 0.0)))
        polynomial[1] -= 1.0 + z * gamma[0]
    expected = abs(np.roots(polynomial)).max()
    assert growth(f"adams_{kind}{k}", z) == pytest.approx(expected, rel=1e-6)  # starting values die out


@pytest.mark.parametrize(("k", "end"), [(1, 2.0), (2, 1.0), (3, 6 / 11), (4, 3 / 10), (5, 90 / 551)])
def test_adams_bashforth_methods_are_stable_up_to_where_a_root_passes_minus_one(k, end):
    assert real_interval(f"adams_bashforth{k}", 3.0) == pytest.approx(end, rel=5e-3)  # SLACK moves the end by that


@pytest.mark.parametrize(("method", "end"), [("symplectic_euler", 2.0), ("stormer_verlet", 2.0), ("yoshida4", 1.5735)])
def test_symplectic_methods_are_stable_up_to_a_trace_of_two(method, end):
    assert oscillation_interval(method, 4.0) == pytest.approx(end, rel=1e-3)  # SLACK


@pytest.mark.parametrize("method", REVERSIBLE)
def test_reversible_methods_grow_where_the_solution_decays(method):
    assert not is_stable(method, np.linspace(-2.0, -0.1, 20)).any()


def test_overflow_is_growth_without_bound_and_underflow_none():
    np.testing.assert_array_equal(growth("euler", [-1e3, -1.0]), [np.inf, 0.0])


def test_the_slack_is_small_beside_what_is_asked():
    assert is_stable("euler", -2.0)
    assert not is_stable("euler", -2.0 - 2 * SLACK)
