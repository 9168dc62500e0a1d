"""Symplectic methods: kicks of p and drifts of q in turn, each with the slope that the other has just got.

For ``q' = f_q(t, p), p' = f_p(t, q)``, which includes every separable Hamiltonian system ``H = T(p) + V(q)``, a step is

    kick    p <- p + k_j h f_p(t + (d_1 + ... + d_{j-1}) h, q)
    drift   q <- q + d_j h f_q(t + (k_1 + ... + k_j) h, p)            for j = 1, 2, ...

Each line leaves what its slope depends on as it is. So each is a shear, which is symplectic and undone by a minus sign,
and so is their composition: ``dPhi^T J dPhi = J``, and the energy error stays bounded over times exponential in 1/h
(Hairer, Lubich & Wanner, Geometric Numerical Integration, VI.3, IX.8). A time in f_p runs along with q, one in f_q with
p, which makes the system autonomous and keeps the order. q and p are the halves of the state's first axis: states
(2n,), (2, ...) or (2n, ...). Each slope is a whole evaluation of the one field f, half of which is used.

    symplectic_euler   order 1   k = 1              d = 1        de Vogelaere, Notre Dame report 4 (1956)
    stormer_verlet     order 2   k = 1/2, 1/2       d = 1, 0     Stormer (1907); Verlet, Phys. Rev. 159 (1967) 98
    yoshida4           order 4   three steps of Stormer-Verlet, of sizes w, 1 - 2w, w with w = 1 / (2 - 2^(1/3)):
                                 Yoshida, Phys. Lett. A 150 (1990) 262

Where the last drift is 0, the last kick's slope is the next step's first: 2 evaluations a step for stormer_verlet, 6
for yoshida4. On ``q'' = -w^2 q``, stormer_verlet is stable for ``h w < 2``.

For any other field the formulas above would be explicit methods of order 1 without any of these properties: `solve`
compares slopes at z0 and at two points beside it, which costs three evaluations, and refuses.
"""

from __future__ import annotations

from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np

from nodeedu.compile.kernels import DONE, call_f, call_vjp
from nodeedu.solvers.arguments import Inputs, Options
from nodeedu.solvers.core import core, driver
from nodeedu.solvers.fixed_step.grid import finish, go_back, moments, place
from nodeedu.solvers.fixed_step.solve import Scheme, solve_on_grid, undo_on_grid
from nodeedu.solvers.integrate import ROUNDS
from nodeedu.solvers.solution import Solution

Array = np.ndarray

Z, DZ = np.arange(2)  # rows of the working array x: state and slopes
BAR, PULLED, SLOPE_BAR, WEIGHT = np.arange(4)  # rows of its cotangents in `undo`


class Splitting(NamedTuple):
    """Coefficients of a method."""

    kicks: Array  # (s,)
    drifts: Array  # (s,), 0 at the end if the last slope is the first of the next step
    kick_times: Array  # (s,) the drifts that come before each kick, summed
    drift_times: Array  # (s,) the kicks that come before each drift, summed


@cache
def splitting(name: str) -> Splitting:
    """Return the coefficients of a method."""
    w = 1.0 / (2.0 - 2.0 ** (1 / 3))
    kicks, drifts = {
        "symplectic_euler": ([1.0], [1.0]),
        "stormer_verlet": ([0.5, 0.5], [1.0, 0.0]),
        "yoshida4": ([w / 2, (1 - w) / 2, (1 - w) / 2, w / 2], [w, 1 - 2 * w, w, 0.0]),
    }[name]
    k, d = np.array(kicks), np.array(drifts)
    kick_times, drift_times = np.cumsum(d) - d, np.cumsum(k)
    for sums in (kick_times, drift_times):
        sums[abs(sums - 1.0) < 1e-15] = 1.0  # the end of the step is reached exactly
    return Splitting(k, d, kick_times, drift_times)


