"""`nodeedu equations`: a line a step, exit codes, a field of the user's, and what is not the user's failure."""

import json
import re
import sys
from dataclasses import replace

import numpy as np
import pytest

from nodeedu.cli import main
from nodeedu.verify.equations import command, ledger

MODULE = """
import numpy as np

def pendulum(t, z, k):
    return np.stack([z[1], -k * np.sin(z[0]) + np.cos(t)])

pendulum.z0, pendulum.theta, pendulum.ts = [0.7, 0.1], np.array(1.1), [0.0, 1.2]

def bare(t, z, k):
    return -k * z

def half(t, z, k):
    return -k * z

half.z0 = [1.0]

def jumpy(t, z):
    return -z

jumpy.z0, jumpy.ts = [1.0, 2.0], [0.0, 1.0, 0.5]

def kinked(t, z):
    return -z + np.maximum(t, 0.755)

kinked.z0 = [1.0, 2.0]

def steep(t, z):
    return -80.0 * (z - np.cos(t))

steep.z0 = [1.0, 0.5]
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "my_fields.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    monkeypatch.delitem(sys.modules, "my_fields", raising=False)


def test_every_equation_is_a_line_that_begins_with_its_label(capsys):
    assert main(["equations", "--label", "b5", "--label", "g"]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] for line in lines] == [
        [label, field, "PASS"] for field in ("M", "V") for label in ("b5", "g1", "g2", "g3")
    ]
    assert last == "8 of 8 equations hold on M and V."


def test_a_failure_is_exit_code_1_and_is_named(capsys, monkeypatch):
    wrong = replace(ledger.equations()["g1"], rhs=lambda P, _: np.zeros(P.size + 1))
    monkeypatch.setattr(ledger, "select", lambda labels: [wrong, ledger.equations()["g2"]])
    assert main(["equations"]) == 1
    out = capsys.readouterr().out
    assert "g1   M    FAIL" in out
    assert out.endswith("2 of 4 equations hold on M and V; g1, g1 fail.\n")


def test_a_field_of_the_users_is_found_from_the_working_folder(folder, capsys):
    assert main(["equations", "--field", "my_fields:pendulum", "--label", "b5", "--label", "f4", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["label"] for row in found["equations"]] == ["b5", "f4"]
    assert {row["field"] for row in found["equations"]} == {"pendulum"}
    assert found["hold"] == found["of"] == 2
    assert abs(found["equations"][0]["observed_orders"][-1] - 2) < 0.15


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("bare", r"my_fields:bare has no attribute z0; .* bare.z0 = \["),
        ("half", "my_fields:half takes parameters and has no attribute theta; .* half.theta ="),
        ("jumpy", "my_fields:jumpy.ts: .* strictly monotone"),
        ("absent", "my_fields has no 'absent'"),
    ],
)
def test_what_is_missing_is_named_with_what_to_add(folder, capsys, field, message):
    assert main(["equations", "--field", f"my_fields:{field}"]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert re.search(message, err), err


def test_an_unknown_label_is_refused(capsys):
    assert main(["equations", "--label", "z9"]) == 2
    assert "--label: got 'z9', expected one of a1" in capsys.readouterr().err


def test_a_kink_is_a_warning_and_no_failure_of_the_user(folder, capsys):
    assert main(["equations", "--field", "my_fields:kinked", "--label", "a1", "--label", "a2"]) == 0
    first, a1, a2, last = capsys.readouterr().out.splitlines()
    assert first.startswith("warning: the field uses maximum,")
    assert a1.split()[2] == "PASS"
    assert a2.split()[2] == "WARN"
    assert last == "1 of 2 equations hold on kinked; a2 need not, as the field is outside their hypotheses."


def test_a_shortened_path_is_announced(folder, capsys):
    assert main(["equations", "--field", "my_fields:steep", "--label", "a4"]) == 0
    assert capsys.readouterr().out.startswith("note: of the path from t = 0.2 to 1.7 the part from 0.2 to 0.23")


def test_mutants_are_counted(capsys):
    assert main(["equations", "--label", "g1", "--mutants"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "6 of 6 mutants caught."


def test_two_times_become_four_and_many_are_thinned():
    assert list(command._times([0.0, 3.0], "f")) == [0.0, 1.0, 2.0, 3.0]
    assert list(command._times(np.arange(10.0), "f")) == [0.0, 3.0, 6.0, 9.0]


@pytest.mark.slow
def test_the_figure_has_a_panel_for_each_derivation_with_orders(tmp_path):
    path = tmp_path / "ledger.png"
    assert main(["equations", "--label", "b", "--label", "a1", "--figure", str(path)]) == 0
    assert path.stat().st_size > 10_000
