"""The gradient court: slips are named, right claims pass, and what is the user's own fault is said to be that."""

import court_students as students
import numpy as np
import pytest
from court_claims import every_kind
from court_gradients import gradient

import nodeedu as ne
from nodeedu.verify.court.case import Case, make_case
from nodeedu.verify.court.figure import draw
from nodeedu.verify.court.mistakes import mistakes
from nodeedu.verify.court.path import carry
from nodeedu.verify.court.sweep import right
from nodeedu.verify.court.trial import Route, Trial
from nodeedu.verify.court.verdict import KINDS, judge_claim, kind_of
from nodeedu.verify.standard_problems import V

CASE = Case(V())
POINTWISE = ("adjoint_rhs", "theta_integrand", "jump", "tangent_rhs", "log_p_rate", "linear_adjoint")
SOME_OF_GRADIENT = (0, 4, 8, 20)  # each solves six equations in plain Python; the others are in the slow lane


def fast_claims():
    for kind, bug, claim in every_kind(CASE):
        if kind in POINTWISE or (kind == "gradient" and bug in SOME_OF_GRADIENT):
            yield pytest.param(kind, bug, claim, id=f"{kind}-{bug}")


@pytest.mark.parametrize(("kind", "bug", "claim"), list(fast_claims()))
def test_each_slip_is_named_and_a_right_claim_passes(kind, bug, claim):
    judgement = judge_claim(CASE, kind, claim)
    assert (judgement.ok, judgement.numbers) == (bug == 0, (bug,) if bug else ()), str(judgement)


def test_all_53_mistakes_have_a_record_with_a_claim_that_can_hold_it():
    assert set(range(1, 54)) <= set(mistakes())
    assert all(mistake.wrong and set(mistake.wrong) <= set(KINDS) for mistake in mistakes().values())


def test_the_sweep_agrees_with_forward_sensitivity():
    truth, found = CASE.problem.truth, right(CASE)
    for got, expected in ((found.z0, truth.z0), (found.theta, truth.theta), (found.ts, truth.ts)):
        # The interpolant between the steps of DOP853 leaves about 1e-10.
        np.testing.assert_allclose(got, expected, rtol=1e-8)


def test_collocation_undoes_itself():
    a, path = np.array([0.3, -1.2]), CASE.path
    there, _ = carry(path, -path.J, a, 1)
    back, _ = carry(path, -path.J, there, 1, forwards=True)
    np.testing.assert_allclose(back, a, rtol=1e-13)  # Gauss's method is symmetric: rounding alone


def test_two_slips_in_different_parts_are_both_named():
    def claim(f, z0, ts, theta, zs_bar):
        z0_bar, theta_bar, ts_bar = gradient(22)(f, z0, ts, theta, zs_bar)
        return z0_bar, tuple(-np.asarray(x) for x in theta_bar), ts_bar

    assert set(judge_claim(CASE, "gradient", claim).numbers) == {7, 22}


def test_a_slip_that_is_in_no_list_is_traced_to_its_term():
    def claim(t, z, a, theta):
        mu, k, _, _ = theta
        return np.array([a[1] * k, -a[0] - a[1] * mu * (1 - z[0] ** 2)])  # -2 mu x v a_2 is missing

    judgement = judge_claim(CASE, "adjoint_rhs", claim)
    assert not judgement.ok
    assert not judgement.mistakes
    assert judgement.evidence == ("da_1/dt: the term -a_2 d(mu * (1 - x**2) * v)/dz_1 is missing",)


def test_a_jump_with_another_factor_is_told_its_coefficient():
    (line,) = judge_claim(CASE, "jump", lambda a, g: a + 0.5 * g).evidence
    assert line == "the term g_i has half its size"


def test_a_dropped_observation_is_found():
    def claim(f, z0, ts, theta, zs_bar):
        without = zs_bar.copy()
        without[1] = 0.0
        return gradient(0)(f, z0, ts, theta, without)

    assert any("observation at t_1 = 0.7 is missing" in line for line in judge_claim(CASE, "gradient", claim).evidence)