def solve(inputs: Inputs, options: Options, record: bool = False) -> Solution:
    """Make the steps of all samples.

    Parameters
    ----------
    inputs, options : Inputs, Options
        As arguments.py made them.
    record : bool
        Whether to keep the states at the ends of steps, for `backward` and for dense output.

    Raises
    ------
    ValueError
        If the state has no halves, or the field is not of the form above.
    """
    shape = inputs.field.shape
    if not shape or shape[0] % 2:
        raise ValueError(
            f"z0: got a state of shape {shape}; {options.method!r} takes the halves of the first axis as positions and "
            "momenta (q, p), and expects its length to be even"
        )
    kernel = inputs.field.kernel("f", inputs.z0.dtype)
    work = np.empty(kernel.work_size, inputs.z0.dtype)
    bound = partial(march, callee=kernel.callee, p=inputs.p, work=work, splitting=splitting(options.method))

    def go(n, made, x, times, grid, outputs, trail, samples):
        return bound(n, made, x=x, t=np.empty(n), times=times, grid=grid, outputs=outputs, trail=trail, samples=samples)

    return solve_on_grid(inputs, options, record, Scheme(partial(_start, inputs, options, kernel), go, 1))


def _start(inputs: Inputs, options: Options, kernel: Any, z: Array, t: Array) -> tuple[Array, int]:
    """Return rows Z and DZ at the start, and how many evaluations it took to find that the field is separable."""
    (n, size), half = z.shape, z.shape[1] // 2
    work, slopes = np.empty(kernel.work_size, z.dtype), np.empty((3, n, size), z.dtype)
    points = np.stack([z] * 3)
    # No field of interest is flat in just this direction; 1 % is far above rounding, and not far from z0.
    shift = 0.01 * (1.0 + abs(z)) * np.cos(np.arange(size))
    points[1, :, :half] += shift[:, :half]
    points[2, :, half:] += shift[:, half:]
    for point, slope in zip(points, slopes, strict=True):
        kernel.function(t, point, inputs.p, slope, work)
    with np.errstate(invalid="ignore", over="ignore"):
        changes = np.stack([abs(slopes[1] - slopes[0])[:, :half], abs(slopes[2] - slopes[0])[:, half:]])
        sizes = np.stack([abs(each).max(axis=(0, 2)) for each in (slopes[..., :half], slopes[..., half:])])
        allowed = 100.0 * np.finfo(z.dtype).eps * sizes
        wrong = np.argwhere(changes.max(axis=2) > allowed)  # nan is no verdict: it will be met on the way
    if len(wrong):
        which, b = wrong[0]
        name, argument = ("q", "q") if which == 0 else ("p", "p")
        raise ValueError(
            f"method: {options.method!r} takes q' = f_q(t, p), p' = f_p(t, q) with (q, p) the halves of the state, but "
            f"here the slope of {name} depends on {argument} too: it changes by {changes[which, b].max():.3g} with it "
            f"near z0 at t = {t[b]:.6g}; take another method, such as 'rk4'"
        )
    return np.stack([z, slopes[0]]), 3


@driver
def march(n, made, callee, p, work, splitting, x, t, times, grid, outputs, trail, samples):
    """Make up to `ROUNDS` steps with the first n lanes; return how many still run, or -1 if the kernel failed."""
    s, half, size = splitting.kicks.shape[0], x.shape[2] // 2, x.shape[2]
    fsal = splitting.drifts[s - 1] == 0.0
    for made_before in range(made, made + ROUNDS):
        place(n, times, grid)
        done, evaluations = DONE, 0
        for j in range(s):
            if j > 0 or not (fsal or made_before == 0):  # else the slope is known
                moments(n, splitting.kick_times[j], grid, t)
                done = min(done, call_f(callee, n, t, x[Z], p, x[DZ], work))
                evaluations += 1
            add(n, splitting.kicks[j], half, size, grid, x)
            if splitting.drifts[j] != 0.0:
                moments(n, splitting.drift_times[j], grid, t)
                done = min(done, call_f(callee, n, t, x[Z], p, x[DZ], work))
                evaluations += 1
                add(n, splitting.drifts[j], 0, half, grid, x)
        if done != DONE:
            return -1
        n = finish(n, made_before + 1, evaluations, 1, x, times, grid, outputs, trail, samples)
        if n == 0:
            break
    return n


@core
def add(n, coefficient, first, last, grid, x):
    """Move the components from first to last by their slopes times ``coefficient h``."""
    for b in range(n):
        weight = coefficient * grid.h[b]
        for i in range(first, last):
            x[Z, b, i] += weight * x[DZ, b, i]


def backward(solution: Solution, zs_bar: Array) -> tuple[Array, Array, Array]:
    """Backpropagate through the steps from their stored ends; see `reverse`, which stores none."""
    a, p_bar, nfev, _ = _undo(solution, zs_bar, True)
    return a, p_bar, nfev


