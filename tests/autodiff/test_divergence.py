"""The divergence on a tape: against the full Jacobian, against D forward pushes, and what it costs."""

import numpy as np
import pytest
from fields import FIELDS

from nodeedu.autodiff import divergence, jacobian, record, vjp
from nodeedu.autodiff.divergence import squared_jacobian
from nodeedu.autodiff.primitives import ELEMENTWISE
from nodeedu.autodiff.transforms import line_of

RNG = np.random.default_rng(0)
D, H = 7, 24


def normal(*shape):
    return RNG.normal(size=shape) / np.sqrt(shape[-1])


def one_hidden_layer(t, z, theta):
    W1, b1, W2, b2 = theta
    return W2 @ np.tanh(W1 @ np.concatenate([z, np.reshape(t, (1,))]) + b1) + b2


def two_hidden_layers(t, z, theta):
    W1, b1, W2, b2, W3, b3 = theta
    return W3 @ np.tanh(W2 @ np.tanh(W1 @ z + t * b1) + b2) + b3


def coupling(t, z, theta):
    W, V = theta
    q, v = z[:3], z[3:]
    return np.concatenate([np.tanh(W @ v) * q, np.sin(V @ q) + v**3 * t])


def tokens(t, z, theta):
    x = np.reshape(z[:6], (3, 2))
    scores = np.exp(x @ theta @ x.T)
    mixed = scores / np.sum(scores, axis=1, keepdims=True) @ np.tanh(x)
    return np.concatenate([np.ravel(mixed.T), z[6:] * z[0]])


def planar(t, z, theta):
    U, W, b = theta
    return np.tanh(z @ W + b + t) @ U


def residual(t, z, theta):
    return z + np.roll(z, 1) * z[::-1] - theta * np.sum(z**2) + np.outer(z, z) @ np.cos(z)


def scaled_rows(t, z, theta):
    return np.tanh(-(theta @ (2.0 * z)))


ONE = normal(H, D + 1), normal(H), normal(D, H), normal(D)
TWO = normal(H, D), normal(H), normal(H, H), normal(H), normal(D, H), normal(D)
CASES = {
    "one hidden layer": (one_hidden_layer, ONE),
    "two hidden layers": (two_hidden_layers, TWO),
    "coupling": (coupling, (normal(3, 4), normal(4, 3))),
    "tokens": (tokens, normal(2, 2)),
    "planar": (planar, (normal(H, D), normal(D, H), normal(H))),
    "residual": (residual, np.array(0.3)),
    "scaled rows": (scaled_rows, normal(D, D)),
}


def case(name, size=D):
    f, theta = CASES[name]
    inputs = {"t": 0.4, "z": np.random.default_rng(1).normal(size=size)}
    tape = record(f, {**inputs, "theta": theta}, "dz")
    leaves = (theta,) if isinstance(theta, np.ndarray) else theta
    roles = ["theta"] if isinstance(theta, np.ndarray) else [f"theta[{i}]" for i in range(len(theta))]
    return tape, inputs | dict(zip(roles, leaves, strict=True))


def all_cases():
    yield from ((name, *case(name)) for name in CASES)
    for field in FIELDS:
        arguments = {"t": field.t, "z": field.z, "theta": field.theta}
        yield field.name, record(field.function, arguments, "dz"), field.inputs()


ALL = list(all_cases())


@pytest.mark.parametrize(("tape", "inputs"), [each[1:] for each in ALL], ids=[each[0] for each in ALL])
def test_trace_and_squares_are_those_of_the_full_jacobian(tape, inputs):
    size = np.size(inputs["z"])
    J = jacobian(tape).evaluate(inputs)["dz_z"].reshape(size, size)
    new = tape.copy()
    squares = squared_jacobian(new, line_of(new, "output", "dz"), line_of(new, "input", "z"))
    new.outputs["squares"] = squares.index
    # the same terms in another order
    assert divergence(tape).evaluate(inputs)["trace"] == pytest.approx(np.trace(J), rel=1e-12, abs=1e-13)
    assert new.evaluate(inputs)["squares"] == pytest.approx(np.sum(J**2), rel=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_gradient_of_the_divergence_equals_that_of_the_sum_of_pushes(name):
    tape, inputs = case(name)
    got = vjp(divergence(tape), ["trace"]).evaluate({**inputs, "trace_bar": 1.0})
    pushed = vjp(jacobian(tape), ["dz_z"]).evaluate({**inputs, "dz_z_bar": np.eye(D)})
    for role in tape.inputs:
        assert np.allclose(got[role + "_bar"], pushed[role + "_bar"], rtol=1e-11, atol=1e-12)  # other orders of sums


# ----------------------------------------------------------------------------------------------------------------- cost


def multiplications(tape):
    """Entries computed: of each elementwise line its size, of each contraction that of all its letters."""
    total = 0
    for i in tape.live():
        node = tape.nodes[i]
        if node.op in ELEMENTWISE:
            total += int(np.prod(node.shape))
        elif node.op == "einsum" and not is_view(tape, node):
            letters = node.attributes()["spec"].split("->")[0].split(",")
            length = {}
            for own, a in zip(letters, node.args, strict=True):
                length |= dict(zip(own, tape.nodes[a].shape, strict=True))
            total += int(np.prod(list(length.values())))
    return total


def is_view(tape, node):
    return len(node.args) == 1 and np.prod(node.shape) >= np.prod(tape.nodes[node.args[0]].shape)


def cost_of_the_trace(f, theta, size):
    tape = record(f, {"t": 0.4, "z": np.zeros(size), "theta": theta}, "dz")
    return multiplications(divergence(tape)) - multiplications(tape)


@pytest.mark.parametrize(("size", "width"), [(7, 24), (14, 24), (14, 48), (64, 64)])
def test_the_trace_of_one_hidden_layer_costs_two_multiplications_a_weight(size, width):
    theta = (np.zeros((width, size + 1)), np.zeros(width), np.zeros((size, width)), np.zeros(size))
    # slopes 1 - h^2 of the units; W1 scaled by them, met by W2; one sum with nothing
    assert cost_of_the_trace(one_hidden_layer, theta, size) == 2 * size * width + 2 * width


@pytest.mark.parametrize(("size", "width"), [(7, 24), (32, 64)])
def test_a_second_layer_costs_one_product_with_a_matrix(size, width):
    shapes = (width, size), (width,), (width, width), (width,), (size, width), (size,)
    cost = cost_of_the_trace(two_hidden_layers, tuple(map(np.zeros, shapes)), size)
    assert cost == size * width**2 + 3 * size * width + 4 * width
