"""An equation of a derivation, with both of its sides as code: the ledger's row, and how it is judged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...autodiff.check import relative_error
from ..problem import Problem

Array = NDArray[Any]
Side = Callable[[Problem, float], Any]

STEPS = 0.1 / 2.0 ** np.arange(6)  # of the ladder on which an order is observed
FLOOR = 1e-12  # smaller residuals are rounding and say nothing about an order
ORDER_SLACK = 0.15  # at a finite h the next power of h still shows; far from the next whole number
SMOOTH = "f is continuously differentiable in z"


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
        ``side(problem, h)`` -> array; h is the step of the ladder, and is ignored where the sides are equal.
    order : int, optional
        ``lhs - rhs = O(h^order)``. Without it the sides are equal, or ``lhs <= rhs`` where ``at_most`` is set.
    at_most : bool
        Whether this is an inequality.
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
    at_most: bool = False
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
        Of an order, one for each step of the ladder; else one. Relative to the left side; of an inequality, how far
        the left side exceeds the right one, negative where it holds.
    """

    equation: Equation
    problem: Problem
    residuals: Array

    @property
    def orders(self) -> Array:
        """Observed orders, ``log2`` of neighbouring residuals above `FLOOR`."""
        large = self.residuals[self.residuals > FLOOR]
        return np.log2(large[:-1] / large[1:])

    @property
    def ok(self) -> bool:
        """Whether the equation holds; nan never does."""
        if self.equation.order is None:
            return bool(self.residuals[0] <= (0.0 if self.equation.at_most else self.equation.tolerance))
        if not np.isfinite(self.residuals).all():
            return False
        return len(self.orders) > 0 and bool(abs(self.orders[-1] - self.equation.order) < ORDER_SLACK)

    @property
    def observed(self) -> str:
        """The measurement, in a word."""
        if self.equation.order is None:
            return f"{self.residuals[0]:.1e}"
        return f"{self.orders[-1]:.3f}" if len(self.orders) else "all rounding"


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
    steps = STEPS if equation.order is not None else STEPS[:1]
    with np.errstate(all="ignore"):  # what overflows fails
        sides = [(np.asarray(equation.lhs(problem, h)), np.asarray(rhs(problem, h))) for h in steps]
    if equation.at_most:
        return Finding(equation, problem, np.array([np.max(left - right) for left, right in sides]))
    if any(left.shape != right.shape for left, right in sides):
        return Finding(equation, problem, np.full(len(steps), np.nan))
    return Finding(equation, problem, np.array([relative_error(right, left) for left, right in sides]))
