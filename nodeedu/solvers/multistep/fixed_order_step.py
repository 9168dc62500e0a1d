"""Steps of the Adams methods of fixed order: weights, the Runge-Kutta steps that start them, and the compiled driver.

The equations are in fixed_order.py. All rows (samples) share their times; they lie in rows of an array x (rows, n, D):

    x[Z] z_n   x[Z1] the argument of a slope, at last z_{n+1}   x[SLOPES + i] the last k slopes, a ring   x[STAGES + q]
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nodeedu.compile.kernels import DONE, call_f
from nodeedu.solvers.core import core, driver
from nodeedu.solvers.integrate import ROUNDS
from nodeedu.solvers.lanes import first_nonfinite
from nodeedu.solvers.status import KERNEL_FAILED, NON_FINITE, RUNNING, SUCCESS, TOO_MANY_STEPS
from nodeedu.solvers.step_control import equal_step, fixed_step_count

Array = np.ndarray
MAX_ORDER = 5
# NumPy integers, see runge_kutta.py
Z, Z1, SLOPES = np.arange(3)
STAGES = SLOPES + MAX_ORDER
# The absolute weights of equal steps add up to 12 at most (order 5). Where steps grow so much that they would add up
# to more than this, an error in the slopes, round-off too, would be magnified as much.
LARGEST = 50.0

STATE = np.dtype([
    ("t", "f8"),
    ("output", "i8"),  # the output at the end of the interval that it is in
    ("substep", "i8"),  # steps made in that interval
    ("made", "i8"),  # steps in all
    ("known", "i8"),  # slopes of the history, at most k
    ("head", "i8"),  # which of the ring is the newest
    ("evaluations", "i8"),  # of this step, after its first slope
    ("alive", "i8"),  # rows that have not ended
])  # fmt: skip


class Formula(NamedTuple):
    """A method: its order, whether it corrects, and the Runge-Kutta method that starts it."""

    order: int
    corrects: bool
    A: Array  # (s, s)
    b: Array  # (s,)
    c: Array  # (s,)


class Walk(NamedTuple):
    """Where n rows are, that go through the same times."""

    state: Array  # (1,) of STATE
    fate: Array  # (n,) RUNNING, or how each ended
    x: Array  # (STAGES + s, n, D)
    t: Array  # (n,) scratch
    nodes: Array  # (MAX_ORDER,) times of the slopes of the ring
    sigma: Array  # (MAX_ORDER,) scratch, as is poly (MAX_ORDER + 1,)
    poly: Array
    weights: Array  # (2, MAX_ORDER) of the newest slope first: predictor; corrector, that of the predicted slope first


class Trail(NamedTuple):
    """The steps of n rows, for `backward` and dense output; without rows if they are not kept."""

    t: Array  # (R,) where each step begins
    h: Array  # (R,) signed size
    weights: Array  # (R, 2, MAX_ORDER); 0 for Runge-Kutta steps
    rows: Array  # (R, 2, n, D) state and slope where it begins


@core
def lagrange_integrals(theta, sigma, count, poly, out):
    """Set ``out_j = int_0^theta prod_{i != j} (s - sigma_i) / (sigma_j - sigma_i) ds`` for j < count."""
    for j in range(count):
        degree = 0
        poly[0] = 1.0
        for i in range(count):
            if i != j:
                gap = sigma[j] - sigma[i]
                degree += 1
                poly[degree] = 0.0
                for m in range(degree, 0, -1):
                    poly[m] = (poly[m - 1] - sigma[i] * poly[m]) / gap
                poly[0] *= -sigma[i] / gap
        total = 0.0
        for m in range(degree, -1, -1):
            total = (total + poly[m] / (m + 1)) * theta
        out[j] = total


@core
def set_weights(k, h, corrects, walk):
    """Set the weights of a step of size h from the ring; return the sum of the predictor's absolute weights."""
    state, sigma = walk.state[0], walk.sigma
    for j in range(k):
        sigma[j] = (walk.nodes[(state.head - j) % MAX_ORDER] - state.t) / h
    lagrange_integrals(1.0, sigma, k, walk.poly, walk.weights[0])
    total = 0.0
    for j in range(k):
        total += abs(walk.weights[0, j])
    if corrects:
        for j in range(k - 1, 0, -1):
            sigma[j] = sigma[j - 1]
        sigma[0] = 1.0
        lagrange_integrals(1.0, sigma, k, walk.poly, walk.weights[1])
    return total


