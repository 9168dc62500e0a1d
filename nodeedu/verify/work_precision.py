"""Work-precision diagrams: what an error costs, ours beside SciPy's, and what the package claims about it.

An evaluation counts as one, a Jacobian as D of them: SciPy takes it by D differences, ours by D products with the
compiled derivative. Calls of SciPy's f are counted inside f. Times are those of a user: SciPy is given the Python
function, ours is given the field that was traced from the same function, compiled before the clock starts.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import SolverError
from .ode_problems import NONSTIFF, STIFF, OdeProblem

Array = NDArray[Any]
BUDGET, MOST = 0.015, 10  # a short solve is repeated for so many seconds, or times
EXPLICIT_STEPS = 50_000  # after which an explicit method on a stiff problem has made its point

FASTER = 20  # how many times as fast as SciPy's the same method has to be, on a machine with other work to do


class Run(NamedTuple):
    """One solve: its error at the end, evaluations, and the fastest and the median of its times in seconds."""

    rtol: float
    error: float
    evaluations: int
    fastest: float
    median: float


@dataclass(frozen=True)
class Method:
    """A method of ours or of SciPy's.

    Parameters
    ----------
    name : str
        As its library calls it.
    scipy : bool
        Whether it is SciPy's.
    color : int
        Of `plot.COLORS`; methods of one kind share it.
    tightest : float
        Smallest rtol that it is given.
    """

    name: str
    scipy: bool
    color: int
    tightest: float

    @property
    def label(self) -> str:
        """Name with its library."""
        return f"SciPy {self.name}" if self.scipy else self.name


FOR_NONSTIFF = (
    Method("bosh3", False, 4, 1e-8),
    Method("RK23", True, 4, 1e-6),
    Method("dopri5", False, 0, 1e-12),
    Method("RK45", True, 0, 1e-9),
    Method("dop853", False, 2, 1e-12),
    Method("DOP853", True, 2, 1e-11),
    Method("adams", False, 1, 1e-12),
    Method("LSODA", True, 1, 1e-11),
    Method("tsit5", False, 3, 1e-12),
)
FOR_STIFF = (
    Method("radau5", False, 0, 1e-10),
    Method("Radau", True, 0, 1e-7),
    Method("BDF", True, 4, 1e-7),
    Method("LSODA", True, 1, 1e-10),
    Method("dopri5", False, 6, 1e-10),
)
RTOLS = tuple(10.0**-k for k in range(2, 13))
Results = dict[tuple[str, str], list[Run]]  # by names of problem and method


# ---------------------------------------------------------------- measuring


def compare(problems: Iterable[OdeProblem], methods: Iterable[Method], rtols: Iterable[float] = RTOLS) -> Results:
    """Solve each problem with each method at each tolerance that it can take.

    Parameters
    ----------
    problems : iterable of OdeProblem
    methods : iterable of Method
    rtols : iterable of float

    Returns
    -------
    dict
        By names of problem and label of method: runs, from loose to tight, without those that failed.
    """
    results: Results = {}
    for problem in problems:
        for method in methods:
            usable = [rtol for rtol in rtols if rtol > 0.9 * method.tightest]
            runs = [measure(problem, method, rtol) for rtol in usable]
            results[problem.name, method.label] = [run for run in runs if run is not None]
    return results


def measure(problem: OdeProblem, method: Method, rtol: float) -> Run | None:
    """Solve with a clock; ours once before, so that nothing is compiled meanwhile. None if it fails.

    Parameters
    ----------
    problem : OdeProblem
    method : Method
    rtol : float
        atol is in the problem's proportion to it.

    Returns
    -------
    Run or None
    """
    solve = _by_scipy if method.scipy else _by_us
    if not method.scipy and solve(problem, method.name, rtol) is None:
        return None
    seconds: list[float] = []
    while not seconds or (sum(seconds) < BUDGET and len(seconds) < MOST):
        start = time.perf_counter()
        found = solve(problem, method.name, rtol)
        seconds.append(time.perf_counter() - start)
    if found is None:
        return None
    return Run(rtol, problem.error(found[0]), found[1], min(seconds), float(np.median(seconds)))


def _by_us(problem: OdeProblem, method: str, rtol: float) -> tuple[Array, int] | None:
    """Return the state at the end and the evaluations."""
    from ..sensitivity import odeint

    ts, most = (0.0, problem.t_end), 10_000_000 if problem.published is None else EXPLICIT_STEPS
    try:
        solution = odeint(
            problem.field, problem.z0, ts, method=method, rtol=rtol, atol=rtol * problem.atol_ratio, max_steps=most
        )
    except SolverError:
        return None
    return solution.zs[-1], solution.stats.nfev + len(problem.z0) * solution.stats.njev


def _by_scipy(problem: OdeProblem, method: str, rtol: float) -> tuple[Array, int] | None:
    from scipy.integrate import solve_ivp

    calls = 0

    def f(t: float, z: Array) -> Any:
        nonlocal calls
        calls += 1
        return problem.f(t, z)

    solved = solve_ivp(f, (0.0, problem.t_end), problem.z0, method, rtol=rtol, atol=rtol * problem.atol_ratio)
    return (solved.y[:, -1], calls) if solved.success else None


# ---------------------------------------------------------------- comparing


def cost(runs: Iterable[Run], error: float, of: Callable[[Run], float]) -> float:
    """Return what it costs to come down to an error: straight between the runs in logarithms, nan if none came down.

    Parameters
    ----------
    runs : iterable of Run
    error : float
    of : callable
        The cost of a run.

    Returns
    -------
    float
    """
    points = sorted((of(run), run.error) for run in runs)
    if not points:
        return math.nan
    prices, errors = np.log(np.array(points)).T
    errors = np.minimum.accumulate(errors)  # a run that costs more and errs more would not be chosen
    first = int(np.argmax(errors <= math.log(error))) if errors[-1] <= math.log(error) else -1
    if first < 0:
        return math.nan
    if first == 0:
        return float(np.exp(prices[0]))
    share = (errors[first - 1] - math.log(error)) / (errors[first - 1] - errors[first])
    return float(np.exp(prices[first - 1] + share * (prices[first] - prices[first - 1])))


def costs(results: Results, problems: Iterable[OdeProblem], label: str, error: float, what: str) -> Array:
    """Return `cost` for all problems (n,); what is the name of a column of Run."""
    return np.array([cost(results[p.name, label], error, lambda run: getattr(run, what)) for p in problems])


class Claim(NamedTuple):
    """What is said under a figure, and whether it was so."""

    text: str
    holds: bool


def _evaluations(results: Results, problems: tuple[OdeProblem, ...], ours: str, theirs: str, error: float) -> Claim:
    """Claim that ours needs no more evaluations, on two problems of three at least."""
    mine, other = (costs(results, problems, label, error, "evaluations") for label in (ours, theirs))
    # Of equal steps, equal counts: a hundredth admits the rounding of an interpolation.
    n = int(np.sum(mine <= 1.01 * other))
    text = f"at an error of {error:.0e}, {ours} needs no more evaluations than {theirs} on {n} of {len(problems)}"
    return Claim(text + " problems", n >= 2 * len(problems) / 3)


def _times(results: Results, problems: tuple[OdeProblem, ...], ours: str, theirs: str, error: float, k: int) -> Claim:
    """Claim that ours is k times as fast on the median problem."""
    mine, other = (costs(results, problems, label, error, "fastest") for label in (ours, theirs))
    ratio = float(np.median(other / mine))
    return Claim(f"on the median problem it is there at least {k} times as fast (measured: {ratio:.0f})", ratio >= k)


def claims_nonstiff(results: Results) -> list[Claim]:
    """Return what the figure of the non-stiff problems claims."""
    pairs = (("dopri5", "SciPy RK45"), ("tsit5", "SciPy RK45"), ("dop853", "SciPy DOP853"), ("adams", "SciPy LSODA"))
    claims = [_evaluations(results, NONSTIFF, ours, theirs, 1e-6) for ours, theirs in pairs]
    claims.insert(1, _times(results, NONSTIFF, *pairs[0], 1e-6, FASTER))
    return claims


def claims_stiff(results: Results) -> list[Claim]:
    """Return what the figure of the stiff problems claims."""
    return [
        _evaluations(results, STIFF, "radau5", "SciPy Radau", 1e-6),
        _times(results, STIFF, "radau5", "SciPy Radau", 1e-6, FASTER),
    ]


def run(out: Path) -> int:
    """Measure, draw work_precision_nonstiff.png and work_precision_stiff.png, and judge the claims under them.

    Parameters
    ----------
    out : Path
        Folder.

    Returns
    -------
    int
        Exit code: 0 if every claim holds, else 1.
    """
    from .. import plot
    from . import work_precision_figure as figure

    plot.headless()
    results = compare(NONSTIFF, FOR_NONSTIFF)
    claims = claims_nonstiff(results)
    drawn = [("nonstiff", figure.draw_nonstiff(results), claims)]
    results = compare(STIFF, FOR_STIFF)
    claims = claims_stiff(results)
    drawn.append(("stiff", figure.draw_stiff(results), claims))
    for name, fig, said in drawn:
        path = out / f"work_precision_{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        fig.savefig(path, dpi=100)  # less than `plot.save`, to keep the repository small
        print(f"wrote {path}")
        for claim in said:
            print(f"  {'PASS' if claim.holds else 'FAIL'}  {claim.text}")
    return int(not all(claim.holds for _, _, said in drawn for claim in said))
