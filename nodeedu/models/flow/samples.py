"""What a flow is trained on: points to fit, points to watch it by, and points that are held out to the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import data
from ...fitting import DataError
from ...flows import densities
from ...flows.real_data import RealData, dequantise, standardise
from .points import read_points

TRAIN, WATCHED, HELD_OUT = 100_000, 2_000, 10_000  # points drawn from a generator
# Generators are seeded apart from each other: no point that judges was fitted.
SEED_WATCHED, SEED_HELD_OUT = 1_000_001, 1_000_002
SHARE_WATCHED, SHARE_HELD_OUT = 0.15, 0.2  # of real data
FEWEST = 20  # points of real data
GENERATED = {name.replace("8g", "8-g"): name for name in densities.DATA_SETS}  # words have hyphens here
REAL = {
    "old-faithful": ("old_faithful", {"eruptions": "minutes", "waiting": "minutes"}),
    "fiji": ("quakes_fiji", {"long": "degrees east", "lat": "degrees north"}),
}
LEVELS = 17  # grey values 0 ... 16 of the digits


@dataclass(frozen=True, eq=False)
class Samples:
    """Points of D dimensions in three parts.

    Parameters
    ----------
    name : str
        What the command line calls them, or the name of a file.
    columns : tuple of str
        Names of the D coordinates.
    units : mapping from str to str
    train : array (n, D)
        To be fitted.
    watched : array (m, D)
        Looked at during training: the parameters that are kept are the best on these.
    held_out : array (k, D)
        Looked at once, at the end.
    levels : int
        Where not 0, values are integers 0 ... levels − 1, and noise is added to them (`nodeedu.flows.dequantise`).
    generated : bool
        Whether a generator drew them.
    entropy : float, optional
        Of the generator, in nats, where it is known.
    log_prob : callable, optional
        Log density of the generator (k, D) -> (k,), where it is known.
    """

    name: str
    columns: tuple[str, ...]
    units: Mapping[str, str]
    train: NDArray[Any]
    watched: NDArray[Any]
    held_out: NDArray[Any]
    levels: int = 0
    generated: bool = False
    entropy: float | None = None
    log_prob: Callable[[NDArray[Any]], NDArray[Any]] | None = field(default=None, repr=False)

    @property
    def dim(self) -> int:
        """D."""
        return int(self.train.shape[1])

    def batch(self, n: int, seed: int, step: int) -> NDArray[Any]:
        """Draw n points (n, D) of those to be fitted, the same for the same seed and step."""
        rng = np.random.default_rng([seed, step])
        return self.noisy(self.train[rng.integers(len(self.train), size=n)], rng)

    def noisy(self, y: NDArray[Any], seed: int | np.random.Generator) -> NDArray[Any]:
        """Return points with a density: integers get noise, other numbers stay as they are."""
        return dequantise(y, seed) if self.levels else y

    def coordinates(self) -> RealData:
        """Coordinates in which the points to be fitted have mean 0 and deviation 1."""
        return standardise(self.name, self.columns, self.noisy(self.train, 0), self.levels or None)


def names() -> tuple[str, ...]:
    """Return what `named` knows."""
    return (*GENERATED, *REAL, "digits")


def named(name: str, seed: int) -> Samples:
    """Return points by name: drawn from a generator with a seed, or measured.

    Parameters
    ----------
    name : str
        One of `names()`.
    seed : int
        Of the points to be fitted, where they are drawn; points to judge by are the same for every seed.
    """
    if name in REAL:
        file, units = REAL[name]
        table = data.load(file)
        return split(name, tuple(units), units, np.stack([table[column] for column in units], axis=1))
    if name == "digits":
        images = data.load("uci_digits_8x8")["images"]
        columns = tuple(f"pixel{i}" for i in range(images[0].size))
        return split(name, columns, {}, images.reshape(len(images), -1).astype(np.float64), levels=LEVELS)
    source = densities.data_set(GENERATED[name])
    train, watched = source.sample(TRAIN, seed), source.sample(WATCHED, SEED_WATCHED)
    held_out = source.sample(HELD_OUT, SEED_HELD_OUT)
    about = {"generated": True, "entropy": source.entropy, "log_prob": source.log_prob}
    return Samples(name, ("x", "y"), {}, train, watched, held_out, **about)  # type: ignore[arg-type]


def from_file(path: Path) -> Samples:
    """Read points from a CSV file.

    Raises
    ------
    DataError
        If the file cannot be used; one line.
    """
    columns, x = read_points(path)
    if len(x) < FEWEST:
        raise DataError(f"{path}: got {len(x)} rows, expected at least {FEWEST}")
    if (constant := x.std(axis=0) == 0.0).any():
        name = columns[int(np.argmax(constant))]
        raise DataError(f"{path}, column {name}: got one value in all rows, expected values that differ")
    return split(path.stem, columns, {}, x)


def split(name: str, columns: tuple[str, ...], units: Mapping[str, str], x: NDArray[Any], levels: int = 0) -> Samples:
    """Cut measured points into the three parts, in an order that is the same for every run."""
    x = x[np.random.default_rng(0).permutation(len(x))]
    first = max(1, round(SHARE_HELD_OUT * len(x)))
    second = first + max(1, round(SHARE_WATCHED * len(x)))
    return Samples(name, columns, units, x[second:], x[first:second], x[:first], levels)
