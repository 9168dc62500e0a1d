"""The kernels that solve an ensemble, by name."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

__all__ = ["KERNELS", "backsolver_of", "solver_of"]

KERNELS = {
    "thread": ("nodeedu.cuda.ensemble", "solve_ensemble"),  # any field of few components
    "warp": ("nodeedu.cuda.warp_launch", "solve_warp"),  # perceptrons of the paper's size
    "tile": ("nodeedu.cuda.tile_launch", "solve_tile"),  # wide perceptrons
}
BACKWARD = {
    "thread": ("nodeedu.cuda.thread_gradients", "backsolve_ensemble"),
    "warp": ("nodeedu.cuda.warp_launch", "backsolve_warp"),
    "tile": ("nodeedu.cuda.tile_launch", "backsolve_tile"),
}


def solver_of(kernel: str) -> Callable[..., Any]:
    """Return ``solve(inputs, p, options, target)``, which returns outputs (T, B, D) and counters (B,) of SAMPLE.

    Raises
    ------
    ValueError
        If there is no kernel of that name.
    """
    if kernel not in KERNELS:
        raise ValueError(f"kernel: got {kernel!r}, expected one of {', '.join(KERNELS)}")
    return _load(*KERNELS[kernel])


def backsolver_of(kernel: str) -> Callable[..., Any]:
    """Return ``backsolve(inputs, options, zs, zs_bar, first_steps, target)``; see `backsolve_ensemble`."""
    return _load(*BACKWARD[kernel])


def _load(module: str, name: str) -> Callable[..., Any]:
    return getattr(import_module(module), name)  # imported late: these modules build on the ensemble's
