"""The elementary functions as emitted code meets them: names, precisions, vector lanes, plain Python."""

import math
import os
import subprocess
import sys

import numba
import numpy as np
import pytest

from nodeedu.compile import elementary
from nodeedu.compile.build import FLAGS

OWN = ["tanh", "exp", "log", "sin", "cos", "sigmoid", "softplus"]


def test_both_precisions_offer_the_same_names():
    assert elementary.FLOAT64.keys() == elementary.FLOAT32.keys()


@pytest.mark.parametrize("name", elementary.FLOAT64)
def test_every_function_can_be_imported_by_name(name):
    assert getattr(elementary, name + "64") is elementary.FLOAT64[name]
    assert getattr(elementary, name + "32") is elementary.FLOAT32[name]


@pytest.mark.parametrize("name", OWN)
def test_float32_functions_take_a_float64_rounded(name):
    function = elementary.FLOAT32[name]
    assert function(0.7) == function(np.float32(0.7))


@pytest.mark.parametrize(("suffix", "dtype"), [("64", np.float64), ("32", np.float32)])
def test_power_is_nan_for_roots_of_negative_numbers_only(suffix, dtype):
    power = getattr(elementary, "power" + suffix)
    x = [power(-8.0, 0.5), power(-8.0, 3.0), power(2.0, 0.5), power(0.0, -1.0)]
    np.testing.assert_array_equal(x, [np.nan, -512.0, dtype(math.sqrt(2)), np.inf])


@pytest.mark.jit
@pytest.mark.parametrize("name", ["tanh", "log", "sin"])
@pytest.mark.parametrize(("suffix", "vector"), [("64", "x double>"), ("32", "x float>")])
def test_a_loop_runs_in_vector_lanes(name, suffix, vector):
    function = getattr(elementary, name + suffix)

    @numba.njit(**FLAGS)
    def loop(x, out):
        for i in range(x.size):
            out[i] = function(x[i])

    dtype = getattr(numba, "float" + suffix)
    loop.compile((dtype[::1], dtype[::1]))
    code = loop.inspect_llvm(loop.signatures[0])
    assert any("fdiv" in line or "fmul" in line for line in code.splitlines() if vector in line)


PLAIN_PYTHON = """
import warnings
warnings.simplefilter("error")
import numpy as np
from nodeedu.compile import elementary
assert not hasattr(elementary.tanh64, "py_func"), "this must be plain Python"
for functions, dtype in (elementary.FLOAT64, np.float64), (elementary.FLOAT32, np.float32):
    for name in NAMES:
        for x in POINTS:
            value = functions[name](dtype(float(x)))
            assert type(value) is dtype, (name, x, type(value))
            print(value)
"""


def test_plain_python_gives_the_same_without_warnings():
    x = ["0.3", "0.0", "-0.0", "1e-310", "1.0", "-1.0", "30.0", "800.0", "-800.0", "inf", "-inf", "nan", "-nan"]
    run = subprocess.run(
        [sys.executable, "-c", PLAIN_PYTHON.replace("NAMES", repr(OWN)).replace("POINTS", repr(x))],
        env=os.environ | {"NUMBA_DISABLE_JIT": "1"}, capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    plain = iter(run.stdout.splitlines())
    for functions, dtype in (elementary.FLOAT64, np.float64), (elementary.FLOAT32, np.float32):
        for name in OWN:
            jitted = [functions[name](dtype(each)) for each in x]
            # Four units: one of the two may fuse multiply-adds.
            bound = 4 * np.finfo(dtype).eps
            np.testing.assert_allclose([dtype(next(plain)) for _ in x], jitted, rtol=bound, atol=bound)
