"""Normalising flows: densities carried along by an ODE, and what they are trained on."""

from .base import Gaussian, GaussianMixture, StandardNormal
from .cnf import CNF
from .noise import gaussian, hutchinson_trace, rademacher

__all__ = [
    "CNF",
    "Gaussian",
    "GaussianMixture",
    "StandardNormal",
    "gaussian",
    "hutchinson_trace",
    "rademacher",
]
