"""Random programs: whatever is written in the primitives, tape, Tensor and differences agree."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from nodeedu.autodiff import (
    Tensor,
    central_difference,
    complex_step,
    divergence,
    jacobian,
    record,
    sigmoid,
    softplus,
    structure,
    tape_dot_product_test,
    vjp,
)

# Smooth and of moderate size everywhere, so that differences are accurate; x and y are earlier values, of shape (3,).
STEPS = {
    "sin": lambda x, y, w: np.sin(x),
    "tanh": lambda x, y, w: np.tanh(x - y),
    "sigmoid": lambda x, y, w: sigmoid(2.0 * x) - 0.5,
    "softplus": lambda x, y, w: np.cos(softplus(x)),
    "product": lambda x, y, w: x * y / 2,
    "quotient": lambda x, y, w: x / (1.0 + y**2),
    "power": lambda x, y, w: (1.5 + np.sin(x)) ** np.cos(y) - 1.0,
    "root": lambda x, y, w: y - np.sqrt(1.0 + x * x),
    "log": lambda x, y, w: np.log(2.0 + np.cos(x)) * np.arctan(y),
    "exp": lambda x, y, w: np.exp(-(x**2)) + w["k"],
    "matrix": lambda x, y, w: np.tanh(w["W"] @ x + y),
    "row": lambda x, y, w: np.sin(x @ w["W"].T),
    "outer": lambda x, y, w: np.mean(np.outer(np.sin(x), np.cos(y)), axis=0),
    "contraction": lambda x, y, w: np.cos(x @ y) * w["W"][1],
    "shift": lambda x, y, w: np.concatenate([x[1:], y[:1]]) * 0.7,
    "reverse": lambda x, y, w: np.stack([y[2], x[0], w["k"]])[::-1],
    "fold": lambda x, y, w: np.sum(np.stack([x, y, x]).reshape(9)[::3]) * np.ones_like(x) / 3,
    "scatter": lambda x, y, w: np.sin(x)[[2, 0, 2]] - y[None, :, None].T[0, :, 0],
}
# (step, index of x, index of y) for each line; indices are taken modulo the number of values there are
PROGRAMS = st.lists(
    st.tuples(st.sampled_from(sorted(STEPS)), st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=6
)
Z = np.array([0.4, -0.9, 0.7])
THETA = {"W": np.random.default_rng(0).normal(size=(3, 3)), "k": np.array(0.6)}
POINT = {"t": 0.3, "z": Z, "theta['W']": THETA["W"], "theta['k']": THETA["k"]}


def function_of(program):
    def f(t, z, theta):
        values = [z, np.cos(z + t)]
        for step, i, j in program:
            values.append(STEPS[step](values[-1 - i % len(values)], values[-1 - j % len(values)], theta))
        return values[-1]

    return f


def tape_of(program):
    return record(function_of(program), {"t": 0.3, "z": Z, "theta": THETA}, "dz")


few = settings(max_examples=25)  # each example checks a whole program; more add seconds, not kinds


@few
@given(PROGRAMS)
def test_jvp_and_vjp_of_a_random_program_are_adjoint(program):
    assert tape_dot_product_test(tape_of(program), POINT) < 1e-14  # rounding of some hundred operations


@few
@given(PROGRAMS)
def test_vjp_of_a_random_program_equals_the_complex_step(program):
    tape = tape_of(program)
    dz_bar, v = (
        np.array([1.0, -0.5, 2.0]),
        structure.tree_map(lambda x: np.cos(np.arange(np.size(x))).reshape(np.shape(x)), POINT),
    )
    got = vjp(tape).evaluate({**POINT, "dz_bar": dz_bar})
    expected = complex_step(lambda x: dz_bar @ tape.evaluate(x)["dz"], POINT, v)
    assert np.isclose(
        sum(np.sum(got[role + "_bar"] * v[role]) for role in POINT), expected, rtol=1e-12, atol=1e-12
    )  # rounding


@few
@given(PROGRAMS)
def test_backward_through_a_random_program_equals_the_vjp_of_its_tape(program):
    dz_bar = np.array([1.0, -0.5, 2.0])
    expected = vjp(tape_of(program)).evaluate({**POINT, "dz_bar": dz_bar})
    leaves = {"t": Tensor(0.3), "z": Tensor(Z)}
    theta = structure.tree_map(Tensor, THETA)
    result = function_of(program)(leaves["t"], leaves["z"], theta)
    np.sum(dz_bar * result).backward()
    for role, leaf in {**leaves, **dict(structure.flatten(theta))}.items():
        got = np.zeros(leaf.shape) if leaf.grad is None else leaf.grad
        assert np.allclose(got, expected[role + "_bar"], rtol=1e-12, atol=1e-13)  # the same rules, other orders of sums


@settings(max_examples=10)
@given(PROGRAMS)
def test_divergence_and_its_gradient_of_a_random_program_equal_differences(program):
    tape = divergence(tape_of(program))
    got = vjp(tape, ("trace",)).evaluate({**POINT, "trace_bar": 1.0})
    by_z = central_difference(lambda z: tape.evaluate({**POINT, "z": z})["trace"], Z, step=0.01)
    J = jacobian(tape).evaluate(POINT)["dz_z"]
    assert np.isclose(got["trace"], np.trace(J), rtol=1e-13, atol=1e-13)  # the same terms in another order
    assert np.allclose(got["z_bar"], by_z.value, rtol=1e-7, atol=1e-8)  # nested powers turn fast: few orders remain
