"""One step of the methods of reversible.py, forwards, and backwards along with its vector-Jacobian product."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from nodeedu import tableaus
from nodeedu.compile.kernels import DONE, call_f, call_vjp
from nodeedu.solvers.core import core
from nodeedu.solvers.fixed_step.grid import moments

Array = np.ndarray

COUPLING = 0.999

# Rows of the working array x, and of their cotangents: y first, as outputs are read there.
Y, V, SLOPE, PULLED, LAG = np.arange(5)  # of reversible_heun; LAG: the part of y1 that waits for the slope before it
W, STAGE, K = np.arange(1, 4)  # of the wrapper: y, w, the state of a stage or an increment, slopes


class Wrapped(NamedTuple):
    """An explicit Runge-Kutta method without the stage that only FSAL or dense output need; no stages: Heun's pair."""

    A: Array  # (s, s)
    b: Array  # (s,)
    c: Array  # (s,)


def wrapped(name: str) -> Wrapped:
    """Return what a method wraps."""
    if name == "reversible_heun":
        return Wrapped(np.empty((0, 0)), np.empty(0), np.empty(0))
    tableau = tableaus.get(name.removeprefix("reversible_"))
    s = tableau.stages
    while tableau.b[s - 1] == 0.0:
        s -= 1
    return Wrapped(np.array(tableau.A[:s, :s]), np.array(tableau.b[:s]), np.array(tableau.c[:s]))


class Back(NamedTuple):
    """What evaluating f and its derivatives takes, on the way back."""

    f: Any  # callees of the kernels
    vjp: Any
    p: Array
    work: Array
    vjp_work: Array
    p_bar: Array
    t: Array  # (n,)
    t_bar: Array  # (n,)


@core
def heun_step(n, callee, p, work, x, t, grid):
    """Make a step of reversible_heun; return `DONE` or 0."""
    for b in range(n):
        h = grid.h[b]
        for i in range(x.shape[2]):
            x[V, b, i] = 2.0 * x[Y, b, i] - x[V, b, i] + h * x[SLOPE, b, i]
            x[Y, b, i] += 0.5 * h * x[SLOPE, b, i]
    moments(n, 1.0, grid, t)
    done = call_f(callee, n, t, x[V], p, x[SLOPE], work)
    for b in range(n):
        for i in range(x.shape[2]):
            x[Y, b, i] += 0.5 * grid.h[b] * x[SLOPE, b, i]
    return done


@core
def pair_step(n, callee, p, work, method, x, t, grid):
    """Make a step of the wrapper; return `DONE` or 0."""
    s = method.b.shape[0]
    done = increment(n, s, 1.0, W, callee, p, work, method, x, t, grid)
    for b in range(n):
        for i in range(x.shape[2]):
            w = x[W, b, i]
            x[Y, b, i] = w + COUPLING * (x[Y, b, i] - w) + x[STAGE, b, i]
    done = min(done, increment(n, s, -1.0, Y, callee, p, work, method, x, t, grid))
    for b in range(n):
        for i in range(x.shape[2]):
            x[W, b, i] -= x[STAGE, b, i]
    return done


@core
def increment(n, count, sign, base, callee, p, work, method, x, t, grid):
    """Evaluate the first slopes of a step from x[base], of size h from t or -h from t1; Psi goes to x[STAGE]."""
    done = DONE
    for q in range(count):
        stage_state(n, q, sign, base, method, x, grid)
        moments(n, method.c[q] if sign > 0.0 else 1.0 - method.c[q], grid, t)
        done = min(done, call_f(callee, n, t, x[STAGE], p, x[K + q], work))
    psi(n, sign, method, x, grid)
    return done


@core
def stage_state(n, q, sign, base, method, x, grid):
    """Set x[STAGE] to the state of stage q."""
    for b in range(n):
        h = sign * grid.h[b]
        for i in range(x.shape[2]):
            total = 0.0
            for r in range(q):
                total += method.A[q, r] * x[K + r, b, i]
            x[STAGE, b, i] = x[base, b, i] + h * total


@core
def psi(n, sign, method, x, grid):
    """Set x[STAGE] to the increment."""
    for b in range(n):
        h = sign * grid.h[b]
        for i in range(x.shape[2]):
            total = 0.0
            for r in range(method.b.shape[0]):
                total += method.b[r] * x[K + r, b, i]
            x[STAGE, b, i] = h * total


