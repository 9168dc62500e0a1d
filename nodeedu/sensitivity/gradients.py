"""One signature over all methods for the gradient of a loss that looks at the states z(t_i)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nodeedu.sensitivity.backsolve import backsolve
from nodeedu.sensitivity.discrete import discrete
from nodeedu.sensitivity.forward import forward
from nodeedu.solvers.arguments import Inputs, Options, check_cotangents, check_inputs, check_options
from nodeedu.solvers.callables import CallableField
from nodeedu.solvers.methods import algorithm
from nodeedu.solvers.solution import Solution
from nodeedu.solvers.solve import require_success, solve

Array = NDArray[Any]
METHODS = ("discrete", "backsolve", "forward")


@dataclass(frozen=True)
class GradientStats:
    """What a gradient has cost: ints, or arrays (B,) for a batch.

    Parameters
    ----------
    nfev : int or array
        Evaluations of f in the forward solve.
    nfev_backward : int or array
        Evaluations of f with derivatives.
    accepted, rejected : int or array
        Trial steps of the backward solve, or those that were differentiated.
    stored_states : int
        States and slopes of D numbers that were kept for the backward pass: the memory ledger.
    """

    nfev: Any
    nfev_backward: Any
    accepted: Any
    rejected: Any
    stored_states: int


@dataclass(frozen=True, eq=False)
class Gradients:
    """Gradients of a scalar loss L, summed over the samples of a batch where they share an argument.

    Parameters
    ----------
    z0 : array
        dL/dz0, in the shape of z0; it includes the observation at t0.
    theta : object
        dL/dtheta, in the structure of theta.
    stats : GradientStats
        What it has cost.
    """

    z0: Array
    theta: Any
    stats: GradientStats
    _inputs: Inputs = field(repr=False)
    _zs: Array = field(repr=False)  # (T, B, D)
    _zs_bar: Array = field(repr=False)  # (T, B, D)
    _a: Array = field(repr=False)  # (B, D), a(t0+)

    @cached_property
    def ts(self) -> Array:
        """Gradient of the output times, (T,) for shared ts, else (B, T); computed when first asked for.

        ``dL/dt_i = dL/dz(t_i) f(t_i, z_i)`` for i >= 1, and ``dL/dt_0 = -a(t0+) f(t0, z0)`` with z0 held fixed, where
        a(t0+) leaves out the observation at t0.
        """
        inputs, (times, samples, size) = self._inputs, self._zs.shape
        kernel = inputs.field.kernel("f", self._zs.dtype)
        t = np.ascontiguousarray(np.broadcast_to(inputs.ts.T, (times, samples))).reshape(-1)
        slopes, work = np.empty((times * samples, size), self._zs.dtype), np.empty(kernel.work_size, self._zs.dtype)
        kernel.function(t, self._zs.reshape(-1, size), inputs.p, slopes, work)
        cotangents = np.concatenate([-self._a[None], self._zs_bar[1:]])
        each = np.einsum("tbi,tbi->tb", cotangents, slopes.reshape(self._zs.shape))
        return each.T if inputs.own_times else each.sum(axis=1)


def gradients(
    field: Any,
    z0: ArrayLike,
    ts: ArrayLike,
    theta: Any,
    zs_bar: ArrayLike,
    method: str = "discrete",
    solver: str = "dopri5",
    rtol: float = 1e-6,
    atol: ArrayLike = 1e-9,
    step_size: float | None = None,
    first_step: float | None = None,
    max_step: float = math.inf,
    max_steps: int = 100_000,
    solution: Solution | None = None,
) -> Gradients:
    """Compute the gradients of a loss L(z(t_0), ..., z(t_N)) with respect to z0, theta and ts.

    Parameters
    ----------
    field : field
        A traced or hand-written vector field.
    z0 : array (*shape) or (B, *shape)
        Initial state.
    ts : array (T,) or (B, T)
        Output times, strictly monotone.
    theta : object
        Parameters, of the structure that the field was made with.
    zs_bar : array
        dL/dz(t_i), in the shape of ``odeint(...).zs``, i = 0 included.
    method : {"discrete", "backsolve", "forward"}
        Backpropagation through the accepted steps; the adjoint ODE solved backwards; or forward sensitivity, which
        costs one column for each number in z0 and theta.
    solver, rtol, atol, step_size, first_step, max_step, max_steps
        See `odeint`; they hold in both directions.
    solution : Solution, optional
        What `odeint` returned for the same field, z0, ts and theta, to save the forward solve. Its own options hold.

    Returns
    -------
    Gradients

    Raises
    ------
    TypeError
        If field is a plain callable, which has no derivatives.
    ValueError
        If an argument is wrong.
    SolverError
        If a solve fails.
    """
    if method not in METHODS:
        raise ValueError(f"method: got {method!r}, expected one of {', '.join(METHODS)}")
    if not hasattr(field, "kernel") or isinstance(field, CallableField):
        raise TypeError(
            f"field: got {field!r}, which has no derivatives; make a field of it with ne.vector_field(f, z0, theta)"
        )
    if solution is not None:
        inputs, options = solution._inputs, solution._options
        _require_same(field, z0, ts, theta, inputs)
    else:
        inputs = check_inputs(field, z0, ts, theta)
        options = check_options(
            solver, rtol, atol, step_size, first_step, max_step, max_steps, shape=field.shape, called="solver"
        )
    require_differentiable(options, method)
    bar = check_cotangents(zs_bar, inputs)
    if method == "forward":
        zs, a, p_bar, counts = forward(inputs, options, bar)
        return _package(inputs, zs, a, p_bar, counts["nfev"], counts["nfev"] * 0, counts, 0, bar)
    if solution is None or (method == "discrete" and solution._records is None):
        solution = solve(inputs, options, record=method == "discrete")
        require_success(solution._samples, options, inputs.batched)
    return differentiate(solution, bar, method)


def differentiate(solution: Solution, zs_bar: Array, method: str) -> Gradients:
    """Compute the gradients of a loss from a solve that has been made, with records if the method is "discrete".

    Parameters
    ----------
    solution : Solution
        A successful solve.
    zs_bar : array (T, B, D)
        dL/dz(t_i), contiguous and of the dtype of the state.
    method : {"discrete", "backsolve"}
        How.
    """
    inputs, forward_counts, records = solution._inputs, solution._samples, solution._records
    zs = solution.zs.reshape(zs_bar.shape)
    if method == "discrete":
        if records is None:
            raise ValueError("solution: got one without its steps, expected one of odeint(..., record=True)")
        backward = discrete if solution._options.tableau else algorithm(solution._options.method).backward
        a, p_bar, nfev = backward(solution, zs_bar)
        counts, stored = forward_counts, records.stored_states
    else:
        a, p_bar, counts = backsolve(solution, zs_bar)
        nfev, stored = counts["nfev"], len(zs) * len(a)
    return _package(inputs, zs, a, p_bar, forward_counts["nfev"], nfev, counts, stored, zs_bar)


def require_differentiable(options: Options, method: str) -> None:
    """Raise ValueError if a gradient method cannot differentiate a solver."""
    if options.tableau is not None:
        return
    if method != "discrete":
        raise ValueError(f"method: {method!r} takes an explicit Runge-Kutta method, got {options.method!r}")
    if not hasattr(algorithm(options.method), "backward"):
        raise ValueError(f"method: 'discrete' cannot differentiate {options.method!r} yet; use an explicit method")


def _package(
    inputs: Inputs, zs: Array, a: Array, p_bar: Array, nfev: Array, nfev_backward: Array, counts: Array, stored: int,
    zs_bar: Array,
) -> Gradients:  # fmt: skip
    """Give the results the shapes of the arguments."""
    columns: list[Any] = [nfev, nfev_backward, counts["accepted"], counts["rejected"]]
    if not inputs.batched:
        columns = [int(column[0]) for column in columns]
    stats = GradientStats(columns[0], columns[1], columns[2], columns[3], stored)
    z0_bar = (a + zs_bar[0]).reshape(inputs.state_shape)
    return Gradients(z0_bar, inputs.field.unpack(p_bar), stats, inputs, zs, zs_bar, a)


def _require_same(field: Any, z0: ArrayLike, ts: ArrayLike, theta: Any, inputs: Inputs) -> None:
    """Raise ValueError if the arguments are not those of a solution; what equals checked inputs needs no check."""
    given = {"z0": z0, "ts": ts, "theta": field.pack(theta, inputs.z0.dtype)}
    solved = {"z0": inputs.z0.reshape(inputs.state_shape), "ts": inputs.times, "theta": inputs.p}
    wrong = [name for name in given if not np.array_equal(given[name], solved[name])]
    if field is not inputs.field:
        wrong.insert(0, "field")
    if wrong:
        raise ValueError(f"solution: got that of another {' and '.join(wrong)}, expected one for these arguments")
