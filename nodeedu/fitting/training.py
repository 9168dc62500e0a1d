"""Training: least squares through the solver, a horizon that grows, a weight decay chosen inside the data given.

    loss(z0, weights) = mean over observations of (z(s_i) − z_i)² + decay (‖W1‖² + ‖W2‖²)

Everything here is given the training rows and no others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..compile import VectorField
from ..nn import MLP, Adam, CosineDecay, mse, train
from ..sensitivity import gradients, odeint
from .coordinates import FEWEST, Coordinates, choose
from .errors import rms
from .model import ATOL, HIDDEN, RTOL, Model, neural_field
from .table import Table

LEARNING_RATE = 1e-2
MAX_NORM = 1.0  # gradients are clipped to it
# An oscillation fitted over its whole length at once tends to end in the mean of the data, a bad local minimum. The
# first rows are fitted first, a quarter of them, then a half, then three quarters: (share of the rows, of the steps).
HORIZONS = ((0.25, 1 / 6), (0.5, 1 / 6), (0.75, 1 / 6), (1.0, 1 / 2))
DECAYS = (1e-4, 1e-3, 1e-2)  # candidates of the weight decay
FALLBACK = 1e-3  # where there are too few rows to choose
INNER_TAIL = 0.2  # share of the training rows that choose between them

Say = Callable[[str], Any]


@dataclass(frozen=True)
class Choice:
    """How the weight decay was chosen.

    Parameters
    ----------
    decay : float
        The one with the smallest error on the inner tail.
    errors : dict of float to float
        Root mean square error on the inner tail of each candidate, in standard deviations; empty where there were too
        few observations to compare.
    tail : tuple of float
        First and last time of the inner tail.
    """

    decay: float
    errors: dict[float, float]
    tail: tuple[float, float]


def initial_theta(coordinates: Coordinates, table: Table, seed: int, scale: float = 0.1) -> dict[str, Any]:
    """Start of the training: the first observation of each column, and random weights of a slow field.

    Parameters
    ----------
    coordinates : Coordinates
    table : Table
        Each column has an observation.
    seed : int
    scale : float
        Factor on the last layer; a small one starts near dz/ds = 0.
    """
    z = coordinates.z(table.y)
    z0 = np.array([column[np.isfinite(column)][0] for column in z.T])
    return {"z0": z0, "weights": MLP((z0.size, HIDDEN, z0.size)).init(seed, scale=scale)}


def fit(table: Table, seed: int, steps: int, decay: float, progress: bool = True) -> Model:
    """Fit a Neural ODE to all rows of a table, the training rows.

    Parameters
    ----------
    table : Table
    seed : int
        Of the initial weights.
    steps : int
        Steps of Adam.
    decay : float
        Weight decay.
    progress : bool
        Whether to report on stderr.

    Raises
    ------
    KeyboardInterrupt
        Ctrl-C was pressed.
    """
    coordinates = choose(table)
    theta = initial_theta(coordinates, table, seed)
    field = neural_field(theta["weights"])
    s, z = coordinates.s(table.t), coordinates.z(table.y)

    def loss_and_gradient(theta: Any, step: int) -> tuple[float, Any]:
        n = _horizon(step / steps, z)
        loss, gradient = misfit(field, theta, s[:n], z[:n])
        for name in ("W1", "W2"):
            W = theta["weights"][name]
            gradient["weights"][name] = gradient["weights"][name] + 2.0 * decay * W
            loss += decay * float(np.sum(W**2))
        return loss, gradient

    last = round(HORIZONS[-1][1] * steps)
    falling = CosineDecay(LEARNING_RATE, max(last, 1))
    optimiser = Adam(lr=lambda step: falling(max(0, step - (steps - last))))
    result = train(loss_and_gradient, theta, optimiser, steps, max_norm=MAX_NORM, progress=progress)
    if result.interrupted:
        raise KeyboardInterrupt
    z0, weights = result.theta["z0"], result.theta["weights"]
    end = float(table.t[-1])
    return Model(table.time, table.columns, table.units, coordinates, z0, weights, end, end, seed)


def misfit(
    field: VectorField, theta: Any, s: NDArray[Any], z: NDArray[Any], rtol: float = RTOL, atol: float = ATOL
) -> tuple[float, dict[str, Any]]:
    """Mean squared error over the observed entries of z (n, D) at model times s, and its gradient."""
    solution = odeint(field, theta["z0"], s, theta["weights"], rtol=rtol, atol=atol)
    loss, zs_bar = mse(solution.zs, z)
    g = gradients(field, theta["z0"], s, theta["weights"], zs_bar, rtol=rtol, atol=atol, solution=solution)
    return loss, {"z0": g.z0, "weights": g.theta}


def choose_decay(table: Table, seed: int, steps: int, say: Say, progress: bool = True) -> Choice:
    """Choose the weight decay: fit the first training rows with each candidate, and compare on the inner tail.

    Parameters
    ----------
    table : Table
        The training rows; the hold-out is not among them.
    seed, steps
        As in `fit`.
    say : callable
        Takes a line of text on what is done.
    progress : bool
        Whether to report on stderr.
    """
    n = len(table.t) - max(1, round(INNER_TAIL * len(table.t)))
    head, t, y = table.head(n), table.t[n:], table.y[n:]
    tail = (float(t[0]), float(t[-1]))
    if (np.isfinite(head.y).sum(axis=0) < FEWEST).any() or not np.isfinite(y).any():
        return Choice(FALLBACK, {}, tail)
    errors = {}
    for decay in DECAYS:
        say(f"training up to {table.time} {head.t[-1]:g} with weight decay {decay:g}")
        model = fit(head, seed, steps, decay, progress)
        errors[decay] = rms(model.coordinates.z(model.predict(t)) - model.coordinates.z(y))
    return Choice(min(errors, key=lambda decay: errors[decay]), errors, tail)


def _horizon(done: float, z: NDArray[Any]) -> int:
    """Number of rows to fit when a share ``done`` of the steps is made: at least two, and one that is observed."""
    ends = np.cumsum([steps for _, steps in HORIZONS])
    stage = min(int(np.searchsorted(ends, done + 1e-9, side="right")), len(HORIZONS) - 1)
    share = HORIZONS[stage][0]
    n = max(2, int(np.ceil(share * len(z))))
    return max(n, int(np.argmax(np.isfinite(z).any(axis=1))) + 1)
