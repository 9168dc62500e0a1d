"""How the numeric cores of the solvers and their drivers are compiled, with or without numba."""

from __future__ import annotations

import numba
import numpy as np

from nodeedu.compile.build import STRICT, jit
from nodeedu.compile.kernels import JIT


def core(function):
    """Compile a function that only compiled code calls, with strict IEEE arithmetic.

    It has no entry from Python and no cache of its own: the driver that it is compiled into is cached. That saves a
    third of the time of a first compilation. ``core.py_func`` is the plain function, for tests and for CUDA.

    Cores allocate nothing, so numba need not count references (``_nrt=False``): counting took a third of the time of a
    small reverse sweep. Whoever calls a driver holds its arrays.
    """
    if not JIT:
        function.py_func = function
        return function
    return numba.njit(function, no_cpython_wrapper=True, no_cfunc_wrapper=True, _nrt=False, **STRICT)


def with_attributes(array):
    """Let cores read the fields of records as attributes: numba gives them to any array, NumPy to a recarray only."""
    return array if JIT else array.view(np.recarray)


def driver(function):
    """Compile a function that Python calls; without numba it is as silent about overflow as machine code."""
    return jit(_nrt=False)(function) if JIT else np.errstate(all="ignore")(function)
