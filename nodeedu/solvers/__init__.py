"""Explicit Runge-Kutta solvers in which every sample of a batch has its own steps."""

from __future__ import annotations

from nodeedu.solvers.arguments import Inputs, Options, check_inputs, check_options
from nodeedu.solvers.solution import Solution, Stats
from nodeedu.solvers.solve import require_success, solve

__all__ = ["Inputs", "Options", "Solution", "Stats", "check_inputs", "check_options", "require_success", "solve"]
