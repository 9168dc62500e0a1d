"""The public entry: solve an initial value problem at given times."""

from __future__ import annotations

import math
from typing import Any

from numpy.typing import ArrayLike

from nodeedu.sensitivity.tensors import holds_tensors, solve_on_tensors, values
from nodeedu.solvers.arguments import check_inputs, check_options
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
    controller : {"I", "PI"}
        Step size control; PI for mildly stiff problems.
    gradient : {"discrete", "backsolve"}
        Where z0, ts or leaves of theta are Tensors, how the solve is differentiated; see `gradients`.
    record : bool
        Whether to keep the accepted steps, so that ``gradients(..., method="discrete", solution=sol)`` and ``sol(t)``
        need not solve again.

    Returns
    -------
    Solution
        ``sol.zs``, ``sol.stats``, and ``sol(t)`` for dense output. With Tensors among z0, ts and theta, ``sol.zs`` is a
        Tensor: the solve records itself.

    Raises
    ------
    TypeError, ValueError
        If an argument is wrong; the message names it.
    SolverError
        If the step limit is reached, the step size underflows, or the field is not finite.
    """
    on_tensors = holds_tensors(z0, ts, theta)
    inputs = check_inputs(field, *map(values, (z0, ts, theta))) if on_tensors else check_inputs(field, z0, ts, theta)
    options = check_options(
        method, rtol, atol, step_size, first_step, max_step, max_steps, controller, inputs.field.shape
    )
    if on_tensors:
        return solve_on_tensors(inputs, options, z0, ts, theta, gradient)
    solution = solve(inputs, options, record=record, dense=record)
    require_success(solution._samples, options, inputs.batched)
    return solution
