"""The functions ``g(t, z)`` that mark events, checked, as is all that they return."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Event:
    """A function to watch, checked.

    Parameters
    ----------
    name : str
        What messages call it.
    function : callable
        ``g(t, z)``.
    limit : float
        Which occurrence ends the solve; infinite if none does.
    direction : float
        The sign of the crossings that count, in the order of the solve; 0 for both.
    reset : callable or None
        ``reset(t, z)``, the state after an occurrence.
    shape : tuple of int
        Of z.
    """

    name: str
    function: Callable[[float, Array], Any]
    limit: float
    direction: float
    reset: Callable[[float, Array], Any] | None
    shape: tuple[int, ...]

    def value(self, t: float, z: Array) -> float:
        """Evaluate g for a state (D,), which g cannot write to, and check what it returns."""
        own = z.reshape(self.shape).copy()
        own.flags.writeable = False
        with _named(self.name, t):
            returned = self.function(t, own)
            array = np.asarray(returned)
        if array.dtype.kind not in "fiu":
            raise TypeError(
                f"{self.name}: returned {returned!r} at t = {t:.6g}; expected a real number that is zero at the event "
                "and changes its sign there"
            )
        if array.shape != ():
            raise ValueError(f"{self.name}: returned shape {array.shape} at t = {t:.6g}; expected a single number")
        if not np.isfinite(array):
            raise ValueError(f"{self.name}: returned {returned!r} at t = {t:.6g}; expected a finite number")
        return float(array)

    def state_after(self, t: float, z: Array) -> Array:
        """Return what reset makes of a state (D,)."""
        name = f"{self.name}.reset"
        with _named(name, t):
            returned = self.reset(t, z.reshape(self.shape).copy())
            array = np.asarray(returned)
        if array.dtype.kind not in "fiub":
            raise TypeError(f"{name}: returned {returned!r} at t = {t:.6g}; expected the state after the event")
        if array.shape != self.shape:
            raise ValueError(
                f"{name}: returned shape {array.shape} at t = {t:.6g}; expected the shape {self.shape} of a state"
            )
        if not np.isfinite(array).all():
            raise ValueError(f"{name}: returned {returned!r} at t = {t:.6g}; expected finite numbers")
        return array.astype(z.dtype).reshape(-1)


@contextmanager
def _named(name: str, t: float) -> Iterator[None]:
    """Add to what a user's function raises which one it was."""
    try:
        yield
    except Exception as error:
        error.add_note(f"raised by {name} at t = {t:.6g}")
        raise


def check_events(events: Any, shape: tuple[int, ...]) -> tuple[Event, ...]:
    """Check the functions and their attributes.

    Parameters
    ----------
    events : callable or sequence of callables
        As `odeint` takes them.
    shape : tuple of int
        Of the state that they get.

    Raises
    ------
    TypeError, ValueError
        If one is not callable, or an attribute is wrong; the message names it.
    """
    functions = (events,) if callable(events) else events
    if not isinstance(functions, Sequence):
        raise TypeError(f"events: got {events!r}, expected a function g(t, z) or a list of functions")
    checked = []
    for i, g in enumerate(functions):
        name = f"events[{i}]"
        if not callable(g):
            raise TypeError(f"{name}: got {g!r}, expected a function g(t, z)")
        direction, reset = getattr(g, "direction", 0), getattr(g, "reset", None)
        if not isinstance(direction, (int, float, np.integer, np.floating)) or math.isnan(direction):
            raise ValueError(f"{name}.direction: got {direction!r}, expected a number of which the sign counts")
        if reset is not None and not callable(reset):
            raise TypeError(f"{name}.reset: got {reset!r}, expected a function reset(t, z) that returns a state")
        checked.append(Event(name, g, _limit(name, getattr(g, "terminal", None)), float(direction), reset, shape))
    return tuple(checked)


def _limit(name: str, terminal: Any) -> float:
    """Return the number of the occurrence that ends the solve."""
    if terminal is None or (isinstance(terminal, (bool, np.bool_)) and not terminal):
        return math.inf
    if isinstance(terminal, (bool, np.bool_, int, np.integer)) and terminal > 0:
        return int(terminal)
    raise ValueError(
        f"{name}.terminal: got {terminal!r}, expected a boolean, or which occurrence ends the solve (1, 2, ...)"
    )
