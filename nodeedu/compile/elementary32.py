"""Elementary functions of one float32: those of `elementary64`, where each step is explained, with fewer coefficients.

Every constant is a float32, since numba takes the product of a float32 and a float64 in double precision (and where
numbers are rounded by adding, that would give wrong results; the argument is therefore converted first). Only the
reduction of sin and cos is in double precision on purpose: it takes two parts of pi instead of five.
"""

from __future__ import annotations

import numpy as np

from nodeedu.compile.elementary64 import ONE_OVER_PI, PHASE_LIMIT, elementary, minus_multiple_of_pi
from nodeedu.compile.elementary64 import SHIFT as SHIFT64

ZERO, HALF, ONE, TWO = np.float32(0.0), np.float32(0.5), np.float32(1.0), np.float32(2.0)
INF, NAN = np.float32(np.inf), np.float32(np.nan)

SHIFT = np.float32(1.5 * 2.0**23)
EXPONENT, BIAS = np.int32(23), np.int32(127)

LOG2_E = np.float32(1.442695)
LN2_HI = np.float32(0.693145751953125)  # ln 2 to 15 bits: a product with an integer of 9 bits is exact
LN2_LO = np.float32(1.4286068e-06)

# tanh u = u (1 + P1 z)/(1 + Q1 z), z = u**2, |u| <= ln(2)/4: relative error 6.6e-10
P1, Q1 = np.float32(0.06658717), np.float32(0.39992025)

# 2 artanh(s) = 2 s + s z L(z), z = s**2, |s| <= (sqrt 2 - 1)/(sqrt 2 + 1): relative error 8.1e-10
L0, L1, L2 = np.float32(0.66666776), np.float32(0.39977482), np.float32(0.29873642)

# sin r = r + r z S(z), z = r**2, |r| <= pi/2: relative error 6.1e-9
S0, S1 = np.float32(-0.1666666), np.float32(0.0083330665)
S2, S3 = np.float32(-0.0001980959), np.float32(2.6057508e-06)

SQRT_HALF_BITS = np.uint32(0x3F3504F3)
TO_SQRT_HALF = np.uint32(0x3F800000 - 0x3F3504F3)
FRACTION = np.uint32(2**23 - 1)
TWO_23_BITS = np.uint32(0x4B000000)
SMALLEST_NORMAL = np.float32(2.0**-126)
TWO_25 = np.float32(2.0**25)
OFFSET, OFFSET_SUBNORMAL = np.float32(2**23 + 127), np.float32(2**23 + 127 + 25)


@elementary
def _power_of_two(k):
    """Return 2**k for an integer k in [-126, 127]."""
    return np.int32((np.float32(k + SHIFT).view(np.int32) + BIAS) << EXPONENT).view(np.float32)


@elementary
def _reduce(x):
    """Return (k, p, q) with x = k ln 2 + 2u, k an integer, and tanh u = p/q."""
    k = (x * LOG2_E + SHIFT) - SHIFT
    u = HALF * ((x - k * LN2_HI) - k * LN2_LO)
    z = u * u
    return k, u * (ONE + z * P1), ONE + z * Q1


@elementary
def tanh32(x):
    """Return tanh x; exact oddness, |tanh x| <= 1, and tanh x = x for tiny x, -0 included."""
    x = np.float32(x)
    y = TWO * x
    y = np.float32(20.0) if y > np.float32(20.0) else (np.float32(-20.0) if y < np.float32(-20.0) else y)
    k, p, q = _reduce(y)
    s = _power_of_two(k)
    return np.copysign(((s + ONE) * p + (s - ONE) * q) / ((s + ONE) * q + (s - ONE) * p), x)


@elementary
def _scale(y, k):
    """Return 2**k y in two steps, so that the result may overflow to inf or become subnormal."""
    half = (HALF * k + SHIFT) - SHIFT
    return y * _power_of_two(half) * _power_of_two(k - half)


