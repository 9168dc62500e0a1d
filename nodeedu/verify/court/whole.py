"""Claims that are judged as a whole: gradients, backpropagation, log-densities, linear systems, multipliers."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .call import Fault, call, definition, parameters, parts, vector
from .case import Case
from .density import flows
from .judgement import Judgement, judge
from .match import THRESHOLD, Answer, Candidate, Match
from .mistakes import formulas
from .mistakes_density import right_log_p
from .mistakes_discrete import Backward, Steps, backward
from .mistakes_gradient import only
from .mistakes_linear import gradient_at, right_lagrange, systems
from .sweep import Sweep, right, sweep
from .terms import Term, regress

Array = NDArray[Any]
Claim = Callable[..., Any]
Z0, THETA, START, LATER = "dL/dz0", "dL/dtheta", "dL/dt0", "dL/dt_i"


def judge_gradient(c: Case, claim: Claim, name: str) -> Judgement:
    """Judge ``(f, z0, ts, theta, zs_bar) -> (dL/dz0, dL/dtheta, dL/dts)``; None for what is not claimed."""
    P, shape = c.problem, c.problem.field.shape
    start = c.z0_of_theta or P.z0.reshape(shape)
    value = call(claim, P.field.function, start, P.ts.copy(), P.theta, c.g.reshape(-1, *shape))
    z0, theta, ts = parts(value, ("z0", "theta", "ts"), claim)
    got: Answer = {}
    if z0 is not None:
        got[Z0] = vector(z0, shape, claim, Z0)
    if theta is not None or P.theta is None:
        got[THETA] = parameters(theta, P, claim, THETA)
    if ts is not None:
        times = vector(ts, P.ts.shape, claim, "dL/dts")
        got |= {START: times[:1], LATER: times[1:]}
    if not got:
        raise Fault("returned None for all three parts, expected at least one gradient", definition(claim))
    truth = {q: values[0] for q, values in _values(right(c)).items()}
    return judge(name, got, truth, gradient_candidates(c), c.threshold, lambda found: _gradient_evidence(c, got, found))


@lru_cache(maxsize=8)
def gradient_candidates(c: Case) -> list[Candidate]:
    """Return what every mistake makes of the gradient, kept once found: claims on one problem share it."""
    with np.errstate(all="ignore"):
        return [(m, _values(wrong(c))) for m, wrong in formulas("gradient") if m.number != 15 or c.z0_of_theta]


def _values(s: Sweep) -> dict[str, tuple[Array, ...]]:
    start = tuple(np.array([value]) for value in (s.ts[0], *s.start))
    return {Z0: (s.z0,), THETA: (s.theta,), START: start, LATER: (s.ts[1:],)}


def _gradient_evidence(c: Case, got: Answer, found: Match) -> list[str]:
    """Say which observations, intervals and times count wrongly, in what no mistake explains."""
    left = [q for q in found.wrong if q not in found.explained]
    names = [f"t_{i} = {t:.4g}" for i, t in enumerate(c.problem.ts)]
    lines = []
    for q in (Z0, THETA):
        if q in left and len(names) <= 20:
            each = [_values(sweep(c, g=only(c, i)))[q][0] for i in range(len(names))]
            terms = [Term(f"of the observation at {n}", x) for n, x in zip(names, each, strict=True)]
            lines += [f"{q}: {line}" for line in regress(got[q], terms) or ()]
    if THETA in left and not any(line.startswith(THETA) for line in lines):
        spans = [f"of the interval from t_{k} to t_{k + 1}" for k in range(len(names) - 1)]
        terms = [Term(n, x) for n, x in zip(spans, right(c).parts, strict=True)]
        lines += [f"{THETA}: {line}" for line in regress(got[THETA], terms) or ()]
    if LATER in left:
        pairs = zip(names[1:], got[LATER], right(c).ts[1:], strict=True)
        lines += [f"dL/dt at {n}: got {x:.6g}, expected {y:.6g}" for n, x, y in pairs if abs(x - y) > 1e-5 * abs(y)][:4]
    if START in left:
        lines.append(f"{START}: got {got[START][0]:.6g}, expected {right(c).ts[0]:.6g}")
    return lines


@lru_cache(maxsize=8)
def steps_of(c: Case) -> Steps:
    """Return Euler's steps through a case."""
    return Steps(c)


@lru_cache(maxsize=8)
def discrete_candidates(s: Steps) -> list[Candidate]:
    """Return what every mistake makes of backpropagation through Euler's steps."""
    with np.errstate(all="ignore"):
        return [(m, _discrete_values(wrong(s))) for m, wrong in formulas("discrete_backward")]


