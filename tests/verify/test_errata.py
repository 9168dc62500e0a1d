"""The errata: each printed form misses, each right one holds, and the page says what is measured."""

import json
import re
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from nodeedu import cli
from nodeedu.verify.errata import Bounds, Orders, Values, command, errata, gallery, judge, page, report
from nodeedu.verify.errata.erratum import cases

PAGE = (Path(__file__).parents[2] / "tutorials" / "errata.md").read_text(encoding="utf-8")
ROWS = PAGE.splitlines()
ROW = re.compile(r"^\| (?!quantity)[^|-].*\|$")  # of numbers
QUICK = "blog-scalar-layer"  # takes no time


@cache
def trials(id, quick):
    """Judge the first problem of each test, or all the others."""
    erratum = errata()[id]
    return [judge(erratum, test, case) for test, case in cases(erratum) if (case is test.problems[0]) == quick]


def others(id):
    return any(len(test.problems) > 1 for test in errata()[id].tests)


@pytest.mark.parametrize("id", errata())
def test_the_printed_form_misses_and_the_right_one_holds(id):
    for trial in trials(id, quick=True):
        assert trial.ok, report.measured(trial)


@pytest.mark.parametrize("id", errata())
def test_the_page_says_what_is_measured(id):
    assert {page.row(trial) for trial in trials(id, quick=True)} <= set(ROWS)


@pytest.mark.slow
@pytest.mark.parametrize("id", [id for id in errata() if others(id)])
def test_the_printed_form_misses_and_the_right_one_holds_on_the_network(id):
    for trial in trials(id, quick=False):
        assert trial.ok, report.measured(trial)


def test_the_page_is_the_generated_one_but_for_its_numbers():
    # `python -m nodeedu.verify.errata.page tutorials/errata.md` writes it anew.
    assert [row for row in ROWS if not ROW.match(row)] == page.text({}).splitlines()


@pytest.mark.slow
def test_the_page_is_the_generated_one():
    found = {id: [judge(erratum, test, case) for test, case in cases(erratum)] for id, erratum in errata().items()}
    assert page.text(found).splitlines() == ROWS


def test_each_source_has_its_entries():
    counts = {module.__name__.split(".")[-1]: len(module.ERRATA) for module in gallery.modules()}
    assert counts == {
        "mogren": 11, "drozdyuk": 6, "garcia": 8, "blog": 4, "lenze_rothe": 5, "chen": 6, "copied": 4,
    }  # fmt: skip
    assert sum(counts.values()) == len(errata())  # no id twice


# ---------------------------------------------------------------- what is told apart


def test_forms_in_each_others_place_are_found_out():
    erratum = errata()[QUICK]
    (test,) = erratum.tests
    assert not judge(erratum, replace(test, printed=test.right, right=test.printed), test.problems[0]).ok


@pytest.mark.parametrize(
    ("test", "ok"),
    [
        (Values("", lambda _: 1.02, lambda _: 1.0, lambda _: 1.0, ("x",)), True),
        (Values("", lambda _: 1.005, lambda _: 1.0, lambda _: 1.0, ("x",)), False),
        (Values("", lambda _: np.nan, lambda _: 1.0, lambda _: 1.0, ("x",)), False),
        (Values("", lambda _: np.ones(2), lambda _: 1.0, lambda _: 1.0, ("x",)), False),  # another shape
        (Values("", lambda _: 2.0, lambda _: 1 + 1e-7, lambda _: 1.0, ("x",)), False),
        (Orders("", lambda _, h: h, lambda _, h: h**2, 2, 2, ("x",)), True),
        (Orders("", lambda _, h: h**2, lambda _, h: h**2, 2, 2, ("x",)), False),
        (Orders("", lambda _, h: h, lambda _, h: h, 2, 2, ("x",)), False),
        (Orders("", lambda _, h: h, lambda _, h: h, np.inf, 1, ("x",)), True),
        (Orders("", lambda _, h: h / 100, lambda _, h: h, np.inf, 1, ("x",)), False),
        (Bounds("", lambda _: 1.5, lambda _: 0.9, ("x",)), True),
        (Bounds("", lambda _: 1.0, lambda _: 0.9, ("x",)), False),
    ],
)
def test_a_trial_shows_an_erratum_only_if_one_form_misses_and_the_other_holds(test, ok):
    assert judge(errata()[QUICK], test, "x").ok is ok


# ---------------------------------------------------------------- the command


@pytest.fixture
def two_errata(monkeypatch):
    """Let there be two quick errata, the second of which is none."""
    good = errata()[QUICK]
    (test,) = good.tests
    none = replace(good, id="none", tests=(replace(test, printed=test.right),))
    monkeypatch.setattr(command, "errata", lambda: {QUICK: good, "none": none})
    monkeypatch.setattr(command, "select", lambda id=None: [good, none] if id is None else [none])


def test_the_table_has_a_line_for_each_and_fails_if_one_is_not_shown(two_errata, capsys):
    assert cli.main(["errata"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[1:3]] == [["PASS", QUICK], ["FAIL", "none"]]
    assert lines[-1].startswith("2 errata, 1 not shown.")


def test_the_label_of_one_that_is_not_shown_fails(two_errata, capsys):
    assert cli.main(["errata", "none"]) == 1
    assert capsys.readouterr().out.rstrip().endswith("The erratum is not shown.")


def test_the_label_holds_all_that_is_known(capsys):
    assert cli.main(["errata", QUICK]) == 0
    words = " ".join(capsys.readouterr().out.split())
    erratum = errata()[QUICK]
    for text in (erratum.source, erratum.printed, erratum.right, erratum.why, erratum.reference, erratum.settings):
        assert text in words


def test_json_holds_the_measurements(capsys):
    assert cli.main(["errata", QUICK, "--json"]) == 0
    (entry,) = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)  # no NaN, no Infinity
    assert [(trial["problem"], trial["printed"], trial["right"]) for trial in entry["trials"]] == [
        ("V", 0.5, 0.0),
        ("M", pytest.approx(2 / 3), 0.0),
    ]


def test_an_unknown_id_is_refused_with_the_nearest(capsys):
    assert cli.main(["errata", "mogren-adjoint"]) == 2
    assert "did you mean 'mogren-adjoint-sign'?" in capsys.readouterr().err
