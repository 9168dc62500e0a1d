"""`nodeedu cuda selfcheck`: a report of everything that can be checked, whatever is missing."""

import argparse
import json

import numpy as np
import pytest

from nodeedu.cuda import command, selfcheck
from nodeedu.cuda.device import SIMULATOR
from nodeedu.cuda.registry import Budget, Launch, Row


def double(numbers):
    """A kernel, in plain Python: it needs no device."""
    numbers *= 2


class Anywhere:
    """A kernel that runs where it is called."""

    def __getitem__(self, grid):
        return double


def row(expected, name="double"):
    def launch(real, target):
        numbers = np.ones(3, real)
        return Launch(Anywhere(), 1, 3, (numbers,), {"numbers": numbers})

    return Row(name, "doubles numbers", launch, lambda real: {"numbers": np.full(3, expected, real)}, Budget(8, 8))


@pytest.fixture
def checked(monkeypatch):
    """The command on two rows, on a machine without GPU and without what proofs need."""
    monkeypatch.setattr(selfcheck, "rows", lambda: (row(2.0), row(3.0, "wrong")))
    monkeypatch.setattr(selfcheck, "gpu_missing", lambda: "there is no GPU")
    monkeypatch.setattr("nodeedu.cuda.proof.missing", lambda: ["gcc: not found"])

    def run(*words):
        parser = argparse.ArgumentParser()
        command.add_arguments(parser)
        return command.run(parser.parse_args(["selfcheck", *words]))

    return run


def test_without_a_gpu_it_says_what_is_missing_and_checks_the_rest(checked, capsys):
    assert checked("--kernel", "double") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "GPU: there is no GPU"
    assert lines[1].startswith("PASS  simulator  double  float64")
    assert lines[2].startswith("SKIP  proof  all    skipped: gcc: not found")
    assert lines[3].startswith("PASS  finite differences  thread_discrete")
    assert lines[4] == "passed"


def test_the_report_is_json_with_versions_and_every_difference(checked, capsys):
    assert checked("--json") == 1  # the row called wrong
    report = json.loads(capsys.readouterr().out)
    assert report["versions"]["numpy"] == np.__version__
    assert report["missing"] == "there is no GPU"
    assert report["passed"] is False
    by_kernel = {check["kernel"]: check for check in report["checks"]}
    assert by_kernel["double"]["differences"] == {"numbers": 0.0}
    assert by_kernel["wrong"]["problem"] == "numbers differs by 3.33e-01"


def test_a_report_can_be_written_to_a_file(checked, tmp_path):
    path = tmp_path / "report.json"
    assert checked("--kernel", "double", "--json", str(path)) == 0
    assert json.loads(path.read_text("utf-8"))["passed"] is True


def test_a_kernel_that_does_not_exist_is_refused_with_the_names_of_those_that_do(checked, capsys):
    assert checked("--kernel", "triple") == 2
    assert capsys.readouterr().err.splitlines()[-1] == "kernel: got triple, expected some of double, wrong"


def test_a_kernel_that_cannot_be_launched_has_failed_and_the_others_go_on(checked, monkeypatch, capsys):
    def broken(real, target):
        raise OSError("no such device")

    rows = (Row("broken", "", broken, lambda real: {}, Budget(8, 8)), row(2.0))
    monkeypatch.setattr(selfcheck, "rows", lambda: rows)
    assert checked() == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("FAIL  simulator  broken  float64  OSError: no such device")
    assert lines[2].startswith("PASS  simulator  double")


def test_the_gradient_of_the_kernels_agrees_with_differences_of_the_forward_kernel():
    # fixed steps: no step size depends on the parameter; central differences with step 1e-5 err by about 1e-10
    assert selfcheck.difference_check(SIMULATOR)["differences"]["theta"] < 1e-8


@pytest.mark.gpu
@pytest.mark.parametrize("real", selfcheck.REALS)
def test_on_a_gpu_the_forward_kernel_reaches_a_share_of_its_ceiling(real):
    found = selfcheck.throughput(real)
    assert found["steps_per_second"] > 0
    assert found["share_of_ceiling"] is None or 0 < found["share_of_ceiling"] < 1
