"""Persistence repeats; the Lotka-Volterra fit finds known rates."""

import numpy as np
import pytest

from nodeedu.autodiff.check import central_difference
from nodeedu.compile import vector_field
from nodeedu.errors import SolverError
from nodeedu.fitting import Table, baselines, coordinates


def swapped(table):
    columns = table.columns[::-1]
    return Table(table.file, table.time, columns, table.t, table.y[:, ::-1].copy(), table.lines, table.units)


def test_persistence_repeats_the_row_before_and_then_the_last_observation():
    y = np.array([[1.0, 5.0], [2.0, np.nan], [3.0, 7.0], [9.0, 9.0]])
    table = Table("f", "t", ("a", "b"), np.arange(4.0), y, (2, 3, 4, 5))
    expected = [[np.nan, np.nan], [1, 5], [2, 5], [3, 7], [3, 7]]
    np.testing.assert_array_equal(baselines.persistence(table.head(3), 5), expected)


@pytest.mark.jit  # in plain Python: 3 s; others run the same lines
def test_the_gradient_of_the_lotka_volterra_loss_is_that_of_differences(noisy, rates):
    table = noisy.head(6)
    loss_and_gradient = baselines._objective(
        vector_field(baselines.lotka_volterra, np.zeros(2), np.zeros(4)), table, coordinates.choose(table), prey=0
    )
    x = np.log([*rates, 40.0, 9.0]) + 0.1
    difference = central_difference(lambda x: loss_and_gradient(x)[0], x, levels=3)
    # solves to 1e-6 differ by some 1e-6 with their steps; the smallest h is 0.05
    np.testing.assert_allclose(loss_and_gradient(x)[1], difference.value, rtol=1e-3, atol=1e-4)


def test_rates_whose_solution_cannot_be_computed_are_a_bad_loss_and_no_error(exact, monkeypatch):
    def fail(*_, **__):
        raise SolverError("too many steps", t=0.0, method="dopri5", cause="max_steps")

    monkeypatch.setattr(baselines, "odeint", fail)
    loss_and_gradient = baselines._objective(None, exact, coordinates.choose(exact), prey=0)
    assert loss_and_gradient(np.zeros(6))[0] == baselines.BAD


@pytest.mark.jit
def test_lotka_volterra_finds_the_rates_that_made_the_data(exact, rates):
    fit = baselines.fit_lotka_volterra(exact, coordinates.choose(exact))
    np.testing.assert_allclose(np.exp(fit.theta), rates, rtol=1e-3)  # BFGS stops at a loss near 1e-8


@pytest.mark.jit
def test_lotka_volterra_finds_out_which_column_is_the_prey(exact):
    table = swapped(exact)
    fit = baselines.fit_lotka_volterra(table, coordinates.choose(table))
    assert fit.prey == 1
    np.testing.assert_allclose(fit.predict(table.t), table.y, rtol=1e-2)  # as the rates above


@pytest.mark.parametrize("columns", [1, 3])
def test_lotka_volterra_is_left_out_without_two_columns(exact, columns):
    y = exact.y[:, [0, 1, 1][:columns]]
    table = Table("f", "t", ("a", "b", "c")[:columns], exact.t, y, exact.lines)
    assert baselines.fit_lotka_volterra(table, coordinates.choose(table)) is None


def test_lotka_volterra_is_left_out_where_a_column_is_not_fitted_in_logarithms(exact):
    table = Table("f", "t", exact.columns, exact.t, exact.y - 50.0, exact.lines)
    assert baselines.fit_lotka_volterra(table, coordinates.choose(table)) is None
