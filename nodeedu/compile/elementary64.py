r"""Elementary functions of one float64, without a branch, so that LLVM runs a loop over them in vector lanes.

Three ideas carry all of them.

**Round by adding.** The doubles in [2**52, 2**53) are the integers there. Adding `SHIFT` = 1.5 * 2**52 to a number
below 2**51 in magnitude therefore rounds it to the nearest integer n; subtracting it again leaves n as a double; and
the low bits of the sum are those of n in two's complement. Neither a branch nor a conversion is needed, but the two
operations must stay as they are written: `reassoc` would cancel them.

**Reduce with a constant in parts** (Cody and Waite, *Software Manual for the Elementary Functions*, 1980). x - k ln 2
is taken as (x - k HI) - k LO, where HI = ln 2 rounded to 32 bits: k HI and the first difference are exact, with and
without a fused multiply-add.

**One rational approximation for exp, tanh and the sigmoid.** With x = k ln 2 + 2u, |u| <= ln(2)/4, and tanh u = p/q,

    exp x       = 2**k exp(2u) = 2**k (q + p)/(q - p)           since tanh u = (exp 2u - 1)/(exp 2u + 1)
    sigmoid x   = exp x/(1 + exp x) = 2**k (q + p)/((q - p) + 2**k (q + p))
    tanh(x/2)   = tanh(u + k ln(2)/2) = ((s + 1) p + (s - 1) q)/((s + 1) q + (s - 1) p),   s = 2**k,

the last by the addition theorem with tanh(k ln(2)/2) = (s - 1)/(s + 1): one division, no table, and for small x (k = 0,
s = 1) exactly p/q, so that nothing cancels.

All coefficients are minimax in the relative error, computed for this file by Remez's exchange algorithm with 50 digits;
the attained error stands beside them. The error of the functions is listed in `nodeedu.compile.elementary`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nodeedu.compile.build import jit
from nodeedu.compile.kernels import JIT


def elementary(function: Callable[..., Any]) -> Any:
    """Compile an elementary function: multiply-adds may be fused, all else stays as it is written.

    Not `reassoc`, which would cancel the rounding (a caller may have it: LLVM's flags belong to each operation, and
    LLVM inlines; numba's own ``inline="always"`` would give these operations the caller's flags). Not `nsz`, which
    would lose the sign of -0. As plain Python the function stays as silent about overflow and nan as compiled code is.
    """
    return jit(fastmath={"contract"})(function) if JIT else np.errstate(all="ignore")(function)


INF, NAN = np.float64(np.inf), np.float64(np.nan)  # so that plain Python returns NumPy numbers too

SHIFT = 1.5 * 2.0**52
EXPONENT, BIAS = np.int64(52), np.int64(1023)  # a double's exponent field: where it begins, what stands for 2**0

LOG2_E = 1.4426950408889634
LN2_HI = 0.6931471806019545  # ln 2 to 32 bits
LN2_LO = -4.2009150726810846e-11  # ln 2 - LN2_HI

# tanh u = u (1 + P1 z + P2 z**2)/(1 + Q1 z + Q2 z**2), z = u**2, |u| <= ln(2)/4: relative error 5.4e-18
P1, P2 = 0.11109938058034083, 0.001057419585888653
Q1, Q2 = 0.4444327139136684, 0.015868324225642324

# 2 artanh(s) = 2 s + s z L(z), z = s**2, |s| <= (sqrt 2 - 1)/(sqrt 2 + 1): relative error 1.3e-18
L0, L1, L2, L3 = 0.6666666666666735, 0.39999999999409175, 0.2857142874377175, 0.22222198415740152
L4, L5, L6 = 0.18183573266103328, 0.15313803389356176, 0.14798599068299828

# sin r = r + r z S(z), z = r**2, |r| <= pi/2: relative error 2.8e-19
S0, S1, S2, S3 = -0.16666666666666666, 0.008333333333333194, -0.00019841269841209145, 2.7557319211124277e-06
S4, S5, S6, S7 = -2.5052106871580696e-08, 1.6058939642993682e-10, -7.642989815066553e-13, 2.7211569580956905e-15

# pi in four parts of 26 bits and a rest: the product of a part and an integer of 27 bits is exact. The parts are
# rounded down, since a negative one would make x - 0 * part = +0 of x = -0.
PI_A, PI_B, PI_C = 3.1415926218032837, 3.1786509424591713e-08, 1.2246467864107189e-16
PI_D, PI_E = 1.2736634110450565e-24, 2.165713347843828e-32
ONE_OVER_PI = 0.3183098861837907
SPLIT = 2.0**26 * SHIFT  # adding it rounds to a multiple of 2**26
PHASE_LIMIT = 1e14  # neighbouring doubles are 1/64 apart there; beyond, sin and cos are nan

# Splitting x = 2**k m with sqrt(1/2) <= m < sqrt 2: adding the difference of the bits of 1 and of sqrt(1/2) to those of
# x carries into the exponent field exactly where m would be sqrt 2 or more.
SQRT_HALF_BITS = np.uint64(0x3FE6A09E667F3BCD)
TO_SQRT_HALF = np.uint64(0x3FF0000000000000 - 0x3FE6A09E667F3BCD)
FRACTION = np.uint64(2**52 - 1)
TWO_52_BITS = np.uint64(0x4330000000000000)  # of 2**52: an integer below 2**52 put into its low bits is added to it
SMALLEST_NORMAL = 2.0**-1022


@elementary
def _power_of_two(k):
    """Return 2**k for an integer k in [-1022, 1023]: its low bits, plus the bias, moved into the exponent field."""
    return np.int64((np.float64(k + SHIFT).view(np.int64) + BIAS) << EXPONENT).view(np.float64)


@elementary
def _reduce(x):
    """Return (k, p, q) with x = k ln 2 + 2u, k an integer, and tanh u = p/q."""
    k = (x * LOG2_E + SHIFT) - SHIFT
    u = 0.5 * ((x - k * LN2_HI) - k * LN2_LO)
    z = u * u
    return k, u * (1.0 + z * (P1 + z * P2)), 1.0 + z * (Q1 + z * Q2)


@elementary
def tanh64(x):
    """Return tanh x; exact oddness, |tanh x| <= 1, and tanh x = x for tiny x, -0 included."""
    y = 2.0 * x
    y = 44.0 if y > 44.0 else (-44.0 if y < -44.0 else y)  # tanh 22 rounds to 1; nan passes through
    k, p, q = _reduce(y)
    s = _power_of_two(k)
    return np.copysign(((s + 1.0) * p + (s - 1.0) * q) / ((s + 1.0) * q + (s - 1.0) * p), x)


@elementary
def _scale(y, k):
    """Return 2**k y in two steps, so that the result may overflow to inf or become subnormal."""
    half = (0.5 * k + SHIFT) - SHIFT
    return y * _power_of_two(half) * _power_of_two(k - half)


@elementary
def exp64(x):
    """Return exp x: inf from 709.79 on, subnormal below -708.4, 0 below -745.2."""
    x = 710.0 if x > 710.0 else (-746.0 if x < -746.0 else x)
    k, p, q = _reduce(x)
    return _scale(1.0 + 2.0 * p / (q - p), k)  # (q + p)/(q - p) would round once more


@elementary
def sigmoid64(x):
    """Return 1/(1 + exp(-x)), to full relative accuracy in the left tail as well, where it becomes exp x."""
    x = 40.0 if x > 40.0 else (-746.0 if x < -746.0 else x)  # sigmoid 40 rounds to 1
    k, p, q = _reduce(x)
    numerator = _scale(q + p, k)
    return numerator / ((q - p) + numerator)


@elementary
def _log_near_one(f, k):
    """Return k ln 2 + log(1 + f), 1 + f in [sqrt(1/2), sqrt 2]: log(1 + f) = 2 artanh(s), s = f/(2 + f).

    As 2s = f - s f and s f = f**2/2 - s f**2/2, log(1 + f) = f - (f**2/2 - s (f**2/2 + z L(z))): the leading term f is
    exact (the arrangement of FreeBSD's msun, e_log.c).
    """
    s = f / (2.0 + f)
    z = s * s
    rest = z * (L0 + z * (L1 + z * (L2 + z * (L3 + z * (L4 + z * (L5 + z * L6))))))
    h = 0.5 * f * f
    return k * LN2_HI - ((h - (s * (h + rest) + k * LN2_LO)) - f)


@elementary
def log64(x):
    """Return log x: -inf at 0, nan below; right for subnormal x."""
    y = x * 2.0**54 if x < SMALLEST_NORMAL else x
    offset = 2.0**52 + (1023.0 + 54.0 if x < SMALLEST_NORMAL else 1023.0)
    bits = np.uint64(np.float64(y).view(np.uint64) + TO_SQRT_HALF)
    k = np.uint64((bits >> np.uint64(52)) | TWO_52_BITS).view(np.float64) - offset
    m = np.uint64((bits & FRACTION) + SQRT_HALF_BITS).view(np.float64)
    value = _log_near_one(m - 1.0, k)
    value = value if x < INF else x  # inf and nan
    return value if x > 0.0 else (-INF if x == 0.0 else NAN)


@elementary
def softplus64(x):
    """Return log(1 + exp x) = max(x, 0) + log(1 + exp(-|x|)): neither overflow nor cancellation."""
    y = exp64(-np.abs(x))
    above = y > 0.41421356237309503  # 1 + y > sqrt 2: take log(1 + y) = ln 2 + log(1 + (y - 1)/2)
    return (0.0 if x < 0.0 else x) + _log_near_one(0.5 * y - 0.5 if above else y, 1.0 if above else 0.0)


@elementary
def minus_multiple_of_pi(x, n):
    """Return x - n pi, |x - n pi| <= pi/2, n an integer or half an integer, |n| < 2**49.

    n is split in two of 26 bits, so that each product with a part of pi is exact, and so are the differences as long as
    they cancel: the result is right to the last bits next to 0 too.
    """
    high = (n + SPLIT) - SPLIT
    low = n - high
    r = (x - high * PI_A) - low * PI_A
    r = (r - high * PI_B) - low * PI_B
    r = (r - high * PI_C) - low * PI_C
    r = (r - high * PI_D) - low * PI_D
    return r - n * PI_E


@elementary
def _sin_of_remainder(r):
    """Return sin r, |r| <= pi/2."""
    z = r * r
    series = S0 + z * (S1 + z * (S2 + z * (S3 + z * (S4 + z * (S5 + z * (S6 + z * S7))))))
    return np.copysign(r + r * (z * series), r)  # the sum loses the sign of r = -0


@elementary
def _negate_if_odd(y, shifted):
    """Return (-1)**n y, given n + SHIFT: the lowest bit of n is moved to the place of the sign."""
    sign = np.float64(shifted).view(np.int64) << np.int64(63)
    return np.int64(np.float64(y).view(np.int64) ^ sign).view(np.float64)


@elementary
def sin64(x):
    """Return sin x = (-1)**n sin(x - n pi) for |x| < 1e14, else nan: no branch to libm without losing the lanes."""
    shifted = x * ONE_OVER_PI + SHIFT
    y = _negate_if_odd(_sin_of_remainder(minus_multiple_of_pi(x, shifted - SHIFT)), shifted)
    return y if np.abs(x) < PHASE_LIMIT else NAN


@elementary
def cos64(x):
    """Return cos x = (-1)**n sin(x - (n - 1/2) pi) for |x| < 1e14, else nan."""
    shifted = (x * ONE_OVER_PI + 0.5) + SHIFT
    y = _negate_if_odd(_sin_of_remainder(minus_multiple_of_pi(x, (shifted - SHIFT) - 0.5)), shifted)
    return y if np.abs(x) < PHASE_LIMIT else NAN
