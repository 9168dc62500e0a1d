"""Learning rates that fall: ``schedule(step) -> lr``, step = number of updates already made.

Optimisers take a number (a constant rate) or any function of the step; these two are the ones in common use.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class ExponentialDecay:
    """lr(k) = lr · factor^(k / steps): multiplied by ``factor`` every ``steps`` steps, smoothly in between.

    Parameters
    ----------
    lr : float
        Rate of the first step.
    factor : float
        Positive; below 1 the rate falls.
    steps : int
        Number of steps for one factor.
    """

    lr: float
    factor: float
    steps: int

    def __post_init__(self) -> None:
        if not (self.lr >= 0.0 and self.factor > 0.0 and self.steps >= 1):
            raise ValueError(f"{self}: expected lr >= 0, factor > 0 and steps >= 1")

    def __call__(self, step: int) -> float:
        """Rate of the step."""
        return self.lr * self.factor ** (step / self.steps)


@dataclass(frozen=True)
class CosineDecay:
    """lr(k) = final + (lr − final) (1 + cos(π k / steps)) / 2: flat at both ends; ``final`` after ``steps`` steps.

    I. Loshchilov and F. Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017, equation (5),
    without restarts.

    Parameters
    ----------
    lr : float
        Rate of the first step.
    steps : int
        Number of steps until ``final``.
    final : float
        Rate at the end.
    """

    lr: float
    steps: int
    final: float = 0.0

    def __post_init__(self) -> None:
        if not (self.lr >= 0.0 and self.final >= 0.0 and self.steps >= 1):
            raise ValueError(f"{self}: expected lr >= 0, final >= 0 and steps >= 1")

    def __call__(self, step: int) -> float:
        """Rate of the step."""
        done = min(step / self.steps, 1.0)
        return self.final + 0.5 * (self.lr - self.final) * (1.0 + math.cos(math.pi * done))
