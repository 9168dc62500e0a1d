"""Gradient descent as functions: ``init(theta) -> state`` and ``update(theta, gradient, state) -> (theta, state)``.

An optimiser is a record of its constants. What changes from step to step, the averages of past gradients, is its state:
a dictionary of numbers and of structures like theta, which a checkpoint can hold. In the equations g is the gradient at
theta, k = 0, 1, … counts updates, and all operations are entry by entry. ``lr`` is a number or a function of k
(`nodeedu.nn.ExponentialDecay`, `nodeedu.nn.CosineDecay`). Nothing is changed in place.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ..autodiff.structure import as_arrays, flatten, leaves, leaves_like, tree_map, unflatten

Rate = float | Callable[[int], float]
State = dict[str, Any]


class Optimiser(Protocol):
    """What `nodeedu.nn.train` asks of an optimiser; any object with these two methods will do."""

    def init(self, theta: Any) -> State:
        """State before the first update: a dictionary of numbers and of structures of arrays."""
        ...

    def update(self, theta: Any, gradient: Any, state: State) -> tuple[Any, State]:
        """Parameters and state after one step; nothing is changed in place."""
        ...


@dataclass(frozen=True)
class SGD:
    """Gradient descent, with momentum if asked for: ``u ← momentum u + g``, ``theta ← theta − lr u``.

    With ``nesterov`` the step is ``−lr (g + momentum u)`` with the new u. B. Polyak, "Some methods of speeding up the
    convergence of iteration methods", USSR Computational Mathematics and Mathematical Physics 4 (1964) 1-17;
    I. Sutskever et al., "On the importance of initialization and momentum in deep learning", ICML 2013. As in PyTorch,
    lr stands outside of u: a new rate acts at once.

    Parameters
    ----------
    lr : float or callable
        Learning rate.
    momentum : float
        In [0, 1).
    nesterov : bool
        Needs a positive momentum.
    """

    lr: Rate
    momentum: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        _require_rate(self.lr)
        _require_fraction("momentum", self.momentum)
        if self.nesterov and self.momentum == 0.0:
            raise ValueError("nesterov=True: expected momentum > 0, without it there is nothing to look ahead with")

    def init(self, theta: Any) -> State:
        """State before the first update."""
        return {"step": 0, "u": _zeros_like(theta)}

    def update(self, theta: Any, gradient: Any, state: State) -> tuple[Any, State]:
        """Make one step; raises ValueError if the gradient has not theta's containers and shapes."""
        k = state["step"]
        lr, momentum = _rate(self.lr, k), self.momentum

        def rule(x: Any, g: Any, u: Any) -> tuple[Any, ...]:
            u = momentum * u + g
            return x - lr * (g + momentum * u if self.nesterov else u), u

        theta, u = _by_leaf(rule, theta, gradient, state["u"])
        return theta, {"step": k + 1, "u": u}


@dataclass(frozen=True)
class RMSprop:
    """Steps relative to the recent size of the gradient.

        v ← decay v + (1 − decay) g²,    theta ← theta − lr g / (√v + eps)

    T. Tieleman and G. Hinton, "Lecture 6.5: rmsprop", COURSERA: Neural Networks for Machine Learning, 2012. As v starts
    at 0, the first step is 1/√(1 − decay) times as long as later ones.

    Parameters
    ----------
    lr : float or callable
        Learning rate, in units of theta.
    decay : float
        In [0, 1).
    eps : float
        Positive, in units of the gradient.
    """

    lr: Rate
    decay: float = 0.99
    eps: float = 1e-8

    def __post_init__(self) -> None:
        _require_rate(self.lr)
        _require_fraction("decay", self.decay)
        _require_positive("eps", self.eps)

    def init(self, theta: Any) -> State:
        """State before the first update."""
        return {"step": 0, "v": _zeros_like(theta)}

    def update(self, theta: Any, gradient: Any, state: State) -> tuple[Any, State]:
        """Make one step; raises ValueError if the gradient has not theta's containers and shapes."""
        k = state["step"]
        lr, decay = _rate(self.lr, k), self.decay

        def rule(x: Any, g: Any, v: Any) -> tuple[Any, ...]:
            v = decay * v + (1.0 - decay) * g * g
            return x - lr * g / (np.sqrt(v) + self.eps), v

        theta, v = _by_leaf(rule, theta, gradient, state["v"])
        return theta, {"step": k + 1, "v": v}


