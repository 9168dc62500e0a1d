"""Losses: their values, their derivatives, and what is missing."""

import functools
import math
import statistics

import numpy as np
import pytest

from nodeedu import nn
from nodeedu.autodiff import Tensor

LOSSES = {
    "mse": nn.mse,
    "mae": nn.mae,
    "huber": functools.partial(nn.huber, delta=0.7),
    "gaussian_nll": functools.partial(nn.gaussian_nll, std=np.array([0.5, 2.0, 1.5])),
}
every_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


def problem():
    """Prediction, target with a missing entry, weights."""
    rng = np.random.default_rng(0)
    target = rng.normal(size=(4, 3))
    target[1, 2] = np.nan
    return rng.normal(size=(4, 3)), target, rng.uniform(0.5, 2.0, (4, 3))


def test_mse_is_the_mean_of_squares():
    assert nn.mse([1.0, 2.0, 4.0], [1.0, 4.0, 3.0])[0] == pytest.approx((0 + 4 + 1) / 3, rel=1e-15)  # one rounding


def test_mae_is_the_mean_of_absolute_values():
    assert nn.mae([1.0, 2.0, 4.0], [1.0, 4.0, 3.0])[0] == pytest.approx((0 + 2 + 1) / 3, rel=1e-15)  # one rounding


def test_huber_is_a_parabola_with_straight_ends():
    values = [nn.huber(np.array([e]), [0.0], delta=2.0)[0] for e in (1.0, -1.0, 2.0, 5.0, -5.0)]
    assert values == [0.5, 0.5, 2.0, 8.0, 8.0]  # 2 (5 − 2/2) = 8; all exact


def test_gaussian_nll_is_minus_the_log_of_the_density():
    density = statistics.NormalDist(1.0, 0.3).pdf(1.2)
    value, _ = nn.gaussian_nll([1.0], [1.2], 0.3)
    assert value == pytest.approx(-math.log(density), rel=1e-14)  # a few roundings


@every_loss
def test_cotangent_is_the_derivative(loss):
    prediction, target, weights = problem()
    direction = np.random.default_rng(1).normal(size=prediction.shape)
    h = 1e-5
    up, down = (loss(prediction + s * h * direction, target, weights=weights)[0] for s in (1, -1))
    # central differences: truncation h², rounding 1e-16/h = 1e-11; no error lies within h of a kink
    expected = pytest.approx((up - down) / (2 * h), rel=1e-8)
    assert np.sum(loss(prediction, target, weights=weights)[1] * direction) == expected


@every_loss
def test_backward_on_a_tensor_gives_the_cotangent(loss):
    prediction, target, weights = problem()
    value, prediction_bar = loss(prediction, target, weights=weights)
    x = Tensor(prediction)
    recorded, _ = loss(x, target, weights=weights)
    recorded.backward()
    assert float(recorded) == pytest.approx(value, rel=1e-15)  # a sum in another order at most
    np.testing.assert_allclose(x.grad, prediction_bar, rtol=1e-14)  # a few roundings


@every_loss
def test_missing_target_does_not_count(loss):
    prediction, target, _ = problem()
    seen = ~np.isnan(target)
    entries = [
        loss(prediction, np.where(np.arange(12).reshape(4, 3) == i, target, np.nan))[0] for i in np.flatnonzero(seen)
    ]
    assert loss(prediction, target)[0] == pytest.approx(np.mean(entries), rel=1e-14)  # a sum of 11 terms


@every_loss
def test_cotangent_of_a_missing_target_is_zero(loss):
    prediction, target, _ = problem()
    assert loss(prediction, target)[1][1, 2] == 0.0


@every_loss
def test_weight_zero_and_a_missing_target_are_the_same(loss):
    prediction, target, _ = problem()
    mask = ~np.isnan(target)
    filled = np.where(mask, target, 5.0)
    assert loss(prediction, filled, weights=mask)[0] == loss(prediction, target)[0]


def test_weights_are_relative():
    prediction, target, weights = problem()
    assert nn.mse(prediction, target, weights)[0] == nn.mse(prediction, target, 4.0 * weights)[0]  # a power of 2: exact


def test_nan_in_the_prediction_is_not_hidden():
    assert math.isnan(nn.mse([np.nan, 1.0], [0.0, 0.0])[0])


@every_loss
def test_float32_prediction_has_a_float32_cotangent(loss):
    prediction, target, weights = problem()
    assert loss(prediction.astype(np.float32), target, weights=weights)[1].dtype == np.float32


@every_loss
def test_inputs_are_not_written_to(loss):
    prediction, target, weights = problem()
    for x in (prediction, target, weights):
        x.setflags(write=False)
    loss(prediction, target, weights=weights)


@every_loss
def test_shapes_that_would_broadcast_are_refused(loss):
    with pytest.raises(ValueError, match=r"prediction has shape \(4, 3\), target \(4, 1\): expected the same"):
        loss(np.zeros((4, 3)), np.zeros((4, 1)))


@every_loss
def test_target_without_an_observation_is_refused(loss):
    with pytest.raises(ValueError, match="nothing is observed"):
        loss(np.zeros((4, 3)), np.full((4, 3), np.nan))


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_impossible_weights_are_refused(bad):
    with pytest.raises(ValueError, match="weights: got a negative or non-finite entry"):
        nn.mse([1.0, 2.0], [0.0, 0.0], [1.0, bad])


def test_weights_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"weights: got shape \(3,\), expected one that broadcasts to \(2,\)"):
        nn.mse([1.0, 2.0], [0.0, 0.0], np.ones(3))


def test_huber_with_delta_zero_is_refused():
    with pytest.raises(ValueError, match="delta: got 0.0"):
        nn.huber([1.0], [0.0], delta=0.0)


def test_standard_deviation_zero_is_refused():
    with pytest.raises(ValueError, match="std: got 0.0, expected positive numbers"):
        nn.gaussian_nll([1.0], [0.0], 0.0)
