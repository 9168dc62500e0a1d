"""Planar flows, layered and continuous, trained in the two ways of the paper: by reverse KL and by maximum likelihood.

Reverse KL of a continuous flow q from a target p needs no code of its own. Carry draws z of the base from 0 to 1; then

    KL(q | p) = E[log N(z) − (log p(x(1)) + log |det ∂x(1)/∂z|)]

and the inner bracket is the log density of z under a flow that has p at t = 1 and its "data" at t = 0.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...compile import vector_field
from ...flows import CNF, StandardNormal
from ...flows.planar import PlanarFlow
from ...flows.planar_cnf import PlanarCNF
from ...flows.targets import Target
from ...nn import Adam, CosineDecay, RMSprop, train

TOLERANCE = 1e-4  # of solves in training
FINAL = 1e-6  # of those that are reported
MAX_NORM = 10.0  # gradients are clipped to it
MODELS = ("NF", "CNF")
HIDDEN = 4  # units of the hypernetwork of a CNF

LossAndGradient = Callable[[Any, int], tuple[float, Any]]


@dataclass(frozen=True)
class Budget:
    """What a kind of model gets: steps, points a step, and the learning rate that falls to 0 along a cosine."""

    steps: int
    batch: int
    rate: float


@dataclass(frozen=True)
class TargetAsBase:
    """A target in the place of a base density: it can be evaluated, not drawn from."""

    target: Target

    @property
    def dim(self) -> int:
        """D."""
        return self.target.dim

    def log_prob(self, z: Any) -> NDArray[Any]:
        """Log density (B,)."""
        return self.target.log_prob(z)

    def score(self, z: Any) -> NDArray[Any]:
        """Gradient of the log density (B, D)."""
        return self.target.score(z)

    def sample(self, n: int, seed: Any) -> NDArray[Any]:
        """Raise: there is no way to draw from an energy but by a flow."""
        raise NotImplementedError("a target is known by its energy: draw from the flow")


def layers(size: int) -> PlanarFlow:
    """Planar normalising flow of depth K = size."""
    return PlanarFlow(2, size)


def units(size: int, base: Any = None, backwards: bool = False) -> tuple[PlanarCNF, CNF]:
    """Planar CNF of width M = size; ``backwards`` is the flow with the base density at t = 1 and data at t = 0."""
    planar = PlanarCNF(2, size, HIDDEN, hypernetwork=True)
    field = vector_field(planar, np.zeros(2), planar.init(0))
    t0, t1 = (1.0, 0.0) if backwards else (0.0, 1.0)
    return planar, CNF(field, t0=t0, t1=t1, base=base, rtol=TOLERANCE, atol=TOLERANCE)


def train_model(
    kind: str, size: int, seed: int, budget: Budget, draw: Callable[[int, Any], NDArray[Any]], target: Target | None
) -> tuple[Any, float]:
    """Train a planar flow: RMSprop for layers, Adam for units, as in the paper.

    Parameters
    ----------
    kind : {"NF", "CNF"}
    size : int
        Depth or width.
    seed : int
        Of the parameters and of the points.
    budget : Budget
    draw : callable
        ``draw(n, seed) -> (n, 2)``: points of the base for reverse KL, data for maximum likelihood.
    target : Target or None
        Reverse KL from this density, or maximum likelihood.

    Returns
    -------
    theta : structure of arrays
    seconds : float
        Of processor time, compilation not counted.
    """
    theta, loss_and_gradient = _problem(kind, size, seed, target)
    optimiser = (RMSprop if kind == "NF" else Adam)(lr=CosineDecay(budget.rate, budget.steps))

    def step(theta: Any, k: int) -> tuple[float, Any]:
        return loss_and_gradient(draw(budget.batch, np.random.default_rng([seed, k])), theta)

    step(theta, 0)  # compile
    began = time.process_time()
    result = train(step, theta, optimiser, budget.steps, max_norm=MAX_NORM, progress=False)
    return result.theta, time.process_time() - began


def _problem(kind: str, size: int, seed: int, target: Target | None) -> tuple[Any, Callable[[Any, Any], Any]]:
    """First parameters, and the loss and gradient for points."""
    if kind == "NF":
        flow = layers(size)
        if target is None:
            return flow.init(seed), flow.nll_and_gradient
        return flow.init(seed), lambda z, theta: flow.reverse_kl(target, z, theta)
    base = None if target is None else TargetAsBase(target)
    planar, cnf = units(size, base, backwards=target is not None)
    return planar.init(seed), lambda x, theta: cnf.nll_and_gradient(x, theta, gradient="discrete")


def reverse_kl(kind: str, size: int, theta: Any, target: Target, z: NDArray[Any]) -> float:
    """KL(q | p) in nats, the mean over draws z (n, 2) of the standard normal."""
    x, log_q = carried(kind, size, theta, target, z)
    return float(np.mean(log_q - target.log_prob(x)))


def carried(kind: str, size: int, theta: Any, target: Target, z: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Carry draws z (n, 2) of the base to samples x (n, 2); return x and log q(x) (n,)."""
    log_base = StandardNormal(2).log_prob(z)
    if kind == "NF":
        x, log_det = layers(size).push(z, theta)
        return x, log_base - log_det
    _, cnf = units(size, TargetAsBase(target), backwards=True)
    x = cnf.pull(z, theta, rtol=FINAL, atol=FINAL)
    return x, log_base - (cnf.log_prob(z, theta, rtol=FINAL, atol=FINAL) - target.log_prob(x))


def log_likelihood(kind: str, size: int, theta: Any, x: NDArray[Any]) -> NDArray[Any]:
    """Log density of data x (n, 2) under a flow that was trained by maximum likelihood."""
    if kind == "NF":
        return layers(size).log_prob(x, theta)
    return units(size)[1].log_prob(x, theta, rtol=FINAL, atol=FINAL)
