"""All mistakes, by number and by the kind of claim that can hold them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from . import (
    mistakes_adjoint,
    mistakes_density,
    mistakes_discrete,
    mistakes_gradient,
    mistakes_linear,
    mistakes_times,
    mistakes_trace,
)
from .mistake import Mistake

_MODULES = (
    mistakes_adjoint, mistakes_gradient, mistakes_times, mistakes_density, mistakes_trace, mistakes_discrete,
    mistakes_linear,
)  # fmt: skip


@cache
def mistakes() -> dict[int, Mistake]:
    """Return all mistakes by number, in order."""
    every = [mistake for module in _MODULES for mistake in module.MISTAKES]
    return {mistake.number: mistake for mistake in sorted(every, key=lambda mistake: mistake.number)}


def formulas(kind: str) -> list[tuple[Mistake, Callable[..., Any]]]:
    """Return what a kind of claim can compute by mistake, the variants of a mistake one after the other."""
    return [(mistake, formula) for mistake in mistakes().values() for formula in mistake.wrong.get(kind, ())]
