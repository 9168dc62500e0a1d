"""One signature over all methods for the gradient of a loss that looks at the states z(t_i)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nodeedu.sensitivity.backsolve import backsolve
from nodeedu.sensitivity.checkpointed import check_slots, checkpointed
from nodeedu.sensitivity.discrete import discrete
from nodeedu.sensitivity.forward import forward
from nodeedu.sensitivity.interpolated import interpolated
from nodeedu.sensitivity.ledger import with_ledger
from nodeedu.sensitivity.lookup import with_path
from nodeedu.sensitivity.quadrature import quadrature
from nodeedu.sensitivity.reversible import require_reversible, reversible
from nodeedu.sensitivity.watch import check_watch, watch_backsolve
from nodeedu.solvers.arguments import Inputs, Options, check_cotangents, check_inputs, check_options
from nodeedu.solvers.callables import CallableField
from nodeedu.solvers.lanes import copy_samples
from nodeedu.solvers.methods import algorithm
from nodeedu.solvers.solution import Solution
from nodeedu.solvers.solve import require_success, solve
from nodeedu.solvers.tally import Tally, make_tally

Array = NDArray[Any]
METHODS = ("discrete", "backsolve", "forward", "reversible", "checkpointed", "interpolated", "quadrature")


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
    tally : Tally
        The tally of the forward solve, with nfev_backward as "adjoint": the sum of nfev and nfev_backward.
    """

    nfev: Any
    nfev_backward: Any
    accepted: Any
    rejected: Any
    stored_states: int
    tally: Tally


@dataclass(frozen=True, eq=False)
class Gradients:
    """Gradients of a scalar loss L, summed over the samples of a batch where they share an argument.

    Parameters
    ----------
    z0 : array
        dL/dz0, in the shape of z0; it includes the observation at t0.
    theta : object
        dL/dtheta, in the structure of theta.
    """

    z0: Array
    theta: Any
    _inputs: Inputs = field(repr=False)
    _ledger: tuple[Array, Array, Array, int] = field(repr=False)  # what `stats` is made from
    _zs: Array = field(repr=False)  # (T, B, D)
    _zs_bar: Array = field(repr=False)  # (T, B, D)
    _a: Array = field(repr=False)  # (B, D), a(t0+)

    @cached_property
    def stats(self) -> GradientStats:
        """What it has cost."""
        forward_counts, nfev_backward, counts, stored = self._ledger
        batched = self._inputs.batched
        columns = [forward_counts["nfev"], nfev_backward, counts["accepted"], counts["rejected"]]
        nfev, back, accepted, rejected = (each if batched else int(each[0]) for each in columns)
        tally = make_tally(forward_counts, batched, adjoint=nfev_backward)
        return GradientStats(nfev, back, accepted, rejected, stored, tally)

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
    controller: str = "I",
    norm: str | Callable[[Array], float] = "rms",
    jump_ts: ArrayLike | None = None,
    min_step: float = 0.0,
    slots: int | str | None = None,
    watch: bool = False,
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
    method : {"discrete", "checkpointed", "backsolve", "interpolated", "quadrature", "forward", "reversible"}
        How: discrete is backpropagation through the accepted steps; checkpointed the same to the last bit, with few
        stored states, the others computed again; backsolve the adjoint ODE, with z solved backwards along with it;
        interpolated the same with z from dense output of the forward solve; quadrature this, and then Gauss-Kronrod
        quadrature for theta; forward is forward sensitivity, which costs one column for each number in z0 and theta;
        reversible is backpropagation that undoes the steps of a reversible or symplectic solver and stores none.
    solver, rtol, atol, step_size, first_step, max_step, max_steps
        See `odeint`; they hold in both directions.
    solution : Solution, optional
        What `odeint` returned for the same field, z0, ts and theta, to save the forward solve. Its own options hold.
    controller, norm, jump_ts, min_step
        See `odeint`; they hold in both directions. The norm of z and of the adjoint is the larger of their norms. Jumps
        are at given times: there is no gradient with respect to them.
    slots : int or "recursive", optional
        How many states "checkpointed" may store of each sample, z0 included; the fewer, the more steps it makes again.
        By default the root of twice the steps: none is made again more than twice. "recursive": their logarithm.
    watch : bool
        Whether to predict if "backsolve" will find its way back, and warn if not (`predict_backsolve`): it costs more
        than the gradient.

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
        _require_uncut(solution)
    else:
        inputs = check_inputs(field, z0, ts, theta)
        options = check_options(
            solver, rtol, atol, step_size, first_step, max_step, max_steps, controller, field.shape, called="solver",
            norm=norm, jump_ts=jump_ts, min_step=min_step,
        )  # fmt: skip
    require_differentiable(options, method)
    check_slots(slots, method)
    check_watch(watch, method)
    bar = check_cotangents(zs_bar, inputs)
    if method == "forward":
        zs, a, p_bar, counts = forward(inputs, options, bar)
        return package(inputs, zs, a, p_bar, counts, counts["nfev"] * 0, counts, 0, bar)
    solution = solve_for(method, inputs, options, solution)
    require_success(solution._samples, options, inputs.batched, diagnose=solution.diagnose)
    if watch:
        watch_backsolve(solution, bar)
    return differentiate(solution, bar, method, slots)


