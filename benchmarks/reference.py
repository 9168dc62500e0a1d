r"""The true gradient, by a route that no library under test takes: forward sensitivities with a Jacobian by hand.

With S = dz/d(theta, z0) the state (z, S) obeys z' = f and S' = J S + f_theta (Hairer, Norsett and Wanner I, ch. I.14),
and dL/dp = sum_i (dL/dz_i) S(t_i). For f = W2 u + b2 with u = tanh(W1 x + b1), x = z**3 and s = 1 - u**2:

    J = (W2 * s) W1 diag(3 z**2),    df/dW1 = (W2 * s) x^T,    df/db1 = W2 * s,    df/dW2 = I u^T,    df/db2 = I.
"""

from __future__ import annotations

import numpy as np

from benchmarks.problem import Gradient, Problem


def field_and_jacobians(z: np.ndarray, theta: tuple[np.ndarray, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Field f (B, D), Jacobian J (B, D, D) and f_theta (B, D, P) at the states z (B, D)."""
    w1, b1, w2, b2 = theta
    n, d = z.shape
    x = z**3
    u = np.tanh(x @ w1.T + b1)
    gain = w2[None] * (1.0 - u**2)[:, None, :]
    eye = np.eye(d)
    jacobian = (gain @ w1) * (3.0 * z**2)[:, None, :]
    d_w1 = np.einsum("bij,bk->bijk", gain, x).reshape(n, d, -1)
    d_w2 = np.einsum("ik,bj->bikj", eye, u).reshape(n, d, -1)
    d_b2 = np.broadcast_to(eye, (n, d, d))
    return u @ w2.T + b2, jacobian, np.concatenate([d_w1, gain, d_w2, d_b2], axis=2)


def reference_gradient(problem: Problem, rtol: float = 1e-13, atol: float = 1e-14) -> Gradient:
    """dL/dz0, dL/dtheta and dL/dt_i of a problem, by SciPy's DOP853 on the forward sensitivities."""
    from scipy.integrate import solve_ivp

    z0 = np.atleast_2d(problem.z0)
    n, d = z0.shape
    n_params = sum(array.size for array in problem.theta)

    def sensitivity_ode(t, state):
        columns = state.reshape(n, d, 1 + n_params + d)
        f, jacobian, f_theta = field_and_jacobians(columns[:, :, 0], problem.theta)
        rate = np.empty_like(columns)
        rate[:, :, 0] = f
        rate[:, :, 1:] = jacobian @ columns[:, :, 1:]
        rate[:, :, 1 : 1 + n_params] += f_theta
        return rate.ravel()

    start = np.zeros((n, d, 1 + n_params + d))
    start[:, :, 0] = z0
    start[:, :, 1 + n_params :] = np.eye(d)
    # Interval by interval: SciPy's interpolant is less accurate than its steps.
    states = [start]
    for t0, t1 in zip(problem.ts[:-1], problem.ts[1:], strict=True):
        solution = solve_ivp(sensitivity_ode, (t0, t1), states[-1].ravel(), method="DOP853", rtol=rtol, atol=atol)
        states.append(solution.y[:, -1].reshape(start.shape))
    return _contract(problem, np.stack(states), n_params)


def _contract(problem: Problem, states: np.ndarray, n_params: int) -> Gradient:
    """With g_i = dL/dz_i: dL/dp = sum_i g_i S(t_i), dL/dt_i = g_i f(z_i), dL/dt0 = -sum_{i>=1} g_i S_z0(t_i) f(z0)."""
    zs = states[..., 0]
    bars = problem.loss_and_gradient(zs.reshape(problem.target.shape))[1].reshape(zs.shape)
    flat = np.einsum("tbd,tbdp->p", bars, states[..., 1 : 1 + n_params])
    per_time = np.einsum("tbd,tbde->tbe", bars, states[..., 1 + n_params :])
    fields = np.stack([field_and_jacobians(z, problem.theta)[0] for z in zs])
    ts = np.einsum("tbd,tbd->t", bars, fields)
    ts[0] = -np.sum(per_time[1:].sum(axis=0) * fields[0])
    sizes = np.cumsum([array.size for array in problem.theta])[:-1]
    theta = tuple(part.reshape(array.shape) for part, array in zip(np.split(flat, sizes), problem.theta, strict=True))
    return Gradient(per_time.sum(axis=0).reshape(problem.z0.shape), theta, ts)
