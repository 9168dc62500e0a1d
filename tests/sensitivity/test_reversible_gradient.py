"""Gradients of symplectic and reversible solvers: stored steps, undone steps, differences and the truth agree."""

from dataclasses import replace

import numpy as np
import pytest
from adjoint_problems import M, V, both, flat, gradients_of_loss, like, loss, loss_gradient
from gradient_truths import true_gradient

import nodeedu as ne
from nodeedu.autodiff.check import relative_error
from nodeedu.compile.field import VectorField
from nodeedu.compile.kernels import JIT

REVERSIBLE = ["reversible_heun", "reversible_euler", "reversible_midpoint", "reversible_rk4", "reversible_dopri5"]
SYMPLECTIC = ["symplectic_euler", "stormer_verlet", "yoshida4"]


def chain(t, z, theta):
    """Two driven pendulums coupled by a spring that breathes: q' = f_q(t, p), p' = f_p(t, q)."""
    length, spring = theta[0], theta[1]
    q, p = z[:2], z[2:]
    pull = spring * (1.0 + 0.3 * np.sin(t)) * (q[0] - q[1])
    return np.concatenate([p / length**2 * (1.0 + 0.2 * np.cos(t)), -length * np.sin(q) - np.stack([pull, -pull])])


CHAIN = M._replace(
    name="chain", function=chain, z0=np.array([0.4, -0.7, 0.2, 0.5]), theta=np.array([1.1, 0.6]),
    targets=np.random.default_rng(7).normal(size=(4, 4)),
)  # fmt: skip


@pytest.fixture(scope="module")
def chain_field():
    return ne.vector_field(CHAIN.function, CHAIN.z0, CHAIN.theta)


def chain_gradient(field, method, solver, **options):
    zs = ne.odeint(field, CHAIN.z0, CHAIN.ts, CHAIN.theta, method=solver, **options).zs
    bar = loss_gradient(zs, CHAIN.targets)
    return ne.gradients(field, CHAIN.z0, CHAIN.ts, CHAIN.theta, bar, method=method, solver=solver, **options)


def central_differences(field, problem, **options):
    """Richardson's, on the same grid: error h^4 with h = 1e-3, and 1e-13 of rounding over h."""
    x, D = np.append(problem.z0, flat(problem.theta)), len(problem.z0)

    def value(x):
        zs = ne.odeint(field, x[:D], problem.ts, like(problem.theta, x[D:]), **options).zs
        return loss(zs, problem.targets)

    def slope(h):
        return np.array([value(x + h * unit) - value(x - h * unit) for unit in np.eye(len(x))]) / (2 * h)

    return (4 * slope(5e-4) - slope(1e-3)) / 3


@pytest.mark.parametrize("method", ["discrete", "reversible"])
@pytest.mark.parametrize("solver", REVERSIBLE)
def test_gradients_of_reversible_solvers_are_the_slopes_of_what_they_compute(method, solver):
    g = gradients_of_loss(V, method, solver=solver, step_size=0.2)
    expected = central_differences(V.field, V, method=solver, step_size=0.2)
    assert relative_error(both(g), expected) < 1e-9  # see central_differences; derivatives reach 100


@pytest.mark.parametrize("method", ["discrete", "reversible"])
@pytest.mark.parametrize("solver", SYMPLECTIC)
def test_gradients_of_symplectic_solvers_are_the_slopes_of_what_they_compute(method, solver, chain_field):
    g = chain_gradient(chain_field, method, solver, step_size=0.2)
    expected = central_differences(chain_field, CHAIN, method=solver, step_size=0.2)
    assert relative_error(both(g), expected) < 1e-9  # as above


@pytest.mark.parametrize("solver", REVERSIBLE)
def test_undoing_steps_gives_the_gradient_of_stored_steps(solver):
    options = {"solver": solver, "step_size": 0.01}
    one, other = (gradients_of_loss(M, method, **options) for method in ("discrete", "reversible"))
    assert relative_error(both(one), both(other)) < 1e-12  # rounding of 150 steps
    np.testing.assert_allclose(one.ts, other.ts, rtol=0, atol=1e-12 * abs(one.ts).max())


