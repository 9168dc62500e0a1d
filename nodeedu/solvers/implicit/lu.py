"""LU decomposition of small dense matrices, real or complex: factors are kept and used for many right-hand sides."""

from __future__ import annotations

from nodeedu.solvers.core import core


@core
def factor(matrix, pivots):
    """Overwrite a matrix by L and U of ``P matrix = L U``; return whether no pivot is zero or nan.

    Gaussian elimination with partial pivoting: Golub & Van Loan, Matrix Computations, algorithm 3.4.1.

    Parameters
    ----------
    matrix : array (n, n)
        U on and above the diagonal, L without its unit diagonal below.
    pivots : array (n,) of int
        Row k was exchanged with row pivots[k].
    """
    n = matrix.shape[0]
    for k in range(n):
        largest = k
        for i in range(k + 1, n):
            if abs(matrix[i, k]) > abs(matrix[largest, k]):
                largest = i
        pivots[k] = largest
        if not abs(matrix[largest, k]) > 0.0:
            return False
        if largest != k:
            for j in range(n):
                matrix[k, j], matrix[largest, j] = matrix[largest, j], matrix[k, j]
        for i in range(k + 1, n):
            ratio = matrix[i, k] / matrix[k, k]
            matrix[i, k] = ratio
            if ratio != 0.0:
                for j in range(k + 1, n):
                    matrix[i, j] -= ratio * matrix[k, j]
    return True


@core
def substitute(matrix, pivots, x):
    """Overwrite x (n,) by the solution of the linear system whose matrix was factored; x is its right-hand side."""
    n = matrix.shape[0]
    for k in range(n):
        x[k], x[pivots[k]] = x[pivots[k]], x[k]
    for i in range(1, n):
        for j in range(i):
            x[i] -= matrix[i, j] * x[j]
    for i in range(n - 1, -1, -1):
        for j in range(i + 1, n):
            x[i] -= matrix[i, j] * x[j]
        x[i] /= matrix[i, i]
