"""The fitted model: an MLP as vector field in standardised coordinates. Its file holds all that a prediction needs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..compile import VectorField, vector_field
from ..nn import MLP, load_checkpoint, save_checkpoint
from ..sensitivity import odeint
from .coordinates import Coordinates
from .table import DataError, reason

FORMAT = "nodeedu fit 1"
HIDDEN = 20  # units of the one hidden layer: 102 parameters for two columns
RTOL, ATOL = 1e-6, 1e-8  # far below the scatter of any data; one unit of the state is one standard deviation


@dataclass(frozen=True, eq=False)
class Model:
    """A Neural ODE dz/ds = MLP(z), z(0) = z0, and the coordinates z, s that it lives in.

    Parameters
    ----------
    time, columns, units
        Names and units, as in `Table`.
    coordinates : Coordinates
    z0 : array (D,)
        State at the first time.
    weights : dict
        Parameters of the MLP: W1 (H, D), b1 (H,), W2 (D, H), b2 (D,).
    t_train, t_last : float
        Last training time and last time of the data.
    seed : int
        Of the initial weights.
    """

    time: str
    columns: tuple[str, ...]
    units: Mapping[str, str]
    coordinates: Coordinates
    z0: NDArray[Any]
    weights: dict[str, NDArray[Any]]
    t_train: float
    t_last: float
    seed: int

    @cached_property
    def field(self) -> VectorField:
        """The vector field dz/ds."""
        return neural_field(self.weights)

    def predict(self, t: ArrayLike) -> NDArray[Any]:
        """Solve the ODE at times t (T,), in data units; returns states (T, D) in data units.

        Times come in any order, repeated or not.

        Raises
        ------
        DataError
            A time is not finite, or before the first one of the data.
        SolverError
            The solve fails.
        """
        return solve(self.field, self.z0, self.weights, self.coordinates, t)

    def save(self, path: str | Path) -> None:
        """Write the model to an npz file, which `load` reads without running any code from it."""
        content = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        content |= {"model": FORMAT, "units": dict(self.units), "coordinates": dataclasses.asdict(self.coordinates)}
        save_checkpoint(path, content)


def load(path: str | Path) -> Model:
    """Read a model that `Model.save` wrote.

    Raises
    ------
    DataError
        The file is missing, damaged or of another kind. One line.
    """
    try:
        content = load_checkpoint(path)
    except OSError as error:
        raise DataError(f"{path}: got {reason(error)}, expected a model file, such as nodeedu-fit/model.npz") from None
    except ValueError:
        raise DataError(f"{path}: got a damaged or foreign file, expected one that `nodeedu fit` wrote") from None
    try:
        if content.pop("model") != FORMAT:
            raise ValueError("of another version")
        model = Model(**content | {"coordinates": Coordinates(**content["coordinates"])})
        _check(model)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise DataError(f"{path}: got a file that holds no model, expected one that `nodeedu fit` wrote") from None
    return model


def _check(model: Model) -> None:
    """Refuse arrays of the wrong shape or with entries that are not finite."""
    c, w, size = model.coordinates, model.weights, len(model.columns)
    shapes = {"W1": (HIDDEN, size), "b1": (HIDDEN,), "W2": (size, HIDDEN), "b2": (size,)}
    vectors = (c.log, c.centre, c.scale, model.z0)
    if {key: value.shape for key, value in w.items()} != shapes or any(v.shape != (size,) for v in vectors):
        raise ValueError("wrong shapes")
    numbers: list[Any] = [c.t0, c.rate, model.t_train, model.t_last, *vectors, *w.values()]
    if not all(np.isfinite(x).all() for x in numbers) or c.log.dtype != bool:
        raise ValueError("wrong values")


def neural_field(weights: dict[str, NDArray[Any]]) -> VectorField:
    """Trace the MLP that has these weights."""
    hidden, size = weights["W1"].shape
    return vector_field(MLP((size, hidden, size)), np.zeros(size), weights)


def solve(field: VectorField, z0: NDArray[Any], theta: Any, coordinates: Coordinates, t: ArrayLike) -> NDArray[Any]:
    """Solve a field from the first time of the data; returns the states (T, D) at times t, both in data units."""
    times, inverse = np.unique(np.asarray(t, np.float64), return_inverse=True)
    s = coordinates.s(times)
    if not (s >= 0.0).all() or np.isinf(s).any():
        bad = times[~((s >= 0.0) & (s < np.inf))][0]
        raise DataError(f"times: got {bad:.17g}, expected finite times from {coordinates.t0:.17g} on")
    start = np.unique([0.0, *s])  # the state is known at the first time of the data, asked for or not
    zs = odeint(field, z0, start, theta, rtol=RTOL, atol=ATOL).zs
    return coordinates.y(zs[np.searchsorted(start, s)])[inverse]
