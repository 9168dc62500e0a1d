"""When to store a state, when to go back to it: reversing a chain of steps with room for few of its states.

A chain of l steps is reversed by going back over its steps from the last to the first, each from the state that it
starts from. With room for c states, the first one included, what is missing is computed again. With
``beta(c, r) = (c + r)! / (c! r!)`` and the r for which ``beta(c, r - 1) < l <= beta(c, r)``, no schedule advances over
fewer than

    t(l, c) = r l - beta(c + 1, r - 1)

steps, and binomial checkpointing needs no more; no step is advanced over more than r times. Griewank, Optimization
Methods and Software 1 (1992) 35; Griewank & Walther, ACM TOMS 26 (2000) 19 (revolve). The recursive schedule stores the
middle of every chain: log2 l + 1 states, and l/2 log2 l steps.
"""

from __future__ import annotations

from collections.abc import Callable
from math import comb

import numpy as np

Array = np.ndarray

STORE, RESTORE, ADVANCE, BACK = range(4)  # to or from a slot, to a step, over a step
REPETITIONS = 2  # r, if the number of slots is left to us: about sqrt(2 l) of them


def fewest_advances(steps: int, slots: int) -> int:
    """Return t(l, c)."""
    if steps <= 1:
        return 0
    r = _repetitions(steps, slots)
    return r * steps - comb(slots + r, r - 1)


def automatic_slots(steps: int) -> int:
    """Return the smallest number of slots with which no step is advanced over more than twice."""
    slots = 1
    while comb(slots + REPETITIONS, REPETITIONS) < steps:
        slots += 1
    return slots


def recursive_slots(steps: int) -> int:
    """Return how many slots the recursive schedule needs."""
    return max(steps - 1, 0).bit_length() + 1


def binomial_schedule(steps: int, slots: int) -> Array:
    """Return the actions (n, 2) that reverse a chain; slot 0 is taken to hold the state that it starts from."""
    return _schedule(steps, slots, _binomial_cut)


def recursive_schedule(steps: int) -> Array:
    """Return the actions (n, 2) that reverse a chain, storing the middle of every chain."""
    return _schedule(steps, recursive_slots(steps), lambda steps, slots: steps // 2)


def _repetitions(steps: int, slots: int) -> int:
    r = 0
    while comb(slots + r, r) < steps:
        r += 1
    return r


def _binomial_cut(steps: int, slots: int) -> int:
    """Return where to store a state: both parts can then be reversed with the fewest advances."""
    r = _repetitions(steps, slots)
    return min(comb(slots + r - 1, slots), steps - comb(slots + r - 2, slots - 1))


def _schedule(steps: int, slots: int, cut: Callable[[int, int], int]) -> Array:
    actions: list[tuple[int, int]] = []
    chains = [(0, steps, 0)] if steps else []  # from, to, and the slot that holds the state that it starts from
    at = 0
    while chains:
        start, stop, slot = chains.pop()
        if at != start:
            actions.append((RESTORE, slot))
        if stop - start == 1:
            actions.append((BACK, start))
            at = -1
        elif slot == slots - 1:  # no room is left
            actions += [(ADVANCE, stop - 1), (BACK, stop - 1)]
            chains.append((start, stop - 1, slot))
            at = -1
        else:
            at = start + cut(stop - start, slots - slot)
            actions += [(ADVANCE, at), (STORE, slot + 1)]
            chains += [(start, at, slot), (at, stop, slot + 1)]
    return np.array(actions, np.int64).reshape(-1, 2)
