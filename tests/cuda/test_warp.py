"""A warp solves a sample: which fields it takes, and that its PTX gives what the CPU gives."""

import inspect

import numpy as np
import pytest

import nodeedu as ne
from nodeedu.compile import van_der_pol_field
from nodeedu.cuda.device import SIMULATOR
from nodeedu.cuda.mlp import recognise
from nodeedu.cuda.mlp_slopes import slope_functions
from nodeedu.cuda.warp_launch import require_warp, solve_warp
from nodeedu.solvers.arguments import check_inputs, check_options
from nodeedu.solvers.solve import solve

proof = [pytest.mark.cuda, pytest.mark.jit]


def cubed_rows(t, z, theta):
    """As the paper's code has it: states as rows, z cubed."""
    W1, b1, W2, b2 = theta
    return np.tanh(z**3 @ W1 + b1) @ W2 + b2


def with_own_time_weights(t, z, theta):
    W1, w, b1, W2 = theta
    return W2 @ np.tanh(W1 @ z + w * t + b1)


def normal(*shapes):
    rng = np.random.default_rng(0)
    return tuple(0.3 * rng.normal(size=shape) for shape in shapes)


CUBED = (cubed_rows, normal((2, 50), 50, (50, 2), 2))
TIMED = (with_own_time_weights, normal((40, 3), 40, 40, (3, 40)))


def field_of(example):
    function, theta = example
    size = theta[-1].shape[0] if function is with_own_time_weights else 2
    return ne.vector_field(function, np.zeros(size), theta), theta


def from_places(field, theta, t, z):
    """Evaluate the perceptron that was recognised, from p alone."""
    mlp, p = recognise(field), field.pack(theta)
    units, sides = np.arange(mlp.hidden)[:, None], np.arange(mlp.size)
    x = z**3 if mlp.inputs else z
    s = p[mlp.w1.start + units * mlp.w1.unit + sides * mlp.w1.side] @ x
    if mlp.time:
        s = s + t * p[mlp.time.start + np.arange(mlp.hidden) * mlp.time.stride]
    if mlp.b1:
        s = s + p[mlp.b1.start + np.arange(mlp.hidden) * mlp.b1.stride]
    dz = p[mlp.w2.start + units * mlp.w2.unit + sides * mlp.w2.side].T @ np.tanh(s)
    return dz + p[mlp.b2.start + sides * mlp.b2.stride] if mlp.b2 else dz


WIDE = ne.nn.MLP((6, 9, 6))  # both axes of its matrices are long: there are transposed copies
MLPS = [ne.nn.MLP((3, 7, 3)), WIDE, ne.nn.MLP((2, 50, 2), time=True)]


@pytest.mark.parametrize("example", [CUBED, TIMED, *((mlp, mlp.init(0)) for mlp in MLPS)])
def test_the_perceptron_is_read_off_the_tape_with_the_places_of_its_parameters(example):
    function, theta = example
    size = function.sizes[0] if isinstance(function, ne.nn.MLP) else len(theta[-1]) if function is not cubed_rows else 2
    field, z = ne.vector_field(function, np.zeros(size), theta), np.random.default_rng(1).normal(size=size)
    np.testing.assert_allclose(from_places(field, theta, 0.7, z), function(0.7, z, theta), rtol=1e-13)  # other order


def test_the_copies_for_coalesced_reading_hold_the_same_matrices():
    theta = WIDE.init(0)
    field = ne.vector_field(WIDE, np.zeros(6), theta)
    found, p = recognise(field), field.pack(theta)
    units, sides = np.arange(9)[:, None], np.arange(6)
    for matrix, axis in ((found.w1_along("unit"), "unit"), (found.w1_along("side"), "side")):
        assert getattr(matrix, axis) == 1
        np.testing.assert_array_equal(p[matrix.start + units * matrix.unit + sides * matrix.side], theta["W1"])


def two_layers(t, z, theta):
    return theta[2] @ np.tanh(theta[1] @ np.tanh(theta[0] @ z))


def product(t, z, theta):
    return (theta[0] @ z) * (theta[1] @ z)


