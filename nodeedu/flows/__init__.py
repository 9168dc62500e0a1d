"""Normalising flows: densities carried along by an ODE, and what they are trained on."""

from .base import Gaussian, GaussianMixture, StandardNormal
from .cnf import CNF
from .densities import DATA_SETS, DataSet, data_set
from .marginal import conditional_and_marginal, marginal_field
from .matching import couple, matching_loss, straightness
from .noise import gaussian, hutchinson_trace, rademacher
from .planar import PlanarFlow
from .planar_cnf import PlanarCNF, one_unit_solution
from .real_data import RealData, bits_per_dim, dequantise, old_faithful, quakes_fiji, uci_digits
from .routes import ThreeRoutes, three_routes
from .targets import TARGETS, Target, target

__all__ = [
    "CNF",
    "DATA_SETS",
    "TARGETS",
    "DataSet",
    "Gaussian",
    "GaussianMixture",
    "PlanarCNF",
    "PlanarFlow",
    "RealData",
    "StandardNormal",
    "Target",
    "ThreeRoutes",
    "bits_per_dim",
    "conditional_and_marginal",
    "couple",
    "data_set",
    "dequantise",
    "gaussian",
    "hutchinson_trace",
    "marginal_field",
    "matching_loss",
    "old_faithful",
    "one_unit_solution",
    "quakes_fiji",
    "rademacher",
    "straightness",
    "target",
    "three_routes",
    "uci_digits",
]
