"""The ledger: all equations of the chapters, evaluated on any vector field (`nodeedu equations`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from importlib import import_module
from types import ModuleType

import numpy as np

from ..problem import Problem
from .equation import Equation, Finding, judge

GROUPS = (
    "a_resnet",
    "b_limits",
    "c_lagrange",
    "d_discretise",
    "e_algorithms",
    "f_times",
    "g_linear",
    "h_change_of_variables",
    "i_continuity",
    "j_hutchinson",
    "k_duality",
    "l_partitioned",
    "m_backwards",
    "n_planar",
)
REACH = 3.0  # integral of |J| along a path that the ladder can judge; 2.7 and 2.6 on those of the chapters


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
        found = [equation for name, equation in known.items() if _means(label, name)]
        if not found:
            raise ValueError(f"label: got {label!r}, expected one of {', '.join(known)}, or a letter for a derivation")
        chosen += found
    return chosen


def _means(label: str, name: str) -> bool:
    """Whether a label is this name, its derivation ("a"), or the step whose parts "a7a", "a7b" bear letters."""
    return label in (name, name[0], name.rstrip("abcd"))


def within_reach(problem: Problem) -> Problem:
    """Return the problem, or a shorter path of it on which the ladder's steps are small.

    Equations of steps show their order where ``h |J|`` is small, and those that hold at any step lose digits to a path
    that stretches errors by ``exp(integral |J| dt)``. All hold on a part of the path as they do on the whole.
    """
    from scipy.integrate import solve_ivp

    t0, t1 = float(problem.ts[0]), float(problem.ts[-1])
    path = solve_ivp(problem.f, (t0, t1), problem.z0, rtol=1e-6, atol=1e-9, max_step=abs(t1 - t0) / 50)
    sizes = np.array([np.linalg.norm(problem.J(t, z), 2) for t, z in zip(path.t, path.y.T, strict=True)])
    stretch = np.concatenate([[0.0], np.cumsum(0.5 * (sizes[1:] + sizes[:-1]) * abs(np.diff(path.t)))])
    near = path.t[: 1 + np.searchsorted(stretch[1:], REACH, side="right")][-1]
    if near == t1:
        return problem
    return replace(problem, ts=t0 + (problem.ts - t0) * (near - t0) / (t1 - t0))


def check(problem: Problem, labels: Sequence[str] = ()) -> Iterator[Finding]:
    """Judge equations on a problem, one after the other."""
    for equation in select(labels):
        yield judge(equation, problem)


def row(finding: Finding) -> str:
    """Say in a line what was found."""
    e = finding.equation
    return f"{e.label:4} {finding.problem.name:4} {finding.verdict}  {e.claim:9} {finding.observed:12} {e.source}"
