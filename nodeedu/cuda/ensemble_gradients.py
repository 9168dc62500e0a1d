"""Gradients of an ensemble whose samples have parameters of their own: the twin of `odeint_ensemble`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from nodeedu.cuda.device import GPU, Target, require
from nodeedu.cuda.ensemble import check_ensemble, solve_ensemble
from nodeedu.cuda.limits import require_discrete_fit, require_gradient_fit
from nodeedu.cuda.thread_gradients import backsolve_ensemble, discrete_ensemble, discrete_evaluations
from nodeedu.sensitivity.results import GradientStats, Kept, keep
from nodeedu.solvers.arguments import Inputs, Options, check_cotangents, check_options
from nodeedu.solvers.solve import require_success
from nodeedu.solvers.tally import make_tally

__all__ = ["METHODS", "EnsembleGradients", "gradients_ensemble"]

Array = np.ndarray
METHODS = ("discrete", "backsolve")


@dataclass(frozen=True)
class EnsembleGradients:
    """Gradients of a scalar loss L.

    Parameters
    ----------
    z0 : array (B, *shape)
        dL/dz0; it includes the observation at t0.
    thetas : list
        dL/dtheta_b of each sample, in the structure of theta; one, the sum over the samples, if they share theta.
    stats : GradientStats
        What it has cost, arrays (B,).
    """

    z0: Array
    thetas: list[Any]
    stats: GradientStats


def gradients_ensemble(
    field: Any,
    z0: ArrayLike,
    ts: ArrayLike,
    thetas: Sequence[Any],
    zs_bar: ArrayLike,
    method: str = "discrete",
    solver: str = "dopri5",
    target: Target = GPU,
    **options: Any,
) -> EnsembleGradients:
    """Compute the gradients of a loss L(z_b(t_i)) of B samples with respect to z0 and the parameters of each sample.

    With ``zs_bar[i, b] = dL/dz_b(t_i)``, sample b has the gradients that `nodeedu.gradients` gives for it alone.

    Parameters
    ----------
    field, z0, ts, thetas, target
        See `odeint_ensemble`.
    zs_bar : array (T, B, *shape)
        dL/dz(t_i), in the shape of ``odeint_ensemble(...).zs``, i = 0 included.
    method : {"discrete", "backsolve"}
        Backpropagation through the accepted steps, which are kept, or the adjoint ODE; see `nodeedu.gradients`.
    solver : str
        One of ``ne.tableaus.names()``.
    **options
        See `odeint_ensemble`; they hold in both directions.

    Raises
    ------
    TypeError, ValueError
        If an argument is wrong; the message names it.
    RuntimeError
        If there is no GPU.
    SolverError
        If a solve fails.
    """
    require(target)
    if method not in METHODS:
        raise ValueError(f"method: got {method!r}, expected one of {', '.join(METHODS)}; solver= chooses the tableau")
    inputs, p = check_ensemble(field, z0, ts, thetas)
    checked = check_options(solver, shape=field.shape, called="solver", **options)
    bar, own = check_cotangents(zs_bar, inputs), p if len(p) > 1 else None
    require_fit = require_discrete_fit if method == "discrete" else require_gradient_fit
    require_fit(inputs, checked, target, own_theta=own is not None)
    outputs, samples = solve_ensemble(inputs, p, checked, target)
    require_success(samples, checked, batched=True)
    zs = outputs.reshape(bar.shape)
    way_back = _discrete if method == "discrete" else _backsolve
    a, p_bar, evaluations, counts, kept = way_back(inputs, own, checked, zs, bar, samples, target)
    stats = GradientStats(
        samples["nfev"].copy(), evaluations, counts["accepted"].copy(), counts["rejected"].copy(), *kept,
        make_tally(samples, True, adjoint=evaluations),
    )  # fmt: skip
    thetas_bar = [field.unpack(row) for row in (p_bar[None] if own is None else p_bar)]
    return EnsembleGradients((a + bar[0]).reshape(inputs.state_shape), thetas_bar, stats)


Way = tuple[Array, Array, Array, Array, Kept]


def _discrete(
    inputs: Inputs, p: Array | None, options: Options, zs: Array, zs_bar: Array, samples: Array, target: Target
) -> Way:
    a, p_bar, trail = discrete_ensemble(inputs, options, samples["accepted"], zs_bar, target, p)
    return a, p_bar, discrete_evaluations(trail, options), samples, keep(len(trail.states), trail)


def _backsolve(
    inputs: Inputs, p: Array | None, options: Options, zs: Array, zs_bar: Array, samples: Array, target: Target
) -> Way:
    a, p_bar, counts, _ = backsolve_ensemble(inputs, options, zs, zs_bar, samples["h"], target, p)
    require_success(counts, options, True, "backsolve: ")
    return a, p_bar, counts["nfev"].copy(), counts, keep(zs.size // zs.shape[2], zs)
