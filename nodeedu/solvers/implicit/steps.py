"""The driver of implicit methods: samples are solved one after the other, each with its own steps.

A trial step

    prepare        where it ends, and the slope at its start where anything needs it
    solve_stages   Jacobian and LU decompositions where the old ones will not do, Newton's method (stages.py)
    judge          error estimate (adaptive steps), and the size of the next step
    accept         record, outputs, new state

The error estimate of an adaptive method is ``(I - h J / mu)^-1 (z1_hat - z1)``, filtered by the matrix that is factored
anyway so that it stays bounded for stiff components: Hairer & Wanner, Solving Ordinary Differential Equations II,
section IV.8, equations (8.19) and (8.20).
"""

from __future__ import annotations

import math

from nodeedu.compile.kernels import DONE, call_f
from nodeedu.solvers.core import core, driver
from nodeedu.solvers.dense_output import interpolation_weight
from nodeedu.solvers.implicit.control import (
    EXPONENT,
    GOOD_RATE,
    MISSING,
    OLD,
    SMALLEST_OLD_RATIO,
    UNKNOWN_RATE,
    aim,
    keeps_jacobian,
    next_size,
)
from nodeedu.solvers.implicit.lu import substitute
from nodeedu.solvers.implicit.stages import BROKEN, CONVERGED, NOT_FINITE, finish_stages, solve_stages
from nodeedu.solvers.integrate import ROUNDS
from nodeedu.solvers.lanes import first_nonfinite
from nodeedu.solvers.norms import scaled_norm
from nodeedu.solvers.status import (
    KERNEL_FAILED,
    NEWTON_FAILED,
    NON_FINITE,
    RUNNING,
    SUCCESS,
    TOO_MANY_STEPS,
    UNDERFLOW,
)
from nodeedu.solvers.step_control import first_step_size, smallest_step, trial_guess


@driver
def integrate(system, method, control, first_steps, z0, ts, walk, states, stages, samples, outputs, records):
    """Solve for one sample after the other; return whether any is left when the records are full or `ROUNDS` are over.

    Parameters
    ----------
    system, method, control, states, stages
        See newton.py, control.py and above.
    first_steps : array (B,)
        Sizes of the first trial steps; 0 is replaced by an automatic choice.
    z0 : array (B, D)
        Initial states.
    ts : array (1, T) or (B, T)
        Output times.
    walk : array (1,) of WALK
        The sample that is under way, ``sample = -1`` at first.
    samples : array (B,) of SAMPLE
        Counters.
    outputs : array (T, B, D)
        Filled at the output times.
    records : Records
        Of lanes.py.
    """
    own, count = walk[0], z0.shape[0]
    for _ in range(ROUNDS):
        if own.fate != RUNNING:
            if own.sample >= 0:
                sample = samples[own.sample]
                sample.status, sample.t, sample.h, sample.record = own.fate, own.t, own.h, own.record
            if own.sample + 1 == count:
                return False
            begin(system, control, first_steps, z0, ts, own, states, samples)
            continue
        if 0 < records.steps.shape[0] <= records.count[0]:
            return True
        sample = samples[own.sample]
        prepare(system, method, control, ts, own, states, stages, sample)
        if own.fate == RUNNING:
            outcome = solve_stages(system, method, control, own, states, stages, sample)
            judge(outcome, system, method, control, own, states, stages, sample)
            if own.ratio <= 1.0:
                accept(method, control, ts, own, states, stages, outputs, records)
            if own.fate == RUNNING and sample.accepted + sample.rejected >= control.max_steps:
                own.fate = TOO_MANY_STEPS
    return True


@core
def begin(system, control, first_steps, z0, ts, walk, states, samples):
    """Start with the next sample."""
    walk.sample += 1
    walk.t, walk.h = ts[walk.sample if ts.shape[0] > 1 else 0, 0], first_steps[walk.sample]
    walk.last_step = walk.last_size = walk.factored = walk.substep = 0.0
    walk.old_ratio, walk.contraction, walk.rate, walk.fate = 1.0, UNKNOWN_RATE, GOOD_RATE, RUNNING
    walk.output, walk.record, walk.jacobian, walk.known, walk.rejected = 1, -1, MISSING, 0, 0
    for i in range(z0.shape[1]):
        states.y[0, i] = z0[walk.sample, i]
    if walk.h == 0.0:
        first_slope(system, walk, states, samples[walk.sample])
        if walk.fate == RUNNING:
            choose_first_step(system, control, ts, walk, states, samples[walk.sample])


