"""The gradient court on twenty problems and the two of the chapters: every slip on every one, and right claims."""

import pytest
from court_claims import every_kind, rightly_judged
from court_problems import PROBLEMS, case

from nodeedu.verify.court.case import Case
from nodeedu.verify.court.mistakes import mistakes
from nodeedu.verify.court.verdict import judge_claim
from nodeedu.verify.standard_problems import M, V

SOLVES = ("gradient", "log_p", "log_p_rate_fixed", "lagrange", "discrete_backward")  # slow to compute in plain Python

pytestmark = pytest.mark.slow


def judged(problem, kept):
    """Return (kind, bug, judgement) of the claims that are kept."""
    return [
        (kind, bug, judge_claim(problem, kind, claim))
        for i, (kind, bug, claim) in enumerate(every_kind(problem))
        if kept(i, kind, bug)
    ]


def wrongly(found):
    return [f"{kind} {bug}: {j}" for kind, bug, j in found if not rightly_judged(j, bug)]


def test_every_mistake_is_named_on_van_der_pols_oscillator():
    found = judged(Case(V()), lambda *_: True)
    assert wrongly(found) == []
    assert {bug for _, bug, _ in found} >= set(range(1, 54)) - {15}  # z0 is an array here: see test_court.py
    assert all(judgement.numbers == (bug,) for _, bug, judgement in found if bug)


def test_every_mistake_is_named_on_the_network():
    assert wrongly(judged(Case(M()), lambda *_: True)) == []


@pytest.mark.parametrize("name", PROBLEMS)
def test_slips_are_named_and_right_claims_pass_on(name):
    shift = list(PROBLEMS).index(name)  # of the slow ones, a quarter on each problem: every one on five
    found = judged(case(name), lambda i, kind, bug: kind not in SOLVES or bug == 0 or (i + shift) % 4 == 0)
    assert wrongly(found) == []


def test_every_mistake_but_one_is_tried():
    tried = {bug for kind, bug, _ in every_kind(Case(V()))}
    assert set(mistakes()) - tried == {15}