@core
def undo_heun(n, rest, back, x, bars, grid):
    """Undo a step of reversible_heun, given y1 but for the slope at its own end, and v1; return `DONE` or 0.

    ``k1_bar += h/2 y1_bar``, ``v1_bar += k1_bar f_z(v1)``; then ``y_bar = y1_bar + 2 v1_bar``, ``v_bar = -v1_bar``,
    ``k_bar = h/2 y1_bar + h v1_bar``. The vector-Jacobian product returns k1, which completes y1. Lanes from rest to n
    have reached z0, where v and k come from.
    """
    for b in range(n):
        for i in range(x.shape[2]):
            bars[SLOPE, b, i] += 0.5 * grid.h[b] * bars[Y, b, i]
    moments(n, 1.0, grid, back.t)
    done = pull_slope(0, n, back, x, bars)
    for b in range(n):
        h = grid.h[b]
        for i in range(x.shape[2]):
            y, slope, y_bar, v_bar = x[Y, b, i], x[SLOPE, b, i], bars[Y, b, i], bars[V, b, i]
            x[V, b, i] = 2.0 * y - x[V, b, i] - h * slope
            x[Y, b, i] = y - 0.5 * h * slope
            bars[Y, b, i], bars[V, b, i] = y_bar + 2.0 * v_bar, -v_bar
            bars[SLOPE, b, i], bars[LAG, b, i] = 0.5 * h * y_bar + h * v_bar, 0.5 * h
    if rest < n:
        moments(n, 0.0, grid, back.t)
        done = min(done, pull_slope(rest, n, back, x, bars))
        bars[SLOPE, rest:n] = 0.0
    return done


@core
def pull_slope(start, n, back, x, bars):
    """Evaluate the slope at v and pull its cotangent back to v, for the lanes from start to n; complete y."""
    done = call_vjp(back.vjp, n - start, back.t[start:], x[V, start:], bars[SLOPE, start:], back.p, x[SLOPE, start:],
                    back.t_bar[start:], bars[PULLED, start:], back.p_bar, back.vjp_work)  # fmt: skip
    for b in range(start, n):
        for i in range(x.shape[2]):
            bars[V, b, i] += bars[PULLED, b, i]
            x[Y, b, i] -= bars[LAG, b, i] * x[SLOPE, b, i]
    return done


@core
def undo_pair(n, back, method, x, bars, dz, grid):
    """Undo a step of the wrapper; return `DONE` or 0."""
    done = pull_increment(n, -1.0, Y, W, back, method, x, bars, dz, grid)
    for b in range(n):
        for i in range(x.shape[2]):
            x[W, b, i] += x[STAGE, b, i]
    done = min(done, pull_increment(n, 1.0, W, Y, back, method, x, bars, dz, grid))
    for b in range(n):
        for i in range(x.shape[2]):
            w = x[W, b, i]
            x[Y, b, i] = w + (x[Y, b, i] - w - x[STAGE, b, i]) / COUPLING
            bars[W, b, i] += (1.0 - COUPLING) * bars[Y, b, i]
            bars[Y, b, i] *= COUPLING
    return done


@core
def pull_increment(n, sign, base, target, back, method, x, bars, dz, grid):
    """Evaluate the increment from x[base] that was added, times sign, to the target; pull its cotangent back to base.

    The vector-Jacobian product at the last stage returns the last slope; the others are needed before it.
    """
    s = method.b.shape[0]
    done = increment(n, s - 1, sign, base, back.f, back.p, back.work, method, x, back.t, grid)
    for b in range(n):
        for q in range(s):
            for i in range(x.shape[2]):  # sign twice: of the step and of the increment
                bars[K + q, b, i] = grid.h[b] * method.b[q] * bars[target, b, i]
    for q in range(s - 1, -1, -1):
        stage_state(n, q, sign, base, method, x, grid)
        moments(n, method.c[q] if sign > 0.0 else 1.0 - method.c[q], grid, back.t)
        slope = x[K + q] if q == s - 1 else dz
        done = min(done, call_vjp(back.vjp, n, back.t, x[STAGE], bars[K + q], back.p, slope, back.t_bar,
                                  bars[STAGE], back.p_bar, back.vjp_work))  # fmt: skip
        for b in range(n):
            for i in range(x.shape[2]):
                bars[base, b, i] += bars[STAGE, b, i]
                for r in range(q):
                    bars[K + r, b, i] += sign * grid.h[b] * method.A[q, r] * bars[STAGE, b, i]
    psi(n, sign, method, x, grid)
    return done
