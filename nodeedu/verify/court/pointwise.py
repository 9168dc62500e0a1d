"""Claims that are judged at points: right-hand sides, integrands, jumps and rates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...autodiff import structure
from .call import call, parameters, vector
from .case import Case
from .density import Flow, flow_of
from .judgement import Judgement, judge
from .match import THRESHOLD, Candidate
from .mistakes import formulas
from .mistakes_density import right_fixed_rate, right_rate
from .summands import summands
from .terms import Term, regress, rows

Array = NDArray[Any]
Claim = Callable[..., Any]
Point = tuple[float, Array, Array]


def points(c: Case, on_path: bool = False) -> list[Point]:
    """Return times, states and random rows (t, z, a): on the path, and every second one beside it."""
    rng, path = np.random.default_rng(1), c.path
    count = max(16, 3 * c.D)
    times = np.linspace(*c.ends, count + 2)[1:-1]
    size = 0.2 * float(np.sqrt(np.mean(path.zs**2)) + 0.1)
    beside = [0.0 if on_path or i % 2 else size for i in range(count)]
    return [(float(t), path.at(t) + off * rng.normal(size=c.D), rng.normal(size=c.D))
            for t, off in zip(times, beside, strict=True)]  # fmt: skip


def at_points(kind: str, quantity: str, formula_at: Callable[[Claim], Array]) -> list[Candidate]:
    """Return what the mistakes of a kind compute; ``formula_at`` evaluates a formula at all points."""
    found: list[Candidate] = []
    for mistake, formula in formulas(kind):
        with np.errstate(all="ignore"):
            found.append((mistake, {quantity: (np.ravel(formula_at(formula)),)}))
    return found


def judge_adjoint_rhs(c: Case, claim: Claim, name: str) -> Judgement:
    """Judge ``(t, z, a, theta) -> da/dt``, right is ``-a J``."""
    P, at, shape = c.problem, points(c), c.problem.field.shape
    got = np.array([vector(call(claim, t, z.reshape(shape), a.reshape(shape), P.theta), shape, claim, "da/dt")
                    for t, z, a in at])  # fmt: skip
    J = np.array([P.J(t, z) for t, z, _ in at])
    a = np.array([a for _, _, a in at])
    right = -np.einsum("ni,nik->nk", a, J)
    candidates = at_points("adjoint_rhs", "da/dt", lambda wrong: np.array([wrong(c, t, z, a) for t, z, a in at]))

    def evidence(_: Any) -> list[str]:
        names, each = [f"da_{k + 1}/dt" for k in range(c.D)], summands(c, [(t, z) for t, z, _ in at])
        fine = [[Term(f"-a_{s.component + 1} d({s.text})/dz_{k + 1}", -a[:, s.component] * s.gradients[:, k])
                 for s in each] for k in range(c.D)]  # fmt: skip
        return rows(got, names, fine, [
            [Term(f"-a_{i + 1} df_{i + 1}/dz_{k + 1}", -a[:, i] * J[:, i, k]) for i in range(c.D)]
            + [Term(f"-a_{i + 1} df_{k + 1}/dz_{i + 1}", -a[:, i] * J[:, k, i], 0.0) for i in range(c.D) if i != k]
            + [Term(f"a_{k + 1}", a[:, k], 0.0)]
            for k in range(c.D)])  # fmt: skip

    return judge(name, {"da/dt": got.ravel()}, {"da/dt": right.ravel()}, candidates, THRESHOLD, evidence)


def judge_tangent_rhs(c: Case, claim: Claim, name: str) -> Judgement:
    """Judge ``(t, z, dz, theta) -> d(delta z)/dt``, right is ``J delta z``."""
    P, at, shape = c.problem, points(c), c.problem.field.shape
    what = "the tangent's rate"
    got = np.array([vector(call(claim, t, z.reshape(shape), dz.reshape(shape), P.theta), shape, claim, what)
                    for t, z, dz in at])  # fmt: skip
    J, dz = np.array([P.J(t, z) for t, z, _ in at]), np.array([dz for _, _, dz in at])
    right = np.einsum("nki,ni->nk", J, dz)
    candidates = at_points("tangent_rhs", what, lambda wrong: np.array([wrong(c, t, z, dz) for t, z, dz in at]))

    def evidence(_: Any) -> list[str]:
        names, each = [f"(delta z_{k + 1})'" for k in range(c.D)], summands(c, [(t, z) for t, z, _ in at])
        fine = [[Term(f"d({s.text})/dz_{i + 1} delta z_{i + 1}", s.gradients[:, i] * dz[:, i])
                 for s in each if s.component == k for i in range(c.D)] for k in range(c.D)]  # fmt: skip
        return rows(got, names, fine, [
            [Term(f"df_{k + 1}/dz_{i + 1} delta z_{i + 1}", J[:, k, i] * dz[:, i]) for i in range(c.D)]
            + [Term(f"df_{i + 1}/dz_{k + 1} delta z_{i + 1}", J[:, i, k] * dz[:, i], 0.0)
               for i in range(c.D) if i != k]
            for k in range(c.D)])  # fmt: skip

    return judge(name, {what: got.ravel()}, {what: right.ravel()}, candidates, THRESHOLD, evidence)


def judge_theta_integrand(c: Case, claim: Claim, name: str) -> Judgement:
    """Judge ``(t, z, a, theta) ->`` a structure like theta, the integrand of dL/dtheta; right is ``a f_theta``."""
    P, at, shape = c.problem, points(c), c.problem.field.shape
    what = "the integrand"
    got = np.array([parameters(call(claim, t, z.reshape(shape), a.reshape(shape), P.theta), P, claim, what)
                    for t, z, a in at])  # fmt: skip
    f_theta, a = np.array([P.f_theta(t, z) for t, z, _ in at]), np.array([a for _, _, a in at])
    right = np.einsum("ni,nip->np", a, f_theta)
    candidates = at_points("theta_integrand", what, lambda wrong: np.array([wrong(c, t, z, a) for t, z, a in at]))

    def evidence(_: Any) -> list[str]:
        return rows(got, parameter_names(c), None, [
            [Term(f"a_{i + 1} df_{i + 1}/d({n})", a[:, i] * f_theta[:, i, p]) for i in range(c.D)]
            + [Term(f"df_{i + 1}/d({n})", f_theta[:, i, p], 0.0) for i in range(c.D)]
            for p, n in enumerate(parameter_names(c))])  # fmt: skip

    return judge(name, {what: got.ravel()}, {what: right.ravel()}, candidates, THRESHOLD, evidence)


def judge_jump(c: Case, claim: Claim, name: str) -> Judgement:
    """Judge ``(a, g) -> a`` at an observation on the way back, right is ``a + g``."""
    at, shape = points(c), c.problem.field.shape
    a = np.array([a for _, _, a in at])
    g = np.random.default_rng(2).normal(size=a.shape)
    what = "the adjoint behind the jump"
    got = np.array([vector(call(claim, x.reshape(shape), y.reshape(shape)), shape, claim, what)
                    for x, y in zip(a, g, strict=True)])  # fmt: skip
    candidates = at_points("jump", what, lambda wrong: np.array([wrong(c, x, y) for x, y in zip(a, g, strict=True)]))

    def evidence(_: Any) -> list[str]:
        return regress(got.ravel(), [Term("a", a.ravel()), Term("g_i", g.ravel())]) or []

    return judge(name, {what: got.ravel()}, {what: (a + g).ravel()}, candidates, THRESHOLD, evidence)


def judge_log_p_rate(c: Case, claim: Claim, name: str) -> Judgement:
    """Judge ``(t, z, theta) -> d log p/dt`` along the path, right is ``-tr J``."""
    return _judge_rate(c, claim, name, "log_p_rate", right_rate)


def judge_log_p_rate_fixed(c: Case, claim: Claim, name: str) -> Judgement:
    """Judge ``(t, z, theta) ->`` the rate of log p at a fixed point, right is ``-tr J - s f``, s the score."""
    return _judge_rate(c, claim, name, "log_p_rate_fixed", right_fixed_rate)


def _judge_rate(c: Case, claim: Claim, name: str, kind: str, rate: Callable[[Flow, float, Array], float]) -> Judgement:
    P, flow, at = c.problem, flow_of(c), points(c, on_path=True)
    what = "the rate"
    got = np.array([vector(call(claim, t, z.reshape(P.field.shape), P.theta), (), claim, what) for t, z, _ in at])
    right = np.array([rate(flow, t, z) for t, z, _ in at])
    candidates = at_points(kind, what, lambda wrong: np.array([float(wrong(flow, t, z)) for t, z, _ in at]))
    J = np.array([P.J(t, z) for t, z, _ in at])

    def evidence(_: Any) -> list[str]:
        each = summands(c, [(t, z) for t, z, _ in at])
        fine = [Term(f"-d({s.text})/dz_{s.component + 1}", -s.gradients[:, s.component]) for s in each]
        names = [(i, j) for i in range(c.D) for j in range(c.D)]
        terms = [Term(f"-df_{i + 1}/dz_{i + 1}", -J[:, i, i]) for i in range(c.D)]
        terms += [Term(f"-df_{i + 1}/dz_{j + 1}", -J[:, i, j], 0.0) for i, j in names if i != j]
        return (regress(got.ravel(), fine) if fine else None) or regress(got.ravel(), terms) or []

    return judge(name, {what: got.ravel()}, {what: right}, candidates, THRESHOLD, evidence)


def parameter_names(c: Case) -> list[str]:
    """Return the name of each entry of theta, such as ``theta['W'][0, 1]``."""
    names = []
    for path, leaf in structure.flatten(c.problem.theta):
        names += [path + (f"[{', '.join(map(str, index))}]" if index else "") for index in np.ndindex(np.shape(leaf))]
    return names
