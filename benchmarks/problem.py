"""What every library is given: a field 2-50-2 with its weights, initial states, times, and a loss on the states."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

HIDDEN = 50


@dataclass(frozen=True)
class Problem:
    """A loss of an ODE solution whose gradient is wanted.

    The field is f(z) = W2 tanh(W1 z**3 + b1) + b2, the loss the mean absolute error over times, samples and components.

    Parameters
    ----------
    z0 : ndarray, shape (B, D) or (D,)
        Initial states.
    ts : ndarray, shape (T,)
        Output times, the first of them that of z0.
    theta : tuple of ndarray
        W1 (H, D), b1 (H,), W2 (D, H), b2 (D,).
    target : ndarray, shape (T, B, D) or (T, D)
        What the states are compared with.
    rtol, atol : float
        Tolerances of the forward and of the backward solve.
    steps : int, optional
        Take this many equal steps instead: classical RK4, or Dopri5 in diffrax, which has no RK4.
    """

    z0: np.ndarray
    ts: np.ndarray
    theta: tuple[np.ndarray, ...]
    target: np.ndarray
    rtol: float = 1e-7
    atol: float = 1e-9
    steps: int | None = None

    @property
    def step_size(self) -> float:
        """Size of the equal steps."""
        return float(self.ts[-1] - self.ts[0]) / self.steps

    def loss_and_gradient(self, zs: np.ndarray) -> tuple[float, np.ndarray]:
        """L = mean |z - target| and dL/dz = sign(z - target) / number of entries."""
        residual = zs - self.target
        return float(np.abs(residual).mean()), np.sign(residual) / zs.size


@dataclass(frozen=True)
class Gradient:
    """dL/dz0, dL/dtheta and, where it was asked for, dL/dt_i, as NumPy arrays.

    `stored_states` is how many states of one sample were kept for the way back, and `stored_bytes` the bytes of all
    that was kept, where the library tells.
    """

    z0: np.ndarray
    theta: tuple[np.ndarray, ...]
    ts: np.ndarray | None = None
    stored_states: int | None = None
    stored_bytes: int | None = None

    def flat(self) -> np.ndarray:
        """dL/dz0 and dL/dtheta in one vector."""
        return np.concatenate([self.z0.ravel(), _flat(self.theta)])

    def error(self, reference: Gradient) -> float:
        """Largest error of z0, theta or ts, each relative to the largest entry of its reference."""
        pairs = [(self.z0, reference.z0), (_flat(self.theta), _flat(reference.theta))]
        if self.ts is not None and reference.ts is not None:
            pairs.append((self.ts, reference.ts))
        return max(float(np.abs(got - true).max() / np.abs(true).max()) for got, true in pairs)


def _flat(arrays: tuple[np.ndarray, ...]) -> np.ndarray:
    return np.concatenate([np.ravel(array) for array in arrays])


def spiral_weights(rng: np.random.Generator, hidden: int = HIDDEN) -> tuple[np.ndarray, ...]:
    """Weights from N(0, 0.1**2) and zero biases, as torchdiffeq's example initialises them."""
    return _weights(rng, 2, hidden)


def random_problem(shape: str) -> Problem:
    """A problem whose data take no time to make, for what is timed from the start of a process.

    Its field is "spiral" (2-50-2), "tiled" (64-128-64, wide enough to be compiled as matrix products over tiles of
    samples) or "other" (2-7-2).
    """
    rng = np.random.default_rng(0)
    theta = _weights(rng, *{"spiral": (2, HIDDEN), "tiled": (64, 128), "other": (2, 7)}[shape])
    z0 = rng.uniform(-1.0, 1.0, (20, len(theta[-1])))
    return Problem(z0, np.linspace(0.0, 0.225, 10), theta, rng.uniform(-1.0, 1.0, (10, *z0.shape)))


def long_problem(steps: int) -> Problem:
    """The field and batch of the spiral with random data, over [0, 5] in equal steps."""
    rng = np.random.default_rng(0)
    theta = spiral_weights(rng)
    z0 = rng.uniform(-1.0, 1.0, (20, 2))
    return Problem(z0, np.array([0.0, 5.0]), theta, rng.uniform(-1.0, 1.0, (2, *z0.shape)), steps=steps)


def _weights(rng: np.random.Generator, size: int, hidden: int) -> tuple[np.ndarray, ...]:
    return rng.normal(0.0, 0.1, (hidden, size)), np.zeros(hidden), rng.normal(0.0, 0.1, (size, hidden)), np.zeros(size)
