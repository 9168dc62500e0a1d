"""Vector fields that the tests of tracing and of the emitter share: small, smooth where evaluated, all different.

Each is written as a user would write it. `FIELDS` gives a point (t, z, theta) with each, away from kinks and ties.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from nodeedu.autodiff import relu, sigmoid, softplus


class Field(NamedTuple):
    name: str
    function: Callable[..., Any]
    z: np.ndarray
    theta: Any
    t: float = 0.3

    def inputs(self) -> dict[str, Any]:
        """Role to value, as a tape wants them."""
        from nodeedu.autodiff import structure

        return {"t": self.t, "z": self.z, **dict(structure.flatten(self.theta, "theta"))}


def lotka_volterra(t, z, theta):
    alpha, beta, gamma, delta = theta
    x, y = z
    return np.array([alpha * x - beta * x * y, -gamma * y + delta * x * y])


def lotka_volterra_list(t, z, theta):
    x, y = z
    return [theta["a"] * x - theta["b"] * x * y, theta["d"] * x * y - theta["c"] * y]


def spiral(t, z, theta):
    W1, b1, W2, b2 = theta
    h = np.tanh(W1 @ z**3 + b1)
    return W2 @ h + b2


def forced_pendulum(t, z, theta):
    return np.stack([z[1], -theta * np.sin(z[0]) - 0.1 * z[1] + np.cos(t)])


def van_der_pol(t, z, theta):
    x, v = z
    return v, theta["mu"] * (1 - x**2) * v - x + theta["forcing"][0] * np.sin(theta["forcing"][1] * t)


def decay(t, z, theta):
    return -theta * z + np.sin(t)


def commutator(t, z, theta):
    return theta @ z - z @ theta.T


def with_time_input(t, z, theta):
    x = np.concatenate([z, np.reshape(t, (1,))])
    return np.tanh(theta["W"] @ x + theta["b"]) @ theta["V"]


def wide_mlp(t, z, theta):
    W1, w, b1, W2, b2 = theta
    return W2 @ np.tanh(W1 @ z + w * t + b1) + b2


def three_layers(t, z, theta):
    for W, b in theta[:-1]:
        z = softplus(W @ z + b)
    W, b = theta[-1]
    return W @ z + b


def heat(t, z, theta):
    inner = z[2:] - 2 * z[1:-1] + z[:-2]
    return theta * np.concatenate([[0.0], inner, [0.0]])


def reaction_diffusion(t, z, theta):
    diffusion, rate = theta
    return diffusion * (np.roll(z, 1) - 2 * z + np.roll(z, -1)) + rate * z * (1 - z**2)


def kepler(t, z, theta):
    q, v = z[:2], z[2:]
    r = np.linalg.norm(q)
    return np.concatenate([v, -theta * q / r**3])


def log_parameter(t, z, theta):
    return -np.exp(theta["log_k"]) * z / np.sqrt(1 + np.sum(z**2))


def kinked(t, z, theta):
    branch = np.where(z > 0, -theta[0] * z, np.maximum(z, -1.0) * theta[1])
    return branch + np.minimum(np.abs(z), 2.0) + np.clip(z, -0.5, 0.5) + relu(z - 0.3)


def normed_weights(t, z, theta):
    W = theta / np.sqrt(np.sum(theta**2, axis=1, keepdims=True))
    return np.tanh(W @ z)


def gated(t, z, theta):
    U, b = theta["gate"]
    gate = sigmoid(U @ z + b)
    return gate * np.tanh(theta["W"] @ z) - (1 - gate) * z


def outer_product(t, z, theta):
    return np.outer(z, z) @ (theta * z)


def axes_split_and_merged(t, z, theta):
    pairs = z.reshape(3, 2)
    turned = np.transpose(pairs @ theta)
    return np.reshape(turned * turned.mean(axis=1, keepdims=True), -1)


def attention(t, z, theta):
    Q, K, V = theta
    scores = np.exp((z @ Q) @ (z @ K).T / 2.0)
    return scores / scores.sum(axis=1, keepdims=True) @ (z @ V)


def hill(t, z, theta):
    n, K = theta
    production = z[::-1] ** n / (K**n + z[::-1] ** n)
    return production - z


def elementary(t, z, theta):
    a, b, c, d = z
    return np.stack([
        np.log(a) * np.tan(theta * b) + t**2,
        np.arctan(c) * np.sqrt(d) + 2.0**a,
        np.sinh(b) - np.cosh(c) * np.square(a),
        np.exp(-a) / (1.0 + d**2) + abs(b) ** 1.5 + 1 / c,
    ])  # fmt: skip


def accumulated(t, z, theta):
    total = 0.0
    for k in range(3):
        total += theta[k] * z[k] ** (k + 1)
    return total * z[[2, 0, 1]] - z[None].sum(axis=0) + z[-1]


def misleading_names(t, z, theta):
    """Names that the package itself uses for cotangents and roles, on other things."""
    a = np.sin(z)
    dz = z * a
    z_bar = np.exp(-dz)
    dz_bar = theta["z"] * z_bar
    trace = theta["t"] + dz_bar * a
    t = trace * theta["dz"] + t
    z = t * z
    return z + theta["a"] * a


def without_parameters(t, z, theta):
    return -z * np.cos(t)


def empty_leaf_among(t, z, theta):
    return -theta[1] * z + np.sum(theta[0])


def constant(t, z, theta):
    return np.zeros_like(z) + theta


def _fields() -> list[Field]:
    rng = np.random.default_rng(0)

    def normal(*shape):
        return 0.5 * rng.normal(size=shape)

    pair = np.array([1.0, 0.5])
    return [
        Field("lotka_volterra", lotka_volterra, pair, (1.5, 1.0, 3.0, 1.0)),
        Field("lotka_volterra_list", lotka_volterra_list, pair, {"a": 1.5, "b": 1.0, "c": 3.0, "d": 1.0}),
        Field("spiral", spiral, pair, (normal(50, 2), normal(50), normal(2, 50), normal(2))),
        Field("forced_pendulum", forced_pendulum, pair, np.array(2.0)),
        Field("van_der_pol", van_der_pol, pair, {"mu": np.array(1.2), "forcing": np.array([0.4, 1.7])}),
        Field("decay_of_a_scalar", decay, np.array(1.0), np.array(2.0)),
        Field("decay_of_one_entry", decay, np.array([1.0]), np.array([2.0])),
        Field("commutator", commutator, normal(3, 3), normal(3, 3)),
        Field("with_time_input", with_time_input, pair, {"W": normal(16, 3), "b": normal(16), "V": normal(16, 2)}),
        Field("wide_mlp", wide_mlp, normal(8), (normal(64, 8), normal(64), normal(64), normal(8, 64) / 4, normal(8))),
        Field(
            "three_layers",
            three_layers,
            normal(2),
            [(normal(24, 2), normal(24)), (normal(24, 24) / 4, normal(24)), (normal(2, 24), normal(2))],
        ),
        Field("heat", heat, normal(12), np.array(0.3)),
        Field("reaction_diffusion", reaction_diffusion, normal(10), (np.array(0.3), np.array(0.1))),
        Field("kepler", kepler, np.array([1.0, 0.4, -0.2, 0.9]), np.array(1.3)),
        Field("log_parameter", log_parameter, normal(3), {"log_k": np.array(0.3)}),
        Field("kinked", kinked, np.array([0.7, -0.4, 0.1, -1.7, 2.6]), (np.array(0.3), np.array(0.8))),
        Field("normed_weights", normed_weights, normal(6), normal(6, 6)),
        Field("gated", gated, normal(4), {"gate": (normal(4, 4), normal(4)), "W": normal(4, 4)}),
        Field("outer_product", outer_product, normal(5), np.array(0.9)),
        Field("axes_split_and_merged", axes_split_and_merged, normal(6), normal(2, 2)),
        Field("attention", attention, normal(4, 3), (normal(3, 3), normal(3, 3), normal(3, 3))),
        Field("hill", hill, np.array([0.8, 1.7]), np.array([2.3, 1.1])),
        Field("elementary", elementary, np.array([0.7, -0.6, 1.1, 1.4]), np.array(0.8)),
        Field("accumulated", accumulated, normal(3), normal(3)),
        Field("misleading_names", misleading_names, pair, {"z": 0.7, "t": normal(2), "dz": 1.3, "a": normal(2)}),
        Field("without_parameters", without_parameters, pair, (np.zeros(0),)),
        Field("empty_leaf_among", empty_leaf_among, pair, (np.zeros(0), np.array(2.0))),
        Field("constant", constant, normal(3), np.array(0.2)),
    ]


FIELDS = _fields()
