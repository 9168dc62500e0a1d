"""Step size control: the factor after a trial step, the first step, and the number of fixed steps.

With the error ratio r (r <= 1 accepts), the I controller sets ``h <- h * 0.9 r^(-1/q)``; the PI controller damps it by
the ratio of the step before, ``0.9 r^(-0.85/q) r_old^(0.2/q)``, which suits mildly stiff problems. q is one more than
the order of the error estimate. Both as in Hairer, Norsett & Wanner, Solving Ordinary Differential Equations I, II.4,
and Hairer & Wanner II, IV.2 (there beta = 0.04 for q = 5).
"""

from __future__ import annotations

import math

import numpy as np

from nodeedu.solvers.core import core

SAFETY = 0.9
MIN_FACTOR = 0.2
MAX_FACTOR = 10.0
DAMPING = 0.2  # of the PI controller, in units of 1/q
SMALLEST_OLD_RATIO = 1e-4  # a step that was nearly exact says little about the next one

EPS = 2.0**-52
SLIVER = 1e-10  # a step that leaves less of the interval than this fraction of itself takes it all


@core
def step_factor(ratio, old_ratio, was_rejected, exponent, damping):
    """Return the factor for the step size after a trial step.

    Parameters
    ----------
    ratio : float
        Error ratio of this trial step; it is accepted if ``ratio <= 1``.
    old_ratio : float
        Error ratio of the last accepted step.
    was_rejected : bool
        Whether the trial step before was rejected: then the step size must not grow.
    exponent, damping : float
        ``1/q``, and `DAMPING` or 0 for the I controller.
    """
    if not ratio < math.inf:  # nan or infinite: nothing is known but that h is too large
        return MIN_FACTOR
    largest = 1.0 if was_rejected or ratio > 1.0 else MAX_FACTOR
    if ratio == 0.0:
        return largest
    if damping == 0.0 or ratio > 1.0:
        factor = SAFETY * ratio**-exponent
    else:
        factor = SAFETY * ratio ** (-exponent * (1.0 - 0.75 * damping)) * old_ratio ** (exponent * damping)
    return min(largest, max(MIN_FACTOR, factor))


@core
def smallest_step(t):
    """Return the step size below which t + h is hardly different from t."""
    return 10.0 * EPS * abs(t)


@core
def trial_guess(size, slope, longest):
    """Return the step of the explicit Euler probe: 1 % of the time in which the state would change by its own size.

    Hairer, Norsett & Wanner I, II.4, steps a-b. ``size`` and ``slope`` are the scaled norms of y and f; ``longest`` is
    the length of the interval, so that f is never asked for a time beyond it.
    """
    if size < 1e-5 or slope < 1e-5 or not size < math.inf or not slope < math.inf:
        return min(1e-6, longest)
    return min(0.01 * size / slope, longest)


@core
def first_step_size(guess, slope, curvature, exponent, longest):
    """Return the first step size from the slope and the change of slope over the probe.

    ``h^q max(|f|, |f'|) = 0.01``, at most 100 times the probe: Hairer, Norsett & Wanner I, II.4, steps d-f. A probe
    that met a nan keeps the guess.
    """
    steepest = max(slope, curvature)
    if not steepest < math.inf or not curvature < math.inf:
        return guess
    if steepest <= 1e-15:
        size = max(1e-6, 1e-3 * guess)
    else:
        size = (0.01 / steepest) ** exponent
    return min(min(100.0 * guess, size), longest)


@core
def fixed_step_count(start, stop, step_size):
    """Return how many equal steps of at most ``step_size`` cut the interval; round-off in it makes no extra step."""
    length = abs(stop - start) - 4.0 * EPS * max(abs(start), abs(stop))
    return max(1.0, np.ceil(length / step_size))
