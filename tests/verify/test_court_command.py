"""`nodeedu check-gradient`, alias `court`: what it prints, what it returns, and what it refuses."""

import argparse

import pytest

from nodeedu import cli
from nodeedu.sensitivity.gradients import METHODS
from nodeedu.verify.court import command


@pytest.mark.jit  # ten thousands of evaluations
def test_all_methods_agree_on_the_built_in_problem(capsys, tmp_path):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    assert command.run(parser.parse_args(["--figure", str(tmp_path / "trial.png")])) == 0
    out = capsys.readouterr().out
    heading = next(i for i, line in enumerate(out.splitlines()) if line.endswith("nfev    bytes  peak kB      ms"))
    table = {line[3:15].strip(): line.split() for line in out.splitlines()[heading + 1 : heading + 11]}
    assert {*METHODS, "differences", "complex step", "SciPy"} == set(table)
    assert table["backsolve"][-3] == str(8 * 4 * 2)  # bytes of four states with D = 2
    assert out.count("routes agree") == 3
    assert out.rstrip().endswith("VERDICT: right")
    assert (tmp_path / "trial.png").exists()


@pytest.fixture
def here(monkeypatch, request):
    monkeypatch.chdir(request.path.parent)
    monkeypatch.syspath_prepend(str(request.path.parent))


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(("jump", "code"), [("right_jump", 0), ("wrong_jump", 1)])
@pytest.mark.parametrize("verb", ["check-gradient", "court"])
def test_the_command_judges_a_function_of_a_module(verb, jump, code, capsys):
    argv = [verb, "court_mine:oscillator", "--claims-only", "--claim", f"jump=court_mine:{jump}"]
    assert cli.main(argv) == code
    out = capsys.readouterr().out
    assert out.startswith("gradient court on oscillator: D = 2, 2 parameters, 4 times from 0.2 to 1.7")
    assert ("mistake 9, sign of the jump" in out) == bool(code)


REFUSED = {
    "court_mine": "expected MODULE:FUNCTION",
    "court_mein:f": "importing court_mein failed: No module named 'court_mein'",
    "court_mine:f": "court_mine has no 'f'",
    "court_mine:without_z0": "without the attribute z0",
    "court_mine:__name__": "which is no function",
    "court_mine:oscillator --claim jump": "expected KIND=MODULE:FUNCTION",
    "court_mine:oscillator --claims-only": "got no claims",
    "court_mine:oscillator --claims-only --figure x.png": "expected one of the two",
    "court_mine:oscillator --claim jmp=court_mine:right_jump": "got 'jmp', expected one of",
}


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(("text", "message"), REFUSED.items())
def test_the_command_refuses_what_it_cannot_use_in_a_line(text, message, capsys):
    assert cli.main(["check-gradient", *text.split()]) == 2
    assert message in capsys.readouterr().err
