"""Forward sensitivity: solve ``S' = f_z S + f_theta theta_dot`` along with z, one column for each derivative.

The columns are dz/dz0 (S starts as the identity) and dz/dtheta (S starts at zero, theta_dot is a unit vector). It
costs D + P columns and needs no reverse mode: the expensive truth that the other methods are checked against. All
columns take part in the error estimate.
"""

from __future__ import annotations

import numpy as np

from nodeedu.solvers.arguments import Inputs, Options
from nodeedu.solvers.runge_kutta import as_method
from nodeedu.solvers.solve import require_success, run
from nodeedu.solvers.systems import TANGENT, Problem

Array = np.ndarray


def forward(inputs: Inputs, options: Options, zs_bar: Array) -> tuple[Array, Array, Array, Array]:
    """Solve for the state and all its derivatives and contract them with the loss gradients.

    Parameters
    ----------
    inputs, options : Inputs, Options
        As arguments.py made them.
    zs_bar : array (T, B, D)
        dL/dz(t_i).

    Returns
    -------
    zs : array (T, B, D)
        States.
    a : array (B, D)
        a(t0+), which leaves out the observation at t0.
    p_bar : array (P,)
        dL/dtheta, summed over samples.
    samples : array (B,) of SAMPLE
        Counts of the solve.

    Raises
    ------
    SolverError
        If the solve fails.
    """
    field, z0 = inputs.field, inputs.z0
    (n, size), dtype = z0.shape, z0.dtype
    kernel = field.kernel("jvp", dtype)
    p_dots = np.concatenate([np.zeros((size, len(inputs.p)), dtype), _unit_directions(field, dtype)])
    problem = Problem(TANGENT, kernel.callee, inputs.p, p_dots, np.empty(kernel.work_size, dtype))
    y0 = np.zeros((1 + len(p_dots), n, size), dtype)
    y0[0] = z0
    y0[1 : 1 + size] = np.eye(size)[:, None]
    method = as_method(options.tableau, dtype, not options.fixed)
    outputs, samples, _ = run(problem, method, options, inputs.ts, y0)
    require_success(samples, options, inputs.batched, "forward sensitivity: ")
    # The observation at t0 itself is left out; in it, dz/dtheta is zero anyway.
    a = np.einsum("tbi,tjbi->bj", zs_bar[1:], outputs[1:, 1 : 1 + size])
    p_bar = np.einsum("tbi,tjbi->j", zs_bar[1:], outputs[1:, 1 + size :])
    return np.ascontiguousarray(outputs[:, 0]), a, p_bar, samples


def _unit_directions(field, dtype) -> Array:
    """Return the P unit vectors of theta as packed directions (P, Q).

    Behind the parameters, a packed array may hold copies of them, which follow linearly, and constants, which must not
    move: hence the difference.
    """
    origin = field.pack(field.unpack(np.zeros(field.n_params, dtype)), dtype)
    unit = np.eye(field.n_params, dtype=dtype)
    return np.array([field.pack(field.unpack(each), dtype) - origin for each in unit]).reshape(len(unit), len(origin))
