"""Random matrices to start from: ``initialiser(rng, shape) -> array`` of float64, shape = (fan_out, fan_in).

A layer ``W x + b`` with independent entries of W of variance s² multiplies the mean square of x by s² fan_in, and that
of a cotangent on its way back by s² fan_out. The rules below choose s so that signals keep their size through many
layers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Initialiser = Callable[[np.random.Generator, tuple[int, ...]], NDArray[Any]]


def glorot_uniform(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[Any]:
    """Uniform on ±√(6 / (fan_in + fan_out)): variance 2 / (fan_in + fan_out), a compromise of both directions.

    For activations with slope 1 at 0, such as tanh. X. Glorot and Y. Bengio, "Understanding the difficulty of training
    deep feedforward neural networks", AISTATS 2010, equation (16); also called Xavier initialisation.
    """
    fan_out, fan_in = _fans(shape)
    bound = math.sqrt(6.0 / (fan_in + fan_out))
    return rng.uniform(-bound, bound, shape)


def he_normal(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[Any]:
    """Normal with variance 2 / fan_in: relu sets half of its inputs to 0, which the 2 makes up for.

    K. He, X. Zhang, S. Ren and J. Sun, "Delving deep into rectifiers", ICCV 2015, equation (10).
    """
    _, fan_in = _fans(shape)
    return rng.normal(0.0, math.sqrt(2.0 / fan_in), shape)


def normal(std: float) -> Initialiser:
    """Return the initialiser with independent normal entries of standard deviation ``std`` whatever the shape.

    Raises
    ------
    ValueError
        ``std`` is negative or not finite.
    """
    if not 0.0 <= std < math.inf:
        raise ValueError(f"std: got {std!r}, expected a finite number that is not negative")

    def initialiser(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[Any]:
        return rng.normal(0.0, std, shape)

    return initialiser


def zeros(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[Any]:
    """All entries 0. For biases: weights that are all equal get equal gradients, and stay equal."""
    return np.zeros(shape)


def orthogonal(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[Any]:
    """A random matrix with W Wᵀ = I or Wᵀ W = I, whichever fits the shape; uniformly distributed.

    Q of the QR decomposition of a Gaussian matrix, with the signs that make the diagonal of R positive: without them
    the distribution is not uniform (F. Mezzadri, "How to generate random matrices from the classical compact groups",
    Notices of the AMS 54, 2007). All singular values are 1: A. Saxe, J. McClelland and S. Ganguli, "Exact solutions to
    the nonlinear dynamics of learning in deep linear neural networks", ICLR 2014.
    """
    fan_out, fan_in = _fans(shape)
    Q, R = np.linalg.qr(rng.normal(size=(max(shape), min(shape))))
    Q = Q * np.where(np.diag(R) < 0.0, -1.0, 1.0)
    return Q if fan_out >= fan_in else Q.T.copy()


def _fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """Numbers of outputs and inputs of one layer."""
    if len(shape) != 2 or min(shape) < 1:
        raise ValueError(f"shape: got {shape}, expected (fan_out, fan_in), both at least 1")
    return shape[0], shape[1]
