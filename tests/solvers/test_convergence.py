"""The methods converge with their order, agree with SciPy, and make the steps of the NumPy reference."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import nodeedu as ne
from nodeedu.solvers import reference
from problems import duffing, network, oscillator, rotation, swing

END = np.array([0.0, 2.0])
EXACT = np.exp(np.sin(2.0))


@pytest.mark.parametrize("method", ne.tableaus.names())
def test_fixed_steps_converge_with_the_order_of_the_method(method):
    exact = solve_ivp(duffing, END, [1.0, 0.0], "DOP853", rtol=1e-13, atol=1e-14).y[:, -1]
    errors = [
        abs(ne.odeint(duffing, [1.0, 0.0], END, method=method, step_size=2.0 / n).zs[-1] - exact).max() for n in (40, 80)
    ]
    # the next term of the error expansion shifts the observed order by 0.05 at these step sizes
    assert np.log2(errors[0] / errors[1]) == pytest.approx(ne.tableaus.get(method).order, abs=0.1)


@pytest.mark.parametrize("method", ["bosh3", "dopri5", "tsit5"])
def test_adaptive_steps_reach_the_exact_solution(method):
    sol = ne.odeint(swing, [1.0], END, method=method, rtol=1e-8, atol=1e-10)
    # the tolerance bounds the local error; over some tens of steps it adds up to less than a hundred of it
    assert sol.zs[-1, 0] == pytest.approx(EXACT, rel=1e-6)


@pytest.mark.parametrize("method", ["bosh3", "dopri5", "tsit5"])
def test_the_error_is_proportional_to_the_tolerance(method):
    errors = [
        abs(ne.odeint(swing, [1.0], END, method=method, rtol=tol, atol=tol).zs[-1, 0] - EXACT) for tol in (1e-4, 1e-7)
    ]
    # error per step control: proportional to tol**(p/(p+1)) at worst, 10**2.2 for the three decades with p = 3
    assert errors[0] / errors[1] > 100


def test_a_batch_agrees_with_scipy_sample_by_sample():
    field, z0, theta = oscillator()
    ts = np.linspace(0.0, 3.0, 4)
    sol = ne.odeint(field, z0, ts, theta, rtol=1e-10, atol=1e-12)
    for b in range(len(z0)):
        scipy = solve_ivp(lambda t, z: field(t, z, theta), (0, 3), z0[b], "DOP853", ts, rtol=1e-12, atol=1e-13)
        # global error at rtol 1e-10, grown by the expansion of the flow
        np.testing.assert_allclose(sol.zs[:, b], scipy.y.T, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("method", ["bosh3", "dopri5", "tsit5"])
@pytest.mark.parametrize("end", [3.0, -1.5])
def test_the_steps_are_those_of_the_reference(method, end):
    field, z0, theta = oscillator()
    tableau = ne.tableaus.get(method)
    points = reference.adaptive(lambda t, z: field(t, z, theta), z0[2], 0.0, end, tableau, 1e-5, 1e-7)
    sol = ne.odeint(field, z0[2], [0.0, end], theta, method=method, rtol=1e-5, atol=1e-7, record=True)
    steps = sol._records.steps[: sol.stats.accepted]
    # NumPy sums in another order; rounding differences stay far below any step size
    np.testing.assert_allclose(np.append(steps["t"], end), [t for t, _ in points], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(sol.zs[-1], points[-1][1], rtol=1e-9)


def test_a_batch_of_networks_agrees_with_plain_python_callables():
    field, z0, theta = network()
    ts = [0.0, 0.7, 1.1]
    batch = ne.odeint(field, z0, ts, theta, rtol=1e-9, atol=1e-11)
    for b in range(len(z0)):
        single = ne.odeint(lambda t, z: field(t, z, theta), z0[b], ts, rtol=1e-9, atol=1e-11)
        # two roundings of the same field may accept steps of slightly different size
        np.testing.assert_allclose(batch.zs[:, b], single.zs, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("method", ne.tableaus.names())
def test_solving_back_returns_to_the_start(method):
    field, z0, theta = rotation()
    options = {"method": method} if ne.tableaus.get(method).b_hat is not None else {"method": method, "step_size": 0.01}
    there = ne.odeint(field, z0, [0.0, 1.0], theta, **options)
    back = ne.odeint(field, there.zs[-1], [1.0, 0.0], theta, **options)
    # Euler's error at step 0.01 grows the radius by 0.5 % each way; the others are far below
    np.testing.assert_allclose(back.zs[-1], z0, atol=2e-2 if method == "euler" else 1e-4)


def test_pi_control_solves_to_the_same_accuracy():
    i, pi = (ne.odeint(swing, [1.0], END, rtol=1e-8, atol=1e-10, controller=c) for c in ("I", "PI"))
    # as for adaptive steps above
    assert pi.zs[-1, 0] == pytest.approx(EXACT, rel=1e-6)
    assert i.stats.accepted != pi.stats.accepted
