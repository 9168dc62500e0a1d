"""`nodeedu figure figure5`: planar flows by maximum likelihood on two circles and two moons (the paper's figure 5).

A planar CNF of 64 units carries noise to data, and is seen on the way; beside it a planar normalising flow of 64
layers, which maps data to noise, so that its likelihood needs no inverse. `run` draws from the numbers in
figure5.json; `train` makes those anew, in a quarter of an hour on one core.

Not as in the paper, which gives no budgets here: `BUDGETS`, about the same processor time for both; layers that are
kept invertible; learning rates that fall to 0, and begin as those of figure 4 for its largest models.
"""

from __future__ import annotations

import math
import sys
from dataclasses import asdict
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import plot
from ...flows import CNF
from ...flows.densities import DataSet, data_set
from . import record
from .planar import FINAL, MODELS, Budget, log_likelihood, train_model, units
from .statistics import Interval, interval, verdict

NUMBERS = Path(__file__).with_suffix(".json")
DATA = {"two-circles": "two circles", "two-moons": "two moons"}
SIZE = 64
SEEDS = range(100, 105)
BUDGETS = {"NF": Budget(steps=20_000, batch=256, rate=1e-2), "CNF": Budget(steps=2_000, batch=128, rate=1.5e-2)}
SCALE = 2.0  # models see data divided by it
HELD_OUT, SEED_HELD_OUT = 20_000, 1_000_000
TIMES = (0.0, 0.25, 0.5, 0.75, 1.0)  # at which the CNF is drawn
WINDOW, GRID = 4.2, 181


def run(folder: Path) -> int:
    """Draw ``figure5.png`` into a folder from the recorded numbers, print the claims; return 0 if all hold, else 1."""
    return record.redraw(NUMBERS, Path(folder) / "figure5.png", draw, claims)


def claims(found: dict[str, Any]) -> list[bool]:
    """Print the claims with their intervals; return which hold."""
    held, seeds = [], len({run["seed"] for run in found["runs"]})
    for name in DATA:
        gap = difference(found, name)
        text = f"{name}: held-out NLL of the CNF of {SIZE} units below that of {SIZE} planar layers"
        excess = ", ".join(f"{kind} {interval(excess_of(found, name, kind))}" for kind in MODELS)
        measured = f"CNF − NF {gap}, 95 % over {seeds} seeds, nats; above the generator's own: {excess}"
        held.append(verdict(text, gap.below_zero, measured))
    return held


def difference(found: dict[str, Any], name: str) -> Interval:
    """Held-out negative log-likelihood of the CNF less that of the NF, over seeds."""
    return interval(excess_of(found, name, "CNF") - excess_of(found, name, "NF"))


def excess_of(found: dict[str, Any], name: str, kind: str) -> NDArray[Any]:
    """Held-out negative log-likelihood less the generator's own on the same points, a seed an entry."""
    return record.select(found["runs"], "nll", data=name, model=kind) - found["about"]["own"][name]


def train(path: Path = NUMBERS) -> None:
    """Train all models and write their numbers to a file, 20 runs; those that it has already are kept."""
    sources = {name: data_set(name) for name in DATA}
    held_out = {name: source.sample(HELD_OUT, SEED_HELD_OUT) for name, source in sources.items()}
    own = {name: round(-float(np.mean(_log_prob(sources[name], x))), 6) for name, x in held_out.items()}
    about = {kind: asdict(budget) for kind, budget in BUDGETS.items()}
    book = record.Book(path, about | {"size": SIZE, "own": own, "held_out": HELD_OUT})
    for seed, name, kind in product(SEEDS, DATA, MODELS):
        run: record.Run = {"data": name, "model": kind, "seed": seed}
        if not book.has(run):
            theta, seconds = train_model(kind, SIZE, seed, BUDGETS[kind], partial(_draw_data, sources[name]), None)
            log_p = log_likelihood(kind, SIZE, theta, held_out[name] / SCALE) - 2.0 * math.log(SCALE)
            book.add(run, {"nll": -float(np.mean(log_p)), "seconds": seconds}, f"{name} {kind}", theta)


