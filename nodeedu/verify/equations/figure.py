"""The picture of the ledger: how residuals fall with the step, and how small they are where the sides are equal."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import plot
from .equation import FLOOR, Finding, rungs_of

INK = "#333333"
COLUMNS = 4
LINES: tuple[Any, ...] = ("-", "--", "-.", ":")  # one for each field
MARKERS = ("o", "s", "^", "D")
TITLES = {
    "a": "a residual network is Euler",
    "b": "adjoint by limits",
    "c": "adjoint by multipliers",
    "d": "discretise, then optimise",
    "e": "algorithm 1",
    "f": "times",
    "g": "linear algebra",
    "h": "change of variables",
    "i": "continuity",
    "j": "Hutchinson's trace",
    "k": "duality",
    "l": "partitioned Runge-Kutta",
    "m": "running backwards",
    "n": "planar flows",
}


def draw(findings: list[Finding]) -> Any:
    """Draw findings: one panel for each derivation with orders, and one for all sides that are equal.

    Parameters
    ----------
    findings : list of Finding

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.lines import Line2D

    ladders = [f for f in findings if f.equation.order is not None]
    flat = [f for f in findings if f.equation.kind == "equal"]
    groups = sorted({f.equation.label[0] for f in ladders})
    columns = min(COLUMNS, max(1, len(groups)))
    rows = -(-len(groups) // columns)
    heights = [1.0] * rows + [0.8] * bool(flat)
    size = (max(7.0, 3.9 * columns), 3.3 * sum(heights) + 0.4)
    fig, axes = plot.figure(len(heights), columns, size=size, height_ratios=heights, squeeze=False)
    panels, names = dict(zip(groups, axes.flat, strict=False)), list(dict.fromkeys(f.problem.name for f in findings))
    for group, panel in panels.items():
        _draw_ladders(panel, [f for f in ladders if f.equation.label[0] == group], names)
    for unused in axes.flat[len(groups) :]:
        unused.remove()
    if flat:
        wide = fig.add_subplot(axes[-1, 0].get_gridspec()[-1, :])
        wide.spines[["top", "right"]].set_visible(False)
        _draw_equal(wide, flat, names)
    marks = [
        Line2D([], [], linestyle=LINES[j % 4], marker=MARKERS[j % 4], markersize=4, color=INK, label=name)
        for j, name in enumerate(names)
    ]
    fig.legend(handles=marks, loc="upper right", ncols=len(marks), frameon=False)
    fig.suptitle("The ledger: left side minus right side", fontsize=13, fontweight="bold", x=0.01, ha="left")
    return fig


def _draw_ladders(axes: Any, findings: list[Finding], names: list[str]) -> None:
    labels = list(dict.fromkeys(f.equation.label for f in findings))
    for f in findings:
        h = np.abs(rungs_of(f.equation, f.problem))
        h = 1.0 / h if f.equation.ladder[0] > 1 else h
        shown = np.isfinite(f.residuals) & (f.residuals > FLOOR)
        i, j = labels.index(f.equation.label), names.index(f.problem.name)
        legend = f"{f.equation.label}: " + ", ".join(g.observed for g in findings if g.equation is f.equation)
        style = {"color": plot.COLORS[i % len(plot.COLORS)], "marker": MARKERS[j % 4], "linewidth": 1.2}
        if i >= len(plot.COLORS):  # the second round of colours
            style["markerfacecolor"] = "white"
        axes.loglog(h[shown], f.residuals[shown], LINES[j % 4], markersize=3, label=legend if j == 0 else None, **style)
    axes.set(xlabel="h, or 1/N", title=f"({labels[0][0]}) {TITLES.get(labels[0][0], '')}")
    axes.set_ylabel("relative residual")
    axes.minorticks_off()
    axes.legend(frameon=False, fontsize=7.5, title="observed order", title_fontsize=7.5, loc="center left",
                bbox_to_anchor=(1.0, 0.5), handlelength=1.2)  # fmt: skip


def _draw_equal(axes: Any, findings: list[Finding], names: list[str]) -> None:
    labels = list(dict.fromkeys(f.equation.label for f in findings))
    for j, name in enumerate(names):
        ours = [f for f in findings if f.problem.name == name]
        x = [labels.index(f.equation.label) for f in ours]
        residuals = np.array([f.residuals[0] for f in ours])
        y = np.clip(np.nan_to_num(residuals, nan=1e3, posinf=1e3), 1e-17, 1e3)
        axes.semilogy(x, y, MARKERS[j % 4], markersize=4, color=plot.COLORS[j % len(plot.COLORS)], label=name)
    limits = [next(f.equation.tolerance for f in findings if f.equation.label == label) for label in labels]
    axes.semilogy(range(len(labels)), limits, "_", color=INK, markersize=8, label="largest that passes")
    axes.set_xticks(range(len(labels)), labels, rotation=90)
    axes.set(xlim=(-1, len(labels)), ylabel="relative residual", title="Both sides are equal (those of 0 at 1e-17)")
    axes.legend(frameon=False, fontsize=8.5, loc="upper left", ncols=3)
    axes.set_ylim(top=max(1e-4, axes.get_ylim()[1]))
