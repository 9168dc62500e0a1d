"""Symplectic methods: orders, the symplectic form, energy over long times, and what they refuse."""

import numpy as np
import pytest
from problems import PERIHELION, exact, field_of
from recorder import recording

import nodeedu as ne

METHODS = ("symplectic_euler", "stormer_verlet", "yoshida4")
START = np.array([1.0, 0.2])


def pendulum(t, z):
    return np.array([z[1], -np.sin(z[0])])


def driven(t, z):
    """Both slopes depend on time, so that an order is lost if a kick or a drift looks at the wrong time."""
    return np.array([z[1] * (1 + 0.5 * np.sin(t)), -np.sin(z[0]) + np.cos(2 * t)])


def energy(zs):
    return zs[:, 1] ** 2 / 2 - np.cos(zs[:, 0])


@pytest.mark.parametrize(("method", "order"), [(METHODS[0], 1), (METHODS[1], 2), (METHODS[2], 4)])
def test_symplectic_methods_have_their_order_when_both_slopes_depend_on_time(method, order):
    truth = exact(driven, START, [0.0, 2.0])[-1]
    errors = [
        np.linalg.norm(ne.odeint(driven, START, [0.0, 2.0], method=method, step_size=2 / n).zs[-1] - truth)
        for n in (40, 80)
    ]
    assert np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.1)  # the next term is a few percent


def test_one_step_of_stormer_verlet_is_kick_drift_kick():
    t, h, (q, p) = 0.3, 0.2, START
    p = p + h / 2 * driven(t, [q, p])[1]
    q = q + h * driven(t + h / 2, [q, p])[0]
    p = p + h / 2 * driven(t + h, [q, p])[1]
    zs = ne.odeint(driven, START, [t, t + h], method="stormer_verlet").zs
    np.testing.assert_allclose(zs[-1], [q, p], rtol=1e-15)  # h is a rounding off


@pytest.mark.parametrize("method", METHODS)
def test_the_step_map_keeps_the_symplectic_form(method):
    """dPhi^T J dPhi = J; the rows of dPhi are the gradients of the components, here of three steps of Kepler's."""
    field, J = field_of("kepler"), np.kron([[0, 1], [-1, 0]], np.eye(2))
    zs_bar = np.stack([np.zeros((4, 4)), np.eye(4)])
    ts, z0 = [0.0, 0.6], np.stack([PERIHELION] * 4)
    dPhi = ne.gradients(field, z0, ts, np.array(1.0), zs_bar, solver=method, step_size=0.2).z0
    assert abs(dPhi - np.eye(4)).max() > 0.5
    np.testing.assert_allclose(dPhi.T @ J @ dPhi, J, rtol=0, atol=1e-13)  # rounding of numbers up to 10


@pytest.mark.jit  # in plain Python: 5 s; others run the same lines
def test_energy_stays_within_bounds_over_ten_thousand_steps_where_rk4_drifts():
    ts = np.linspace(0.0, 3000.0, 101)
    early, late = {}, {}
    for method in ("stormer_verlet", "rk4"):
        zs = ne.odeint(pendulum, START, ts, method=method, step_size=0.3).zs
        error = abs(energy(zs) - energy(zs[:1]))
        early[method], late[method] = error[:51].max(), error[51:].max()
    assert late["stormer_verlet"] < 1.1 * early["stormer_verlet"]  # both halves have seen all phases
    assert late["rk4"] > 1.7 * early["rk4"]  # linear would be 2


@pytest.mark.parametrize("method", ["stormer_verlet", "yoshida4"])
def test_symmetric_methods_return_to_the_start_when_time_runs_back(method):
    there = ne.odeint(driven, START, [0.0, 10.0], method=method, step_size=0.1).zs[-1]
    back = ne.odeint(driven, there, [10.0, 0.0], method=method, step_size=0.1).zs[-1]
    np.testing.assert_allclose(back, START, rtol=0, atol=1e-12)  # round-off of 100 steps, in a field that stretches it


@pytest.mark.parametrize(("method", "per_step", "first"), [(METHODS[0], 2, -1), (METHODS[1], 2, 0), (METHODS[2], 6, 0)])
def test_slopes_are_shared_between_steps_and_every_evaluation_is_counted(method, per_step, first):
    f, calls = recording(pendulum)
    stats = ne.odeint(f, START, [0.0, 1.0, 1.5], method=method, step_size=0.1).stats
    # three look at whether the field is separable, one of which is the first slope
    assert (stats.nfev, stats.tally.initial) == (3 + 15 * per_step + first, 3) == (len(calls), 3)


