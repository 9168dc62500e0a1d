"""Reversible methods: the papers' formulas in plain NumPy, orders, stability, and steps undone to rounding."""

import numpy as np
import pytest
from problems import duffing, exact
from recorder import recording

import nodeedu as ne
from nodeedu import tableaus
from nodeedu.compile.handwritten import van_der_pol_field
from nodeedu.solvers import methods
from nodeedu.solvers.fixed_step import reversible
from nodeedu.solvers.fixed_step.reversible_step import COUPLING

START = np.array([1.0, 0.2])
WRAPPERS = [name for name in methods.names() if name.startswith("reversible_") and name != "reversible_heun"]


def increment(f, t, y, h, tableau):
    """Psi_h(t, y) of a Runge-Kutta method, every stage of it."""
    k = np.zeros((tableau.stages, len(y)))
    for i in range(tableau.stages):
        k[i] = f(t + tableau.c[i] * h, y + h * tableau.A[i] @ k)
    return h * tableau.b @ k


def wrapper_step(f, t, y, w, h, tableau, c=COUPLING):
    """Definition 1 of arXiv 2410.11648."""
    y1 = c * y + (1 - c) * w + increment(f, t, w, h, tableau)
    return y1, w - increment(f, t + h, y1, -h, tableau)


def heun_step(f, t, y, v, h):
    """Algorithm 1 of arXiv 2105.13493, without noise."""
    v1 = 2 * y - v + h * f(t, v)
    return y + h * (f(t, v) + f(t + h, v1)) / 2, v1


def final_states(f, z0, ts, method, step_size):
    """All blocks after the last step, (m, D)."""
    return ne.odeint(f, z0, ts, method=method, step_size=step_size)._method[:, 0]


@pytest.mark.parametrize("name", tableaus.names())
def test_every_explicit_method_but_heun_has_a_reversible_wrapper(name):
    assert ("reversible_" + name in WRAPPERS) == (name != "heun")


@pytest.mark.parametrize("method", WRAPPERS)
def test_the_wrapper_makes_the_steps_of_the_paper(method):
    tableau, h, t, y, w = tableaus.get(method.removeprefix("reversible_")), 0.25, 0.5, START, START
    for _ in range(4):
        y, w = wrapper_step(duffing, t, y, w, h, tableau)
        t += h
    np.testing.assert_allclose(final_states(duffing, START, [0.5, 1.5], method, h), [y, w], rtol=0, atol=1e-14)


def test_reversible_heun_makes_the_steps_of_the_paper():
    h, t, y, v = 0.25, 0.5, START, START
    for _ in range(4):
        y, v = heun_step(duffing, t, y, v, h)
        t += h
    expected = [y, v, duffing(t, v)]
    np.testing.assert_allclose(final_states(duffing, START, [0.5, 1.5], "reversible_heun", h), expected, atol=1e-14)


@pytest.mark.parametrize("method", ["reversible_heun", *WRAPPERS])
def test_reversible_methods_have_the_order_of_what_they_wrap(method):
    order = 2 if method == "reversible_heun" else tableaus.get(method.removeprefix("reversible_")).order
    steps = (4, 8) if order > 6 else (64, 128)  # of high orders, little is left above round-off
    truth = exact(duffing, START, [0.0, 2.0])[-1]
    errors = [abs(ne.odeint(duffing, START, [0.0, 2.0], method=method, step_size=2 / n).zs[-1] - truth) for n in steps]
    observed = np.log2(np.linalg.norm(errors[0]) / np.linalg.norm(errors[1]))
    assert observed == pytest.approx(order, abs=0.2)  # the next term is a few percent


@pytest.mark.parametrize(("method", "evaluations"), [("heun", 1 + 15), ("euler", 30), ("rk4", 120), ("dopri5", 180)])
def test_evaluations_are_counted_and_the_stage_of_fsal_is_left_out(method, evaluations):
    f, calls = recording(duffing)
    stats = ne.odeint(f, START, [0.0, 1.0, 1.5], method="reversible_" + method, step_size=0.1).stats
    assert (stats.accepted, stats.nfev) == (15, evaluations) == (15, len(calls))
    assert stats.tally.initial == (method == "heun")


