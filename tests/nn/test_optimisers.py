"""Optimisers against numbers of PyTorch, and against what their equations imply."""

import math

import numpy as np
import pytest

from nodeedu import nn
from nodeedu.autodiff.structure import tree_map

OPTIMISERS = [
    nn.SGD(0.1),
    nn.SGD(0.1, 0.9),
    nn.SGD(0.1, 0.9, nesterov=True),
    nn.RMSprop(0.1),
    nn.Adam(0.1),
    nn.Adam(0.1, weight_decay=0.1),
]
every_optimiser = pytest.mark.parametrize("optimiser", OPTIMISERS, ids=repr)

# The fifth iterate of torch.optim (PyTorch 2.13.0, CPU, float64) on `rosenbrock_and_a_wave` from START. eps is large so
# that its place in the formula shows.
START = np.array([-1.2, 1.0, 0.5])
TORCH = [
    (nn.SGD(0.01), [-0.958556878980367, 0.99900718625425, 0.4873073218941756]),
    (nn.SGD(0.01, momentum=0.9), [-0.9112947665588543, 0.6629989269238421, 0.46575866251810594]),
    (nn.SGD(0.01, momentum=0.9, nesterov=True), [-0.7553062904342948, 0.6152014878218042, 0.44917126823754755]),
    (nn.RMSprop(0.01, decay=0.9, eps=1e-3), [-1.1094207472093731, 1.0874312216209934, 0.3681427581580354]),
    (nn.Adam(0.1, beta1=0.8, beta2=0.9, eps=1e-3), [-0.9332391939018015, 1.1538245442078967, 0.03224895781731295]),
    (
        nn.Adam(0.1, beta1=0.8, beta2=0.9, eps=1e-3, weight_decay=0.1),
        [-0.8921047810356196, 1.083447469261744, 0.017337789214693172],
    ),
]


def rosenbrock_and_a_wave(x):
    """Gradient of (1 − x0)² + 10 (x1 − x0²)² + sin(3 x2)."""
    inner = x[1] - x[0] ** 2
    return np.array([-2 * (1 - x[0]) - 40 * x[0] * inner, 20 * inner, 3 * np.cos(3 * x[2])])


def structure(dtype=np.float64):
    """Parameters in nested containers, one leaf a single number, one empty."""
    rng = np.random.default_rng(0)
    theta = {"W": rng.normal(size=(3, 2)), "rest": [np.array(2.0), (rng.normal(size=4), np.zeros(0))]}
    return tree_map(lambda x: x.astype(dtype), theta)


def descend(optimiser, theta, gradient, steps):
    state = optimiser.init(theta)
    for _ in range(steps):
        theta, state = optimiser.update(theta, gradient(theta), state)
    return theta


@pytest.mark.parametrize(("optimiser", "expected"), TORCH, ids=lambda x: repr(x) if not isinstance(x, list) else "")
def test_optimiser_makes_the_steps_of_pytorch(optimiser, expected):
    got = descend(optimiser, START, rosenbrock_and_a_wave, 5)
    np.testing.assert_allclose(got, expected, rtol=1e-13)  # the same operations in another order


def test_adam_is_its_published_algorithm_in_numbers():
    lr, beta1, beta2, eps = 0.1, 0.8, 0.9, 1e-3
    x, m, v = 2.0, 0.0, 0.0
    for k in range(1, 8):
        g = math.cos(x)
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2
        x -= lr * (m / (1 - beta1**k)) / (math.sqrt(v / (1 - beta2**k)) + eps)
    got = descend(nn.Adam(lr, beta1, beta2, eps), np.array(2.0), np.cos, 7)
    np.testing.assert_allclose(got, x, rtol=1e-14)  # the same operations in another order


def test_first_step_of_adam_has_length_lr_whatever_the_gradient():
    theta, _ = nn.Adam(0.1).update(np.zeros(3), np.array([1e-3, -1.0, 1e6]), nn.Adam(0.1).init(np.zeros(3)))
    np.testing.assert_allclose(theta, [-0.1, 0.1, -0.1], rtol=1.1e-5)  # eps / |g| = 1e-8 / 1e-3


@every_optimiser
def test_leaves_do_not_depend_on_their_containers(optimiser):
    theta = structure()
    got = descend(optimiser, theta, lambda x: tree_map(np.cos, x), 3)
    np.testing.assert_array_equal(got["rest"][1][0], descend(optimiser, theta["rest"][1][0], np.cos, 3))


@every_optimiser
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtypes_and_shapes_stay(optimiser, dtype):
    theta = structure(dtype)
    got = descend(optimiser, theta, lambda x: tree_map(lambda leaf: np.cos(leaf).astype(np.float64), x), 2)
    described = [tree_map(lambda x: (type(x), x.dtype, x.shape).__repr__(), x) for x in (theta, got)]
    assert described[0] == described[1]


@every_optimiser
def test_nothing_is_changed_in_place(optimiser):
    theta = structure()
    state = optimiser.init(theta)
    _, later = optimiser.update(theta, tree_map(np.cos, theta), state)
    before = (theta, state, later)
    kept = [tree_map(np.copy, x) for x in before]
    optimiser.update(theta, tree_map(np.sin, theta), later)
    for x, copy in zip(before, kept, strict=True):
        tree_map(np.testing.assert_array_equal, x, copy)