def _discrete_values(found: Backward) -> dict[str, tuple[Array, ...]]:
    return {Z0: (found.z0,), THETA: (found.theta,)}


def judge_discrete_backward(c: Case, claim: Claim, name: str) -> Judgement:
    """Judge ``(f, zs, ts, theta, zs_bar) -> (dL/dz0, dL/dtheta)`` of N steps of the explicit Euler method.

    zs (N + 1, *shape) are the states at the times ts (N + 1,), zs_bar the gradients of the loss by each of them.
    """
    P, s, shape = c.problem, steps_of(c), c.problem.field.shape
    states, bars = (x.reshape(-1, *shape) for x in (s.zs, s.g))
    z0, theta = parts(call(claim, P.field.function, states, s.ts, P.theta, bars), ("z0", "theta"), claim)
    got = {Z0: vector(z0, shape, claim, Z0), THETA: parameters(theta, P, claim, THETA)}

    truth = {q: values[0] for q, values in _discrete_values(backward(s)).items()}

    def evidence(found: Match) -> list[str]:
        lines = []
        for q in found.wrong:
            each = [_discrete_values(backward(_observing(s, n)))[q][0] for n in range(len(s.g))]
            terms = [Term(f"of the observation at step {n}", x) for n, x in enumerate(each)]
            lines += [f"{q}: {line}" for line in regress(got[q], terms) or ()] if q not in found.explained else []
        return lines[:6]

    return judge(name, got, truth, discrete_candidates(s), THRESHOLD, evidence)


def _observing(s: Steps, n: int) -> Steps:
    alone = Steps(s.case)
    alone.__dict__["g"] = np.where(np.arange(len(s.g))[:, None] == n, s.g, 0.0)
    return alone


def judge_log_p(c: Case, claim: Claim, name: str) -> Judgement:
    """Judge ``(f, x, theta) -> log p(x)`` at ts[-1], where z(ts[0]) is standard normal."""
    P, what, all_flows = c.problem, "log p", flows(c)
    got = np.array([vector(call(claim, P.field.function, flow.path.zs[-1].reshape(P.field.shape), P.theta), (), claim,
                           what) for flow in all_flows])  # fmt: skip
    truth = np.array([right_log_p(flow) for flow in all_flows])
    return judge(name, {what: got.ravel()}, {what: truth}, log_p_candidates(c, what), c.threshold, lambda _: [])


@lru_cache(maxsize=8)
def log_p_candidates(c: Case, what: str) -> list[Candidate]:
    """Return what every mistake makes of log-densities."""
    with np.errstate(all="ignore"):
        return [(m, {what: (np.array([wrong(flow) for flow in flows(c)]),)}) for m, wrong in formulas("log_p")]


def judge_linear_adjoint(c: Case, claim: Claim, name: str) -> Judgement:
    """Judge ``(A, C, u) -> u B`` where ``A B = C``, right is ``v C`` with ``A' v = u``; the field plays no part."""
    every, what = systems(), "u B"
    got = np.concatenate([vector(call(claim, s.A, s.C, s.u), s.u.shape, claim, what) for s in every])
    truth = np.concatenate([np.linalg.solve(s.A.T, s.u) @ s.C for s in every])
    candidates: list[Candidate] = [(m, {what: (np.concatenate([wrong(s) for s in every]),)})
                                   for m, wrong in formulas("linear_adjoint")]  # fmt: skip
    return judge(name, {what: got}, {what: truth}, candidates, THRESHOLD, lambda _: [])


def judge_lagrange(c: Case, claim: Claim, name: str) -> Judgement:
    """Judge ``(f, z0, ts, theta, loss_gradient) -> dL/dtheta`` by a multiplier, for the loss at ts[-1] alone.

    ``loss_gradient(z)`` is the gradient of that loss at any state.
    """
    P, shape = c.problem, c.problem.field.shape

    def loss_gradient(z: Any) -> Array:
        return gradient_at(c, np.reshape(z, -1)).reshape(shape)

    value = call(claim, P.field.function, P.z0.reshape(shape), P.ts.copy(), P.theta, loss_gradient)
    got = {THETA: parameters(value, P, claim, THETA)}
    with np.errstate(all="ignore"):
        candidates: list[Candidate] = [(m, {THETA: (wrong(c),)}) for m, wrong in formulas("lagrange")]
    return judge(name, got, {THETA: right_lagrange(c)}, candidates, c.threshold, lambda _: [])
