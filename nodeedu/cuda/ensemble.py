"""An ensemble of trajectories on a GPU: each CUDA thread solves one of them, with its own steps.

The kernel is the CPU's driver, `nodeedu.solvers.integrate`, function by function the same source. Two things differ:

    lanes       the CPU runs all n lanes in one call of the driver; a thread runs one lane in a call of its own
    memory      the state of the lane, its slopes and scratch lie in the thread's local arrays

A result does not depend on a lane's neighbours, so that both agree bit for bit where the arithmetic does: in Numba's
simulator, which runs kernels as plain Python. On a GPU the compiler fuses multiply-adds and has a `pow` of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from nodeedu.compile.kernels import DONE
from nodeedu.cuda.device import GPU, SIMULATOR, Target, cuda, on_device, require
from nodeedu.solvers.arguments import check_inputs, check_options
from nodeedu.solvers.integrate import integrate
from nodeedu.solvers.lanes import LANE, Adjoint, Control, Records
from nodeedu.solvers.runge_kutta import ATOL, Method, Y, as_method
from nodeedu.solvers.solution import Stats
from nodeedu.solvers.solve import make_stats, require_success, run
from nodeedu.solvers.systems import FIELD, Problem

Array = np.ndarray
LANE_RECORD = np.dtype((np.record, LANE))  # NumPy gives attributes to the elements of this type only


@dataclass(frozen=True)
class Ensemble:
    """Solved trajectories.

    Parameters
    ----------
    zs : array (T, B, *shape)
        States at the output times.
    ts : array (T,) or (B, T)
        Output times.
    stats : Stats
        Counts, arrays (B,).
    """

    zs: Array
    ts: Array
    stats: Stats


class Arguments(NamedTuple):
    """What a kernel is given: the arguments of `integrate` for all lanes, but for its scratch arrays."""

    problem: Problem  # its p is (B, Q), or (1, Q) for all
    method: Method
    control: Control
    ts: Array
    x: Array
    lanes: Array
    samples: Array
    outputs: Array
    records: Records
    adjoint: Adjoint


def odeint_ensemble(
    field: Any,
    z0: ArrayLike,
    ts: ArrayLike,
    thetas: Sequence[Any],
    method: str = "dopri5",
    target: Target = GPU,
    **options: Any,
) -> Ensemble:
    """Solve ``dz/dt = f(t, z, theta_b)``, z(ts[0]) = z0_b, for B samples, each with parameters and steps of its own.

    Parameters
    ----------
    field : field
        A vector field.
    z0 : array (B, *shape)
        Initial states, float64 or float32.
    ts : array (T,) or (B, T)
        Output times, strictly increasing or decreasing.
    thetas : sequence
        Parameters: one for each sample, or a single one for all.
    method : str
        One of ``ne.tableaus.names()``.
    target : Target
        `GPU`, or `SIMULATOR` where there is none.
    **options
        Others of `odeint`: rtol, atol, step_size, first_step, max_step, max_steps, controller.

    Raises
    ------
    TypeError, ValueError
        If an argument is wrong; the message names it.
    RuntimeError
        If there is no GPU.
    SolverError
        If the step limit is reached, the step size underflows, or the field is not finite.
    """
    require(target)
    samples = len(np.atleast_1d(z0))
    if len(thetas) not in (1, samples):
        raise ValueError(f"thetas: got {len(thetas)} of them for {samples} samples, expected {samples}, or 1 for all")
    each = [check_inputs(field, z0, ts, theta) for theta in thetas]
    inputs = each[0]
    if not inputs.batched:
        raise ValueError(f"z0: got shape {np.shape(z0)}, expected (B, *{field.shape}) for B samples")
    checked = check_options(method, shape=field.shape, **options)
    real = inputs.z0.dtype
    nothing = np.empty((0, 0), real)
    problem = Problem(FIELD, 0, np.stack([given.p for given in each]), nothing, nothing[0:0].ravel())
    tableau = as_method(checked.tableau, real, not checked.fixed)
    solve = on_device(run, SIMULATOR, integrate=launcher(field.kernel("f", real), target))
    zs, counters, _ = solve(problem, tableau, checked, inputs.ts, inputs.z0[None])
    require_success(counters, checked, True)
    return Ensemble(zs.reshape(len(zs), *inputs.state_shape), inputs.times, make_stats(counters, True, "cuda"))


def launcher(kernel: Any, target: Target) -> Callable[..., int]:
    """Return what takes the place of `integrate`: it solves all lanes on the target and returns that none still runs."""

    def launch(n, problem, method, control, ts, x, flat, t, lanes, samples, outputs, records, adjoint):
        on_target = trajectory_kernel(kernel.function, x.shape[0], x.shape[3], kernel.work_size, x.dtype, target)
        arguments = Arguments(
            problem, method, control, ts, x, target.records(lanes), target.records(samples), outputs, records, adjoint
        )
        on_target[math.ceil(n / target.threads), target.threads](arguments)
        return 0

    return launch


@lru_cache(maxsize=32)
def trajectory_kernel(function: Any, rows: int, size: int, work_size: int, real: Any, target: Target) -> Any:
    """Make the kernel for a vector field and the sizes of the local arrays, which a compiler must know.

    Parameters
    ----------
    function : callable
        The array function f of the field.
    rows, size : int
        Of the array x of runge_kutta.py: rows and components.
    work_size : int
        Words of workspace of f.
    real : dtype
        Of the state.
    target : Target
        Where it runs.
    """
    f = on_device(function, target)
    real = real.type
    words = max(work_size, 1)  # there are no empty local arrays

    def evaluate(problem, n, t, y, dy):
        f(t[:n], y[0, :n], problem.p, dy[0, :n], problem.work)
        return DONE

    # What the CPU calls through an address is called by name here. Only FIELD is solved: there is no other callee.
    drive = on_device(integrate, target, evaluate=target.device(evaluate), call_vjp_theta=target.device(no_callee))

    def solve_trajectory(given):
        i = cuda.grid(1)
        if i >= given.lanes.shape[0]:
            return
        # ---------------- GPU: the lane and its rows become local; x and flat are one array, as on the CPU
        flat, t = cuda.local.array((rows, size), real), cuda.local.array(1, np.float64)
        work, lanes = cuda.local.array(words, real), cuda.local.array(1, LANE_RECORD)
        x = flat[:, None, None, :]
        lanes[0] = given.lanes[i]
        for d in range(size):
            flat[Y, d], flat[ATOL, d] = given.x[Y, 0, i, d], given.x[ATOL, 0, i, d]
        p = given.problem.p[i if given.problem.p.shape[0] > 1 else 0]
        problem = Problem(FIELD, 0, p, given.problem.p_dots, work)
        # ---------------- as on the CPU
        n = 1
        while n > 0:
            n = drive(
                n, problem, given.method, given.control, given.ts, x, flat, t, lanes, given.samples, given.outputs,
                given.records, given.adjoint,
            )  # fmt: skip

    return target.kernel(solve_trajectory)


def no_callee(callee, rows, t, z, a, p, p_bar, work):
    """Stand for a kernel that `FIELD` never calls."""
    return 0
