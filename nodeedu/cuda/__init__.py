"""Ensembles of trajectories on a GPU, or in Numba's simulator of one.

Names are imported when they are first used: all but `nodeedu cuda --help` needs the package numba-cuda.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nodeedu.cuda.device import GPU, SIMULATOR, Target
    from nodeedu.cuda.ensemble import Ensemble, odeint_ensemble
    from nodeedu.cuda.ensemble_gradients import EnsembleGradients, gradients_ensemble

__all__ = [
    "GPU", "SIMULATOR", "Ensemble", "EnsembleGradients", "Target", "gradients_ensemble", "odeint_ensemble",
]  # fmt: skip
HOMES = {
    "Ensemble": "ensemble", "odeint_ensemble": "ensemble",
    "EnsembleGradients": "ensemble_gradients", "gradients_ensemble": "ensemble_gradients",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"nodeedu.cuda has no {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(f"nodeedu.cuda.{HOMES.get(name, 'device')}"), name)