def _draw_data(source: DataSet, n: int, seed: Any) -> NDArray[Any]:
    """Draw data as models see them."""
    return source.sample(n, seed) / SCALE


def _log_prob(source: DataSet, x: NDArray[Any]) -> NDArray[Any]:
    """Log density of the generator, which both data sets know."""
    assert source.log_prob is not None
    return np.concatenate([source.log_prob(piece) for piece in np.array_split(x, 40)])


def draw(found: dict[str, Any]) -> Any:
    """Draw the CNF of the best seed on its way from noise to data, the generator, the NF, and what both reach."""
    columns = len(TIMES) + 3
    fig, axes = plot.figure(len(DATA), columns, size=(16.5, 4.6), width_ratios=[1.0] * (columns - 1) + [1.25])
    x = np.linspace(-WINDOW, WINDOW, GRID)
    points = np.stack(np.meshgrid(x, x), axis=-1).reshape(-1, 2)
    for row, (name, title) in zip(axes, DATA.items(), strict=True):
        exact = np.exp(_log_prob(data_set(name), points))
        flow = units(SIZE)[1]
        theta = record.parameters(found, f"{name} CNF")
        shots = [(f"CNF, t = {t:g}", np.exp(_log_prob_at(flow, t, theta, points))) for t in TIMES]
        layers = log_likelihood("NF", SIZE, record.parameters(found, f"{name} NF"), points / SCALE)
        shots += [("generator", exact), ("NF, 64 layers", np.exp(layers - 2.0 * math.log(SCALE)))]
        for axis, (label, density) in zip(row, shots, strict=False):
            _draw_panel(axis, x, density, exact.max())
            axis.set_title(label if name == next(iter(DATA)) else "", fontsize=11)
        row[0].set_ylabel(title, fontsize=11)
        _draw_excess(row[-1], found, name)
    axes[0, -1].set_title("held-out NLL above\nthe generator's own (nats)", fontsize=10)
    return fig


def _log_prob_at(flow: CNF, t: float, theta: Any, points: NDArray[Any]) -> NDArray[Any]:
    """Log density at points of data units, when the flow is at time t; at 0, that of the base."""
    x = points / SCALE
    if t == flow.t0:
        return flow.base.log_prob(x) - 2.0 * math.log(SCALE)
    there = CNF(flow.field, t1=t, rtol=FINAL, atol=FINAL)
    return there.log_prob(x, theta) - 2.0 * math.log(SCALE)


def _draw_panel(axis: Any, x: NDArray[Any], density: NDArray[Any], top: float) -> None:
    shape = (len(x), len(x))
    axis.pcolormesh(x, x, density.reshape(shape), cmap="magma", vmin=0.0, vmax=top, shading="gouraud", rasterized=True)
    axis.set(xticks=[], yticks=[], aspect="equal")
    axis.grid(False)
    axis.spines[:].set_visible(False)


def _draw_excess(axis: Any, found: dict[str, Any], name: str) -> None:
    """Draw every seed as a dot, with means and intervals beside them."""
    for i, (kind, color) in enumerate(zip(MODELS, plot.COLORS[1::-1], strict=True)):
        values = excess_of(found, name, kind)
        mean, half = interval(values)
        axis.plot(np.full(len(values), i - 0.12), values, "o", color=color, alpha=0.55, ms=4, mec="none")
        axis.errorbar(i + 0.1, mean, half, color=color, marker="s", ms=5, capsize=4, lw=1.6)
        axis.text(i + 0.2, mean, f"{mean:.3f}", color=color, fontsize=8.5, va="center")
    axis.set(xlim=(-0.5, len(MODELS) - 0.2), xticks=range(len(MODELS)), xticklabels=MODELS)
    axis.set_ylim(bottom=0.0)
    axis.grid(True, axis="y")
    axis.grid(False, axis="x")


if __name__ == "__main__":  # python -m nodeedu.models.paper.figure5 --train
    if sys.argv[1:] == ["--train"]:
        train()
    sys.exit(run(Path(".")))
