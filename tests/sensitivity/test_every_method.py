"""Every gradient method on every hard problem: 1e-7 at rtol 1e-10, and where one cannot reach it, why."""

import numpy as np
import pytest
from hard_problems import PROBLEMS, truth

import nodeedu as ne
from nodeedu.autodiff import relative_error, structure

TIGHT = {"rtol": 1e-10, "atol": 1e-12}
GOOD = 1e-7  # the promise at rtol 1e-10: rtol for each of some hundreds of steps
METHODS = {
    "discrete": {},
    "checkpointed, 3 slots": {"slots": 3},
    "checkpointed, recursive": {"slots": "recursive"},
    "backsolve": {},
    "backsolve, no reset": {"reset": False},
    "backsolve, full norm": {"seminorm": False},
    "backsolve, after adams": {"solver": "adams"},
    "interpolated": {},
    "quadrature": {},
    "forward": {},
    "reversible": {},
}
BEYOND = {  # what cannot reach it; each has a test below
    ("stiff", "backsolve, no reset"),
    ("stiff", "reversible"),
    ("stiff", "backsolve, after adams"),
    ("chaotic", "backsolve"),
    ("chaotic", "backsolve, no reset"),
    ("chaotic", "backsolve, full norm"),
    ("chaotic", "backsolve, after adams"),
}
CASES = [(problem, method) for problem in PROBLEMS for method in METHODS if (problem, method) not in BEYOND]


def gradient(name, method, ts=None, zs_bar=None):
    _, _, z0, own, theta = PROBLEMS[name]
    ts = own if ts is None else ts
    options = TIGHT
    if method == "reversible":
        options = {"solver": "reversible_dop853", "step_size": abs(ts[-1] - ts[0]) / 200}
    zs_bar = PROBLEMS[name].zs_bar if zs_bar is None else zs_bar
    kind = method.split(",")[0]
    return ne.gradients(PROBLEMS[name].field, z0, ts, theta, zs_bar, method=kind, **options, **METHODS[method])


def errors(name, g, chosen=slice(None)):
    """Relative errors of dL/dz0, dL/dtheta and dL/dts, at those times that the problem knows."""
    z0, theta, ts = truth(name)
    got, expected = (np.concatenate([np.ravel(x) for x in each]) for each in (structure.leaves(g.theta), theta))
    return relative_error(g.z0, z0), relative_error(got, expected), relative_error(g.ts[chosen], ts)


@pytest.mark.parametrize(("name", "method"), CASES)
def test_the_gradient_is_right_to_1e_7_at_rtol_1e_10(name, method):
    assert max(errors(name, gradient(name, method))) < GOOD


@pytest.mark.parametrize("method", METHODS)
def test_every_leaf_has_a_gradient_of_its_shape_and_what_plays_no_part_an_exact_zero(method):
    theta = gradient("matrix state, time-dependent", method).theta
    assert [(name, leaf.shape) for name, leaf in theta.items()] == [
        ("A", (2, 2)), ("damping", ()), ("none", (0,)), ("idle", (3,)),
    ]  # fmt: skip
    np.testing.assert_array_equal(theta["idle"], np.zeros(3))


@pytest.mark.jit  # in plain Python: 4 s; others run the same lines
def test_on_the_chaotic_field_backsolve_loses_what_backward_growth_takes_and_more_observations_give_it_back():
    """Lorenz's volumes shrink by exp(-13.7 t): backwards, errors grow by some thousands from t = 1 to 0.4."""
    name, zs_bar = "chaotic", PROBLEMS["chaotic"].zs_bar
    _, _, z0, ts, theta = PROBLEMS[name]
    growth = ne.predict_backsolve(PROBLEMS[name].field, z0, ts, theta, zs_bar, **TIGHT).amplification
    assert 1e3 < growth < 1e4
    for method in ("backsolve", "backsolve, full norm"):
        # rtol for each of the steps that matter, which are some tens, times the growth
        assert GOOD < max(errors(name, gradient(name, method))) < 1e-10 * 30 * growth
    ts = np.linspace(0.0, 1.0, 6)  # 0.4 is among them
    often = np.zeros((6, 3))
    often[[0, 2, 5]] = zs_bar
    assert max(errors(name, gradient(name, "backsolve", ts, often), [0, 2, 5])) < GOOD


def test_without_the_reset_backsolve_loses_the_state_where_solutions_meet():
    """Backwards over [0, 1], x' = -50 (x - cos t) makes exp(50) of any error; over [0, 0.3], exp(15)."""
    g = gradient("stiff", "backsolve, no reset")
    assert abs(g.returned_z0 - 0.5) > 1e6
    assert errors("stiff", g)[0] < GOOD  # a has decayed before z is lost: trap 1 of the derivations
    assert errors("stiff", g)[1] > 1.0
    lost = errors("chaotic", gradient("chaotic", "backsolve, no reset"))
    assert GOOD < max(lost) < 1e-2


def test_on_the_stiff_field_it_is_the_reversible_solver_that_fails_and_not_its_gradient():
    """Its two states drift apart where solutions decay fast: the forward solve is lost before anything goes back."""
    _, _, z0, ts, theta = PROBLEMS["stiff"]
    field, options = PROBLEMS["stiff"].field, {"method": "reversible_dop853", "step_size": 1.0 / 200}
    right = ne.odeint(field, z0, ts, theta, **TIGHT).zs
    assert relative_error(ne.odeint(field, z0, ts, theta, **options).zs, right) > 1.0
    ts, zs_bar = np.array([0.0, 0.15]), PROBLEMS["stiff"].zs_bar[:2]
    g = gradient("stiff", "reversible", ts, zs_bar)
    expected = ne.gradients(field, z0, ts, theta, zs_bar, solver="dop853", rtol=1e-13, atol=1e-14)
    for got, true in ((g.z0, expected.z0), (g.theta, expected.theta), (g.ts, expected.ts)):
        assert relative_error(got, true) < GOOD


def test_on_the_stiff_field_adams_needs_a_tighter_tolerance_for_as_good_a_start_of_the_way_back():
    """Stability holds the steps of dopri5 shorter than its tolerance asks for; those of adams are not."""
    _, _, z0, ts, theta = PROBLEMS["stiff"]
    field, zs_bar = PROBLEMS["stiff"].field, PROBLEMS["stiff"].zs_bar
    assert GOOD < max(errors("stiff", gradient("stiff", "backsolve, after adams"))) < 10 * GOOD
    g = ne.gradients(field, z0, ts, theta, zs_bar, method="backsolve", solver="adams", rtol=1e-11, atol=1e-13)
    assert max(errors("stiff", g)) < GOOD
