"""Gradients of solutions: forward sensitivity, backpropagation through the solver, and the adjoint ODE."""

from __future__ import annotations

from nodeedu.sensitivity.gradients import gradients
from nodeedu.sensitivity.odeint import odeint
from nodeedu.sensitivity.results import Gradients, GradientStats

__all__ = ["GradientStats", "Gradients", "gradients", "odeint"]
