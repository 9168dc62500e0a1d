"""What can be seen of a solve from outside: where a callable is evaluated, and the trial steps that this betrays."""

from typing import NamedTuple

import numpy as np

import nodeedu as ne


def recording(f):
    """Return a callable that computes f(t, z), and the list of (t, z) at which it will have been called."""
    calls = []

    def recorded(t, z):
        calls.append((t, z))
        return f(t, z)

    return recorded, calls


def evaluation_times(f, z0, ts, **options):
    """Solve, and return the times of all evaluations in their order."""
    recorded, calls = recording(f)
    ne.odeint(recorded, z0, ts, **options)
    return np.array([t for t, _ in calls])


class Trials(NamedTuple):
    t: np.ndarray  # (n,) where each trial step starts
    h: np.ndarray  # (n,) its signed size
    accepted: np.ndarray  # (n,) bool


def trial_steps(f, z0, ts, method="dopri5", **options):
    """Solve with first_step given, and return all trial steps.

    After the first slope, an FSAL method makes s - 1 evaluations a trial: the second stage lies at ``t + c_2 h``, the
    last at ``t + h``. A trial was accepted if the next one starts at its end.
    """
    tableau = ne.tableaus.get(method)
    times = evaluation_times(f, z0, ts, method=method, **options)[1:].reshape(-1, tableau.stages - 1)
    end, h = times[:, -1], (times[:, -1] - times[:, 0]) / (1 - tableau.c[1])
    start = end - h
    return Trials(start, h, np.append(abs(start[1:] - end[:-1]) < 1e-6 * abs(h[:-1]), True))
