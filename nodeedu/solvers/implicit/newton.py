"""The stages of an implicit Runge-Kutta step, by simplified Newton iterations.

With ``Z_i`` the distance of stage i from the state, the stages satisfy ``Z = h A f(t + c h, y + Z)``. One matrix J, the
Jacobian of f at some earlier point, serves all stages and many steps:

    (A^-1 / h - J) dZ = f(t + c h, y + Z) - A^-1 Z / h,      Z <- Z + dZ.

A^-1 has distinct eigenvalues mu_q, so ``A^-1 = T diag(mu) T^-1`` splits this system of size s D into one of size D for
each eigenvalue, ``(mu_q / h - J) dw_q = (T^-1 rhs)_q``, ``dZ = T dw``; of a conjugate pair, one is enough
(Hairer & Wanner, Solving Ordinary Differential Equations II, section IV.8; Butcher 1976). A first stage at the node 0
is not implicit: its slope k_1 is known, and A above is what remains without its row and column a_0,
``Z = h (a_0 k_1 + A f)``.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from nodeedu.compile.kernels import DONE, call_f, call_jvp
from nodeedu.solvers.core import core
from nodeedu.solvers.implicit.lu import factor, substitute
from nodeedu.solvers.implicit.tableaus import ImplicitTableau

Array = np.ndarray


class Implicit(NamedTuple):
    """A method of s stages, m of them implicit, as the cores read it."""

    c: Array  # (s,) nodes
    explicit: int  # s - m, 0 or 1
    a_inverse: Array  # (m, m) A^-1
    known: Array  # (m,) A^-1 a_0
    end: Array  # (m,) weights of Z in z1 - z
    mu: Array  # (q,) complex eigenvalues of A^-1 with imaginary part >= 0, the real one first
    back: Array  # (m, q) complex, dZ = Re(back dw): columns of T, twice that of a conjugate pair
    forth: Array  # (q, m) complex, rows of T^-1
    error: Array  # (m,) weights of Z in the error estimate, see steps.py
    interpolant: Array  # (s, s) dense output, see dense_output.py


@lru_cache
def as_implicit(tableau: ImplicitTableau) -> Implicit:
    """Prepare a method for the cores."""
    first, s = tableau.explicit_stages, tableau.stages
    c, A = tableau.c, tableau.A[first:, first:]
    a_inverse = np.linalg.inv(A)
    mu, T = map(np.complex128, np.linalg.eig(a_inverse))
    kept = [q for q in np.argsort(mu.imag) if mu[q].imag >= 0]
    back = T[:, kept] * np.where(mu[kept].imag > 0, 2.0, 1.0)
    forth = np.linalg.inv(T)[kept]
    known = a_inverse @ tableau.A[first:, 0] if first else np.zeros(s)
    end = np.eye(s - first)[-1] if c[-1] == 1.0 else tableau.b[first:] @ a_inverse
    arrays = a_inverse, known, end, mu[kept], back, forth, _error_weights(tableau, a_inverse)
    return Implicit(np.array(c), first, *map(np.ascontiguousarray, arrays), np.array(tableau.interpolant))


def _error_weights(tableau: ImplicitTableau, a_inverse: Array) -> Array:
    """Weights of Z in ``mu (z1_hat - z1)``, z1_hat a quadrature that gives the weight 1/mu to the slope at the start.

    ``z1_hat = z + h (f(t, z) / mu + sum_i b_hat_i k_i)`` has order s if ``b_hat - b`` takes 1/mu from the moment 0 and
    leaves the moments 1, ..., s - 1 of the quadrature as they are (Hairer & Wanner II, section IV.8).
    """
    if tableau.explicit_stages:
        return np.zeros(len(a_inverse))  # no estimate: its steps are fixed
    moments = tableau.c[None, :] ** np.arange(tableau.stages)[:, None]
    difference = np.linalg.solve(moments, -np.eye(tableau.stages)[0])
    return difference @ a_inverse


class System(NamedTuple):
    """The vector field, its Jacobian, and room for the kernels."""

    callee: Any
    p: Array  # (Q,)
    work: Array
    exact: bool  # whether there is a kernel for f_z z_dot; else the Jacobian is taken by differences
    jvp: Any  # callee of that kernel
    p_dot: Array  # (Q,) zeros
    jvp_work: Array
    epsilon: float  # spacing of the numbers in which f is computed


class Stages(NamedTuple):
    """What an iteration works on: one sample; real is float64 or float32."""

    t: Array  # (s,)
    z: Array  # (s, D) real
    slopes: Array  # (s, D) real
    Z: Array  # (m, D)
    dw: Array  # (q, D) complex
    jacobian: Array  # (D, D) J[i, a] = df_i / dz_a
    factors: Array  # (q, D, D) complex
    pivots: Array  # (q, D)
    row_t: Array  # (D,) rows for the kernel of the Jacobian
    row_z: Array  # (D, D) real
    unit: Array  # (D, D) real
    row_dz: Array  # (D, D) real
    row_jacobian: Array  # (D, D) real, transposed


def make_stages(method: Implicit, size: int, dtype: Any) -> Stages:
    """Allocate."""
    s, m, q = len(method.c), len(method.known), len(method.mu)
    real = [np.zeros((s, size), dtype), np.zeros((s, size), dtype)]
    square = [np.zeros((size, size), dtype) for _ in range(3)]
    return Stages(
        np.zeros(s), *real, np.zeros((m, size)), np.zeros((q, size), complex), np.zeros((size, size)),
        np.zeros((q, size, size), complex), np.zeros((q, size), np.int64), np.zeros(size), square[0],
        np.eye(size, dtype=dtype), square[1], square[2],
    )  # fmt: skip


@core
def evaluate_jacobian(system, t, y, slope, stages):
    """Set ``J = f_z(t, y)``; return `DONE` or 0. Shapes of y and of slope = f(t, y): (1, D).

    Where there is no kernel for it, differences to the slope step by ``sqrt(epsilon max(|y_a|, 1e-5))``, the choice of
    Hairer & Wanner's code.
    """
    size, J = y.shape[1], stages.jacobian
    done = DONE
    if system.exact:
        for a in range(size):
            stages.row_t[a] = t
            for i in range(size):
                stages.row_z[a, i] = y[0, i]
        done = call_jvp(system.jvp, size, stages.row_t, stages.row_z, stages.unit, system.p, system.p_dot,
                        stages.row_dz, stages.row_jacobian, system.jvp_work)  # fmt: skip
        for a in range(size):
            for i in range(size):
                J[i, a] = stages.row_jacobian[a, i]
        return done
    stages.row_t[0] = t
    for i in range(size):
        stages.row_z[0, i] = y[0, i]
    for a in range(size):
        stages.row_z[0, a] += math.sqrt(system.epsilon * max(1e-5, abs(y[0, a])))
        done = min(done, call_f(system.callee, 1, stages.row_t, stages.row_z, system.p, stages.row_dz, system.work))
        step = stages.row_z[0, a] - y[0, a]  # what rounding made of it
        for i in range(size):
            J[i, a] = (stages.row_dz[0, i] - slope[0, i]) / step
        stages.row_z[0, a] = y[0, a]
    return done


@core
def decompose(h, method, stages):
    """Factor ``mu_q / h - J`` for every eigenvalue; return whether all are regular."""
    J, regular = stages.jacobian, True
    for q in range(method.mu.shape[0]):
        matrix = stages.factors[q]
        for i in range(J.shape[0]):
            for a in range(J.shape[0]):
                matrix[i, a] = -J[i, a]
            matrix[i, i] += method.mu[q] / h
        regular = factor(matrix, stages.pivots[q]) and regular
    return regular


@core
def stage_slopes(system, method, y, stages):
    """Evaluate f at the implicit stages ``y + Z``, one row at a time; return `DONE` or 0."""
    done = DONE
    for i in range(method.explicit, method.c.shape[0]):
        for a in range(y.shape[1]):
            stages.z[i, a] = y[0, a] + stages.Z[i - method.explicit, a]
        row = slice(i, i + 1)
        done = min(done, call_f(system.callee, 1, stages.t[row], stages.z[row], system.p, stages.slopes[row],
                                system.work))  # fmt: skip
    return done


@core
def correct(h, method, slope, stages):
    """Solve for the change dZ and add it; the changes are left in ``stages.slopes`` of the implicit stages."""
    first, (m, size) = method.explicit, stages.Z.shape
    for q in range(method.mu.shape[0]):
        dw = stages.dw[q]
        for a in range(size):
            dw[a] = 0.0
        for i in range(m):
            weight = method.forth[q, i]
            for a in range(size):
                # ------------ the residual of stage i
                residual = 0.0
                residual += stages.slopes[first + i, a]
                for j in range(m):
                    residual -= method.a_inverse[i, j] * stages.Z[j, a] / h
                if first == 1:
                    residual += method.known[i] * slope[0, a]
                dw[a] += weight * residual
        substitute(stages.factors[q], stages.pivots[q], dw)
    for i in range(m):
        for a in range(size):
            change = 0.0
            for q in range(method.mu.shape[0]):
                change += (method.back[i, q] * stages.dw[q, a]).real
            stages.Z[i, a] += change
            stages.slopes[first + i, a] = change
