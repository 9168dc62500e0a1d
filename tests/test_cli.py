"""The command line: the list of verbs, what is refused and how, and one small fit from CSV to prediction."""

import csv
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import nodeedu
from nodeedu import cli
from nodeedu.fitting import fit_command

PREY = """\
# units: day = day; prey = g
day,prey,predator
0,40.5,9.1
0.5,56,11.2
1.25,62.1,24
2,38,40.3
2.5,24.6,
3.1,15,38.5
4,11.2,22.4
5,13.9,11
6,28.3,7.2
"""


@pytest.fixture
def csv_file(tmp_path):
    path = tmp_path / "prey.csv"
    path.write_text(PREY)
    return path


# ---------------------------------------------------------------- verbs


@pytest.mark.parametrize("argv", [[], ["--help"], ["-h"]])
def test_nodeedu_alone_lists_the_verbs_in_three_groups_and_what_to_try_next(argv, capsys):
    assert cli.main(argv) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line in ("learn", "check", "run")] == ["learn", "check", "run"]
    assert all(any(line.startswith(f"  nodeedu {verb.name} ") for line in lines) for verb in cli.VERBS)
    assert lines[-1] == "Next: nodeedu fit"


def test_every_verb_belongs_to_a_group():
    assert {verb.group for verb in cli.VERBS} <= set(cli.GROUPS)


@pytest.mark.parametrize("verb", [verb.name for verb in cli.VERBS])
def test_every_verb_has_help(verb, capsys):
    assert cli.main([verb, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"usage: nodeedu {verb}")


def test_the_version_is_printed(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"nodeedu {nodeedu.__version__}\n"


@pytest.mark.parametrize(("word", "hint"), [("fti", "did you mean 'fit'?"), ("xyz", "`nodeedu` alone lists the verbs")])
def test_an_unknown_verb_is_refused_with_a_hint(word, hint, capsys):
    assert cli.main([word]) == 2
    assert capsys.readouterr().err == f"nodeedu: got {word!r}, expected a verb: {hint}\n"


def test_listing_the_verbs_imports_nothing_heavy():
    code = (
        "import sys; from nodeedu.cli import main; main([]);"
        "print([m for m in ('numpy', 'numba', 'scipy', 'matplotlib') if m in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=_environment())
    assert ran.stdout.splitlines()[-1] == "[]"


def test_python_m_nodeedu_is_the_command():
    ran = subprocess.run([sys.executable, "-m", "nodeedu", "fti"], capture_output=True, text=True, env=_environment())
    assert (ran.returncode, ran.stdout) == (2, "")


def _environment():
    """Return the environment of a child that imports the package under test, installed or not."""
    return os.environ | {"PYTHONPATH": str(Path(nodeedu.__file__).parents[1])}


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["--seed", "-1"], "got '-1', expected an integer from 0 on"),
        (["--seed", "x"], "got 'x', expected an integer from 0 on"),
        (["--steps", "0"], "got '0', expected an integer from 1 on"),
        (["--holdout", "1"], "got '1', expected a number from 0.01 to 0.9"),
        (["--holdout", "nan"], "got 'nan', expected a number from 0.01 to 0.9"),
        (["--sede", "1"], "unrecognized arguments: --sede"),
    ],
)
def test_a_wrong_option_is_refused(argv, text, csv_file, capsys):
    assert cli.main(["fit", str(csv_file), *argv]) == 2
    assert text in capsys.readouterr().err


def test_a_malformed_file_is_one_line_on_stderr_exit_code_2_and_nothing_written(tmp_path, capsys):
    (tmp_path / "bad.csv").write_text("t,a\n0,1\n1,many\n")
    assert cli.main(["fit", str(tmp_path / "bad.csv"), "--out", str(tmp_path / "out")]) == 2
    expected = f"{tmp_path}/bad.csv, line 3, column a: got 'many', expected a number or an empty cell\n"
    assert capsys.readouterr() == ("", expected)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("t,a\n0,1\n1,2\n2,3\n", "line 4, column t: got 3 rows, of which 2 to be fitted .*, expected at least 4"),
        ("t,a,b\n0,1,\n1,2,\n2,3,\n3,4,\n4,5,1\n", "line 5, column b: got 0 observed values in the training rows"),
    ],
    ids=["few rows", "column without values"],
)
def test_too_little_data_is_refused_before_anything_is_trained(content, text, tmp_path, capsys):
    (tmp_path / "few.csv").write_text(content)
    assert cli.main(["fit", str(tmp_path / "few.csv"), "--out", str(tmp_path / "out")]) == 2
    *_, last = capsys.readouterr().err.splitlines()
    assert re.search(rf"few\.csv, {text}", last)
    assert not (tmp_path / "out").exists()


def test_an_output_folder_that_is_a_file_is_refused_before_training(csv_file, capsys):
    assert cli.main(["fit", str(csv_file), "--out", str(csv_file / "out")]) == 2
    assert "prey.csv is a file; expected a folder" in capsys.readouterr().err


@pytest.mark.parametrize("times", ["", "1,,2", "1,x", "nan", "1,inf"])
def test_times_that_are_no_numbers_are_refused(times, tmp_path, capsys):
    assert cli.main(["predict", str(tmp_path / "m.npz"), "--times", times]) == 2
    assert "expected finite numbers separated by commas" in capsys.readouterr().err


