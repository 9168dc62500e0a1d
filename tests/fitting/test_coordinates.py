"""The coordinates of a fit follow fixed rules from the rows that are fitted."""

import numpy as np
import pytest

from nodeedu import data
from nodeedu.fitting import DataError, Table, read_table
from nodeedu.fitting.coordinates import choose


def table(y, t=None):
    y = np.array(y, float).reshape(len(y), -1)
    t = np.arange(len(y)) if t is None else t
    names = tuple(f"y{i}" for i in range(y.shape[1]))
    return Table("data.csv", "t", names, np.array(t, float), y, tuple(range(2, 2 + len(y))))


@pytest.mark.parametrize(
    ("y", "log"),
    [([1, 2, 3], True), ([1, 2, 2.9], False), ([0, 2, 3], False), ([-1, 2, 9], False), ([1, np.nan, 2, 3], True)],
)
def test_a_column_goes_in_logarithms_if_positive_with_a_threefold_range(y, log):
    assert choose(table(y)).log.tolist() == [log]


def test_fitted_values_have_mean_zero_and_standard_deviation_one():
    rows = table(np.random.default_rng(0).lognormal(size=(30, 2)))
    z = choose(rows).z(rows.y)
    # rounding of sums of 30 numbers of size 1
    np.testing.assert_allclose([z.mean(axis=0), z.std(axis=0)], [[0, 0], [1, 1]], atol=1e-13)


def test_states_lead_back_to_data_values():
    rows = table([[1, -5], [2, 3], [7, 1], [4, np.nan]])
    c = choose(rows)
    np.testing.assert_allclose(c.y(c.z(rows.y)), rows.y, rtol=1e-14)  # exp of log: a few roundings


def test_a_column_travels_one_standard_deviation_in_a_unit_of_model_time():
    rows = table([0, 2, 0, 2], t=[0, 1, 2, 5])  # three steps of two standard deviations in five units of time
    assert choose(rows).rate == pytest.approx(6 / 5)


def test_a_constant_column_keeps_its_unit():
    c = choose(table([3, 3, 3]))
    assert (c.scale.tolist(), c.rate) == ([1.0], 0.5)


def test_a_value_without_logarithm_is_missing_in_the_state():
    assert np.isnan(choose(table([1, 2, 3])).z(np.array([[-1.0]]))).all()


def test_too_few_observations_are_refused_by_name_of_the_column():
    with pytest.raises(
        DataError, match=r"^data\.csv, line 4, column y0: got 2 observed values .*, expected at least 3"
    ):
        choose(table([1, np.nan, 3]))


def test_both_columns_of_the_lynx_hare_record_are_fitted_in_logarithms():
    assert choose(read_table(data.path("lynx_hare_1900_1920")).head(16)).log.tolist() == [True, True]
