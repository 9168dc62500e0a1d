"""The multilayer perceptron: a vector field, an encoder or a decoder, as a function of its parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .initialisers import Initialiser, glorot_uniform

Theta = dict[str, Any]


@dataclass(frozen=True)
class MLP:
    """A multilayer perceptron: ``x_i = activation(W_i x_{i-1} + b_i)``, without activation in the last layer.

    The parameters are a dictionary ``{"W1": (sizes[1], sizes[0]), "b1": (sizes[1],), "W2": ...}``, made by `init`. The
    call ``mlp(t, z, theta)`` is plain NumPy for one sample, so that ``ne.vector_field(mlp, z0, theta)`` traces it;
    `batch` is the same function on many samples.

    Parameters
    ----------
    sizes : tuple of int
        Number of entries of the input, of each hidden layer, and of the output.
    activation : callable
        Entry by entry: np.tanh, np.sin, ne.sigmoid, ne.softplus, ne.relu, or any function made of such.
    time : bool
        Whether t is one more input, after those of z: W1 then has sizes[0] + 1 columns.

    Raises
    ------
    ValueError
        ``sizes`` has fewer than two entries, or one that is not a positive integer.
    """

    sizes: tuple[int, ...]
    activation: Callable[[Any], Any] = np.tanh
    time: bool = False

    def __post_init__(self) -> None:
        sizes = tuple(self.sizes)
        if len(sizes) < 2 or not all(isinstance(n, (int, np.integer)) and n > 0 for n in sizes):
            raise ValueError(f"sizes: got {self.sizes!r}, expected at least two positive integers, such as (2, 50, 2)")
        if not callable(self.activation):
            raise TypeError(f"activation: got {self.activation!r}, expected a function such as np.tanh")
        object.__setattr__(self, "sizes", tuple(int(n) for n in sizes))

    def init(
        self,
        seed: int | np.random.Generator,
        *,
        weights: Initialiser = glorot_uniform,
        scale: float = 1.0,
        dtype: Any = np.float64,
    ) -> Theta:
        """Draw parameters; biases are 0.

        Parameters
        ----------
        seed : int or numpy.random.Generator
            The same seed gives the same bits.
        weights : callable
            Initialiser of the weight matrices, from `nodeedu.nn`.
        scale : float
            Factor on the weights of the last layer, and thereby on the network's values. A small one starts a vector
            field near dz/dt = 0, where it is easy to solve.
        dtype : dtype
            float64 or float32.

        Returns
        -------
        dict of str to array
        """
        if seed is None:
            raise ValueError("seed: got None, expected an integer or a numpy Generator: runs must be repeatable")
        rng = np.random.default_rng(seed)
        theta: Theta = {}
        inputs = (self.sizes[0] + self.time, *self.sizes[1:-1])
        for i, (n_in, n_out) in enumerate(zip(inputs, self.sizes[1:], strict=True), 1):
            factor = scale if i == self.depth else 1.0
            theta[f"W{i}"] = (factor * weights(rng, (n_out, n_in))).astype(dtype)
            theta[f"b{i}"] = np.zeros(n_out, dtype)
        return theta

    @property
    def depth(self) -> int:
        """Number of layers with weights."""
        return len(self.sizes) - 1

    def __call__(self, t: Any, z: Any, theta: Theta) -> Any:
        """Evaluate for one sample.

        Parameters
        ----------
        t : float
            Used only with ``time=True``.
        z : array (sizes[0],)
        theta : dict
            From `init`.

        Returns
        -------
        array (sizes[-1],)

        Raises
        ------
        ValueError
            z has another shape.
        """
        if np.shape(z) != self.sizes[:1]:
            raise ValueError(f"z: got shape {np.shape(z)}, expected one sample {self.sizes[:1]}; `batch` takes many")
        x = np.concatenate([z, np.reshape(t, 1)]) if self.time else z
        for i in range(1, self.depth):
            x = self.activation(theta[f"W{i}"] @ x + theta[f"b{i}"])
        return theta[f"W{self.depth}"] @ x + theta[f"b{self.depth}"]

    def batch(self, z: Any, theta: Theta, t: Any = None) -> Any:
        """Evaluate for many samples, on arrays or Tensors.

        Parameters
        ----------
        z : array (..., sizes[0])
            Samples in the last axis.
        theta : dict
            From `init`.
        t : float or array (...), optional
            Needed with ``time=True``.

        Returns
        -------
        array (..., sizes[-1])

        Raises
        ------
        ValueError
            z has another last axis, or t is missing.
        """
        shape = np.shape(z)
        if shape[-1:] != self.sizes[:1]:
            raise ValueError(f"z: got shape {shape}, expected (..., {self.sizes[0]})")
        if self.time:
            if t is None:
                raise ValueError("t: got None, expected one time, or one for each sample: this MLP has time=True")
            z = np.concatenate([z, np.expand_dims(np.broadcast_to(t, shape[:-1]), -1)], axis=-1)
        x = z
        for i in range(1, self.depth):
            x = self.activation(x @ theta[f"W{i}"].T + theta[f"b{i}"])
        return x @ theta[f"W{self.depth}"].T + theta[f"b{self.depth}"]