def solve_for(method: str, inputs: Inputs, options: Options, solution: Solution | None = None) -> Solution:
    """Return a solve that has kept what a method needs: the one given, if it has."""
    if method == "checkpointed":
        return with_ledger(solution, inputs, options)
    if method in ("interpolated", "quadrature"):
        return with_path(solution, inputs, options)
    if solution is None or (method == "discrete" and solution._records is None):
        return solve(inputs, options, record=method == "discrete")
    return solution


def differentiate(solution: Solution, zs_bar: Array, method: str, slots: int | str | None = None) -> Gradients:
    """Compute the gradients of a loss from a solve that has been made, with the records that the method needs.

    Parameters
    ----------
    solution : Solution
        A successful solve.
    zs_bar : array (T, B, D)
        dL/dz(t_i), contiguous and of the dtype of the state.
    method : str
        How; any of `METHODS` but "forward".
    slots : int, "recursive" or None
        Of "checkpointed".
    """
    inputs, forward_counts, records = solution._inputs, solution._samples, solution._records
    zs = solution._states.reshape(zs_bar.shape)
    if method == "discrete":
        if records is None:
            raise ValueError("solution: got one without its steps, expected one of odeint(..., record=True)")
        backward = discrete if solution._options.tableau else algorithm(solution._options.method).backward
        a, p_bar, nfev = backward(solution, zs_bar)
        counts, stored = forward_counts, records.stored_states
    elif method in ("reversible", "checkpointed"):
        undo = reversible if method == "reversible" else partial(checkpointed, slots=slots)
        a, p_bar, nfev, stored = undo(solution, zs_bar)
        counts = forward_counts
    elif method in ("interpolated", "quadrature"):
        a, p_bar, counts, stored = (interpolated if method == "interpolated" else quadrature)(solution, zs_bar)
        nfev = counts["nfev"]
    else:
        a, p_bar, counts = backsolve(solution, zs_bar)
        nfev, stored = counts["nfev"], len(zs) * len(a)
    return package(inputs, zs, a, p_bar, forward_counts, nfev, counts, stored, zs_bar)


def require_differentiable(options: Options, method: str) -> None:
    """Raise ValueError if a gradient method cannot differentiate a solver."""
    if method == "reversible":
        return require_reversible(options)
    if options.tableau is not None:
        return
    if method != "discrete":
        raise ValueError(f"method: {method!r} takes an explicit Runge-Kutta method, got {options.method!r}")
    if not hasattr(algorithm(options.method), "backward"):
        raise ValueError(f"method: 'discrete' cannot differentiate {options.method!r} yet; use an explicit method")


def package(
    inputs: Inputs, zs: Array, a: Array, p_bar: Array, forward_counts: Array, nfev_backward: Array, counts: Array,
    stored: int, zs_bar: Array,
) -> Gradients:  # fmt: skip
    """Give the results the shapes of the arguments."""
    z0_bar = (a + zs_bar[0]).reshape(inputs.state_shape)
    so_far = copy_samples(forward_counts)  # a solution goes on counting when it is called
    ledger = so_far, nfev_backward, so_far if counts is forward_counts else counts, stored
    return Gradients(z0_bar, inputs.field.unpack(p_bar), inputs, ledger, zs, zs_bar, a)


def _require_same(field: Any, z0: ArrayLike, ts: ArrayLike, theta: Any, inputs: Inputs) -> None:
    """Raise ValueError if the arguments are not those of a solution; what equals checked inputs needs no check."""
    pairs = {
        "z0": (z0, inputs.z0.reshape(inputs.state_shape)),
        "ts": (ts, inputs.times),
        "theta": (field.pack(theta, inputs.z0.dtype), inputs.p),
    }
    wrong = [name for name, (given, solved) in pairs.items() if not _equal(given, solved)]
    if field is not inputs.field:
        wrong.insert(0, "field")
    if wrong:
        raise ValueError(f"solution: got that of another {' and '.join(wrong)}, expected one for these arguments")


def _require_uncut(solution: Solution) -> None:
    """Raise ValueError if an event has reset the state or ended the solve: its time depends on z0 and theta, too."""
    if any(event.ends or event.after is not None for events in solution._occurrences or () for event in events):
        raise ValueError("solution: got one that an event has reset or ended, use ne.event_gradients")


def _equal(given: Any, solved: Array) -> bool:
    """Whether all numbers are equal; equal bytes tell it in a tenth of the time."""
    alike = type(given) is np.ndarray and given.dtype == solved.dtype and given.shape == solved.shape
    return (alike and given.tobytes() == solved.tobytes()) or np.array_equal(given, solved)
