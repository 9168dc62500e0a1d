"""Kernels that look the state up: derivatives of a field along a solution that is known.

The drivers of solvers/ solve for z and a together (system ADJOINT). Where z is known already, as dense output of the
forward solve, it need not be solved for. In its place the driver is given the number of the sample, as a state that
stays what it is. That number travels with the lane, and tells the kernels here which solution to read:

    z(t + theta h) = sum_j theta^j c_j,      c_0 = z(t),      c_j = h sum_q P_qj k_q    (dense_output.py).

So the drivers are compiled for nothing new; the C functions below are the same for all fields.
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np
from numba import carray, types
from numba.extending import intrinsic

from nodeedu.compile.build import build, jit
from nodeedu.compile.kernels import DONE, JIT, call_vjp_theta, call_vjp_z
from nodeedu.solvers.arguments import Inputs, Options
from nodeedu.solvers.core import core
from nodeedu.solvers.dense_output import find_steps
from nodeedu.solvers.solution import Solution
from nodeedu.solvers.solve import solve

Array = np.ndarray

TILE = 32  # rows looked up at a time: kernels that multiply matrices work on tiles of as many
VJP_Z, VJP_THETA, SIZE, POWERS, SWAPPED, P, FIRST, T, H, C = range(10)  # words of the header
WORDS = 20  # of the dtype of the state: enough for 10 words of 8 bytes


class Path(NamedTuple):
    """Dense output of all samples: R steps, those of one sample one after the other."""

    first: Array  # (B + 1,) int64, the row of each sample's first step
    t: Array  # (R,) where steps begin
    h: Array  # (R,) signed sizes
    c: Array  # (R, 1 + m, D)

    @property
    def stored_states(self) -> int:
        """How many states and slopes of D numbers are kept."""
        return self.c.shape[0] * self.c.shape[1]


def make_path(records: Any, interpolant: Array, samples: int) -> Path:
    """Sort recorded steps by sample and expand their slopes in powers of theta; interpolant is P (s, m)."""
    count = records.count[0]
    steps, rows, first = records.steps[:count], records.rows[:count], np.array([0, count])
    if samples > 1:
        number = steps["sample"]
        order = number.argsort(kind="stable")
        steps, rows = steps[order], rows[order]
        first = np.append(0, np.bincount(number, minlength=samples).cumsum())
    t, h = np.array(steps["t"]), np.array(steps["h"])
    c = np.empty((count, 1 + interpolant.shape[1], rows.shape[2]), rows.dtype)
    c[:, 0] = rows[:, 0]
    np.multiply(h[:, None, None], interpolant.T.astype(rows.dtype) @ rows[:, 1:], out=c[:, 1:], casting="same_kind")
    return Path(first, t, h, c)


@core
def states_at(n, t, samples, path, z):
    """Write the states at times t (n,) to z (n, D); row b is of the sample samples[b, 0]."""
    for b in range(n):
        sample = int(samples[b, 0])
        low, high = path.first[sample], path.first[sample + 1] - 1
        direction = path.h[low]
        while low < high:  # the last step that begins before t
            middle = (low + high + 1) // 2
            if (t[b] - path.t[middle]) * direction >= 0.0:
                low = middle
            else:
                high = middle - 1
        theta = (t[b] - path.t[low]) / path.h[low]
        for i in range(z.shape[1]):
            total = path.c[low, path.c.shape[1] - 1, i]
            for j in range(path.c.shape[1] - 2, -1, -1):
                total = total * theta + path.c[low, j, i]
            z[b, i] = total


@core
def adjoint_slopes(n, callee, path, swapped, t, one, two, p, d_one, d_two, work):
    """Evaluate ``a f_z`` along the path for rows (n, D) of sample numbers and of a, and slopes 0 of the numbers.

    If swapped, a comes first, and its slopes are ``-a f_z``: the driver changes signs in the second block only.
    """
    size = path.c.shape[2]
    scratch, rest = work[: TILE * size].reshape(TILE, size), work[TILE * size :]
    for first in range(0, n, TILE):
        stop = min(first + TILE, n)
        rows = stop - first
        samples, a = (two[first:stop], one[first:stop]) if swapped else (one[first:stop], two[first:stop])
        still, slopes = (d_two[first:stop], d_one[first:stop]) if swapped else (d_one[first:stop], d_two[first:stop])
        states_at(rows, t[first:stop], samples, path, scratch)
        call_vjp_z(callee, rows, t[first:stop], scratch, a, p, still, slopes, rest)
        for b in range(rows):
            for i in range(size):
                still[b, i] = 0.0
                if swapped:
                    slopes[b, i] = -slopes[b, i]
    return DONE


@core
def parameter_slopes(n, callee, path, t, samples, a, p, p_bar, work):
    """Add ``a f_theta`` along the path to p_bar, for rows (n, D) of sample numbers and of a."""
    size = path.c.shape[2]
    scratch, rest = work[: TILE * size].reshape(TILE, size), work[TILE * size :]
    for first in range(0, n, TILE):
        stop = min(first + TILE, n)
        states_at(stop - first, t[first:stop], samples[first:stop], path, scratch)
        call_vjp_theta(callee, stop - first, t[first:stop], scratch, a[first:stop], p, p_bar, rest)
    return DONE


# ---------------------------------------------------------------- as C functions

_MODULE = '''"""The C function of {name}: a driver's pointers, with a header of addresses as parameters."""

from nodeedu.compile.build import c_function
from nodeedu.sensitivity.lookup import {name}


@c_function("{kind}", "{real}")
def {name}_c(n, {arguments}):
    return {name}(n, {arguments})
