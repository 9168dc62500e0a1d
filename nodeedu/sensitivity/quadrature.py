"""First the adjoint ODE along the dense output of the forward solve, then dL/dtheta by Gauss-Kronrod quadrature.

    a' = -a f_z(t, z(t)) from observation to observation, recorded;     dL/dtheta = int a(t) f_theta(t, z(t)) dt

As a and z are known as functions of time, the integral for theta is free to choose its own nodes: few where the
integrand is smooth, whatever the steps were. It is Rackauckas and others' QuadratureAdjoint
(arXiv 1812.01892), which pays where theta is large. Rules: Kronrod (1965), QUADPACK's nodes and weights (Piessens and
others, 1983): 15 nodes, 7 of them Gauss's. A panel on which the two differ by more than the tolerances is halved.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nodeedu.compile.kernels import DONE, call_vjp_theta
from nodeedu.sensitivity.lookup import Path, look_up, make_path, solved, states_at
from nodeedu.sensitivity.results import Kept, keep
from nodeedu.solvers.core import core, driver
from nodeedu.solvers.lanes import Adjoint, make_samples
from nodeedu.solvers.runge_kutta import as_method
from nodeedu.solvers.solution import Solution
from nodeedu.solvers.solve import require_success, run
from nodeedu.solvers.status import kernel_failure
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
    z0, path = inputs.z0, solved(solution)
    counts, trails = make_samples(len(z0)), Kept(0, 0)
    p_bar, go_back = np.zeros(inputs.field.n_params, z0.dtype), _adjoint(solution, path)
    a, first_step = np.array(zs_bar[-1]), None if options.first_step else solution._samples["h"]
    for i in range(len(zs_bar) - 1, 0, -1):
        a, samples, trail = go_back(a, np.ascontiguousarray(inputs.ts[:, [i, i - 1]]), first_step)
        trails = max(trails, keep(trail.stored_states, trail))
        for name in ("nfev", "accepted", "rejected"):
            counts[name] += samples[name]
        counts["nfev"] += _integrals(solution, path, trail, np.ascontiguousarray(inputs.ts[:, i - 1 : i + 1]), p_bar)
        if i > 1:
            a = a + zs_bar[i - 1]
        first_step = None if options.fixed else samples["h"]
    kept = keep(path.stored_states, path, solution._records)
    total = Kept(kept.states + trails.states, kept.bytes + trails.bytes)
    return (a if len(zs_bar) > 1 else np.zeros_like(z0)), p_bar, counts, total


def _adjoint(solution: Solution, path: Path) -> Callable[[Array, Array, Any], tuple[Array, Array, Path]]:
    """Return what solves for a (B, D) between two observations: its end, counts, and dense output."""
    inputs, options = solution._inputs, solution._options
    shape, dtype = inputs.z0.shape, inputs.z0.dtype
    kernels = look_up(inputs.field, path, inputs.p, swapped=True)
    method = as_method(options.tableau, dtype, True)
    empty, theta = np.empty((0, *shape), dtype), inputs.field.kernel("vjp_theta", dtype)
    adjoint = Adjoint(  # no observations and no nodes: all that is left is the system
        empty, empty, theta.callee, np.zeros(inputs.field.n_params, dtype), np.empty(0),
        np.empty((0, len(method.b)), dtype), np.empty(0), np.empty(0), empty[0:0, 0], empty[0:0, 0],
        np.empty(kernels.work_size, dtype),
    )  # fmt: skip
    numbers, work = np.broadcast_to(np.arange(shape[0], dtype=dtype)[:, None], shape), np.empty_like(adjoint.work)

    def go_back(a: Array, ts: Array, first_step: Any) -> tuple[Array, Array, Path]:
        problem = Problem(ADJOINT, kernels.vjp_z, kernels.p, np.empty((0, 0), dtype), work)  # keeps kernels alive
        outputs, samples, records = run(
            problem, method, options, ts, np.stack([a, numbers]), True, first_step, record=True, adjoint=adjoint
        )
        require_success(samples, options, inputs.batched, "quadrature adjoint: ")
        return outputs[-1, 0], samples, make_path(records, method.interpolant, len(a))

    return go_back


def _integrals(solution: Solution, path: Path, trail: Path, ts: Array, p_bar: Array) -> Array:
    """Add the integrals of ``a f_theta`` of all samples over one interval to p_bar; return the evaluations (B,)."""
    inputs, options, dtype = solution._inputs, solution._options, p_bar.dtype
    kernel, (samples, size) = inputs.field.kernel("vjp_theta", dtype), inputs.z0.shape
    most = PANELS * np.diff(trail.first)
    evaluations, rows = np.zeros(samples, np.int64), np.empty((len(NODES) + 3, len(p_bar)), dtype)
    states, work = np.empty((2, len(NODES), size), dtype), np.empty(kernel.work_size, dtype)
    tolerance = float(np.min(options.atol)), options.rtol
    done = integrate_theta(
        kernel.callee, path, trail, ts, NODES, KRONROD, GAUSS, *tolerance, most, np.empty((int(most.max()) + 1, 2)),
        np.empty(len(NODES)), np.empty((len(NODES), 1), dtype), states, rows, inputs.p, p_bar, work, evaluations,
    )  # fmt: skip
    if done != DONE:
        raise kernel_failure("quadrature", options.method, float(ts[0, 0]))
    return evaluations


@driver
def integrate_theta(
    callee, path, trail, ts, nodes, kronrod, gauss, atol, rtol, most, stack, t, numbers, states, rows, p, p_bar, work,
    evaluations,
):  # fmt: skip
    """Add the integral of ``a f_theta`` of every sample to p_bar, panel by panel; return `DONE`, or 0 on failure.

    The last three of rows hold the integral so far, and Kronrod's and Gauss's over a panel.
    """
    total, fine, coarse, done = rows[-3], rows[-2], rows[-1], DONE
    for b in range(evaluations.shape[0]):
        own = b if ts.shape[0] > 1 else 0
        stack[0, 0], stack[0, 1], depth, made = ts[own, 0], ts[own, 1], 1, 1
        for j in range(total.shape[0]):
            total[j] = 0.0
        for q in range(nodes.shape[0]):
            numbers[q, 0] = b
        while depth > 0 and done == DONE:
            depth -= 1
            low, high = stack[depth, 0], stack[depth, 1]
            done = panel(callee, path, trail, low, high, nodes, kronrod, gauss, t, numbers, states, rows, p, work)
            evaluations[b] += nodes.shape[0]
            error, size = 0.0, 0.0
            for j in range(total.shape[0]):
                error = max(error, abs(float(fine[j] - coarse[j])))
                size = max(size, abs(float(total[j] + fine[j])))
            if made < most[b] and error > atol + rtol * size:
                middle = 0.5 * (low + high)
                stack[depth, 0], stack[depth, 1] = low, middle
                stack[depth + 1, 0], stack[depth + 1, 1] = middle, high
                depth, made = depth + 2, made + 1
                continue
            for j in range(total.shape[0]):
                total[j] += fine[j]
        for j in range(total.shape[0]):
            p_bar[j] += total[j]
    return done


@core
def panel(callee, path, trail, low, high, nodes, kronrod, gauss, t, numbers, states, rows, p, work):
    """Set the last two of rows to Kronrod's and Gauss's integrals over a panel; return `DONE`, or 0 on failure."""
    count, half, done = nodes.shape[0], 0.5 * (high - low), DONE
    fine, coarse = rows[-2], rows[-1]
    for q in range(count):
        t[q] = low + half * (1.0 + nodes[q])
    states_at(count, t, numbers, path, states[0])
    states_at(count, t, numbers, trail, states[1])
    for j in range(fine.shape[0]):
        fine[j] = coarse[j] = 0.0
    for q in range(count):
        row = rows[q]
        for j in range(row.shape[0]):
            row[j] = 0.0
        z, a = states[0, q : q + 1], states[1, q : q + 1]
        done = min(done, call_vjp_theta(callee, 1, t[q : q + 1], z, a, p, row, work))
        for j in range(row.shape[0]):
            fine[j] += half * kronrod[q] * row[j]
            coarse[j] += half * gauss[q] * row[j]
    return done
