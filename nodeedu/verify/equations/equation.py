"""An equation of a derivation, with both of its sides as code: the ledger's row, and how it is judged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..problem import Problem
from .hypotheses import SMOOTH, kinks

Array = NDArray[Any]
Side = Callable[[Problem, Any], Any]  # of a step, a float, or a number of steps, an int

STEPS = tuple((0.1 / 2.0 ** np.arange(6)).tolist())  # of the ladder on which an order is observed
COUNTS = tuple((20 * 2 ** np.arange(6)).tolist())  # the same for whole paths: the number of equal steps
FLOOR = 1e-12  # smaller residuals are rounding and say nothing about an order
ORDER_SLACK = 0.15  # at a finite h the next power of h still shows; far from the next whole number
LENGTH = 1.5  # of a path for which STEPS are small


@dataclass(frozen=True)
class Equation:
    """One step of a derivation.

    Parameters
    ----------
    label : str
        The same in chapters, docstrings and tests: a letter for the derivation, a number for the step.
    statement : str
        LaTeX.
    source : str
        File or paper, with the number of the equation.
    lhs, rhs : callable
        ``side(problem, h)`` -> array; h is the rung of the ladder, and is ignored where the sides are equal.
    order : int, optional
        ``lhs - rhs = O(h^order)``. Without it the sides are equal, or ``lhs <= rhs`` where ``at_most`` is set.
    ladder : tuple of float
        `STEPS`, or the numbers of steps `COUNTS`.
    at_most : bool
        Whether this is an inequality, in every entry of its sides and on every rung.
    attained : float
        Of an inequality: the share of the right side that the left one must reach in some entry, as a bound that
        nothing comes near proves little.
    scale : callable, optional
        ``scale(problem)``: what residuals are compared with where the left side is smaller, as it may vanish.
    tolerance : float
        Largest relative difference of equal sides. 1e-9 is a thousand times what paths solved at 1e-13 leave, and a
        millionth of what the smallest mistake makes.
    hypotheses : tuple of str
        What must hold of the field; see `Finding.warnings`.
    """

    label: str
    statement: str
    source: str
    lhs: Side
    rhs: Side
    order: int | None = None
    ladder: tuple[float, ...] = STEPS
    at_most: bool = False
    attained: float = 0.0
    scale: Callable[[Problem], Any] | None = None
    tolerance: float = 1e-9
    hypotheses: tuple[str, ...] = (SMOOTH,)

    @property
    def kind(self) -> str:
        """How the sides are compared: "equal", "order" or "inequality"."""
        return "inequality" if self.at_most else "equal" if self.order is None else "order"

    @property
    def claim(self) -> str:
        """What is expected, in a word."""
        return "<=" if self.at_most else "=" if self.order is None else f"order {self.order}"


@dataclass(frozen=True, eq=False)
class Finding:
    """What an equation came to on a problem.

    Parameters
    ----------
    equation : Equation
    problem : Problem
    residuals : array (n,)
        Of an order, one for each rung of the ladder; else one. Relative to the left side; of an inequality, how far
        the left side exceeds the right one, relative to it, negative where it holds.
    """

    equation: Equation
    problem: Problem
    residuals: Array

    @property
    def orders(self) -> Array:
        """Observed orders, ``log2`` of neighbouring residuals above `FLOOR`."""
        above = 1e3 * FLOOR if np.max(self.residuals) < 1e3 * FLOOR else FLOOR  # too near to it to show an order
        large = self.residuals[self.residuals > above]
        return np.log2(large[:-1] / large[1:])

    @property
    def ok(self) -> bool:
        """Whether the equation holds; nan never does. A residual that falls faster than claimed is no mistake."""
        if not np.isfinite(self.residuals).all():
            return False
        if self.equation.order is None:
            return bool(self.residuals[0] <= (0.0 if self.equation.at_most else self.equation.tolerance))
        if not len(self.orders):
            return bool(self.residuals[-1] <= 1e3 * FLOOR)
        return bool(self.orders[-1] > self.equation.order - ORDER_SLACK)

    @property
    def sharp(self) -> bool:
        """Whether it holds and the order is the one claimed: so it must be on the problems of the chapters."""
        if self.equation.order is None:
            return self.ok
        return self.ok and len(self.orders) > 0 and bool(self.orders[-1] < self.equation.order + ORDER_SLACK)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Primitives of the field on which a hypothesis of the equation fails, such as the modulus."""
        return kinks(self.problem.field) if SMOOTH in self.equation.hypotheses else ()

    @property
    def verdict(self) -> str:
        """PASS or FAIL; WARN where it does not hold and need not, as a hypothesis fails."""
        return "PASS" if self.ok else "WARN" if self.warnings else "FAIL"

    @property
    def observed(self) -> str:
        """The measurement, in a word."""
        if self.equation.order is None:
            return f"{self.residuals[0]:.1e}"
        return f"{self.orders[-1]:.3f}" if len(self.orders) else "rounding"


def judge(equation: Equation, problem: Problem, rhs: Side | None = None) -> Finding:
    """Evaluate both sides on a problem.

    Parameters
    ----------
    equation : Equation
    problem : Problem
    rhs : callable, optional
        Another right side: that of a mutant, or a misprint.
    """
    rhs = rhs or equation.rhs
    rungs = rungs_of(equation, problem)
    with np.errstate(all="ignore"):  # what overflows fails
        least = 0.0 if equation.scale is None else float(np.linalg.norm(equation.scale(problem)))
        try:
            sides = [(_left(equation, problem, rung), np.asarray(rhs(problem, rung))) for rung in rungs]
        except np.linalg.LinAlgError:  # of a matrix that is not finite, or singular
            sides = []
        if not sides or any(left.shape != right.shape for left, right in sides):
            residuals = np.full(len(rungs), np.nan)
        elif equation.at_most:
            residuals = np.array([_excess(equation, sides, least)])
        else:
            residuals = np.array([_relative(left, right, least) for left, right in sides])
    return Finding(equation, problem, residuals)


def rungs_of(equation: Equation, problem: Problem) -> list[float]:
    """Return the arguments h of the sides: on a short path, or one that runs back in time, the steps follow it."""
    if equation.ladder[0] > 1:
        unit = 1.0
    else:
        length = float(problem.ts[-1] - problem.ts[0])
        unit = float(np.clip(length / LENGTH, -1.0, 1.0))
    alone = equation.order is None and not equation.at_most
    return [int(rung) if rung > 1 else unit * rung for rung in equation.ladder[: 1 if alone else None]]


@lru_cache(maxsize=8192)
def _left(equation: Equation, problem: Problem, rung: float) -> Array:
    """Return the left side, which all mutants of an equation share."""
    return np.asarray(equation.lhs(problem, rung))


def _relative(left: Array, right: Array, least: float) -> float:
    scale = max(float(np.linalg.norm(left)), least)
    return float(np.linalg.norm(left - right)) / (scale if scale > 0.0 else 1.0)


def _excess(equation: Equation, sides: list[tuple[Array, Array]], least: float) -> float:
    """Return by how much an inequality is missed, or its bound is out of reach; negative where all is well."""
    above = [np.where(left > FLOOR * least, left, 0.0) for left, _ in sides]
    shares = np.array([np.where(x > 0.0, x / right, 0.0) for x, (_, right) in zip(above, sides, strict=True)])
    return float(max(np.max(shares) - 1.0, equation.attained - np.max(shares)))
