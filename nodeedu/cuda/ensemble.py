"""An ensemble of trajectories: each CUDA thread solves one of them, with its own steps (thread.py).

The threads run the CPU's functions from the same source. What is computed for a sample does not depend on its
neighbours. In float64, Numba's simulator therefore gives the CPU's results to the last bit. (In float32 the controller
computes in float32, too, where the CPU has float64.) A GPU fuses multiply-adds and has a `pow` of its own: there the
results agree to rounding.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from nodeedu import tableaus
from nodeedu.cuda.device import GPU, Target, launch, require
from nodeedu.cuda.limits import require_fit, require_room
from nodeedu.cuda.mlp_choice import solver_of
from nodeedu.cuda.thread import COUNTS, Forward, Sizes, Trail, forward_kernel
from nodeedu.cuda.thread_steps import Choices, Rule
from nodeedu.solvers.arguments import Inputs, Options, check_inputs, check_options
from nodeedu.solvers.lanes import make_samples
from nodeedu.solvers.norms import NORMS
from nodeedu.solvers.runge_kutta import Method, as_method
from nodeedu.solvers.solution import Stats, make_stats
from nodeedu.solvers.solve import make_control, require_success, solve
from nodeedu.solvers.status import SUCCESS
from nodeedu.solvers.step_control import beyond_jumps

__all__ = [
    "Ensemble", "check_ensemble", "fill", "find_components", "make_atol", "make_choices", "make_launch", "make_rule",
    "odeint_ensemble", "solve_ensemble",
]  # fmt: skip

Array = np.ndarray
MOST_STEPS = 2**30  # counters of a thread have 32 bits


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


def odeint_ensemble(
    field: Any,
    z0: ArrayLike,
    ts: ArrayLike,
    thetas: Sequence[Any],
    method: str = "dopri5",
    target: Target = GPU,
    kernel: str = "thread",
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
    kernel : {"thread", "warp", "tile"}
        What solves a sample: a thread; a warp, which shares out the hidden units of a perceptron with one hidden layer,
        or of its flow, the field of `nodeedu.flows.augment`; a block, for a tile of samples of a wide one.
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
    inputs, p = check_ensemble(field, z0, ts, thetas)
    checked = check_options(method, shape=field.shape, **options)
    outputs, samples = solver_of(kernel)(inputs, p, checked, target)
    require_success(samples, checked, batched=True)
    return Ensemble(outputs.reshape(len(outputs), *inputs.state_shape), inputs.times, make_stats(samples, True, "cuda"))


def solve_ensemble(inputs: Inputs, p: Array, options: Options, target: Target) -> tuple[Array, Array]:
    """Solve on the target; return outputs (T, B, D), nan after the end of a sample that failed, and counters (B,).

    Parameters
    ----------
    inputs, options : Inputs, Options
        Checked; the parameters of inputs are those of the first sample.
    p : array (1, Q) or (B, Q)
        Packed parameters.
    target : Target
        Where the kernel runs.
    """
    require_fit(inputs, options)
    samples = make_samples(len(inputs.z0))
    samples["t"] = inputs.ts[:, 0]
    if inputs.ts.shape[1] == 1:
        return inputs.z0[None].copy(), samples
    kernel, blocks, given = make_launch(inputs, p, options, target)
    given.counts[:, 3] = 1 + (given.ends[:, 1] == 0)  # the kernel counts only if steps have first slopes of their own
    require_room(given, len(inputs.z0), target)
    launch(kernel, blocks, target.threads, given)
    method = as_method(options.tableau, inputs.z0.dtype, not options.fixed)
    fill(samples, given, method, counted=not method.fsal or bool(options.jump_ts))
    find_components(inputs, p, options, samples)
    return np.ascontiguousarray(given.outputs.swapaxes(0, 1)), samples


def make_launch(
    inputs: Inputs, p: Array, options: Options, target: Target, trail: Trail | None = None
) -> tuple[Any, int, Forward]:
    """Return the kernel, the number of blocks and the argument that solve an ensemble, and keep its steps if wanted."""
    real, field, (n, size) = inputs.z0.dtype, inputs.field, inputs.z0.shape
    rule, f = make_rule(options, inputs.own_times, len(p) > 1), field.kernel("f", real)
    sizes = Sizes(size, field.n_packed, f.work_size)
    kernel = _kernel(f.function, sizes, rule, real, target, trail is not None)
    outputs = np.full((n, inputs.ts.shape[1], size), math.nan, real)
    outputs[:, 0] = inputs.z0
    ends = np.zeros((n, 2), real)
    ends[:, 1] = options.first_step
    if options.jump_ts:
        ends[:, 0] = beyond_jumps(*np.broadcast_to(inputs.ts, (n, inputs.ts.shape[1])).T[[0, -1]], options.jump_ts)
    given = Forward(
        make_choices(options, real), p, inputs.ts.astype(real), make_atol(options, real),
        outputs, ends, np.zeros((n, len(COUNTS)), np.int32), trail or _no_trail(real),
    )  # fmt: skip
    return kernel, math.ceil(n / target.threads), given


def make_rule(options: Options, own_times: bool, own_theta: bool) -> Rule:
    """Collect what a kernel is compiled for."""
    control = make_control(options, False)
    return Rule(
        options.method, options.fixed, control.exponent, (control.beta1, control.beta2, control.beta3),
        int(NORMS[options.norm]), options.min_step, options.max_step, options.jump_ts, own_times, own_theta,
        own_atol=isinstance(options.atol, np.ndarray),
    )  # fmt: skip


def make_choices(options: Options, real: np.dtype) -> Choices:
    """Collect what a kernel is given of the options."""
    return Choices(real.type(options.rtol), real.type(options.step_size), np.int64(min(options.max_steps, MOST_STEPS)))


def make_atol(options: Options, real: np.dtype) -> Any:
    """Return the absolute tolerance: a number, or an array (D,)."""
    return options.atol.astype(real) if isinstance(options.atol, np.ndarray) else real.type(options.atol)


@lru_cache(maxsize=32)
def _kernel(f: Any, sizes: Sizes, rule: Rule, real: np.dtype, target: Target, keeps: bool) -> Any:
    method = as_method(tableaus.get(rule.method), real, not rule.fixed)
    return target.kernel(forward_kernel(f, sizes, rule, method, real, target, keeps))


def _no_trail(real: np.dtype) -> Trail:
    return Trail(np.zeros(0, np.int64), np.zeros((0, 4), real), np.zeros((0, 1), real))


def fill(samples: Array, given: Any, method: Method, counted: bool) -> None:
    """Set the counters of samples (B,) of SAMPLE from those of a kernel, which may not have counted evaluations."""
    status, accepted, rejected, initial, nfev = given.counts.T.astype(np.int64)
    stages = len(method.b)
    samples["t"], samples["h"] = given.ends.T
    samples["status"], samples["f_initial"] = status, initial
    samples["accepted"], samples["rejected"] = accepted, rejected
    samples["nfev"] = nfev if counted else initial + (accepted + rejected) * (stages - 1)
    samples["f_rejected"] = rejected * (stages - 1)


def find_components(inputs: Inputs, p: Array, options: Options, samples: Array) -> None:
    """Name the component that made the first sample fail, if one did: the CPU finds out."""
    for b in np.flatnonzero(samples["status"] != SUCCESS)[:1]:
        (again,) = solve(_one(inputs, p, b), options)._samples
        samples["component"][b] = again["component"]
        if samples["accepted"][b] == 0:  # a warp looks at the first slope, where the CPU tries a step
            samples["rejected"][b] = again["rejected"]


def _one(inputs: Inputs, p: Array, b: int) -> Inputs:
    """Return the problem of one sample."""
    ts = inputs.ts[b : b + 1] if inputs.own_times else inputs.ts
    return Inputs(inputs.field, inputs.z0[b : b + 1], ts, p[b if len(p) > 1 else 0], True, inputs.own_times)


def check_ensemble(field: Any, z0: ArrayLike, ts: ArrayLike, thetas: Sequence[Any]) -> tuple[Inputs, Array]:
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
