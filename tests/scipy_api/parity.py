"""How closely our steps follow SciPy's, measured against how closely SciPy follows itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.integrate

from nodeedu.solvers.scipy_api import solve_ivp

SPAN = 4.0  # long enough for 5 to 2000 steps, short enough for a hundred problems in a few seconds
# Each problem takes some of these, in turn.
SETTINGS = [("RK45", 1e-3), ("DOP853", 1e-8), ("RK23", 1e-4), ("RK45", 1e-8), ("DOP853", 1e-5), ("RK45", 1e-5)]
BARE = 1e-12  # of the span


@dataclass(frozen=True)
class Comparison:
    """One problem: differences of accepted times as parts of the span; inf where their numbers differ."""

    name: str
    same_nfev: bool
    ours: float
    scipys_own: float  # the largest over states moved by one ulp; inf where the move changes the number of steps

    @property
    def decided(self) -> bool:
        """Whether SciPy's own number of evaluations does not depend on the last bit of y0."""
        return self.scipys_own < np.inf

    @property
    def missed(self) -> bool:
        return self.decided and not (self.same_nfev and self.ours <= max(BARE, 10 * self.scipys_own))


def compare(name, f, span, y0, method, rtol):
    """Solve with SciPy, with SciPy from states moved by one ulp, and with ours."""
    kwargs = {"method": method, "rtol": rtol, "atol": rtol / 100}
    reference = scipy.integrate.solve_ivp(f, span, y0, **kwargs)
    moved = [scipy.integrate.solve_ivp(f, span, y, **kwargs) for y in _moved_by_one_ulp(np.array(y0))]
    ours = solve_ivp(f, span, y0, **kwargs)
    return Comparison(
        f"{name} {method} {rtol:g} {'forward' if span[1] > span[0] else 'backward'}",
        ours.nfev == reference.nfev,
        _difference(ours, reference),
        max(_difference(each, reference) for each in moved),
    )


def _moved_by_one_ulp(y0):
    """All components up, all down, and up and down in turn; zeros by an ulp of the largest component (or of 1)."""
    ulp = np.spacing(np.where(y0 == 0, abs(y0).max() or 1.0, abs(y0)))
    turns = (-1.0) ** np.arange(len(y0))
    return [y0 + sign * ulp for sign in ([1, -1] if len(y0) == 1 else [1, -1, turns, -turns])]


def _difference(result, reference):
    if result.nfev != reference.nfev or len(result.t) != len(reference.t):
        return np.inf
    return float(abs(result.t - reference.t).max() / SPAN)


def comparisons(problems, per_problem):
    """Compare every problem forwards from its y0 and backwards from where it got to, with the next settings in turn."""
    for i, (name, (f, y0)) in enumerate(problems.items()):
        accurate = {"method": "DOP853", "rtol": 1e-11, "atol": 1e-12}
        end = scipy.integrate.solve_ivp(f, (0.0, SPAN), y0, **accurate).y[:, -1]
        for backward in (False, True):
            span, start = ((SPAN, 0.0), end) if backward else ((0.0, SPAN), y0)
            for k in range(per_problem):
                yield compare(name, f, span, start, *SETTINGS[(2 * i + 3 * backward + k) % len(SETTINGS)])
