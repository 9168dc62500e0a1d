"""Algorithm 2 of the paper (arXiv 1806.07366): solve the adjoint ODE backwards, with a jump at every observation.

    z' = f,     a' = -a f_z,     a(t_i-) = a(t_i+) + dL/dz(t_i),     dL/dtheta = -int_{t_N}^{t_0} a f_theta dt

The memory does not grow with the number of steps: z is solved backwards along with a. At every observation z is reset
to the state that the forward solve returned. The steps end exactly at the observations and carry their size across
them. The integral for theta is a quadrature over the accepted steps. It takes no part in the error estimate (the
seminorm of Kidger, Chen & Lyons, arXiv 2009.09457), as it does not act back on z and a.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from nodeedu.solvers.lanes import Adjoint
from nodeedu.solvers.runge_kutta import as_method
from nodeedu.solvers.solution import Solution
from nodeedu.solvers.solve import require_success, run
from nodeedu.solvers.systems import ADJOINT, Problem
from nodeedu.tableaus import Tableau

Array = np.ndarray


def backsolve(solution: Solution, zs_bar: Array) -> tuple[Array, Array, Array]:
    """Solve the adjoint ODE back from the last output time to the first.

    Parameters
    ----------
    solution : Solution
        Forward solve; of its steps, only the size of the last is used.
    zs_bar : array (T, B, D)
        dL/dz(t_i).

    Returns
    -------
    a : array (B, D)
        a(t0+), which leaves out the observation at t0.
    p_bar : array (P,)
        dL/dtheta, summed over samples.
    samples : array (B,) of SAMPLE
        Counts of the backward solve.

    Raises
    ------
    SolverError
        If the backward solve fails.
    """
    inputs, options = solution._inputs, solution._options
    z0, field, dtype = inputs.z0, inputs.field, inputs.z0.dtype
    n, size = z0.shape
    zs = solution._states.reshape(-1, n, size)
    p_bar = np.zeros(field.n_params, dtype)
    method = as_method(options.tableau, dtype, False)
    kernel, theta_kernel = field.kernel("vjp_z", dtype), field.kernel("vjp_theta", dtype)
    quadrature = theta_quadrature(options.tableau, dtype)
    no_rows = np.empty((0, size), dtype)  # each chunk of samples makes its own
    adjoint = Adjoint(
        zs, zs_bar, theta_kernel.callee, p_bar, *quadrature, np.empty(0), no_rows, no_rows,
        np.empty(theta_kernel.work_size, dtype),
    )  # fmt: skip
    problem = Problem(ADJOINT, kernel.callee, inputs.p, np.empty((0, 0), dtype), np.empty(kernel.work_size, dtype))
    backwards = np.ascontiguousarray(inputs.ts[:, ::-1])
    first_step = None if options.first_step else solution._samples["h"]  # carried over, unless the user gave one
    outputs, samples, _ = run(
        problem, method, options, backwards, np.stack([zs[-1], zs_bar[-1]]), True, first_step, adjoint=adjoint
    )
    require_success(samples, options, inputs.batched, "backsolve: ")
    a = outputs[-1, 1] if len(zs) > 1 else np.zeros_like(z0)
    return a, p_bar, samples


@lru_cache
def theta_quadrature(tableau: Tableau, dtype: Any) -> tuple[Array, Array, Array]:
    """Return nodes, the slopes' weights in the states there, and weights of a quadrature over one step.

    With dense output, Gauss's rule of the method's order takes fewer evaluations than the stages: 3 in place of 5 for
    dopri5, at the same accuracy. Without, the stages with their weights b are the quadrature.
    """
    method = as_method(tableau, dtype, False)
    if method.interpolant.shape[1] == 0:
        used = method.b != 0
        return method.c[used], method.A[used], np.array(method.b[used], np.float64)
    nodes, omega = np.polynomial.legendre.leggauss(tableau.order // 2 + 1)
    nodes = (1.0 + nodes) / 2.0
    powers = nodes[:, None] ** np.arange(1, method.interpolant.shape[1] + 1)
    return nodes, np.array(powers @ method.interpolant.T, dtype, order="C"), omega / 2.0
