"""One signature over all methods for the gradient of a loss that looks at the states z(t_i)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nodeedu.sensitivity.backends import require_backend, use
from nodeedu.sensitivity.backsolve import TURN, backsolve, check_backsolve
from nodeedu.sensitivity.checkpointed import check_slots, checkpointed
from nodeedu.sensitivity.discrete import discrete
from nodeedu.sensitivity.forward import forward
from nodeedu.sensitivity.interpolated import interpolated
from nodeedu.sensitivity.ledger import with_ledger
from nodeedu.sensitivity.lookup import with_path
from nodeedu.sensitivity.quadrature import quadrature
from nodeedu.sensitivity.results import Gradients, Kept, keep, package
from nodeedu.sensitivity.reversible import require_reversible, reversible
from nodeedu.sensitivity.watch import check_watch, watch_backsolve
from nodeedu.solvers.arguments import Inputs, Options, check_cotangents, check_inputs, check_options
from nodeedu.solvers.callables import CallableField
from nodeedu.solvers.methods import algorithm
from nodeedu.solvers.solution import Solution
from nodeedu.solvers.solve import require_success, solve

Array = NDArray[Any]
METHODS = ("discrete", "backsolve", "forward", "reversible", "checkpointed", "interpolated", "quadrature")


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
    reset: bool = True,
    seminorm: bool = True,
    watch: bool = False,
    backend: str = "cpu",
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
        See `odeint`; they hold in both directions. After "adams", "backsolve" comes back by "dopri5".
    solution : Solution, optional
        What `odeint` returned for the same field, z0, ts and theta, to save the forward solve. Its own options hold.
    controller, norm, jump_ts, min_step
        See `odeint`; they hold in both directions. The norm of z and of the adjoint is the larger of their norms. Jumps
        are at given times: there is no gradient with respect to them.
    slots : int or "recursive", optional
        How many states "checkpointed" may store of each sample, z0 included; the fewer, the more steps it makes again.
        By default the root of twice the steps: none is made again more than twice. "recursive": their logarithm.
    reset : bool
        Whether "backsolve" starts z anew from the forward solve at every observation. Without, z comes back from the
        last state alone, and what it has become at t0 is in ``returned_z0``; the gradient is as wrong as z is.
    seminorm : bool
        Whether "backsolve" leaves the integral for theta out of its error estimate. Without, steps are judged by the
        largest norm among z, a and every leaf of theta, as they are in torchdiffeq by default: more evaluations.
    watch : bool
        Whether to predict if "backsolve" will find its way back, and warn if not (`predict_backsolve`): it costs more
        than the gradient.
    backend : {"cpu", "cuda"}
        See `odeint`; "cuda" has the methods "discrete", where a thread has a sample, and "backsolve".

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
    if backend != "cpu":
        require_backend(backend, slots=slots is not None, reset=not reset, seminorm=not seminorm, watch=watch)
        elsewhere = use(backend, z0=z0, ts=ts, theta=theta, zs_bar=zs_bar)
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
    check_backsolve(reset, seminorm, method, options)
    check_watch(watch, method, reset)
    bar = check_cotangents(zs_bar, inputs)
    if backend != "cpu":
        return elsewhere.gradients(inputs, options, bar, method, solution)
    if method == "forward":
        zs, a, p_bar, counts = forward(inputs, options, bar)
        carried = Kept(0, len(a) * a.shape[1] * (a.shape[1] + field.n_params) * a.itemsize)
        return package(inputs, zs, a, p_bar, counts, counts["nfev"] * 0, counts, carried, bar)
    solution = solve_for(method, inputs, options, solution)
    require_success(solution._samples, options, inputs.batched, diagnose=solution.diagnose)
    if watch:
        watch_backsolve(solution, bar)
    return differentiate(solution, bar, method, slots, reset, seminorm)


def solve_for(method: str, inputs: Inputs, options: Options, solution: Solution | None = None) -> Solution:
    """Return a solve that has kept what a method needs: the one given, if it has."""
    if method == "checkpointed":
        return with_ledger(solution, inputs, options)
    if method in ("interpolated", "quadrature"):
        return with_path(solution, inputs, options)
    if solution is None or (method == "discrete" and solution._records is None):
        return solve(inputs, options, record=method == "discrete")
    return solution


def differentiate(
    solution: Solution, zs_bar: Array, method: str, slots: int | str | None = None, reset: bool = True,
    seminorm: bool = True,
) -> Gradients:  # fmt: skip
    """Compute the gradients of a loss from a solve that has been made, with the records that the method needs.

    Parameters
    ----------
    solution : Solution
        A successful solve.
    zs_bar : array (T, B, D)
        dL/dz(t_i), contiguous and of the dtype of the state.
    method : str
        How; any of `METHODS` but "forward".
    slots, reset, seminorm
        See `gradients`.
    """
    inputs, forward_counts, records = solution._inputs, solution._samples, solution._records
    zs, counts, returned = solution._states.reshape(zs_bar.shape), forward_counts, None
    if method == "discrete":
        if records is None:
            raise ValueError("solution: got one without its steps, expected one of odeint(..., record=True)")
        backward = discrete if solution._options.tableau else algorithm(solution._options.method).backward
        a, p_bar, nfev = backward(solution, zs_bar)
        kept = keep(records.stored_states, records)
    elif method == "checkpointed":
        a, p_bar, nfev, kept = checkpointed(solution, zs_bar, slots)
    elif method == "reversible":
        a, p_bar, nfev, kept, returned = reversible(solution, zs_bar)
    elif method in ("interpolated", "quadrature"):
        a, p_bar, counts, kept = (interpolated if method == "interpolated" else quadrature)(solution, zs_bar)
        nfev = counts["nfev"]
    else:
        a, p_bar, counts, kept, returned = backsolve(solution, zs_bar, reset, seminorm)
        nfev = counts["nfev"]
    return package(inputs, zs, a, p_bar, forward_counts, nfev, counts, kept, zs_bar, returned)


def require_differentiable(options: Options, method: str) -> None:
    """Raise ValueError if a gradient method cannot differentiate a solver."""
    if method == "reversible":
        return require_reversible(options)
    if options.tableau is not None or (method == "backsolve" and options.method in TURN):
        return
    if method != "discrete":
        raise ValueError(f"method: {method!r} takes an explicit Runge-Kutta method, got {options.method!r}")
    if not hasattr(algorithm(options.method), "backward"):
        others = "take 'backsolve'" if options.method in TURN else "use an explicit method"
        raise ValueError(f"method: 'discrete' cannot differentiate {options.method!r}; {others}")


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
