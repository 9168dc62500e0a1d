"""An ensemble of trajectories: each CUDA thread solves one of them, with its own steps.

The kernel runs the CPU's driver, `nodeedu.solvers.integrate`, and all that it calls, from the same source. Two things
differ:

    lanes       the CPU advances all lanes in one call of the driver; a thread calls it for one lane
    memory      the rows of a lane (state, slopes, tolerances) and its scratch lie in local arrays of the thread

What is computed for a lane does not depend on its neighbours. In float64, Numba's simulator therefore gives the CPU's
results to the last bit. (In float32 it rounds more often: NumPy's float32 numbers stay float32 beside a Python float.)
A GPU fuses multiply-adds and has a `pow` of its own: there the results agree to rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from nodeedu import tableaus
from nodeedu.compile.kernels import DONE
from nodeedu.cuda.device import GPU, Function, Target, cuda, rebind, require, unchanged
from nodeedu.solvers.arguments import Inputs, check_inputs, check_options
from nodeedu.solvers.integrate import integrate
from nodeedu.solvers.lanes import LANE, Adjoint, Control, Records
from nodeedu.solvers.runge_kutta import ATOL, Method, Y, as_method
from nodeedu.solvers.solution import Stats, make_stats
from nodeedu.solvers.solve import require_success, run
from nodeedu.solvers.systems import FIELD, Problem
from nodeedu.solvers.threads import in_chunks

Array = np.ndarray

LOCAL_LANE = np.dtype((np.record, LANE))  # its fields are attributes in NumPy too, which is what the simulator uses


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
    """What a kernel is given: the arguments of `integrate` for all lanes, without its scratch.

    One tuple: the simulator passes on the arrays in it as they are. Its own kind of array knows no arrays of records.
    """

    problem: Problem  # with p (B, Q), or (1, Q) for all
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
    """Solve ``dz/dt = f(t, z, theta_b)``, z(ts[0]) = z0_b, for B samples, each with its own parameters and steps.

    Parameters
    ----------
    field : field
        A vector field.
    z0 : array (B, *shape)
        Initial states, float64 or float32.
    ts : array (T,) or (B, T)
        Output times, strictly increasing or decreasing.
    thetas : sequence
        Parameters of each sample, or of all: B or 1 of them.
    method : str
        One of ``ne.tableaus.names()``.
    target : Target
        `GPU`, or `SIMULATOR` to run the kernel as plain Python.
    **options
        Others of `odeint`: rtol, atol, step_size, first_step, max_step, min_step, max_steps, controller, jump_ts, and
        norm ("rms" or "max").

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
    inputs, p = _check_ensemble(field, z0, ts, thetas)
    checked = check_options(method, shape=field.shape, **options)
    if checked.tableau is None:
        raise ValueError(f"method: got {method!r}, expected an explicit one: {', '.join(tableaus.names())}")
    if not isinstance(checked.norm, str):
        raise ValueError(f"norm: got {checked.norm.function!r}, expected 'rms' or 'max': a kernel cannot call Python")
    real = inputs.z0.dtype
    problem = Problem(FIELD, 0, p, np.empty((0, 0), real), np.empty(0, real))
    tableau = as_method(checked.tableau, real, not checked.fixed)
    launch = _launcher(field.kernel("f", real), target)
    solve = rebind(run, unchanged, integrate=launch, in_chunks=_one_by_one)
    zs, counters, _ = solve(problem, tableau, checked, inputs.ts, inputs.z0[None])
    require_success(counters, checked, batched=True)
    return Ensemble(zs.reshape(len(zs), *inputs.state_shape), inputs.times, make_stats(counters, True, "cuda"))


def _check_ensemble(field: Any, z0: ArrayLike, ts: ArrayLike, thetas: Sequence[Any]) -> tuple[Inputs, Array]:
    """Check and copy; return the inputs and the packed parameters (B, Q) or (1, Q)."""
    if not hasattr(field, "kernel"):
        raise TypeError(f"field: got {field!r}, expected a vector field, as ne.vector_field makes it of a callable")
    if len(thetas) == 0:
        raise ValueError("thetas: got none, expected parameters of each sample, or of all")
    inputs = check_inputs(field, z0, ts, thetas[0])
    if not inputs.batched:
        raise ValueError(f"z0: got shape {np.shape(z0)}, expected (B, *{field.shape}) for B samples")
    if len(thetas) not in (1, len(inputs.z0)):
        raise ValueError(f"thetas: got {len(thetas)} for {len(inputs.z0)} samples, expected as many, or one for all")
    state, times = inputs.z0[0].reshape(field.shape), inputs.ts[0]
    return inputs, np.stack([check_inputs(field, state, times, theta).p for theta in thetas])


