"""How a chapter checks its numbered equations: sides that are equal, and differences that vanish with an order."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..autodiff.check import relative_error
from .equations.equation import ORDER_SLACK


class Checks(dict[str, Any]):
    """What was measured for each equation, by its label; a check that fails stops the chapter."""

    def equal(self, label: str, left: Any, right: Any, tolerance: float) -> None:
        """Compare two sides, relative to their size.

        Parameters
        ----------
        label : str
            Of the equation.
        left, right : array or structure of arrays
        tolerance : float
            Largest relative difference, dimensionless.

        Raises
        ------
        AssertionError
            If they differ by more.
        """
        difference = relative_error(left, right)
        print(f"({label}) relative difference {difference:.1e}")
        assert difference <= tolerance, f"({label}) got a difference of {difference:.1e}, expected <= {tolerance:.1e}"
        self.setdefault(label, []).append(difference)

    def order(self, label: str, residuals: ArrayLike, expected: float) -> None:
        """Compare log2 of the ratio of neighbouring residuals, whose step sizes halve, with the order expected.

        Parameters
        ----------
        label : str
            Of the equation.
        residuals : array (n,)
            Differences of the sides.
        expected : float
            The order; see `ORDER_SLACK`.

        Raises
        ------
        AssertionError
            If the last observed order is another.
        """
        sizes = np.asarray(residuals)
        orders = np.log2(sizes[:-1] / sizes[1:])
        print(f"({label}) residuals {sizes[0]:.1e} ... {sizes[-1]:.1e}, orders {np.round(orders, 3)}")
        assert abs(orders[-1] - expected) < ORDER_SLACK, f"({label}) got order {orders[-1]:.3f}, expected {expected}"
        self.setdefault(label, []).append(orders[-1])
