"""The picture of an audit: where the method is stable, and how its errors fall."""

from __future__ import annotations

from math import isfinite, isnan
from typing import Any

import numpy as np
from numpy.polynomial import polynomial
from numpy.typing import NDArray

from ... import plot
from .audit import Audit
from .measured import Measurement
from .stability import Stability

Array = NDArray[Any]
Window = tuple[float, float, float, float]

INK, OUTSIDE = "#333333", "#8a8a8a"
B_HAT = 3  # its colour and marker
MARKERS = ("o", "s", "^", "D")
EDGES = np.linspace(0.0, 1.0, 11)  # of the bands of |R|


def draw(audit: Audit) -> Any:
    """Draw the stability region and the measured errors.

    Parameters
    ----------
    audit : Audit

    Returns
    -------
    matplotlib.figure.Figure
    """
    fig, (left, right) = plot.figure(1, 2, size=(10.2, 4.9), width_ratios=[1.0, 1.05])
    draw_region(left, audit.stability, audit.embedded_stability)
    _draw_errors(right, audit)
    fig.suptitle(audit.tableau.name, fontsize=14, fontweight="bold", parse_math=False)  # a $ in a name is a $
    return fig


def draw_region(axes: Any, stability: Stability, embedded: Stability | None = None) -> None:
    """Draw where ``|R(z)| <= 1``, in bands of |R|, with what the method reaches on the axes.

    Parameters
    ----------
    axes : matplotlib axes
    stability : Stability
    embedded : Stability, optional
        Its region is outlined.
    """
    from matplotlib.colors import ListedColormap
    from matplotlib.pyplot import get_cmap

    x0, x1, y0, y1 = window = _window(stability)
    x, y = np.linspace(x0, x1, 401), np.linspace(y0, y1, 401)
    size = _sizes(stability, x, y)
    shades = ListedColormap(get_cmap("Blues_r")(np.linspace(0.25, 0.93, len(EDGES) - 1)))
    bands = axes.contourf(x, y, size, levels=EDGES, cmap=shades, antialiased=True)
    _outline(axes, x, y, size, colors=[plot.COLORS[0]], linewidths=1.8)
    if embedded is not None:
        _outline(axes, x, y, _sizes(embedded, x, y), colors=[plot.COLORS[B_HAT]], linestyles=["--"])
        axes.plot([], [], "--", color=plot.COLORS[B_HAT], linewidth=1.5, label="boundary with the weights b_hat")
    axes.axhline(0.0, color=INK, linewidth=0.7)
    axes.axvline(0.0, color=INK, linewidth=0.7)
    _mark_axes(axes, stability)
    _mark_poles(axes, stability, window)
    axes.set(xlim=(x0, x1), ylim=(y0, y1), aspect="equal", xlabel="Re z", ylabel="Im z", title=_region_title(stability))
    axes.grid(False)
    axes.figure.colorbar(bands, ax=axes, label="|R(z)|", shrink=0.75, ticks=EDGES[::5], pad=0.02)
    if axes.get_legend_handles_labels()[1]:
        axes.legend(frameon=False, fontsize=8.5, loc="upper left", bbox_to_anchor=(-0.02, -0.13), ncols=2)


def _draw_errors(axes: Any, audit: Audit) -> None:
    for i, measurement in enumerate(audit.measured):
        _draw_measurement(axes, measurement, "b", i)
    if audit.embedded_measured is not None:
        _draw_measurement(axes, audit.embedded_measured, "b_hat", B_HAT)
    claimed = audit.tableau.order
    order = audit.order.non_autonomous if claimed is None else claimed
    n = audit.measured[0].steps
    first = max((m.errors[0] for m in audit.measured if isfinite(m.errors[0])), default=1.0)
    guide = 4 * first * (n / n[0]) ** -float(order)
    word = "found" if claimed is None else "claimed"
    axes.loglog(n[guide > 1e-15], guide[guide > 1e-15], "--", color=INK, linewidth=1.2, label=f"order {order}, {word}")
    lowest = min(float(np.min(m.errors)) for m in audit.measured)
    if lowest < 1e-13:
        axes.axhspan(1e-17, 1e-15, color="#eeeeee", linewidth=0)
        axes.annotate("round-off", (n[0], 1.6e-16), color=OUTSIDE, fontsize=8.5, va="center")
    axes.set(xlabel="steps on 0 ≤ t ≤ 1", ylabel="root mean square error", title="Error against number of steps")
    axes.set_ylim(bottom=3e-17 if lowest < 1e-13 else min(lowest, 0.1) / 30)  # room for the legend
    ticks = [3, 6, 12, 24, 48, 96, 192]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.legend(frameon=False, fontsize=8.5, loc="best")


