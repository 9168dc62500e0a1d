"""Indices of recorded arrays, in a form that a tape can keep: hashable, with every number written out.

A basic index is a tuple with one item an axis: an integer, or ``(start, count, step)``; all but the step are
non-negative. An index by constant integers or booleans becomes runs of equal steps through the flattened array.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def normalise(index: tuple[Any, ...], shape: tuple[int, ...]) -> tuple[Any, ...]:
    """Write out a NumPy index of integers and slices, one for each axis."""

    def item(i, n):
        if not isinstance(i, slice):
            return int(i) % n
        start, stop, step = i.indices(n)
        count = len(range(start, stop, step))
        return (start, count, step) if count else (0, 0, 1)  # an empty slice may start at -1

    return tuple(item(i, n) for i, n in zip(index, shape, strict=True))


def as_slices(index: tuple[Any, ...]) -> tuple[int | slice, ...]:
    """Turn what `normalise` wrote into what NumPy takes."""

    def item(i):
        if isinstance(i, int):
            return i
        start, count, step = i
        stop = start + count * step
        return slice(start, stop if stop >= 0 else None, step)

    return tuple(item(i) for i in index)


def runs(positions: np.ndarray) -> list[slice]:
    """Cut a list of positions into slices: [0, 2, 4, 9, 8] becomes 0:5:2 and 9:7:-1."""
    found, i, n = [], 0, len(positions)
    while i < n:
        first, step, j = int(positions[i]), 1, i + 1
        if j < n and positions[j] != first:
            step = int(positions[j]) - first
            while j < n and positions[j] - positions[j - 1] == step:
                j += 1
        stop = first + (j - i) * step
        found.append(slice(first, stop if stop >= 0 else None, step))
        i = j
    return found
