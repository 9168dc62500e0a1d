"""The kernels that solve an ensemble, by name."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

__all__ = ["KERNELS", "solver_of"]

KERNELS = {
    "thread": ("nodeedu.cuda.ensemble", "solve_ensemble"),  # any field of few components
    "warp": ("nodeedu.cuda.warp_launch", "solve_warp"),  # perceptrons of the paper's size
    "tile": ("nodeedu.cuda.tile_launch", "solve_tile"),  # wide perceptrons
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
    module, name = KERNELS[kernel]
    return getattr(import_module(module), name)  # imported late: these modules build on the ensemble's
