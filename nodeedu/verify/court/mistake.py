"""A mistake as a record: its number, its name, and what it computes in place of the right formula."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Formula = Callable[..., Any]


@dataclass(frozen=True)
class Mistake:
    """One way to be wrong.

    Parameters
    ----------
    number : int
        In the list that the chapters use.
    name : str
        A few words.
    says : str
        One sentence: what is computed, and what is right.
    wrong : dict
        For each kind of claim that can hold the mistake, what it computes: formulas on a `Case`, several where the same
        slip can be written in several ways.
    found : str
        Where it has been printed, if that is known.
    hidden_by : str
        A kind of problem on which it cannot be seen.
    """

    number: int
    name: str
    says: str
    wrong: dict[str, tuple[Formula, ...]] = field(repr=False)
    found: str = ""
    hidden_by: str = ""

    def __str__(self) -> str:
        return f"mistake {self.number}, {self.name}"