@pytest.mark.parametrize("solver", SYMPLECTIC)
def test_undoing_symplectic_steps_gives_the_gradient_of_stored_steps(solver, chain_field):
    one, other = (chain_gradient(chain_field, method, solver, step_size=0.01) for method in ("discrete", "reversible"))
    assert relative_error(both(one), both(other)) < 1e-12  # rounding of 150 steps


@pytest.mark.parametrize(("solver", "order"), [("reversible_heun", 2), ("reversible_rk4", 4)])
def test_gradients_of_reversible_solvers_converge_to_the_truth(solver, order):
    truth = true_gradient(V)
    errors = [relative_error(both(gradients_of_loss(V, "reversible", solver=solver, step_size=h)), truth)
              for h in (0.02, 0.01)]  # fmt: skip
    assert np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.3)  # the next term is a few percent


@pytest.mark.parametrize(("solver", "order"), [("symplectic_euler", 1), ("stormer_verlet", 2), ("yoshida4", 4)])
def test_gradients_of_symplectic_solvers_converge_to_forward_sensitivities(solver, order, chain_field):
    tight = {"rtol": 1e-11, "atol": 1e-13}
    truth = both(chain_gradient(chain_field, "forward", "dopri5", **tight))
    errors = [relative_error(both(chain_gradient(chain_field, "reversible", solver, step_size=h)), truth)
              for h in (0.05, 0.025)]  # fmt: skip
    assert np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.3)  # as above


@pytest.mark.parametrize(("solver", "stored"), [("reversible_heun", 3), ("reversible_rk4", 2)])
def test_undoing_steps_stores_the_last_one_alone(solver, stored):
    few, many = (gradients_of_loss(V, "reversible", solver=solver, step_size=h).stats for h in (0.1, 0.01))
    assert (few.stored_states, many.stored_states) == (stored, stored)
    assert many.accepted > 9 * few.accepted
    kept = gradients_of_loss(V, "discrete", solver=solver, step_size=0.1).stats
    assert kept.stored_states == stored * kept.accepted


@pytest.mark.parametrize(("solver", "forward", "back"), [("heun", 1, 1), ("euler", 2, 2), ("rk4", 8, 14)])
def test_evaluations_of_both_passes_are_counted(solver, forward, back):
    """The wrapper evaluates s - 1 slopes of an increment before the s that come with derivatives."""
    stats = gradients_of_loss(V, "reversible", solver="reversible_" + solver, step_size=0.1).stats
    first = solver == "heun"
    assert stats.accepted == 16
    assert (stats.nfev, stats.nfev_backward) == (16 * forward + first, 16 * back + first)
    assert stats.tally.adjoint == stats.nfev_backward


def test_symplectic_steps_are_undone_at_no_extra_evaluation(chain_field):
    stats = chain_gradient(chain_field, "reversible", "stormer_verlet", step_size=0.1).stats
    assert (stats.nfev, stats.nfev_backward, stats.stored_states) == (3 + 2 * 16, 1 + 2 * 16, 1)


@pytest.mark.skipif(JIT, reason="counts calls of the Python kernels, which compiled code does not make")
@pytest.mark.parametrize("method", ["discrete", "reversible"])
@pytest.mark.parametrize("solver", [*SYMPLECTIC, "reversible_heun", "reversible_rk4"])
def test_the_evaluations_that_are_reported_are_those_that_are_made(solver, method, chain_field, monkeypatch):
    rows, kernel = {"f": 0, "vjp": 0}, VectorField.kernel

    def counting(field, kind, dtype):
        def function(t, *others):
            rows[kind] += len(t)
            kernel(field, kind, dtype).function(t, *others)

        return replace(kernel(field, kind, dtype), function=function)

    monkeypatch.setattr(VectorField, "kernel", counting)
    z0, ts = np.stack([CHAIN.z0, CHAIN.z0[::-1]]), np.array([[0.0, 0.5, 1.0], [2.0, 1.9, 1.7]])
    bar = np.ones((3, 2, 4))
    stats = ne.gradients(chain_field, z0, ts, CHAIN.theta, bar, method, solver, step_size=0.1).stats
    assert sum(stats.nfev) + sum(stats.nfev_backward) == rows["f"] + rows["vjp"]


