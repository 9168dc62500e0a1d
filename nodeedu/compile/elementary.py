"""Elementary functions of numbers for emitted code, by name and precision: ``tanh64``, ``tanh32``, ...

A call of libm inside a loop keeps LLVM from running the loop in vector lanes. The functions in the upper part of the
table have no branch and no call; they are derived in `elementary64`. The lower part is NumPy's, which numba turns into
vector instructions (from `sqrt` on) or calls of libm.

Largest error in units in the last place of the result (ulp): against 60 digits at thousands of points (the special ones
and the edges of the reductions among them) and against extended precision (for float32: double) at more than ten
million random ones each; for subnormal results half a unit more. Time in ns for a number of an array of 4096 (normal,
standard deviation 2), in a loop compiled with `build.FLAGS`, on one core with AVX-512 (AMD Zen 4; numba 0.68, NumPy
2.4): ours, libm's in the same loop, NumPy's on the whole array.

              |      float64                    |      float32
              | ulp        ours  libm   NumPy   | ulp    ours  libm   NumPy
    tanh      | 3.5        0.8   9.9    1.8     | 3.3    0.4   11.4   0.5
    exp       | 1.7        0.8   4.2    0.9     | 1.8    0.4    2.3   0.6
    log       | 0.9        0.9   3.5    0.9     | 0.9    0.4    2.6   0.5
    sin, cos  | 1.9 (a)    0.9   8.5    8.4     | 1.9    0.7    2.8   0.6
    sigmoid   | 2.7        0.8   4.5    1.9     | 2.7    0.4    2.8   1.2
    softplus  | 2.1        1.8   9.6    3.4     | 2.2    0.8    9.5   2.1
    ----------|---------------------------------|--------------------------
    tan       |                  9.4    1.6     |              10.3   0.5
    sinh      |                 10.6    1.3     |              12.2   0.4
    cosh      |                  6.0    1.2     |               5.5   0.4
    arctan    |                  8.2    1.3     |               5.3   0.5
    power     |                 11.2    2.6     |               4.6   0.9
    sqrt      |                  0.6    1.2     |               0.2   0.5
    abs, sign, maximum, minimum, relu: 0.2      |               0.1

    (a) up to 1e6 in magnitude; 3.2 up to 1e14; nan beyond, where neighbouring numbers lie 1/64 and more apart. libm
    would go on, but a call of it for rare arguments costs every loop its lanes (4 to 11 ns a number).

Without fused multiply-adds (plain Python, old processors) tanh errs by up to 4.3 ulp, sin and cos by 2.2; with AVX2 in
place of AVX-512 the functions take 1.4 to 1.8 times as long. nan gives nan, and infinities and zeros give what NumPy
gives, with the sign of zero.
"""

from __future__ import annotations

import numpy as np

from nodeedu.compile.elementary32 import cos32, exp32, log32, sigmoid32, sin32, softplus32, tanh32
from nodeedu.compile.elementary64 import cos64, elementary, exp64, log64, sigmoid64, sin64, softplus64, tanh64

abs64 = abs32 = np.abs
arctan64 = arctan32 = np.arctan
cosh64 = cosh32 = np.cosh
maximum64 = maximum32 = np.maximum
minimum64 = minimum32 = np.minimum
sign64 = sign32 = np.sign
sinh64 = sinh32 = np.sinh
sqrt64 = sqrt32 = np.sqrt
tan64 = tan32 = np.tan


@elementary
def power64(x, y):
    """Return x**y, y any float: nan for x < 0 unless y is an integer."""
    return np.power(np.float64(x), np.float64(y))


@elementary
def power32(x, y):
    """Return x**y, y any float: nan for x < 0 unless y is an integer."""
    return np.power(np.float32(x), np.float32(y))


@elementary
def relu64(x):
    """Return max(x, 0)."""
    return np.maximum(x, 0.0)


@elementary
def relu32(x):
    """Return max(x, 0)."""
    return np.maximum(np.float32(x), np.float32(0.0))


FLOAT64 = {
    "abs": abs64, "arctan": arctan64, "cos": cos64, "cosh": cosh64, "exp": exp64, "log": log64,
    "maximum": maximum64, "minimum": minimum64, "power": power64, "relu": relu64, "sigmoid": sigmoid64,
    "sign": sign64, "sin": sin64, "sinh": sinh64, "softplus": softplus64, "sqrt": sqrt64, "tan": tan64,
    "tanh": tanh64,
}  # fmt: skip

FLOAT32 = {
    "abs": abs32, "arctan": arctan32, "cos": cos32, "cosh": cosh32, "exp": exp32, "log": log32,
    "maximum": maximum32, "minimum": minimum32, "power": power32, "relu": relu32, "sigmoid": sigmoid32,
    "sign": sign32, "sin": sin32, "sinh": sinh32, "softplus": softplus32, "sqrt": sqrt32, "tan": tan32,
    "tanh": tanh32,
}  # fmt: skip
