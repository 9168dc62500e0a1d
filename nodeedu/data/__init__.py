"""Small real data sets, each with its provenance: `names`, `load`, `path`.

Every file carries its own header of ``key: value`` lines (description, units, source, licence, caution): as comments
above the table of a CSV file, as the entry ``header`` of an npz file. PROVENANCE.md says how the numbers were checked.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Dataset", "load", "names", "path"]


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set; ``dataset["hare"]`` is a column.

    Parameters
    ----------
    name : str
        What `load` calls it.
    columns : mapping from str to array
        Read-only arrays of equal length: a number, a date (datetime64) or an image a row. Missing numbers are nan.
    units : mapping from str to str
        Unit of each column.
    description : str
        What was measured.
    source : str
        Where the numbers come from.
    licence : str
        Terms under which they are passed on.
    caution : str
        What a reader must know before trusting them; may be empty.
    """

    name: str
    columns: Mapping[str, NDArray[Any]]
    units: Mapping[str, str]
    description: str
    source: str
    licence: str
    caution: str = ""

    def __getitem__(self, column: str) -> NDArray[Any]:
        """Return a column, or raise KeyError with the names of those that exist."""
        if column not in self.columns:
            known = ", ".join(self.columns)
            raise KeyError(f"data set {self.name!r} has no column {column!r}: expected one of {known}")
        return self.columns[column]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(next(iter(self.columns.values())))


def names() -> tuple[str, ...]:
    """Return the names of the shipped data sets, in alphabetical order."""
    return tuple(sorted(_files()))


def path(name: str) -> Path:
    """Return the file of a data set.

    Parameters
    ----------
    name : str
        One of `names()`.

    Returns
    -------
    Path
        A CSV or an npz file. It belongs to the package: do not write to it.

    Raises
    ------
    ValueError
        If no data set has this name.
    """
    if name not in (files := _files()):
        raise ValueError(f"unknown data set {name!r}: expected one of {', '.join(names())}")
    return files[name]


def load(name: str) -> Dataset:
    """Read a data set.

    Parameters
    ----------
    name : str
        One of `names()`.

    Returns
    -------
    Dataset

    Raises
    ------
    ValueError
        If no data set has this name.
    """
    file = path(name)
    header, columns = _read_csv(file) if file.suffix == ".csv" else _read_npz(file)
    units = dict(entry.split(" = ", maxsplit=1) for entry in header.pop("units").split("; "))
    for column in columns.values():
        column.flags.writeable = False
    return Dataset(name=name, columns=MappingProxyType(columns), units=MappingProxyType(units), **header)


def _files() -> dict[str, Path]:
    folder = Path(str(resources.files(__name__)))
    return {file.stem: file for file in folder.iterdir() if file.suffix in (".csv", ".npz")}


def _parse_header(text: str) -> dict[str, str]:
    """Parse ``key: value`` lines; an indented line continues the one above."""
    unfolded = re.sub(r"\n\s+", " ", text)
    return dict(line.split(": ", maxsplit=1) for line in unfolded.splitlines())


def _read_csv(file: Path) -> tuple[dict[str, str], dict[str, NDArray[Any]]]:
    lines = file.read_text(encoding="utf-8").splitlines()
    comments = [line.removeprefix("# ") for line in lines if line.startswith("#")]
    first, *rows = csv.reader(line for line in lines if not line.startswith("#"))
    columns = {name: _column(cells) for name, cells in zip(first, zip(*rows, strict=True), strict=True)}
    return _parse_header("\n".join(comments)), columns


def _column(cells: tuple[str, ...]) -> NDArray[Any]:
    if re.fullmatch(r"\d{4}-\d\d-\d\d", cells[0]):
        return np.array(cells, dtype="datetime64[D]")
    return np.array([cell or "nan" for cell in cells], dtype=np.float64)


def _read_npz(file: Path) -> tuple[dict[str, str], dict[str, NDArray[Any]]]:
    with np.load(file) as archive:
        columns = {key: archive[key] for key in archive.files if key != "header"}
        return _parse_header(str(archive["header"])), columns
