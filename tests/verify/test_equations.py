"""The ledger of equations: each holds, and every mutant of its right side is caught."""

import numpy as np
import pytest

import nodeedu as ne
from nodeedu.autodiff import relative_error
from nodeedu.verify.equations import ledger, mutation
from nodeedu.verify.standard_problems import M, V

LABELS = list(ledger.equations())


@pytest.mark.parametrize("label", LABELS)
def test_equation_holds_on_van_der_pols_oscillator(label):
    (finding,) = ledger.check(V(), [label])
    assert finding.ok, ledger.row(finding)


@pytest.mark.slow
@pytest.mark.parametrize("label", LABELS)
def test_equation_holds_on_the_network(label):
    (finding,) = ledger.check(M(), [label])
    assert finding.ok, ledger.row(finding)


def caught_and_survivors():
    caught, survivors = 0, []
    for module in ledger.modules():
        for mutant in mutation.mutants(module):
            try:
                if mutation.survives(mutant, (V(), M())):
                    survivors.append(f"{mutant.equation.label} {mutant.change}")
                else:
                    caught += 1
            except mutation.NotAMutant:
                pass
    return caught, survivors


@pytest.mark.slow
def test_at_least_95_percent_of_all_mutants_are_caught():
    caught, survivors = caught_and_survivors()
    assert caught >= 0.95 * (caught + len(survivors)), survivors


def test_a_wrong_sign_in_the_adjoint_equation_fails():
    (limits,) = [module for module in ledger.modules() if module.__name__.endswith("b_limits")]
    (mutant,) = [m for m in mutation.mutants(limits) if m.equation.label == "b6" and "sign" in m.change]
    assert not mutation.survives(mutant, (V(),))


def test_labels_are_unique():
    labels = [equation.label for module in ledger.modules() for equation in module.EQUATIONS]
    assert len(set(labels)) == len(labels)


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
    from nodeedu.verify.problem import make_problem

    problem = make_problem(lambda t, z, k: np.maximum(k * z, 0.1 * z) - z**3 + t, [0.4, -1.3], np.array(1.5))
    # Extrapolated differences leave 1e-11.
    np.testing.assert_allclose(problem.J_by_steps(0.3, problem.z0), problem.J(0.3, problem.z0), atol=1e-9)
