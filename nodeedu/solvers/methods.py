"""The methods that `odeint` knows: explicit Runge-Kutta methods are tableaus; every other algorithm is one file.

Methods that share an algorithm are a family. Its module has two functions,

    solve(inputs, options, record) -> Solution        record: keep what `backward` needs in ``solution._records``
    backward(solution, zs_bar) -> (a, p_bar, nfev)    backpropagation through the steps, see sensitivity/discrete.py

and may leave out the second; then its methods have no discrete gradient. Methods whose steps can be undone have, too,

    reverse(solution, zs_bar) -> (a, p_bar, nfev, z0)    the same without records, see sensitivity/reversible.py
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
        The module below this package that solves with them.
    fixed, adaptive : tuple of str
        Names of its methods of fixed steps, and of those that choose their own.
    """

    module: str
    fixed: tuple[str, ...] = ()
    adaptive: tuple[str, ...] = ()


FAMILIES: tuple[Family, ...] = (
    Family("multistep.fixed_order", fixed=tuple(f"adams_{kind}{k}" for kind in ("bashforth", "moulton") for k in ("", *"12345"))),
    Family("multistep.adams", adaptive=("adams",)),
    Family(
        "implicit.solve",
        fixed=("implicit_euler", "trapezoid", "implicit_midpoint", "gauss_legendre4"),
        adaptive=("radau5",),
    ),
    Family("fixed_step.symplectic", fixed=("symplectic_euler", "stormer_verlet", "yoshida4")),
    Family(  # reversible_heun is a method of its own, not the wrapper around heun
        "fixed_step.reversible",
        fixed=("reversible_heun", *("reversible_" + name for name in tableaus.names() if name != "heun")),
    ),
)


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
