"""The methods that `odeint` knows: explicit Runge-Kutta methods are tableaus; every other algorithm is one file.

Methods that share an algorithm are a family. Its module has two functions,

    solve(inputs, options, record) -> Solution        record: keep what `backward` needs in ``solution._records``
    backward(solution, zs_bar) -> (a, p_bar, nfev)    backpropagation through the steps, see sensitivity/discrete.py

and may leave out the second; then its methods have no discrete gradient.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import import_module
from types import ModuleType

from nodeedu import tableaus


@dataclass(frozen=True)
class Family:
    """Methods that share an algorithm.

    Parameters
    ----------
    module : str
        The file in this package that solves with them.
    fixed, adaptive : tuple of str
        Names of its methods of fixed steps, and of those that choose their own.
    """

    module: str
    fixed: tuple[str, ...] = ()
    adaptive: tuple[str, ...] = ()


FAMILIES: tuple[Family, ...] = ()


@cache
def names() -> tuple[str, ...]:
    """Return the names of all methods, the explicit Runge-Kutta methods first."""
    return tableaus.names() + tuple(name for family in FAMILIES for name in family.fixed + family.adaptive)


@cache
def is_adaptive(name: str) -> bool:
    """Whether a method estimates its error and so chooses its own steps."""
    if name in tableaus.names():
        return tableaus.get(name).b_hat is not None
    return any(name in family.adaptive for family in FAMILIES)


@cache
def algorithm(name: str) -> ModuleType:
    """Return the module of a method that is not an explicit Runge-Kutta method."""
    (module,) = (family.module for family in FAMILIES if name in family.fixed + family.adaptive)
    return import_module("nodeedu.solvers." + module)
