"""First the adjoint ODE along the dense output of the forward solve, then dL/dtheta by Gauss-Kronrod quadrature.

    a' = -a f_z(t, z(t)) from observation to observation, recorded;     dL/dtheta = int a(t) f_theta(t, z(t)) dt

As a and z are known as functions of time, the integral for theta is free to choose its own nodes: few where the
integrand is smooth, whatever the steps were. It is Rackauckas and others' QuadratureAdjoint
(arXiv 1812.01892), which pays where theta is large. Rules: Kronrod (1965), QUADPACK's nodes and weights (Piessens and
others, 1983): 15 nodes, 7 of them Gauss's. A panel on which the two differ by more than the tolerances is halved.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nodeedu.sensitivity.lookup import Path, look_up, make_path, solved, states_of
from nodeedu.sensitivity.results import Kept, keep
from nodeedu.solvers.arguments import Inputs, Options
from nodeedu.solvers.lanes import Adjoint, make_samples
from nodeedu.solvers.runge_kutta import as_method
from nodeedu.solvers.solution import Solution
from nodeedu.solvers.solve import require_success, run
from nodeedu.solvers.systems import ADJOINT, Problem

Array = np.ndarray

PANELS = 4  # a step, at most: shorter ones would resolve the joints of dense output and not the integrand

# Positive nodes on (-1, 1) and their weights in Kronrod's rule; Gauss's nodes are every other one.
_NODES = (
    0.991455371120812639206854697526329, 0.949107912342758524526189684047851, 0.864864423359769072789712788640926,
    0.741531185599394439863864773280788, 0.586087235467691130294144691629413, 0.405845151377397166906606412076961,
    0.207784955007898467600689403773245,
)  # fmt: skip
_KRONROD = (
    0.022935322010529224963732008058970, 0.063092092629978553290700663189204, 0.104790010322250183839876322541518,
    0.140653259715525918745189590510238, 0.169004726639267902826583426598550, 0.190350578064785409913256402421014,
    0.204432940075298892414161999234649,
)  # fmt: skip
_GAUSS = (0.129484966168869693270611432679082, 0.279705391489276667901467771423780, 0.381830050505118944950369775488975)
NODES = np.array([*(-x for x in _NODES), 0.0, *reversed(_NODES)])
KRONROD = np.array([*_KRONROD, 0.209482141084727828012999174891714, *reversed(_KRONROD)])
GAUSS = np.zeros(15)
GAUSS[1::2] = [*_GAUSS, 0.417959183673469387755102040816327, *reversed(_GAUSS)]


def quadrature(solution: Solution, zs_bar: Array) -> tuple[Array, Array, Array, Kept]:
    """Solve the adjoint ODE back, recorded, and integrate.

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
        Counts of the backward solve and of the quadrature.
    kept : Kept
        States and slopes of D numbers that were kept, of z and of a between two observations.

    Raises
    ------
    SolverError
        If the backward solve fails.
    """
    inputs, options = solution._inputs, solution._options
    z0, dtype = inputs.z0, inputs.z0.dtype
    path, counts, trails = solved(solution), make_samples(len(z0)), Kept(0, 0)
    p_bar = np.zeros(inputs.field.n_params, dtype)
    a, first_step = np.array(zs_bar[-1]), None if options.first_step else solution._samples["h"]
    for i in range(len(zs_bar) - 1, 0, -1):
        a, samples, trail = _adjoint(solution, path, a, np.ascontiguousarray(inputs.ts[:, [i, i - 1]]), first_step)
        trails = max(trails, keep(trail.stored_states, trail))
        for name in ("nfev", "accepted", "rejected"):
            counts[name] += samples[name]
        for b in range(len(z0)):
            start, stop = inputs.ts[b if len(inputs.ts) > 1 else 0, i - 1 : i + 1]
            counts["nfev"][b] += _integrate(inputs, options, path, trail, b, start, stop, p_bar)
        if i > 1:
            a = a + zs_bar[i - 1]
        first_step = None if options.fixed else samples["h"]
    kept = keep(path.stored_states, path, solution._records)
    total = Kept(kept.states + trails.states, kept.bytes + trails.bytes)
    return (a if len(zs_bar) > 1 else np.zeros_like(z0)), p_bar, counts, total


def _adjoint(solution: Solution, path: Path, a: Array, ts: Array, first_step: Any) -> tuple[Array, Array, Path]:
    """Solve for a (B, D) between two observations: its end, counts, and dense output."""
    inputs, options, dtype = solution._inputs, solution._options, a.dtype
    kernels = look_up(inputs.field, path, inputs.p, swapped=True)
    method = as_method(options.tableau, dtype, True)
    empty, theta = np.empty((0, *a.shape), dtype), inputs.field.kernel("vjp_theta", dtype)
    adjoint = Adjoint(  # no observations and no nodes: all that is left is the system
        empty, empty, theta.callee, np.zeros(inputs.field.n_params, dtype), np.empty(0),
        np.empty((0, len(method.b)), dtype), np.empty(0), np.empty(0), empty[0:0, 0], empty[0:0, 0],
        np.empty(kernels.work_size, dtype),
    )  # fmt: skip
    problem = Problem(ADJOINT, kernels.vjp_z, kernels.p, np.empty((0, 0), dtype), np.empty(kernels.work_size, dtype))
    numbers = np.broadcast_to(np.arange(len(a), dtype=dtype)[:, None], a.shape)
    outputs, samples, records = run(
        problem, method, options, ts, np.stack([a, numbers]), True, first_step, record=True, adjoint=adjoint
    )
    require_success(samples, options, inputs.batched, "quadrature adjoint: ")
    return outputs[-1, 0], samples, make_path(records, method.interpolant, len(a))


def _integrate(
    inputs: Inputs, options: Options, path: Path, trail: Path, b: int, start: float, stop: float, p_bar: Array
) -> int:
    """Add the integral of ``a f_theta`` of sample b to p_bar; return the evaluations."""
    panels, done, evaluations = [(start, stop)], np.zeros_like(p_bar), 0
    most = PANELS * int(trail.first[b + 1] - trail.first[b])
    made, atol = 1, float(np.min(options.atol))
    while panels:
        low, high = panels.pop()
        kronrod, gauss = _panel(inputs, path, trail, b, low, high)
        evaluations += len(NODES)
        error, size = (abs(each).max(initial=0.0) for each in (kronrod - gauss, done + kronrod))
        if made < most and error > atol + options.rtol * size:
            middle = 0.5 * (low + high)
            panels += [(low, middle), (middle, high)]
            made += 1
            continue
        done += kronrod
    p_bar += done
    return evaluations


def _panel(inputs: Inputs, path: Path, trail: Path, b: int, low: float, high: float) -> tuple[Array, Array]:
    """Return Kronrod's and Gauss's integrals over a panel."""
    half = 0.5 * (high - low)
    t = low + half * (1.0 + NODES)
    z, a = states_of(path, b, t), states_of(trail, b, t)
    kernel = inputs.field.kernel("vjp_theta", z.dtype)
    rows, work = np.zeros((len(t), inputs.field.n_params), z.dtype), np.empty(kernel.work_size, z.dtype)
    for i in range(len(t)):
        kernel.function(t[i : i + 1], z[i : i + 1], a[i : i + 1], inputs.p, rows[i], work)
    return half * (KRONROD @ rows).astype(z.dtype), half * (GAUSS @ rows).astype(z.dtype)
