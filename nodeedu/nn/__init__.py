"""Networks and how they are trained: parameters are plain containers of arrays, everything else is a function of them.

    mlp = nn.MLP((2, 50, 2))
    theta = mlp.init(seed=0)                                   # {"W1": (50, 2), "b1": (50,), "W2": (2, 50), "b2": (2,)}
    field = ne.vector_field(mlp, z0[0], theta)
    optimiser = nn.Adam(lr=nn.CosineDecay(1e-2, steps=500))

    def loss_and_gradient(theta, step):
        sol = ne.odeint(field, z0, ts, theta)
        loss, zs_bar = nn.mse(sol.zs, data)                    # nan in the data is a missing value
        return loss, ne.gradients(field, z0, ts, theta, zs_bar, solution=sol).theta

    result = nn.train(loss_and_gradient, theta, optimiser, steps=500, checkpoint="run.npz", resume=True)

Run again after an interruption, the last line continues where it was, and ends with the same bits.
"""

from .checkpoints import load_checkpoint, save_checkpoint
from .initialisers import glorot_uniform, he_normal, normal, orthogonal, zeros
from .losses import gaussian_nll, huber, mae, mse
from .mlp import MLP
from .optimisers import SGD, Adam, RMSprop, clip_by_norm
from .schedules import CosineDecay, ExponentialDecay
from .training import Result, train

__all__ = [
    "MLP",
    "SGD",
    "Adam",
    "CosineDecay",
    "ExponentialDecay",
    "RMSprop",
    "Result",
    "clip_by_norm",
    "gaussian_nll",
    "glorot_uniform",
    "he_normal",
    "huber",
    "load_checkpoint",
    "mae",
    "mse",
    "normal",
    "orthogonal",
    "save_checkpoint",
    "train",
    "zeros",
]