def _launcher(f: Any, target: Target) -> Callable[..., int]:
    """Return what takes the place of `integrate` on the host: it solves all lanes on the target."""

    def launch(
        n: int, problem: Any, method: Any, control: Any, ts: Any, x: Any, flat: Any, t: Any, lanes: Any, samples: Any,
        outputs: Any, records: Any, adjoint: Any,
    ) -> int:  # fmt: skip
        kernel = trajectory_kernel(f.function, x.shape[0], x.shape[3], f.work_size, x.dtype, target)
        lanes, samples = target.records(lanes), target.records(samples)
        arguments = Arguments(problem, method, control, ts, x, lanes, samples, outputs, records, adjoint)
        kernel[math.ceil(n / target.threads), target.threads](arguments)
        return 0  # none still runs

    return launch


@lru_cache(maxsize=32)
def trajectory_kernel(f: Any, rows: int, size: int, work_size: int, dtype: Any, target: Target) -> Any:
    """Make the kernel for a vector field and the sizes of local arrays, which a compiler must know.

    Parameters
    ----------
    f : callable
        The array function of the field; scalar loops, as everything that a thread runs.
    rows, size : int
        Of the array x of runge_kutta.py, which holds ``rows`` states of ``size`` components.
    work_size : int
        Words of workspace of f.
    dtype : dtype
        Of the state.
    target : Target
        Where the kernel runs.
    """
    real, words = dtype.type, max(work_size, 1)  # a local array cannot be empty
    f = target.driver(rebind(f, target.core))

    def evaluate(problem: Any, n: Any, t: Any, y: Any, dy: Any) -> int:
        f(t[:n], y[0, :n], problem.p, dy[0, :n], problem.work)
        return DONE

    # The field is called by name, where the CPU calls its address. No system is solved that needs another kernel.
    others: dict[str, Function] = {"evaluate": evaluate, "call_vjp_theta": _no_kernel, "call_norm": _no_norm}
    drive = target.driver(rebind(integrate, target.core, **{name: target.core(each) for name, each in others.items()}))

    def solve_trajectory(given: Any) -> None:
        i = cuda.grid(1)
        if i >= given.lanes.shape[0]:
            return
        flat, t = cuda.local.array((rows, size), real), cuda.local.array((rows, 1), np.float64)
        lanes, work = cuda.local.array(1, LOCAL_LANE), cuda.local.array(words, real)
        x = flat[:, None, None, :]  # (rows, M, B, D) with one block and one lane
        lanes[0] = given.lanes[i]
        for d in range(size):
            flat[Y, d] = given.x[Y, 0, i, d]
            flat[ATOL, d] = given.x[ATOL, 0, i, d]
        p = given.problem.p[i if given.problem.p.shape[0] > 1 else 0]
        problem = Problem(FIELD, 0, p, given.problem.p_dots, work)
        n = 1
        while n > 0:
            n = drive(
                n, problem, given.method, given.control, given.ts, x, flat, t, lanes, given.samples, given.outputs,
                given.records, given.adjoint,
            )  # fmt: skip

    return target.kernel(solve_trajectory)


def _one_by_one(work: Callable[..., Any], count: int, size: int, parallel: bool) -> list[Any]:
    """Launch one kernel after the other: a device is shared by all threads."""
    return in_chunks(work, count, size, parallel=False)


def _no_kernel(callee: Any, rows: Any, t: Any, z: Any, a: Any, p: Any, p_bar: Any, work: Any) -> int:
    """Stand for the kernel of a system that is not solved here."""
    return 0


def _no_norm(callee: Any, t: Any, row: Any) -> float:
    """Stand for the user's own norm."""
    return -1.0
