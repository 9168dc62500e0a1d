"""`discrete` is the exact gradient of what the solver computed: complex steps through the same grid, in plain NumPy."""

from itertools import pairwise

import numpy as np
import pytest
from adjoint_problems import M, V, both, gradients_of_loss, loss_gradient
from gradient_truths import complex_step_gradient, contract

import nodeedu as ne
from nodeedu.autodiff.check import relative_error

SOLVERS = ["euler", "midpoint", "heun", "rk4", "bosh3", "dopri5", "tsit5"]


def fixed_nodes(ts, step_size):
    """Each interval in the fewest equal steps that are no longer than step_size."""
    counts = np.ceil(np.diff(ts) / step_size - 1e-12).astype(int)
    pieces = [np.linspace(*span, n, endpoint=False) for span, n in zip(pairwise(ts), counts, strict=True)]
    return np.append(np.concatenate(pieces), ts[-1])


def adaptive_nodes(problem, solver, first_step, **options):
    """The ends of accepted steps, read off the times at which a plain Python callable is evaluated."""
    times = []

    def spy(t, z):
        times.append(t)
        return problem.function(t, z, problem.theta)

    ne.odeint(spy, problem.z0, problem.ts, method=solver, first_step=first_step, **options)
    stages = len(ne.tableaus.get(solver).b)
    trials = np.reshape(times[1:], (-1, stages - 1))  # all but the first slope, which FSAL carries over
    ends = trials[:, -1]
    accepted = np.append(trials[1:, 0] > ends[:-1], True)  # after a rejection, the next trial step starts further back
    return np.append(problem.ts[0], ends[accepted]), int(np.sum(~accepted))


@pytest.mark.parametrize("solver", SOLVERS)
def test_discrete_is_exact_for_fixed_steps(problem, solver):
    g = gradients_of_loss(problem, "discrete", solver=solver, step_size=0.25)
    expected = complex_step_gradient(problem, fixed_nodes(problem.ts, 0.25), ne.tableaus.get(solver))
    assert relative_error(both(g), expected) < 1e-13  # both are exact up to rounding, through 7 steps


def test_discrete_is_exact_for_one_step_per_interval():
    g = gradients_of_loss(V, "discrete", solver="rk4")
    expected = complex_step_gradient(V, V.ts, ne.tableaus.get("rk4"))
    assert relative_error(both(g), expected) < 1e-13  # rounding


@pytest.mark.parametrize("solver", ["bosh3", "dopri5", "tsit5"])
@pytest.mark.parametrize("rtol", [1e-2, 1e-6])
def test_discrete_is_exact_for_adaptive_steps_and_outputs_inside_them(problem, solver, rtol):
    options = {"rtol": rtol, "atol": rtol, "first_step": 0.05}
    nodes, _ = adaptive_nodes(problem, solver, **options)
    g = gradients_of_loss(problem, "discrete", solver=solver, **options)
    assert g.stats.accepted == len(nodes) - 1
    expected = complex_step_gradient(problem, nodes, ne.tableaus.get(solver))
    # rounding; the steps of the compiled solver differ from those read off by rounding, too
    assert relative_error(both(g), expected) < 1e-11


def test_discrete_is_exact_for_several_outputs_inside_one_step():
    problem = V._replace(ts=np.linspace(0.2, 1.7, 9), targets=np.random.default_rng(3).normal(size=(9, 2)))
    options = {"rtol": 1e-1, "atol": 1e-1, "first_step": 0.5}
    nodes, _ = adaptive_nodes(problem, "dopri5", **options)
    assert len(nodes) < 5
    g = gradients_of_loss(problem, "discrete", **options)
    assert relative_error(both(g), complex_step_gradient(problem, nodes, ne.tableaus.get("dopri5"))) < 1e-11  # as above


