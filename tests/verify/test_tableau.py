"""`nodeedu tableau`: what is right passes, what is wrong is named, and two routes to an order agree."""

import argparse
import contextlib
import io
import json
from functools import cache
from math import comb, sqrt
from pathlib import Path

import numpy as np
import pytest
from implicit_methods import IMPLICIT, implicit

from nodeedu import tableaus
from nodeedu.verify import ClaimedTableau, audit, find
from nodeedu.verify.tableau import command as verb
from nodeedu.verify.tableau.figure import draw
from nodeedu.verify.tableau.measured import AUTONOMOUS, PROBLEMS, SCALAR, measured_order
from nodeedu.verify.tableau.order import order_of, simplifying_assumptions, timed_trees

HERE = Path(__file__).parent
TSIT5_EMBEDDED = HERE / "tsit5_with_embedded_weights.json"
GAUSS_WRONG = HERE / "gauss_legendre4_wrong_node.json"


@cache
def audited(name_or_file):
    return audit(find(str(name_or_file)))


@cache
def audited_implicit(name):
    return audit(implicit(name))


def broken(found):
    return [claim.name for claim in found.claims if not claim.holds]


def evidence(found, name):
    return next(claim.evidence for claim in found.claims if claim.name == name)


def command(*argv):
    parser = argparse.ArgumentParser()
    verb.add_arguments(parser)
    return verb.run(parser.parse_args([str(arg) for arg in argv]))


# ---------------------------------------------------------------- verdicts


@pytest.mark.parametrize("name", tableaus.names())
def test_every_tableau_of_the_package_passes(name):
    assert broken(audited(name)) == []


@pytest.mark.parametrize("name", IMPLICIT)
def test_published_implicit_methods_pass(name):
    assert broken(audited_implicit(name)) == []


def test_tsit5_with_its_embedded_weights_is_flagged_as_of_order_four():
    found = audited(TSIT5_EMBEDDED)
    assert broken(found) == ["order", "measured order"]
    assert found.order.autonomous == found.order.non_autonomous == 4


def test_gauss_with_a_wrong_node_is_flagged_as_of_order_one_where_f_depends_on_t():
    found = audited(GAUSS_WRONG)
    assert broken(found) == ["nodes", "order", "measured order"]
    assert (found.order.autonomous, found.order.non_autonomous) == (4, 1)
    assert [condition.tree for condition in found.order.missed] == ["[c]"]


def test_the_wrong_node_shows_in_use_only_where_f_depends_on_t():
    measured = {each.problem: each.order for each in audited(GAUSS_WRONG).measured}
    # Orders 1 and 4 of methods with no small leading error are seen to 0.01; 0.1 is far from a whole order.
    assert measured[AUTONOMOUS.name] == pytest.approx(4, abs=0.1)
    assert measured[SCALAR.name] == pytest.approx(1, abs=0.1)


def test_nodes_that_are_not_row_sums_but_cost_no_order_pass():
    # Euler's method with f taken in the middle of the step: order 1 either way (Oliver, BIT 15 (1975) 226).
    found = audit(ClaimedTableau("euler", np.zeros((1, 1)), np.ones(1), np.full(1, 0.5), order=1))
    assert broken(found) == []
    assert "costs no order" in evidence(found, "nodes")


def test_an_order_above_the_claimed_one_is_no_pass():
    heun = find("heun")
    assert broken(audit(ClaimedTableau("heun", heun.A, heun.b, heun.c, order=1))) == ["order"]


def changed(name, **changes):
    ours = find(name)
    return audit(ClaimedTableau(**{key: getattr(ours, key) for key in ClaimedTableau.__dataclass_fields__} | changes))


def test_embedded_weights_that_repeat_the_weights_are_flagged():
    # The measured order is not too low: that it is too high, the trees say.
    assert broken(changed("dopri5", b_hat=find("dopri5").b)) == ["embedded order", "error estimate"]


def test_error_weights_given_as_embedded_weights_are_flagged_with_a_hint():
    found = changed("bosh3", b_hat=find("bosh3").b - find("bosh3").b_hat)
    assert broken(found) == ["embedded order", "measured embedded order"]
    assert "the weights sum to 0, as the weights e of an error do" in evidence(found, "embedded order")


def test_constants_with_too_few_digits_are_flagged_with_a_hint():
    found = changed("bosh3", b=find("bosh3").b.round(12), fsal=False, interpolant=None, interpolant_order=None)
    assert broken(found) == ["order"]
    assert "too few digits" in evidence(found, "order")


def test_a_false_claim_of_fsal_is_flagged():
    assert broken(changed("rk4", fsal=True)) == ["fsal"]


