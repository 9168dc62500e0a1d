"""Norms of the scaled error of one sample, by which steps are judged: root mean square, maximum, or the user's own."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nodeedu.compile.kernels import DONE, call_f
from nodeedu.solvers.callables import CallableField
from nodeedu.solvers.core import core
from nodeedu.solvers.runge_kutta import SPARE

RMS, MAX, OWN = np.arange(3)  # NumPy integers, see runge_kutta.py
NORMS = {"rms": RMS, "max": MAX}


@dataclass(frozen=True)
class OwnNorm:
    """A norm that is a Python function.

    Parameters
    ----------
    function : callable
        ``norm(x) -> float`` of an array of the given shape.
    shape : tuple of int
        Shape of one sample's state.
    """

    function: Callable[[np.ndarray], float]
    shape: tuple[int, ...]

    def bind(self) -> CallableField:
        """Return what calls the function back from the driver.

        A plain vector field has all that this takes: an address, and a guard that raises what was raised inside. So the
        norm is one, the slopes of which are all the norm.
        """
        return CallableField(lambda t, x: np.full(self.shape, self._checked(x)), self.shape, None)

    def _checked(self, x: np.ndarray) -> float:
        value = self.function(x)
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise TypeError(f"norm: {self.function!r} returned {value!r}, expected a float") from None
        if number < 0:
            raise ValueError(f"norm: {self.function!r} returned {number}, expected a number >= 0")
        return number


@core
def measure(norm, callee, t, m, b, x, flat):
    """Return the norm of block m of lane b in x[SPARE], or -1 if it is the user's own and raised an exception.

    flat is x (rows, M, B, D) as (rows, M B D); t holds any times, which the kernel of a field wants to see.
    """
    size = x.shape[3]
    start = (m * x.shape[2] + b) * size
    if norm == RMS:
        return root_mean_square(flat, start, start + size)
    if norm == MAX:
        return largest(flat, start, start + size)
    return call_norm(callee, t, x[SPARE, m, b : b + 1])


@core
def call_norm(callee, t, row):
    """Return the user's norm of a row (1, D), which it overwrites, or -1."""
    done = call_f(callee, 1, t, row, row[0], row, row[0])
    return float(row[0, 0]) if done == DONE else -1.0


@core
def root_mean_square(x, start, stop):
    """Return the root of the mean square of x[SPARE, start:stop]."""
    total = 0.0
    for i in range(start, stop):
        value = float(x[SPARE, i])  # the square of a float32 may overflow
        total += value * value
    return math.sqrt(total / (stop - start))


@core
def scaled_norm(values, scale):
    """Return the root of the mean of the scaled squares of values (m, D); scale is (D,)."""
    total = 0.0
    for q in range(values.shape[0]):
        for i in range(values.shape[1]):
            total += scaled_square(values[q, i], scale[i])
    return math.sqrt(total / (values.shape[0] * values.shape[1]))


@core
def scaled_square(value, scale):
    """Return ``(value / scale)**2``; no error over no scale (atol = 0, a component that stays 0) is no error."""
    ratio = (value / scale if value != 0.0 else value) + 0.0 * scale
    return ratio * ratio


@core
def largest(x, start, stop):
    """Return the largest absolute value of x[SPARE, start:stop]; nan is larger than all others."""
    most = 0.0
    for i in range(start, stop):
        value = abs(float(x[SPARE, i]))
        if value > most or value != value:
            most = value
        if most != most:
            break
    return most
