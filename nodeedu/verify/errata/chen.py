"""Errata of the paper by Chen, Rubanova, Bettencourt & Duvenaud, as copies in circulation print it."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from ..equations.paths import ends, tangent
from ..problem import Problem
from .erratum import Array, Erratum, Values
from .garcia import flow_quotients, modulus
from .solving import solve
from .working import along_path, observed_back

SOURCE = "R. T. Q. Chen, Y. Rubanova, J. Bettencourt & D. Duvenaud, arXiv 1806.07366"
EVERY = "M and V, an observation at each of four times"
STEPPED = "z' = -sin z + cos(2t)/2 + 0.8 [t > 0.9]"
SWITCH, T0, T1, Z0 = 0.9, 0.2, 1.7, 0.4


def log_density_change(P: Problem) -> float:
    """Return ``log p(z(t1)) - log p(z0) = -log |det Phi|``, from the Jacobian of the flow."""
    return -float(np.linalg.slogdet(tangent(P, *ends(P)))[1])


def trace_integral(P: Problem) -> float:
    """Return the integral of tr J over the path."""
    return along_path(P, lambda t, z: float(np.trace(P.J_by_steps(t, z))))


def time_derivatives(P: Problem) -> float:
    """Return the integral of the sum of all ``df_i/dt``."""
    return along_path(P, lambda t, z: float(np.sum(P.f_t_by_steps(t, z))))


def clock(P: Problem, sign: float) -> float:
    """Return ``a_t(t0)`` from ``a_t(tN) = sign a(tN) f``, with the last observation alone."""
    _, work, g, slopes = observed_back(P.at_end)
    return float(sign * g[-1] @ slopes[-1] + work.sum())


def simple(P: Problem, with_start: bool) -> float:
    """Return ``-a(t0) f(t0, z0)``, with or without the observation at t0 in a."""
    a, _, g, slopes = observed_back(P)
    return float(-(a + with_start * g[0]) @ slopes[0])


def stepped(t: float, z: Any, after: bool) -> Any:
    """Evaluate `STEPPED` before or after its step."""
    return -np.sin(z) + 0.5 * np.cos(2 * t) + 0.8 * after


def stepped_loss(t0: float) -> float:
    """Return ``L(z(t1)) = (z - 1)^2 / 2 + 0.3 cos z`` of the path that starts in Z0 at t0."""
    z = solve(lambda t, z: stepped(t, z, False), t0, SWITCH, [Z0]).y[:, -1]
    z = solve(lambda t, z: stepped(t, z, True), SWITCH, T1, z).y[0, -1]
    return float(0.5 * (z - 1.0) ** 2 + 0.3 * np.cos(z))


def stepped_slope(h: float = 1e-3) -> float:
    """Return dL/dt0 by differences."""
    near, far = (stepped_loss(T0 + s) - stepped_loss(T0 - s) for s in (h, 2 * h))
    return (8 * near - far) / (12 * h)


@cache
def stepped_adjoint() -> tuple[float, float, float]:
    """Return a(t0), a(t1) f(t1) and the integral of ``a f_t``, f_t being taken pointwise."""
    z = solve(lambda t, z: stepped(t, z, False), T0, SWITCH, [Z0]).y[:, -1]
    z1 = float(solve(lambda t, z: stepped(t, z, True), SWITCH, T1, z).y[0, -1])
    a1 = z1 - 1.0 - 0.3 * np.sin(z1)
    y = np.array([z1, a1, 0.0])
    for start, end, after in ((T1, SWITCH, True), (SWITCH, T0, False)):
        y = solve(
            lambda t, y, after=after: [stepped(t, y[0], after), y[1] * np.cos(y[0]), y[1] * np.sin(2 * t)],
            start, end, y,
        ).y[:, -1]  # fmt: skip
    return float(y[1]), float(a1 * stepped(T1, z1, True)), float(y[2])


def pointwise(_: Any) -> float:
    """Return dL/dt0 by Algorithm 2, which integrates f_t."""
    _, end, work = stepped_adjoint()
    return work - end


def last_times(P: Problem) -> Array:
    """Return dL/dt0 with the last observation alone, by tangents."""
    return P.at_end.truth.ts[0]


DENSITIES = (
    Erratum(
        "chen-eq10", SOURCE, "eq. (10)",
        r"$\frac{d \log p(z(t))}{dt} = \sum_{n=1}^{M} \mathrm{tr}\left(\frac{\partial f_n}{\partial z}\right)$",
        r"$\frac{d \log p(z(t))}{dt} = -\sum_{n=1}^{M} \mathrm{tr}\left(\frac{\partial f_n}{\partial z}\right)$",
        "The minus of eq. (8) was lost on the way. Where the flow spreads, the density must fall.",
        "eq. (8) of the same paper", "M, whose hidden units are the f_n, and V",
        (Values("change of log p", trace_integral, lambda P: -trace_integral(P), log_density_change),),
    ),
    Erratum(
        "chen-theorem1", SOURCE, "theorem 1",
        r"“Assuming that $f$ is uniformly Lipschitz continuous in $z$ and continuous in $t$”",
        r"$f$ and $\frac{\partial f}{\partial z}$ are continuous",
        "The field |z| is Lipschitz; its flow has no Jacobian at 0. Beside 0 the log density falls by 1 on the right "
        "and rises by 1 on the left, and at 0 no trace can say so.",
        "P. Hartman, Ordinary Differential Equations, V.3", "z' = |z| on 0 <= t <= 1; printed: one trace",
        (Values("change of log p at 0, right and left", lambda _: np.full(2, -1.0), lambda _: np.array([-1.0, 1.0]),
                lambda P: -np.log(flow_quotients(P)), (modulus,)),),
    ),
    Erratum(
        "chen-eq33", SOURCE, "appendix A.3, eq. (33)",
        r"$-\sum_{i=1}^{D} \frac{\partial f_i(z, t)}{\partial t}$",
        r"$-\sum_{i=1}^{D} \frac{\partial f_i(z, t)}{\partial z_i}$",
        "The divergence is by the components of z. By t the sum is zero for every field that does not depend on time, "
        "whatever its flow does to a density.",
        "eq. (30) to (32) of the same appendix", "M and V, integrated over the path",
        (Values("change of log p", lambda P: -time_derivatives(P), lambda P: -trace_integral(P),
                log_density_change),),
    ),
)  # fmt: skip

TIMES = (
    Erratum(
        "chen-eq52", SOURCE, "appendix B.2, eq. (51) and (52), against Algorithm 2",
        r"$\frac{dL}{dt_0} = a_t(t_0) = a_t(t_N) - \int_{t_N}^{t_0} a f_t\, dt$ with "
        r"$a_t(t_N) = \frac{dL}{dt_N} = a(t_N) f$",
        r"The same with $a_t(t_N) = -\frac{dL}{dt_N}$, as Algorithm 2 starts",
        "Moving the clock of the field at fixed duration is one thing, moving one end another: $a_t$ is the first, so "
        "that it is zero at the end, and dL/dt0 is $a_t(t_0) - dL/dt_N$.",
        "Algorithm 2 of the same paper", "M and V, loss at the last time",
        (Values("dL/dt0", lambda P: clock(P, 1.0), lambda P: clock(P, -1.0), last_times),),
    ),
    Erratum(
        "chen-time-jump", SOURCE, "Algorithm 2",
        r"$\frac{dL}{dt_0} = -\frac{dL}{dt_1} - \int_{t_1}^{t_0} a \frac{\partial f}{\partial t}\, dt$",
        r"$\frac{dL}{dt_0} = -a(t_0) f(t_0, z_0)$",
        "The integral needs an f that is differentiable in t: a forcing that is switched on passes by it unseen. The "
        "short form has no derivative in t, and costs nothing.",
        "the definition of dL/dt0: starting later cuts off the first piece of the path",
        STEPPED + " on 0.2 <= t <= 1.7, z0 = 0.4",
        (Values("dL/dt0", pointwise, lambda _: -stepped_adjoint()[0] * stepped(T0, Z0, False),
                lambda _: stepped_slope(), (STEPPED,)),),
    ),
    Erratum(
        "chen-start-observed", SOURCE, "appendix B.2, where t0 is among the observations",
        r"$\frac{dL}{dt_0} = -\frac{dL}{dz(t_0)} f(t_0, z_0)$, with all observations in $\frac{dL}{dz(t_0)}$",
        r"$\frac{dL}{dt_0} = -a(t_0^+) f(t_0, z_0)$, without the observation at $t_0$",
        "What is observed at t0 is z0 itself, whenever the path starts. Its gradient is part of dL/dz0 and not of "
        "dL/dt0.",
        "the definition of dL/dt0 with z0 held fixed", EVERY,
        (Values("dL/dt0", lambda P: simple(P, True), lambda P: simple(P, False), lambda P: P.truth.ts[0]),),
    ),
)  # fmt: skip

ERRATA = (*DENSITIES, *TIMES)
RIGHT = ("eq. (34), (35), (37) and (38)", "eq. (44) and (46)", "Algorithm 1")
