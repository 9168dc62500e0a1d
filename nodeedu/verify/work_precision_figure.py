"""The pictures of work_precision.py: evaluations and time against the error, ours solid, SciPy's dashed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import plot
from .ode_problems import NONSTIFF, STIFF
from .work_precision import EXPLICIT_STEPS, FOR_NONSTIFF, FOR_STIFF, Method, Results, cost, costs

Array = NDArray[Any]

ERRORS = 10.0 ** np.arange(-2.0, -10.1, -0.5)
REFERENCE = "dopri5"  # whose time is the unit
MARKERS = {"bosh3": "v", "dopri5": "o", "tsit5": "D", "dop853": "s", "adams": "^", "radau5": "o"}
MARKERS |= {"RK23": "v", "RK45": "o", "DOP853": "s", "LSODA": "^", "Radau": "o", "BDF": "P"}
INK = "#333333"


def _style(method: Method) -> dict[str, Any]:
    color = plot.COLORS[method.color]
    look: dict[str, Any] = {"color": color, "marker": MARKERS[method.name], "markersize": 4.5, "linewidth": 1.5}
    if method.scipy:
        look |= {"linestyle": (0, (4, 2)), "markerfacecolor": "white", "linewidth": 1.2}
    return look


def draw_nonstiff(results: Results) -> Any:
    """Draw means over the twelve problems of DETEST.

    Parameters
    ----------
    results : dict
        From `compare`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    fig, (left, right) = plot.figure(1, 2, size=(11, 5.2))
    table = {
        (m.label, what): np.array([costs(results, NONSTIFF, m.label, error, what) for error in ERRORS])
        for m in FOR_NONSTIFF
        for what in ("evaluations", "fastest", "median")
    }
    unit = table[REFERENCE, "fastest"], table[REFERENCE, "median"]
    for m in FOR_NONSTIFF:
        left.loglog(ERRORS, _mean(table[m.label, "evaluations"]), **_style(m), label=m.label)
        right.loglog(ERRORS, _mean(table[m.label, "fastest"] / unit[0]), **_style(m))
        low, high = table[m.label, "fastest"] / unit[1], table[m.label, "median"] / unit[0]
        if m.label != REFERENCE:
            right.fill_between(ERRORS, _mean(low), _mean(high), color=plot.COLORS[m.color], alpha=0.1, linewidth=0)
    left.set(ylabel="evaluations of f", title="Work")
    left.set_yticks([100, 300, 1000, 3000], ["100", "300", "1000", "3000"])
    right.set(ylabel=f"time, in units of that of {REFERENCE}", title="Time: ours of a traced f, SciPy's of a Python f")
    for axes in (left, right):
        axes.set(xlabel="error at t = 20, relative")
        axes.invert_xaxis()
        axes.minorticks_off()
    fig.suptitle("Twelve problems of DETEST: what an error costs (geometric means)", fontsize=13)
    fig.legend(loc="outside lower center", ncols=5, frameon=False, fontsize=9.5)
    return fig


def _mean(values: Array) -> Array:
    """Return geometric means over the last axis; nan where a problem has no value."""
    return np.exp(np.mean(np.log(values), axis=-1))


def draw_stiff(results: Results) -> Any:
    """Draw each stiff problem.

    Parameters
    ----------
    results : dict
        From `compare`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    fig, axes = plot.figure(2, len(STIFF), size=(13, 6.6), sharex=True, sharey="row")
    for (top, bottom), problem in zip(axes.T, STIFF, strict=True):
        runs = {m: results[problem.name, m.label] for m in FOR_STIFF}
        unit = next(runs[m] for m in FOR_STIFF if m.label == "radau5")
        for m in FOR_STIFF:
            errors = [run.error for run in runs[m]]
            label = m.label if problem is STIFF[2] else None  # all methods finish there
            top.loglog(errors, [run.evaluations for run in runs[m]], **_style(m), label=label)
            ratios = [
                [seconds / cost(unit, run.error, lambda run: run.fastest) for seconds in (run.fastest, run.median)]
                for run in runs[m]
            ]
            fast, slow = np.array(ratios).reshape(-1, 2).T
            bottom.loglog(errors, fast, **_style(m))
            bottom.fill_between(errors, fast, slow, color=plot.COLORS[m.color], alpha=0.12, linewidth=0)
            if not errors:
                text = f"{m.label}: not done\nafter {EXPLICIT_STEPS:,} steps".replace(",", " ")
                top.annotate(text, (0.04, 0.95), xycoords="axes fraction", va="top", fontsize=9, color=INK)
        top.set_title(problem.name)
        bottom.set(xlabel="error at the end, relative", xlim=(0.3, 1e-13))
        bottom.set_xticks([1e-1, 1e-4, 1e-7, 1e-10, 1e-13])
        for each in (top, bottom):
            each.minorticks_off()
    axes[0, 0].set_ylabel("evaluations of f (a Jacobian: D)")
    axes[1, 0].set_ylabel("time, in units of that of radau5")
    fig.suptitle("Stiff problems: what an error of every component costs", fontsize=13)
    fig.legend(loc="outside lower center", ncols=5, frameon=False, fontsize=9.5)
    return fig
