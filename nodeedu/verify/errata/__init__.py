"""Formulas that were published wrong, each with the right form and a test in which the wrong one misses."""

from .erratum import Bounds, Erratum, Orders, Trial, Values, judge
from .gallery import check, errata, select

__all__ = ["Bounds", "Erratum", "Orders", "Trial", "Values", "check", "errata", "judge", "select"]
