"""The multilayer perceptron: one sample, many samples, traced, on Tensors."""

import pickle

import numpy as np
import pytest

import nodeedu as ne
from nodeedu import nn
from nodeedu.autodiff.structure import tree_map

ROUNDING = {"rtol": 1e-13, "atol": 1e-14}  # sums of some ten terms of size 1, in another order
ACTIVATIONS = {"tanh": np.tanh, "sin": np.sin, "sigmoid": ne.sigmoid, "softplus": ne.softplus, "relu": ne.relu}


def trained(mlp, seed=0):
    """Parameters with biases that are not 0."""
    rng = np.random.default_rng(seed)
    return tree_map(lambda x: x + rng.normal(0.0, 0.1, x.shape), mlp.init(seed))


def test_mlp_is_the_textbook_formula():
    mlp = nn.MLP((2, 5, 4, 3))
    theta, z = trained(mlp), np.array([0.3, -0.7])
    h = np.tanh(theta["W2"] @ np.tanh(theta["W1"] @ z + theta["b1"]) + theta["b2"])
    np.testing.assert_array_equal(mlp(0.0, z, theta), theta["W3"] @ h + theta["b3"])  # the same operations


@pytest.mark.parametrize("time", [False, True])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_traced_mlp_is_the_mlp(name, time):
    mlp = nn.MLP((2, 5, 2), ACTIVATIONS[name], time=time)
    theta, z = trained(mlp), np.array([0.3, -0.7])
    field = ne.vector_field(mlp, z, theta)
    np.testing.assert_allclose(field(0.4, z, theta), mlp(0.4, z, theta), **ROUNDING)


@pytest.mark.parametrize("t", [0.4, np.array([0.1, 0.2, 0.3])], ids=["one time", "own times"])
def test_batch_is_the_mlp_row_by_row(t):
    mlp = nn.MLP((2, 5, 3), time=True)
    theta, z = trained(mlp), np.random.default_rng(1).normal(size=(3, 2))
    rows = [mlp(ti, zi, theta) for ti, zi in zip(np.broadcast_to(t, 3), z, strict=True)]
    np.testing.assert_allclose(mlp.batch(z, theta, t), rows, **ROUNDING)


def test_time_is_the_last_input():
    mlp = nn.MLP((2, 3), time=True)
    theta = {"W1": np.arange(9.0).reshape(3, 3), "b1": np.zeros(3)}
    np.testing.assert_array_equal(mlp(10.0, np.array([1.0, 0.0]), theta), [20.0, 53.0, 86.0])  # W1 @ (1, 0, 10)


def test_backward_through_a_batch_of_tensors_agrees_with_the_complex_step():
    mlp = nn.MLP((2, 5, 3))
    theta, z = trained(mlp), np.random.default_rng(1).normal(size=(4, 2))
    direction = trained(mlp, seed=2)
    tensors = tree_map(ne.Tensor, theta)
    np.sum(mlp.batch(z, tensors) ** 2).backward()
    got = sum(np.sum(tensors[key].grad * direction[key]) for key in theta)
    moved = tree_map(lambda x, d: x + 1e-30j * d, theta, direction)
    expected = np.sum(mlp.batch(z, moved) ** 2).imag / 1e-30
    np.testing.assert_allclose(got, expected, rtol=1e-12)  # the complex step has no truncation error: rounding only


def test_emitted_source_names_the_parameters_by_their_keys():
    mlp = nn.MLP((2, 5, 2))
    source = ne.vector_field(mlp, np.zeros(2), mlp.init(0)).source("f")
    assert "W1_0" in source
    assert "b1" in source


def test_same_seed_gives_the_same_bits():
    mlp = nn.MLP((2, 5, 2))
    for key, leaf in mlp.init(7).items():
        assert leaf.tobytes() == mlp.init(7)[key].tobytes()


def test_another_seed_gives_other_weights():
    mlp = nn.MLP((2, 5, 2))
    assert not np.any(mlp.init(7)["W1"] == mlp.init(8)["W1"])


def test_init_without_a_seed_is_refused():
    with pytest.raises(ValueError, match="seed: got None"):
        nn.MLP((2, 5, 2)).init(None)


def test_scale_is_a_factor_on_the_values_of_the_new_network():
    mlp = nn.MLP((2, 5, 5, 2))
    z = np.array([0.3, -0.7])
    large, small = mlp(0.0, z, mlp.init(0)), mlp(0.0, z, mlp.init(0, scale=0.25))
    np.testing.assert_array_equal(small, 0.25 * large)  # a power of 2: exact


def test_float32_parameters_on_request():
    mlp = nn.MLP((2, 5, 2))
    theta = mlp.init(0, dtype=np.float32)
    assert {leaf.dtype for leaf in theta.values()} == {np.dtype(np.float32)}
    assert mlp.batch(np.ones((3, 2), np.float32), theta).dtype == np.float32


def test_mlp_can_be_pickled():
    mlp = nn.MLP((2, 5, 2), np.sin, time=True)
    assert pickle.loads(pickle.dumps(mlp)) == mlp


@pytest.mark.parametrize("sizes", [(2,), (2, 0, 2), (2, 5.0, 2), ()])
def test_sizes_that_are_no_layers_are_refused(sizes):
    with pytest.raises(ValueError, match="expected at least two positive integers"):
        nn.MLP(sizes)


def test_activation_that_is_no_function_is_refused():
    with pytest.raises(TypeError, match="activation: got 'tanh', expected a function"):
        nn.MLP((2, 5, 2), "tanh")


def test_batch_given_to_the_call_is_refused_with_the_remedy():
    mlp = nn.MLP((2, 5, 2))
    with pytest.raises(ValueError, match=r"z: got shape \(3, 2\), expected one sample \(2,\); `batch` takes many"):
        mlp(0.0, np.zeros((3, 2)), mlp.init(0))


def test_batch_of_other_length_is_refused():
    mlp = nn.MLP((2, 5, 2))
    with pytest.raises(ValueError, match=r"z: got shape \(4, 3\), expected \(\.\.\., 2\)"):
        mlp.batch(np.zeros((4, 3)), mlp.init(0))


def test_batch_with_time_needs_times():
    mlp = nn.MLP((2, 5, 2), time=True)
    with pytest.raises(ValueError, match="t: got None, expected one time"):
        mlp.batch(np.zeros((4, 2)), mlp.init(0))
