"""Initialisers: their distribution, from one large matrix each."""

import numpy as np
import pytest

from nodeedu import nn

SHAPE = (400, 200)  # 80 000 entries: a sample variance is off by √(2/80 000) = 0.5 % typically, 3 % never


def draw(initialiser, shape=SHAPE):
    return initialiser(np.random.default_rng(0), shape)


def test_glorot_uniform_fills_its_interval():
    bound = np.sqrt(6 / 600)
    W = draw(nn.glorot_uniform)
    assert 0.999 * bound < np.abs(W).max() < bound  # of 80 000 the largest misses the end by about 1e-5


def test_glorot_uniform_has_variance_two_over_the_sum_of_fans():
    np.testing.assert_allclose(draw(nn.glorot_uniform).var(), 2 / 600, rtol=0.03)


def test_he_normal_has_variance_two_over_fan_in():
    np.testing.assert_allclose(draw(nn.he_normal).var(), 2 / 200, rtol=0.03)


def test_relu_layers_from_he_normal_keep_the_mean_square():
    rng = np.random.default_rng(0)
    x = rng.normal(size=500)
    before = np.mean(x**2)
    for _ in range(20):
        x = np.maximum(nn.he_normal(rng, (500, 500)) @ x, 0.0)
    assert 0.25 < np.mean(x**2) / before < 4.0  # with variance 1/fan_in it would be 2^-20


def test_normal_has_the_given_standard_deviation():
    np.testing.assert_allclose(draw(nn.normal(0.1)).std(), 0.1, rtol=0.03)


def test_zeros_are_zeros():
    assert not draw(nn.zeros).any()


@pytest.mark.parametrize("shape", [(7, 4), (4, 7), (5, 5)])
def test_orthogonal_matrices_keep_lengths(shape):
    W = draw(nn.orthogonal, shape)
    product = W @ W.T if shape[0] <= shape[1] else W.T @ W
    np.testing.assert_allclose(product, np.eye(min(shape)), atol=1e-14)  # rounding of QR


def test_orthogonal_matrices_are_uniform():
    # Under the uniform distribution each entry has mean 0; QR alone makes the first diagonal entry negative always.
    rng = np.random.default_rng(0)
    first = [nn.orthogonal(rng, (3, 3))[0, 0] for _ in range(400)]
    assert abs(np.mean(first)) < 0.15  # its standard deviation is √(1/3/400) = 0.03


@pytest.mark.parametrize("initialiser", [nn.glorot_uniform, nn.he_normal, nn.orthogonal])
def test_shape_of_no_matrix_is_refused(initialiser):
    with pytest.raises(ValueError, match="expected \\(fan_out, fan_in\\)"):
        draw(initialiser, (3,))


@pytest.mark.parametrize("std", [-1.0, np.nan, np.inf])
def test_impossible_standard_deviation_is_refused(std):
    with pytest.raises(ValueError, match="std: got"):
        nn.normal(std)
