"""`backsolve` with the integral for theta in the state, and so in the error norm, as torchdiffeq does by default.

    y = (z, a, w),     z' = f,     a' = -a f_z,     w' = -a f_theta,     dL/dtheta = w(t0)

A step is judged by the largest root mean square among z, a and every leaf of w (`default_adjoint_norm` of torchdiffeq's
adjoint.py); the seminorm of Kidger, Chen & Lyons (arXiv 2009.09457) leaves w out. As w does not act back on z and a,
what it adds is steps, and the gradient for theta at a tolerance of its own. Every sample carries its own w: this is for
comparison, and costs B P numbers.

To the solver it is a field of 2 D + P components, made of the field's VJP. Its C function is the same for all fields,
as those of lookup.py; the norm is compiled once for each set of sizes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numba import carray

from nodeedu.autodiff import structure
from nodeedu.compile.build import build, jit
from nodeedu.compile.kernels import DONE, JIT, Kernel, call_vjp
from nodeedu.sensitivity.lookup import pointer_to, words_of
from nodeedu.solvers.arguments import Options
from nodeedu.solvers.core import core
from nodeedu.solvers.runge_kutta import as_method
from nodeedu.solvers.solution import Solution
from nodeedu.solvers.solve import require_success, run
from nodeedu.solvers.systems import FIELD, Problem

Array = np.ndarray
Go = Callable[[Array, Array, Array, Any], tuple[Array, Array, Array]]

VJP, SIZE, PARAMETERS, P = range(4)  # words of the header
WORDS = 8  # of the dtype of the state: enough for 4 words of 8 bytes

_SLOPES = '''"""The C function of a field's adjoint system: a header of addresses stands for the parameters."""

from nodeedu.compile.build import c_function
from nodeedu.sensitivity.full_norm import slopes_at


@c_function("f", "{real}")
def slopes_c(n, t, y, header, dy, work):
    return slopes_at(n, t, y, header, dy, work)
'''
_NORM = '''"""The norm of an adjoint system: the largest root mean square of a part."""

import numpy as np
from numba import carray

from nodeedu.compile.build import c_function
from nodeedu.sensitivity.full_norm import largest_part

ENDS = np.array({ends})


@c_function("f", "{real}")
def norm_c(n, t, x, p, result, work):
    carray(result, 1)[0] = largest_part(carray(x, {size}), ENDS)
    return 1
'''


def in_full_norm(solution: Solution) -> tuple[Go, Array]:
    """Return what goes back over an interval, (ts, z, a, first_step) -> (z, a, samples), and w (B, P), which it fills.

    ts is (1, 2) or (B, 2), z and a (B, D); it raises SolverError if a solve fails.
    """
    inputs, options, dtype = solution._inputs, solution._options, solution._inputs.z0.dtype
    vjp, method = inputs.field.kernel("vjp", dtype), as_method(options.tableau, dtype, False)
    size, w = inputs.field.size, np.zeros((len(inputs.z0), inputs.field.n_params), dtype)
    options = _widened(options, size, inputs.field, dtype.name)
    if JIT:
        words = np.zeros(WORDS, np.int64)
        words[: P + 1] = vjp.address, size, w.shape[1], inputs.p.__array_interface__["data"][0]
        callee, header = _slopes(dtype.name).address, words.view(dtype)[:WORDS].copy()
    else:
        callee, header = partial(_python_slopes, vjp.function, size), inputs.p
    problem = Problem(FIELD, callee, header, np.empty((0, 0), dtype), np.empty(1 + vjp.work_size, dtype))

    def go(ts: Array, z: Array, a: Array, first_step: Any) -> tuple[Array, Array, Array]:
        y = np.hstack([z, a, w])[None]
        outputs, samples, _ = run(problem, method, options, ts, y, True, first_step)
        require_success(samples, options, inputs.batched, "backsolve: ")
        w[...] = outputs[-1, 0, :, 2 * size :]
        return outputs[-1, 0, :, :size], outputs[-1, 0, :, size : 2 * size], samples

    return go, w


def _widened(options: Options, size: int, field: Any, real: str) -> Options:
    """Return the options for 2 D + P components: the tolerance of w is the least of those of a state."""
    atol = options.atol
    if isinstance(atol, np.ndarray):
        atol = np.concatenate([atol, atol, np.full(field.n_params, atol.min())])
    if options.norm != "rms":
        return replace(options, atol=atol)
    leaves = [np.size(leaf) for leaf in structure.leaves(field.unpack(np.zeros(field.n_params)))]
    ends = np.cumsum([size, size, *(leaf for leaf in leaves if leaf)])
    return replace(options, atol=atol, norm=_norm(tuple(ends.tolist()), real))


# ---------------------------------------------------------------- what is compiled


@core
def slopes(n, callee, size, t, y, p, dy, work):
    """Evaluate the slopes of rows (n, 2 D + P) one by one: each has its own integral for theta."""
    for b in range(n):
        dz, da, dw = dy[b : b + 1, :size], dy[b : b + 1, size : 2 * size], dy[b, 2 * size :]
        for i in range(dw.shape[0]):
            dw[i] = 0.0
        done = call_vjp(
            callee, 1, t[b : b + 1], y[b : b + 1, :size], y[b : b + 1, size : 2 * size], p, dz, work[:1], da, dw,
            work[1:],
        )  # fmt: skip
        for i in range(size, dy.shape[1]):
            dy[b, i] = -dy[b, i]
        if done != DONE:
            return done
    return DONE


@jit
def slopes_at(n, t, y, header, dy, work):
    """Call `slopes` with what the pointers point to."""
    words = carray(words_of(header), P + 1)
    shape = (n, 2 * words[SIZE] + words[PARAMETERS])
    return slopes(
        n, words[VJP], words[SIZE], carray(t, n), carray(y, shape), carray(pointer_to(words[P], header), 1),
        carray(dy, shape), carray(work, 2),
    )  # fmt: skip


@core
def largest_part(x, ends):
    """Return the largest root mean square among the parts of x, which end at ends; nan is larger than all others."""
    worst, start = 0.0, 0
    for j in range(ends.shape[0]):
        total = 0.0
        for i in range(start, ends[j]):
            value = float(x[i])  # the square of a float32 may overflow
            total += value * value
        norm = math.sqrt(total / (ends[j] - start))
        worst = norm if norm > worst or norm != norm else worst
        start = ends[j]
    return worst


@lru_cache
def _slopes(real: str) -> Any:
    return build(_SLOPES.format(real=real), f"adjoint_slopes_{real}").slopes_c


@lru_cache
def _norm(ends: tuple[int, ...], real: str) -> Kernel:
    def function(t, x, p, result, work):
        result[0] = largest_part(x[0], np.array(ends))

    if not JIT:
        return Kernel("f", function, 0, 0)
    c = build(_NORM.format(real=real, ends=list(ends), size=ends[-1]), f"adjoint_norm_{real}").norm_c
    return Kernel("f", function, c.address, 0, owner=c)


def _python_slopes(function, size, t, y, p, dy, work):
    slopes(len(t), function, size, t, y, p, dy, work)
