"""How far predictions are from the data, on the rows that were fitted and on those that were held out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .coordinates import Coordinates
from .table import Table


@dataclass(frozen=True, eq=False)
class Errors:
    """Root mean square errors over the observed entries; nan where there is none.

    Parameters
    ----------
    train, holdout : float
        Over all columns, in standard deviations of the training rows (of logarithms, for columns fitted in them).
    train_columns, holdout_columns : array (D,)
        In data units.
    """

    train: float
    holdout: float
    train_columns: NDArray[Any]
    holdout_columns: NDArray[Any]


def errors(table: Table, n_train: int, coordinates: Coordinates, predicted: NDArray[Any]) -> Errors:
    """Compare predictions (n, D) in data units with all rows of a table, of which the first n_train were fitted."""
    standard, plain = coordinates.z(predicted) - coordinates.z(table.y), predicted - table.y
    by_column = [np.array([rms(column) for column in part.T]) for part in (plain[:n_train], plain[n_train:])]
    return Errors(rms(standard[:n_train]), rms(standard[n_train:]), *by_column)


def rms(error: NDArray[Any]) -> float:
    """Root mean square over the entries that are finite; nan if there are none."""
    observed = error[np.isfinite(error)]
    return float(np.sqrt(np.mean(observed**2))) if observed.size else float("nan")
