"""`nodeedu equations`: the ledger on the fields of the chapters, or on one of the user's."""

from __future__ import annotations

import argparse
import inspect
import json
from pathlib import Path
from typing import Any

import numpy as np

from ...autodiff import TraceError
from ...fitting import DataError
from ..court.command import load
from ..problem import Problem, make_problem
from ..standard_problems import M, V
from . import ledger, mutation
from .equation import Finding, judge
from .hypotheses import kinks

OBSERVATIONS = 4  # on the path of a user's field: two inside, so that there are jumps
CAUGHT = 0.95  # share of the mutants that must be


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb to its parser.

    Parameters
    ----------
    parser : argparse.ArgumentParser
    """
    what = (
        "a function f(t, z, theta) in a module that can be imported from here; it carries its initial state as the "
        "attribute z0, and may carry theta and ts (default: M, a network, and V, van der Pol's oscillator)"
    )
    parser.add_argument("--field", metavar="MODULE:FUNCTION", help=what)
    label = "an equation such as b5, or the letter of a derivation; can be given several times (default: all)"
    parser.add_argument("--label", metavar="LABEL", action="append", default=[], help=label)
    parser.add_argument("--json", action="store_true", help="print JSON")
    drawn = "draw residuals against steps; the ending chooses the format"
    parser.add_argument("--figure", metavar="FILE", type=Path, help=drawn)
    mutants = "also make every mistake that one change of a right side can make, and count those that are caught"
    parser.add_argument("--mutants", action="store_true", help=mutants)


def run(args: argparse.Namespace) -> int:
    """Judge equations, print a line for each, and draw them if asked to.

    Parameters
    ----------
    args : argparse.Namespace
        With what `add_arguments` adds.

    Returns
    -------
    int
        Exit code: 0 if all hold, or need not as a hypothesis fails; else 1.

    Raises
    ------
    DataError
        If the field or a label cannot be used; one line.
    """
    try:
        equations = ledger.select(args.label)
    except ValueError as error:
        raise DataError(f"--label: {str(error).removeprefix('label: ')}") from None
    problems, notes = ([M(), V()], []) if args.field is None else _of_user(args.field)
    if not args.json:
        print("\n".join(notes), end="\n" if notes else "", flush=True)
    findings = []
    for problem in problems:
        for equation in equations:
            findings.append(judge(equation, problem))
            if not args.json:
                print(ledger.row(findings[-1]), flush=True)
    tally = mutation.tally(equations, tuple(problems)) if args.mutants else None
    if args.json:
        print(json.dumps(as_dict(findings, notes, tally), indent=2, allow_nan=False))
    else:
        print("\n".join([summary(findings), *([] if tally is None else [str(tally)])]))
    if args.figure is not None:
        _draw(findings, args.figure)
    failed = any(finding.verdict == "FAIL" for finding in findings)
    return 1 if failed or (tally is not None and tally.share < CAUGHT) else 0


def summary(findings: list[Finding]) -> str:
    """Say how many equations hold, of how many, and which do not."""
    names = list(dict.fromkeys(finding.problem.name for finding in findings))
    text = f"{sum(f.ok for f in findings)} of {len(findings)} equations hold on {' and '.join(names)}"
    for verdict, what in (("FAIL", "fail"), ("WARN", "need not, as the field is outside their hypotheses")):
        labels = [f.equation.label for f in findings if f.verdict == verdict]
        text += f"; {', '.join(labels)} {what}" if labels else ""
    return text + "."


def as_dict(findings: list[Finding], notes: list[str], tally: mutation.Tally | None) -> dict[str, Any]:
    """Return what was found as plain data."""
    found: dict[str, Any] = {
        "equations": [_row(finding) for finding in findings],
        "hold": sum(finding.ok for finding in findings),
        "of": len(findings),
        "notes": notes,
    }
    if tally is not None:
        found["mutants"] = {"made": tally.made, "caught": tally.caught, "survivors": list(tally.survivors)}
    return found


def _row(finding: Finding) -> dict[str, Any]:
    e = finding.equation
    return {
        "label": e.label,
        "field": finding.problem.name,
        "verdict": finding.verdict,
        "statement": e.statement,
        "source": e.source,
        "hypotheses": list(e.hypotheses),
        "warnings": list(finding.warnings),
        "kind": e.kind,
        "order": e.order,
        "observed_orders": [float(order) for order in finding.orders] if e.order is not None else None,
        "residuals": [float(x) if np.isfinite(x) else None for x in finding.residuals],
    }


def _draw(findings: list[Finding], path: Path) -> None:
    from ... import plot
    from .figure import draw

    plot.headless()
    plot.save(draw(findings), path)


def _of_user(place: str) -> tuple[list[Problem], list[str]]:
    """Make a problem of a user's field; return it with what must be said about it."""
    f = load(place, "--field")
    theta, z0 = getattr(f, "theta", None), getattr(f, "z0", None)
    if z0 is None:
        name = place.partition(":")[2]
        raise DataError(
            f"--field: {place} has no attribute z0; expected an initial state, such as {name}.z0 = [1.0, 0.0] "
            f"after the function"
        )
    if theta is None and _takes_theta(f):
        name = place.partition(":")[2]
        raise DataError(f"--field: {place} takes parameters and has no attribute theta; expected {name}.theta = ...")
    ts = _times(getattr(f, "ts", None), place)
    try:
        whole = make_problem(f, z0, theta, ts, name=place.rpartition(":")[2].rpartition(".")[2])
        problem = ledger.within_reach(whole)
    except (TraceError, TypeError, ValueError) as error:
        raise DataError(f"--field: {place}: {error}") from error
    notes = []
    if problem is not whole:
        span, part = (f"{P.ts[0]:.4g} to {P.ts[-1]:.4g}" for P in (whole, problem))
        notes.append(f"note: of the path from t = {span} the part from {part} is used, where the steps are small")
    if kinks(problem.field):
        found = ", ".join(kinks(problem.field))
        notes.append(f"warning: the field uses {found}, without a derivative everywhere; equations may need one")
    return [problem], notes


def _takes_theta(f: Any) -> bool:
    """Whether a call needs a third argument."""
    try:
        inspect.signature(f).bind(0.0, 0.0)
    except TypeError:
        return True
    except ValueError:  # no signature, as of some functions in C
        return False
    return False


def _times(ts: Any, place: str) -> Any:
    """Check the times of a path; return four of them, if there are not a few."""
    if ts is None:
        return (0.2, 0.7, 1.1, 1.7)
    times = np.asarray(ts, float)
    steps = np.diff(times) if times.ndim == 1 else np.zeros(1)
    if times.ndim != 1 or len(times) < 2 or not np.isfinite(times).all() or not (all(steps > 0) or all(steps < 0)):
        raise DataError(f"--field: {place}.ts: got {ts!r}, expected at least two finite times, strictly monotone")
    if len(times) == 2:
        return np.linspace(times[0], times[1], OBSERVATIONS)
    return times if len(times) <= 6 else times[np.linspace(0, len(times) - 1, OBSERVATIONS).round().astype(int)]


