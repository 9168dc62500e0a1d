"""The methods that `odeint` knows: explicit Runge-Kutta methods are tableaus; every other algorithm is a family.

A family has a folder, or a part of one. Its module has two functions, and perhaps a constant:

    solve(inputs, options, record) -> Solution        record: keep what `backward` needs in ``solution._records``
    backward(solution, zs_bar) -> (a, p_bar, nfev)    backpropagation through the steps, see sensitivity/discrete.py
    OPTIONS                                           which of controller, norm, jump_ts and min_step it knows

It may leave out the second; then its methods have no discrete gradient. Without the third it knows none of the four.
Methods whose steps can be undone have, too,

    reverse(solution, zs_bar) -> (a, p_bar, nfev, z0)    the same without records, see sensitivity/reversible.py
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
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
    kind : str
        What an error says that they are.
    fixed, adaptive : tuple of str
        Names of its methods of fixed steps, and of those that choose their own.
    short : tuple of str
        The names that an error lists; by default all.
    """

    module: str
    kind: str
    fixed: tuple[str, ...] = ()
    adaptive: tuple[str, ...] = ()
    short: tuple[str, ...] = ()


FAMILIES: tuple[Family, ...] = (
    Family(
        "multistep.fixed_order",
        "Adams of order 4, or of an order from 1 to 5 that follows the name",
        fixed=tuple(f"adams_{kind}{order}" for kind in ("bashforth", "moulton") for order in ("", *"12345")),
        short=("adams_bashforth", "adams_moulton"),
    ),
    Family("multistep.adams", "Adams of variable order", adaptive=("adams",)),
    Family(
        "implicit.solve",
        "implicit",
        fixed=("implicit_euler", "trapezoid", "implicit_midpoint", "gauss_legendre4"),
        adaptive=("radau5",),
    ),
    Family("fixed_step.symplectic", "symplectic", fixed=("symplectic_euler", "stormer_verlet", "yoshida4")),
    Family(  # reversible_heun is a method of its own, not the wrapper around heun
        "fixed_step.reversible",
        "reversible, as is every explicit method behind reversible_",
        fixed=("reversible_heun", *("reversible_" + name for name in tableaus.names() if name != "heun")),
        short=("reversible_heun",),
    ),
)
SCIPY = {"rk45": "dopri5", "rk23": "bosh3", "radau": "radau5", "bdf": "radau5", "lsoda": "adams"}  # the nearest of ours


@cache
def names() -> tuple[str, ...]:
    """Return the names of all methods, the explicit Runge-Kutta methods first."""
    return tableaus.names() + tuple(name for family in FAMILIES for name in family.fixed + family.adaptive)


def require_known(called: str, name: str) -> None:
    """Raise ValueError, with the closest name and a list of all, if there is no such method; called: the argument."""
    if name in names():
        return
    typed = str(name).lower()
    close = [SCIPY[typed]] if typed in SCIPY else get_close_matches(typed, names(), 1)
    guess = f" (did you mean {close[0]!r}?)" if close else ""
    groups = [(tableaus.names(), "explicit Runge-Kutta")]
    groups += [(family.short or family.adaptive + family.fixed, family.kind) for family in FAMILIES]
    expected = "; ".join(f"{', '.join(group)} ({kind})" for group, kind in groups)
    raise ValueError(f"{called}: got {name!r}{guess}, expected one of {expected}")


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
