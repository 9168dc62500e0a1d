"""Mistakes 41-48: backpropagation through N steps of the explicit Euler method, with any step sizes.

z_(n+1) = z_n + h_n f(t_n, z_n);    a_N = g_N,  a_n = a_(n+1) (I + h_n J(t_n, z_n)) + g_n,
dL/dtheta = sum_n h_n a_(n+1) f_theta(t_n, z_n)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .case import Case, with_times
from .mistake import Mistake
from .sweep import sweep

Array = NDArray[Any]
STEPS = 12
Place = Callable[[int], tuple[int, int]]


class Backward(NamedTuple):
    """Gradients of the discrete loss."""

    z0: Array  # (D,)
    theta: Array  # (P,)


@dataclass(frozen=True, eq=False)
class Steps:
    """Euler's steps through a problem, all of which a loss observes.

    Parameters
    ----------
    case : Case
    """

    case: Case

    @cached_property
    def ts(self) -> Array:
        """Times (N + 1,), not equidistant, so that a wrong h shows."""
        t0, t1 = self.case.ends
        s = np.linspace(0.0, 1.0, STEPS + 1)
        return t0 + (t1 - t0) * (s + 0.09 * np.sin(2 * np.pi * s))

    @cached_property
    def h(self) -> Array:
        """Steps (N,)."""
        return np.diff(self.ts)

    @cached_property
    def zs(self) -> Array:
        """States (N + 1, D)."""
        zs = [self.case.problem.z0]
        for t, h in zip(self.ts, self.h, strict=False):
            zs.append(zs[-1] + h * self.case.problem.f(t, zs[-1]))
        return np.array(zs)

    @cached_property
    def g(self) -> Array:
        """Gradients by the states (N + 1, D), none of them zero."""
        return np.random.default_rng(4).normal(size=self.zs.shape)

    @cached_property
    def J(self) -> Callable[[int, int], Array]:
        """``J(n, m)`` = df/dz at t_n and z_m (D, D)."""
        return lambda n, m: self.case.problem.J(self.ts[n], self.zs[m])

    @cached_property
    def f_theta(self) -> Callable[[int, int], Array]:
        """``f_theta(n, m)`` = df/dtheta at t_n and z_m (D, P)."""
        return lambda n, m: self.case.problem.f_theta(self.ts[n], self.zs[m])


def here(n: int) -> tuple[int, int]:
    """Return the place of the step n: its own time and state."""
    return n, n


def backward(
    s: Steps, h: Array | None = None, h_theta: Array | None = None, J_at: Place = here, theta_at: Place = here,
    weight: str = "next", start: Callable[[Steps], tuple[Array, Array]] | None = None,
) -> Backward:  # fmt: skip
    """Go back through all steps.

    Parameters
    ----------
    s : Steps
    h, h_theta : array (N,), optional
        Steps in the adjoint and in the sum for theta.
    J_at, theta_at : callable
        Place n -> (index of the time, index of the state) at which J and f_theta are taken.
    weight : {"next", "own", "before"}
        The adjoint in the sum for theta: a_(n+1), a_n, or a_n before g_n is added.
    start : callable, optional
        a_N and what dL/dtheta starts with.
    """
    h = s.h if h is None else h
    h_theta = s.h if h_theta is None else h_theta
    a, theta = (s.g[-1], np.zeros(len(s.case.problem.p))) if start is None else start(s)
    for n in reversed(range(len(s.h))):
        before = a + h[n] * a @ s.J(*J_at(n))
        own = before + s.g[n]
        theta = theta + h_theta[n] * {"next": a, "own": own, "before": before}[weight] @ s.f_theta(*theta_at(n))
        a = own
    return Backward(a, theta)


def extra_step(s: Steps) -> tuple[Array, Array]:
    """Differentiate one more step than was made, from z_N on."""
    N, a = len(s.h), s.g[-1]
    return a + s.h[-1] * a @ s.J(N, N), s.h[-1] * a @ s.f_theta(N, N)


def continuous(s: Steps) -> Backward:
    """Return the gradient of the ODE's solution instead of that of Euler's."""
    dense = with_times(s.case, s.ts, np.zeros_like(s.zs))
    found = sweep(dense, g=s.g)
    return Backward(found.z0, found.theta)


def solved_back(s: Steps, stored: bool) -> Backward:
    """Solve the adjoint ODE by Euler's method backwards, along the stored states or those of z' = f solved back."""
    P, z, a, theta = s.case.problem, s.zs[-1], s.g[-1], np.zeros(len(s.case.problem.p))
    for n in reversed(range(len(s.h))):
        t, z = s.ts[n + 1], s.zs[n + 1] if stored else z
        theta = theta + s.h[n] * a @ P.f_theta(t, z)
        a, z = a + s.h[n] * a @ P.J(t, z) + s.g[n], z - s.h[n] * P.f(t, z)
    return Backward(a, theta)


# fmt: off
MISTAKES = (
    Mistake(41, "no h",
            "The adjoint takes steps of length 1, a (I + J); right is a (I + h J).", {
                "discrete_backward": (lambda s: backward(s, h=np.ones(len(s.h)), h_theta=np.ones(len(s.h))),
                                      lambda s: backward(s, h=np.ones(len(s.h))))}),
    Mistake(42, "f at t_(n+1)",
            "The derivatives are taken at the end of the step's time; right is t_n, where the step took its slope.", {
                "discrete_backward": (lambda s: backward(s, J_at=lambda n: (n + 1, n), theta_at=lambda n: (n + 1, n)),
                                      lambda s: backward(s, J_at=lambda n: (n + 1, n)),
                                      lambda s: backward(s, theta_at=lambda n: (n + 1, n)))},
            hidden_by="a field that does not depend on t"),
    Mistake(43, "one step too many",
            "N + 1 steps are differentiated; right is N: N + 1 states have N steps between them.", {
                "discrete_backward": (lambda s: backward(s, start=extra_step),
                                      lambda s: backward(s, start=lambda s: (extra_step(s)[0], 0 * extra_step(s)[1])),
                                      lambda s: backward(s, start=lambda s: (s.g[-1], extra_step(s)[1])))},
            found="a summary that counts layers as t = 0, ..., T"),
    Mistake(44, "frozen t",
            "The derivatives are all taken at one time; right is t_n, that of each step.", {
                "discrete_backward": (lambda s: backward(s, J_at=lambda n: (0, n), theta_at=lambda n: (0, n)),
                                      lambda s: backward(s, J_at=lambda n: (-1, n), theta_at=lambda n: (-1, n)),
                                      lambda s: backward(s, J_at=lambda n: (0, n)),
                                      lambda s: backward(s, J_at=lambda n: (-1, n)),
                                      lambda s: zero_time(s))},
            hidden_by="a field that does not depend on t"),
    Mistake(45, "a_n for a_(n+1)",
            "dL/dtheta sums a_n f_theta; right is a_(n+1) f_theta: dL/dz0 is exact, dL/dtheta only to O(h).", {
                "discrete_backward": (lambda s: backward(s, weight="own"), lambda s: backward(s, weight="before"))}),
    Mistake(46, "J at z_(n+1)",
            "The Jacobian is taken at the state after the step; right is z_n, where the step took its slope.", {
                "discrete_backward": (lambda s: backward(s, J_at=lambda n: (n, n + 1)),
                                      lambda s: backward(s, J_at=lambda n: (n + 1, n + 1)),
                                      lambda s: backward(s, J_at=lambda n: (n, n + 1), theta_at=lambda n: (n, n + 1)))},
            hidden_by="a field that is linear in z"),
    Mistake(47, "no h in the sum for theta",
            "dL/dtheta sums a_(n+1) f_theta without the step; right is h_n a_(n+1) f_theta.", {
                "discrete_backward": (lambda s: backward(s, h_theta=np.ones(len(s.h))),)}),
    Mistake(48, "optimise then discretise",
            "The adjoint ODE is solved; it approximates the gradient of the ODE, not that of the N steps, which right "
            "is to differentiate themselves.", {
                "discrete_backward": (lambda s: solved_back(s, stored=True), lambda s: solved_back(s, stored=False),
                                      continuous)}),
)
# fmt: on


def zero_time(s: Steps) -> Backward:
    """Go back through all steps with the field's time at zero."""
    P = s.case.problem
    a, theta = s.g[-1], np.zeros(len(P.p))
    for n in reversed(range(len(s.h))):
        theta = theta + s.h[n] * a @ P.f_theta(0.0, s.zs[n])
        a = a + s.h[n] * a @ P.J(0.0, s.zs[n]) + s.g[n]
    return Backward(a, theta)