@elementary
def exp32(x):
    """Return exp x: inf from 88.73 on, subnormal below -87.3, 0 below -104."""
    x = np.float32(x)
    x = np.float32(89.0) if x > np.float32(89.0) else (np.float32(-105.0) if x < np.float32(-105.0) else x)
    k, p, q = _reduce(x)
    return _scale(ONE + TWO * p / (q - p), k)


@elementary
def sigmoid32(x):
    """Return 1/(1 + exp(-x)), to full relative accuracy in the left tail as well, where it becomes exp x."""
    x = np.float32(x)
    x = np.float32(20.0) if x > np.float32(20.0) else (np.float32(-105.0) if x < np.float32(-105.0) else x)
    k, p, q = _reduce(x)
    numerator = _scale(q + p, k)
    return numerator / ((q - p) + numerator)


@elementary
def _log_near_one(f, k):
    """Return k ln 2 + log(1 + f), 1 + f in [sqrt(1/2), sqrt 2]."""
    s = f / (TWO + f)
    z = s * s
    h = HALF * f * f
    return k * LN2_HI - ((h - (s * (h + z * (L0 + z * (L1 + z * L2))) + k * LN2_LO)) - f)


@elementary
def log32(x):
    """Return log x: -inf at 0, nan below; right for subnormal x."""
    x = np.float32(x)
    y = x * TWO_25 if x < SMALLEST_NORMAL else x
    offset = OFFSET_SUBNORMAL if x < SMALLEST_NORMAL else OFFSET
    bits = np.uint32(np.float32(y).view(np.uint32) + TO_SQRT_HALF)
    k = np.uint32((bits >> np.uint32(23)) | TWO_23_BITS).view(np.float32) - offset
    m = np.uint32((bits & FRACTION) + SQRT_HALF_BITS).view(np.float32)
    value = _log_near_one(m - ONE, k)
    value = value if x < INF else x
    return value if x > ZERO else (-INF if x == ZERO else NAN)


@elementary
def softplus32(x):
    """Return log(1 + exp x) = max(x, 0) + log(1 + exp(-|x|)): neither overflow nor cancellation."""
    x = np.float32(x)
    y = exp32(-np.abs(x))
    above = y > np.float32(0.41421357)
    return (ZERO if x < ZERO else x) + _log_near_one(HALF * y - HALF if above else y, ONE if above else ZERO)


@elementary
def _sin_of_remainder(r):
    """Return sin r, |r| <= pi/2."""
    z = r * r
    return np.copysign(r + r * (z * (S0 + z * (S1 + z * (S2 + z * S3)))), r)


@elementary
def _negate_if_odd(y, shifted):
    """Return (-1)**n y, given n + SHIFT64."""
    sign = np.int32(np.float64(shifted).view(np.int64)) << np.int32(31)
    return np.int32(np.float32(y).view(np.int32) ^ np.int32(sign)).view(np.float32)


@elementary
def sin32(x):
    """Return sin x = (-1)**n sin(x - n pi) for |x| < 1e14, else nan."""
    x = np.float64(np.float32(x))
    shifted = x * ONE_OVER_PI + SHIFT64
    y = _negate_if_odd(_sin_of_remainder(np.float32(minus_multiple_of_pi(x, shifted - SHIFT64))), shifted)
    return y if np.abs(x) < PHASE_LIMIT else NAN


@elementary
def cos32(x):
    """Return cos x = (-1)**n sin(x - (n - 1/2) pi) for |x| < 1e14, else nan."""
    x = np.float64(np.float32(x))
    shifted = (x * ONE_OVER_PI + 0.5) + SHIFT64
    y = _negate_if_odd(_sin_of_remainder(np.float32(minus_multiple_of_pi(x, (shifted - SHIFT64) - 0.5))), shifted)
    return y if np.abs(x) < PHASE_LIMIT else NAN
