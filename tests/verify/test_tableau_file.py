"""Files with foreign tableaus: every way of writing one that is allowed, and one line for what is not."""

import json
from math import sqrt
from pathlib import Path

import numpy as np
import pytest

from nodeedu.fitting import DataError
from nodeedu.verify import find, read

GAUSS_WRONG = Path(__file__).parent / "gauss_legendre4_wrong_node.json"
HEUN = {"A": [[0, 0], [1, 0]], "b": ["1/2", "1/2"], "c": [0, 1]}


def write(folder, **record):
    path = folder / "foreign.json"
    path.write_text(json.dumps(record))
    return path


@pytest.mark.parametrize("rows", [[[0, 0], [1, 0]], [[], [1]], [[1]], [[0], [1, 0]], [["0/3"], ["2 - 1", 0.0]]])
def test_rows_may_leave_out_zeros(rows, tmp_path):
    np.testing.assert_array_equal(read(write(tmp_path, **HEUN | {"A": rows})).A, [[0, 0], [1, 0]])


def test_text_is_computed_exactly(tmp_path):
    # Both would be off by a unit of round-off, if computed in floating point from left to right.
    path = write(tmp_path, A=[[0]], b=["1/10 + 2/10"], c=["1/49*49"])
    assert (read(path).b[0], read(path).c[0]) == (0.3, 1.0)
    assert read(GAUSS_WRONG).c[0] == 1 / 2 - sqrt(3) / 6


def test_error_weights_are_the_difference_of_the_weights(tmp_path):
    np.testing.assert_array_equal(read(write(tmp_path, **HEUN, e=["-1/2", "1/2"])).b_hat, [1, 0])


@pytest.mark.parametrize(
    ("record", "complaint"),
    [
        ({"b": "1"}, r"key b: got \"1\", expected a list of numbers"),
        ({"b": [0.5, "x"]}, r"key b\[1\]: got \"x\", expected a number up to 1e\+06 in size, or text such as"),
        ({"b": [0.5, True]}, r"key b\[1\]: got true, expected a number"),
        ({"b": [0.5, "1/0"]}, r"key b\[1\]: got \"1/0\", expected a number"),
        ({"b": [0.5, "9**9**9**9"]}, r"key b\[1\]: .*expected a number"),
        ({"b": [0.5, float("nan")]}, r"key b\[1\]: got NaN, expected a number"),
        ({"c": [0]}, r"key c: got \[0\], expected a list of 2 numbers"),
        ({"A": [[1, 2, 3]]}, r"key A: got rows of lengths \[3\], expected 2 rows of 2"),
        ({"A": 3}, r"key A: got 3, expected a list of rows"),
        ({"order": 2.5}, "key order: got 2.5, expected an integer from 1 to 11"),
        ({"embedded_order": 1}, "key embedded_order: got 1 without b_hat or e"),
        ({"b_hat": [1, 0], "e": [1, 0]}, "got b_hat and e, expected one of them"),
        ({"fsal": 1}, "key fsal: got 1, expected true or false"),
        ({"interpolant": [[1], [1, 2]]}, r"key interpolant: got rows of lengths \[1, 2\], expected 2 rows of equal"),
        ({"ordre": 2}, "got the unknown key 'ordre', expected one of A, b, c"),
        ({"name": "two\nlines"}, "key name: .* expected one line of text"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line_that_names_the_key(record, complaint, tmp_path):
    path = write(tmp_path, **HEUN | record)
    with pytest.raises(DataError, match=complaint) as error:
        read(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", "1" * 5000, "[" * 100_000, '{"A": [[0]], "b": [1]}'])
def test_a_file_without_a_tableau_is_refused(text, tmp_path):
    path = tmp_path / "foreign.json"
    path.write_text(text)
    with pytest.raises(DataError, match=r"foreign.json: got .*, expected .*A, b and c"):
        read(path)


@pytest.mark.parametrize("name", ["nowhere.json", "dopri", "."])
def test_what_is_neither_a_name_nor_a_file_is_refused(name):
    with pytest.raises(DataError, match="got .*, expected"):
        find(name)