def test_a_careless_solve_is_not_taken_for_a_mistake():
    def claim(f, z0, ts, theta, zs_bar):
        z0_bar, theta_bar, ts_bar = gradient(0)(f, z0, ts, theta, zs_bar)
        return z0_bar * (1 + 1e-3), theta_bar, ts_bar

    judgement = judge_claim(CASE, "gradient", claim)
    assert not judgement.ok
    assert "right only to 1e-03" in judgement.says


# ---------------------------------------------------------------- what the problem can show


def symmetric(t, z, k):
    return np.stack([-k * z[0] + z[1], z[0] - z[1] ** 3])


def test_a_problem_that_hides_mistakes_is_said_to():
    case = make_case(symmetric, [0.5, 0.2], (0.0, 1.0), np.array(1.1))
    judgement = judge_claim(case, "adjoint_rhs", students.adjoint_rhs(symmetric, case.problem, 2))
    assert judgement.ok
    assert 2 in [mistake.number for mistake in judgement.hidden]

    def rhs(t, z, a, k):
        return np.array([k * a[0] - a[1], -a[0] + 3 * z[1] ** 2 * a[1]])

    verdict = ne.court(symmetric, [0.5, 0.2], (0.0, 1.0), np.array(1.1), claims={"adjoint_rhs": rhs}, trial=False)
    assert verdict.ok
    shown = ("Jacobian is symmetric", "does not depend on t", "duration 1", "cannot show: mistakes 2", "built-in")
    assert [phrase for phrase in shown if phrase not in str(verdict)] == []


def test_where_z0_depends_on_theta_the_dropped_term_is_named():
    def z0(theta):
        return np.stack([theta[0] * theta[1], -0.4 + 0 * theta[0]])

    def f(t, z, theta):
        return np.stack([z[1], -theta[0] * z[0] ** 3 - theta[1] * z[1] + np.cos(t)])

    theta = np.array([1.3, 0.4])
    case, slope = make_case(f, z0, (0.2, 0.9, 1.6), theta), np.array([[0.4, 1.3], [0.0, 0.0]])
    assert judge_claim(case, "gradient", gradient(0, z0_theta=slope)).ok
    assert judge_claim(case, "gradient", gradient(15, z0_theta=slope)).numbers == (15,)


# ---------------------------------------------------------------- what is the user's own


def test_what_a_claim_raises_is_reported_with_its_line():
    def claim(a, g):
        return a + undefined  # noqa: F821

    judgement = judge_claim(CASE, "jump", claim)
    assert judgement.says == "your function raised NameError: name 'undefined' is not defined"
    assert judgement.where.endswith("return a + undefined  # noqa: F821")


@pytest.mark.parametrize(
    ("claim", "says"),
    [
        (lambda t, z, a, theta: np.zeros((2, 2)), "returned shape (2, 2) for da/dt, expected (2,)"),
        (lambda t, z, a, theta: a * np.nan, "returned nan or inf for da/dt"),
        (lambda t, z, a, theta: None, "returned None for da/dt, expected real numbers"),
        (lambda t, z, a, theta: 1j * a, "expected real numbers"),
        (lambda t, z, a: -a, "raised TypeError"),
    ],
)
def test_what_a_claim_returns_is_reported_with_its_place(claim, says):
    judgement = judge_claim(CASE, "adjoint_rhs", claim)
    assert not judgement.ok
    assert says in judgement.says
    assert "test_court.py:" in judgement.where


def test_a_claim_that_changes_its_argument_is_reported_with_the_line_that_does():
    def claim(a, g):
        a += g
        return a

    judgement = judge_claim(CASE, "jump", claim)
    assert "changes its argument a" in judgement.says
    assert judgement.where.endswith("a += g")


def test_a_gradient_that_claims_nothing_is_reported():
    judgement = judge_claim(CASE, "gradient", lambda f, z0, ts, theta, zs_bar: (None, None, None))
    assert "returned None for all three parts" in judgement.says


