"""Reading a CSV file: a time column, observed columns, missing values; every refusal is one line that says where.

    # units: year = calendar year; hare = thousand pelts        comments begin with #; this one, optional, gives units
    year,hare,lynx                                              the first other line names the columns
    1900,30.0,4.0                                               the first column is time, strictly increasing
    1901.5,,6.1                                                 empty, NA and nan cells are missing

UTF-8, with any line ends; cells may be quoted.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

MISSING = ("", "na", "nan")
LARGEST = 1e150  # squares of larger numbers overflow


class DataError(ValueError):
    """A data file, model file or list of times that cannot be used; the message is one line that says where and why."""


@dataclass(frozen=True, eq=False)
class Table:
    """Observations of D columns at n times.

    Parameters
    ----------
    file : str
        Where they were read, as messages name it.
    time : str
        Name of the time column.
    columns : tuple of str
        Names of the observed columns.
    t : array (n,)
        Strictly increasing times, in the file's own unit.
    y : array (n, D)
        Observed values in data units; nan where missing.
    lines : tuple of int
        Line of the file that each row stands in.
    units : mapping from str to str
        Units of the columns, where the file gives them.
    """

    file: str
    time: str
    columns: tuple[str, ...]
    t: NDArray[Any]
    y: NDArray[Any]
    lines: tuple[int, ...]
    units: Mapping[str, str] = field(default_factory=dict)

    def head(self, n: int) -> Table:
        """Return the first n rows: what is given the head of a table cannot peek at its tail."""
        return replace(self, t=self.t[:n], y=self.y[:n], lines=self.lines[:n])

    def label(self, column: str) -> str:
        """Name of a column with its unit, where one is known that says more than the name (year: calendar year)."""
        unit = self.units.get(column, column)
        return column if column in unit else f"{column} ({unit})"


def read_table(path: str | Path, name: str | None = None) -> Table:
    """Read observations from a CSV file.

    Parameters
    ----------
    path : str or Path
        UTF-8 text; ``#`` begins a comment line, the first other line is the header.
    name : str, optional
        What messages call the file; default: the path.

    Returns
    -------
    Table

    Raises
    ------
    DataError
        The file is missing or malformed. One line: ``FILE, line N, column NAME: got ..., expected ...``.
    """
    file = name or str(path)
    lines = _text(Path(path), file).split("\n")
    comments: list[str] = []
    names: list[str] = []
    records: list[tuple[int, list[str]]] = []
    for number, line in enumerate(lines, start=1):
        if line.lstrip().startswith("#"):
            comments.append(line.lstrip()[1:].removeprefix(" "))
        elif line.strip():
            cells = _cells(line, file, number)
            if names:
                records.append((number, cells))
            else:
                names = _header(cells, file, number)
    if not records:
        raise _nothing(file, len(lines), names)
    rows = [[*_row(cells, names, file, number)] for number, cells in records]
    values = np.array(rows, dtype=np.float64)
    numbers = tuple(number for number, _ in records)
    _check_increasing(values[:, 0], names[0], file, numbers)
    return Table(file, names[0], tuple(names[1:]), values[:, 0], values[:, 1:], numbers, _units(comments))


def refusal(file: str, line: int, column: str, got: str, expected: str) -> DataError:
    """Make the one-line error of a malformed file."""
    return DataError(f"{file}, line {line}, column {column}: got {got}, expected {expected}")


def reason(error: Exception) -> str:
    """Say in a few words what was found in place of a file."""
    known: dict[type[Exception], str] = {
        FileNotFoundError: "no such file",
        IsADirectoryError: "a folder",
        PermissionError: "no permission to read",
    }
    return known.get(type(error)) or getattr(error, "strerror", None) or str(error)


def _nothing(file: str, line: int, names: list[str]) -> DataError:
    """Make the error of a file without rows."""
    if not names:
        return refusal(file, 1, "1", "no header", "a line that names the columns, such as time,prey,predator")
    return refusal(file, line, names[0], "no rows below the header", "observations")


def _text(path: Path, file: str) -> str:
    """Read a file as text; a byte-order mark is dropped, and all line ends become newlines."""
    try:
        raw = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise DataError(f"{file}: got {reason(error)}, expected a CSV file") from None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise refusal(file, line, "1", f"byte 0x{raw[error.start]:02x}", "text encoded in UTF-8") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _units(comments: list[str]) -> dict[str, str]:
    """Read units off a comment ``# units: name = unit; name = unit``; an indented comment continues the one above."""
    unfolded = re.sub(r"\n\s+", " ", "\n".join(comments)).split("\n")
    text = "; ".join(line.removeprefix("units:") for line in unfolded if line.startswith("units:"))
    pairs = (entry.split("=", maxsplit=1) for entry in text.split(";") if "=" in entry)
    return {column.strip(): unit.strip() for column, unit in pairs}


def _cells(line: str, file: str, number: int) -> list[str]:
    """Split a line at its commas; quoted cells may hold commas, but no line ends."""
    try:
        return [cell.strip() for cell in next(csv.reader([line], strict=True, skipinitialspace=True))]
    except csv.Error as error:
        raise refusal(file, number, "1", f"a line that is not CSV ({error})", "quotes that close") from None


def _header(names: list[str], file: str, number: int) -> list[str]:
    """Check the names of the columns."""
    expected = "names of at least two columns, time first, separated by commas"
    if len(names) < 2:
        raise refusal(file, number, "1", repr(names[0]), expected)
    for i, name in enumerate(names):
        if not name:
            raise refusal(file, number, str(i + 1), "an empty name", "a name for every column")
        if name in names[:i]:
            raise refusal(file, number, name, "the name twice", "different names")
    if all(_is_number(name) for name in names):
        raise refusal(file, number, "1", f"the number {names[0]}", expected)
    return names


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _row(cells: list[str], names: list[str], file: str, number: int) -> Iterator[float]:
    """Read the numbers of a row, nan where missing."""
    if len(cells) != len(names):
        column = names[len(cells)] if len(cells) < len(names) else str(len(names) + 1)
        raise refusal(file, number, column, f"{len(cells)} cells in the line", f"{len(names)}")
    for cell, name in zip(cells, names, strict=True):
        if cell.lower() in MISSING and name != names[0]:
            yield math.nan
            continue
        value = float(cell) if _is_number(cell) and "_" not in cell else math.nan
        if not abs(value) <= LARGEST:  # nan, too
            what = "a time" if name == names[0] else "a number or an empty cell"
            limit = f" below {LARGEST:g} in magnitude" if math.isfinite(value) else ""
            raise refusal(file, number, name, repr(cell), what + limit)
        yield value


def _check_increasing(t: NDArray[Any], name: str, file: str, lines: tuple[int, ...]) -> None:
    """Refuse times that repeat or go back."""
    if (bad := np.flatnonzero(np.diff(t) <= 0)).size:
        i = int(bad[0]) + 1
        raise refusal(file, lines[i], name, f"{t[i]:.17g} after {t[i - 1]:.17g}", "times that strictly increase")
