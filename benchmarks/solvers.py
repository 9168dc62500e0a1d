"""Solves without gradients: one system with 200 output times, 65536 systems with own steps, evaluations on DETEST.

All with rtol 1e-6, atol 1e-9, float64. Ours are `solve_ivp`, which takes SciPy's steps, and `odeint`. In diffrax a
solve is jitted, and many systems either have their own steps (`vmap`) or are solved as one system.
"""

from __future__ import annotations

import argparse
import runpy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks import harness
from benchmarks.environment import ROOT
from benchmarks.tables import Row, judge, table

RTOL, ATOL, TIMES = 1e-6, 1e-9, 200
TOLERANCES = {"rtol": RTOL, "atol": ATOL}
SYSTEMS = 65_536

OURS = "nodeedu solve_ivp, traced"
OUR_PYTHON = "nodeedu solve_ivp, Python f"
MANY = "nodeedu odeint, own steps"
# How many times slower than ours the project wants them to be, at least.
TARGETS = {"scipy solve_ivp RK45": 400.0, "diffrax Dopri5": 15.0, "torchdiffeq dopri5": 4000.0, "scipy odeint": 20.0}
MANY_TARGETS = {"diffrax, own steps": 15.0, "diffrax, shared steps": 2.5}

# Of the largest component: a hundred rtol for what adds up over the interval, and as much for what Lorenz amplifies.
LARGEST_ERROR = 1e-2

DETEST_RTOLS, DETEST_END = (1e-3, 1e-5, 1e-7, 1e-9), 20.0


def lotka_volterra(t, y):
    """Prey and predators."""
    return 1.5 * y[0] - y[0] * y[1], y[0] * y[1] - 3.0 * y[1]


def van_der_pol(t, y):
    """Van der Pol's oscillator with mu = 5."""
    return y[1], 5.0 * (1.0 - y[0] * y[0]) * y[1] - y[0]


def lorenz(t, y):
    """Lorenz' system."""
    return 10.0 * (y[1] - y[0]), y[0] * (28.0 - y[2]) - y[1], y[0] * y[1] - 8.0 / 3.0 * y[2]


@dataclass(frozen=True)
class System:
    """An autonomous system; its function returns a tuple, so that every library can take it."""

    name: str
    f: Callable[..., tuple[Any, ...]]
    y0: tuple[float, ...]
    end: float

    @property
    def ts(self) -> np.ndarray:
        """Output times."""
        return np.linspace(0.0, self.end, TIMES)

    def field(self) -> Any:
        """Return the traced field."""
        import nodeedu as ne

        return ne.vector_field(lambda t, z, theta: self.f(t, z), np.array(self.y0), np.zeros(0))


SINGLE = (
    System("Lotka-Volterra", lotka_volterra, (10.0, 5.0), 10.0),
    System("van der Pol, mu = 5", van_der_pol, (2.0, 0.0), 20.0),
    System("Lorenz", lorenz, (1.0, 1.0, 1.0), 10.0),
)

Work = Callable[[], Any]  # returns states (T, n), or what `np.asarray` makes them of


def our_solves(system: System) -> dict[str, Work]:
    """Both of our functions with each kind of f."""
    import numba

    import nodeedu as ne

    ts, y0, span = system.ts, np.array(system.y0), (0.0, system.end)
    field, compiled = system.field(), numba.njit(system.f)

    def ivp(f):
        return lambda: ne.solve_ivp(f, span, y0, t_eval=ts, **TOLERANCES).y.T

    def odeint(f, *theta):
        return lambda: ne.odeint(f, y0, ts, *theta, method="dopri5", **TOLERANCES).zs

    return {
        OURS: ivp(field), "nodeedu solve_ivp, njit": ivp(compiled), OUR_PYTHON: ivp(system.f),
        "nodeedu odeint, traced": odeint(field, np.zeros(0)),
    }  # fmt: skip


def scipys_solves(system: System) -> dict[str, Work]:
    """SciPy's own steps in Python, and the compiled LSODA behind its `odeint`; f in Python."""
    from scipy import integrate

    ts, y0, span = system.ts, np.array(system.y0), (0.0, system.end)
    return {
        "scipy solve_ivp RK45": lambda: integrate.solve_ivp(system.f, span, y0, t_eval=ts, **TOLERANCES).y.T,
        "scipy odeint": lambda: integrate.odeint(system.f, y0, ts, tfirst=True, **TOLERANCES),
    }


def diffraxs_solve(f: Any, ts: np.ndarray, steps: int = 100_000, own_steps: bool = False) -> Callable[[Any], Any]:
    """Return a jitted solve of y0, or with own_steps of many y0 (B, n)."""
    import diffrax
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_cpu_enable_async_dispatch", False)  # see with_diffrax.py
    times = jnp.asarray(ts)
    controller = diffrax.PIDController(**TOLERANCES)

    def solve(y0):
        return diffrax.diffeqsolve(
            diffrax.ODETerm(lambda t, y, _: jnp.stack(f(t, y))), diffrax.Dopri5(), times[0], times[-1], None, y0,
            saveat=diffrax.SaveAt(ts=times), stepsize_controller=controller, max_steps=steps,
        ).ys  # fmt: skip

    compiled = jax.jit(jax.vmap(solve, out_axes=1) if own_steps else solve)
    return lambda y0: jax.block_until_ready(compiled(y0))


