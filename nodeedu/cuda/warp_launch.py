"""From checked arguments to the kernels of a warp a sample, and from their results to those of the CPU."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nodeedu import tableaus
from nodeedu.cuda.device import Target, launch
from nodeedu.cuda.ensemble import find_components, make_choices, make_rule
from nodeedu.cuda.limits import require_choices, require_room
from nodeedu.cuda.mlp import Perceptron
from nodeedu.cuda.mlp_flow import recognise_flow
from nodeedu.cuda.mlp_reals import as_type
from nodeedu.cuda.warp import COUNTS, Forward, forward_kernel
from nodeedu.cuda.warp_adjoint import Backward, backward_kernel
from nodeedu.cuda.warp_field import WARP, shape_of_theta
from nodeedu.cuda.warp_flow import width_of
from nodeedu.solvers.arguments import Inputs, Options
from nodeedu.solvers.lanes import make_samples
from nodeedu.solvers.runge_kutta import as_method
from nodeedu.solvers.status import SUCCESS

__all__ = [
    "WARPS", "atol_of", "backsolve_warp", "fill_samples", "first_steps_of", "launch_backward", "launch_forward",
    "nothing_to_do", "require_adaptive", "require_warp", "solve_warp", "start_samples",
]  # fmt: skip

Array = np.ndarray
WARPS = 4  # of a block
MOST_WARPS = 1024  # of a backward launch; each writes a gradient of its own
LARGEST_STATE = 8  # above, the weights of a lane do not fit into its registers
LARGEST_WORDS = {"float64": 60, "float32": 120}  # weights of a lane, and their gradient


def require_warp(inputs: Inputs, options: Options, gradient: bool = False) -> tuple[Perceptron, int | None]:
    """Return the perceptron and the probes of its flow, None without a flow; or raise ValueError.

    See `recognise_flow`.
    """
    (mlp, probes), real = recognise_flow(inputs.field, "warp"), inputs.z0.dtype.name
    require_choices(inputs, options)
    require_adaptive(options, inputs.z0.dtype, "warp")
    words = math.prod(shape_of_theta(mlp)) * (2 if gradient else 1)
    if mlp.size > LARGEST_STATE or words > LARGEST_WORDS[real]:
        raise ValueError(
            f"field: {mlp.size} components and {mlp.hidden} hidden units make {words} weights of {real} for each lane "
            f"of a warp, which holds {LARGEST_WORDS[real]} and {LARGEST_STATE} components; take kernel='tile'"
        )
    if probes is not None and width_of(mlp, probes) > WARP:
        raise ValueError(
            f"noise: the state of a flow has {width_of(mlp, probes)} components, a warp holds {WARP}; take fewer probes"
        )
    return mlp, probes


def require_adaptive(options: Options, real: Any, kernel: str) -> None:
    """Raise ValueError if options ask for what the kernels of warps and tiles do not do."""
    method = None if options.tableau is None else as_method(options.tableau, real, True)
    if method is None or options.fixed or not method.fsal or options.tableau.b_hat is None:  # type: ignore[union-attr]
        known = [(name, tableaus.get(name)) for name in tableaus.names()]
        adaptive = [name for name, tableau in known if tableau.fsal and tableau.b_hat is not None]
        raise ValueError(
            f"method: got {options.method!r}{' with fixed steps' if options.fixed else ''}; kernel={kernel!r} takes "
            f"{', '.join(adaptive)} with adaptive steps, kernel='thread' any explicit method"
        )
    if options.jump_ts or options.norm != "rms":
        raise ValueError(f"jump_ts, norm: kernel={kernel!r} knows no jumps and norm='rms' alone; take kernel='thread'")


def launch_forward(inputs: Inputs, p: Array, options: Options, target: Target) -> tuple[Any, int, Forward]:
    """Return the kernel, the number of blocks and the argument that solve for a batch; p is (1, Q) or (B, Q)."""
    (mlp, probes), real, (n, size) = require_warp(inputs, options), inputs.z0.dtype, inputs.z0.shape
    rule = make_rule(options, inputs.own_times, len(p) > 1)
    kernel = target.kernel(forward_kernel(mlp, rule, as_type(real), target, probes))
    outputs = np.full((inputs.ts.shape[1], n, size), math.nan, real)
    outputs[0] = inputs.z0
    given = Forward(
        make_choices(options, real), p, inputs.ts.astype(real), atol_of(options, size, real),
        np.full(n, options.first_step, real), outputs, np.zeros((n, 2), real), np.zeros((n, len(COUNTS)), np.int32),
    )  # fmt: skip
    return kernel, math.ceil(n / WARPS), given


def solve_warp(inputs: Inputs, p: Array, options: Options, target: Target) -> tuple[Array, Array]:
    """Solve with a warp a sample; return outputs (T, B, D), nan where a sample failed, and counters (B,) of SAMPLE."""
    if inputs.ts.shape[1] == 1:
        require_warp(inputs, options)
        return inputs.z0[None].copy(), start_samples(inputs.ts[:, 0], len(inputs.z0))
    kernel, blocks, given = launch_forward(inputs, p, options, target)
    require_room(given, len(inputs.z0), target)
    launch(kernel, blocks, (WARP, WARPS), given)
    samples = start_samples(0.0, len(inputs.z0))
    first = 1 + (given.first_steps == 0)
    fill_samples(samples, given, first, options)
    find_components(inputs, p, options, samples)
    return given.outputs, samples


def launch_backward(
    inputs: Inputs, options: Options, zs: Array, zs_bar: Array, first_steps: Array, target: Target
) -> tuple[Any, int, Backward]:
    """Return the kernel, the number of blocks and the argument of the adjoint; zs and zs_bar are (T, B, D)."""
    (mlp, probes), real, (n, size) = require_warp(inputs, options, gradient=True), inputs.z0.dtype, inputs.z0.shape
    rule = make_rule(options, inputs.own_times, False)
    kernel = target.kernel(backward_kernel(mlp, rule, as_type(real), target, probes))
    warps = math.ceil(min(n, MOST_WARPS) / WARPS) * WARPS
    given = Backward(
        make_choices(options, real), inputs.p[None], np.ascontiguousarray(inputs.ts[:, ::-1], real),
        atol_of(options, size, real), first_steps_of(options, first_steps, real), zs, zs_bar,
        np.zeros((2, n, size), real), np.zeros((warps, mlp.n_params), real), np.zeros((n, 2), real),
        np.zeros((n, len(COUNTS)), np.int32),
    )  # fmt: skip
    return kernel, warps // WARPS, given


def backsolve_warp(
    inputs: Inputs, options: Options, zs: Array, zs_bar: Array, first_steps: Array, target: Target
) -> tuple[Array, Array, Array, Array]:
    """Solve the adjoint ODE with a warp a sample; return what `backsolve_ensemble` does."""
    if len(zs) == 1:
        return nothing_to_do(inputs)
    kernel, blocks, given = launch_backward(inputs, options, zs, zs_bar, first_steps, target)
    require_room(given, len(inputs.z0), target)
    launch(kernel, blocks, (WARP, WARPS), given)
    samples = start_samples(0.0, len(inputs.z0))
    fill_samples(samples, given, given.counts[:, 3] - (given.counts[:, 0] == SUCCESS), options)
    return given.results[1], given.p_bars.sum(axis=0), samples, given.results[0]


def nothing_to_do(inputs: Inputs) -> tuple[Array, Array, Array, Array]:
    """Return what the adjoint of a solve with one output time has come to."""
    samples, z0 = start_samples(inputs.ts[:, 0], len(inputs.z0)), inputs.z0
    return np.zeros_like(z0), np.zeros(inputs.field.n_params, z0.dtype), samples, z0.copy()


def first_steps_of(options: Options, first_steps: Array, real: Any) -> Array:
    """Return the step sizes (B,) that the adjoint starts with: those given, where the options have none."""
    return np.full(len(first_steps), options.first_step or first_steps, real)


def atol_of(options: Options, size: int, real: Any) -> Array:
    """Return the absolute tolerance of each component."""
    return np.array(np.broadcast_to(options.atol, size), real)


def start_samples(t: Any, n: int) -> Array:
    """Return counters of samples at t."""
    samples = make_samples(n)
    samples["t"] = t
    return samples


def fill_samples(samples: Array, given: Any, first: Array, options: Options) -> None:
    """Set the counters from those of a kernel, and how many first slopes it has evaluated."""
    status, accepted, rejected, _ = given.counts.T.astype(np.int64)
    stages = len(as_method(options.tableau, given.ends.dtype, True).b)
    samples["t"], samples["h"] = given.ends.T
    samples["status"], samples["accepted"], samples["rejected"] = status, accepted, rejected
    samples["f_initial"] = first
    samples["nfev"], samples["f_rejected"] = first + (accepted + rejected) * (stages - 1), rejected * (stages - 1)
