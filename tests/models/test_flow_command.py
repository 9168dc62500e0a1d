"""`nodeedu flow`: what is refused and how, and what is printed and written."""

import argparse
import csv
import io

import numpy as np
import pytest

from nodeedu.fitting import DataError
from nodeedu.models.flow import command, figure
from nodeedu.models.flow.model import load


def flow(*argv):
    parser = argparse.ArgumentParser("nodeedu flow")
    command.add_arguments(parser)
    return command.run(parser.parse_args([str(arg) for arg in argv]))


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["train", "three-moons"], "invalid choice: 'three-moons'"),
        (["train", "two-moons", "--trace", "guess"], "invalid choice: 'guess'"),
        (["train", "two-moons", "--steps", "0"], "got '0', expected an integer from 1 on"),
        (["density", "model.npz", "--grid", "1"], "got '1', expected an integer from 2 to 1000"),
        ([], "required: train|sample|density"),
    ],
)
def test_a_wrong_argument_is_refused_with_exit_code_2(argv, text, capsys):
    with pytest.raises(SystemExit) as stop:
        flow(*argv)
    assert stop.value.code == 2
    assert text in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("", "got no rows"),
        ("1,2\n3,4\n", "line 1, column 1: got no header"),
        ("x,y\n1,2\n3\n", "line 3, column x: got 1 cells, expected 2"),
        ("x,y\n1,2\n3,\n", "line 3, column y: got '', expected a finite number"),
        ("x,y\n1,nan\n", "line 2, column y: got 'nan', expected a finite number"),
        ("x,y\n" + "1,2\n" * 19, "got 19 rows, expected at least 20"),
        ("x,y\n" + "".join(f"1,{i}\n" for i in range(30)), "column x: got one value in all rows"),
    ],
)
def test_bad_points_are_one_line_that_says_where(content, text, tmp_path):
    (tmp_path / "points.csv").write_text(content)
    with pytest.raises(DataError, match=text) as error:
        flow("train", "--data", tmp_path / "points.csv", "--out", tmp_path / "out")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("argv", "got"), [(["train"], "neither"), (["train", "fiji", "--data", "x.csv"], "both")])
def test_data_come_from_a_name_or_a_file(argv, got):
    with pytest.raises(DataError, match=f"got {got} of NAME and --data"):
        flow(*argv)


@pytest.mark.jit  # in plain Python: 12 s; others run the same lines
def test_points_become_a_model_samples_and_densities(samples, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(figure, "GRID", 15)  # plain Python would need minutes for the usual one
    monkeypatch.setattr(figure, "DOTS", 30)
    rows = "\n".join(f"{a},{b}" for a, b in samples.train)
    (tmp_path / "points.csv").write_text(f"# two columns\na,b\n{rows}\n")
    out = tmp_path / "out"
    for _ in range(2):
        assert flow("train", "--data", tmp_path / "points.csv", "--out", out, "--steps", 2, "--width", 4) == 0
    assert "mixture of" in capsys.readouterr().out
    # the first run's files were renamed, and nothing is left of unfinished runs
    assert sorted(path.name for path in out.iterdir()) == ["flow.1.png", "flow.png", "model.1.npz", "model.npz"]

    flow("sample", out / "model.npz", "-n", 5, "--seed", 1)
    header, *points = csv.reader(io.StringIO(capsys.readouterr().out))
    assert (header, len(points)) == (["a", "b"], 5)

    flow("density", out / "model.npz", "--grid", 12)
    header, *table = csv.reader(io.StringIO(capsys.readouterr().out))
    grid = np.array(table, float)
    assert (header, len(grid)) == (["a", "b", "log_p"], 144)
    # the places are printed to eight digits
    np.testing.assert_allclose(load(out / "model.npz").log_prob(grid[:, :2]), grid[:, 2], rtol=1e-5, atol=1e-5)
    assert (out / "density.png").stat().st_size > 10_000


def test_what_is_no_model_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"got no such file, expected a model file"):
        flow("sample", tmp_path / "model.npz")
