"""Gradients of solutions: forward sensitivity, backpropagation through the solver, and the adjoint ODE."""

from __future__ import annotations

from nodeedu.sensitivity.gradients import Gradients, GradientStats, gradients
from nodeedu.sensitivity.odeint import odeint

__all__ = ["GradientStats", "Gradients", "gradients", "odeint"]
