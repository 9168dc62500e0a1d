"""How the numeric cores of the solvers are compiled."""

from __future__ import annotations

import numba

from nodeedu.compile.build import STRICT
from nodeedu.compile.kernels import JIT


def core(function):
    """Compile a function that only compiled code calls, with strict IEEE arithmetic.

    It has no entry from Python and no cache of its own: the driver that it is compiled into is cached. That saves a
    third of the time of a first compilation. ``core.py_func`` is the plain function, for the debugger and for CUDA.
    """
    if not JIT:
        function.py_func = function
        return function
    return numba.njit(function, no_cpython_wrapper=True, no_cfunc_wrapper=True, **STRICT)
