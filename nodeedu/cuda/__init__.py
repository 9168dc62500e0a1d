"""Ensembles of trajectories on a GPU, or in Numba's simulator of one. Nothing else of nodeedu imports this package."""

from __future__ import annotations

from nodeedu.cuda.device import GPU, SIMULATOR, Target
from nodeedu.cuda.ensemble import Ensemble, odeint_ensemble

__all__ = ["GPU", "SIMULATOR", "Ensemble", "Target", "odeint_ensemble"]
