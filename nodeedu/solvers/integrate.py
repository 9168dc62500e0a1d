"""The driver: every lane makes trial steps of its own size until it ends.

One round, for the n lanes that still run:

    first slopes    of lanes that do not know theirs (start, after a jump, methods without FSAL)
    aim             the end of each trial step, landing exactly where it must
    stages          one kernel call a stage, for all lanes together
    judge           error ratio, acceptance, next step size
    advance         records, outputs, and the accepted state (advance.py)
    retire          lanes that ended leave; the last one takes over their row
"""

from __future__ import annotations

import math

from nodeedu.compile.kernels import DONE, call_vjp_theta
from nodeedu.solvers.advance import accept, emit, gather_nodes, jump, record
from nodeedu.solvers.core import core, driver
from nodeedu.solvers.lanes import retire
from nodeedu.solvers.runge_kutta import Y1, K
from nodeedu.solvers.status import KERNEL_FAILED, MIN_STEP, NON_FINITE, RUNNING, TOO_MANY_STEPS, UNDERFLOW
from nodeedu.solvers.step_control import SLIVER, SMALLEST_OLD_RATIO, smallest_step, step_factor
from nodeedu.solvers.systems import ADJOINT, evaluate
from nodeedu.solvers.trial_step import (
    aim,
    choose_first_steps,
    error_ratios,
    finite_ratios,
    first_nonfinite,
    first_slopes,
    probe_first_steps,
    stage_states,
)

ROUNDS = 10_000  # before control returns to Python, which is where Ctrl-C is noticed


@driver
def integrate(n, problem, method, control, ts, x, flat, t, lanes, samples, outputs, records, adjoint):
    """Advance the first n lanes; return how many still run when none does, the records are full or `ROUNDS` are over.

    Parameters
    ----------
    n : int
        Number of active lanes.
    problem, method, control, lanes, samples, records, adjoint
        See systems.py, runge_kutta.py and lanes.py. An initial step size of 0 is replaced by an automatic one.
    ts : array (1, T) or (B, T)
        Output times, shared or for each sample.
    x, flat : array (rows, M, B, D) and the same array as (rows, M B D)
        State and slopes, see runge_kutta.py.
    t : array (s, B)
        Scratch for the times of the stages.
    outputs : array (T, M, B, D)
        Filled at the output times.
    """
    stages, done = method.b.shape[0], DONE
    if lanes[0].h == 0.0:
        done = first_slopes(n, method.fsal, problem, x, t[0], lanes, samples)
        probe_first_steps(n, control, ts, x, flat, t[0], lanes)
        done = min(done, evaluate(problem, n, t[0], x[Y1], x[K + 1]))
        choose_first_steps(n, control, x, flat, t[0], lanes, samples)
    for _ in range(ROUNDS):
        done = min(done, first_slopes(n, method.fsal, problem, x, t[0], lanes, samples))
        aim(n, method.c, control, ts, x, t, lanes)
        # ---------------- stages
        for q in range(1, stages):
            stage_states(n, method.A[q], q, x, flat, flat[Y1])
            done = min(done, evaluate(problem, n, t[q], x[Y1], x[K + q]))
        if not method.fsal:  # else the state of the last stage is the new state
            stage_states(n, method.b, stages, x, flat, flat[Y1])
        # ---------------- judge
        if control.fixed:
            finite_ratios(n, x, lanes)
        else:
            done = min(done, error_ratios(n, method.e, control, x, flat, t[0], lanes))
        judge(n, stages, control, x, lanes, samples)
        # ---------------- advance
        if problem.system == ADJOINT:
            rows = gather_nodes(n, x, flat, lanes, adjoint)
            done = min(done, call_vjp_theta(adjoint.callee, rows, adjoint.t, adjoint.z, adjoint.a, problem.p,
                                            adjoint.p_bar, adjoint.work))  # fmt: skip
        if records.steps.shape[0] > 0:
            record(n, stages, x, lanes, records)
        emit(n, method.interpolant, control.lands, ts, x, flat, lanes, outputs)
        accept(n, stages, method.fsal, x, flat, lanes)
        if problem.system == ADJOINT:
            jump(n, x, lanes, adjoint)
        # ---------------- retire
        expire(n, done, control.max_steps, lanes, samples)
        n = retire(n, x, lanes, samples)
        if n == 0 or 0 < records.steps.shape[0] < records.count[0] + n:
            break
    return n


@core
def judge(n, stages, control, x, lanes, samples):
    """Accept or reject every lane's trial step, choose the size of its next one, and count."""
    for b in range(n):
        lane, size = lanes[b], abs(lanes[b].step)
        sample = samples[lane.sample]
        if lane.fate != RUNNING:  # its first slope is not finite
            lane.ratio = math.nan
        sample.nfev += stages - 1
        factor = step_factor(lane.ratio, lane.old_ratio, lane.older_ratio, lane.rejected, control.exponent,
                             control.beta1, control.beta2, control.beta3)  # fmt: skip
        if lane.ratio <= 1.0:
            sample.accepted += 1
            lane.rejected = 0
            # Beyond a jump, the ratios before it say nothing; the step size is as good a guess as any.
            lane.older_ratio = 1.0 if lane.ahead != 0.0 else lane.old_ratio
            lane.old_ratio = 1.0 if lane.ahead != 0.0 else max(lane.ratio, SMALLEST_OLD_RATIO)
            # A step that was clipped in order to land says nothing against the size that the controller had chosen.
            lane.h = max(lane.h, size * factor) if size < lane.h else size * factor
            lane.h = max(lane.h, control.min_step)
        else:
            sample.rejected += 1
            sample.f_rejected += stages - 1
            lane.rejected = 1
            lane.h = max(size * factor, control.min_step)
            if lane.fate == RUNNING:
                lane.fate = verdict(size, smallest_step(lane.t), control.fixed, control.min_step, lane)
                if lane.fate != RUNNING:
                    sample.component = first_nonfinite(x[K : K + stages], b)


@core
def verdict(size, smallest, fixed, min_step, lane):
    """Return how a lane ends whose trial step of that size has failed, or RUNNING if it may try a smaller one."""
    # A step may be longer by a sliver in order to land; without the 2, it would be tried for ever.
    at_minimum = size <= min_step * (1.0 + 2.0 * SLIVER)
    if not (fixed or at_minimum or not lane.h > smallest):
        return RUNNING
    if not lane.ratio < math.inf:
        return NON_FINITE
    return MIN_STEP if at_minimum else UNDERFLOW


@core
def expire(n, done, max_steps, lanes, samples):
    """End the lanes that have used up their trial steps; end all if a kernel failed, as it does not say for which."""
    for b in range(n):
        lane = lanes[b]
        sample = samples[lane.sample]
        if done != DONE:
            lane.fate = KERNEL_FAILED
        elif lane.fate == RUNNING and sample.accepted + sample.rejected >= max_steps:
            lane.fate = TOO_MANY_STEPS
