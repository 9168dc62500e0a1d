"""Step size control: the factor after a trial step, the first step, and the number of fixed steps.

With the error ratios r, r_1, r_2 of this accepted step and the two before (r <= 1 accepts), the controllers set

    h <- h * 0.9 r^(-b1/q) r_1^(-b2/q) r_2^(-b3/q),       q = 1 + the order of the error estimate,

    I      b = (1, 0, 0)
    PI     b = (0.85, -0.2, 0)            damps changes, which suits mildly stiff problems
    PID    b = (0.49, -0.34, 0.10)        damps them more

A rejected step shrinks by I control in any case. I and PI are those of Hairer, Norsett & Wanner, Solving Ordinary
Differential Equations I, II.4, and Hairer & Wanner II, IV.2 (there beta = 0.04 for q = 5). PID is the form of
Soderlind, ACM TOMS 29 (2003) 1, b = (kI + kP + kD, -kP - 2 kD, kD), with the gains (0.25, 0.14, 0.10) of Kennedy &
Carpenter, Appl. Numer. Math. 44 (2003) 139. In the notation of Diffrax: icoeff, pcoeff, dcoeff.
"""

from __future__ import annotations

import math

import numpy as np

from nodeedu.solvers.core import core

SAFETY = 0.9
MIN_FACTOR = 0.2
MAX_FACTOR = 10.0
CONTROLLERS = {"I": (1.0, 0.0, 0.0), "PI": (1.0 - 0.75 * 0.2, -0.2, 0.0), "PID": (0.49, -0.34, 0.1)}  # b
SMALLEST_OLD_RATIO = 1e-4  # a step that was nearly exact says little about the next one

EPS = 2.0**-52
SLIVER = 1e-10  # a step that leaves less of the interval than this fraction of itself takes it all


@core
def step_factor(ratio, old_ratio, older_ratio, was_rejected, exponent, beta1, beta2, beta3):
    """Return the factor for the step size after a trial step.

    Parameters
    ----------
    ratio : float
        Error ratio of this trial step; it is accepted if ``ratio <= 1``.
    old_ratio, older_ratio : float
        Error ratios of the last accepted step and the one before, or 1.
    was_rejected : bool
        Whether the trial step before was rejected: then the step size must not grow.
    exponent, beta1, beta2, beta3 : float
        ``1/q`` and b/q.
    """
    if not ratio < math.inf:  # nan or infinite: nothing is known but that h is too large
        return MIN_FACTOR
    largest = 1.0 if was_rejected or ratio > 1.0 else MAX_FACTOR
    if ratio == 0.0:
        return largest
    if ratio > 1.0:
        factor = SAFETY * ratio**-exponent
    else:
        factor = SAFETY * ratio**-beta1
        if beta2 != 0.0:
            factor *= old_ratio**-beta2
        if beta3 != 0.0:
            factor *= older_ratio**-beta3
    return min(largest, max(MIN_FACTOR, factor))


@core
def smallest_step(t):
    """Return the step size below which t + h is hardly different from t."""
    return 10.0 * EPS * abs(t)


@core
def nudge(t, step):
    """Return the least that can be added to t in the direction of a step, to be beyond a jump there."""
    return math.copysign(EPS * max(abs(t), abs(step)), step)


def beyond_jumps(starts, ends, jumps):
    """Return what to add to starts (B,) for the first slope: 0, or where a start is a jump, a nudge towards its end."""
    spans = ends - starts
    nudges = np.copysign(EPS * np.maximum(abs(starts), abs(spans)), spans)
    return np.where(np.isin(starts, jumps), nudges, 0.0)


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
    count = length / step_size
    # Not np.ceil, which CUDA has not; math.ceil gives an integer of 64 bits, but floats beyond 2^53 are whole anyway.
    return max(1.0, float(math.ceil(count)) if abs(count) < 2.0**53 else count)


@core
def equal_step(start, stop, count, made):
    """Return size and end of one of ``count`` equal steps from start to stop, after those made; the last one lands."""
    h = (stop - start) / count
    return h, stop if made + 1.0 >= count else start + (made + 1.0) * h


@core
def clipped_step(t, stop, h):
    """Return signed size and end of an adaptive step of size h from t towards stop, where it lands if that is near."""
    reach = stop - t
    if h >= abs(reach) * (1.0 - SLIVER):
        return reach, stop
    step = math.copysign(h, reach)
    return step, t + step
