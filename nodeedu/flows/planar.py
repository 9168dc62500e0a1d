"""Planar flows, layer by layer: the discrete counterpart of a continuous normalising flow.

D. J. Rezende and S. Mohamed, "Variational inference with normalizing flows", ICML 2015, section 4.1 and appendix A.1:

    z ↦ z + û tanh(w·z + b),    log |det| = log |1 + û·w (1 − tanh²(w·z + b))|,    û = u + (m(w·u) − w·u) w/|w|².

With m(x) = softplus(x) − 1 > −1 each layer is one-to-one: along w the map is α ↦ α + û·w tanh(α + b), which grows
where û·w ≥ −1. Without (``constrained=False``, û = u) a layer may fold space: three points go to one, "densities" by
the formula above integrate to more than 1, and maximum likelihood is rewarded for the fold.

One layer is traced, and its value and VJP compiled, as a vector field is; a flow of any depth calls them in a row.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..autodiff import softplus
from ..compile import VectorField, vector_field
from .base import Base, StandardNormal, count_of, generator_of
from .checks import check_samples
from .targets import Target

Array = NDArray[Any]
Theta = dict[str, Any]


def constrained_direction(u: Any, w: Any) -> Any:
    """Return û = u + (softplus(w·u) − 1 − w·u) w/|w|², for which û·w > −1, for one layer: (D,)."""
    along = w @ u
    return u + (softplus(along) - 1.0 - along) * w / (w @ w)


def planar_layer(t: Any, state: Any, theta: Any) -> Any:
    """Map (z, ℓ) ↦ (z + u tanh(a), ℓ + log |1 + u·w (1 − tanh² a)|), a = w·z + b, for one sample.

    Parameters
    ----------
    t : float
        Not used.
    state : array (D + 1,)
        z, and the log-determinant so far.
    theta : array (2 D + 1,)
        u, w, b.
    """
    D = state.shape[0] - 1
    u, w, b = theta[:D], theta[D : 2 * D], theta[2 * D]
    z, log_det = state[:D], state[D:]
    h = np.tanh(w @ z + b)
    return np.concatenate([z + u * h, log_det + np.log(np.abs(1.0 + (u @ w) * (1.0 - h**2)))])


def constrained_planar_layer(t: Any, state: Any, theta: Any) -> Any:
    """Apply `planar_layer` with û in the place of u."""
    D = state.shape[0] - 1
    u, w, b = theta[:D], theta[D : 2 * D], theta[2 * D :]
    return planar_layer(t, state, np.concatenate([constrained_direction(u, w), w, b]))


@lru_cache(maxsize=8)
def _compiled(dim: int, constrained: bool) -> VectorField:
    """One layer with its kernels; they are shared by all layers of all flows."""
    layer = constrained_planar_layer if constrained else planar_layer
    return vector_field(layer, np.zeros(dim + 1), np.zeros(2 * dim + 1))


@dataclass(frozen=True)
class PlanarFlow:
    """A stack of K planar layers z_0 ↦ z_K, and the densities that it makes.

    The parameters are ``{"u": (K, D), "w": (K, D), "b": (K,)}``, made by `init`. Read in one direction or the other,
    the same layers are two models, and only one of them is easy:

    - `reverse_kl` reads z_0 as a draw from the base and z_K as the sample. A draw and its density cost one pass; the
      density of a given point would need the inverse. For matching a known target.
    - `log_prob` and `nll_and_gradient` read z_0 as data and z_K as their place under the base. The density of given
      data costs one pass; `sample` needs the inverse, K scalar equations a draw. For maximum likelihood.

    Parameters
    ----------
    dim : int
        D.
    depth : int
        K.
    constrained : bool
        Whether layers are kept one-to-one by û; without it u is used as it is.
    base : base density, optional
        Standard normal by default.

    Raises
    ------
    ValueError
        ``dim`` or ``depth`` is not a positive integer, or the base has another dimension.
    """

    dim: int
    depth: int
    constrained: bool = True
    base: Base = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        for name in ("dim", "depth"):
            n = getattr(self, name)
            if not isinstance(n, (int, np.integer)) or isinstance(n, bool) or n < 1:
                raise ValueError(f"{name}: got {n!r}, expected a positive integer")
        if self.base is None:
            object.__setattr__(self, "base", StandardNormal(self.dim))
        if self.base.dim != self.dim:
            raise ValueError(f"base: got dimension {self.base.dim}, expected dim = {self.dim}")

    def init(self, seed: int | np.random.Generator, scale: float = 0.1) -> Theta:
        """Draw parameters: w, b standard normal, u such that layers are the identity but for noise of size ``scale``.

        Parameters
        ----------
        seed : int or numpy.random.Generator
            The same seed gives the same bits.
        scale : float
            Standard deviation of the entries of u around the identity.
        """
        rng = generator_of(seed)
        shape = (self.depth, self.dim)
        w, b = rng.normal(size=shape), rng.normal(size=self.depth)
        u = rng.normal(0.0, scale, shape)
        if self.constrained:  # softplus(x) − 1 = 0 at x = log(e − 1): there û·w = 0
            u += np.log(np.e - 1.0) * w / np.sum(w**2, axis=1, keepdims=True)
        return {"u": u, "w": w, "b": b}

    # ------------------------------------------------------------ the map and its pullback

    def push(self, z: ArrayLike, theta: Theta) -> tuple[Array, Array]:
        """Run all layers, z_0 ↦ z_K.

        Parameters
        ----------
        z : array_like (B, D)
        theta : dict

        Returns
        -------
        z : array (B, D)
        log_det : array (B,)
            log |det ∂z_K/∂z_0|.
        """
        states = self._states(z, theta)
        return states[-1][:, :-1], states[-1][:, -1]

    def _rows(self, theta: Theta) -> Array:
        """Parameters, a layer a row: (K, 2 D + 1)."""
        u, w, b = (np.asarray(theta[name], np.float64) for name in ("u", "w", "b"))
        K, D = self.depth, self.dim
        if (u.shape, w.shape, b.shape) != ((K, D), (K, D), (K,)):
            got = f"u {u.shape}, w {w.shape}, b {b.shape}"
            raise ValueError(f"theta: got {got}, expected u {(K, D)}, w {(K, D)}, b {(K,)}")
        return np.concatenate([u, w, b[:, None]], axis=1)

    def _states(self, z: ArrayLike, theta: Theta) -> list[Array]:
        """State (z, log det) before each layer, and after the last."""
        z = check_samples("z", z, self.dim).astype(np.float64)
        kernel = _compiled(self.dim, self.constrained).kernel("f")
        t, work = np.zeros(len(z)), np.empty(kernel.work_size)
        states = [np.concatenate([z, np.zeros((len(z), 1))], axis=1)]
        for p in self._rows(theta):
            states.append(np.empty_like(states[0]))
            kernel.function(t, states[-2], p, states[-1], work)
        return states

    def _pull_back(self, states: list[Array], bar: Array, theta: Theta) -> Theta:
        """∂L/∂theta from ∂L/∂(z_K, log det): through the layers, last to first."""
        field = _compiled(self.dim, self.constrained)
        kernel = field.kernel("vjp")
        t, t_bar, work = np.zeros(len(bar)), np.empty(len(bar)), np.empty(kernel.work_size)
        after, before = np.empty_like(bar), np.empty_like(bar)
        rows = self._rows(theta)
        rows_bar = np.zeros((self.depth, field.n_params))
        for k in reversed(range(self.depth)):
            kernel.function(t, states[k], bar, rows[k], after, t_bar, before, rows_bar[k], work)
            bar, before = before, np.empty_like(bar) if k == self.depth - 1 else bar
        D = self.dim
        return {"u": rows_bar[:, :D], "w": rows_bar[:, D : 2 * D], "b": rows_bar[:, 2 * D]}

    # ------------------------------------------------------------ from the base to samples

    def reverse_kl(self, target: Target, z: ArrayLike, theta: Theta) -> tuple[float, Theta]:
        """Estimate KL(q | p) = E[log q − log p] of the flow q from the target p, with its gradient.

        The mean over base samples z_0 of log base(z_0) − log |det ∂z_K/∂z_0| − log p(z_K). With the normalised target
        it is absolute: 0 at best, up to the noise of the mean.

        Parameters
        ----------
        target : Target
            Or anything else with ``log_prob`` and ``score``.
        z : array_like (B, D)
            Draws from the base.
        theta : dict

        Returns
        -------
        value : float
        gradient : dict
            Of theta.
        """
        states = self._states(z, theta)
        y, log_det = states[-1][:, :-1], states[-1][:, -1]
        n = len(y)
        value = np.mean(self.base.log_prob(states[0][:, :-1]) - log_det - target.log_prob(y))
        bar = np.concatenate([-target.score(y), -np.ones((n, 1))], axis=1) / n
        return float(value), self._pull_back(states, bar, theta)

    # ------------------------------------------------------------ from data to the base

    def log_prob(self, x: ArrayLike, theta: Theta) -> Array:
        """Log density of data: log base(z_K) + log |det ∂z_K/∂x|, with z_0 = x (B, D); (B,), in nats."""
        z, log_det = self.push(x, theta)
        return self.base.log_prob(z) + log_det

    def nll_and_gradient(self, x: ArrayLike, theta: Theta) -> tuple[float, Theta]:
        """Mean of −`log_prob` over the rows of x (B, D), with its gradient in theta."""
        states = self._states(x, theta)
        z, log_det = states[-1][:, :-1], states[-1][:, -1]
        n = len(z)
        value = -np.mean(self.base.log_prob(z) + log_det)
        bar = -np.concatenate([self.base.score(z), np.ones((n, 1))], axis=1) / n
        return float(value), self._pull_back(states, bar, theta)

    def pull(self, z: ArrayLike, theta: Theta) -> Array:
        """Undo all layers, z_K ↦ z_0: for each, the scalar equation α + û·w tanh(α + b) = w·z by bisection.

        Raises
        ------
        ValueError
            A layer has û·w < −1 and no inverse.
        """
        x = check_samples("z", z, self.dim).astype(np.float64)
        for k, row in reversed(list(enumerate(self._rows(theta)))):
            u, w, b = row[: self.dim], row[self.dim : -1], row[-1]
            u = constrained_direction(u, w) if self.constrained else u
            if u @ w < -1.0 - 1e-9:  # the constraint may reach −1, and roundings go below
                raise ValueError(f"theta: layer {k} has u·w = {u @ w:.3g} < −1 and no inverse; use constrained=True")
            target = x @ w
            low, high = target - abs(u @ w), target + abs(u @ w)  # |tanh| < 1
            for _ in range(60):  # 2^-60 of the first interval: rounding
                middle = 0.5 * (low + high)
                above = middle + (u @ w) * np.tanh(middle + b) > target
                low, high = np.where(above, low, middle), np.where(above, middle, high)
            x = x - np.tanh(0.5 * (low + high) + b)[:, None] * u
        return x

    def sample(self, theta: Theta, n: int, seed: int | np.random.Generator) -> Array:
        """Draw n samples of the density of `log_prob`, (n, D)."""
        return self.pull(self.base.sample(count_of(n), seed), theta)