def _draw_measurement(axes: Any, measurement: Measurement, weights: str, i: int) -> None:
    shown = np.isfinite(measurement.errors) & (measurement.errors > 0.0)
    order = "" if isnan(measurement.order) else f": {measurement.order:.2f}"
    label = f"{weights}, {measurement.problem}{order}"
    n, errors = measurement.steps[shown], measurement.errors[shown]
    axes.loglog(n, errors, marker=MARKERS[i], markersize=3.5, linewidth=1.2, label=label, color=plot.COLORS[i])


def _sizes(stability: Stability, x: Array, y: Array) -> Array:
    with np.errstate(all="ignore"):  # at a pole
        size = abs(stability(x[None, :] + 1j * y[:, None]))
    return np.nan_to_num(size, nan=np.inf).clip(max=1e6)


def _outline(axes: Any, x: Array, y: Array, size: Array, **style: Any) -> None:
    if size.min() < 1.0 < size.max():  # else there is no boundary here, of which Matplotlib would warn
        axes.contour(x, y, size, levels=[1.0], **style)


def _mark_axes(axes: Any, stability: Stability) -> None:
    real, imaginary = stability.real_interval, stability.imaginary_interval
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.0}
    style: dict[str, Any] = {"textcoords": "offset points", "fontsize": 9, "color": INK, "bbox": box}
    points = []
    if 0.0 < real < np.inf:
        points.append((-real, 0.0))
        axes.annotate(f"−{real:.3g}", points[-1], xytext=(-7, 8), ha="right", **style)
    if 0.0 < imaginary < np.inf:
        points += [(0.0, imaginary), (0.0, -imaginary)]
        axes.annotate(f"{imaginary:.3g} i", (0.0, imaginary), xytext=(7, 5), ha="left", **style)
    if points:
        axes.plot(*np.array(points).T, "o", color=INK, markersize=4.5, zorder=4)


def _mark_poles(axes: Any, stability: Stability, window: Window) -> None:
    poles = polynomial.polyroots(stability.denominator) if len(stability.denominator) > 1 else np.zeros(0)
    inside = [p for p in poles if window[0] < p.real < window[1] and window[2] < p.imag < window[3]]
    if inside:
        where = np.array(inside)
        axes.plot(where.real, where.imag, "x", color=INK, markersize=7, markeredgewidth=1.8, label="poles of R")


def _window(stability: Stability) -> Window:
    """Frame whichever of the stable and the unstable region is bounded, and the origin."""
    reach = 4.0 + 2.0 * len(stability.numerator)
    grid = np.linspace(-reach, reach, 241)
    stable = _sizes(stability, grid, grid) <= 1.0
    bounded = stable if len(stability.denominator) == 1 else ~stable
    rows, columns = np.nonzero(bounded)
    on_edge = np.any(bounded[[0, -1]]) or np.any(bounded[:, [0, -1]])
    if on_edge or not len(rows):  # both reach infinity, as for the Gauss methods
        radius = 1.6 * max([2.0, *abs(polynomial.polyroots(stability.denominator))])
        return (-radius, radius, -radius, radius)
    x0, x1 = min(grid[columns.min()], 0.0), max(grid[columns.max()], 0.0)
    y1 = max(grid[rows.max()], 0.5)
    margin = 0.18 * max(x1 - x0, 2 * y1)
    half = max((x1 - x0) / 2, y1) + margin  # square, so that all figures have one shape
    middle = (x0 + x1) / 2
    return (middle - half, middle + half, -half, half)


def _region_title(stability: Stability) -> str:
    if stability.l_stable:
        return "Stability region: L-stable"
    if stability.a_stable:
        return "Stability region: A-stable"
    return "Stability region"