@core
def first_slope(system, walk, states, sample):
    """Evaluate ``f(t, y)`` at the start of the step."""
    states.t[0] = walk.t
    if walk.last_step == 0.0:
        sample.f_initial += 1
    done = call_f(system.callee, 1, states.t, states.y, system.p, states.slope, system.work)
    sample.nfev += 1
    walk.known = 1
    sample.component = first_nonfinite(states.slope)
    if done != DONE:
        walk.fate = KERNEL_FAILED
    elif sample.component >= 0:
        walk.fate = NON_FINITE  # no step size can help


@core
def choose_first_step(system, control, ts, walk, states, sample):
    """Choose the first step size from the change of slope over an explicit Euler step, as explicit methods do."""
    row = walk.sample if ts.shape[0] > 1 else 0
    reach = ts[row, ts.shape[1] - 1] - walk.t
    longest = min(abs(reach), control.max_step)
    y, slope, scale = states.y, states.slope, states.scale
    for i in range(scale.shape[0]):
        scale[i] = states.atol[i] + control.rtol * abs(y[0, i])
    steepness = scaled_norm(slope, scale)
    guess = trial_guess(scaled_norm(y, scale), steepness, longest)
    h = math.copysign(guess, reach)
    for i in range(scale.shape[0]):
        states.probe[0, i] = y[0, i] + h * slope[0, i]
    states.t[0] = walk.t + h
    done = call_f(system.callee, 1, states.t, states.probe, system.p, states.probe_slope, system.work)
    sample.nfev += 1
    sample.f_initial += 1
    for i in range(scale.shape[0]):
        states.probe_slope[0, i] -= slope[0, i]
    size = first_step_size(guess, steepness, scaled_norm(states.probe_slope, scale) / guess, EXPONENT, longest)
    walk.h = max(size, smallest_step(walk.t))
    if done != DONE:
        walk.fate = KERNEL_FAILED


@core
def prepare(system, method, control, ts, walk, states, stages, sample):
    """Aim the trial step, and evaluate the slope at its start if anything needs it."""
    if not walk.known and (method.explicit == 1 or not system.exact or not control.fixed):
        first_slope(system, walk, states, sample)
    aim(control, ts, walk)
    for q in range(method.c.shape[0]):
        stages.t[q] = walk.t1 if method.c[q] == 1.0 else walk.t + method.c[q] * walk.step


@core
def judge(outcome, system, method, control, walk, states, stages, sample):
    """Set the end of the step and its error ratio, accept or reject it, and choose the size of the next."""
    walk.ratio = math.inf
    if outcome == BROKEN:
        walk.fate = KERNEL_FAILED
    elif outcome == CONVERGED:
        finish_stages(method, walk, states, stages)
        estimate(system, method, control, walk, states, stages, sample)
    if walk.ratio <= 1.0:
        sample.accepted += 1
        walk.h = next_size(control, walk)
        if not control.fixed and walk.h < abs(walk.step) and not walk.h > smallest_step(walk.t):
            walk.fate = UNDERFLOW  # steps may shrink towards a pole for ever, and none be rejected
        return
    sample.rejected += 1
    # Where nothing is known of the error, half the step has a good chance.
    walk.h = next_size(control, walk) if walk.ratio < math.inf else 0.5 * abs(walk.step)
    walk.rejected = 1
    if walk.fate == RUNNING and (control.fixed or not walk.h > smallest_step(walk.t)):
        walk.fate = UNDERFLOW
        if outcome == NOT_FINITE or walk.ratio != walk.ratio:
            walk.fate = NON_FINITE
            component = first_nonfinite(stages.slopes[method.explicit :])
            sample.component = component if component >= 0 else first_nonfinite(states.y1)
        elif control.fixed:
            walk.fate = NEWTON_FAILED


