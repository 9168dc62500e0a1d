"""One step of an explicit Runge-Kutta method: the cores that the CPU driver and the CUDA kernel share.

A step of size h from (t, y) evaluates (Hairer, Norsett & Wanner, Solving Ordinary Differential Equations I, II.1)

    k_i = f(t + c_i h, y + h sum_{j<i} A_ij k_j),     y1 = y + h sum_i b_i k_i,     error = h sum_i (b_i - b_hat_i) k_i.

Everything that a step needs lies in one array x of rows, each as long as the state:

    x[Y] state   x[Y1] state of a stage, at last y1   x[H] signed step   x[ATOL] tolerance   x[SPARE]   x[K + i] slopes

H and ATOL have an entry for each element, as each sample has its own step. All cores are loops over elements without
allocation, exceptions or reordered sums, so that plain Python, machine code and CUDA's simulator agree bit for bit.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from nodeedu.solvers.core import core
from nodeedu.tableaus import Tableau

# NumPy integers: a core would be compiled anew for each value of a Python constant that it is called with.
Y, Y1, H, ATOL, SPARE, K = np.arange(6)

FEW = 12  # elements that are summed one by one


class Method(NamedTuple):
    """A tableau as the cores read it: the coefficients of slopes in the dtype of the state, times in float64."""

    A: np.ndarray  # (s, s) strictly lower triangular
    b: np.ndarray  # (s,) weights
    e: np.ndarray  # (s,) weights b - b_hat of the error estimate; zeros without one
    c: np.ndarray  # (s,) nodes, float64
    interpolant: np.ndarray  # (s, m) polynomials of dense output, see dense_output.py; m = 0 without
    fsal: bool  # the last stage is the first of the next step


@lru_cache
def as_method(tableau: Tableau, dtype: Any, dense: bool) -> Method:
    """Prepare a tableau for the cores.

    Parameters
    ----------
    tableau : Tableau
        An explicit method.
    dtype : dtype
        Of the state.
    dense : bool
        Whether outputs inside a step are wanted. A method whose stages give none is extended by the stage
        ``f(t1, y1)``, which is the first of the next step, and interpolates by cubic Hermite polynomials.
    """
    A, b, c, interpolant, fsal = tableau.A, tableau.b, tableau.c, tableau.interpolant, tableau.fsal
    e = np.zeros_like(b) if tableau.b_hat is None else b - tableau.b_hat
    if interpolant is None and dense:
        if not fsal:
            A = np.pad(A, ((0, 1), (0, 1)))
            A[-1, :-1] = b
            b, e, c, fsal = np.append(b, 0.0), np.append(e, 0.0), np.append(c, 1.0), True
        interpolant = _hermite(b)
    if interpolant is None:
        interpolant = np.zeros((len(b), 0))
    # Copies: a tableau's arrays are read-only, which for numba is another type, and so another compilation.
    A, b, e = (np.array(each, dtype) for each in (A, b, e))
    return Method(A, b, e, np.array(c), np.array(interpolant), fsal)


def _hermite(b: np.ndarray) -> np.ndarray:
    """Cubic through both end values and slopes: ``theta k_1 + theta^2 (3d - 2k_1 - k_s) + theta^3 (k_1 + k_s - 2d)``.

    Here ``d = (y1 - y) / h = sum_i b_i k_i``; the row of each slope collects its powers of theta.
    """
    first, last = np.eye(len(b))[[0, -1]]
    return np.stack([first, 3 * b - 2 * first - last, first + last - 2 * b], axis=1)


@core
def combine(x, weights, count, start, stop, out):
    """Set ``out = sum_{j<count} weights_j k_j`` over the elements from start to stop.

    The outer loop runs over slopes, the inner one over elements, which lets it run in vector lanes. For few elements it
    is the other way round, as vectors would take longer to set up. Every element has the same sum, in the same order.
    """
    if stop - start <= FEW:
        for i in range(start, stop):
            out[i] = 0.0
            for j in range(count):
                if weights[j] != 0.0:
                    out[i] += weights[j] * x[K + j, i]
        return
    total = out[start:stop]
    for i in range(total.shape[0]):
        total[i] = 0.0
    for j in range(count):
        weight = weights[j]
        if weight != 0.0:
            k = x[K + j, start:stop]
            for i in range(total.shape[0]):
                total[i] += weight * k[i]


@core
def add_scaled(x, start, stop, out):
    """Set ``out = y + h out`` over the elements from start to stop."""
    y, h, total = x[Y, start:stop], x[H, start:stop], out[start:stop]
    for i in range(total.shape[0]):
        total[i] = y[i] + h[i] * total[i]


@core
def scale_errors(x, rtol, start, stop):
    """Turn ``x[SPARE] = sum_i e_i k_i`` into ``error / (atol + rtol max(|y|, |y1|))``."""
    y, y1, h = x[Y, start:stop], x[Y1, start:stop], x[H, start:stop]
    atol, error = x[ATOL, start:stop], x[SPARE, start:stop]
    for i in range(error.shape[0]):
        size, new_size = abs(y[i]), abs(y1[i])
        scale = atol[i] + rtol * (size if size > new_size else new_size)  # this order: a nan in y1 comes through
        value = h[i] * error[i]
        # No error over no scale (atol = 0, a component that stays 0) is no error; 0 * inf makes an infinite y1 a nan.
        error[i] = (value / scale if value != 0.0 else value) + 0.0 * scale


@core
def scale_values(x, values, rtol, start, stop):
    """Set ``x[SPARE] = values / (atol + rtol |y|)`` over the elements from start to stop."""
    for i in range(start, stop):
        value = values[i]
        x[SPARE, i] = value / (x[ATOL, i] + rtol * abs(x[Y, i])) if value != 0.0 else value
