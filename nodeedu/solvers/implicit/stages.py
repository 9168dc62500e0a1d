"""The stages of one implicit step: the first guess, the iteration, and what to do when it does not converge."""

from __future__ import annotations

import math

from nodeedu.compile.kernels import DONE
from nodeedu.solvers.core import core
from nodeedu.solvers.dense_output import interpolation_weight
from nodeedu.solvers.implicit.control import FRESH, GOOD_RATE, MISSING, OLD, UNKNOWN_RATE, scales
from nodeedu.solvers.implicit.newton import correct, decompose, evaluate_jacobian, stage_slopes
from nodeedu.solvers.lanes import first_nonfinite
from nodeedu.solvers.norms import scaled_norm

CONVERGED, DIVERGED, NOT_FINITE, BROKEN = 1, 0, -1, -2  # how an iteration ends; BROKEN: a kernel failed


@core
def solve_stages(system, method, control, walk, states, stages, sample):
    """Find the stages Z; return how the iteration ended.

    Two attempts: from the polynomial of the last step, continued, with the matrices at hand; then from Z = 0, with the
    Jacobian of this step.
    """
    outcome = DIVERGED
    size = states.y.shape[1]
    for attempt in range(2):
        if walk.jacobian == MISSING or (attempt == 1 and walk.jacobian == OLD):
            done = evaluate_jacobian(system, walk.t, states.y, states.slope, stages)
            sample.njev += 1
            if not system.exact:
                sample.nfev += size
                sample.f_newton += size
            walk.jacobian, walk.factored = FRESH, 0.0
            if done != DONE:
                return BROKEN
        if walk.factored != walk.step:
            walk.factored = walk.step if decompose(walk.step, method, stages) else 0.0
            sample.nlu += method.mu.shape[0]
            if walk.factored == 0.0:
                outcome = DIVERGED  # singular: another Jacobian, or another step size
                continue
        predict(method, walk, states, stages, attempt == 0)
        outcome = iterate(system, method, control, walk, states, stages, sample)
        if outcome in (CONVERGED, BROKEN):
            return outcome
        walk.contraction = UNKNOWN_RATE
        if walk.jacobian == FRESH and not control.fixed:
            return outcome  # a shorter step is cheaper than another attempt
    return outcome


@core
def predict(method, walk, states, stages, extrapolates):
    """Set the first guess of Z: the dense output of the last step beyond its end, or zero."""
    first, (m, size) = method.explicit, stages.Z.shape
    for i in range(m):
        for a in range(size):
            stages.Z[i, a] = states.old[0, a] - states.y[0, a] if extrapolates and walk.last_step != 0.0 else 0.0
        if extrapolates and walk.last_step != 0.0:
            theta = 1.0 + method.c[first + i] * walk.step / walk.last_step
            for q in range(states.k.shape[0]):
                weight = walk.last_step * interpolation_weight(method.interpolant, q, theta)
                for a in range(size):
                    stages.Z[i, a] += weight * states.k[q, a]


@core
def iterate(system, method, control, walk, states, stages, sample):
    """Iterate until what is left of the error of Z, ``contraction |dZ|``, is below the tolerance."""
    m = stages.Z.shape[0]
    contraction = max(walk.contraction, control.epsilon) ** 0.8  # a guess from the last step, for the first iteration
    change = old_change = quotient = old_quotient = 0.0
    walk.rate = GOOD_RATE
    for k in range(control.most_iterations):
        done = stage_slopes(system, method, states.y, stages)
        sample.nfev += m
        sample.f_newton += m
        if done != DONE:
            return BROKEN
        if first_nonfinite(stages.slopes[method.explicit :]) >= 0:
            return NOT_FINITE if k == 0 else DIVERGED  # later, it is the iterates that go astray
        correct(walk.step, method, states.slope, stages)
        scales(control, states.y, stages.Z, states.atol, states.scale)
        change = scaled_norm(stages.slopes[method.explicit :], states.scale)
        walk.iterations = k + 1.0
        if not change < math.inf:
            return DIVERGED
        if k > 0 and change > 0.0:
            quotient = change / old_change
            walk.rate = quotient if k == 1 else math.sqrt(quotient * old_quotient)
            if control.fixed and quotient > 0.5 and old_change <= control.epsilon**0.4:
                return CONVERGED  # round-off: it gets no better
            if walk.rate >= 0.99 and not control.fixed:
                return DIVERGED
            if walk.rate < 0.99:
                contraction = walk.rate / (1.0 - walk.rate)
            left = control.most_iterations - 1 - k
            if not control.fixed and contraction * change * walk.rate**left > control.tolerance:
                return DIVERGED  # even if it goes on like this
        if change == 0.0 or contraction * change <= control.tolerance:
            walk.contraction = contraction
            return CONVERGED
        old_change, old_quotient = change, quotient
    return DIVERGED


@core
def finish_stages(method, walk, states, stages):
    """Set ``y1 = y + sum_i end_i Z_i`` and the slopes ``k = A^-1 Z / h``, which solve the equations of the stages."""
    first, (m, size) = method.explicit, stages.Z.shape
    for a in range(size):
        total = 0.0
        for i in range(m):
            total += method.end[i] * stages.Z[i, a]
            slope = 0.0
            for j in range(m):
                slope += method.a_inverse[i, j] * stages.Z[j, a]
            slope /= walk.step
            if first == 1:
                slope -= method.known[i] * states.slope[0, a]
                stages.slopes[0, a] = states.slope[0, a]
            stages.slopes[first + i, a] = slope
        states.y1[0, a] = states.y[0, a] + total
