"""Reading CSV: what is accepted, and the one line that refuses everything else."""

import numpy as np
import pytest

from nodeedu import data
from nodeedu.fitting import DataError, read_table
from nodeedu.fitting.table import Table


def write(tmp_path, content):
    path = tmp_path / "data.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(tmp_path, content):
    return read_table(write(tmp_path, content), "data.csv")


def test_columns_times_and_values_are_read(tmp_path):
    table = read(tmp_path, "t,a,b\n0,1,2\n0.5,3,4\n")
    assert (table.time, table.columns) == ("t", ("a", "b"))
    np.testing.assert_array_equal(table.t, [0, 0.5])
    np.testing.assert_array_equal(table.y, [[1, 2], [3, 4]])


@pytest.mark.parametrize("cell", ["", " ", "NA", "na", "nan", "NaN", '""'])
def test_empty_na_and_nan_cells_are_missing(tmp_path, cell):
    table = read(tmp_path, f"t,a,b\n0,1,2\n1,{cell},4\n")
    np.testing.assert_array_equal(table.y, [[1, 2], [np.nan, 4]])


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbft,a\n0,1\n1,2\n",
        b"t,a\r\n0,1\r\n1,2\r\n",
        b"t,a\r0,1\r1,2",
        b'"t","a"\n"0","1"\n"1","2"\n',
        b" t , a \n 0 , 1 \n 1 , 2 \n",
        b"# comment, with, commas\nt,a\n\n0,1\n  # another\n1,2\n\n",
        b"t,a\n+0,1e0\n1.0,.2e1\n",
    ],
    ids=["byte-order mark", "Windows", "old Mac", "quotes", "blanks", "comments and empty lines", "number formats"],
)
def test_the_same_table_is_read_from_any_custom_of_writing_it(tmp_path, content):
    table = read(tmp_path, content)
    assert (table.time, table.columns, table.t.tolist(), table.y.tolist()) == ("t", ("a",), [0, 1], [[1], [2]])


def test_a_quoted_name_may_hold_a_comma(tmp_path):
    assert read(tmp_path, 't,"a, in mm"\n0,1\n').columns == ("a, in mm",)


def test_units_are_read_off_their_comment(tmp_path):
    table = read(tmp_path, "# units: t = day; a = mg/l\nt,a\n0,1\n")
    assert table.label("a") == "a (mg/l)"


def test_a_unit_that_only_repeats_the_name_is_not_shown():
    table = Table("f", "year", ("a",), np.zeros(1), np.zeros((1, 1)), (2,), {"year": "calendar year"})
    assert table.label("year") == "year"


@pytest.mark.parametrize("name", ["lynx_hare_1900_1920", "alpha_pinene", "sunspots_yearly"])
def test_shipped_tables_are_read_as_the_data_module_reads_them(name):
    dataset, table = data.load(name), read_table(data.path(name))
    np.testing.assert_array_equal(table.y, np.stack([dataset[column] for column in table.columns], axis=1))
    assert table.units == dict(dataset.units)


REFUSED = {
    "empty file": ("", "line 1, column 1: got no header, expected a line that names the columns, such as"),
    "comments only": ("# a\n# b\n", "line 1, column 1: got no header"),
    "header only": ("t,a\n", "line 2, column t: got no rows below the header, expected observations"),
    "no header": ("0,1\n1,2\n", "line 1, column 1: got the number 0, expected names"),
    "one column": ("t\n1\n", "line 1, column 1: got 't', expected names of at least two columns"),
    "semicolons": ("t;a\n0;1\n", "line 1, column 1: got 't;a', expected .* separated by commas"),
    "name twice": ("t,a,a\n0,1,2\n", "line 1, column a: got the name twice, expected different names"),
    "name missing": ("t,a,\n0,1,2\n", "line 1, column 3: got an empty name, expected a name for every column"),
    "short row": ("t,a,b\n0,1,2\n1,3\n", "line 3, column b: got 2 cells in the line, expected 3"),
    "long row": ("t,a\n0,1\n1,2,3\n", "line 3, column 3: got 3 cells in the line, expected 2"),
    "text": ("t,a\n0,1\n1,many\n", "line 3, column a: got 'many', expected a number or an empty cell"),
    "infinite": ("t,a\n0,inf\n", "line 2, column a: got 'inf', expected a number or an empty cell"),
    "overflow": ("t,a\n0,1e999\n", "line 2, column a: got '1e999', expected a number or an empty cell"),
    "huge": ("t,a\n0,1e200\n", "line 2, column a: got '1e200', expected .* below 1e.150 in magnitude"),
    "minus nan": ("t,a\n0,-nan\n", "line 2, column a: got '-nan', expected a number"),
    "underscore": ("t,a\n0,1_000\n", "line 2, column a: got '1_000', expected a number"),
    "decimal comma": ('t,a\n0,"1,5"\n', "line 2, column a: got '1,5', expected a number"),
    "no time": ("t,a\n,1\n", "line 2, column t: got '', expected a time"),
    "time nan": ("t,a\nnan,1\n", "line 2, column t: got 'nan', expected a time"),
    "date": ("t,a\n2024-01-01,1\n", "line 2, column t: got '2024-01-01', expected a time"),
    "repeated time": ("t,a\n0,1\n# x\n0,2\n", "line 4, column t: got 0 after 0, expected times that strictly increase"),
    "time goes back": (
        "t,a\n0,1\n2,1\n1,2\n",
        "line 4, column t: got 1 after 2, expected times that strictly increase",
    ),
    "open quote": ('t,a\n0,"1\n', "line 2, column 1: got a line that is not CSV"),
    "not UTF-8": (b"t,a\n0,1\n1,\xff\n", "line 3, column 1: got byte 0xff, expected text encoded in UTF-8"),
    "NUL": (b"t,a\n0,\x00\n", "line 2, column .*: got .*, expected"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_malformed_file_is_refused_in_one_line_that_names_the_place(tmp_path, case):
    content, expected = REFUSED[case]
    with pytest.raises(DataError, match=rf"^data\.csv, {expected}") as refused:
        read(tmp_path, content)
    assert "\n" not in str(refused.value)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(DataError, match="got no such file, expected a CSV file"):
        read_table(tmp_path / "none.csv")


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match="got a folder, expected a CSV file"):
        read_table(tmp_path)
