"""The verdict of the court as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .case import Case
from .judgement import Judgement
from .trial import QUANTITIES, Trial

if TYPE_CHECKING:
    from .verdict import Verdict

Array = NDArray[Any]
BUILT_IN = "ne.court(claims={...}) judges on the built-in problem, on which all can be seen"


def text(verdict: Verdict) -> str:
    """Write a verdict: the problem, the trial, a line or more for each claim, and one word."""
    sections = [_head(verdict.case), *facts(verdict.case)]
    if verdict.trial is not None:
        sections += ["", *_trial(verdict.trial)]
    for judgement in verdict.claims:
        sections += ["", str(judgement), *(f"      {line}" for line in blind(judgement))]
    return "\n".join([*sections, "", "VERDICT: " + ("right" if verdict.ok else "wrong")])


def _head(c: Case) -> str:
    P = c.problem
    span = f"{len(P.ts)} times from {P.ts[0]:g} to {P.ts[-1]:g}"
    return f"gradient court on {P.name}: D = {P.size}, {len(P.p)} parameters, {span}, L = {c.L:.6g}"


def facts(c: Case) -> list[str]:
    """Return what about the problem hides mistakes, and what about the field limits the check."""
    lines, path = [], c.path
    size = float(np.linalg.norm(path.J))
    if c.D > 1 and float(np.linalg.norm(path.J - path.J.transpose(0, 1, 3, 2))) <= 1e-6 * size:
        lines.append("the Jacobian is symmetric: it hides a transpose")
    if not float(np.linalg.norm(path.f_t)) > 1e-6 * float(np.linalg.norm(path.slopes)):
        lines.append("the field does not depend on t: it hides slips in time")
    if int(np.sum(np.linalg.norm(c.g, axis=1) > 0)) < 3:
        lines.append("the loss looks at fewer than three times: that hides slips at observations")
    if c.D in (1, 3):
        lines.append(f"D = {c.D}: " + ("no vectors to confuse" if c.D == 1 else "tr J / D is tr J / 3"))
    if abs(abs(c.ends[1] - c.ends[0]) - 1.0) < 1e-9:
        lines.append("the path has duration 1: that hides a mean over time")
    found = [f"note: {line}" for line in lines]
    if c.has_kinks:
        found.append("note: the field has kinks, where it has no derivative; what is found beside them counts")
    if c.threshold > 1e-5:
        found.append(f"note: gradients are judged to {c.threshold:.0e} only, as far as the path itself is certain")
    return found


def blind(judgement: Judgement) -> list[str]:
    """Return what the problem cannot tell apart for a claim."""
    lines = []
    if judgement.hidden:
        every = ", ".join(f"{m.number} ({m.name})" for m in judgement.hidden)
        lines.append(f"this problem cannot show: mistakes {every}; {BUILT_IN}")
    if judgement.alike:
        every = ", ".join(f"{x.number} from {y.number}" for x, y in judgement.alike)
        lines.append(f"this problem cannot tell apart: mistake {every}")
    return lines


def _trial(trial: Trial) -> list[str]:
    width = max([len(route.name) for route in trial.routes] + [6]) + 3
    numbers = "".join(f"{i:>7}" for i in range(1, len(trial.routes) + 1))
    lines = ["relative difference of a row from a column, the largest of dL/dz0, dL/dtheta and dL/dts"]
    lines.append(" " * width + numbers + f"{'nfev':>10}{'bytes':>9}{'peak kB':>9}{'ms':>8}")
    worst = trial.errors.max(axis=0)
    for i, route in enumerate(trial.routes):
        cells = "".join(f"{x:>7.0e}" if i != j else f"{'.':>7}" for j, x in enumerate(worst[i]))
        peak = "?" if route.peak_bytes is None else f"{route.peak_bytes / 1000:.0f}"
        costs = f"{route.nfev:>10}{route.stored_bytes:>9}{peak:>9}{1e3 * route.seconds:>8.1f}"
        lines.append(f"{i + 1:>2} {route.name:<{width - 3}}{cells}{costs}")
    lines += [f"not applicable: {name}: {why}" for name, why in trial.left_out.items()]
    lines += [f"failed: {name}: {why}" for name, why in trial.failed.items()]
    return [*lines, *(trial.sentence(q) for q in range(len(QUANTITIES)))]