@dataclass(frozen=True)
class Adam:
    """Averages of g and g², freed of their bias towards the start at 0.

        m ← beta1 m + (1 − beta1) g,    m̂ = m / (1 − beta1^(k+1))
        v ← beta2 v + (1 − beta2) g²,   v̂ = v / (1 − beta2^(k+1))
        theta ← theta − lr (m̂ / (√v̂ + eps) + weight_decay theta)

    D. Kingma and J. Ba, "Adam: a method for stochastic optimization", ICLR 2015, Algorithm 1; the decay is that of
    I. Loshchilov and F. Hutter, "Decoupled weight decay regularization", ICLR 2019, Algorithm 2 (AdamW).

    Parameters
    ----------
    lr : float or callable
        Learning rate, in units of theta: about the length of a step in each entry.
    beta1, beta2 : float
        In [0, 1).
    eps : float
        Positive, in units of the gradient.
    weight_decay : float
        Not negative.
    """

    lr: Rate
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        _require_rate(self.lr)
        _require_fraction("beta1", self.beta1)
        _require_fraction("beta2", self.beta2)
        _require_positive("eps", self.eps)
        if not 0.0 <= self.weight_decay < math.inf:
            raise ValueError(f"weight_decay: got {self.weight_decay!r}, expected a number >= 0")

    def init(self, theta: Any) -> State:
        """State before the first update."""
        return {"step": 0, "m": _zeros_like(theta), "v": _zeros_like(theta)}

    def update(self, theta: Any, gradient: Any, state: State) -> tuple[Any, State]:
        """Make one step; raises ValueError if the gradient has not theta's containers and shapes."""
        k = state["step"]
        lr, beta1, beta2 = _rate(self.lr, k), self.beta1, self.beta2
        unbias1, unbias2 = 1.0 / (1.0 - beta1 ** (k + 1)), 1.0 / (1.0 - beta2 ** (k + 1))

        def rule(x: Any, g: Any, m: Any, v: Any) -> tuple[Any, ...]:
            m = beta1 * m + (1.0 - beta1) * g
            v = beta2 * v + (1.0 - beta2) * g * g
            return x - lr * (unbias1 * m / (np.sqrt(unbias2 * v) + self.eps) + self.weight_decay * x), m, v

        theta, m, v = _by_leaf(rule, theta, gradient, state["m"], state["v"])
        return theta, {"step": k + 1, "m": m, "v": v}


def clip_by_norm(gradient: Any, max_norm: float) -> tuple[Any, float]:
    """Shorten a gradient to a given length: ``g min(1, max_norm / ‖g‖)``, ‖g‖ the Euclidean norm over all leaves.

    R. Pascanu, T. Mikolov and Y. Bengio, "On the difficulty of training recurrent neural networks", ICML 2013,
    Algorithm 1.

    Parameters
    ----------
    gradient : structure of arrays
    max_norm : float
        Positive.

    Returns
    -------
    gradient : structure of arrays
        As it came if it is short enough, or if its norm is nan or inf.
    norm : float
        Before clipping.
    """
    if not max_norm > 0.0:
        raise ValueError(f"max_norm: got {max_norm!r}, expected a positive number")
    gradient = as_arrays(gradient, "gradient")
    # Divided by the largest entry first: an exploding gradient is just where squares would overflow.
    largest = max((float(np.max(np.abs(g), initial=0.0)) for g in leaves(gradient)), default=0.0)
    if not 0.0 < largest < math.inf:
        return gradient, largest
    norm = largest * math.sqrt(sum(float(np.sum((g / largest) ** 2, dtype=np.float64)) for g in leaves(gradient)))
    if norm <= max_norm:
        return gradient, norm
    return tree_map(lambda g: np.asarray(g * (max_norm / norm), g.dtype), gradient), norm


def matching_leaves(theta: Any, gradient: Any) -> list[np.ndarray]:
    """List the leaves of a gradient in the order and dtypes of theta's.

    Raises
    ------
    ValueError
        It has other containers or shapes than theta; the message names the leaf.
    """
    found = leaves_like(gradient, theta, "gradient")
    for (path, leaf), g in zip(flatten(theta), found, strict=True):
        if np.shape(g) != np.shape(leaf):
            raise ValueError(f"gradient of {path}: got shape {np.shape(g)}, expected {np.shape(leaf)}")
    return [np.asarray(g, leaf.dtype) for g, leaf in zip(found, leaves(theta), strict=True)]


def _by_leaf(rule: Callable[..., tuple[Any, ...]], theta: Any, gradient: Any, *averages: Any) -> tuple[Any, ...]:
    """Apply ``rule(x, g, *averages) -> (x, *averages)`` to every leaf."""
    theta = as_arrays(theta)
    rows = zip(leaves(theta), matching_leaves(theta, gradient), *map(leaves, averages), strict=True)
    # np.asarray: arithmetic turns arrays of shape () into numbers
    columns = zip(*([np.asarray(x) for x in rule(*row)] for row in rows), strict=True)
    return tuple(unflatten(theta, column) for column in columns)


def _zeros_like(theta: Any) -> Any:
    theta = as_arrays(theta)
    if not leaves(theta):
        raise ValueError("theta: got no arrays, expected at least one; there is nothing to train")
    return tree_map(np.zeros_like, theta)


def _rate(lr: Rate, k: int) -> float:
    rate = float(lr(k)) if callable(lr) else float(lr)
    _require_rate(rate)
    return rate


def _require_rate(lr: Rate) -> None:
    if not callable(lr) and not 0.0 <= lr < math.inf:
        raise ValueError(f"lr: got {lr!r}, expected a finite number >= 0, or a function of the step that returns one")


def _require_fraction(name: str, value: float) -> None:
    if not 0.0 <= value < 1.0:
        raise ValueError(f"{name}: got {value!r}, expected a number in [0, 1)")


def _require_positive(name: str, value: float) -> None:
    if not 0.0 < value < math.inf:
        raise ValueError(f"{name}: got {value!r}, expected a positive number")