@driver
def march(callee, p, work, formula, step_size, max_steps, ts, walk, samples, outputs, trail):
    """Make at most `ROUNDS` steps; return whether any row still runs."""
    state, x, n = walk.state[0], walk.x, walk.t.shape[0]
    k, last = formula.order, ts.shape[0] - 1
    for _ in range(ROUNDS):
        start, stop = ts[state.output - 1], ts[state.output]
        count = fixed_step_count(start, stop, step_size)
        h, t1 = equal_step(start, stop, count, state.substep)
        state.head = (state.head + 1) % MAX_ORDER
        state.known = min(state.known + 1, k)
        walk.nodes[state.head] = state.t
        done = slope(callee, p, work, state.t, x[Z], x[SLOPES + state.head], walk, samples, state.made == 0)
        state.evaluations = 0
        multi = state.known == k and set_weights(k, h, formula.corrects, walk) <= LARGEST
        if multi:
            advance(h, walk.weights[0], 0, k, walk)
            if formula.corrects:
                done = min(done, slope(callee, p, work, t1, x[Z1], x[STAGES], walk, samples, False))
                advance(h, walk.weights[1], 1, k, walk)
        else:
            if state.known == k and k > 1:
                state.known = 1  # the older slopes are of no use for steps of this size
            done = min(done, start_step(callee, p, work, formula, h, t1, walk, samples))
        if trail.t.shape[0] > 0:
            keep(h, multi, walk, trail)
        finish(done, n, t1, h, max_steps, state.substep + 1 >= count, last, walk, samples, outputs)
        if state.alive == 0:
            break
    return state.alive > 0


@core
def slope(callee, p, work, t, z, dz, walk, samples, initial):
    """Evaluate the slopes of all rows, and count those of the rows that have not failed; return `DONE` or 0."""
    walk.state[0].evaluations += 1
    for b in range(walk.t.shape[0]):
        walk.t[b] = t
        if walk.fate[b] == RUNNING:
            samples[b].nfev += 1
            if initial:
                samples[b].f_initial += 1
    return call_f(callee, walk.t.shape[0], walk.t, z, p, dz, work)


@core
def advance(h, weights, ahead, k, walk):
    """Set ``z1 = z + h sum_j weights_j f_{n-j}``; with ``ahead``, the first weight is that of the slope at t_{n+1}."""
    x, head = walk.x, walk.state[0].head
    for b in range(x.shape[1]):
        for i in range(x.shape[2]):
            total = weights[0] * x[STAGES, b, i] if ahead else 0.0
            for j in range(ahead, k):
                total += weights[j] * x[SLOPES + (head - j + ahead) % MAX_ORDER, b, i]
            x[Z1, b, i] = x[Z, b, i] + h * total


@core
def start_step(callee, p, work, formula, h, t1, walk, samples):
    """Make a Runge-Kutta step; its first slope is the newest of the ring."""
    x, t, done = walk.x, walk.state[0].t, DONE
    first = SLOPES + walk.state[0].head
    stages = formula.b.shape[0]
    for q in range(1, stages + 1):
        weights = formula.b if q == stages else formula.A[q]
        for b in range(x.shape[1]):
            for i in range(x.shape[2]):
                total = weights[0] * x[first, b, i]
                for r in range(1, q):
                    total += weights[r] * x[STAGES + r, b, i]
                x[Z1, b, i] = x[Z, b, i] + h * total
        if q < stages:
            moment = t1 if formula.c[q] == 1.0 else t + formula.c[q] * h
            done = min(done, slope(callee, p, work, moment, x[Z1], x[STAGES + q], walk, samples, False))
    return done


@core
def keep(h, multi, walk, trail):
    """Record the step that was made."""
    state, x = walk.state[0], walk.x
    m = state.made
    trail.t[m], trail.h[m] = state.t, h
    for j in range(MAX_ORDER):
        trail.weights[m, 0, j] = walk.weights[0, j] if multi else 0.0
        trail.weights[m, 1, j] = walk.weights[1, j] if multi else 0.0
    for b in range(x.shape[1]):
        for i in range(x.shape[2]):
            trail.rows[m, 0, b, i] = x[Z, b, i]
            trail.rows[m, 1, b, i] = x[SLOPES + state.head, b, i]


@core
def finish(done, n, t1, h, max_steps, lands, last, walk, samples, outputs):
    """Judge the new state of every row, write it where it is an output, and move on."""
    state, x = walk.state[0], walk.x
    state.made += 1
    for b in range(n):
        if walk.fate[b] != RUNNING:
            continue
        sample = samples[b]
        sample.t, sample.h = state.t, abs(h)
        sample.component = first_nonfinite(x[Z1, b : b + 1])
        if done != DONE:
            walk.fate[b] = KERNEL_FAILED
        elif sample.component >= 0:
            sample.rejected += 1
            sample.f_rejected += state.evaluations
            walk.fate[b] = NON_FINITE
        else:
            sample.accepted += 1
            sample.t = t1
            for i in range(x.shape[2]):
                x[Z, b, i] = x[Z1, b, i]
                if lands:
                    outputs[state.output, b, i] = x[Z1, b, i]
            if lands and state.output == last:
                walk.fate[b] = SUCCESS
            elif state.made >= max_steps:
                walk.fate[b] = TOO_MANY_STEPS
        if walk.fate[b] != RUNNING:
            sample.status = walk.fate[b]
            state.alive -= 1
    state.t = t1
    state.substep += 1
    if lands:
        state.substep = 0
        state.output += 1
