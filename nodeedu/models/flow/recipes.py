"""What suits which data: steps, width, batch, chosen once by the watched points; what the user asks for comes first."""

from __future__ import annotations

from typing import NamedTuple

from .samples import Samples
from .training import Recipe


class Default(NamedTuple):
    """What is used where the user says nothing."""

    steps: int
    width: int
    batch: int
    rate: float


# Two hidden layers of 32 fit the plain sets to a few hundredths of a nat. Thin arms and sharp edges need more; a few
# hundred measured points are learned by heart if they get more.
PLANE = Default(steps=2000, width=32, batch=256, rate=1e-2)
DEFAULTS = {
    "checkerboard": PLANE._replace(steps=3000, width=64),
    "spirals": PLANE._replace(steps=3000, width=64),
    "fiji": PLANE._replace(steps=800),
}
MEASURED = Default(steps=400, width=16, batch=128, rate=5e-3)
IMAGES = Default(steps=2000, width=96, batch=128, rate=3e-3)
MATCHING_STEPS = 3  # times as many steps, as each costs no solve


def recipe_for(samples: Samples, trace: str | None, seed: int, steps: int | None, width: int | None) -> Recipe:
    """Return the recipe for these points, with what the user asked for in place of the defaults.

    Parameters
    ----------
    samples : Samples
    trace : str or None
        One of `training.TRACES`; by default exact, and Hutchinson's estimate for images.
    seed : int
    steps, width : int or None
    """
    default = PLANE if samples.generated else IMAGES if samples.levels else MEASURED
    default = DEFAULTS.get(samples.name, default)
    trace = trace or ("hutchinson" if samples.levels else "exact")
    usual = default.steps * (MATCHING_STEPS if trace == "flow-matching" else 1)
    points = min(default.batch, len(samples.train))
    return Recipe(trace, seed, steps or usual, width or default.width, points, default.rate)
