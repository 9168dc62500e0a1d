"""The picture of a trial: how far all routes to a gradient are apart."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import plot
from .trial import QUANTITIES, Trial

FLOOR = 1e-16


def draw(trial: Trial) -> Any:
    """Draw the pairwise relative errors of each quantity as a heat map; bold is beyond what passes, = is equal.

    Parameters
    ----------
    trial : Trial

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.colors import LogNorm

    names = [route.name for route in trial.routes]
    fig, axes = plot.figure(1, 3, size=(4.4 * 3, 4.9), sharey=True)
    for ax, name, errors in zip(axes, QUANTITIES, trial.errors, strict=True):
        shown = np.where(np.eye(len(names), dtype=bool), np.nan, np.clip(errors, FLOOR, 1.0))
        image = ax.imshow(shown, norm=LogNorm(1e-16, 1.0), cmap="cividis")
        for i, j in zip(*np.nonzero(np.isfinite(shown)), strict=True):
            value = errors[i, j]
            label = f"{np.log10(max(value, FLOOR)):.0f}" if value > 0.0 else "="
            ink, weight = "white" if value < 1e-7 else "black", "bold" if value > trial.agree else "normal"
            ax.text(j, i, label.replace("-", "−"), ha="center", va="center", size=9, color=ink, weight=weight)
        ax.set(title=name.replace("theta", "θ").replace("z0", "z₀").replace("ts", "tᵢ"))
        ax.set_xticks(range(len(names)), names, rotation=40, ha="right")
        ax.set_yticks(range(len(names)), names)
        ax.grid(False)
    fig.colorbar(image, ax=list(axes), label="relative difference of row from column", shrink=0.85, pad=0.01)
    fig.suptitle("Gradients on trial: powers of ten of their pairwise differences (= the same bits)", fontsize=13)
    return fig
