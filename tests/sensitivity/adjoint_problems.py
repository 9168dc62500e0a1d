"""Two problems whose gradients are hard to get right by accident, with Jacobians derived by hand.

M is a tanh network with time input (D = 3, P = 35), V a forced van der Pol oscillator (D = 2, P = 4). Both are
non-autonomous, with a Jacobian that is not symmetric, and are observed at several times by a loss whose Hessian is not
constant: on a symmetric autonomous field with one observation, many wrong formulas give the right numbers.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

import nodeedu as ne

TIGHT = {"rtol": 1e-10, "atol": 1e-12}


class Problem(NamedTuple):
    name: str
    function: Callable[..., Any]  # f(t, z, theta), of complex numbers too
    jacobians: Callable[..., Any]  # f_z (D, D), f_theta (D, P) and f_t (D,), by hand
    z0: np.ndarray
    theta: Any
    ts: np.ndarray
    targets: np.ndarray  # (T, D)

    @property
    def field(self):
        return traced(self.name)


def network(t, z, theta):
    W1, b1, W2, b2 = theta
    x = np.concatenate([z, np.reshape(t, (1,))])
    return W2 @ np.tanh(W1 @ x + b1) + b2


def network_jacobians(t, z, theta):
    """With x = (z, t), u = W1 x + b1, h = tanh u: df_i = W2_ij (1 - h_j^2) du_j + h_j dW2_ij + db2_i."""
    W1, b1, W2, _ = theta
    x = np.append(z, t)
    h = np.tanh(W1 @ x + b1)
    f_u = W2 * (1.0 - h**2)
    f_x, identity = f_u @ W1, np.eye(len(z))
    f_W1 = np.einsum("ij,k->ijk", f_u, x).reshape(len(z), -1)
    f_W2 = np.einsum("im,j->imj", identity, h).reshape(len(z), -1)
    return f_x[:, :-1], np.hstack([f_W1, f_u, f_W2, identity]), f_x[:, -1]


def oscillator(t, z, theta):
    mu, stiffness, force, omega = theta
    x, v = z
    return np.stack([v, mu * (1 - x**2) * v - stiffness * x + force * np.cos(omega * t)])


def oscillator_jacobians(t, z, theta):
    mu, stiffness, force, omega = theta
    x, v = z
    f_z = np.array([[0.0, 1.0], [-2.0 * mu * x * v - stiffness, mu * (1.0 - x**2)]])
    f_theta = np.zeros((2, 4))
    f_theta[1] = (1.0 - x**2) * v, -x, np.cos(omega * t), -force * t * np.sin(omega * t)
    return f_z, f_theta, np.array([0.0, -force * omega * np.sin(omega * t)])


def loss(zs, targets):
    """L = sum |z - y|^2 / 2 + 0.3 sum cos z over all observations."""
    return 0.5 * np.sum((zs - targets) ** 2) + 0.3 * np.sum(np.cos(zs))


def loss_gradient(zs, targets):
    return zs - targets - 0.3 * np.sin(zs)


def leaves(theta):
    return list(theta) if isinstance(theta, tuple) else [theta]


def flat(theta):
    """The parameters, or their gradient, as one vector (P,)."""
    return np.concatenate([np.ravel(leaf) for leaf in leaves(theta)])


def like(theta, vector):
    """Inverse of `flat`."""
    parts = np.split(vector, np.cumsum([leaf.size for leaf in leaves(theta)])[:-1])
    shaped = tuple(part.reshape(leaf.shape) for part, leaf in zip(parts, leaves(theta), strict=True))
    return shaped if isinstance(theta, tuple) else shaped[0]


def both(g):
    """All that a gradient says of z0 and theta as one vector (D + P,)."""
    return np.concatenate([g.z0.ravel(), flat(g.theta)])


def gradients_of_loss(problem, method, ts=None, z0=None, solver="dopri5", **options):
    """The gradients of the problem's loss, at the states that the solver itself finds."""
    ts, z0 = problem.ts if ts is None else ts, problem.z0 if z0 is None else z0
    zs = ne.odeint(problem.field, z0, ts, problem.theta, method=solver, **options).zs
    zs_bar = loss_gradient(zs, problem.targets)
    return ne.gradients(problem.field, z0, ts, problem.theta, zs_bar, method=method, solver=solver, **options)


def _problems():
    rng = np.random.default_rng(0)
    shapes = (4, 4), (4,), (3, 4), (3,)
    weights = tuple(rng.normal(size=shape) for shape in shapes)
    ts = np.array([0.2, 0.65, 1.1, 1.7])
    M = Problem("M", network, network_jacobians, np.array([0.3, -0.5, 0.8]), weights, ts, rng.normal(size=(4, 3)))
    V = Problem(
        "V", oscillator, oscillator_jacobians, np.array([1.0, 0.5]), np.array([1.2, 0.9, 0.8, 1.7]), ts,
        rng.normal(size=(4, 2)),
    )  # fmt: skip
    return M, V


M, V = PROBLEMS = _problems()


@cache
def traced(name):
    """One field for all tests of this folder; its kernels are compiled when the first test needs them."""
    problem = {"M": M, "V": V}[name]
    return ne.vector_field(problem.function, problem.z0, problem.theta)