@pytest.mark.parametrize(
    ("function", "theta", "what"),
    [
        (two_layers, normal((5, 2), (5, 5), (2, 5)), "does not multiply a function, component by component, of z"),
        (product, normal((2, 2), (2, 2)), "mul stands where parameters"),
    ],
)
def test_another_field_is_refused_with_the_kernel_that_takes_it(function, theta, what):
    with pytest.raises(ValueError, match=f"(?s){what}.*kernel='thread'"):
        recognise(ne.vector_field(function, np.zeros(2), theta))


@pytest.mark.parametrize(
    ("act", "second"),
    [
        (np.tanh, lambda s: -2 * np.tanh(s) / np.cosh(s) ** 2),
        (np.sin, lambda s: -np.sin(s)),
        (lambda s: s**3 + s * np.exp(-s), lambda s: 6 * s + (s - 2) * np.exp(-s)),
    ],
)
def test_what_pulls_back_an_activation_and_its_slope_knows_the_second_derivative(act, second):
    theta = normal((3, 2), (2, 3))
    field = ne.vector_field(lambda t, z, theta: theta[1] @ act(theta[0] @ z), np.zeros(2), theta)
    vjp, s, nothing = inspect.unwrap(slope_functions(recognise(field).activation, np.dtype(float))[1]), 0.7, np.zeros(9)
    y, s_bar = np.zeros((1, 2)), np.zeros((1, 2))
    vjp(np.zeros(1), np.array([[s, 0.0]]), np.array([[0.0, 1.0]]), nothing, y, s_bar, nothing)
    np.testing.assert_allclose(y[0, 0], act(s), rtol=1e-14)
    np.testing.assert_allclose(s_bar[0], [second(s), 0.0], rtol=1e-13)  # a few operations of an ulp each


def test_a_handwritten_field_has_no_tape_to_read():
    with pytest.raises(ValueError, match=r"no tape.*kernel='thread'"):
        recognise(van_der_pol_field())


@pytest.mark.parametrize(
    ("sizes", "options", "message"),
    [
        ((2, 50, 2), {"method": "rk4", "step_size": 0.1}, "kernel='thread' any explicit method"),
        ((2, 50, 2), {"jump_ts": [0.5]}, "take kernel='thread'"),
        ((12, 50, 12), {}, "take kernel='tile'"),
        ((2, 900, 2), {}, "take kernel='tile'"),
    ],
)
def test_a_limit_ends_in_an_error_that_names_the_kernel_to_use(sizes, options, message):
    mlp = ne.nn.MLP(sizes)
    theta, z0 = mlp.init(0), np.zeros((1, sizes[0]))
    inputs = check_inputs(ne.vector_field(mlp, z0[0], theta), z0, [0.0, 1.0], theta)
    with pytest.raises(ValueError, match=message):
        require_warp(inputs, check_options(shape=sizes[:1], **options))


def problem(example, seed=0):
    """Four samples with times of their own, some of them backwards."""
    field, theta = field_of(example)
    z0 = np.random.default_rng(seed).normal(size=(4, field.size))
    ts = np.array([0.0, 0.4, 1.0]) * np.array([1.0, -1.0, 0.5, 2.0])[:, None]
    return check_inputs(field, z0, ts, theta), check_options("dopri5", 1e-6, 1e-8, shape=field.shape)


class TestExecutedPtx:
    pytestmark = proof

    def test_samples_with_times_and_parameters_of_their_own_equal_the_cpu(self):
        from nodeedu.cuda.proof import PTX

        inputs, options = problem(TIMED)
        scales = (1.0, 0.9, 0.8, 0.7)
        zs, samples = solve_warp(inputs, np.stack([scale * inputs.p for scale in scales]), options, PTX)
        for b, scale in enumerate(scales):
            one = check_inputs(inputs.field, inputs.z0[b : b + 1], inputs.ts[b : b + 1],
                               inputs.field.unpack(scale * inputs.p[: inputs.field.n_params]))  # fmt: skip
            expected = solve(one, options)
            np.testing.assert_allclose(zs[:, b], expected.zs[:, 0], atol=1e-12)  # a GPU fuses multiply-adds
            for name in ("accepted", "rejected", "nfev", "f_initial", "status"):
                assert samples[name][b] == expected._samples[name][0]


def test_the_simulator_has_no_shuffles_and_says_so():
    inputs, options = problem(CUBED)
    with pytest.raises(Exception, match="shfl"):
        solve_warp(inputs, inputs.p[None], options, SIMULATOR)
