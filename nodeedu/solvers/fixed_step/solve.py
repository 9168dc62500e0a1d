"""Solve and go back on the grid of grid.py, given a method's driver; dense output between the ends of steps."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import NamedTuple

import numpy as np

from nodeedu.solvers.arguments import Inputs, Options
from nodeedu.solvers.dense_output import find_steps
from nodeedu.solvers.fixed_step.grid import Times, Trail, make_grid, make_times
from nodeedu.solvers.integrate import ROUNDS
from nodeedu.solvers.solution import Solution
from nodeedu.solvers.solve import lanes_at_once, make_outputs, solve_again
from nodeedu.solvers.status import KERNEL_FAILED, SUCCESS, TOO_MANY_STEPS, kernel_failure
from nodeedu.solvers.tally import count_dense

Array = np.ndarray


class Scheme(NamedTuple):
    """A method: how it starts, its driver, and the size of its working array."""

    start: Callable[[Array, Array], tuple[Array, int]]  # z (n, D), t (n,) -> rows x (r, n, D), evaluations it took
    march: Callable[..., int]  # (n, first, x, times, grid, outputs, trail, samples) -> lanes that still run
    states: int  # m: the first rows of x, what a step starts from


def _steps(times: Times, samples: int, max_steps: int) -> tuple[Array, Array]:
    """Return how many steps each sample makes (B,), and which cannot reach their last output so."""
    wanted = np.broadcast_to(times.counts.sum(axis=1), samples)
    return np.minimum(wanted, max_steps).astype(np.int64), wanted > max_steps


def solve_on_grid(inputs: Inputs, options: Options, record: bool, scheme: Scheme) -> Solution:
    """Make the steps of all samples; a failure is a status.

    ``solution._method`` holds what the last step left, (m, B, D): what going back starts from.
    """
    z0, (count, size) = inputs.z0, inputs.z0.shape
    times = make_times(inputs.ts, options.step_size)
    steps, short = _steps(times, count, options.max_steps)
    outputs, samples = make_outputs(inputs)
    final = np.repeat(z0[None], scheme.states, axis=0)
    rows = int(steps.sum()) if record and not short.any() else 0  # what fails for sure needs no room
    trail = Trail(np.cumsum(steps) - steps, np.empty((rows, scheme.states, size), z0.dtype))
    order = np.argsort(-steps, kind="stable")
    chunk = lanes_at_once(scheme.states, z0[None])
    with getattr(inputs.field, "guard", nullcontext)():  # plain callables raise exceptions, and want them back
        for first in range(0, count if times.counts.size else 0, chunk):
            grid = make_grid(order[first : first + chunk], steps, times, False)
            x, evaluations = scheme.start(z0[grid.sample], samples["t"][grid.sample])
            samples["nfev"][grid.sample] = samples["f_initial"][grid.sample] = evaluations
            n, made = len(grid.sample), 0
            while n > 0:
                n = scheme.march(n, made, x, times, grid, outputs, trail, samples)
                made += ROUNDS
            if n < 0:
                samples["status"][grid.sample[grid.running == 1]] = KERNEL_FAILED
            final[:, grid.sample] = x[: scheme.states]
    samples["status"][short & (samples["status"] == SUCCESS)] = TOO_MANY_STEPS
    kept = trail if record else None
    zs = outputs.reshape(len(outputs), *inputs.state_shape)
    return Solution(
        zs, inputs.times, inputs, options, samples, final, kept,
        lambda: _interpolant(inputs, options, times, kept, samples),
    )  # fmt: skip


def undo_on_grid(
    solution: Solution, zs_bar: Array, stored: bool, rows: int, undo: Callable[..., int]
) -> tuple[Array, Array, Array]:
    """Go back over all steps with ``undo(n, gone, stored, x, bars, p_bar, zs_bar, times, grid, trail) -> lanes left``.

    Its x (rows, n, D) starts with the m blocks after the last step; bars (rows, n, D) with their cotangents, 0.

    Returns
    -------
    a : array (B, D)
        Sum of the cotangents of the m blocks, all of which start as z0; without the observation at t0.
    p_bar : array (P,)
        dL/dtheta.
    z0 : array (B, D)
        The initial state as it came back.
    """
    inputs, final = solution._inputs, solution._method
    states, count, size = final.shape
    times = make_times(inputs.ts, solution._options.step_size)
    steps = np.array(solution._samples["accepted"])
    trail = solution._records or Trail(np.zeros(count, np.int64), np.empty((0, states, size), final.dtype))
    p_bar, a, back = np.zeros(inputs.field.n_params, final.dtype), np.zeros_like(inputs.z0), inputs.z0.copy()
    order = np.argsort(-steps, kind="stable")
    chunk = lanes_at_once(2 * rows, inputs.z0[None])
    for first in range(0, count if times.counts.size else 0, chunk):
        grid = make_grid(order[first : first + chunk], steps, times, True)
        x, bars = np.zeros((2, rows, len(grid.sample), size), final.dtype)
        x[:states] = final[:, grid.sample]
        n, gone = len(grid.sample), 0
        while n > 0:
            n = undo(n, gone, stored, x, bars, p_bar, zs_bar, times, grid, trail)
            gone += ROUNDS
        if n < 0:
            raise kernel_failure("gradient", solution._options.method, float(grid.t[0]))
        a[grid.sample], back[grid.sample] = bars[:states].sum(axis=0), x[0]
    return a, p_bar, back


# ---------------------------------------------------------------- dense output


def _interpolant(
    inputs: Inputs, options: Options, times: Times, trail: Trail | None, counters: Array
) -> Callable[[Array], Array]:
    """Return cubic Hermite polynomials between the ends of steps: (n,) -> (n, B, D).

    Their slopes are evaluated here, and counted.
    """
    if times.counts.size == 0:
        return lambda t: np.repeat(inputs.z0[None], len(t), axis=0)
    trail = trail or solve_again(inputs, options, counters)._records
    kernel = inputs.field.kernel("f", inputs.z0.dtype)
    nodes = []
    for b, ends in enumerate(np.split(trail.states[:, 0], trail.row[1:])):
        row = b if len(times.ts) > 1 else 0
        t = np.append(_starts(times.ts[row], times.counts[row]), times.ts[row, -1])
        z = np.concatenate([inputs.z0[b : b + 1], ends])
        slopes, work = np.empty_like(z), np.empty(kernel.work_size, z.dtype)
        for i in range(len(t)):  # row by row, as a plain callable takes one state
            kernel.function(t[i : i + 1], z[i : i + 1], inputs.p, slopes[i : i + 1], work)
        count_dense(counters[b : b + 1], len(t))
        nodes.append((t, z, slopes))
    return lambda t: np.stack([_hermite(t, *each) for each in nodes], axis=1)


def _starts(ts: Array, counts: Array) -> Array:
    """Return where each step of one sample begins, as `place` computes it."""
    pieces = [a + np.arange(n) * ((b - a) / n) for a, b, n in zip(ts[:-1], ts[1:], counts, strict=True)]
    return np.concatenate(pieces)


def _hermite(times: Array, t: Array, z: Array, slopes: Array) -> Array:
    """Evaluate at times (n,) the cubics through values and slopes at t (N,) (Hairer, Norsett & Wanner I, II.6.7)."""
    i = find_steps(times, t[:-1], t[-1] - t[0])
    h = (t[i + 1] - t[i])[:, None]
    s = (times - t[i])[:, None] / h
    change, left, right = z[i + 1] - z[i], h * slopes[i], h * slopes[i + 1]
    return z[i] + s * change + s * (1 - s) * ((1 - s) * (left - change) - s * (right - change))
