"""The trial of the package's own gradient methods, with three routes on which no adjoint runs.

Central differences see only values of the loss. The complex step runs the whole solve in complex arithmetic. SciPy
solves the sensitivity equations ``S' = J S + f_theta`` with derivatives by complex steps: no tape and no compiled code.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...autodiff.check import central_difference, relative_error
from ...errors import SolverError
from ...sensitivity import gradients, odeint
from ...sensitivity.gradients import METHODS
from ..peak_memory import peak_memory
from ..problem import Problem
from .case import Case

Array = NDArray[Any]
SOLVER, RTOL, ATOL = "dop853", 1e-11, 1e-13
REVERSIBLE, STEPS = "reversible_dop853", (100, 400, 1600)
UNSTABLE = 1e-7  # relative error of states that more steps have not removed
QUANTITIES = ("dL/dz0", "dL/dtheta", "dL/dts")
Found = tuple[Array, Array, Array]
Costs = tuple[Found, int, int]  # gradients, evaluations of f, bytes kept


@dataclass(frozen=True, eq=False)
class Route:
    """One way to the gradient.

    Parameters
    ----------
    name : str
    found : tuple of arrays
        dL/dz0 (D,), dL/dtheta (P,), dL/dts (T,).
    nfev : int
        Evaluations of f, alone or with its derivatives.
    stored_bytes : int
        Of the arrays kept for the backward pass; of the sensitivities carried along by routes that have none.
    seconds : float
        Without compilation.
    peak_bytes : int or None
        By which resident memory rose meanwhile, if the system tells (`peak_memory`).
    """

    name: str
    found: Found
    nfev: int
    stored_bytes: int
    seconds: float
    peak_bytes: int | None = None


@dataclass(frozen=True, eq=False)
class Trial:
    """All routes, and how far they are apart.

    Parameters
    ----------
    routes : tuple of Route
    left_out : dict
        Name -> why a route does not apply.
    failed : dict
        Name -> why a route that applies found nothing.
    errors : array (3, R, R)
        For each of dL/dz0, dL/dtheta, dL/dts: the difference of a row's gradient from a column's, relative to the
        latter.
    agree : float
        Largest relative difference that passes.
    """

    routes: tuple[Route, ...]
    left_out: dict[str, str]
    failed: dict[str, str]
    errors: Array
    agree: float

    @property
    def ok(self) -> bool:
        """Whether no route failed and all agree."""
        return not self.failed and bool((self.errors <= self.agree).all())

    def sentence(self, q: int) -> str:
        """Say how far the routes agree on the q-th quantity."""
        errors, names = self.errors[q], [route.name for route in self.routes]
        together = errors <= self.agree
        inside = together[np.argmax(together.sum(axis=1))]
        if not self.routes or not np.any(inside):
            return f"{QUANTITIES[q]}: no two routes agree."
        worst = errors[np.ix_(inside, inside)].max()
        if inside.all():
            return f"{QUANTITIES[q]}: all {len(names)} routes agree to {max(worst, 1e-16):.0e}."
        reference = int(np.flatnonzero(inside)[-1])
        off = ", ".join(f"{names[i]} by {errors[i, reference]:.0e}" for i in np.flatnonzero(~inside))
        return f"{QUANTITIES[q]}: {inside.sum()} of {len(names)} routes agree to {max(worst, 1e-16):.0e}; off: {off}."


def run_trial(case: Case, scipy: bool = True) -> Trial:
    """Compute the gradient in every way that applies.

    Parameters
    ----------
    case : Case
    scipy : bool
        Whether to take the routes of SciPy and of the complex step, too.
    """
    jobs: dict[str, Callable[[], Costs]] = {method: _by_method(case, method) for method in METHODS}
    jobs["differences"] = lambda: _by_differences(case)
    if scipy:
        jobs |= {"complex step": lambda: _by_complex_step(case), "SciPy": lambda: _by_scipy(case)}
    routes: list[Route] = []
    left_out: dict[str, str] = {}
    failed: dict[str, str] = {}
    for name, job in jobs.items():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # what they warn of shows in the errors
                if name in METHODS:
                    job()  # compiles
                ((found, nfev, stored), seconds), peak = peak_memory(partial(_timed, job))
                routes.append(Route(name, found, nfev, stored, seconds, peak))
        except ValueError as error:
            left_out[name] = str(error)
        except SolverError as error:
            (left_out if name == "reversible" else failed)[name] = str(error)
    errors = [[[relative_error(a.found[q], b.found[q]) for b in routes] for a in routes] for q in range(3)]
    return Trial(tuple(routes), left_out, failed, np.array(errors).reshape(3, len(routes), len(routes)), case.threshold)


def _timed(job: Callable[[], Costs]) -> tuple[Costs, float]:
    begin = perf_counter()
    return job(), perf_counter() - begin


def _by_method(case: Case, method: str) -> Callable[[], Costs]:
    P = case.problem
    z0, reversible = P.z0.reshape(P.field.shape), method == "reversible"
    solver = REVERSIBLE if reversible else SOLVER

    def run() -> Costs:
        own = dict(step_size=_stable_step(case)) if reversible else dict(rtol=RTOL, atol=ATOL)
        sol: Any = odeint(P.field, z0, P.ts, P.theta, method=solver, **own)  # type: ignore[arg-type]
        zs_bar = case.cotangents_of(sol.zs.reshape(len(P.ts), -1)).reshape(sol.zs.shape)
        g = gradients(P.field, z0, P.ts, P.theta, zs_bar, method=method, solver=solver, **own)  # type: ignore[arg-type]
        found = np.reshape(g.z0, -1), P.flat(g.theta), np.asarray(g.ts)
        return found, int(g.stats.nfev + g.stats.nfev_backward), g.stats.stored_bytes

    return run


def _stable_step(case: Case) -> float:
    """Return a step with which the reversible method reaches the true states.

    Raises
    ------
    ValueError
        If there is none: such methods drift apart where solutions decay fast.
    """
    P, duration = case.problem, abs(case.ends[1] - case.ends[0])
    for steps in STEPS:
        sol: Any = odeint(P.field, P.z0.reshape(P.field.shape), P.ts, P.theta, REVERSIBLE, step_size=duration / steps)
        error = relative_error(sol.zs.reshape(len(P.ts), -1), case.path.zs)
        if error < UNSTABLE:
            return duration / steps
    raise ValueError(f"{REVERSIBLE} is not stable here: after {steps} steps its states are off by {error:.0e}")


def _by_differences(case: Case) -> Costs:
    P, counted = case.problem, [0]

    def loss(z0: Array, p: Array, ts: Array) -> float:
        sol: Any = odeint(P.field, z0.reshape(P.field.shape), ts, P.unflat(p), method=SOLVER, rtol=RTOL, atol=ATOL)
        counted[0] += int(sol.stats.nfev)
        return case.loss_of(sol.zs.reshape(len(ts), -1))

    gap = 0.2 * float(np.min(abs(np.diff(P.ts))))  # times must stay in order
    found = (
        central_difference(lambda x: loss(x, P.p, P.ts), P.z0).value,
        central_difference(lambda x: loss(P.z0, x, P.ts), P.p).value if len(P.p) else np.zeros(0),
        central_difference(lambda x: loss(P.z0, P.p, x), P.ts, step=min(gap, 0.0625)).value,
    )
    return found, counted[0], 0


def _by_complex_step(case: Case) -> Costs:
    """Solve once for each entry of z0, theta and ts, each moved by 1e-30 into the complex plane."""
    from scipy.integrate import solve_ivp

    P, calls = _counted(case.problem)
    _require_complex(P, case)
    step = 1e-30

    def derivative(dz0: Array, dp: Array, dts: Array) -> float:
        z, p, ts = P.z0 + 1j * step * dz0, P.p + 1j * step * dp, P.ts + 1j * step * dts
        zs = [z]
        for begin, length in zip(ts, np.diff(ts), strict=False):  # with t = begin + s length, 0 < s < 1
            solved = solve_ivp(lambda s, z, b=begin, d=length: d * P.f(b + s * d, z, p), (0.0, 1.0), zs[-1],
                               "DOP853", rtol=RTOL, atol=ATOL)  # fmt: skip
            zs.append(solved.y[:, -1])
        return float(np.imag(case.loss_of(np.array(zs))) / step)

    parts = np.split(np.eye(P.size + len(P.p) + len(P.ts)), [P.size, P.size + len(P.p)], axis=1)
    every = np.array([derivative(*rows) for rows in zip(*parts, strict=True)])
    z0, theta, ts = np.split(every, [P.size, P.size + len(P.p)])
    return (z0, theta, ts), calls[0], 0


def _require_complex(P: Problem, case: Case) -> None:
    refused = "takes no complex numbers"
    try:
        exact = P.f(P.ts[0], P.z0 + 1e-30j).imag / 1e-30
        moved = np.imag(case.loss_of(case.path.zs + 1e-30j)) / 1e-30
    except Exception as error:
        raise ValueError(f"f or loss {refused}: {error}") from None
    if not relative_error(exact, P.J(P.ts[0], P.z0).sum(axis=1)) < 1e-8:
        raise ValueError(f"f {refused}: it loses the imaginary part, as abs does")
    if not relative_error(moved, case.g.sum()) < 1e-6:
        raise ValueError(f"loss {refused}: it loses the imaginary part, as abs does")


def _by_scipy(case: Case) -> Costs:
    P, calls = _counted(case.problem)
    zs, Phi, S, shift = P.tangents(P.ts[0], P.ts, P.z0)
    g = case.cotangents_of(zs)
    slopes = np.array([P.f(t, z) for t, z in zip(P.ts, zs, strict=True)])
    ts = np.einsum("td,td->t", g, slopes)
    ts[0] = np.einsum("td,td->", g[1:], shift[1:] - slopes[1:])
    found = np.einsum("td,tdi->i", g, Phi), np.einsum("td,tdp->p", g, S), ts
    return found, calls[0], 8 * P.size * (P.size + len(P.p) + 1)


def _counted(P: Problem) -> tuple[Problem, list[int]]:
    """Return a problem whose evaluations of f are counted."""
    field, calls = copy.copy(P.field), [0]
    function = field.function

    def counting(*args: Any) -> Any:
        calls[0] += 1
        return function(*args)

    field.function = counting
    return replace(P, field=field), calls
