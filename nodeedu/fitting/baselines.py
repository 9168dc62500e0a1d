"""What a Neural ODE has to beat: the last value, and three lines of ecology fitted by the same engine.

    du/dt = a u − b u v,    dv/dt = −c v + d u v        (Lotka 1925, Volterra 1926): u is eaten by v

In logarithms w = (log u, log v), so that u and v stay positive: dw/dt = (a − b exp(w_2), −c + d exp(w_1)).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..compile import VectorField, vector_field
from ..errors import SolverError
from ..nn import mse
from ..sensitivity import gradients, odeint
from .coordinates import Coordinates
from .model import ATOL, RTOL
from .table import Table

MAX_STEPS = 20_000  # of one solve: a start with wild rates is given up early
BAD = 1e12  # loss, in squared standard deviations, of parameters whose solution cannot be computed


def persistence(train: Table, n: int) -> NDArray[Any]:
    """Carry the last value forward.

    Parameters
    ----------
    train : Table
        The training rows.
    n : int
        Number of rows to predict, training rows included.

    Returns
    -------
    array (n, D)
        A training row is predicted by the last observation before it (the first one, nan, by none); every later row by
        the last training observation.
    """
    forward = np.full((n, train.y.shape[1]), np.nan)
    last = np.full(train.y.shape[1], np.nan)
    for i in range(n):
        forward[i] = last
        if i < len(train.t):
            last = np.where(np.isfinite(train.y[i]), train.y[i], last)
    return forward


@dataclass(frozen=True, eq=False)
class LotkaVolterra:
    """A fitted Lotka-Volterra system; the first column may be the prey or the predator.

    Parameters
    ----------
    field : VectorField
    prey : int
        Column of the prey.
    theta : array (4,)
        Logarithms of the rates a, b, c, d, per unit of time and of data.
    w0 : array (2,)
        Logarithms of both columns at the first time.
    t0 : float
    loss : float
        Mean squared error over the training observations, in squared standard deviations.
    """

    field: VectorField
    prey: int
    theta: NDArray[Any]
    w0: NDArray[Any]
    t0: float
    loss: float

    def predict(self, t: ArrayLike) -> NDArray[Any]:
        """Solve at increasing times t (T,) from the first one of the data on; states (T, 2) in data units."""
        times = np.unique([self.t0, *np.asarray(t, np.float64)])
        w = odeint(self.field, self.w0, times, self.theta, rtol=RTOL, atol=ATOL).zs
        return np.exp(w[np.searchsorted(times, t)])[:, _order(self.prey)]


def lotka_volterra(t: Any, w: Any, theta: Any) -> Any:
    """Vector field of log prey and log predator."""
    a, b, c, d = np.exp(theta)
    return a - b * np.exp(w[1]), d * np.exp(w[0]) - c


def fit_lotka_volterra(train: Table, coordinates: Coordinates) -> LotkaVolterra | None:
    """Fit rates and initial state by least squares in the coordinates of the Neural ODE, from several starts.

    Parameters
    ----------
    train : Table
        The training rows.
    coordinates : Coordinates
        Those of the Neural ODE: both are judged by the same errors.

    Returns
    -------
    LotkaVolterra or None
        None unless there are two columns, both fitted in logarithms, and three rows where both were observed.
    """
    if coordinates.log.tolist() != [True, True]:
        return None
    from scipy.optimize import minimize  # only here: importing it takes half a second

    field = vector_field(lotka_volterra, np.zeros(2), np.zeros(4))
    fits = []
    for prey in (0, 1):
        loss_and_gradient = _objective(field, train, coordinates, prey)
        for start in _starts(train, prey):
            # Not L-BFGS-B: its calls of BLAS for six numbers waited ten times longer for threads than we compute.
            found = minimize(loss_and_gradient, start, jac=True, method="BFGS", options={"maxiter": 300})
            fits.append(LotkaVolterra(field, prey, found.x[:4], found.x[4:], float(train.t[0]), float(found.fun)))
    return min(fits, key=lambda fit: fit.loss, default=None)


def _order(prey: int) -> list[int]:
    """Which columns are prey and predator; the same permutation leads back."""
    return [prey, 1 - prey]


def _objective(
    field: VectorField, train: Table, coordinates: Coordinates, prey: int
) -> Callable[[NDArray[Any]], tuple[float, NDArray[Any]]]:
    """Return the mean squared error of (log rates, log initial state), with its gradient, as SciPy wants it."""
    order = _order(prey)
    scale, target = coordinates.scale[order], (coordinates.x(train.y) / coordinates.scale)[:, order]

    options: dict[str, Any] = {"rtol": RTOL, "atol": ATOL, "max_steps": MAX_STEPS}

    def loss_and_gradient(x: NDArray[Any]) -> tuple[float, NDArray[Any]]:
        theta, w0 = x[:4], x[4:]
        try:
            solution = odeint(field, w0, train.t, theta, **options)
            loss, bar = mse(solution.zs / scale, target)
            g = gradients(field, w0, train.t, theta, bar / scale, solution=solution, **options)
        except SolverError:
            return BAD, np.zeros(6)  # the line search steps back
        return loss, np.concatenate([g.theta, g.z0])

    return loss_and_gradient


def _starts(train: Table, prey: int) -> list[NDArray[Any]]:
    """Parameters to start from: regression of the growth rates on the other column, and slower and faster ones.

    Between two neighbouring observations Δ log u / Δt ≈ a − b v and Δ log v / Δt ≈ −c + d u, with the mean of the two
    values on the right: linear in the rates. A rate that comes out negative starts at a small positive value.
    """
    full = np.isfinite(train.y).all(axis=1)
    if full.sum() < 3:
        return []
    t, y = train.t[full], train.y[full][:, _order(prey)]
    growth = np.diff(np.log(y), axis=0) / np.diff(t)[:, None]
    middle = 0.5 * (y[1:] + y[:-1])
    ones = np.ones(len(middle))
    (a, b), *_ = np.linalg.lstsq(np.stack([ones, -middle[:, 1]], axis=1), growth[:, 0], rcond=None)
    (c, d), *_ = np.linalg.lstsq(np.stack([-ones, middle[:, 0]], axis=1), growth[:, 1], rcond=None)
    typical = np.abs(growth).mean() * np.array([1.0, 1.0 / y[:, 1].mean(), 1.0, 1.0 / y[:, 0].mean()])
    rates = np.log(np.maximum([a, b, c, d], 0.1 * typical))
    state = np.log(y[0])
    return [np.concatenate([rates + shift, state]) for shift in (0.0, -0.5, 0.5)]
