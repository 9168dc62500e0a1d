"""Densities that a flow must beat to be worth its price: a Gaussian, a mixture of Gaussians, a kernel estimate.

All are fitted to the same points as the flow; what is to be chosen (number of parts, width of the kernel) is chosen on
the same points that choose the flow's parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from ...flows import Gaussian
from .samples import Samples

LogDensity = Callable[[NDArray[Any]], NDArray[Any]]
PARTS = (1, 2, 3, 4, 6, 8, 12)  # of a mixture
WIDTHS = (0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 1.0)  # of the kernel, in standard deviations
KERNELS = 5_000  # most points that a kernel estimate sums over
GAIN = 1e-5  # nats a point in a round of EM; less ends it
SMALLEST = 1e-3  # variance of a part, in those of the data: less is a part that sits on a point


@dataclass(frozen=True)
class Mixture:
    """A mixture of K Gaussians, ``log p(x) = log Σ w_k N(x; m_k, C_k)``.

    Parameters
    ----------
    weights : array (K,)
    means : array (K, D)
    covariances : array (K, D, D)
    """

    weights: NDArray[Any]
    means: NDArray[Any]
    covariances: NDArray[Any]

    def log_joint(self, x: NDArray[Any]) -> NDArray[Any]:
        """Log w_k N(x; m_k, C_k) for points (n, D), as (n, K)."""
        parts = zip(self.weights, self.means, self.covariances, strict=True)
        return np.stack([np.log(w) + Gaussian(m, 0.5 * (C + C.T)).log_prob(x) for w, m, C in parts], axis=1)

    def log_prob(self, x: NDArray[Any]) -> NDArray[Any]:
        """Log density at points (n, D)."""
        return logsumexp(self.log_joint(x), axis=1)


def fit_gaussian(x: NDArray[Any]) -> Mixture:
    """Fit one Gaussian with its full covariance."""
    return Mixture(np.ones(1), x.mean(axis=0)[None], np.atleast_2d(np.cov(x.T))[None])


def fit_mixture(x: NDArray[Any], parts: int, rng: np.random.Generator, rounds: int = 200) -> Mixture:
    """Fit a mixture by expectation and maximisation.

    A. P. Dempster, N. M. Laird and D. B. Rubin, "Maximum likelihood from incomplete data via the EM algorithm",
    J. Royal Statistical Society B 39 (1977) 1-38.

    Parameters
    ----------
    x : array (n, D)
    parts : int
        K.
    rng : numpy.random.Generator
        Draws the points that the means start from.
    rounds : int
    """
    whole = np.atleast_2d(np.cov(x.T))
    floor = SMALLEST * np.diag(np.diag(whole))
    means = x[rng.choice(len(x), size=parts, replace=False)]
    mixture = Mixture(np.full(parts, 1.0 / parts), means, np.repeat(whole[None] / parts, parts, axis=0))
    before = -np.inf
    for _ in range(rounds):
        log_joint = mixture.log_joint(x)
        log_p = logsumexp(log_joint, axis=1, keepdims=True)
        if log_p.mean() - before < GAIN:
            break
        before, share = log_p.mean(), np.exp(log_joint - log_p)
        total = share.sum(axis=0) + 1e-12
        means = share.T @ x / total[:, None]
        apart = x[:, None] - means
        covariances = np.einsum("nk,nki,nkj->kij", share, apart, apart) / total[:, None, None] + floor
        mixture = Mixture(total / total.sum(), means, covariances)
    return mixture


def kernel_log_density(centres: NDArray[Any], width: float) -> LogDensity:
    """Average of Gaussians around the points given, their covariance width² times that of the points."""
    covariance = width**2 * np.atleast_2d(np.cov(centres.T))
    whiten = np.linalg.inv(np.linalg.cholesky(covariance))
    constant = np.linalg.slogdet(whiten)[1] - 0.5 * centres.shape[1] * np.log(2.0 * np.pi) - np.log(len(centres))
    at = centres @ whiten.T

    def log_density(x: NDArray[Any]) -> NDArray[Any]:
        apart = (x @ whiten.T)[:, None] - at
        return logsumexp(-0.5 * np.sum(apart**2, axis=-1), axis=1) + constant

    return log_density


def compare(samples: Samples) -> dict[str, float]:
    """Fit all baselines and return the mean negative log-likelihood of each on the held-out points, in nats.

    For measured data. Where they are images: a Gaussian with its full covariance, of grey levels and of their logits.
    """
    parts = (samples.train, samples.watched, samples.held_out)
    train, watched, held_out = (samples.noisy(y, i) for i, y in enumerate(parts))
    found = {"Gaussian": _nll(fit_gaussian(train).log_prob, held_out)}
    if samples.levels:
        to = samples.coordinates()
        x = to.from_data(held_out)
        logits = _nll(fit_gaussian(to.from_data(train)).log_prob, x) - float(np.mean(to.log_det(x)))
        return found | {"Gaussian of the logits": logits}
    rng = np.random.default_rng(0)
    mixtures = {k: fit_mixture(train, k, rng) for k in PARTS if k * (samples.dim + 1) < len(train)}
    k = min(mixtures, key=lambda k: _nll(mixtures[k].log_prob, watched))
    found[f"mixture of {k} Gaussian{'s' * (k > 1)}"] = _nll(mixtures[k].log_prob, held_out)
    kernels = {width: kernel_log_density(train[:KERNELS], width) for width in WIDTHS}
    width = min(kernels, key=lambda width: _nll(kernels[width], watched))
    found[f"kernel estimate, {width:g} sd"] = _nll(kernels[width], held_out)
    return found


def _nll(log_prob: LogDensity, x: NDArray[Any]) -> float:
    pieces = [log_prob(piece) for piece in np.array_split(x, max(1, len(x) // 500))]
    return -float(np.mean(np.concatenate(pieces)))
