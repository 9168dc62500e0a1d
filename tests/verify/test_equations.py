"""The ledger of equations: each holds, and every mutant of its right side is caught."""

from dataclasses import replace

import numpy as np
import pytest

import nodeedu as ne
from nodeedu.autodiff import relative_error, transforms
from nodeedu.verify.equations import ledger, mutation
from nodeedu.verify.equations.equation import judge
from nodeedu.verify.problem import make_problem
from nodeedu.verify.standard_problems import M, V
from nodeedu.verify.walk import walker

LABELS = list(ledger.equations())
COSTLY = {  # half of the whole ledger's time
    *("c2", "c3", "c4", "c6", "d2", "d3", "d4a", "d4c", "d5", "e4", "e5", "e6", "f1", "f3"),
    *("h10", "h13", "i1", "k2", "k3", "l3a", "l3b", "l3c"),
}


@pytest.mark.parametrize("label", [pytest.param(x, marks=pytest.mark.slow) if x in COSTLY else x for x in LABELS])
def test_equation_holds_on_van_der_pols_oscillator(label):
    (finding,) = ledger.check(V(), [label])
    assert finding.sharp, ledger.row(finding)


@pytest.mark.slow
@pytest.mark.parametrize("label", LABELS)
def test_equation_holds_on_the_network(label):
    (finding,) = ledger.check(M(), [label])
    assert finding.sharp, ledger.row(finding)


@pytest.mark.slow
def test_all_mutants_are_caught():
    tally = mutation.tally(list(ledger.equations().values()), (V(), M()))
    assert tally.made > 1000
    assert tally.survivors == ()


FIELDS = {
    "linear without damping": (lambda t, z, w: np.stack([z[1], -w * z[0]]), [1.0, 0.3], np.array(2.0)),
    "one dimension": (lambda t, z, k: -k * z + np.sin(t), [1.0], np.array(1.3)),
    "no parameters": (lambda t, z: np.stack([z[1], -np.sin(z[0])]), [1.0, 0.2], None),
    "constant": (lambda t, z, c: c + 0.0 * z, [1.0, 2.0], np.array([0.3, -0.4])),
    "time alone": (lambda t, z, c: c * np.cos(t) + 0.0 * z, [1.0, 2.0], np.array([0.3, -0.4])),
    "steep": (lambda t, z, k: k * z**3 - 40.0 * z, [1.0, 2.0], np.array(0.5)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("ts", [(0.0, 0.5, 1.0, 2.0), (1.5, 1.0, 0.5, 0.0)], ids=["forwards", "backwards"])
def test_no_equation_fails_on_a_field_of_another_kind(name, ts):
    f, z0, theta = FIELDS[name]
    problem = ledger.within_reach(make_problem(f, z0, theta, ts))
    failed = [ledger.row(finding) for finding in ledger.check(problem) if finding.verdict == "FAIL"]
    assert failed == []


def test_a_wrong_sign_in_the_adjoint_equation_fails():
    (limits,) = [module for module in ledger.modules() if module.__name__.endswith("b_limits")]
    (mutant,) = [m for m in mutation.mutants(limits) if m.equation.label == "b6" and "sign" in m.change]
    assert not mutation.survives(mutant, (V(),))


def test_labels_are_unique():
    labels = [equation.label for module in ledger.modules() for equation in module.EQUATIONS]
    assert len(set(labels)) == len(labels)


def test_an_order_higher_than_claimed_holds_and_is_not_sharp():
    better = replace(ledger.equations()["b5"], order=1)
    finding = judge(better, V())
    assert finding.ok
    assert not finding.sharp


def test_a_bound_that_nothing_comes_near_fails():
    a8 = ledger.equations()["a8"]
    assert not judge(a8, V(), lambda P, N: 2 * a8.rhs(P, N)).ok


@pytest.mark.parametrize(
    ("label", "chosen"), [("b1", ["b1"]), ("k", ["k1", "k2", "k3"]), ("a7", ["a7a", "a7b", "a7c", "a7d"])]
)
def test_a_label_names_an_equation_its_parts_or_a_derivation(label, chosen):
    assert [equation.label for equation in ledger.select([label])] == chosen


def test_a_steep_path_is_shortened_and_keeps_its_shape():
    f, z0, theta = FIELDS["steep"]
    problem = make_problem(f, z0, theta)
    short = ledger.within_reach(problem)
    assert ledger.within_reach(V()) is V()
    assert short.ts[0] == problem.ts[0]
    assert 0.0 < short.ts[-1] - short.ts[0] < 0.2 * (problem.ts[-1] - problem.ts[0])
    np.testing.assert_allclose(np.diff(short.ts) / np.diff(problem.ts), np.ptp(short.ts) / np.ptp(problem.ts))


@pytest.mark.parametrize("make", [M, V])
def test_a_walked_tape_gives_the_numbers_of_its_evaluation(make):
    problem = make()
    tape = transforms.vjp(problem.field.tape)
    given = {"t": 0.4, "z": problem.z0, "dz_bar": np.cos(problem.z0)}
    theta = {role: x for role, x in ne.autodiff.structure.flatten(problem.theta)}
    got, expected = walker(tape, theta)(given), tape.evaluate({**given, **theta})
    assert got.keys() == expected.keys()
    for role, value in expected.items():  # BLAS may sum in another order
        np.testing.assert_allclose(got[role], value, rtol=1e-14, atol=1e-15)


def test_an_unknown_label_lists_the_known():
    with pytest.raises(ValueError, match="expected one of .*b5"):
        ledger.select(["z9"])


@pytest.mark.parametrize("make", [M, V])
def test_truth_agrees_with_the_discrete_gradient(make):
    problem, truth = make(), make().truth
    g = ne.gradients(
        problem.field, problem.z0, problem.ts, problem.theta, problem.loss_gradients(truth.zs), rtol=1e-11, atol=1e-13
    )
    # dopri5's interpolant, of order 4, stands between the solver and the inner observations: 1e-8 and not 1e-11.
    assert relative_error([g.z0, problem.flat(g.theta), g.ts], [truth.z0, truth.theta, truth.ts]) < 1e-8


def test_truth_needs_no_complex_arithmetic():
    problem = make_problem(lambda t, z, k: np.maximum(k * z, 0.1 * z) - z**3 + t, [0.4, -1.3], np.array(1.5))
    # Extrapolated differences leave 1e-11.
    np.testing.assert_allclose(problem.J_by_steps(0.3, problem.z0), problem.J(0.3, problem.z0), atol=1e-9)
