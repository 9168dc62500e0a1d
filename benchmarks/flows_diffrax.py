"""The likelihood of a flow in diffrax: a jitted `value_and_grad` with `BacksolveAdjoint`, the batch as one system."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_cpu_enable_async_dispatch", False)  # on one core, another thread costs more than it hides


def field(t, z, theta):
    """f(t, z) of one sample."""
    w1, b1, w2, b2, w3, b3 = theta
    h = jnp.tanh(w1 @ jnp.concatenate([z, jnp.reshape(t, (1,))]) + b1)
    return w3 @ jnp.tanh(w2 @ h + b2) + b3


def exact(t, state, args):
    """(z, log p)' = (f, -tr J) of one sample: D forward pushes."""
    theta, _ = args

    def f(z):
        return field(t, z, theta)

    dz, push = jax.linearize(f, state[0])
    return dz, -jnp.trace(jax.vmap(push)(jnp.eye(len(state[0]))))


def hutchinson(t, state, args):
    """(z, log p)' = (f, -v J v) of one sample."""
    theta, v = args
    dz, pull = jax.vjp(lambda z: field(t, z, theta), state[0])
    return dz, -jnp.dot(pull(v)[0], v)


def loss_function(problem: Any, tolerance: float) -> Any:
    """The function (theta, x, noise) -> nll."""
    batch = jax.vmap(exact if problem.trace == "exact" else hutchinson, in_axes=(None, 0, (None, 0)))

    def loss(theta, x, noise):
        z, change = diffrax.diffeqsolve(
            diffrax.ODETerm(batch), diffrax.Dopri5(), 1.0, 0.0, dt0=None, y0=(x, jnp.zeros(len(x))),
            args=(theta, noise), adjoint=diffrax.BacksolveAdjoint(),
            stepsize_controller=diffrax.PIDController(rtol=tolerance, atol=tolerance),
        ).ys  # fmt: skip
        return (0.5 * (z[0] ** 2).sum(1) + 0.5 * x.shape[1] * jnp.log(2.0 * jnp.pi) + change[0]).mean()

    return loss


def work(problem: Any, tolerance: float) -> Callable[[], Any]:
    """The function () -> (nll, gradient)."""
    compiled = jax.jit(jax.value_and_grad(loss_function(problem, tolerance)))
    arguments = tuple(map(jnp.asarray, problem.theta)), jnp.asarray(problem.x), jnp.asarray(problem.noise)
    return lambda: jax.block_until_ready(compiled(*arguments))


def arrays(result: Any) -> Any:
    """Turn a result into NumPy arrays."""
    return float(result[0]), tuple(map(np.asarray, result[1]))
