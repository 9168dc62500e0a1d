"""From checked arguments to the kernels of a block a tile, and from their results to those of the CPU."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nodeedu.cuda.device import Target, launch
from nodeedu.cuda.ensemble import find_components, make_choices, make_rule
from nodeedu.cuda.limits import require_choices, require_room
from nodeedu.cuda.mlp import Perceptron, recognise
from nodeedu.cuda.mlp_reals import as_type
from nodeedu.cuda.tile import forward_tile_kernel
from nodeedu.cuda.tile_adjoint import backward_tile_kernel
from nodeedu.cuda.tile_field import Shape, gradient_order, shape_of
from nodeedu.cuda.warp import COUNTS, Forward
from nodeedu.cuda.warp_adjoint import Backward
from nodeedu.cuda.warp_launch import (
    atol_of,
    fill_samples,
    first_steps_of,
    nothing_to_do,
    require_adaptive,
    start_samples,
)
from nodeedu.solvers.arguments import Inputs, Options
from nodeedu.solvers.status import SUCCESS

__all__ = ["backsolve_tile", "launch_tile", "launch_tile_backward", "require_tile", "solve_tile"]

Array = np.ndarray
MOST_THREADS = 256
MOST_SHARED = 48 * 1024
FORWARD = (2, 4)  # samples of a thread; numbers in shared memory for each thread and sample
BACKWARD = (1, 6)


def require_tile(inputs: Inputs, options: Options, gradient: bool = False) -> tuple[Perceptron, Shape]:
    """Return the perceptron that a field is and how a block shares it out, or raise ValueError."""
    mlp, (each, rows) = recognise(inputs.field, "tile"), BACKWARD if gradient else FORWARD
    require_choices(inputs, options)
    require_adaptive(options, inputs.z0.dtype, "tile")
    shape = shape_of(mlp, each)
    needed = shape.samples * shape.threads * rows * inputs.z0.dtype.itemsize
    if shape.threads > MOST_THREADS or needed > MOST_SHARED:
        raise ValueError(
            f"field: {mlp.size} components and {mlp.hidden} hidden units make tiles of {shape.samples} samples with "
            f"{shape.threads} threads; kernel='tile' has {MOST_THREADS} threads. Take backend='cpu'"
        )
    return mlp, shape


def launch_tile(inputs: Inputs, p: Array, options: Options, target: Target) -> tuple[Any, int, int, Forward]:
    """Return the kernel, the numbers of blocks and threads, and the argument that solve for a batch; p is (1, Q)."""
    mlp, shape = require_tile(inputs, options)
    real, (n, size) = inputs.z0.dtype, inputs.z0.shape
    if len(p) > 1:
        raise ValueError(f"thetas: got {len(p)}; all samples of a tile have the same weights, take kernel='warp'")
    kernel = target.kernel(
        forward_tile_kernel(mlp, shape, make_rule(options, inputs.own_times, False), as_type(real), target)
    )
    outputs = np.full((inputs.ts.shape[1], n, size), math.nan, real)
    outputs[0] = inputs.z0
    given = Forward(
        make_choices(options, real), p, inputs.ts.astype(real), atol_of(options, size, real),
        np.full(n, options.first_step, real), outputs, np.zeros((n, 2), real), np.zeros((n, len(COUNTS)), np.int32),
    )  # fmt: skip
    return kernel, math.ceil(n / shape.samples), shape.threads, given


def solve_tile(inputs: Inputs, p: Array, options: Options, target: Target) -> tuple[Array, Array]:
    """Solve with a block a tile; return outputs (T, B, D), nan where a sample failed, and counters (B,) of SAMPLE."""
    if inputs.ts.shape[1] == 1:
        require_tile(inputs, options)
        return inputs.z0[None].copy(), start_samples(inputs.ts[:, 0], len(inputs.z0))
    kernel, blocks, threads, given = launch_tile(inputs, p, options, target)
    require_room(given, len(inputs.z0), target)
    launch(kernel, blocks, threads, given)
    samples = start_samples(0.0, len(inputs.z0))
    fill_samples(samples, given, 1 + (given.first_steps == 0), options)
    find_components(inputs, p, options, samples)
    return given.outputs, samples


def launch_tile_backward(
    inputs: Inputs, options: Options, zs: Array, zs_bar: Array, first_steps: Array, target: Target
) -> tuple[Any, int, int, Backward]:
    """Return the kernel, the numbers of blocks and threads, and the argument of the adjoint; zs, zs_bar (T, B, D)."""
    mlp, shape = require_tile(inputs, options, gradient=True)
    real, (n, size) = inputs.z0.dtype, inputs.z0.shape
    rule, blocks = make_rule(options, inputs.own_times, False), math.ceil(n / shape.samples)
    kernel = target.kernel(backward_tile_kernel(mlp, shape, rule, as_type(real), target))
    given = Backward(
        make_choices(options, real), inputs.p[None], np.ascontiguousarray(inputs.ts[:, ::-1], real),
        atol_of(options, size, real), first_steps_of(options, first_steps, real), zs, zs_bar,
        np.zeros((2, n, size), real), np.zeros((blocks, gradient_order(mlp)[1]), real), np.zeros((n, 2), real),
        np.zeros((n, len(COUNTS)), np.int32),
    )  # fmt: skip
    return kernel, blocks, shape.threads, given


def backsolve_tile(
    inputs: Inputs, options: Options, zs: Array, zs_bar: Array, first_steps: Array, target: Target
) -> tuple[Array, Array, Array, Array]:
    """Solve the adjoint ODE with a block a tile; return what `backsolve_ensemble` does."""
    if len(zs) == 1:
        return nothing_to_do(inputs)
    kernel, blocks, threads, given = launch_tile_backward(inputs, options, zs, zs_bar, first_steps, target)
    require_room(given, len(inputs.z0), target)
    launch(kernel, blocks, threads, given)
    samples = start_samples(0.0, len(inputs.z0))
    fill_samples(samples, given, given.counts[:, 3] - (given.counts[:, 0] == SUCCESS), options)
    p_bar = given.p_bars.sum(axis=0)[gradient_order(recognise(inputs.field))[0]]
    return given.results[1], p_bar, samples, given.results[0]
