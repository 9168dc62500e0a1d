"""All errata, by source (`nodeedu errata`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from importlib import import_module
from types import ModuleType

from .erratum import Erratum, Trial, cases, judge

SOURCES = ("mogren", "drozdyuk", "garcia", "blog", "lenze_rothe", "chen", "copied")


@cache
def modules() -> tuple[ModuleType, ...]:
    """Return the files of errata, one a source."""
    return tuple(import_module("." + name, __package__) for name in SOURCES)


@cache
def errata() -> dict[str, Erratum]:
    """Return all errata by id."""
    return {erratum.id: erratum for module in modules() for erratum in module.ERRATA}


def select(id: str | None = None) -> list[Erratum]:
    """Return the erratum of an id, or all.

    Raises
    ------
    ValueError
        If the id is unknown.
    """
    known = errata()
    if id is not None and id not in known:
        raise ValueError(f"id: got {id!r}, expected one of {', '.join(known)}")
    return list(known.values()) if id is None else [known[id]]


def check(chosen: Sequence[Erratum]) -> Iterator[tuple[Erratum, list[Trial]]]:
    """Run all tests of errata, one erratum after the other."""
    for erratum in chosen:
        yield erratum, [judge(erratum, test, case) for test, case in cases(erratum)]
