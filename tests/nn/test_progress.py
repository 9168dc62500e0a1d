"""What a training run writes while it runs: on a terminal, into a file, and nowhere else."""

import io
import subprocess
import sys

import pytest
from bowl import bowl, run, start

from nodeedu import nn
from nodeedu.nn import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_log_file_gets_one_line_at_the_end(capsys):
    run(bowl, start(), nn.SGD(0.25), 4, progress=True)
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("4 of 4 steps, ")
    assert captured.err.endswith(", loss 33 -> 0.5156\n")


def test_nothing_is_written_to_stdout(capsys):
    run(bowl, start(), nn.SGD(0.25), 4, progress=True)
    assert capsys.readouterr().out == ""


def test_nothing_is_written_without_progress(capsys):
    run(bowl, start(), nn.SGD(0.25), 4, progress=False)
    assert capsys.readouterr() == ("", "")


def test_terminal_without_tqdm_gets_one_line_that_is_redrawn(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    monkeypatch.setattr("nodeedu.nn.progress._REDRAW", 0.0)
    run(bowl, start(), nn.SGD(0.25), 4, progress=True)
    text = terminal.getvalue()
    assert text.count("\n") == 1
    assert text.startswith("step 1 of 4, loss 33, about ")
    assert "\rstep 3 of 4, loss 2.062, about " in text
    assert "\r4 of 4 steps, " in text


def test_long_run_in_a_log_file_gets_lines_without_control_characters(monkeypatch, capsys):
    monkeypatch.setattr("nodeedu.nn.progress._LOG", 0.0)
    run(bowl, start(), nn.SGD(0.25), 4, progress=True)
    text = capsys.readouterr().err
    assert text.count("\n") == 5
    assert not set("\r\x1b") & set(text)


def test_terminal_with_tqdm_gets_its_bar(monkeypatch):
    steps = []

    class Bar:
        def __init__(self, total, initial, **options):
            assert options["file"] is sys.stderr
            steps.append((total, initial))

        def set_postfix_str(self, text, refresh):
            steps.append(text)

        def update(self, n):
            steps.append(n)

        def close(self):
            steps.append("closed")

    monkeypatch.setitem(sys.modules, "tqdm", type(sys)("tqdm"))
    monkeypatch.setattr("tqdm.tqdm", Bar, raising=False)
    monkeypatch.setattr(sys, "stderr", Terminal())
    run(bowl, start(), nn.SGD(0.25), 2, progress=True)
    assert steps == [(2, 0), "loss 33", 1, "loss 8.25", 1, "closed"]


@pytest.mark.parametrize(("seconds", "text"), [(3.21, "3.2 s"), (83.0, "1 min 23 s"), (7200.0 + 300.0, "2 h 5 min")])
def test_duration_is_told_in_units_of_its_size(seconds, text):
    assert progress.duration(seconds) == text


def test_process_without_stderr_trains(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    assert run(bowl, start(), nn.SGD(0.25), 4, progress=True).step == 4


def test_resumed_run_says_where_it_continues(tmp_path, capsys):
    run(bowl, start(), nn.SGD(0.25), 2, checkpoint=tmp_path / "run.npz")
    run(bowl, start(), nn.SGD(0.25), 4, checkpoint=tmp_path / "run.npz", resume=True, progress=True)
    assert "run.npz at step 2 of 4" in capsys.readouterr().err


def test_importing_nn_imports_numpy_and_nothing_heavier():
    script = (
        "import sys, nodeedu.nn; print(*sorted({'numba', 'scipy', 'matplotlib', 'tqdm', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == ""
