"""The picture of backward passes: a dz and H along the path, for right and broken adjoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import plot

if TYPE_CHECKING:
    from .backward_trace import BackwardTrace

PANELS = (("pairing", r"$a\,\delta z$"), ("energy", r"$a f + \int_t^{t_1} a f_t\, ds$"))
ROOM = 0.6  # above and below what is due, in units of its size: what strays further leaves the picture


def duality_figure(traces: Mapping[str, BackwardTrace], **options: Any) -> Any:
    """Draw both quantities of backward passes of one problem; the dotted staircase is what is due of all of them.

    Parameters
    ----------
    traces : dict
        Label -> trace.
    **options
        Passed on to `plot.figure`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    if not traces:
        raise ValueError("traces: got none, expected at least one")
    colors = ("black", *plot.COLORS)
    fig, axes = plot.figure(1, 2, size=(9.4, 4), **options)
    for ax, (name, title) in zip(axes, PANELS, strict=True):
        for i, (label, trace) in enumerate(traces.items()):
            rows = [row for row in trace.rows if row.what != "rejected"]
            times = [row.t for row in rows]
            color, width = colors[i % len(colors)], 2.4 if i == 0 else 1.5
            ax.plot(times, [getattr(row, name) for row in rows], ".-", color=color, lw=width, ms=4, label=label)
        due = np.array([getattr(row, f"{name}_due") for row in rows])
        ax.plot(times, due, ":", color="0.45", lw=1.8, zorder=3, label="due")
        spread = abs(due).max() or 1.0
        ax.set(title=title, xlabel="$t$", ylim=(due.min() - ROOM * spread, due.max() + ROOM * spread))
    axes[1].legend(fontsize=9)
    return fig
