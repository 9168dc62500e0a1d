"""`nodeedu figure stability`: the stability regions of all methods of fixed steps, and claims about them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .. import plot
from ..solvers.implicit import tableaus as implicit_tableaus
from .stability_regions import SLACK, growth, oscillation_interval, real_interval


class Panel(NamedTuple):
    """Methods that are drawn together, and the window (left, right, height) of h lambda."""

    title: str
    methods: tuple[str, ...]
    window: tuple[float, float, float]


REVERSIBLE = ("reversible_euler", "reversible_rk4", "reversible_dopri5", "reversible_heun")
PANELS = (
    Panel("explicit Runge–Kutta", ("euler", "heun", "bosh3", "rk4", "dopri5", "dop853"), (-9.5, 1.0, 6.5)),
    Panel("Adams–Bashforth", tuple(f"adams_bashforth{k}" for k in range(1, 6)), (-3.3, 0.4, 1.2)),
    Panel("Adams–Moulton, PECE", tuple(f"adams_moulton{k}" for k in range(1, 6)), (-3.3, 0.4, 1.9)),
    Panel("implicit: unstable inside the curves", implicit_tableaus.names(), (-9.5, 9.0, 8.0)),
)
# Where stability ends on the negative real axis: Hairer & Wanner II, IV.2 for Runge-Kutta methods; the roots of the
# characteristic polynomial at z = -x for the methods of Adams, where one passes -1.
REAL = {
    "euler": 2.0, "rk4": 2.7853, "dopri5": 3.3066,
    "adams_bashforth1": 2.0, "adams_bashforth2": 1.0, "adams_bashforth3": 6 / 11, "adams_bashforth4": 3 / 10,
    "adams_bashforth5": 90 / 551,
}  # fmt: skip
# Of the trace of a step's matrix, |tr| <= 2: 2 for Verlet (Hairer, Lubich & Wanner, I.5).
OSCILLATION = {"symplectic_euler": 2.0, "stormer_verlet": 2.0, "yoshida4": 1.5735}


def run(folder: Path) -> int:
    """Measure, draw ``stability.png`` into a folder, print the claims; return 0 if all hold, else 1."""
    plot.headless()
    print("wrote", plot.save(draw(), Path(folder) / "stability.png"))
    found = [
        _claim(f"{name} is stable to h lambda = -{x:.4g}", real_interval(name, 5.0), x) for name, x in REAL.items()
    ]
    found += [
        _claim(f"{name} is stable to h w = {x:.4g}", oscillation_interval(name, 4.0), x)
        for name, x in OSCILLATION.items()
    ]
    for name in implicit_tableaus.names():
        left = growth(name, [-1e-3, -1.0, -1e3, -1e6, -1.0 + 1e3j, -1e-3 + 5j])
        holds = bool((left <= 1.0 + SLACK).all())
        found.append(_verdict(f"{name} is stable in the left half plane", holds, left.max()))
    for name in REVERSIBLE:
        least = growth(name, np.linspace(-2.0, -0.1, 20)).min()
        found.append(_verdict(f"{name} is stable nowhere on -2 ... -0.1", least > 1.0 + SLACK, least))
    return 0 if all(found) else 1


def _claim(text: str, measured: float, expected: float) -> bool:
    # A growth of SLACK moves the end by about SLACK / |dR/dz|, which is 2e-3 of the end at most in these methods.
    return _verdict(text, abs(measured - expected) <= 0.01 * expected, measured)


def _verdict(text: str, holds: bool, measured: float) -> bool:
    print(f"{'PASS' if holds else 'FAIL'}  {text} (measured {measured:.4g})")
    return holds


def draw() -> Any:
    """Draw the edges of the regions, one panel a family; they are symmetric, so that the upper half is enough."""
    fig, axes = plot.figure(2, 3, size=(11.5, 6.6))
    for ax, panel in zip(axes.flat, PANELS, strict=False):
        left, right, height = panel.window
        x, y = np.meshgrid(np.linspace(left, right, 100), np.linspace(0.0, height, 75))
        for name, color in zip(panel.methods, plot.COLORS, strict=False):
            factor = np.minimum(growth(name, x + 1j * y), 4.0)
            ax.contour(x, y, factor, levels=[1.0 + SLACK], colors=[color], linewidths=1.6)
            ax.plot([], [], color=color, label=name)
        ax.axvline(0.0, color="0.6", linewidth=0.8)
        ax.set(title=panel.title, xlabel="Re hλ", ylabel="Im hλ")
        ax.legend(fontsize=7, loc="upper left", framealpha=0.9)
    _draw_oscillations(axes.flat[4])
    _draw_reversible(axes.flat[5])
    return fig


def _draw_reversible(ax: Any) -> None:
    x = np.linspace(0.0, 2.0, 101)
    for name, color in zip((*REVERSIBLE, "rk4"), plot.COLORS, strict=False):
        ax.plot(-x, growth(name, -x), color=color, label=name)
    ax.axhline(1.0, color="0.6", linewidth=0.8)
    ax.set(title="decay, by reversible methods", xlabel="hλ", ylabel="growth a step", ylim=(0.0, 4.0))
    ax.legend(fontsize=7)


def _draw_oscillations(ax: Any) -> None:
    names = (*OSCILLATION, "rk4")
    ax.barh(names, [oscillation_interval(name, 4.0) for name in names], color=plot.COLORS[: len(names)])
    ax.invert_yaxis()
    ax.set(title="q' = ωp, p' = −ωq", xlabel="largest stable hω")


