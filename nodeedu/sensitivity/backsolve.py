"""Algorithm 2 of the paper (arXiv 1806.07366): solve the adjoint ODE backwards, with a jump at every observation.

    z' = f,     a' = -a f_z,     a(t_i-) = a(t_i+) + dL/dz(t_i),     dL/dtheta = -int_{t_N}^{t_0} a f_theta dt

The memory does not grow with the number of steps: z is solved backwards along with a. At every observation z is reset
to the state that the forward solve returned; without the reset, it comes back from the last state alone. The steps end
exactly at the observations and carry their size across them. The integral for theta is a quadrature over the accepted
steps. It takes no part in the error estimate (the seminorm of Kidger, Chen & Lyons, arXiv 2009.09457), as it does not
act back on z and a; full_norm.py lets it.

What comes back need not have gone forth with the same method: the solve of `adams` is followed by the adjoint ODE under
`TURN`, at the same tolerances.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from nodeedu import tableaus
from nodeedu.sensitivity.full_norm import Go, in_full_norm
from nodeedu.sensitivity.results import Kept, keep
from nodeedu.solvers.arguments import Options
from nodeedu.solvers.lanes import Adjoint, make_samples
from nodeedu.solvers.norms import OwnNorm
from nodeedu.solvers.runge_kutta import as_method
from nodeedu.solvers.solution import Solution
from nodeedu.solvers.solve import require_success, run
from nodeedu.solvers.systems import ADJOINT, Problem
from nodeedu.tableaus import Tableau

Array = np.ndarray
TURN = {"adams": "dopri5"}  # methods that go forth only -> what comes back in their place


def backsolve(
    solution: Solution, zs_bar: Array, reset: bool = True, seminorm: bool = True
) -> tuple[Array, Array, Array, Kept, Array]:
    """Solve the adjoint ODE back from the last output time to the first.

    Parameters
    ----------
    solution : Solution
        Forward solve; of its steps, only the size of the last is used.
    zs_bar : array (T, B, D)
        dL/dz(t_i).
    reset : bool
        Whether z starts anew from the forward solve at every observation, or only at the last.
    seminorm : bool
        Whether the integral for theta is left out of the error estimate.

    Returns
    -------
    a : array (B, D)
        a(t0+), which leaves out the observation at t0.
    p_bar : array (P,)
        dL/dtheta, summed over samples.
    samples : array (B,) of SAMPLE
        Counts of the backward solve.
    kept : Kept
        The states that it starts from.
    returned : array (B, D)
        z(t0) as it came back.

    Raises
    ------
    SolverError
        If the backward solve fails.
    """
    solution = turned(solution)
    inputs, options = solution._inputs, solution._options
    z0, p_bar = inputs.z0, np.zeros(inputs.field.n_params, inputs.z0.dtype)
    n, size = z0.shape
    zs = solution._states.reshape(-1, n, size)
    kept = keep(n * (len(zs) if reset else 1), zs if reset else zs[-1])
    if len(zs) == 1:
        return np.zeros_like(z0), p_bar, make_samples(n), kept, z0.copy()
    if not (reset and seminorm):
        go, w = _with_a_quadrature(solution, p_bar) if seminorm else in_full_norm(solution)
        z, a, samples = _by_intervals(solution, zs, zs_bar, reset, go)
        return np.ascontiguousarray(a), p_bar if seminorm else w.sum(axis=0), samples, kept, z
    problem, adjoint = _system(solution, zs, zs_bar, p_bar)
    backwards = np.ascontiguousarray(inputs.ts[:, ::-1])
    first_step = None if options.first_step else solution._samples["h"]  # carried over, unless the user gave one
    outputs, samples, _ = run(
        problem, as_method(options.tableau, z0.dtype, False), options, backwards, np.stack([zs[-1], zs_bar[-1]]), True,
        first_step, adjoint=adjoint,
    )  # fmt: skip
    require_success(samples, options, inputs.batched, "backsolve: ")
    return outputs[-1, 1], p_bar, samples, kept, outputs[-1, 0]


def turned(solution: Solution) -> Solution:
    """Return a solve as one by the Runge-Kutta method that goes back; if it is by such a method, itself."""
    options = solution._options
    if options.tableau is not None:
        return solution
    method = TURN[options.method]
    return replace(solution, _options=replace(options, method=method, tableau=tableaus.get(method)))


def check_backsolve(reset: object, seminorm: object, method: str, options: Options) -> None:
    """Raise ValueError if the options of `backsolve` are no bools, or say what nothing would listen to."""
    for name, value in (("reset", reset), ("seminorm", seminorm)):
        if not isinstance(value, bool):
            raise ValueError(f"{name}: got {value!r}, expected True or False")
        if not value and method != "backsolve":
            raise ValueError(f"{name}: {method!r} has none; it is an option of method='backsolve'")
    if not seminorm and options.fixed:
        raise ValueError("seminorm: fixed steps have no error estimate that theta could take part in; leave it out")
    if not seminorm and isinstance(options.norm, OwnNorm):
        raise ValueError("seminorm: your own norm is one of a state, not of theta; take norm='rms' or 'max'")


def _system(solution: Solution, zs: Array, zs_bar: Array, p_bar: Array) -> tuple[Problem, Adjoint]:
    """Return the system of z and a, with the quadrature for theta, which adds to p_bar."""
    inputs, dtype = solution._inputs, p_bar.dtype
    kernel, theta_kernel = (inputs.field.kernel(kind, dtype) for kind in ("vjp_z", "vjp_theta"))
    no_rows = np.empty((0, zs.shape[2]), dtype)  # each chunk of samples makes its own
    adjoint = Adjoint(
        zs, zs_bar, theta_kernel.callee, p_bar, *theta_quadrature(solution._options.tableau, dtype), np.empty(0),
        no_rows, no_rows, np.empty(theta_kernel.work_size, dtype),
    )  # fmt: skip
    work = np.empty(kernel.work_size, dtype)
    return Problem(ADJOINT, kernel.callee, inputs.p, np.empty((0, 0), dtype), work), adjoint


def _with_a_quadrature(solution: Solution, p_bar: Array) -> tuple[Go, Array]:
    """Return what goes back over an interval, and p_bar (P,), which it adds to; see `in_full_norm`."""
    inputs, options = solution._inputs, solution._options
    nothing = np.empty((0, *inputs.z0.shape), p_bar.dtype)
    problem, adjoint = _system(solution, nothing, nothing, p_bar)
    method = as_method(options.tableau, p_bar.dtype, False)

    def go(ts: Array, z: Array, a: Array, first_step: Any) -> tuple[Array, Array, Array]:
        outputs, samples, _ = run(problem, method, options, ts, np.stack([z, a]), True, first_step, adjoint=adjoint)
        require_success(samples, options, inputs.batched, "backsolve: ")
        return outputs[-1, 0], outputs[-1, 1], samples

    return go, p_bar


def _by_intervals(solution: Solution, zs: Array, zs_bar: Array, reset: bool, go: Go) -> tuple[Array, Array, Array]:
    """Go back from observation to observation; return z and a at t0, and the counts."""
    inputs, options = solution._inputs, solution._options
    z, a, counts = zs[-1], zs_bar[-1], make_samples(len(inputs.z0))
    first_step = None if options.first_step else solution._samples["h"]
    for i in range(len(zs) - 1, 0, -1):
        z, a, samples = go(np.ascontiguousarray(inputs.ts[:, [i, i - 1]]), z, a, first_step)
        for name in ("nfev", "accepted", "rejected"):
            counts[name] += samples[name]
        if i > 1:
            z, a = zs[i - 1] if reset else z, a + zs_bar[i - 1]
        first_step = None if options.fixed else samples["h"]
    return z, a, counts


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