'''
_ARGUMENTS = {
    "vjp_z": ("adjoint_slopes_at", "t, one, two, p, d_one, d_two, work"),
    "vjp_theta": ("parameter_slopes_at", "t, samples, a, p, p_bar, work"),
}


@intrinsic
def pointer_to(typing_context, address, like):
    """Return an address as a pointer of another pointer's type."""

    def generate(context, builder, signature, args):
        return builder.inttoptr(args[0], context.get_value_type(signature.return_type))

    return like(types.int64, like), generate


@intrinsic
def words_of(typing_context, header):
    """Return a pointer to real numbers as one to int64."""

    def generate(context, builder, signature, args):
        return builder.bitcast(args[0], context.get_value_type(signature.return_type))

    return types.CPointer(types.int64)(header), generate


@jit
def adjoint_slopes_at(n, t, one, two, header, d_one, d_two, work):
    """Call `adjoint_slopes` with what the pointers point to."""
    words = carray(words_of(header), C + 1)
    size = words[SIZE]
    shape = (n, size)
    return adjoint_slopes(
        n, words[VJP_Z], path_at(words, t, header), words[SWAPPED] != 0, carray(t, n), carray(one, shape),
        carray(two, shape), carray(pointer_to(words[P], header), 1), carray(d_one, shape), carray(d_two, shape),
        carray(work, TILE * size + 1),
    )  # fmt: skip


@jit
def parameter_slopes_at(n, t, samples, a, header, p_bar, work):
    """Call `parameter_slopes` with what the pointers point to."""
    words = carray(words_of(header), C + 1)
    size = words[SIZE]
    shape = (n, size)
    return parameter_slopes(
        n, words[VJP_THETA], path_at(words, t, header), carray(t, n), carray(samples, shape), carray(a, shape),
        carray(pointer_to(words[P], header), 1), carray(p_bar, 1), carray(work, TILE * size + 1),
    )  # fmt: skip


@jit
def path_at(words, t, real):
    """Return the path that a header describes; t and real are pointers of the types of times and of states."""
    first = carray(pointer_to(words[FIRST], words_of(real)), 2)  # longer, as are all, but nothing asks how long
    c = carray(pointer_to(words[C], real), (1, 1 + words[POWERS], words[SIZE]))
    return Path(first, carray(pointer_to(words[T], t), 1), carray(pointer_to(words[H], t), 1), c)


class Lookup(NamedTuple):
    """The derivatives of a field along a path, as the driver wants them."""

    vjp_z: Any
    vjp_theta: Any
    p: Array  # in place of the parameters: a header of addresses
    work_size: int
    owner: Any  # must stay alive as long as the callees are called


def look_up(field: Any, path: Path, p: Array, swapped: bool = False) -> Lookup:
    """Return the kernels "vjp_z" and "vjp_theta" as kernels that look their states up; see `adjoint_slopes`."""
    kernels = [field.kernel(kind, p.dtype) for kind in _ARGUMENTS]
    size = path.c.shape[2]
    work_size = TILE * size + max(kernel.work_size for kernel in kernels)
    if not JIT:
        vjp_z = partial(_python_vjp_z, kernels[0].function, path, swapped)
        return Lookup(vjp_z, partial(_python_vjp_theta, kernels[1].function, path), p, work_size, None)
    words = np.zeros(WORDS, np.int64)
    words[: C + 1] = (
        *(kernel.address for kernel in kernels), size, path.c.shape[1] - 1, swapped,
        *(each.__array_interface__["data"][0] for each in (p, *path)),
    )  # fmt: skip
    functions = [_c_function(kind, p.itemsize) for kind in _ARGUMENTS]
    header = words.view(p.dtype)[:WORDS].copy()
    return Lookup(*(c.address for c in functions), header, work_size, (kernels, path, p, functions))


@lru_cache
def _c_function(kind: str, itemsize: int) -> Any:
    """Return the C function of a kind; one serves all fields."""
    real = "float64" if itemsize == 8 else "float32"
    name, arguments = _ARGUMENTS[kind]
    source = _MODULE.format(name=name, kind=kind, real=real, arguments=arguments)
    return getattr(build(source, f"{name}_{real}"), name + "_c")


def _python_vjp_z(function, path, swapped, t, one, two, p, d_one, d_two, work):
    adjoint_slopes(len(t), function, path, swapped, t, one, two, p, d_one, d_two, work)


def _python_vjp_theta(function, path, t, samples, a, p, p_bar, work):
    parameter_slopes(len(t), function, path, t, samples, a, p, p_bar, work)


def with_path(solution: Solution | None, inputs: Inputs, options: Options) -> Solution:
    """Return a solve that has kept its steps and has dense output: the one given, if it has."""
    if solution is not None and solution._records is not None and solution._method.interpolant.shape[1] > 0:
        return solution
    return solve(inputs, options, record=True, dense=True)


def solved(solution: Solution) -> Path:
    """Return the path of a solution that was recorded with its dense output."""
    return make_path(solution._records, solution._method.interpolant, len(solution._inputs.z0))


def states_of(path: Path, sample: int, times: Array) -> Array:
    """Return the states of one sample at any times (n,), as (n, D)."""
    z = np.empty((len(times), path.c.shape[2]), path.c.dtype)
    own = slice(path.first[sample], path.first[sample + 1])
    t, h, c = path.t[own], path.h[own], path.c[own]
    i = find_steps(times, t, h[0])
    theta = ((times - t[i]) / h[i])[:, None]
    z[:] = c[i, -1]
    for j in range(c.shape[1] - 2, -1, -1):
        z[:] = z * theta + c[i, j]
    return z