@core
def estimate(system, method, control, walk, states, stages, sample):
    """Set the error ratio; a fixed step has none, but its end must be finite."""
    if control.fixed:
        walk.ratio = 0.0 if first_nonfinite(states.y1) < 0 else math.nan
        return
    for i in range(states.scale.shape[0]):
        larger = max(abs(states.y[0, i]), abs(states.y1[0, i]))
        states.scale[i] = states.atol[i] + control.rtol * larger
    filtered_error(method, walk.step, states.slope, states, stages)
    walk.ratio = scaled_norm(states.error, states.scale)
    if walk.ratio > 1.0 and (walk.last_step == 0.0 or walk.rejected):
        # Of very stiff components this is the distance from the smooth solution; filtered twice, it vanishes as well.
        for i in range(states.scale.shape[0]):
            states.probe[0, i] = states.y[0, i] + states.error[0, i]
        states.t[0] = walk.t
        if call_f(system.callee, 1, states.t, states.probe, system.p, states.probe_slope, system.work) != DONE:
            walk.fate = KERNEL_FAILED
        sample.nfev += 1
        filtered_error(method, walk.step, states.probe_slope, states, stages)
        walk.ratio = scaled_norm(states.error, states.scale)
        if not walk.ratio <= 1.0:
            sample.f_rejected += 1


@core
def filtered_error(method, h, slope, states, stages):
    """Set ``error = (mu / h - J)^-1 (slope + E Z / h)``, mu the real eigenvalue."""
    dw = stages.dw[0]
    for a in range(dw.shape[0]):
        total = 0.0
        for i in range(stages.Z.shape[0]):
            total += method.error[i] * stages.Z[i, a]
        dw[a] = slope[0, a] + total / h
    substitute(stages.factors[0], stages.pivots[0], dw)
    for a in range(dw.shape[0]):
        states.error[0, a] = dw[a].real


@core
def accept(method, control, ts, walk, states, stages, outputs, records):
    """Keep the step if steps are recorded, write the outputs that it has reached, and move to its end."""
    (s, size), row = stages.slopes.shape, records.count[0]
    if records.steps.shape[0] > 0:
        step = records.steps[row]
        step.t, step.h, step.sample, step.previous = walk.t, walk.step, walk.sample, walk.record
        step.first, step.last = walk.t, walk.t1
        walk.record = row
        records.count[0] = row + 1
        for a in range(size):
            records.rows[row, 0, a] = states.y[0, a]
            for i in range(s):
                records.rows[row, 1 + i, a] = stages.slopes[i, a]
    emit(method, control, ts, walk, states, stages, outputs)
    for a in range(size):
        states.old[0, a] = states.y[0, a]
        states.y[0, a] = states.y1[0, a]
        for i in range(s):
            states.k[i, a] = stages.slopes[i, a]
    walk.t, walk.last_step, walk.last_size = walk.t1, walk.step, abs(walk.step)
    walk.old_ratio = max(walk.ratio, SMALLEST_OLD_RATIO)
    walk.known = walk.rejected = 0
    walk.jacobian = OLD if keeps_jacobian(walk) else MISSING


@core
def emit(method, control, ts, walk, states, stages, outputs):
    """Write the outputs up to the end of the step; reaching the last ends the solve."""
    last, row = ts.shape[1] - 1, walk.sample if ts.shape[0] > 1 else 0
    direction = math.copysign(1.0, walk.step)
    walk.substep += 1.0
    while walk.output <= last and (ts[row, walk.output] - walk.t1) * direction <= 0.0:
        out, lands = outputs[walk.output, walk.sample], control.fixed or walk.output == last
        theta = (ts[row, walk.output] - walk.t) / walk.step
        for a in range(out.shape[0]):
            out[a] = states.y1[0, a] if lands else states.y[0, a]
        for i in range(0 if lands else stages.slopes.shape[0]):
            weight = walk.step * interpolation_weight(method.interpolant, i, theta)
            for a in range(out.shape[0]):
                out[a] += weight * stages.slopes[i, a]
        walk.output += 1
        walk.substep = 0.0
    if walk.output > last:
        walk.fate = SUCCESS