@pytest.mark.parametrize("solver", ["reversible_heun", "reversible_midpoint"])
@pytest.mark.parametrize("method", ["discrete", "reversible"])
def test_samples_with_their_own_times_go_back_over_their_own_steps(solver, method):
    z0, ts = (
        np.array([[1.0, 0.5], [0.2, -0.6], [2.0, 1.0]]),
        np.array([[0.0, 0.5, 1.0], [2.0, 1.9, 0.1], [0.0, 0.1, 0.2]]),
    )
    bar = np.random.default_rng(4).normal(size=(3, 3, 2))
    options = {"method": method, "solver": solver, "step_size": 0.05}
    together = ne.gradients(V.field, z0, ts, V.theta, bar, **options)
    alone = [ne.gradients(V.field, z0[b], ts[b], V.theta, bar[:, b], **options) for b in range(3)]
    np.testing.assert_allclose(together.z0, [g.z0 for g in alone], rtol=1e-12)  # rounding
    np.testing.assert_allclose(together.theta, sum(g.theta for g in alone), rtol=1e-12)
    np.testing.assert_array_equal(together.stats.nfev_backward, [g.stats.nfev_backward for g in alone])


def test_a_batch_of_symplectic_samples_goes_back_over_their_own_steps(chain_field):
    z0, ts = np.stack([CHAIN.z0, CHAIN.z0[::-1]]), np.array([[0.0, 0.5, 1.0], [2.0, 1.9, 1.7]])
    bar = np.random.default_rng(4).normal(size=(3, 2, 4))
    for method in ("discrete", "reversible"):
        options = {"method": method, "solver": "yoshida4", "step_size": 0.05}
        together = ne.gradients(chain_field, z0, ts, CHAIN.theta, bar, **options)
        alone = [ne.gradients(chain_field, z0[b], ts[b], CHAIN.theta, bar[:, b], **options) for b in range(2)]
        np.testing.assert_allclose(together.z0, [g.z0 for g in alone], rtol=1e-12)  # rounding
        np.testing.assert_allclose(together.theta, sum(g.theta for g in alone), rtol=1e-12)


def test_a_solution_is_reused_whether_it_kept_its_steps_or_not():
    bar, options = V.targets, {"method": "reversible_rk4", "step_size": 0.1}
    direct = ne.gradients(
        V.field, V.z0, V.ts, V.theta, bar, method="reversible", solver="reversible_rk4", step_size=0.1
    )
    for record in (True, False):
        sol = ne.odeint(V.field, V.z0, V.ts, V.theta, record=record, **options)
        for method in ("discrete", "reversible"):
            g = ne.gradients(V.field, V.z0, V.ts, V.theta, bar, method=method, solution=sol)
            assert relative_error(both(g), both(direct)) < 1e-13  # rounding


@pytest.mark.jit  # in plain Python: 3 s; others run the same lines
def test_a_long_solve_returns_to_python_on_its_way_back_and_goes_on():
    options = {"solver": "reversible_heun", "step_size": 1.5 / 10_100}
    g = gradients_of_loss(V, "reversible", **options)
    assert g.stats.accepted > 10_000
    assert relative_error(both(g), true_gradient(V)) < 1e-7  # h^2, times second derivatives


def test_the_gradient_without_any_step_is_the_observation_itself():
    for solver in ("reversible_heun", "reversible_rk4"):
        g = ne.gradients(V.field, V.z0, [0.3], V.theta, [[1.0, 2.0]], method="reversible", solver=solver)
        np.testing.assert_array_equal(both(g), [1.0, 2.0, 0.0, 0.0, 0.0, 0.0])


@pytest.mark.parametrize("solver", ["dopri5", "rk4"])
def test_a_solver_that_cannot_be_undone_is_refused_by_name(solver):
    with pytest.raises(ValueError, match=f"reversible_heun, .*reversible_rk4.*; got '{solver}'"):
        ne.gradients(V.field, V.z0, V.ts, V.theta, V.targets, method="reversible", solver=solver)


def test_a_gradient_whose_z0_has_not_come_back_warns():
    """Round-off grows backwards in time as what decays does: here by exp(25)."""
    theta = np.array([-12.5, 1.0, 1.0, 1.0])  # damping: mu (1 - x^2) v with mu < 0
    options = {"solver": "reversible_dopri5", "step_size": 0.0025}
    with pytest.warns(RuntimeWarning, match=r"z\(t0\) came back with a relative error"):
        ne.gradients(V.field, V.z0 / 10, [0.0, 2.0], theta, V.targets[:2], method="reversible", **options)
