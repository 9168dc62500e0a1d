"""An erratum: what was printed, what is right, and tests in which the one misses and the other holds."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...autodiff.check import relative_error
from ..problem import Problem
from ..standard_problems import M, V

Array = NDArray[Any]
Case = Callable[[], Problem] | str  # a string names a case whose numbers the functions hold in themselves
Value = Callable[[Any], Any]  # takes the problem, or the string
Residual = Callable[[Any, float], Any]

MISS = 1e-2  # a printed form that is wrong by less than this could pass for inaccurate
STEPS = 0.1 / 2.0 ** np.arange(6)  # of the ladder on which an order is observed
FLOOR = 1e-12  # smaller residuals are rounding and say nothing about an order
ORDER_SLACK = 0.15  # at a finite h the next power of h still shows; far from the next half


@dataclass(frozen=True)
class Values:
    """The printed form and the right one compute a quantity, and the truth comes by a third route.

    Parameters
    ----------
    what : str
        The quantity.
    printed, right, truth : callable
        ``form(problem)`` -> array.
    problems : tuple
        The first is quick.
    tolerance : float
        Largest relative error of the right form.
    """

    what: str
    printed: Value
    right: Value
    truth: Value
    problems: tuple[Case, ...] = (V, M)
    tolerance: float = 1e-8


@dataclass(frozen=True)
class Orders:
    """The forms leave residuals that fall with powers of a step h.

    Parameters
    ----------
    what : str
    printed, right : callable
        ``residual(problem, h)`` -> array.
    claimed : float
        Order that the printed form would have; infinity where it claims equality.
    order : float
        That of the right form.
    problems : tuple
    steps : tuple of float
        Values of h, each half of the one before.
    """

    what: str
    printed: Residual
    right: Residual
    claimed: float
    order: float
    problems: tuple[Case, ...] = (V, M)
    steps: tuple[float, ...] = tuple(STEPS.tolist())


@dataclass(frozen=True)
class Bounds:
    """The forms say that something is at most so large.

    Parameters
    ----------
    what : str
    printed, right : callable
        ``form(problem)`` -> what was found divided by the bound: an inequality that holds gives 1 or less.
    problems : tuple
    """

    what: str
    printed: Value
    right: Value
    problems: tuple[Case, ...]


Test = Values | Orders | Bounds


@dataclass(frozen=True)
class Erratum:
    """A formula or statement that is wrong as printed, or true only under a condition that is not printed.

    Parameters
    ----------
    id : str
    source : str
        Author and title, or the kind of document.
    place : str
        Where in the source.
    printed, right : str
        Both forms, in Markdown with LaTeX between dollar signs.
    why : str
        What is wrong and how one sees it.
    reference : str
        Where the right form is found.
    settings : str
        Of the tests.
    tests : tuple
    """

    id: str
    source: str
    place: str
    printed: str
    right: str
    why: str
    reference: str
    settings: str
    tests: tuple[Test, ...]


@dataclass(frozen=True)
class Trial:
    """What a test came to on one problem.

    Parameters
    ----------
    erratum : Erratum
    test : Values, Orders or Bounds
    problem : str
    printed, right : float
        Relative error, observed order, or part of the bound.
    """

    erratum: Erratum
    test: Test
    problem: str
    printed: float
    right: float

    @property
    def misses(self) -> bool:
        """Whether the printed form is far off; nan is not."""
        match self.test:
            case Orders(claimed=claimed) if math.isfinite(claimed):
                return self.printed < claimed - ORDER_SLACK
            case Bounds():
                return self.printed > 1.0 + MISS
        return self.printed > MISS

    @property
    def holds(self) -> bool:
        """Whether the right form holds; nan does not."""
        match self.test:
            case Values(tolerance=tolerance):
                return self.right <= tolerance
            case Orders(order=order):
                return self.right > order - ORDER_SLACK  # O(h^p) is a bound: a residual may fall faster
        return self.right <= 1.0

    @property
    def ok(self) -> bool:
        """Whether the erratum is shown: the printed form misses, the right one holds."""
        return self.misses and self.holds


def cases(erratum: Erratum) -> list[tuple[Test, Case]]:
    """Return the pairs of test and problem of an erratum."""
    return [(test, case) for test in erratum.tests for case in test.problems]


def judge(erratum: Erratum, test: Test, case: Case) -> Trial:
    """Run a test on one problem.

    Parameters
    ----------
    erratum : Erratum
    test : Values, Orders or Bounds
        One of its tests.
    case : callable or str
        One of the test's problems.
    """
    problem = case if isinstance(case, str) else case()
    with np.errstate(all="ignore"):  # what overflows is nan, and fails
        printed, right = _measure(test, problem)
    return Trial(erratum, test, problem if isinstance(problem, str) else problem.name, printed, right)


def _measure(test: Test, problem: Any) -> tuple[float, float]:
    if isinstance(test, Values):
        truth = np.asarray(test.truth(problem), float)
        return _error(test.printed(problem), truth), _error(test.right(problem), truth)
    if isinstance(test, Bounds):
        return float(test.printed(problem)), float(test.right(problem))
    right = _order(_ladder(test.right, problem, test.steps))
    if math.isinf(test.claimed):
        return float(np.linalg.norm(test.printed(problem, test.steps[0]))), right
    return _order(_ladder(test.printed, problem, test.steps)), right


def _error(got: Any, truth: Array) -> float:
    got = np.asarray(got, float)
    return relative_error(got, truth) if got.shape == truth.shape else math.nan


def _ladder(residual: Residual, problem: Any, steps: tuple[float, ...]) -> Array:
    return np.array([np.linalg.norm(residual(problem, h)) for h in steps])


def _order(residuals: Array) -> float:
    large = residuals[residuals > FLOOR]
    return float(np.log2(large[-2] / large[-1])) if len(large) > 1 else math.nan
