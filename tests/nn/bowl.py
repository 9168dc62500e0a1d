"""What the tests of training share: a small problem with a known answer."""

import numpy as np

from nodeedu import nn
from nodeedu.autodiff.structure import tree_map

TARGET = np.array([1.0, -2.0])


def start():
    """Parameters in nested containers, one leaf a single number."""
    return {"x": np.array([3.0, 3.0]), "scale": (np.array(2.0),)}


def bowl(theta, step):
    """Loss ‖x − TARGET‖² + scale² and its gradient."""
    error, scale = theta["x"] - TARGET, theta["scale"][0]
    return error @ error + scale**2, {"x": 2 * error, "scale": (2 * scale,)}


def noisy_bowl(rng):
    """The bowl at a random place each step."""

    def loss_and_gradient(theta, step):
        moved = {"x": theta["x"] + 0.1 * rng.normal(size=2), "scale": theta["scale"]}
        return bowl(moved, step)

    return loss_and_gradient


def run(*args, **kwargs):
    """Train in silence, unless asked for more."""
    return nn.train(*args, **{"progress": False} | kwargs)


def bits(result):
    """All numbers of a result."""
    parts = (result.theta, result.losses, result.state, result.best_theta, result.best_loss)
    return tree_map(lambda x: np.asarray(x).tobytes(), parts)
