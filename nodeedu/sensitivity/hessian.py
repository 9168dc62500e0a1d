"""Hessian-vector products: forward mode over `discrete`, on the steps that the solve has made.

The gradient that `discrete` computes is a function of z0 and theta, once the steps are held. Along a direction, marked
by a dot, all of its equations (reverse_sweep.py) are differentiated; what is new is one derivative of the second order,

    y_bar_dot = k_bar_dot f_z + k_bar (f_zz y_dot + f_ztheta theta_dot),      likewise theta_bar_dot,

the JVP of a VJP. It is read off a tape that is made as its name says, `jvp(vjp(tape))`, and evaluated by NumPy stage by
stage: no machine code, and no storage but the steps. See Pearlmutter, Neural Computation 6 (1994) 147.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from nodeedu.autodiff import structure, transforms
from nodeedu.autodiff.tape import Tape
from nodeedu.compile.field import VectorField
from nodeedu.solvers.arguments import check_cotangents, check_inputs, check_options
from nodeedu.solvers.runge_kutta import Method
from nodeedu.solvers.solve import require_success, solve

Array = np.ndarray


def hessian_vector_product(
    field: VectorField, z0: ArrayLike, ts: ArrayLike, theta: Any, zs_bar: ArrayLike, loss_hessian: Any,
    z0_dot: ArrayLike, theta_dot: Any, solver: str = "dopri5", **options: Any,
) -> tuple[Array, Any]:  # fmt: skip
    """Compute the derivative of the gradient of a loss L(z(t_0), ..., z(t_N)) along a direction of z0 and theta.

    Parameters
    ----------
    field : VectorField
        A traced vector field.
    z0, ts, theta, zs_bar, solver
        As for `gradients`.
    loss_hessian : callable
        ``loss_hessian(zs_dot) -> zs_bar_dot``: how zs_bar changes with the states, both in the shape of zs. For
        ``L = sum |z - y|^2 / 2`` it returns what it is given.
    z0_dot, theta_dot
        The direction, in the shape of z0 and in the structure of theta.
    **options
        Of the solver: rtol, atol, step_size, ...

    Returns
    -------
    z0 : array
        What z0 has of the product, in the shape of z0.
    theta : object
        What theta has of it, in the structure of theta.

    Raises
    ------
    TypeError
        If field is not a traced vector field.
    ValueError
        If an argument is wrong.
    SolverError
        If the solve fails.
    """
    if not isinstance(field, VectorField):
        raise TypeError(f"field: got {field!r}; second derivatives take a traced one, of ne.vector_field(f, z0, theta)")
    inputs = check_inputs(field, np.asarray(z0, np.float64), ts, theta)
    if np.shape(z0_dot) != inputs.state_shape:
        raise ValueError(f"z0_dot: got shape {np.shape(z0_dot)}, expected {inputs.state_shape}, that of z0")
    z_dots, _ = np.asarray(z0_dot, np.float64).reshape(inputs.z0.shape), field.pack(theta_dot)  # which checks it
    checked = check_options(solver, shape=field.shape, called="solver", **options)
    if checked.tableau is None:
        raise ValueError(f"solver: Hessian-vector products take an explicit Runge-Kutta method, got {solver!r}")
    solution = solve(inputs, checked, record=True)
    require_success(solution._samples, checked, inputs.batched)
    bar = check_cotangents(zs_bar, inputs)
    records, tapes = solution._records, _second_order(field)
    steps, tangents, trails = records.steps[: records.count[0]], np.zeros_like(bar), []
    for b in range(len(inputs.z0)):
        own = np.flatnonzero(steps["sample"] == b)
        times = inputs.ts[b if len(inputs.ts) > 1 else 0]
        walk = Walk(field, tapes, solution._method, checked.fixed, theta, theta_dot, times)
        trail, tangents[:, b] = _push(walk, steps[own], records.rows[own], z_dots[b])
        trails.append((walk, trail))
    bar_dot = check_cotangents(loss_hessian(tangents.reshape(solution.zs.shape)), inputs)
    columns = [_pull(walk, trail, bar[:, b], bar_dot[:, b]) for b, (walk, trail) in enumerate(trails)]
    z0_bar_dot = np.array([a for a, _ in columns]) + bar_dot[0]
    leaves = [sum(each) for each in zip(*(p for _, p in columns), strict=True)]
    return z0_bar_dot.reshape(inputs.state_shape), structure.unflatten(field.theta, leaves)


class Walk(NamedTuple):
    """What all steps of a sample have in common."""

    field: VectorField
    tapes: tuple[Tape, Tape]  # the JVP, and the JVP of the VJP
    method: Method
    lands: bool
    theta: Any
    theta_dot: Any
    ts: Array  # (T,)


class Step(NamedTuple):
    """One step, its stages and their tangents; s stages."""

    h: float
    times: Array  # (s,)
    y: Array  # (s, D)
    y_dot: Array  # (s, D)
    outputs: list[tuple[int, Array | None]]  # which it has written, and the powers of theta of those inside


def _second_order(field: VectorField) -> tuple[Tape, Tape]:
    leaves = list(field.layout.places)
    pulled = transforms.vjp(field.tape, wrt=["z", *leaves])
    twice = transforms.jvp(pulled, wrt=["z", *leaves, "dz_bar"], outputs=["z_bar", *(x + "_bar" for x in leaves)])
    return field.tapes("jvp"), twice


def _evaluate(walk: Walk, tape: Tape, t: float, z: Array, z_dot: Array, **others: Array) -> dict[str, Array]:
    """Evaluate a tape at a state and along a direction of it, both (D,); others are cotangents (D,)."""
    shape = walk.field.shape
    values = {"t": t, "z": z.reshape(shape), "z_dot": z_dot.reshape(shape)}
    values |= dict(structure.flatten(walk.theta)) | {k + "_dot": v for k, v in structure.flatten(walk.theta_dot)}
    values |= {role: value.reshape(shape) for role, value in others.items()}
    return tape.evaluate({role: np.asarray(values[role], np.float64) for role in tape.inputs})


def _push(walk: Walk, steps: Array, rows: Array, z_dot: Array) -> tuple[list[Step], Array]:
    """Take a tangent along the recorded steps; return the steps, and the tangents of the outputs (T, D)."""
    method, ts = walk.method, walk.ts
    tangents, trail, output = np.zeros((len(ts), len(z_dot))), [], 1
    tangents[0] = z_dot
    for n, step in enumerate(steps):
        h, k = step["h"], rows[n, 1:]
        c, y = method.c, rows[n, 0] + h * method.A @ k
        times = np.where(c == 1.0, step["last"], np.where(c == 0.0, step["first"], step["t"] + c * h))
        y_dot, k_dot = np.zeros_like(y), np.zeros_like(y)
        for q in range(len(c)):
            y_dot[q] = z_dot + h * method.A[q, :q] @ k_dot[:q]
            k_dot[q] = _evaluate(walk, walk.tapes[0], times[q], y[q], y_dot[q])["dz_dot"].reshape(-1)
        end, written = z_dot + h * method.b @ k_dot, []
        stop = steps["t"][n + 1] if n + 1 < len(steps) else ts[-1]
        while output < len(ts) and (ts[output] - stop) * h <= 0.0:
            inside = not walk.lands and output < len(ts) - 1
            powers = ((ts[output] - step["t"]) / h) ** np.arange(1, method.interpolant.shape[1] + 1) if inside else None
            tangents[output] = end if powers is None else z_dot + h * (method.interpolant @ powers) @ k_dot
            written.append((output, powers))
            output += 1
        trail.append(Step(h, times, y, y_dot, written))
        z_dot = end
    return trail, tangents


def _pull(walk: Walk, trail: list[Step], bar: Array, bar_dot: Array) -> tuple[Array, list[Array]]:
    """Go back with cotangents and their derivatives; return those of z0 (D,), and of the leaves of theta."""
    method, leaves = walk.method, list(walk.field.layout.places)
    a, p_bar_dot = np.zeros((2, bar.shape[1])), [np.zeros(shape) for shape in walk.field.layout.shapes]
    for step in reversed(trail):
        k_bar, direct = np.zeros((2, *step.y.shape)), np.zeros_like(a)
        for output, powers in step.outputs:
            seeds = np.stack([bar[output], bar_dot[output]])
            if powers is None:
                a = a + seeds
                continue
            direct += seeds
            k_bar += step.h * np.multiply.outer(method.interpolant @ powers, seeds).swapaxes(0, 1)
        k_bar += step.h * np.multiply.outer(method.b, a).swapaxes(0, 1)
        for q in range(len(method.c) - 1, -1, -1):
            cotangents = {"dz_bar": k_bar[0, q], "dz_bar_dot": k_bar[1, q]}
            found = _evaluate(walk, walk.tapes[1], step.times[q], step.y[q], step.y_dot[q], **cotangents)
            y_bar = np.stack([found["z_bar"].reshape(-1), found["z_bar_dot"].reshape(-1)])
            k_bar[:, :q] += step.h * np.multiply.outer(method.A[q, :q], y_bar).swapaxes(0, 1)
            a = a + y_bar
            for total, role in zip(p_bar_dot, leaves, strict=True):
                total += found[role + "_bar_dot"]
        a = a + direct
    return a[1], p_bar_dot
