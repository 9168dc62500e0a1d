"""The picture of a fit: each column against time, and the phase portrait of the first two with the learned field."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import plot
from .model import Model
from .table import Table

PANELS = 4  # columns drawn
LOG_AXIS = 30.0  # a column fitted in logarithms gets a logarithmic axis if it spans more than this factor
INK, SHADE, ARROWS, OTHER = "#333333", "#f3f0e7", "#aab7c0", "#8a8a8a"
DASHED, DOTTED = (0, (4, 2)), (0, (1, 1.3))

Predict = Callable[[ArrayLike], NDArray[Any]]


def draw(table: Table, n_train: int, model: Model, other: Predict | None = None) -> Any:
    """Draw data, fit and forecast.

    Parameters
    ----------
    table : Table
        All rows.
    n_train : int
        Number of rows that were fitted.
    model : Model
    other : callable, optional
        Predictions of the Lotka-Volterra ODE, for comparison.

    Returns
    -------
    matplotlib.figure.Figure
    """
    shown, portrait = min(len(table.columns), PANELS), len(table.columns) >= 2
    size = (10.4 if portrait else 7.5, max(4.9 if portrait else 3.6, 1.9 * shown + 0.6))
    widths = [1.35, 1.0] if portrait else [1.0]
    fig, axes = plot.figure(shown, len(widths), size=size, width_ratios=widths, squeeze=False)
    t = np.unique([*np.linspace(table.t[0], table.t[-1], 800), *table.t])
    y, y_other = model.predict(t), None if other is None else other(t)
    for i, axis in enumerate(axes[:, 0]):
        _draw_column(axis, table, n_train, i, t, y[:, i], None if y_other is None else y_other[:, i])
        axis.set_yscale("log" if _wants_log(model, table, i) else "linear")
        axis.sharex(axes[0, 0])
        axis.label_outer()
    axes[-1, 0].set_xlabel(table.label(table.time))
    if (table.t % 1.0 == 0.0).all():
        axes[-1, 0].locator_params(axis="x", integer=True)  # no year 1902.5
    axes[0, 0].legend(frameon=False, fontsize=8.5, ncols=3, loc="lower left", bbox_to_anchor=(-0.02, 1.0))
    if portrait:
        for axis in axes[1:, 1]:
            axis.remove()
        axes[0, 1].set_subplotspec(axes[0, 1].get_gridspec()[:, 1])  # one tall axes beside the panels
        _draw_portrait(axes[0, 1], table, n_train, model, t, y)
    return fig


def _wants_log(model: Model, table: Table, i: int) -> bool:
    observed = table.y[:, i][np.isfinite(table.y[:, i])]
    return bool(model.coordinates.log[i] and observed.min() > 0.0 and observed.max() > LOG_AXIS * observed.min())


def _draw_column(
    axis: Any, table: Table, n_train: int, i: int, t: NDArray[Any], y: NDArray[Any], other: NDArray[Any] | None
) -> None:
    """Draw one column against time: dots were fitted, circles were held out."""
    color, end, observed = plot.COLORS[i], table.t[n_train - 1], table.y[:, i]
    axis.axvspan(end, table.t[-1], color=SHADE, lw=0, zorder=0)
    axis.text(end, 0.97, "  held out", transform=axis.get_xaxis_transform(), va="top", color=INK, fontsize=8.5)
    dot = {"marker": "o", "ls": "", "color": color, "ms": 5 if len(table.t) <= 60 else 3}
    axis.plot(table.t[:n_train], observed[:n_train], **dot, label="data")
    axis.plot(table.t[n_train:], observed[n_train:], **dot, mfc="white", label="data, held out")
    axis.plot(t[t <= end], y[t <= end], color=color, label="Neural ODE")
    axis.plot(t[t >= end], y[t >= end], color=color, ls=DASHED, label="Neural ODE, forecast")
    if other is not None:
        axis.plot(t, other, color=OTHER, lw=1.3, ls=DOTTED, label="Lotka–Volterra ODE", zorder=1.5)
    axis.set_ylabel(table.label(table.columns[i]).replace(" (", "\n("))
    axis.margins(x=0.02, y=0.1)


def _draw_portrait(axis: Any, table: Table, n_train: int, model: Model, t: NDArray[Any], y: NDArray[Any]) -> None:
    """Draw the first two columns against each other, over the directions in which the learned field points."""
    end, color = table.t[n_train - 1], plot.COLORS[6]
    observed = table.y[:, :2]
    dot = {"marker": "o", "ls": "", "color": color, "ms": 5 if len(table.t) <= 60 else 3, "zorder": 3}
    axis.plot(*observed[:n_train].T, **dot)
    axis.plot(*observed[n_train:].T, **dot, mfc="white")
    axis.plot(*y[t <= end, :2].T, color=color, lw=1.6)
    axis.plot(*y[t >= end, :2].T, color=color, lw=1.6, ls=DASHED)
    axis.set_xscale("log" if _wants_log(model, table, 0) else "linear")
    axis.set_yscale("log" if _wants_log(model, table, 1) else "linear")
    axis.set_xlabel(table.label(table.columns[0]))
    axis.set_ylabel(table.label(table.columns[1]))
    axis.margins(0.12)
    axis.grid(False)
    complete = np.flatnonzero(np.isfinite(observed).all(axis=1))
    for i in {complete[0], complete[-1]} | set(complete[complete == n_train]):
        _label_outwards(axis, observed[complete], observed[i], f"{table.t[i]:g}")
    if len(table.columns) == 2:
        axis.set_title("the learned vector field", fontsize=10, color=INK)
        _draw_field(axis, model)
    else:
        axis.set_title("the first two columns", fontsize=10, color=INK)


def _label_outwards(axis: Any, points: NDArray[Any], point: NDArray[Any], text: str) -> None:
    """Write a label beside a point, on the side that is away from the middle of all points."""
    away = np.subtract(*axis.transAxes.inverted().transform(axis.transData.transform([point, points.mean(axis=0)])))
    offset = 15.0 * away / max(np.hypot(*away), 1e-300)
    place = {
        "textcoords": "offset points",
        "ha": "center",
        "va": "center",
        "fontsize": 8.5,
        "color": INK,
        "zorder": 2.5,
    }
    halo = {"boxstyle": "square,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.8}
    axis.annotate(text, point, xytext=offset, bbox=halo, **place)


def _draw_field(axis: Any, model: Model) -> None:
    """Draw arrows of equal length along the field, on a grid that is even on the axes as they are."""
    axis.set(xlim=axis.get_xlim(), ylim=axis.get_ylim())  # the arrows must not widen them
    axis.figure.draw_without_rendering()  # only now are the axes where they will be, and display directions right
    to_data = axis.transData.inverted().transform
    limits = axis.transData.transform(np.array([axis.get_xlim(), axis.get_ylim()]).T)
    grid = np.meshgrid(*(np.linspace(low, high, 21)[1::2] for low, high in limits.T))
    places = np.stack(grid, axis=-1).reshape(-1, 2)
    c, h = model.coordinates, 1e-3
    points = to_data(places)
    usable = ((points > 0.0) | ~c.log).all(axis=1)
    places, points = places[usable], points[usable]
    z = c.z(points)
    dz = np.array([model.field(0.0, each, model.weights) for each in z])
    ahead = axis.transData.transform(c.y(z + h * dz)) - places
    ahead /= np.maximum(np.hypot(*ahead.T), 1e-300)[:, None]
    axis.quiver(*points.T, *ahead.T, angles="uv", pivot="mid", color=ARROWS, scale=26, width=0.0035, zorder=0.5)
