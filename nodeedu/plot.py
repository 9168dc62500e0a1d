"""The look of nodeedu's figures. Matplotlib is imported only when a figure is made."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Colours that stay apart under all common kinds of colour blindness: Okabe & Ito, Color Universal Design (2008). Their
# yellow is left out, as it is hard to see on white.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")

_STYLE: dict[str, Any] = {
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.labelsize": 11,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 12,
    "figure.constrained_layout.use": True,
    "figure.facecolor": "white",
    "font.size": 10,
    "grid.alpha": 0.5,
    "grid.color": "#d9d9d9",
    "grid.linewidth": 0.8,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
}
_FILE: dict[str, Any] = {"dpi": 150}


def headless() -> None:
    """Draw to files only, so that no window toolkit is loaded: for commands and tests.

    Without this call Matplotlib chooses, and falls back to the same where there is no display.
    """
    import matplotlib

    matplotlib.use("Agg")


def draft() -> None:
    """Draw in half the time from now on: coarse, with axes that are not fitted to each other. For tests of all else."""
    _FILE["dpi"] = 50
    _STYLE["figure.constrained_layout.use"] = False


def figure(rows: int = 1, columns: int = 1, *, size: tuple[float, float] | None = None, **options: Any) -> Any:
    """Make a figure in the project's style, without changing the style of any other figure.

    Parameters
    ----------
    rows, columns : int
        Grid of axes.
    size : (float, float), optional
        Width and height in inches; default 5 by 3.6 for each axes.
    **options
        Passed on to `matplotlib.pyplot.subplots`, for instance ``sharex=True``.

    Returns
    -------
    figure, axes
        As `matplotlib.pyplot.subplots` returns them: one axes, or an array of them.
    """
    import matplotlib.pyplot as plt
    from cycler import cycler

    style: Any = _STYLE | {"axes.prop_cycle": cycler(color=COLORS) + cycler(linewidth=[1.8] * len(COLORS))}
    with plt.rc_context(style):
        return plt.subplots(rows, columns, figsize=size or (5.0 * columns, 3.6 * rows), **options)


def save(fig: Figure, path: str | Path) -> Path:
    """Write a figure to a file, making the folder if need be.

    Parameters
    ----------
    fig : Figure
        From `figure`.
    path : str or Path
        The ending chooses the format.

    Returns
    -------
    Path
        The path written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    fig.savefig(path, **_FILE)
    return path


def show_or_save() -> None:
    """Show all open figures; where ``NODEEDU_FIGURES`` names a folder, write each there under its label instead.

    Without a window and without a folder there is nothing to do.
    """
    import matplotlib.pyplot as plt

    if folder := os.environ.get("NODEEDU_FIGURES"):
        for name in plt.get_figlabels():
            print("wrote", save(plt.figure(name), Path(folder) / f"{name}.png"))
    elif plt.get_backend().lower() != "agg":
        plt.show()