def test_a_missing_model_is_one_line_and_exit_code_2(tmp_path, capsys):
    assert cli.main(["predict", str(tmp_path / "none.npz"), "--times", "1"]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "none.npz: got no such file, expected a model file" in err


def test_ctrl_c_is_one_line_and_exit_code_130(csv_file, monkeypatch, capsys):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(fit_command, "require_folder", interrupt)
    assert cli.main(["fit", str(csv_file)]) == 130
    assert capsys.readouterr().err == "\nnodeedu: interrupted\n"


def test_a_failed_write_is_one_line_and_exit_code_1(csv_file, monkeypatch, capsys):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(fit_command, "require_folder", fail)
    assert cli.main(["fit", str(csv_file)]) == 1
    assert capsys.readouterr().err == "nodeedu fit: [Errno 28] No space left on device\n"


# ---------------------------------------------------------------- one small fit


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """Return the folder, exit code, stdout and stderr of one small fit."""
    folder = tmp_path_factory.mktemp("fit")
    (folder / "prey.csv").write_text(PREY)
    argv = ["fit", str(folder / "prey.csv"), "--out", str(folder / "out"), "--steps", "6", "--seed", "5"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", io.StringIO())
        patch.setattr(sys, "stderr", io.StringIO())
        code = cli.main(argv)
        return folder, code, sys.stdout.getvalue(), sys.stderr.getvalue()


@pytest.mark.jit
def test_a_fit_writes_a_model_and_a_figure_and_prints_their_paths(fitted):
    folder, code, out, _ = fitted
    assert code == 0
    for name in ("model.npz", "fit.png"):
        assert (folder / "out" / name).is_file()
        assert f"wrote {folder / 'out' / name}\n" in out


@pytest.mark.jit
def test_a_fit_says_first_what_it_compiles_and_where_that_is_kept(fitted):
    first = fitted[3].splitlines()[0]
    assert first.startswith("compiling the vector field, its derivatives and the solvers; kept in ")


@pytest.mark.jit
def test_a_fit_prints_its_seed(fitted):
    assert "seed         5\n" in fitted[2]


@pytest.mark.jit
def test_errors_stand_on_lines_with_the_words_train_and_hold_out(fitted):
    rows = {line.split("  ")[0]: line.split()[-3:] for line in fitted[2].splitlines() if ", " in line}
    labels = [
        f"{part}, {column}" for part in ("train", "hold-out") for column in ("all columns", "prey (g)", "predator")
    ]
    for label in labels:
        assert all(float(cell) > 0 for cell in rows[label])  # persistence, Lotka-Volterra ODE, Neural ODE


@pytest.mark.jit
def test_the_gradient_check_comes_before_the_training(fitted):
    out = fitted[2]
    assert out.index("All five routes agree") < out.index("weight decay")


def test_a_second_run_keeps_the_files_of_the_first_and_says_so(tmp_path, capsys):
    from nodeedu.fitting import job

    class Stub:
        model = type("M", (), {"save": staticmethod(lambda path: Path(path).write_text("new"))})

        @staticmethod
        def draw():
            from nodeedu import plot

            return plot.figure()[0]

    for name in ("model.npz", "model.1.npz", "fit.png"):
        (tmp_path / name).write_text(f"old {name}")
    job.write(Stub, tmp_path)
    assert (tmp_path / "model.2.npz").read_text() == "old model.npz"
    assert (tmp_path / "model.1.npz").read_text() == "old model.1.npz"
    assert (tmp_path / "fit.1.png").read_text() == "old fit.png"
    assert (tmp_path / "model.npz").read_text() == "new"
    assert f"kept  {tmp_path / 'model.2.npz'}, the model.npz of an earlier run" in capsys.readouterr().err


@pytest.mark.jit
def test_predictions_are_csv_in_data_units_at_the_times_asked_for(fitted, capsys):
    assert cli.main(["predict", str(fitted[0] / "out" / "model.npz"), "--times", "0,0.5,6,0"]) == 0
    out, err = capsys.readouterr()
    rows = list(csv.reader(io.StringIO(out)))
    assert rows[0] == ["day", "prey", "predator"]
    assert [row[0] for row in rows[1:]] == ["0", "0.5", "6", "0"]
    assert rows[1] == rows[4]
    assert np.isfinite(np.array(rows[1:], float)).all()
    assert err == ""


@pytest.mark.jit
def test_a_forecast_beyond_the_data_is_noted(fitted, capsys):
    cli.main(["predict", str(fitted[0] / "out" / "model.npz"), "--times", "7"])
    assert capsys.readouterr().err == "note: the data end at day 6; later times are forecasts\n"


@pytest.mark.jit
def test_a_time_before_the_data_is_refused(fitted, capsys):
    assert cli.main(["predict", str(fitted[0] / "out" / "model.npz"), "--times=-1,0"]) == 2
    assert capsys.readouterr().err == "times: got -1, expected finite times from 0 on\n"


@pytest.mark.jit
def test_a_time_that_no_solve_can_reach_is_refused(fitted, capsys):
    assert cli.main(["predict", str(fitted[0] / "out" / "model.npz"), "--times", "1e12"]) == 2
    assert re.fullmatch(r"times: got 1e\+12, but the solver gave up at .*; expected .*\n", capsys.readouterr().err)
