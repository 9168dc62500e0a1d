"""One gradient, five ways: three algorithms of nodeedu, and two routes on which they never run.

The loss is the one that is trained, at random weights. Central differences see only values of the loss. SciPy solves
the forward sensitivity equations, with J = ∂f/∂z and ∂f/∂θ evaluated by NumPy on the tape: neither the compiled code
nor the adjoint takes part.

    S_z' = J S_z,  S_z(0) = I,        S_θ' = J S_θ + ∂f/∂θ,  S_θ(0) = 0,        dL/dx = Σ_i ∂L/∂z_i S_x(s_i)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..autodiff.check import central_difference, relative_error
from ..autodiff.structure import flatten, unflatten
from ..compile import VectorField
from ..nn import mse
from ..sensitivity import gradients, odeint
from .coordinates import Coordinates
from .model import neural_field
from .table import Table
from .training import initial_theta

RTOL, ATOL = 1e-10, 1e-12
AGREE = 1e-5  # differences extrapolated from solves at 1e-10 are good for about 1e-7
ROWS = 30  # differences solve twice sixteen times a parameter: enough to judge by, and soon done
METHODS = ("discrete", "backsolve", "forward")
ROUTES = (*METHODS, "differences", "SciPy")


@dataclass(frozen=True, eq=False)
class GradientCheck:
    """Pairwise relative errors between five routes to one gradient.

    Parameters
    ----------
    errors : array (5, 5)
        Norm of the difference of two gradients by that of the second; rows and columns are `ROUTES`.
    n_parameters : int
        Entries of the gradient: initial state and weights.
    n_rows : int
        Rows of the data that the loss took.
    """

    errors: NDArray[Any]
    n_parameters: int
    n_rows: int

    @property
    def agree(self) -> bool:
        """Whether all pairs agree to `AGREE`."""
        return bool((self.errors < AGREE).all())  # false for nan


def check_gradient(
    train: Table, coordinates: Coordinates, seed: int, say: Callable[[str], Any] = lambda _: None
) -> GradientCheck:
    """Compute the gradient of the training loss in all five ways.

    Parameters
    ----------
    train : Table
        The training rows; the first `ROWS` are used.
    coordinates : Coordinates
    seed : int
        Of the random weights.
    say : callable
        Takes a line of text on what is done.
    """
    head = train.head(ROWS)
    # At full scale, not at the slow field that training starts from: there, almost every gradient would be right.
    theta = initial_theta(coordinates, train, seed, scale=1.0)
    field = neural_field(theta["weights"])
    s, z = coordinates.s(head.t), coordinates.z(head.y)
    found = []
    for method in METHODS:
        say(f"gradient check: {method}")
        found.append(_by_method(field, theta, s, z, method))
    say("gradient check: central differences")
    found.append(central_difference(lambda theta: _loss(field, theta, s, z), theta).value)
    say("gradient check: SciPy")
    found.append(_by_scipy(field, theta, s, z))
    errors = np.array([[relative_error(a, b) for b in found] for a in found])
    return GradientCheck(errors, field.size + field.n_params, len(s))


def _loss(field: VectorField, theta: Any, s: NDArray[Any], z: NDArray[Any]) -> float:
    return float(mse(odeint(field, theta["z0"], s, theta["weights"], rtol=RTOL, atol=ATOL).zs, z)[0])


def _by_method(field: VectorField, theta: Any, s: NDArray[Any], z: NDArray[Any], method: str) -> dict[str, Any]:
    solution = odeint(field, theta["z0"], s, theta["weights"], rtol=RTOL, atol=ATOL)
    _, zs_bar = mse(solution.zs, z)
    g = gradients(field, theta["z0"], s, theta["weights"], zs_bar, method=method, rtol=RTOL, atol=ATOL)
    return {"z0": g.z0, "weights": g.theta}


def _by_scipy(field: VectorField, theta: Any, s: NDArray[Any], z: NDArray[Any]) -> dict[str, Any]:
    """Solve z' = f and the sensitivities S = (S_z, S_θ) together, one vector-Jacobian product for each row of J."""
    from scipy.integrate import solve_ivp  # only here: importing it takes half a second

    tape, leaves = field.tapes("vjp"), dict(flatten(theta["weights"]))
    D, P = field.size, field.n_params

    def augmented(t: float, y: NDArray[Any]) -> NDArray[Any]:
        rows = [tape.evaluate({"t": t, "z": y[:D], "dz_bar": unit, **leaves}) for unit in np.eye(D)]
        J = np.array([row["z_bar"] for row in rows])
        f_theta = np.array([np.concatenate([row[f"{leaf}_bar"].ravel() for leaf in leaves]) for row in rows])
        S_dot = J @ y[D:].reshape(D, D + P)
        S_dot[:, D:] += f_theta
        return np.concatenate([rows[0]["dz"], S_dot.ravel()])

    start = np.concatenate([theta["z0"], np.eye(D, D + P).ravel()])
    solved = solve_ivp(augmented, (s[0], s[-1]), start, method="DOP853", t_eval=s, rtol=RTOL, atol=ATOL)
    _, zs_bar = mse(solved.y[:D].T, z)
    gradient = np.einsum("id,idp->p", zs_bar, solved.y[D:].T.reshape(-1, D, D + P))
    parts = np.split(gradient[D:], np.cumsum([leaf.size for leaf in leaves.values()])[:-1])
    weights = [part.reshape(leaf.shape) for part, leaf in zip(parts, leaves.values(), strict=True)]
    return {"z0": gradient[:D], "weights": unflatten(theta["weights"], weights)}
