"""The adjoint ODE solved backwards along the dense output of the forward solve: z is looked up, never solved for.

    a' = -a f_z(t, z(t)),     a(t_i-) = a(t_i+) + dL/dz(t_i),     dL/dtheta = -int_{t_N}^{t_0} a f_theta(t, z(t)) dt

`backsolve` loses z where solutions contract, as an error in z grows backwards in time. Here it cannot: the price is the
memory for the steps. The error of z between the ends of steps is that of dense output, of order 4 for dopri5. It is
Rackauckas and others' InterpolatingAdjoint (arXiv 1812.01892). The integral for theta is that of `backsolve`.
"""

from __future__ import annotations

import numpy as np

from nodeedu.sensitivity.backsolve import theta_quadrature
from nodeedu.sensitivity.lookup import look_up, solved
from nodeedu.sensitivity.results import Kept, keep
from nodeedu.solvers.lanes import Adjoint
from nodeedu.solvers.runge_kutta import as_method
from nodeedu.solvers.solution import Solution
from nodeedu.solvers.solve import require_success, run
from nodeedu.solvers.systems import ADJOINT, Problem

Array = np.ndarray


def interpolated(solution: Solution, zs_bar: Array) -> tuple[Array, Array, Array, Kept]:
    """Solve the adjoint ODE back along the dense output of a solve.

    Parameters
    ----------
    solution : Solution
        With records and an interpolant.
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
    kept : Kept
        States and slopes of D numbers that were kept; its bytes count the polynomials and the slopes they were made of.

    Raises
    ------
    SolverError
        If the backward solve fails.
    """
    inputs, options = solution._inputs, solution._options
    field, z0 = inputs.field, inputs.z0
    (n, size), dtype = z0.shape, z0.dtype
    path, p_bar = solved(solution), np.zeros(field.n_params, dtype)
    method = as_method(options.tableau, dtype, False)
    kernels = look_up(field, path, inputs.p)
    observed = np.empty_like(zs_bar)
    observed[...] = np.arange(n)[:, None]  # in the place of states, numbers of samples
    no_rows = np.empty((0, size), dtype)  # each chunk of samples makes its own
    adjoint = Adjoint(
        observed, zs_bar, kernels.vjp_theta, p_bar, *theta_quadrature(options.tableau, dtype),
        np.empty(0), no_rows, no_rows, np.empty(kernels.work_size, dtype),
    )  # fmt: skip
    problem = Problem(ADJOINT, kernels.vjp_z, kernels.p, np.empty((0, 0), dtype), np.empty(kernels.work_size, dtype))
    backwards = np.ascontiguousarray(inputs.ts[:, ::-1])
    first_step = None if options.first_step else solution._samples["h"]  # carried over, unless the user gave one
    outputs, samples, _ = run(
        problem, method, options, backwards, np.stack([observed[-1], zs_bar[-1]]), True, first_step, adjoint=adjoint
    )
    require_success(samples, options, inputs.batched, "interpolated adjoint: ")
    a = outputs[-1, 1] if len(zs_bar) > 1 else np.zeros_like(z0)
    return a, p_bar, samples, keep(path.stored_states, path, solution._records)