@pytest.mark.parametrize("method", ["reversible_euler", "reversible_rk4", "reversible_dopri5"])
@pytest.mark.parametrize("x", [-0.4, 0.3j])
def test_the_wrappers_eigenvalues_are_the_roots_of_the_docstrings_polynomial(method, x):
    """m^2 - G m + c = 0 means y2 = G y1 - c y0, along the whole solution."""
    tableau = tableaus.get(method.removeprefix("reversible_"))
    A, b, one = tableau.A, tableau.b, np.ones(tableau.stages)
    forth, back = (z * b @ np.linalg.solve(np.eye(len(b)) - z * A, one) for z in (x, -x))  # R - 1
    G = 1 + COUPLING - (1 - COUPLING) * back - back * forth
    rate = np.array([[np.real(x), -np.imag(x)], [np.imag(x), np.real(x)]])
    zs = ne.odeint(lambda t, z: rate @ z, [1.0, 0.0], np.arange(12.0), method=method).zs @ [1, 1j]
    np.testing.assert_allclose(zs[2:], G * zs[1:-1] - COUPLING * zs[:-2], rtol=0, atol=1e-13)  # rounding


def test_reversible_heun_is_stable_on_the_imaginary_axis_alone():
    def size(x):
        rate = np.array([[np.real(x), -np.imag(x)], [np.imag(x), np.real(x)]])
        return abs(ne.odeint(lambda t, z: rate @ z, [1.0, 0.0], [0.0, 500.0], method="reversible_heun", step_size=1)
                   .zs[-1]).max()  # fmt: skip

    assert size(0.95j) < 10
    assert size(1.05j) > 1e6
    assert size(-0.1) > 1e6  # the mode that decay leaves to itself: about exp(0.1 * 500)


@pytest.mark.parametrize("method", ["reversible_heun", "reversible_euler", "reversible_rk4", "reversible_dopri5"])
def test_steps_are_undone_to_rounding(method):
    field, theta = van_der_pol_field(), (np.array(0.3),)
    sol = ne.odeint(field, START, [0.0, 5.0, 20.0], theta, method=method, step_size=0.01)
    *_, z0 = reversible.reverse(sol, np.zeros((3, 1, 2)))
    # 2000 steps of 1e-16 each, which the damping and 1 / coupling^2000 = 7 amplify a few times
    np.testing.assert_allclose(z0[0], START, rtol=0, atol=1e-12)


def test_a_batch_with_its_own_times_is_solved_as_if_samples_were_alone():
    field, theta = van_der_pol_field(), (np.array(0.3),)
    z0, ts = np.array([[1.0, 0.2], [0.3, 2.0]]), np.array([[0.0, 0.35, 1.0], [2.0, 0.5, -3.0]])
    for method in ("reversible_heun", "reversible_midpoint"):
        options = {"method": method, "step_size": 0.1}
        together = ne.odeint(field, z0, ts, theta, **options)
        for b in range(2):
            alone = ne.odeint(field, z0[b], ts[b], theta, **options)
            np.testing.assert_array_equal(together.zs[:, b], alone.zs)
            assert together.stats.nfev[b] == alone.stats.nfev


def test_dense_output_has_the_error_of_cubic_hermite():
    ts, inside = [2.0, 0.0], np.array([1.512, 0.337])
    sol = ne.odeint(duffing, START, ts, method="reversible_dopri5", step_size=0.05, record=True)
    truth = exact(duffing, START, [2.0, *inside])[1:]
    np.testing.assert_allclose(sol(inside), truth, rtol=0, atol=1e-6)  # h^4 / 384 times a fourth derivative


def test_an_overflow_is_reported_where_it_happens():
    with pytest.raises(ne.SolverError, match="non-finite, component 0") as error, np.errstate(over="ignore"):
        ne.odeint(lambda t, z: z * z, [1.0], [0.0, 9.0], method="reversible_heun", step_size=0.1)
    assert 1.0 < error.value.t < 3.0
