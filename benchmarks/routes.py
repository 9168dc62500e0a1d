"""Who is compared: one route to the gradient for each library and method."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from benchmarks.problem import Gradient, Problem

MODULES = {
    "nodeedu": "benchmarks.ours",
    "torchdiffeq": "benchmarks.with_torchdiffeq",
    "diffrax": "benchmarks.with_diffrax",
}


class Evaluations(NamedTuple):
    """Evaluations of the field for one gradient; the mean over samples where each has its own steps.

    `ahead`: f, in the forward solve. `back`: after it, most of them f with its VJP.
    """

    ahead: float
    back: float


@dataclass(frozen=True)
class Route:
    """One way to the gradient of a problem.

    Parameters
    ----------
    run : callable
        The timed work: forward solve, loss and gradient, in the library's own arrays.
    gradient : callable
        Turns what `run` returned into a `Gradient`; not timed.
    evaluations : callable
        Counts the evaluations in one run; not timed.
    """

    run: Callable[[], Any]
    gradient: Callable[[Any], Gradient]
    evaluations: Callable[[], Evaluations]


@dataclass(frozen=True)
class Contender:
    """A row of a comparison.

    Parameters
    ----------
    library, method : str
        A key of `MODULES`, and one of the METHODS of that module.
    rival : str, optional
        The method of ours that it is compared with.
    target : float, optional
        How many times slower than its rival the project wants it to be, at least.
    own_steps : bool
        Whether each sample has its own steps in diffrax (`vmap`); ours always do, torchdiffeq's never.
    """

    library: str
    method: str
    rival: str | None = None
    target: float | None = None
    own_steps: bool = False

    @property
    def name(self) -> str:
        """What tables print."""
        return f"{self.library} {self.method}{', vmapped' if self.own_steps else ''}"


def make_route(contender: Contender, problem: Problem, *, with_times: bool = False) -> Route:
    """Import the contender's library and set the problem up in it."""
    module = importlib.import_module(MODULES[contender.library])
    options = {"own_steps": True} if contender.own_steps else {}
    return module.route(problem, contender.method, with_times=with_times, **options)


def present(contenders: Sequence[Contender], peers: Sequence[str]) -> list[Contender]:
    """Leave out the contenders whose library is not installed."""
    return [contender for contender in contenders if contender.library in ("nodeedu", *peers)]