@every_optimiser
def test_learning_rate_follows_its_schedule(optimiser):
    kind = type(optimiser)
    scheduled = descend(kind(lr=lambda k: 0.1 / (k + 1)), START, np.cos, 3)
    theta, state = START, kind(lr=1.0).init(START)
    for k in range(3):
        theta, state = kind(lr=0.1 / (k + 1)).update(theta, np.cos(theta), state)
    np.testing.assert_array_equal(scheduled, theta)


def test_keys_in_another_order_are_matched_by_name():
    theta = {"a": np.array([1.0]), "b": np.array([2.0])}
    optimiser = nn.SGD(1.0)
    got, _ = optimiser.update(theta, {"b": np.array([20.0]), "a": np.array([10.0])}, optimiser.init(theta))
    assert (got["a"][0], got["b"][0]) == (-9.0, -18.0)


def test_gradient_in_other_containers_is_refused():
    theta = {"a": np.zeros(2), "b": np.zeros(2)}
    with pytest.raises(ValueError, match=r"expected theta\['a'\], theta\['b'\] \(first difference: theta\['b'\]\)"):
        nn.SGD(0.1).update(theta, {"a": np.zeros(2), "c": np.zeros(2)}, nn.SGD(0.1).init(theta))


def test_gradient_of_another_shape_is_refused():
    theta = {"a": np.zeros((2, 3))}
    with pytest.raises(ValueError, match=r"gradient of theta\['a'\]: got shape \(3,\), expected \(2, 3\)"):
        nn.SGD(0.1).update(theta, {"a": np.zeros(3)}, nn.SGD(0.1).init(theta))


def test_theta_without_arrays_is_refused():
    with pytest.raises(ValueError, match="theta: got no arrays"):
        nn.Adam(0.1).init({})


@pytest.mark.parametrize(
    ("kind", "constants", "message"),
    [
        (nn.SGD, {"lr": -0.1}, "lr: got -0.1"),
        (nn.Adam, {"lr": math.nan}, "lr: got nan"),
        (nn.SGD, {"lr": 0.1, "momentum": 1.0}, "momentum: got 1.0"),
        (nn.SGD, {"lr": 0.1, "nesterov": True}, "expected momentum > 0"),
        (nn.RMSprop, {"lr": 0.1, "decay": -0.5}, "decay: got -0.5"),
        (nn.RMSprop, {"lr": 0.1, "eps": 0.0}, "eps: got 0.0"),
        (nn.Adam, {"lr": 0.1, "beta1": 1.0}, "beta1: got 1.0"),
        (nn.Adam, {"lr": 0.1, "beta2": 1.5}, "beta2: got 1.5"),
        (nn.Adam, {"lr": 0.1, "weight_decay": -1.0}, "weight_decay: got -1.0"),
        (nn.CosineDecay, {"lr": 0.1, "steps": 0}, "steps >= 1"),
        (nn.ExponentialDecay, {"lr": 0.1, "factor": 0.0, "steps": 5}, "factor > 0"),
    ],
)
def test_impossible_constants_are_refused(kind, constants, message):
    with pytest.raises(ValueError, match=message):
        kind(**constants)


def test_schedule_that_returns_nan_is_refused():
    optimiser = nn.SGD(lambda k: math.nan)
    with pytest.raises(ValueError, match="lr: got nan"):
        optimiser.update(START, START, optimiser.init(START))


def test_exponential_decay_multiplies_by_its_factor():
    schedule = nn.ExponentialDecay(0.1, factor=0.25, steps=10)
    rates = [schedule(k) for k in (0, 5, 10, 20)]
    assert rates == pytest.approx([0.1, 0.05, 0.025, 0.00625], rel=1e-15)  # one rounding


def test_cosine_decay_ends_at_its_final_rate_and_stays():
    schedule = nn.CosineDecay(0.1, steps=10, final=0.02)
    rates = [schedule(k) for k in (0, 5, 10, 99)]
    assert rates == pytest.approx([0.1, 0.06, 0.02, 0.02], rel=1e-14)  # a few roundings


def test_clipped_gradient_has_the_norm_asked_for():
    clipped, norm = nn.clip_by_norm({"a": np.array([3.0]), "b": np.array([[0.0, 4.0]])}, 1.0)
    assert norm == 5.0
    np.testing.assert_allclose([clipped["a"][0], clipped["b"][0, 1]], [0.6, 0.8], rtol=1e-15)  # one rounding


def test_short_gradient_is_not_changed():
    gradient = np.array([0.3, 0.4])
    np.testing.assert_array_equal(nn.clip_by_norm(gradient, 1.0)[0], gradient)


def test_norm_of_a_huge_gradient_does_not_overflow():
    clipped, norm = nn.clip_by_norm(np.array([3e200, 4e200]), 1.0)
    assert norm == pytest.approx(5e200, rel=1e-15)  # one rounding
    np.testing.assert_allclose(clipped, [0.6, 0.8], rtol=1e-15)  # one rounding


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_clipping_does_not_hide_a_gradient_that_is_not_finite(bad):
    clipped, norm = nn.clip_by_norm(np.array([bad, 1.0]), 1.0)
    assert not math.isfinite(norm)
    np.testing.assert_array_equal(clipped, [bad, 1.0])


def test_clipping_keeps_float32():
    assert nn.clip_by_norm(np.array([3.0, 4.0], np.float32), 1.0)[0].dtype == np.float32


def test_clipping_to_length_zero_is_refused():
    with pytest.raises(ValueError, match="max_norm: got 0.0"):
        nn.clip_by_norm(np.ones(2), 0.0)
