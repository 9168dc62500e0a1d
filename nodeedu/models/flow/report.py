"""What is said of a training run, in a few lines."""

from __future__ import annotations

import math

import numpy as np

from .samples import Samples
from .training import Recipe, Trained


def describe(samples: Samples, recipe: Recipe) -> str:
    """Say what is fitted, and how."""
    origin = "points drawn from the generator" if samples.generated else "points"
    sizes = f"{len(samples.train)} to fit, {len(samples.watched)} to watch, {len(samples.held_out)} held out"
    lines = [f"{samples.name}: {samples.dim} dimensions; {origin}: {sizes}"]
    widths = f"{samples.dim}-{recipe.width}-{recipe.width}-{samples.dim} tanh with time"
    how = f"field {widths}, {recipe.steps} steps of {recipe.batch} points, seed {recipe.seed}"
    lines.append(f"trace {recipe.trace}: {how}")
    if samples.levels:
        lines.append(f"values are integers 0 to {samples.levels - 1}: uniform noise from [0, 1) is added")
    return "\n".join(lines)


def describe_result(samples: Samples, trained: Trained, held_out: float, error: float, rivals: dict[str, float]) -> str:
    """Say how likely the held-out points are, beside what else is known of them.

    Parameters
    ----------
    samples : Samples
    trained : Trained
    held_out : float
        Mean negative log-likelihood of the held-out points, in nats.
    error : float
        Standard error of that mean.
    rivals : dict of str to float
        The same of other densities.
    """
    rows = [(f"flow, trained by {trained.model.trace}", held_out, f" ± {error:.4f}")]
    rows += [(name, nats, "") for name, nats in rivals.items()]
    if samples.log_prob is not None:
        rows.append(("the generator's own density", -float(np.mean(samples.log_prob(samples.held_out))), ""))
    if samples.entropy is not None:
        rows.append(("the generator's entropy", samples.entropy, ""))
    width = max(len(name) for name, *_ in rows)
    lines = ["held-out negative log-likelihood, nats a point" + (", bits a dimension" if samples.levels else "")]
    for name, nats, note in rows:
        bits = f"  {bits_per_dimension(nats, samples.dim):7.4f}" if samples.levels else ""
        lines.append(f"  {name:<{width}}  {nats:8.4f}{note:<{9 if samples.levels else 0}}{bits}")
    best = trained.best
    cost = f"{best.evaluations:.0f} evaluations a point"
    lines.append(f"parameters of step {best.step}, the best on the watched points; {cost}")
    if samples.entropy is not None:
        lines.append(f"above the entropy: {held_out - samples.entropy:.4f} nats, an estimate of KL(generator || flow)")
    return "\n".join(lines)


def bits_per_dimension(nats: float, dim: int) -> float:
    """Bits a dimension, of integers that noise was added to: nats/(D log 2), an upper bound on average."""
    return nats / (dim * math.log(2.0))
