"""Gradients by routes that share nothing with the package: no tape, no adjoint, no compiled solver."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from adjoint_problems import flat, like, loss, loss_gradient
from scipy.integrate import solve_ivp


class Sensitivities(NamedTuple):
    zs: np.ndarray  # (T, D)
    z0: np.ndarray  # (T, D, D) of dz(t_i)/dz0
    theta: np.ndarray  # (T, D, P) of dz(t_i)/dtheta
    shift: np.ndarray  # (T, D) of dz(t_i)/ds for the field f(t + s, z, theta)


def sensitivities(problem, ts=None, z0=None):
    """Solve S' = f_z S + (0, f_theta, f_t), S(t0) = (1, 0, 0), with Jacobians by hand and SciPy's DOP853."""
    ts = problem.ts if ts is None else ts
    z0 = problem.z0 if z0 is None else z0
    D = len(z0)

    def slopes(t, y):
        z, S = y[:D], y[D:].reshape(D, -1)
        f_z, f_theta, f_t = problem.jacobians(t, z, problem.theta)
        dS = f_z @ S
        dS[:, D:-1] += f_theta
        dS[:, -1] += f_t
        return np.append(problem.function(t, z, problem.theta), dS)

    P = len(flat(problem.theta))
    states = [np.append(z0, np.hstack([np.eye(D), np.zeros((D, P + 1))]))]
    for span in pairwise(ts):  # interval by interval: a step's end is more accurate than what lies inside it
        states.append(solve_ivp(slopes, span, states[-1], "DOP853", rtol=1e-13, atol=1e-14).y[:, -1])
    zs, S = np.array(states)[:, :D], np.array(states)[:, D:].reshape(len(ts), D, -1)
    return Sensitivities(zs, S[:, :, :D], S[:, :, D:-1], S[:, :, -1])


def states(problem, ts):
    """The states alone (T, D) at times of one's own."""
    zs = [problem.z0]
    for span in pairwise(ts):
        solved = solve_ivp(problem.function, span, zs[-1], "DOP853", args=(problem.theta,), rtol=1e-13, atol=1e-14)
        zs.append(solved.y[:, -1])
    return np.array(zs)


def contract(S, zs_bar):
    """dL/dz0 and dL/dtheta as one vector (D + P,)."""
    return np.einsum("ti,tij->j", zs_bar, np.concatenate([S.z0, S.theta], axis=2))


def true_gradient(problem, ts=None, z0=None):
    """dL/dz0 and dL/dtheta of the problem's loss, as one vector (D + P,)."""
    S = sensitivities(problem, ts, z0)
    return contract(S, loss_gradient(S.zs, problem.targets))


def runge_kutta(f, z0, nodes, tableau, ts):
    """Make explicit Runge-Kutta steps from node to node; outputs between two nodes come from the interpolant."""
    outputs, z = [z0], z0
    for t, end in pairwise(nodes):
        h, k = end - t, []
        for weights, c in zip(tableau.A, tableau.c, strict=True):
            k.append(f(t + c * h, z + h * sum((w * slope for w, slope in zip(weights, k, strict=False)), 0.0 * z)))
        for s in ts[len(outputs) : np.searchsorted(ts, end)]:  # ts strictly inside the step
            powers = ((s - t) / h) ** np.arange(1, tableau.interpolant.shape[1] + 1)
            outputs.append(z + h * (tableau.interpolant @ powers) @ np.array(k))
        z = z + h * tableau.b @ np.array(k)
        if end in ts:
            outputs.append(z)
    return np.array(outputs)


def complex_step_gradient(problem, nodes, tableau):
    """dL/dz0 and dL/dtheta of the discrete solution on a given grid, (D + P,), exact to rounding: nothing cancels."""
    D, x = len(problem.z0), np.append(problem.z0, flat(problem.theta))

    def discrete_loss(x):
        theta = like(problem.theta, x[D:])
        zs = runge_kutta(lambda t, z: problem.function(t, z, theta), x[:D], nodes, tableau, problem.ts)
        return loss(zs, problem.targets)

    return np.array([discrete_loss(x + 1e-30j * unit).imag for unit in np.eye(len(x))]) / 1e-30