def test_a_dense_output_that_jumps_and_has_a_lower_order_is_flagged_by_each_route():
    P = find("bosh3").interpolant.copy()
    P[1, 1] += 0.1
    expected = ["dense output order", "measured dense output order", "dense output end"]
    assert broken(changed("bosh3", interpolant=P)) == expected


# ---------------------------------------------------------------- trees against measurement


def test_there_are_as_many_trees_with_two_kinds_of_leaves_as_the_euler_transform_says():
    # Forests of n vertices: choose, with repetition, branches of each size; of size 1 there is one more, the leaf in t.
    forests = [1]
    branches = [0, 2]
    for n in range(1, 8):
        total = [1] + [0] * n
        for size in range(1, n + 1):
            ways = [comb(branches[size] + k - 1, k) for k in range(n // size + 1)]
            total = [sum(ways[k] * total[m - k * size] for k in range(m // size + 1)) for m in range(n + 1)]
        forests.append(total[n])
        branches.append(total[n])
    assert [len(timed_trees(n)) for n in range(1, 9)] == forests


@pytest.mark.parametrize("array", ["A", "b", "c"])
@pytest.mark.parametrize("name", ["dopri5", "gauss4"])
def test_trees_and_measurement_agree_on_a_damaged_method(name, array):
    method = find(name) if name in tableaus.names() else implicit(name)
    arrays = {key: getattr(method, key).copy() for key in "Abc"}
    damaged = arrays[array]
    damaged[tuple(np.argwhere(damaged)[-1])] *= -1.5
    order = order_of(arrays["A"], arrays["c"], arrays["b"])
    scalar, autonomous, other = (measured_order(**arrays, problem=problem).order for problem in PROBLEMS)
    # Of 56 damaged methods, none was seen further than 0.25 from the order that the trees give.
    assert autonomous == pytest.approx(order.autonomous, abs=0.25)
    assert min(scalar, other) == pytest.approx(order.non_autonomous, abs=0.25)


@pytest.mark.parametrize(
    ("name", "norm"),
    [
        # Prince & Dormand, J. Comput. Appl. Math. 7 (1981) 67, give 3.99e-4 for the pair 5(4)7M.
        ("dopri5", 3.99e-4),
        # By hand: z' = z**k and its like leave b.c - 1/2 = 1/2 of one tree.
        ("euler", 0.5),
    ],
)
def test_the_principal_error_is_the_published_one(name, norm):
    assert audited(name).order.principal_error == pytest.approx(norm, rel=2e-3)  # three digits are printed


@pytest.mark.parametrize(
    ("name", "assumptions"),
    # Hairer & Wanner II, table IV.5.13: Gauss 2s, s, s; Radau IIA 2s-1, s, s-1; Lobatto IIIA 2s-2, s, s-2.
    [("gauss4", (4, 2, 2)), ("radau3", (3, 2, 1)), ("lobatto4", (4, 3, 1))],
)
def test_collocation_methods_meet_the_simplifying_assumptions_of_their_family(name, assumptions):
    method = implicit(name)
    assert simplifying_assumptions(method.A, method.b, method.c) == assumptions


# ---------------------------------------------------------------- the command


@pytest.fixture(scope="module")
def judged():
    """Exit code and output of the command on a method with a wrong node."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        return command(GAUSS_WRONG), out.getvalue().splitlines()


def test_the_exit_code_says_whether_all_claims_hold(judged, capsys):
    assert command("midpoint") == 0
    assert judged[0] == 1


def test_the_report_has_a_verdict_for_each_claim_and_ends_in_one_sentence(judged):
    _, lines = judged
    assert [line.split()[:2] for line in lines if line[:4] in ("PASS", "FAIL")] == [
        ["FAIL", "nodes"],
        ["FAIL", "order"],
        ["FAIL", "measured"],
    ]
    assert lines[-1].endswith("is not what it claims to be: 3 of 3 claims fail (nodes, order, measured order).")


def test_json_says_the_same_as_the_text(capsys):
    command(TSIT5_EMBEDDED, "--json")
    record = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)  # no NaN, no Infinity
    assert record["passed"] is False
    assert record["order"]["autonomous"] == 4
    assert [claim["holds"] for claim in record["claims"]] == [True, False, False]


def test_a_figure_is_written_where_asked_for(tmp_path, capsys):
    command("bosh3", "--figure", tmp_path / "new" / "stability.png")
    assert (tmp_path / "new" / "stability.png").stat().st_size > 20_000  # an empty figure has some 5 000 bytes


def test_the_figure_of_an_implicit_method_marks_the_poles():
    region = draw(audited_implicit("gauss4")).axes[0]
    poles = next(line for line in region.lines if line.get_label() == "poles of R")
    # The roots of 1 - z/2 + z**2/12.
    np.testing.assert_allclose(poles.get_xydata(), [[3, -sqrt(3)], [3, sqrt(3)]], atol=1e-12)