def test_halves_of_the_first_axis_are_positions_and_momenta_for_states_of_any_shape():
    def oscillators(t, z):
        return np.stack([z[1], -np.array([1.0, 2.0, 3.0]) * np.sin(z[0])])

    z0 = np.random.default_rng(0).normal(size=(2, 3))
    options = {"method": "yoshida4", "step_size": 0.1}
    matrix = ne.odeint(oscillators, z0, [0.0, 1.0], **options).zs
    vector = ne.odeint(lambda t, z: oscillators(t, z.reshape(2, 3)).ravel(), z0.ravel(), [0.0, 1.0], **options).zs
    np.testing.assert_array_equal(matrix.reshape(2, 6), vector)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("f", "which"),
    [
        (lambda t, z: np.array([z[1], -np.sin(z[0]) - 0.01 * z[1]]), "p depends on p"),
        (lambda t, z: np.array([z[1] + 1e-6 * z[0] ** 2, -z[0]]), "q depends on q"),
    ],
)
def test_a_field_that_is_not_separable_is_refused(method, f, which):
    with pytest.raises(ValueError, match=f"method: '{method}' takes .* slope of {which} too"):
        ne.odeint(f, START, [0.0, 1.0], method=method)


@pytest.mark.parametrize("z0", [np.ones(3), np.array(1.0), np.ones((3, 2))])
def test_a_state_without_halves_is_refused(z0):
    with pytest.raises(ValueError, match=r"z0: got a state of shape .* halves of the first axis"):
        ne.odeint(lambda t, z: -z, z0, [0.0, 1.0], method="stormer_verlet")


def test_samples_with_times_of_their_own_are_solved_as_if_they_were_alone():
    field, z0 = field_of("kepler"), PERIHELION * np.array([[1.0], [1.1], [0.9]])
    ts = np.array([[0.0, 1.0, 1.5], [2.0, 1.9, -3.0], [0.0, 0.1, 0.2]])
    options = {"method": "stormer_verlet", "step_size": 0.02}
    together = ne.odeint(field, z0, ts, np.array(1.0), **options)
    nfev = together.stats.nfev
    for b in range(3):
        alone = ne.odeint(field, z0[b], ts[b], np.array(1.0), **options)
        np.testing.assert_array_equal(together.zs[:, b], alone.zs)
        assert nfev[b] == alone.stats.nfev
        np.testing.assert_array_equal(together(0.1)[b], alone(0.1))


def test_single_precision_stays_single_and_agrees_with_double():
    options = {"method": "yoshida4", "step_size": 0.05}
    double, single = (ne.odeint(driven, START.astype(dtype), [0.0, 3.0], **options).zs for dtype in (float, "f4"))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, double, rtol=0, atol=1e-5)  # eps 1e-7, 360 sub-steps


def test_dense_output_of_fixed_grids_is_hermites_and_counted():
    ts, inside = [0.0, 1.0, 2.0], np.array([0.512, 1.337])
    sol = ne.odeint(driven, START, ts, method="yoshida4", step_size=0.05, record=True)
    nfev = sol.stats.nfev
    np.testing.assert_allclose(sol(np.array(ts)), sol.zs, rtol=0, atol=1e-15)  # a rounding
    # the error of cubic Hermite is h^4 / 384 times a fourth derivative
    np.testing.assert_allclose(sol(inside), exact(driven, START, [0.0, *inside])[1:], rtol=0, atol=1e-6)
    assert sol.stats.tally.dense == 41 == sol.stats.nfev - nfev


def test_dense_output_of_a_solve_that_kept_nothing_solves_again():
    options = {"method": "stormer_verlet", "step_size": 0.1}
    one, other = (ne.odeint(driven, START, [2.0, 0.0], record=record, **options) for record in (True, False))
    np.testing.assert_array_equal(one(1.234), other(1.234))
    assert other.stats.tally.dense == 21 + 43


def test_a_state_that_is_not_finite_ends_the_solve_where_it_happens():
    def torn(t, z):
        return np.array([z[1], 1.0 if t < 0.45 else np.inf])

    with pytest.raises(ne.SolverError, match="after 5 trial steps: non-finite, component 1") as error:
        ne.odeint(torn, START, [0.0, 9.0], method="stormer_verlet", step_size=0.1)
    assert error.value.t == pytest.approx(0.4)
    assert error.value.cause == "non-finite"


@pytest.mark.parametrize(("max_steps", "enough"), [(9, False), (10, True)])
def test_fixed_grids_stop_at_the_step_limit(max_steps, enough):
    def solve():
        return ne.odeint(
            pendulum, START, [0.0, 1.0], method="stormer_verlet", step_size=0.1, max_steps=max_steps
        )  # fmt: skip

    if enough:
        assert solve().stats.accepted == 10
    else:
        with pytest.raises(ne.SolverError, match="max_steps = 9") as error:
            solve()
        assert error.value.t == pytest.approx(0.9)


def test_an_error_inside_a_plain_callable_comes_back_to_the_caller():
    def broken(t, z):
        if t > 0.5:
            raise KeyError("late")
        return pendulum(t, z)

    with pytest.raises(KeyError, match="late"):
        ne.odeint(broken, START, [0.0, 1.0], method="stormer_verlet", step_size=0.1)
