"""The picture of a flow: data beside samples beside density, and how the loss fell."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import plot
from .model import FlowModel
from .report import bits_per_dimension
from .samples import Samples
from .training import Trained

DOTS = 2_000  # most points drawn in a panel
GRID = 160  # points of a density along each side
MARGIN = 0.12  # around the data, as a share of their range
PEAKED = 3.0  # a density this many times its typical value at the peak is drawn on a root scale
DENSITY, IMAGE = "magma", "gray_r"
ROWS, COLUMNS = 7, 7  # images


def draw(samples: Samples, trained: Trained, held_out: float, seed: int = 0) -> Any:
    """Draw a trained flow.

    Parameters
    ----------
    samples : Samples
    trained : Trained
    held_out : float
        Mean negative log-likelihood of the held-out points, in nats.
    seed : int
        Of the samples.

    Returns
    -------
    matplotlib.figure.Figure
    """
    model = trained.model
    plane = model.dim == 2
    fig, axes = plot.figure(1, 4 if plane else 3, size=(14.2 if plane else 11.0, 3.6))
    draws = model.sample(DOTS if not model.levels else ROWS * COLUMNS, seed)
    if model.levels:
        _draw_images(axes[0], samples.held_out[: ROWS * COLUMNS], model.levels, "data, held out")
        _draw_images(axes[1], draws, model.levels, "samples of the flow")
    else:
        every = (samples.train, samples.watched, samples.held_out)
        x = samples.held_out if samples.generated else np.concatenate(every)
        window = window_of(x, square=is_square(model))
        _draw_points(axes[0], model, x[:DOTS], window, "data" + (", held out" if samples.generated else ""))
        _draw_points(axes[1], model, draws[: min(DOTS, len(x))], window, "samples of the flow")
    if plane:
        draw_density(fig, axes[2], model, window)
    _draw_losses(axes[-1], samples, trained, held_out)
    return fig


def window_of(x: NDArray[Any], square: bool) -> NDArray[Any]:
    """Lower and upper ends (2, D) of a box around points (n, D), with a margin; a few outliers may be outside."""
    low, high = np.quantile(x, [0.001, 0.999], axis=0)
    middle, half = 0.5 * (low + high), (0.5 + MARGIN) * (high - low)
    half = np.full_like(half, half.max()) if square else half
    return np.array([middle - half, middle + half])


def grid_of(window: NDArray[Any], n: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Coordinates x (n,), y (n,) over a window, and the points (n n, 2) of the grid, row by row of equal y."""
    x, y = np.linspace(window[0], window[1], n).T
    return x, y, np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)


def draw_density(fig: Any, axis: Any, model: FlowModel, window: NDArray[Any]) -> None:
    """Draw the density of a flow in the plane, with a colour bar."""
    from matplotlib.colors import PowerNorm

    x, y, points = grid_of(window, GRID)
    density = np.exp(model.log_prob(points)).reshape(GRID, GRID)
    typical = np.sum(density**2) / np.sum(density)  # mean of the density over points that it draws
    peaked = density.max() > PEAKED * typical
    norm = PowerNorm(0.5 if peaked else 1.0, vmin=0.0)
    mesh = axis.pcolormesh(x, y, density, cmap=DENSITY, norm=norm, shading="gouraud", rasterized=True)
    bar = fig.colorbar(mesh, ax=axis, fraction=0.046, pad=0.03)
    bar.ax.tick_params(labelsize=7)
    bar.outline.set_visible(False)
    title = "density of the flow" + (" (colours by its root)" if peaked else "")
    axis.set(title=title, xlabel=model.label(0), ylabel=model.label(1))
    _square(axis, window)


def _draw_points(axis: Any, model: FlowModel, x: NDArray[Any], window: NDArray[Any], title: str) -> None:
    axis.set_title(title)
    if model.dim == 1:
        axis.hist(x[:, 0], bins=40, range=tuple(window[:, 0]), density=True, color=plot.COLORS[0])
        axis.set(xlabel=model.label(0), ylabel="density")
        return
    size = 3.0 if len(x) > 600 else 8.0
    axis.scatter(*x[:, :2].T, s=size, color=plot.COLORS[0], alpha=0.6, linewidths=0, rasterized=True)
    axis.set(xlabel=model.label(0), ylabel=model.label(1))
    _square(axis, window)


def is_square(model: FlowModel) -> bool:
    """Whether a unit is to be as long in both directions: coordinates of the plane without units of their own."""
    return model.dim == 2 and not model.units


def _square(axis: Any, window: NDArray[Any]) -> None:
    axis.set(xlim=window[:, 0], ylim=window[:, 1])
    axis.set_box_aspect(1.0)
    axis.grid(False)


def _draw_images(axis: Any, x: NDArray[Any], levels: int, title: str) -> None:
    side = int(np.sqrt(x.shape[1]))
    tiles = np.full((ROWS, COLUMNS, side + 1, side + 1), 0.0)
    tiles[..., 1:, 1:] = np.clip(np.floor(x), 0, levels - 1).reshape(ROWS, COLUMNS, side, side)
    axis.imshow(tiles.transpose(0, 2, 1, 3).reshape(ROWS * (side + 1), -1), cmap=IMAGE, vmin=0, vmax=levels - 1)
    axis.set(title=title, xticks=[], yticks=[])
    axis.grid(False)
    axis.spines[:].set_visible(False)


def _draw_losses(axis: Any, samples: Samples, trained: Trained, held_out: float) -> None:
    """Draw the loss of each step, the looks, and the entropy where it is known."""
    nats, steps = _units(samples), np.arange(1, len(trained.losses) + 1)
    looks = [(look.step, nats(look.nll)) for look in trained.looks]
    if trained.model.trace != "flow-matching":  # its loss is no likelihood
        axis.plot(steps, nats(trained.losses), color="0.75", lw=0.7, label="loss of a batch")
    axis.plot(*np.array(looks).T, color=plot.COLORS[0], marker="o", ms=3, label="points not fitted")
    best = trained.best
    axis.plot(best.step, nats(held_out), "*", ms=11, color=plot.COLORS[1], label=f"held out: {nats(held_out):.3f}")
    if samples.entropy is not None:
        axis.axhline(samples.entropy, color="0.3", lw=1.0, ls="--", label=f"entropy: {samples.entropy:.3f}")
    seen = [each for _, each in looks] + [nats(held_out)] + ([] if samples.entropy is None else [samples.entropy])
    low, high = min(seen), max(seen[:-1])
    axis.set_ylim(low - 0.15 * (high - low) - 0.02, high + 0.25 * (high - low) + 0.05)
    unit = "bits a dimension" if samples.levels else "nats"
    axis.set(title="negative log-likelihood", xlabel="step", ylabel=unit)
    axis.legend(fontsize=8, frameon=False)


def _units(samples: Samples) -> Any:
    """Conversion of nats to what is drawn."""
    return (lambda nll: bits_per_dimension(nll, samples.dim)) if samples.levels else (lambda nll: nll)
