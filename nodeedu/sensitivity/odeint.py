"""The public entry: solve an initial value problem at given times."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from numpy.typing import ArrayLike, NDArray

from nodeedu.sensitivity.backends import require_backend, use
from nodeedu.sensitivity.tensors import holds_tensors, solve_events_on_tensors, solve_on_tensors, values
from nodeedu.solvers.arguments import check_inputs, check_options
from nodeedu.solvers.events.solve import solve_with_events
from nodeedu.solvers.solution import Solution
from nodeedu.solvers.solve import require_success, solve


def odeint(
    field: Any,
    z0: ArrayLike,
    ts: ArrayLike,
    theta: Any = None,
    method: str = "dopri5",
    rtol: float = 1e-6,
    atol: ArrayLike = 1e-9,
    step_size: float | None = None,
    first_step: float | None = None,
    max_step: float = math.inf,
    max_steps: int = 100_000,
    controller: str = "I",
    gradient: str = "discrete",
    record: bool = False,
    norm: str | Callable[[NDArray[Any]], float] = "rms",
    jump_ts: ArrayLike | None = None,
    min_step: float = 0.0,
    events: Callable[[float, NDArray[Any]], float] | Sequence[Callable[[float, NDArray[Any]], float]] | None = None,
    backend: str = "cpu",
) -> Solution:
    """Solve ``dz/dt = f(t, z, theta)``, z(ts[0]) = z0, for the states at the times ts; each sample has its own steps.

    Parameters
    ----------
    field : field or callable
        A vector field, of which z0 holds one state or a batch; or any callable ``f(t, z)`` or, with theta,
        ``f(t, z, theta)``, which gets the whole of z0 as one state.
    z0 : array
        Initial state: float64 or float32; integers and bools become float64.
    ts : array (T,) or (B, T)
        Output times, strictly increasing or decreasing.
    theta : object, optional
        Parameters.
    method : str
        One of `nodeedu.solvers.methods.names()`.
    rtol, atol : float
        A step is accepted if the root mean square of ``error / (atol + rtol |z|)`` is at most 1. atol may have the
        shape of a state; either may be 0, but not both.
    step_size : float, optional
        Fixed steps: each interval of ts is cut into the fewest equal steps that are no longer. Methods without an error
        estimate make one step an interval if it is None.
    first_step : float, optional
        Size of the first trial step of adaptive methods; by default it is chosen automatically.
    max_step : float
        Longest step.
    max_steps : int
        Most trial steps of a sample, rejected ones included.
    controller : {"I", "PI", "PID"}
        Step size control; PI and PID for mildly stiff problems.
    gradient : {"discrete", "checkpointed", "backsolve", "interpolated", "quadrature", "reversible"}
        Where z0, ts or leaves of theta are Tensors, how the solve is differentiated; see `gradients`.
    record : bool
        Whether to keep the accepted steps, so that ``gradients(..., method="discrete", solution=sol)`` and ``sol(t)``
        need not solve again.
    norm : {"rms", "max"} or callable
        In place of the root mean square for rtol and atol: the largest component, or any ``norm(x) -> float`` of the
        scaled error of one sample. What it raises comes back to you.
    jump_ts : array (n,), optional
        Times at which f is discontinuous; those outside the interval count for nothing. Steps end exactly there. f is
        evaluated by one rounding before a jump and then anew by one rounding behind it, so that it need not say to
        which side the jump belongs.
    min_step : float
        Shortest step; steps that land at a jump or the end may be shorter. One that fails is an error, never accepted.
    events : callable or sequence of callables, optional
        Functions ``g(t, z) -> float`` of one sample's state, which occur where they are zero; each sample has its own
        events. A zero is noticed if g has another sign at the end of a step than at its start, and located by root
        finding on the dense output. One at ts[0] does not count, as it would in SciPy. A function may have attributes:

        - ``terminal``: True, or which occurrence (1, 2, ...) ends the solve. Later rows of zs are nan, and so is
          ``sol(t)``; f is not evaluated beyond the step that holds the event.
        - ``direction``: only count zeros at which g rises (> 0) or falls (< 0) in the order of the solve.
        - ``reset``: a function ``reset(t, z) -> z`` that gives the state from which the solve goes on, with new steps.
          At the time of the event, zs and ``sol(t)`` are the state after. An event that ends the solve resets nothing.

        With events, methods are explicit Runge-Kutta methods, and all accepted steps are kept; `event_gradients` takes
        the gradient.
    backend : {"cpu", "cuda"}
        Where: "cuda" solves each sample in a thread of a GPU if its state is small and its layers narrow; a perceptron
        with a hidden layer, or its flow, also in a warp, and a wide one in a block. Methods are explicit Runge-Kutta
        methods, and in float32 the times are float32, too. A problem that no kernel can take is an error that says why.

    Returns
    -------
    Solution
        ``sol.zs``, ``sol.stats``, ``sol(t)`` for dense output, ``sol.t_events`` and ``sol.z_events``. With Tensors
        among z0, ts and theta, ``sol.zs`` is a Tensor, and so are the times and states of events: the solve records
        itself.

    Raises
    ------
    TypeError, ValueError
        If an argument is wrong; the message names it.
    SolverError
        If the step limit is reached, a step of the least size fails, the field is not finite, or the resets of an event
        pile up. ``error.diagnosis`` says why and what to change, as ``sol.diagnosis`` does of a solve that struggled.
    """
    on_tensors = holds_tensors(z0, ts, theta)
    if backend != "cpu":
        require_backend(backend, events=events is not None, Tensors=on_tensors, record=record)
        elsewhere = use(backend, z0=z0, ts=ts, theta=theta)
    inputs = check_inputs(field, *map(values, (z0, ts, theta))) if on_tensors else check_inputs(field, z0, ts, theta)
    options = check_options(
        method, rtol, atol, step_size, first_step, max_step, max_steps, controller, inputs.field.shape,
        norm=norm, jump_ts=jump_ts, min_step=min_step,
    )  # fmt: skip
    if events is not None:
        if on_tensors:
            return solve_events_on_tensors(inputs, options, events, z0, ts, theta, gradient)
        solution = solve_with_events(inputs, options, events)
        require_success(solution._samples, options, inputs.batched, diagnose=solution.diagnose)
        return solution
    if on_tensors:
        return solve_on_tensors(inputs, options, z0, ts, theta, gradient)
    if backend != "cpu":
        return elsewhere.odeint(inputs, options)
    solution = solve(inputs, options, record=record, dense=record)
    require_success(solution._samples, options, inputs.batched, diagnose=solution.diagnose)
    return solution
