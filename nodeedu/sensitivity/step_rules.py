"""The rules by which the driver of solvers/ chooses, times and judges its steps, for loops in plain Python.

Passes that look at every step (retrace.py, the annotated backward trace) must make those that the compiled driver
makes. What it computes for a lane is computed here with the same cores, or in the same words.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from nodeedu.solvers.arguments import Options
from nodeedu.solvers.norms import OwnNorm
from nodeedu.solvers.runge_kutta import as_method
from nodeedu.solvers.solve import make_control
from nodeedu.solvers.step_control import (
    SMALLEST_OLD_RATIO,
    clipped_step,
    equal_step,
    fixed_step_count,
    nudge,
    smallest_step,
    step_factor,
)

Array = np.ndarray


class StepRules:
    """What one sample's steps depend on besides the states: the options, and the trial steps so far.

    Parameters
    ----------
    options : Options
        Of an explicit Runge-Kutta method.
    dtype : dtype
        Of the state.
    h : float
        Size of the first trial step.
    """

    def __init__(self, options: Options, dtype: np.dtype, h: float) -> None:
        self.options, self.h, self.trials, self.rejected = options, h, 0, False
        self.method = as_method(options.tableau, dtype, False)
        self.control = make_control(replace(options, norm="rms"), True)
        self.old_ratios = 1.0, 1.0

    def stops(self, start: float, end: float) -> list[float]:
        """Return where steps from start to end must land: at jumps of the field, and at the end."""
        jumps = [jump for jump in self.control.jumps if min(start, end) < jump < max(start, end)]
        return [*(jumps if end > start else reversed(jumps)), end]

    def aim(self, t: float, start: float, stop: float, made: int) -> tuple[float, float]:
        """Return signed size and end of a step from t, after those made on the way from start to stop."""
        if self.control.fixed:
            count = fixed_step_count.py_func(start, stop, self.control.step_size)
            return equal_step.py_func(start, stop, count, float(made))
        return clipped_step.py_func(t, stop, min(self.h, self.control.max_step))

    def time(self, t: float, h: float, t1: float, c: float) -> float:
        """Return the time of a stage; at a jump, the first and the last keep to their own side of it."""
        if c == 1.0:
            return t1 - (nudge.py_func(t1, h) if t1 in self.options.jump_ts else 0.0)
        return t + c * h + (nudge.py_func(t, h) if c == 0.0 and t in self.options.jump_ts else 0.0)

    def accepts(self, t: float, size: float, ratio: float) -> bool:
        """Judge a trial step of that size from t, and choose the size of the next."""
        control = self.control
        self.trials += 1
        if control.fixed:
            return math.isfinite(ratio)
        factor = step_factor.py_func(
            ratio, *self.old_ratios, self.rejected, control.exponent, control.beta1, control.beta2, control.beta3
        )
        self.rejected = not ratio <= 1.0
        if self.rejected:
            self.h = max(size * factor, control.min_step)
            return False
        self.old_ratios = max(ratio, SMALLEST_OLD_RATIO), self.old_ratios[0]
        self.h = max(max(self.h, size * factor) if size < self.h else size * factor, control.min_step)
        return True

    def is_stuck(self, t: float) -> bool:
        """Whether no further trial step from t makes sense, after one that was rejected."""
        if self.control.fixed or self.trials >= self.options.max_steps:
            return True
        return self.h <= smallest_step.py_func(t) or self.h <= self.control.min_step

    def norm(self, error: Array, old: Array, new: Array) -> float:
        """Return the norm of an error by which a step from old to new is judged."""
        scale = self.options.atol + self.options.rtol * np.maximum(abs(old), abs(new))
        scaled = np.divide(error, scale, out=np.zeros_like(error), where=error != 0.0) + 0.0 * new
        if isinstance(self.options.norm, OwnNorm):
            return float(self.options.norm.function(scaled.reshape(self.options.norm.shape)))
        return float(abs(scaled).max() if self.options.norm == "max" else np.sqrt(np.mean(scaled**2)))
