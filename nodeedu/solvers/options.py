"""The options of a solve, checked once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from nodeedu import tableaus
from nodeedu.solvers import methods
from nodeedu.solvers.checks import is_real, real_array, require_finite
from nodeedu.solvers.norms import NORMS, OwnNorm
from nodeedu.solvers.step_control import CONTROLLERS
from nodeedu.tableaus import Tableau


@dataclass(frozen=True, eq=False)
class Options:
    """How to solve, checked."""

    method: str
    tableau: Tableau | None  # of an explicit Runge-Kutta method
    rtol: float
    atol: Any  # a float, or an array (D,)
    fixed: bool
    step_size: float  # infinite: one step between output times
    first_step: float  # 0: automatic; fixed steps, where there is nothing to choose, have 1
    max_step: float
    max_steps: int
    min_step: float  # what a failing step may not shrink below
    controller: str  # a key of step_control.CONTROLLERS
    norm: Any  # a key of norms.NORMS, or an OwnNorm
    jump_ts: tuple[float, ...]  # increasing


def check_options(
    method: str = "dopri5",
    rtol: float = 1e-6,
    atol: ArrayLike = 1e-9,
    step_size: float | None = None,
    first_step: float | None = None,
    max_step: float = math.inf,
    max_steps: int = 100_000,
    controller: str = "I",
    shape: tuple[int, ...] = (),
    called: str = "method",
    norm: Any = "rms",
    jump_ts: ArrayLike | None = None,
    min_step: float = 0.0,
) -> Options:
    """Check the options of a solve; shape is that of one sample's state, `called` what the caller calls the method.

    Raises
    ------
    TypeError
        If jump_ts is not of real numbers.
    ValueError
        If a name is unknown, a size is not positive, sizes contradict each other, a method does not know an option, or
        a tolerance is negative, not finite, or both are zero. Either may be zero, as in SciPy: with atol = 0 the error
        is relative.
    """
    jumps = () if jump_ts is None else _jump_times(jump_ts)
    arguments = (
        method, rtol, atol, step_size, first_step, max_step, max_steps, controller, shape, called, norm, jumps, min_step
    )  # fmt: skip
    try:
        return _check_options(*arguments)
    except TypeError:  # atol is an array, which cannot be looked up among earlier arguments
        return _check_options.__wrapped__(*arguments)


@lru_cache(typed=True)
def _check_options(
    method: str, rtol: Any, atol: Any, step_size: Any, first_step: Any, max_step: Any, max_steps: Any, controller: str,
    shape: tuple[int, ...], called: str, norm: Any, jump_ts: tuple[float, ...], min_step: Any,
) -> Options:  # fmt: skip
    """See `check_options`; in a training loop, the same options come again and again."""
    methods.require_known(called, method)
    if controller not in CONTROLLERS:
        raise ValueError(f"controller: got {controller!r}, expected one of {', '.join(map(repr, CONTROLLERS))}")
    if not callable(norm) and norm not in NORMS:
        raise ValueError(f"norm: got {norm!r}, expected one of {', '.join(map(repr, NORMS))}, or a callable norm(x)")
    sizes = {"max_step": max_step, "max_steps": max_steps}
    sizes |= {name: x for name, x in (("step_size", step_size), ("first_step", first_step)) if x is not None}
    for name, value in sizes.items():
        if not (is_real(value) and value > 0):
            raise ValueError(f"{name}: got {value!r}, expected a positive number")
    fixed = step_size is not None or not methods.is_adaptive(method)
    _check_min_step(min_step, first_step, max_step)
    _require_known(method, fixed, first_step, controller, norm, jump_ts, min_step)
    rtol, atol = _tolerances(rtol, atol, shape)
    return Options(
        method, tableaus.get(method) if method in tableaus.names() else None, rtol, atol, fixed,
        step_size=min(float(max_step), math.inf if step_size is None else float(step_size)),
        first_step=float(fixed if first_step is None else first_step),
        max_step=float(max_step), max_steps=int(min(max_steps, 2**62)), min_step=float(min_step), controller=controller,
        norm=OwnNorm(norm, shape) if callable(norm) else norm, jump_ts=jump_ts,
    )  # fmt: skip


def _check_min_step(min_step: Any, first_step: Any, max_step: Any) -> None:
    if not (is_real(min_step) and 0 <= min_step < math.inf):
        raise ValueError(f"min_step: got {min_step!r}, expected a number >= 0")
    for name, value in (("max_step", max_step), ("first_step", first_step)):
        if value is not None and value < min_step:
            raise ValueError(f"min_step: got {min_step!r}, more than {name} = {value!r}; expected no more")


def _require_known(
    method: str, fixed: bool, first_step: Any, controller: str, norm: Any, jump_ts: tuple[float, ...], min_step: float
) -> None:
    """Raise if an option says what the method has no use for: silence would look like consent."""
    if fixed and first_step is not None:
        raise ValueError(f"first_step: {method!r} takes fixed steps here and chooses none; give step_size alone")
    if fixed and jump_ts:
        raise ValueError(f"jump_ts: {method!r} takes fixed steps here, which end at ts only; put the jumps among ts")
    if fixed and min_step:
        raise ValueError(f"min_step: {method!r} takes fixed steps here and shortens none; leave it out")
    if method in tableaus.names():
        return
    given = {"controller": controller == "PID", "norm": norm != "rms", "jump_ts": jump_ts, "min_step": min_step}
    for name, value in given.items():
        if value and name not in getattr(methods.algorithm(method), "OPTIONS", ()):
            raise ValueError(f"{name}: {method!r} does not know it; leave it out, or take an explicit Runge-Kutta one")


def _jump_times(jump_ts: ArrayLike) -> tuple[float, ...]:
    array = real_array("jump_ts", jump_ts)
    if array.ndim != 1:
        raise ValueError(f"jump_ts: got shape {array.shape}, expected times (n,)")
    require_finite("jump_ts", array)
    return tuple(np.unique(array).tolist())


def _tolerances(rtol: Any, atol: Any, shape: tuple[int, ...]) -> tuple[float, Any]:
    if not (is_real(rtol) and 0 <= rtol < math.inf):
        raise ValueError(f"rtol: got {rtol!r}, expected a number >= 0")
    if is_real(atol):
        absolute: Any = float(atol)
        smallest, valid = absolute, 0 <= absolute < math.inf
    else:
        array = real_array("atol", atol).astype(np.float64)
        if array.shape not in ((), shape):
            raise ValueError(f"atol: got shape {array.shape}, expected a scalar or the shape {shape} of a state")
        absolute, smallest = array.reshape(-1) if array.ndim else float(array), array.min()
        valid = bool(np.isfinite(array).all() and smallest >= 0)
    if not valid:
        raise ValueError(f"atol: got {atol!r}, expected numbers >= 0")
    if rtol == 0 and smallest == 0:
        raise ValueError("rtol and atol: got zero for both, expected at least one of them to be positive")
    return float(rtol), absolute
