"""Will `backsolve` find its way back? A prediction before the backward pass, and a warning.

Two relative errors are predicted: that of the state that backsolve reconstructs at t0, and that of the gradient. Where
solutions contract, an error of the state grows by ``|Phi^-1|`` on the way back; whether the gradient cares depends on
the adjoint, which may have decayed where the state is lost. retrace.py says how both are told from two tangents and
two adjoints along the true path.

It costs a forward solve and a few backward passes that are evaluated from Python.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from nodeedu.sensitivity.backsolve import TURN, turned
from nodeedu.sensitivity.retrace import TANGENTS, backward_errors
from nodeedu.solvers.arguments import check_cotangents, check_inputs, check_options
from nodeedu.solvers.callables import CallableField
from nodeedu.solvers.solution import Solution
from nodeedu.solvers.solve import require_success, solve

Array = np.ndarray

LOST, DOUBTFUL = 1.0, 0.1  # predictions are good within a factor 10


class BacksolveWarning(UserWarning):
    """The gradient that backsolve is about to compute is predicted to be wrong."""


@dataclass(frozen=True)
class Prediction:
    """What backsolve is predicted to get wrong: floats, or arrays (B,) for a batch.

    Parameters
    ----------
    state : float or array
        Relative error of the reconstructed z(t0).
    gradient : float or array
        Relative error of the sample's gradient, dL/dz0 (without the observation at t0) and dL/dtheta as one vector.
    amplification : float or array
        The largest growth of a unit vector from one observation back to the one before: ``|Phi^-1|`` from below.
    tangents : int
        How many tangent solves it took.
    """

    state: Any
    gradient: Any
    amplification: Any
    tangents: int = TANGENTS

    @property
    def verdict(self) -> str:
        """On the gradient: "lost" above 1, "doubtful" within a factor 10 of that, else "kept"; of the worst sample."""
        return _verdict(self.gradient)

    @property
    def state_verdict(self) -> str:
        """The same on the reconstructed z(t0). A lost state need not mean a lost gradient."""
        return _verdict(self.state)

    def __str__(self) -> str:
        """Say what is predicted in one sentence."""
        state, gradient, growth = (np.max(each) for each in (self.state, self.gradient, self.amplification))
        return (
            f"backsolve: the gradient is {self.verdict} (relative error {gradient:.0e}), the reconstructed z(t0) is "
            f"{self.state_verdict} ({state:.0e}); backwards, errors grow by {growth:.0e} between observations"
        )


def predict_backsolve(
    field: Any, z0: ArrayLike, ts: ArrayLike, theta: Any, zs_bar: ArrayLike, solver: str = "dopri5", **options: Any
) -> Prediction:
    """Predict the errors of the reconstructed state and of the gradient that backsolve would make.

    Parameters
    ----------
    field, z0, ts, theta, zs_bar, solver
        As for `gradients`.
    **options
        Of the solver: rtol, atol, step_size, ...

    Returns
    -------
    Prediction

    Raises
    ------
    TypeError
        If field is a plain callable, which has no derivatives.
    ValueError
        If an argument is wrong.
    SolverError
        If the forward solve fails.
    """
    if not hasattr(field, "kernel") or isinstance(field, CallableField):
        raise TypeError(f"field: got {field!r}, which has no derivatives; make one with ne.vector_field(f, z0, theta)")
    inputs = check_inputs(field, z0, ts, theta)
    checked = check_options(solver, shape=field.shape, called="solver", **options)
    if checked.tableau is None and solver not in TURN:
        raise ValueError(f"solver: 'backsolve' takes an explicit Runge-Kutta method or 'adams', got {solver!r}")
    bar, solution = check_cotangents(zs_bar, inputs), solve(inputs, checked)
    require_success(solution._samples, checked, inputs.batched)
    return predict(solution, bar)


def check_watch(watch: bool, method: str, reset: bool = True) -> None:
    """Raise ValueError if there is nothing to watch, or what there is is not what is predicted."""
    if watch and method != "backsolve":
        raise ValueError(f"watch: {method!r} runs nothing backwards that could go astray; leave it out")
    if watch and not reset:
        raise ValueError("watch: what is predicted holds with reset=True; without, compare returned_z0 with z0")


def watch_backsolve(solution: Solution, zs_bar: Array) -> None:
    """Warn if the gradient that backsolve would make of a solution is predicted to be doubtful or lost."""
    prediction = predict(solution, zs_bar)
    if prediction.verdict != "kept":
        warnings.warn(
            f"{prediction}. Take method='discrete', 'checkpointed' or 'interpolated', observe more often or lower the "
            "tolerances", BacksolveWarning, stacklevel=3,
        )  # fmt: skip


def predict(solution: Solution, zs_bar: Array) -> Prediction:
    """Predict from a solve that has been made; zs_bar is (T, B, D)."""
    batched, each = solution._inputs.batched, backward_errors(turned(solution), zs_bar)
    return Prediction(*(each if batched else (float(column[0]) for column in each)))


def _verdict(error: Any) -> str:
    worst = np.max(error)
    if not worst <= LOST:
        return "lost"
    return "doubtful" if worst > DOUBTFUL else "kept"