def test_a_wrong_leaf_of_theta_is_named():
    judgement = judge_claim(CASE, "theta_integrand", lambda t, z, a, theta: (1.0, 1.0, np.zeros(3), 1.0))
    assert "for the integrand by theta[2], expected ()" in judgement.says


def relu_field(t, z, W):
    return np.maximum(W @ z, 0.1 * z) - z + np.sin(t)


def test_a_field_with_kinks_is_not_the_users_failure():
    W = np.array([[0.4, -1.2], [0.9, 0.3]])

    def rhs(t, z, a, W):
        on = (W @ z > 0.1 * z)[:, None]
        return -a @ (np.where(on, W, 0.1 * np.eye(2)) - np.eye(2))

    claims = {"adjoint_rhs": rhs, "gradient": gradient(0)}
    verdict = ne.court(relu_field, [0.7, -0.4], (0.0, 0.6, 1.3), W, claims=claims, trial=False)
    assert verdict.ok, str(verdict)
    assert "the field has kinks" in str(verdict)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"claims": {"adjiont": print}}, "claims: got 'adjiont', expected one of adjoint_rhs"),
        ({"f": symmetric, "theta": 1.0}, "z0: got None"),
        ({"f": symmetric, "z0": [0.5, 0.2], "ts": [0.0, 1.0, 0.5], "theta": 1.0}, "ts: got"),
        ({"f": lambda t, z: z**2, "z0": [2.0, 1.0]}, "does not reach"),
        ({"loss": lambda zs: zs, "claims": {"gradient": print}}, "loss: got shape"),
        ({"loss": lambda zs: (np.sum(zs**2), zs), "claims": {"gradient": print}}, "not that of its value"),
    ],
)
def test_a_problem_that_cannot_be_used_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        ne.court(**arguments, trial=False)


def test_a_key_may_go_on_after_its_kind():
    assert kind_of("gradient 2") == "gradient"


@pytest.mark.parametrize(
    "loss",
    [
        lambda zs: np.sum(np.abs(zs[1:]) ** 3),  # abs takes no complex step: differences
        lambda zs: np.sum((zs[1:] ** 2) ** 1.5),
        lambda zs: (np.sum(np.abs(zs[1:]) ** 3), np.concatenate([0 * zs[:1], 3 * zs[1:] * np.abs(zs[1:])])),
    ],
)
def test_a_loss_of_ones_own_takes_the_place_of_the_built_in_one(loss):
    case = Case(V(), loss)
    expected = 3 * case.path.zs * np.abs(case.path.zs) * (np.arange(4) > 0)[:, None]
    np.testing.assert_allclose(case.g, expected, rtol=1e-8, atol=1e-8)  # of extrapolated differences


# ---------------------------------------------------------------- the trial


def made_up_trial(off):
    values = [1.0, 1.0 + 1e-9, 1.0 + off]
    routes = [Route(n, (np.ones(1) * x,) * 3, 10, 0, 0.1) for n, x in zip("abc", values, strict=True)]
    errors = np.array([[abs(x - y) / y for y in values] for x in values])
    return Trial(tuple(routes), {}, {}, np.array([errors] * 3), 1e-5)


@pytest.mark.parametrize(
    ("off", "ok", "sentence"),
    [
        (1e-8, True, "dL/dz0: all 3 routes agree to 1e-08."),
        (0.5, False, "2 of 3 routes agree to 1e-09; off: c by 5e-01."),
    ],
)
def test_a_trial_closes_with_a_sentence_that_names_what_is_off(off, ok, sentence):
    trial = made_up_trial(off)
    assert trial.ok == ok
    assert sentence in trial.sentence(0)


def test_the_figure_shows_every_pair():
    figure = draw(made_up_trial(0.5))
    assert [len(axes.texts) for axes in figure.axes[:3]] == [6, 6, 6]


def test_every_kind_of_claim_is_in_the_docstring():
    rows = [line.split()[0] for line in ne.court.__doc__.splitlines() if ") -> " in line and line.startswith("    ")]
    assert set(KINDS) <= set(rows)
