"""The ledger: all equations of the chapters, evaluated on any vector field (`nodeedu equations`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from importlib import import_module
from types import ModuleType

from ..problem import Problem
from .equation import Equation, Finding, judge

GROUPS = ("b_limits", "c_lagrange", "f_times", "k_duality")


@cache
def modules() -> tuple[ModuleType, ...]:
    """Return the files of equations, one a derivation, in the order of the chapters."""
    return tuple(import_module("." + name, __package__) for name in GROUPS)


@cache
def equations() -> dict[str, Equation]:
    """Return all equations by label."""
    return {equation.label: equation for module in modules() for equation in module.EQUATIONS}


def select(labels: Sequence[str]) -> list[Equation]:
    """Return equations by label, or by the letter of a derivation; all, if there are no labels.

    Raises
    ------
    ValueError
        If a label is unknown.
    """
    known = equations()
    chosen = []
    for label in labels or known:
        found = [equation for name, equation in known.items() if label in (name, name.rstrip("0123456789"))]
        if not found:
            raise ValueError(f"label: got {label!r}, expected one of {', '.join(known)}, or a letter for a derivation")
        chosen += found
    return chosen


def check(problem: Problem, labels: Sequence[str] = ()) -> Iterator[Finding]:
    """Judge equations on a problem, one after the other."""
    for equation in select(labels):
        yield judge(equation, problem)


def row(finding: Finding) -> str:
    """Say in a line what was found."""
    e, verdict = finding.equation, "PASS" if finding.ok else "FAIL"
    return f"{e.label:4} {finding.problem.name:4} {verdict}  {e.claim:9} {finding.observed:12} {e.source}"
