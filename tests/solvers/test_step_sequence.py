"""The steps themselves: those of SciPy, of the NumPy reference, and the same whatever the vector field is made of."""

import numba
import numpy as np
import pytest
from problems import PROBLEMS, duffing, field_of, solve
from recorder import evaluation_times, recording
from scipy.integrate import solve_ivp

import nodeedu as ne
from nodeedu.solvers import reference

ADAPTIVE = ["bosh3", "dopri5", "tsit5"]
SCIPY = [("dopri5", "RK45"), ("bosh3", "RK23")]
FIELDS = ["pendulum", "van_der_pol", "linear"]


@pytest.mark.parametrize("end", [6.0, -6.0])
@pytest.mark.parametrize(("method", "scipy_name"), SCIPY)
def test_every_evaluation_is_where_scipy_makes_it(method, scipy_name, end):
    ours = evaluation_times(duffing, [1.0, 0.0], [0.0, end], method=method, rtol=1e-5, atol=1e-7)
    f, calls = recording(duffing)
    solve_ivp(f, [0.0, end], [1.0, 0.0], scipy_name, rtol=1e-5, atol=1e-7)
    scipy = np.array([t for t, _ in calls])
    assert len(ours) == len(scipy)  # first step, accepted and rejected steps, FSAL: all the same
    np.testing.assert_allclose(
        ours, scipy, rtol=1e-10, atol=1e-12
    )  # sums in another order; step sizes feel it a little


@pytest.mark.parametrize(("method", "scipy_name"), SCIPY)
@pytest.mark.parametrize("name", PROBLEMS)
def test_a_compiled_field_makes_as_many_evaluations_as_scipy_and_ends_at_the_same_state(name, method, scipy_name):
    p = PROBLEMS[name]
    scipy = solve_ivp(lambda t, z: p.function(t, z, p.theta), p.ts[[0, -1]], p.z0, scipy_name, rtol=1e-5, atol=1e-7)
    sol = solve(name, method=method, rtol=1e-5, atol=1e-7)
    assert (sol.stats.nfev, sol.stats.accepted) == (scipy.nfev, len(scipy.t) - 1)
    np.testing.assert_allclose(sol.zs[-1], scipy.y[:, -1], rtol=1e-8)  # round-off, which the flow lets grow


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("method", ADAPTIVE)
@pytest.mark.parametrize("name", FIELDS)
def test_the_steps_are_those_of_the_reference(name, method, backwards):
    p = PROBLEMS[name]
    ends = p.ts[[-1, 0]] if backwards else p.ts[[0, -1]]
    ends = ends if not backwards or name == "linear" else ends / 4  # backwards, van der Pol's oscillator blows up
    tableau = ne.tableaus.get(method)
    points = reference.adaptive(lambda t, z: p.function(t, z, p.theta), p.z0, *ends, tableau, 1e-5, 1e-7)
    times, states = np.array([t for t, _ in points]), np.array([z for _, z in points])
    sol = solve(name, ts=times, method=method, rtol=1e-5, atol=1e-7)
    assert sol.stats.accepted == len(points) - 1
    # Dense output meets the states at the ends of steps, so that other step ends would show. rtol: round-off that the
    # flow lets grow; atol: components that pass through zero.
    np.testing.assert_allclose(sol.zs, states, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("method", ["rk4", *ADAPTIVE])
@pytest.mark.parametrize("name", FIELDS)
def test_a_compiled_field_and_its_python_function_make_the_same_steps(name, method):
    p = PROBLEMS[name]
    options = {"step_size": 0.1} if method == "rk4" else {"rtol": 1e-5, "atol": 1e-7}
    compiled = solve(name, method=method, **options)
    python = ne.odeint(p.function, p.z0, p.ts, p.theta, method=method, **options)
    counts = [(s.stats.nfev, s.stats.accepted, s.stats.rejected) for s in (compiled, python)]
    assert counts[0] == counts[1]
    np.testing.assert_allclose(
        compiled.zs, python.zs, rtol=1e-8, atol=1e-9
    )  # elementary functions differ in the last bits


@pytest.mark.jit
def test_a_jitted_function_makes_the_same_steps_as_its_python_function():
    jitted = numba.njit(lambda t, z: np.array([z[1], np.cos(t) - z[0] - z[0] ** 3]))
    sols = [ne.odeint(f, [1.0, 0.0], [0.0, 3.0, 6.0]) for f in (jitted, duffing)]
    assert [s.stats.path for s in sols] == ["njit", "python"]
    assert sols[0].stats.nfev == sols[1].stats.nfev
    np.testing.assert_allclose(
        sols[0].zs, sols[1].zs, rtol=1e-10
    )  # numba's cos may differ from NumPy's in the last bit


@pytest.mark.parametrize("method", ADAPTIVE)
def test_pi_control_damps_each_step_by_the_error_before(method):
    tableau, tolerances = ne.tableaus.get(method), {"rtol": 1e-6, "atol": 1e-8}
    sol = ne.odeint(duffing, [1.0, 0.0], [0.0, 6.0], method=method, controller="PI", record=True, **tolerances)
    steps = sol._records.steps[: sol.stats.accepted]
    t, h, ratios = steps["t"], steps["h"], []
    for start, size, z in zip(t, h, sol(t), strict=True):
        z1, error = reference.step(duffing, start, z, size, tableau)
        scale = tolerances["atol"] + tolerances["rtol"] * np.maximum(abs(z), abs(z1))
        ratios.append(reference.root_mean_square(error / scale))
    r, q = np.array(ratios), tableau.embedded_order + 1
    expected = 0.9 * r[1:-1] ** (-0.85 / q) * r[:-2] ** (0.2 / q)  # Hairer & Wanner II, IV.2
    follows = abs(h[2:] / h[1:-1] / expected - 1) < 1e-6  # round-off in the error, a small difference of large numbers
    # All but the first steps, the last, and those next to the few rejected ones.
    assert (~follows).sum() <= 3 + 2 * sol.stats.rejected
    assert follows.mean() > 0.7


def test_stats_tell_what_the_field_is_made_of():
    p = PROBLEMS["pendulum"]
    assert solve("pendulum").stats.path == "traced"
    assert ne.odeint(field_of("pendulum").function, p.z0, p.ts, p.theta).stats.path == "python"


@pytest.mark.parametrize("method", ADAPTIVE)
def test_the_number_of_evaluations_follows_from_the_number_of_steps(method):
    stats = solve("pendulum", method=method).stats
    # the first slope, the probe for the first step, and s - 1 stages a trial step
    assert stats.nfev == 2 + (ne.tableaus.get(method).stages - 1) * (stats.accepted + stats.rejected)


def test_first_step_saves_the_probe():
    stats = solve("pendulum", first_step=0.01).stats
    assert stats.nfev == 1 + 6 * (stats.accepted + stats.rejected)
