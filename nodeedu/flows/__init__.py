"""Normalising flows: densities carried along by an ODE, and what they are trained on."""

from .base import Gaussian, GaussianMixture, StandardNormal
from .cnf import CNF
from .densities import DATA_SETS, DataSet, data_set
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
    "data_set",
    "dequantise",
    "gaussian",
    "hutchinson_trace",
    "old_faithful",
    "one_unit_solution",
    "quakes_fiji",
    "rademacher",
    "target",
    "three_routes",
    "uci_digits",
]