def peers_solves(system: System, peers: tuple[str, ...]) -> dict[str, Work]:
    """Solves of the libraries that are installed."""
    works: dict[str, Work] = {}
    if "diffrax" in peers:
        solve, y0 = diffraxs_solve(system.f, system.ts), np.array(system.y0)
        works["diffrax Dopri5"] = lambda: solve(y0)
    if "torchdiffeq" in peers:
        import torch
        from torchdiffeq import odeint

        torch.set_num_threads(1)
        start, ts = torch.tensor(system.y0, dtype=torch.float64), torch.tensor(system.ts)

        def f(t, y):
            return torch.stack(system.f(t, y))

        works["torchdiffeq dopri5"] = lambda: odeint(f, start, ts, method="dopri5", **TOLERANCES)
    return works


def error_of(states: Any, reference: np.ndarray) -> float:
    """Largest difference as a part of the largest component; nan where a state is."""
    return float(np.max(abs(np.asarray(states) - reference)) / abs(reference).max())


def one_system(system: System, peers: tuple[str, ...], repetitions: int) -> list[Row]:
    """Check all solves of a system against an accurate one, time them in turn, and print."""
    from scipy.integrate import solve_ivp

    span, accurate = (0.0, system.end), {"method": "DOP853", "rtol": 1e-13, "atol": 1e-13}
    reference = solve_ivp(system.f, span, system.y0, t_eval=system.ts, **accurate).y.T
    works = our_solves(system) | scipys_solves(system) | peers_solves(system, peers)
    errors = {name: error_of(work(), reference) for name, work in works.items()}
    harness.check(errors, LARGEST_ERROR)
    print(f"{system.name}, t = 0 ... {system.end:g}, {TIMES} output times")
    seconds = harness.measure(works, repetitions)
    rows = []
    for name in works:
        ratio = seconds[name] / seconds[OURS]
        row = {"name": name, "median_ms": 1e3 * seconds[name], "error": errors[name], "times_ours": ratio}
        rows.append(row | judge(ratio, at_least=TARGETS.get(name)))
    ratio = seconds[OUR_PYTHON] / seconds["scipy solve_ivp RK45"]
    rows.append({"name": "Python f, ours / scipy", "ratio": ratio, **judge(ratio, at_most=1.0)})
    print(table(rows), end="\n\n")
    return [{"system": system.name, **row} for row in rows]


def many_systems(peers: tuple[str, ...], repetitions: int) -> list[Row]:
    """65536 Lotka-Volterra systems from different states to t = 10."""
    import nodeedu as ne

    ts, rng = np.array([0.0, 10.0]), np.random.default_rng(0)
    starts = rng.uniform((5.0, 2.0), (15.0, 8.0), (SYSTEMS, 2))
    field = SINGLE[0].field()
    options = {"method": "dopri5", **TOLERANCES}
    works: dict[str, Work] = {MANY: lambda: ne.odeint(field, starts, ts, np.zeros(0), **options).zs}
    if "diffrax" in peers:
        own = diffraxs_solve(lotka_volterra, ts, own_steps=True)
        shared = diffraxs_solve(lotka_volterra, ts)
        works["diffrax, own steps"] = lambda: own(starts)
        works["diffrax, shared steps"] = lambda: np.swapaxes(shared(starts.T), 1, 2)
    accurate = ne.odeint(field, starts, ts, np.zeros(0), method="dop853", rtol=1e-12, atol=1e-12).zs
    errors = {name: error_of(work(), accurate) for name, work in works.items()}
    harness.check(errors, LARGEST_ERROR)
    print(f"{SYSTEMS} Lotka-Volterra systems, t = 0 ... 10")
    seconds = harness.measure(works, repetitions)
    rows = []
    for name in works:
        ratio = seconds[name] / seconds[MANY]
        row = {"name": name, "median_s": seconds[name], "error": errors[name], "times_ours": ratio}
        rows.append(row | judge(ratio, at_least=MANY_TARGETS.get(name)))
    print(table(rows), end="\n\n")
    return rows


def evaluations_on_detest() -> list[Row]:
    """Sum of the evaluations on all DETEST problems, ours as a part of SciPy's."""
    from scipy import integrate

    import nodeedu as ne

    problems = runpy.run_path(str(ROOT / "tests" / "scipy_api" / "detest.py"))["PROBLEMS"]
    rows = []
    for method in ("RK45", "DOP853"):
        for rtol in DETEST_RTOLS:
            sums = {
                solve_ivp: sum(
                    solve_ivp(f, (0.0, DETEST_END), y0, method, rtol=rtol, atol=rtol / 100).nfev
                    for f, y0 in problems.values()
                )
                for solve_ivp in (ne.solve_ivp, integrate.solve_ivp)
            }
            ratio = sums[ne.solve_ivp] / sums[integrate.solve_ivp]
            row = {"name": f"{method}, rtol {rtol:g}", "ahead": sums[ne.solve_ivp], "ratio": ratio}
            rows.append(row | judge(ratio, at_most=1.0))
    print(f"Evaluations of f on {len(problems)} DETEST problems, t = 0 ... {DETEST_END:g}, as a part of SciPy's")
    print(table(rows))
    return rows


def run(options: argparse.Namespace, peers: tuple[str, ...]) -> list[Row]:
    """Check, time, print, and return the rows."""
    rows = []
    for system in SINGLE:
        rows += one_system(system, peers, 3 if options.quick else 15)
    return rows + many_systems(peers, 1 if options.quick else 3) + evaluations_on_detest()
