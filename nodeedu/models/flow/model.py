"""The trained flow: an MLP as vector field in standardised coordinates. Its file holds all that its density needs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...compile import VectorField, vector_field
from ...fitting import DataError
from ...fitting.table import reason
from ...flows import CNF, rademacher
from ...flows.real_data import RealData
from ...nn import MLP, load_checkpoint, save_checkpoint

FORMAT = "nodeedu flow 1"
RTOL, ATOL = 1e-6, 1e-6  # when a density is reported; one unit of the state is one standard deviation of the data
EXACT_UP_TO = 16  # dimensions; beyond, the trace is estimated
PROBES = 4  # of the estimate, for each point: its error averages out over the points
ROWS = 4096  # points solved at once


@dataclass(frozen=True, eq=False)
class FlowModel:
    """A continuous normalising flow of points y (D,): an MLP carries x = T(y), of mean 0 and deviation 1, to noise.

        log p(y) = log N(z(0); 0, I) − ∫_0^1 tr ∂f/∂z dt + log |det ∂T/∂y|,     z(1) = T(y)

    Parameters
    ----------
    name : str
        Of the data.
    columns : tuple of str
        Names of the D coordinates.
    units : mapping from str to str
    levels : int
        Where not 0, data are integers 0 ... levels − 1, and y is such an integer plus noise from [0, 1).
    mean, scale : array (D,)
        Of T, see `nodeedu.flows.real_data.RealData`.
    weights : dict
        Parameters of the MLP with time: W1 (H, D + 1), b1 (H,), W2 (H, H), b2 (H,), W3 (D, H), b3 (D,).
    trace : str
        How it was trained: exact, hutchinson or flow-matching.
    seed : int
    """

    name: str
    columns: tuple[str, ...]
    units: Mapping[str, str]
    levels: int
    mean: NDArray[Any]
    scale: NDArray[Any]
    weights: dict[str, NDArray[Any]]
    trace: str
    seed: int

    @property
    def dim(self) -> int:
        """D."""
        return len(self.columns)

    @cached_property
    def flow(self) -> CNF:
        """The flow in standardised coordinates, as it is evaluated."""
        trace = "exact" if self.dim <= EXACT_UP_TO else "hutchinson"
        return CNF(neural_field(self.weights), trace=trace, rtol=RTOL, atol=ATOL)

    @cached_property
    def coordinates(self) -> RealData:
        """The map T and its way back."""
        none = np.empty((0, self.dim))
        return RealData(self.name, none, self.mean, self.scale, self.columns, self.levels or None)

    def log_prob(self, y: ArrayLike, weights: Any = None, probes: int = PROBES) -> NDArray[Any]:
        """Log density of points (n, D) in data units: (n,), in nats; with other weights than its own if given.

        Beyond `EXACT_UP_TO` dimensions it is Hutchinson's estimate, the mean over ``probes`` solves with one probe a
        point each; the noise is the same whenever it is called.

        Raises
        ------
        SolverError
            The solve fails.
        """
        x = self.coordinates.from_data(y)
        weights, found = self.weights if weights is None else weights, []
        for i in range(0, len(x), ROWS):
            piece = x[i : i + ROWS]
            if self.flow.trace == "exact":
                found.append(self.flow.log_prob(piece, weights))
                continue
            noises = (rademacher(piece.shape, np.random.default_rng([i, k])) for k in range(probes))
            found.append(np.mean([self.flow.log_prob(piece, weights, noise) for noise in noises], axis=0))
        return np.concatenate([*found, np.empty(0)]) + self.coordinates.log_det(x)

    def sample(self, n: int, seed: int) -> NDArray[Any]:
        """Draw n points (n, D) in data units."""
        base = self.flow.base.sample(n, seed)
        pieces = [self.flow.push(base[i : i + ROWS], self.weights) for i in range(0, n, ROWS)]
        return self.coordinates.to_data(np.concatenate(pieces))

    def label(self, i: int) -> str:
        """Name of a coordinate with its unit, where one is known."""
        unit = self.units.get(self.columns[i])
        return f"{self.columns[i]} ({unit})" if unit else self.columns[i]

    def save(self, path: str | Path) -> None:
        """Write the model to an npz file, which `load` reads without running any code from it."""
        content = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        save_checkpoint(path, content | {"model": FORMAT, "units": dict(self.units)})


def load(path: str | Path) -> FlowModel:
    """Read a model that `FlowModel.save` wrote.

    Raises
    ------
    DataError
        The file is missing, damaged or of another kind. One line.
    """
    wanted = "expected one that `nodeedu flow train` wrote"
    try:
        content = load_checkpoint(path)
    except OSError as error:
        raise DataError(f"{path}: got {reason(error)}, expected a model file, such as nodeedu-flow/model.npz") from None
    except ValueError:
        raise DataError(f"{path}: got a damaged or foreign file, {wanted}") from None
    try:
        if content.pop("model") != FORMAT:
            raise ValueError("of another version")
        model = FlowModel(**content)
        _check(model)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise DataError(f"{path}: got a file that holds no flow, {wanted}") from None
    return model


def _check(model: FlowModel) -> None:
    """Refuse arrays of the wrong shape or with entries that are not finite."""
    sizes = layer_sizes(model.weights)
    expected = MLP(sizes, time=True).init(0)
    if {k: v.shape for k, v in expected.items()} != {k: v.shape for k, v in model.weights.items()}:
        raise ValueError("wrong shapes")
    if any(v.shape != (model.dim,) for v in (model.mean, model.scale)) or {sizes[0], sizes[-1]} != {model.dim}:
        raise ValueError("wrong shapes")
    arrays = [model.mean, model.scale, *model.weights.values()]
    if not all(np.isfinite(x).all() for x in arrays) or not (model.scale > 0.0).all():
        raise ValueError("wrong values")


def layer_sizes(weights: Mapping[str, NDArray[Any]]) -> tuple[int, ...]:
    """Sizes of the layers of an MLP with time, from its weights."""
    depth = len(weights) // 2
    return (weights["W1"].shape[1] - 1, *(weights[f"W{i}"].shape[0] for i in range(1, depth + 1)))


def neural_field(weights: Mapping[str, NDArray[Any]]) -> VectorField:
    """Trace the MLP with time that has these weights."""
    sizes = layer_sizes(weights)
    return vector_field(MLP(sizes, time=True), np.zeros(sizes[0]), dict(weights))
