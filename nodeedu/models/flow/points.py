"""Reading points from a CSV file: a header, then one point a row; every refusal is one line that says where."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...fitting import DataError
from ...fitting.table import LARGEST, reason, refusal


def read_points(path: Path) -> tuple[tuple[str, ...], NDArray[Any]]:
    """Read points from a CSV file: UTF-8, ``#`` begins a comment, the first other line names the columns.

    Parameters
    ----------
    path : Path

    Returns
    -------
    columns : tuple of str
        Names of the D columns.
    x : array (n, D)

    Raises
    ------
    DataError
        The file is missing or malformed, or a cell is empty or no finite number. One line:
        ``FILE, line N, column NAME: got ..., expected ...``.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:  # ValueError: not UTF-8, or a NUL in the path
        raise DataError(f"{path}: got {reason(error)}, expected a CSV file in UTF-8") from None
    names: tuple[str, ...] = ()
    rows = []
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        cells = [cell.strip() for cell in next(csv.reader([line], skipinitialspace=True))]
        if names:
            rows.append(_row(cells, names, str(path), number))
        else:
            names = _header(cells, str(path), number)
    if not rows:
        raise DataError(f"{path}: got no rows, expected a header and one point a row")
    return names, np.array(rows, np.float64)


def _header(cells: list[str], file: str, number: int) -> tuple[str, ...]:
    if any(not name or _value(name) is not None for name in cells):
        raise refusal(file, number, "1", "no header", "a line that names the columns, such as x,y")
    if len(set(cells)) < len(cells):
        raise refusal(file, number, "1", "a name twice", "different names")
    return tuple(cells)


def _row(cells: list[str], names: tuple[str, ...], file: str, number: int) -> list[float]:
    if len(cells) != len(names):
        raise refusal(file, number, names[min(len(cells), len(names)) - 1], f"{len(cells)} cells", f"{len(names)}")
    values = [_value(cell) for cell in cells]
    for name, cell, value in zip(names, cells, values, strict=True):
        if value is None or not abs(value) <= LARGEST:
            raise refusal(file, number, name, repr(cell), "a finite number; a flow cannot fit points that miss one")
    return [value for value in values if value is not None]


def _value(cell: str) -> float | None:
    try:
        return float(cell) if "_" not in cell else None
    except ValueError:
        return None if cell.lower() not in ("na", "nan") else math.nan