def test_discrete_is_exact_after_rejected_steps(problem):
    options = {"rtol": 1e-6, "atol": 1e-9, "first_step": 1.5}
    nodes, rejected = adaptive_nodes(problem, "dopri5", **options)
    g = gradients_of_loss(problem, "discrete", **options)
    assert g.stats.rejected == rejected > 0
    assert relative_error(both(g), complex_step_gradient(problem, nodes, ne.tableaus.get("dopri5"))) < 1e-11  # as above


def test_discrete_of_a_batch_takes_each_sample_back_over_its_own_steps():
    """Every sample differentiated alone, on the grid that it has alone, gives the same numbers."""
    z0 = np.array([[1.0, 0.5], [3.0, -6.0], [2.0, 3.0]])
    targets = np.random.default_rng(4).normal(size=(4, 3, 2))
    # tight enough for the room for records, 32 steps a sample, to grow
    options = {"rtol": 1e-9, "atol": 1e-9, "first_step": 0.2}
    zs = ne.odeint(V.field, z0, V.ts, V.theta, **options).zs
    g = ne.gradients(V.field, z0, V.ts, V.theta, loss_gradient(zs, targets), **options)
    assert len(set(g.stats.accepted)) == 3
    assert sum(g.stats.accepted) > 3 * 32
    expected = []
    for b in range(3):
        problem = V._replace(z0=z0[b], targets=targets[:, b])
        nodes, _ = adaptive_nodes(problem, "dopri5", **options)
        expected.append(complex_step_gradient(problem, nodes, ne.tableaus.get("dopri5")))
    np.testing.assert_allclose(g.z0, np.array(expected)[:, :2], rtol=1e-10)  # as above, times growth in stiff samples
    np.testing.assert_allclose(g.theta, np.sum(expected, axis=0)[2:], rtol=1e-10)


@pytest.mark.parametrize(("solver", "order"), [("euler", 1), ("midpoint", 2), ("heun", 2), ("bosh3", 3), ("rk4", 4)])
def test_discrete_converges_to_the_true_gradient_with_the_order_of_the_method(problem, truth, solver, order):
    """d4."""
    expected = contract(truth, loss_gradient(truth.zs, problem.targets))
    got = [gradients_of_loss(problem, "discrete", solver=solver, step_size=h) for h in (0.01875, 0.009375)]
    errors = [relative_error(both(g), expected) for g in got]
    observed = np.log2(errors[0] / errors[1])
    assert abs(observed - order) < 0.15  # the next term of the expansion is about h times as large


def test_discrete_stores_what_it_goes_back_over():
    stored = [
        ne.gradients(V.field, V.z0, V.ts, V.theta, V.targets, solver="rk4", step_size=h).stats.stored_states
        for h in (0.15, 0.075)
    ]
    assert stored[1] == 2 * stored[0]


@pytest.mark.parametrize("step_size", [None, 0.25])
@pytest.mark.parametrize("record", [True, False])
@pytest.mark.parametrize("method", ["discrete", "backsolve", "forward"])
def test_a_reused_solution_gives_the_same_bits(problem, step_size, record, method):
    options = {"rtol": 1e-5, "atol": 1e-7, "step_size": step_size}
    sol = ne.odeint(problem.field, problem.z0, problem.ts, problem.theta, record=record, **options)
    zs_bar = loss_gradient(sol.zs, problem.targets)
    arguments = problem.field, problem.z0, problem.ts, problem.theta, zs_bar, method
    anew = ne.gradients(*arguments, **options)
    reused = ne.gradients(*arguments, solution=sol)  # without options: those of the solution hold
    np.testing.assert_array_equal(both(reused), both(anew))
    np.testing.assert_array_equal(reused.ts, anew.ts)


def test_a_solution_can_be_differentiated_more_than_once():
    sol = ne.odeint(M.field, M.z0, M.ts, M.theta, record=True)
    one, other = np.random.default_rng(5).normal(size=(2, *sol.zs.shape))

    def gradient(zs_bar):
        return both(ne.gradients(M.field, M.z0, M.ts, M.theta, zs_bar, solution=sol))

    first = gradient(one)
    gradient(other)
    np.testing.assert_array_equal(gradient(one), first)
