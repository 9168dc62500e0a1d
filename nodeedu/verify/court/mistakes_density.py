"""Mistakes 24-35: log-densities.

    d log p(z(t), t)/dt = -tr J,    log p(x) = log N(z(t0)) - integral of tr J from t0 to t1, where z(t1) = x

A formula of ``log_p_rate`` is ``(flow, t, z) -> rate``; the same wrong rate, integrated, is one of ``log_p``. There,
formulas are ``(flow) -> log p``, at the end of the flow's path.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .density import Flow, log_normal
from .mistake import Formula, Mistake

Array = NDArray[Any]
Rate = Callable[[Flow, float, Array], float]


def right_rate(c: Flow, t: float, z: Array) -> float:
    """Return the right rate, ``-tr J``."""
    return -float(np.trace(c.J(t, z)))


def right_log_p(c: Flow) -> float:
    """Return the right log-density."""
    return c.log_p(right_rate)


def both(*rates: Rate, pieces: int = 1) -> dict[str, tuple[Formula, ...]]:
    """Return a wrong rate as a formula for either kind of claim; one with kinks is integrated in more pieces."""

    def integrated(rate: Rate) -> Formula:
        return lambda c: c.log_p(rate, pieces)

    return {"log_p_rate": rates, "log_p": tuple(integrated(rate) for rate in rates)}


def all_at_once(c: Flow, where: int) -> float:
    """Return log p as if the flow were one step of Euler's method, linearised at one end of the path."""
    J = c.J(c.case.ends[where], c.path.zs[where])
    return log_normal(c.path.zs[0]) - float(np.linalg.slogdet(np.eye(c.case.D) + c.duration * J)[1])


def gram(c: Flow, factor: float = 1.0) -> float:
    """Return log p with ``log det Phi' Phi`` for the volume."""
    return log_normal(c.path.zs[0]) - factor * float(np.linalg.slogdet(c.Phi.T @ c.Phi)[1])


# fmt: off
MISTAKES = (
    Mistake(24, "sign of the trace",
            "The log-density grows by +tr J; right is -tr J: where volumes grow, densities fall.",
            both(lambda c, t, z: np.trace(c.J(t, z))),
            found="some copies of arXiv 1806.07366, eq. 10, without the minus before the sum of traces",
            hidden_by="a field that keeps volumes"),
    Mistake(25, "sum of all entries",
            "All entries of J are summed; right are those on the diagonal.",
            both(lambda c, t, z: -c.J(t, z).sum(), lambda c, t, z: c.J(t, z).sum()),
            hidden_by="a diagonal Jacobian"),
    Mistake(26, "tr J'J",
            "The trace is that of J'J; right is that of J.",
            both(lambda c, t, z: -(c.J(t, z) ** 2).sum(), lambda c, t, z: (c.J(t, z) ** 2).sum())),
    Mistake(27, "det J",
            "The determinant of J stands where its trace belongs.",
            both(lambda c, t, z: -np.linalg.det(c.J(t, z)), lambda c, t, z: np.linalg.det(c.J(t, z)),
                 lambda c, t, z: -np.log(abs(np.linalg.det(c.J(t, z))))),
            hidden_by="D = 1"),
    Mistake(28, "modulus of the diagonal",
            "The diagonal entries of J are summed without their signs; right is with them.",
            both(lambda c, t, z: -abs(np.diag(c.J(t, z))).sum(), lambda c, t, z: -abs(np.trace(c.J(t, z))),
                 lambda c, t, z: abs(np.diag(c.J(t, z))).sum(), pieces=8),
            hidden_by="a diagonal of positive entries"),
    Mistake(29, "df/dt for the trace",
            "Derivatives of f by t are summed; right are df_i/dz_i.",
            both(lambda c, t, z: -c.case.problem.f_t(t, z).sum(), lambda c, t, z: c.case.problem.f_t(t, z).sum()),
            found="some copies of arXiv 1806.07366, eq. 33"),
    Mistake(30, "mean of the diagonal",
            "The trace is divided by D; right is the sum of the diagonal, not its mean.",
            both(lambda c, t, z: -np.trace(c.J(t, z)) / c.case.D),
            hidden_by="D = 1"),
    Mistake(31, "frozen z0",
            "The trace is taken at z0 throughout; right is at z(t).",
            both(lambda c, t, z: -np.trace(c.J(t, c.path.zs[0])),
                 lambda c, t, z: -np.trace(c.J(c.case.ends[0], c.path.zs[0]))),
            hidden_by="a field whose divergence is constant"),
    Mistake(32, "log det(I + T J)",
            "The flow is taken as one linear step, log det(I + T J); right is the integral of tr J along the path.",
            {"log_p": (lambda c: all_at_once(c, 0), lambda c: all_at_once(c, 1))}),
    Mistake(33, "log det Phi'Phi without its half",
            "The volume is counted twice, log det Phi'Phi; right is half of it, log |det Phi|.",
            {"log_p": (gram,)},
            hidden_by="a field that keeps volumes"),
    Mistake(34, "base density at z1",
            "The base density is taken at x = z(t1); right is at z(t0), where x came from.",
            {"log_p": (lambda c: log_normal(c.path.zs[-1]) + right_log_p(c) - log_normal(c.path.zs[0]),)}),
    Mistake(35, "rate at a fixed point for the rate along the path",
            "Two rates are mixed up: along the path log p changes by -tr J, at a fixed x by -tr J - d log p/dx f.", {
                "log_p_rate": (lambda c, t, z: right_rate(c, t, z) - c.score(t) @ c.case.problem.f(t, z),),
                "log_p_rate_fixed": (right_rate,)}),
)
# fmt: on


def right_fixed_rate(c: Flow, t: float, z: Array) -> float:
    """Return the right rate at a fixed point, ``-tr J - s f``: the continuity equation."""
    return right_rate(c, t, z) - float(c.score(t) @ c.case.problem.f(t, z))