def reverse(solution: Solution, zs_bar: Array) -> tuple[Array, Array, Array, Array]:
    """Backpropagate through the steps while undoing them: the vector-Jacobian product computes the slope anyway.

    With a bar for dL/d(...), a row, ``p1 = p + w f_p(q)`` goes back as

        a = w p1_bar,      q_bar += a (f_p)_q,      theta_bar += a (f_p)_theta,      p = p1 - w f_p(q).

    Returns
    -------
    a : array (B, D)
        a(t0+), without the observation at t0.
    p_bar : array (P,)
        dL/dtheta.
    nfev : array (B,)
        Evaluations of f with its derivatives.
    z0 : array (B, D)
        The initial state as it came back.
    """
    return _undo(solution, zs_bar, False)


def _undo(solution: Solution, zs_bar: Array, stored: bool) -> tuple[Array, Array, Array, Array]:
    inputs, method = solution._inputs, splitting(solution._options.method)
    kernel = inputs.field.kernel("vjp", inputs.z0.dtype)
    work = np.empty(kernel.work_size, inputs.z0.dtype)

    def go(n, gone, stored, x, bars, p_bar, zs_bar, times, grid, trail):
        t, t_bar = np.empty(n), np.empty(n, x.dtype)
        return undo(
            n, gone, stored, kernel.callee, inputs.p, p_bar, work, method, x, bars, t, t_bar, zs_bar, times, grid, trail
        )  # fmt: skip

    a, p_bar, z0 = undo_on_grid(solution, zs_bar, stored, 4, go)
    steps, s = solution._samples["accepted"], len(method.kicks)
    return a, p_bar, steps * (2 * s - 2) + (steps > 0) if method.drifts[-1] == 0.0 else steps * 2 * s, z0


@driver
def undo(n, gone, stored, callee, p, p_bar, work, splitting, x, bars, t, t_bar, zs_bar, times, grid, trail):
    """Go back over up to `ROUNDS` steps; return how many of the n lanes have more, or -1 if the kernel failed."""
    s, half, size = splitting.kicks.shape[0], x.shape[2] // 2, x.shape[2]
    fsal = splitting.drifts[s - 1] == 0.0
    for gone_before in range(gone, gone + ROUNDS):
        rest, done = go_back(n, gone_before, 1, stored, x, bars[BAR], zs_bar, times, grid, trail), DONE
        if stored:
            bars[WEIGHT] = 0.0  # the stored state is that before the first kick of the step after
        for j in range(s - 1, -1, -1):
            if splitting.drifts[j] != 0.0:
                weigh(n, splitting.drifts[j], 0, half, grid, bars)
                moments(n, splitting.drift_times[j], grid, t)
                done = min(done, pull(0, n, 0, half, callee, p, p_bar, work, x, bars, t, t_bar))
            weigh(n, splitting.kicks[j], half, size, grid, bars)
            moments(n, splitting.kick_times[j], grid, t)
            # The first slope of a step is the last of the step before, and is pulled back there.
            first = rest if fsal and j == 0 else 0
            if first < n:
                done = min(done, pull(first, n, half, size, callee, p, p_bar, work, x, bars, t, t_bar))
        if done != DONE:
            return -1
        n = rest
        if n == 0:
            break
    return n


@core
def weigh(n, coefficient, first, last, grid, bars):
    """Add a kick or a drift of the components from first to last to what `pull` is to undo."""
    for b in range(n):
        weight = coefficient * grid.h[b]
        for i in range(first, last):
            bars[WEIGHT, b, i] += weight
            bars[SLOPE_BAR, b, i] += weight * bars[BAR, b, i]


@core
def pull(start, n, first, last, callee, p, p_bar, work, x, bars, t, t_bar):
    """Undo the kick or drift of the lanes from start to n, and pull its cotangent back; return `DONE` or 0."""
    done = call_vjp(callee, n - start, t[start:], x[Z, start:], bars[SLOPE_BAR, start:], p, x[DZ, start:],
                    t_bar[start:], bars[PULLED, start:], p_bar, work)  # fmt: skip
    for b in range(start, n):
        for i in range(x.shape[2]):
            bars[BAR, b, i] += bars[PULLED, b, i]
        for i in range(first, last):
            x[Z, b, i] -= bars[WEIGHT, b, i] * x[DZ, b, i]
            bars[WEIGHT, b, i] = bars[SLOPE_BAR, b, i] = 0.0
    return done
