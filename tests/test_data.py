"""The shipped data sets load, say what they are, and hold the published numbers."""

import numpy as np
import pytest

from nodeedu import data

ROWS = {
    "alpha_pinene": 9,
    "coffee_cooling": 24,
    "indometh": 66,
    "lynx_1821_1934": 114,
    "lynx_hare_1900_1920": 21,
    "mauna_loa_co2_weekly": 2284,
    "mnist_1k": 1000,
    "old_faithful": 272,
    "quakes_fiji": 1000,
    "sunspots_yearly": 309,
    "theoph": 132,
    "uci_digits_8x8": 1797,
}


def test_all_data_sets_are_listed_with_their_published_lengths():
    assert {name: len(data.load(name)) for name in data.names()} == ROWS


@pytest.mark.parametrize("name", data.names())
def test_every_data_set_names_its_source_licence_and_units(name):
    dataset = data.load(name)
    assert dataset.description
    assert dataset.source
    assert dataset.licence
    assert list(dataset.units) == list(dataset.columns)


@pytest.mark.parametrize("name", data.names())
def test_all_columns_of_a_data_set_have_one_length(name):
    assert {len(column) for column in data.load(name).columns.values()} == {len(data.load(name))}


@pytest.mark.parametrize("name", data.names())
def test_columns_cannot_be_written_to(name):
    for column in data.load(name).columns.values():
        with pytest.raises(ValueError, match="read-only"):
            column[0] = column[1]


def test_every_data_set_stands_in_the_table_of_provenance():
    table = (data.path("theoph").parent / "PROVENANCE.md").read_text(encoding="utf-8")
    assert [name for name in data.names() if f"`{data.path(name).name}`" not in table] == []


def test_lynx_and_hare_peak_in_the_published_years():
    dataset = data.load("lynx_hare_1900_1920")
    assert dataset["year"][np.argmax(dataset["hare"])] == 1903
    assert dataset["year"][np.argmax(dataset["lynx"])] == 1904
    # The means are published to two decimals.
    assert dataset["hare"].mean() == pytest.approx(34.08, abs=0.005)
    assert dataset["lynx"].mean() == pytest.approx(20.17, abs=0.005)


def test_the_published_rates_of_alpha_pinene_leave_the_published_residual():
    # Pinene turns into dipentene (k1) and alloocimene (k2), which turns into pyronene (k3) and, reversibly, into its
    # dimer (k4, k5). At these rates the sum of squared residuals is 19.872 (Dolan, More & Munson 2004, COPS 3.0).
    from scipy.linalg import expm

    dataset = data.load("alpha_pinene")
    k1, k2, k3, k4, k5 = 5.926e-5, 2.963e-5, 2.047e-5, 27.45e-5, 3.998e-5
    K = np.array([
        [-k1 - k2, 0, 0, 0, 0],
        [k1, 0, 0, 0, 0],
        [k2, 0, -k3 - k4, 0, k5],
        [0, 0, k3, 0, 0],
        [0, 0, k4, 0, -k5],
    ])  # fmt: skip
    z = np.column_stack([dataset[name] for name in list(dataset.columns)[1:]])
    fit = np.array([expm(K * t) @ z[0] for t in dataset["t_min"]])
    # The rates are known to four digits, and the residual is stationary there: it moves by less than 1e-3.
    assert np.sum((fit - z) ** 2) == pytest.approx(19.872, abs=1e-3)


def test_missing_weeks_at_mauna_loa_are_nan_and_dates_are_dates():
    dataset = data.load("mauna_loa_co2_weekly")
    assert np.isnan(dataset["co2_ppm"]).sum() == 59
    assert dataset["date"][0] == np.datetime64("1958-03-29")
    assert np.all(np.diff(dataset["date"]) == np.timedelta64(7, "D"))


def test_theophylline_holds_eleven_times_for_each_of_twelve_subjects():
    subjects, counts = np.unique(data.load("theoph")["Subject"], return_counts=True)
    assert len(subjects) == 12
    assert set(counts) == {11}


@pytest.mark.parametrize(("name", "shape", "brightest"), [("mnist_1k", (28, 28), 255), ("uci_digits_8x8", (8, 8), 16)])
def test_digit_images_have_their_published_size_and_grey_levels(name, shape, brightest):
    images = data.load(name)["images"]
    assert images.shape[1:] == shape
    assert images.max() == brightest


def test_the_small_mnist_holds_a_hundred_of_each_digit():
    np.testing.assert_array_equal(np.bincount(data.load("mnist_1k")["labels"]), np.full(10, 100))


def test_path_leads_to_the_file():
    assert data.path("lynx_hare_1900_1920").read_text(encoding="utf-8").startswith("# description: Pelts")


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="unknown data set 'iris'.*lynx_hare_1900_1920.*theoph"):
        data.load("iris")


def test_an_unknown_column_is_refused_with_the_known_ones():
    with pytest.raises(KeyError, match="no column 'fox'.*year, hare, lynx"):
        data.load("lynx_hare_1900_1920")["fox"]
