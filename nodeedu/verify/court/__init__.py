"""The gradient court: gradients and formulas on trial, with the mistake named where one is wrong."""

from .verdict import Verdict, court

__all__ = ["Verdict", "court"]
