"""Emitted modules, their C functions, and the decorator of numeric cores."""

import ctypes
import gc
import os
import subprocess
import sys

import numpy as np
import pytest

from nodeedu.compile import cache
from nodeedu.compile.build import FLAGS, as_kernel, build, jit, kernel_source
from nodeedu.compile.kernels import JIT, call_f

needs_jit = pytest.mark.skipif(not JIT, reason="NUMBA_DISABLE_JIT=1 makes no machine code")

HEAD = """from numba import carray, njit

from nodeedu.compile.build import FLAGS, c_function


"""
GROWTH = (
    HEAD
    + """@njit(**FLAGS)
def growth(t, z, p, dz, work):
    for row in range(z.shape[0]):
        for i in range(z.shape[1]):
            dz[row, i] = p[0] * z[row, i] + t[row]


"""
)
SIZES = {"D": 2, "Q": 1, "P": 1, "W": 0}
T, Z, RATE = np.array([0.0, 1.0, 2.0]), np.arange(6.0).reshape(3, 2), np.array([2.0])


def growth_source(salt="", dtype="float64"):
    """Return the text of a small emitted module; a salt makes it another module."""
    return GROWTH + kernel_source("f", "growth", SIZES, dtype) + f"\n# {salt}\n"


def growth_kernel(salt=""):
    return as_kernel(build(growth_source(salt), "growth"), "f", "growth", 0)


@jit
def drive(callee, n, t, z, p, dz, work):
    return call_f(callee, n, t, z, p, dz, work)


def run_growth(kernel):
    dz = np.full(Z.shape, np.nan)
    status = drive(kernel.callee, 3, T, Z, RATE, dz, np.zeros(0))
    return status, dz


def run_growth_at(kernel):
    """The same by ctypes, so that a process of its own need not compile `drive`."""
    dz, function = np.full(Z.shape, np.nan), ctypes.CFUNCTYPE(*[ctypes.c_int64] * 7)(kernel.address)
    return function(3, *(each.ctypes.data for each in (T, Z, RATE, dz, np.zeros(0)))), dz


# --- the text of a C function, and what becomes of it ---


def test_kernel_source_gives_each_pointer_its_extents():
    text = kernel_source("vjp", "g", {"D": 3, "Q": 8, "P": 7, "W": 5}, np.float32)
    assert text.splitlines() == [
        '@c_function("vjp", "float32")',
        "def g_c(n, t, z, a, p, dz, t_bar, z_bar, p_bar, work):",
        "    g(carray(t, n), carray(z, (n, 3)), carray(a, (n, 3)), carray(p, 8), carray(dz, (n, 3)), carray(t_bar, n), "
        "carray(z_bar, (n, 3)), carray(p_bar, 7), carray(work, 5))",
        "    return 1",
    ]


def test_times_are_float64_and_all_else_float32_in_a_float32_kernel():
    c = build(growth_source(dtype="float32"), "growth").growth_c
    assert str(c.signature) == "(int64, float64*, float32*, float32*, float32*, float32*) -> int64"


def test_address_and_function_give_the_same_values():
    kernel = growth_kernel()
    status, dz = run_growth(kernel)
    direct = np.full(Z.shape, np.nan)
    kernel.function(T, Z, RATE, direct, np.zeros(0))
    assert status == 1
    np.testing.assert_array_equal(dz, direct)
    np.testing.assert_array_equal(dz, RATE[0] * Z + T[:, None])  # exact: small integers


def test_building_compiles_nothing():
    source = GROWTH.replace("p[0]", "unknown_name") + kernel_source("f", "growth", SIZES, "float64")
    assert "compiled" not in vars(build(source, "growth").growth_c)


@needs_jit
def test_an_exception_inside_a_kernel_returns_zero(monkeypatch):
    raised = []
    monkeypatch.setattr(sys, "unraisablehook", raised.append)  # where CPython reports what C code cannot raise
    source = HEAD + "@njit(**FLAGS)\ndef bad(t, z, p, dz, work):\n    raise ValueError('no')\n\n\n"
    kernel = as_kernel(build(source + kernel_source("f", "bad", SIZES, "float64"), "bad"), "f", "bad", 0)
    assert run_growth(kernel)[0] == 0
    assert raised


@needs_jit
def test_kernel_keeps_its_machine_code_alive(monkeypatch):
    kernel = growth_kernel("alive")
    monkeypatch.delitem(sys.modules, kernel.function.__module__)
    gc.collect()
    assert run_growth(kernel)[0] == 1


# --- modules ---


def test_same_text_gives_the_same_module():
    assert build(growth_source(), "growth") is build(growth_source(), "growth")


def test_module_that_fails_to_run_leaves_nothing_behind():
    before = set(sys.modules)
    with pytest.raises(ZeroDivisionError):
        build("1 / 0", "failing")
    assert set(sys.modules) == before


def test_name_changes_with_the_generator(monkeypatch):
    before = build("x = 1", "same").__file__
    monkeypatch.setattr(cache, "generator_version", lambda: "another")
    assert build("x = 1", "same").__file__ != before


# --- flags ---


def test_jit_keeps_the_arithmetic_of_the_source():
    @jit
    def residual(x, y, z):
        return (x * y - z) + (x + y) - x

    for x, y in np.random.default_rng(0).uniform(size=(100, 2)):
        product = x * y
        assert residual(x, y, product) == (x * y - product) + (x + y) - x  # not zero, had a fused product been used


def test_emitted_code_sees_nan():
    source = HEAD + "@njit(**FLAGS)\ndef is_nan(x):\n    return x != x\n"
    assert build(source, "is_nan").is_nan(float("nan"))
    assert {"nnan", "ninf", "afn"}.isdisjoint(FLAGS["fastmath"])


# --- several processes ---

PROCESS = """
import sys
import numpy as np
sys.path.insert(0, {tests!r})
import test_build
test_build.cache.generator_version = lambda: "the same in all processes, even if a source file is edited meanwhile"
kernel = test_build.growth_kernel()
status, dz = (test_build.run_growth_at if kernel.address else test_build.run_growth)(kernel)
print(status, dz.sum(), kernel.address != 0, kernel.owner.compiled.cache_hits if kernel.address else "")
"""


def start(cache_folder, **environment):
    code = PROCESS.format(tests=os.path.dirname(__file__))
    environment = os.environ | {"NODEEDU_CACHE_DIR": str(cache_folder)} | environment
    return subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True)


@needs_jit
def test_processes_that_build_at_once_agree_and_a_later_one_compiles_nothing(tmp_path):
    together = [start(tmp_path) for _ in range(2)]
    outputs = [process.communicate()[0].split() for process in together]
    assert all(output[:3] == ["1", "36.0", "True"] for output in outputs)  # 2 * (0 + ... + 5) + 2 * (0 + 1 + 2)
    assert start(tmp_path).communicate()[0].split()[-1] == "1"


def test_without_jit_a_kernel_has_its_function_and_no_address(tmp_path):
    output = start(tmp_path, NUMBA_DISABLE_JIT="1").communicate()[0].split()
    assert output == ["1", "36.0", "False"]
