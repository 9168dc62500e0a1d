"""The whole job: how rows are split, what is run, and that a real record is fitted better than by repeating it."""

import numpy as np
import pytest

from nodeedu import data
from nodeedu.fitting import DataError, Table, job, read_table
from nodeedu.fitting.gradient_check import ROUTES, GradientCheck


def rows(n):
    return Table("data.csv", "t", ("a",), np.arange(float(n)), np.ones((n, 1)), tuple(range(2, n + 2)))


@pytest.mark.parametrize(("n", "share", "fitted"), [(21, 0.25, 16), (5, 0.01, 4), (8, 0.5, 4), (100, 0.25, 75)])
def test_the_last_share_of_the_rows_is_held_out(n, share, fitted):
    assert job.split(rows(n), share) == fitted


def test_too_few_rows_are_refused():
    with pytest.raises(DataError, match=r"^data\.csv, line 5, column t: got 4 rows, of which 3 to be fitted"):
        job.split(rows(4), 0.25)


def test_the_shipped_record_is_fitted_to_1915_and_held_out_from_1916():
    table = read_table(data.path("lynx_hare_1900_1920"))
    n = job.split(table, 0.25)
    assert (table.t[n - 1], table.t[n]) == (1915, 1916)


@pytest.mark.parametrize("columns", [1, 3])  # two are fitted in the tests of the command
def test_a_table_of_any_width_is_fitted_and_drawn(noisy, columns, monkeypatch, tmp_path, capsys):
    # what takes thousands of solves has tests of its own; here it would be slow in plain Python
    monkeypatch.setattr(job, "check_gradient", lambda *_: GradientCheck(np.zeros((len(ROUTES),) * 2), 0, 0))
    monkeypatch.setattr(job, "fit_lotka_volterra", lambda *_: None)
    y, names = np.concatenate([noisy.y, noisy.y[:, :1] - 50.0], axis=1), ("a", "b", "c")
    table = Table("data.csv", "t", names[:columns], noisy.t, y[:, :columns], noisy.lines)
    job.write(job.run(table, 10, seed=0, steps=2), tmp_path)
    assert (tmp_path / "fit.png").stat().st_size > 5_000
    assert ("cannot oscillate" in capsys.readouterr().out) == (columns == 1)


@pytest.mark.slow
@pytest.mark.jit
@pytest.mark.parametrize("seed", range(5))
def test_the_neural_ode_beats_persistence_on_the_hold_out_of_the_lynx_hare_record(seed):
    table = read_table(data.path("lynx_hare_1900_1920"))
    outcome = job.run(table, job.split(table, 0.25), seed, steps=1800)
    assert outcome.errors["Neural ODE"].holdout < outcome.errors["persistence"].holdout
