"""Calls and expressions as users write them, for traced arrays and Tensors; each also runs on plain arrays."""

import functools

import numpy as np

from nodeedu.autodiff import relu, sigmoid, softplus

Z = np.array([0.7, -0.4, 1.3])
A = np.array([[0.2, -1.1, 0.5], [0.9, 0.3, -0.6]])

# Each function of the list, called as users call it; z has shape (3,), a has shape (2, 3).
CALLS = {
    "matmul": lambda z, a: [a @ z, a @ a.T @ np.ones(2), np.matmul(a, z), [1.0, 2.0] @ a[:, :2]],
    "dot": lambda z, a: [np.dot(a, z) * np.dot(z, z), a.dot(z) + np.dot(2.0, z[:2])],
    "outer": lambda z, a: np.outer(z, a)[:, ::2],
    "sum": lambda z, a: np.sum(a, axis=0) * np.sum(a) + a.sum(axis=1, keepdims=True)[0] + np.add.reduce(a) + sum(z),
    "mean": lambda z, a: np.mean(a, axis=(0, 1)) + a.mean(0) + np.mean(z, keepdims=True),
    "norm": lambda z, a: np.linalg.norm(z) * z + np.linalg.norm(a, axis=0),
    "transpose": lambda z, a: a.T + np.transpose(a, (1, 0)) + a.transpose() + a.transpose(1, 0) + a.transpose((1, 0)),
    "reshape": lambda z, a: a.reshape(3, 2) + a.reshape((3, -1)) + np.reshape(a, (3, 2)),
    "ravel": lambda z, a: np.ravel(a) * a.ravel() * a.flatten(),
    "concatenate": lambda z, a: (
        np.concatenate([a, a[:1], [z], np.zeros((0, 3))], axis=0).sum(-1) + np.concatenate((z[:1], z))[0]
    ),
    "stack": lambda z, a: np.stack([z, a[0], [1, 2, 3]], axis=-1) * np.stack([z, z, z]) + np.stack([z[0], 1.0, 2.0]),
    "hstack": lambda z, a: np.hstack([z[0], z, 1.0]) + np.hstack([a, a[:, :2]])[0],
    "clip": lambda z, a: np.clip(z, -0.1, 1.0) + np.clip(z, a_min=0.0, a_max=None) + np.clip(z, min=-0.2, max=0.2),
    "where": lambda z, a: np.where(z > 0, z, 2 * z) + np.where(a[0] <= z, 1.0, z) + np.where(np.array([1, 0, 1]), z, 0),
    "roll": lambda z, a: np.roll(z, 2) + np.roll(a, 1, axis=1)[0] + np.roll(a, -1).sum(0),
    "diff": lambda z, a: np.diff(z) + np.diff(a)[0],
    "broadcast_to": lambda z, a: np.broadcast_to(z, (2, 3)) * np.broadcast_to(a[:, :1], (2, 3)),
    "expand_dims": lambda z, a: np.expand_dims(z, 0) + np.expand_dims(z, -1),
    "copy": lambda z, a: np.copy(z) + z.copy(),
    "zeros_like": lambda z, a: np.zeros_like(z) + a,
    "ones_like": lambda z, a: np.ones_like(a) * z,
    "full_like": lambda z, a: np.full_like(z, 2.5) * a,
    "square": lambda z, a: np.square(a) * z,
    "reciprocal": lambda z, a: np.reciprocal(a),
    "positive": lambda z, a: +z,
    "less": lambda z, a: (z < 0.5) * z,
    "less_equal": lambda z, a: (z <= a) * 1.0,
    "not_equal": lambda z, a: (z != 0.7) * z,
    "logical_not": lambda z, a: np.logical_not(z > 0) * z,
    "logical_and": lambda z, a: np.logical_and(z > 0, z < 1) * z,
    "logical_or": lambda z, a: np.logical_or(z < 0, z > 1) * z,
    "bitwise_and": lambda z, a: ((z > 0) & (z < 1)) * z,
    "bitwise_or": lambda z, a: ((z < 0) | (z > 1)) * z,
    "invert": lambda z, a: (~(z > 0)) * z,
    "shape": lambda z, a: z * np.shape(a)[1] + a.shape[0],
    "ndim": lambda z, a: z * np.ndim(a) + a.ndim,
    "size": lambda z, a: z * np.size(a) + a.size + len(a),
}

EXPRESSIONS = {
    "arithmetic with numbers on either side": lambda z, a: 2 + (3 * z - 1) / 2 - (1 - z) * 2.5 + 1 / (z + 3) - z / 4,
    "powers": lambda z, a: z**2 + z**-1 + abs(z) ** 0.5 + 2**z + z**0 + abs(z) ** z,
    "powers as functions": lambda z, a: np.power(z, 3) + np.float_power(2, z),
    "NumPy numbers on either side": lambda z, a: np.float64(2.0) * z - z / np.float32(0.5) + np.int64(3) - z * np.True_,
    "lists and arrays beside traced arrays": lambda z, a: z + [1, 2, 3] + np.arange(3) * z + (1.0, 2.0, 3.0),
    "unpacking": lambda z, a: (lambda x, y, w: np.array([y, w * x, x]))(*z),
    "unpacked rows": lambda z, a: (lambda p, q: p * q)(*a),
    "iteration": lambda z, a: [2 * x for x in z],
    "a tuple of results": lambda z, a: (z[1], 0.0, z[0] * z[2]),
    "nested lists of results": lambda z, a: [[z[0], 1], [z[1], z[2]]],
    "object arrays": lambda z, a: np.sin(np.array([z[0], z[1]])) * 2 - np.sqrt(np.array([z[2], z[0]])),
    "object arrays beside arrays": lambda z, a: A[:, :2] @ np.array([z[0], 1.0]),
    "object arrays beside traced arrays": lambda z, a: a @ np.array([z[0], z[1], 1.0]) + np.array([z[0], 0.0]),
    "elementary functions": lambda z, a: np.sin(z) * np.cos(z) + np.tan(z) * np.tanh(z) - np.exp(z) / np.cosh(z),
    "more elementary functions": lambda z, a: np.log(z**2) * np.arctan(z) + np.sqrt(abs(z)) - np.sinh(z),
    "absolute value and sign": lambda z, a: np.abs(z) + np.fabs(z) * np.sign(z),
    "maximum and minimum": lambda z, a: np.maximum(z, 0) - np.minimum(a, z),
    "activations": lambda z, a: sigmoid(z) + softplus(a) - relu([z[0], -1.0, z[2]]) + sigmoid(np.array([z[0], 1, 2])),
    "integers": lambda z, a: z[0] * a[1, -1] + z[-1] + a[-1][0],
    "slices": lambda z, a: z[1:] * a[:, ::2][0] - z[:-1] + a[1:, 1:][0] + z[-2:] + z[0:2],
    "reversed slices": lambda z, a: z[::-1] * a[::-1, ::-1] + z[10::-1],
    "an empty reversed slice": lambda z, a: np.concatenate([z, z[-10:0:-1]]),
    "new axes": lambda z, a: z[None] * z[:, None] + z[np.newaxis, :, np.newaxis][0],
    "an ellipsis": lambda z, a: a[..., 0] + a[0, ..., :2],
    "integer arrays": lambda z, a: z[[0, 2]] + a[:, [2, 0]][0] + z[np.array([-1, 1])] + a[[0, 1], [2, 1]],
    "integer matrices": lambda z, a: z[np.array([[0, 1], [2, 2]])],
    "boolean masks": lambda z, a: z[np.array([True, False, True])] + a[A > 0.4][:2],
    "empty integer arrays": lambda z, a: np.concatenate([z[[]], z]),
    "sums of numbers": lambda z, a: functools.reduce(lambda s, x: s + x**2, z, 0.0) * z,
    "a product of vectors": lambda z, a: z @ z * z,
    "products over a batch": lambda z, a: np.stack([a, 2 * a]) @ z + (np.stack([a, a]) @ np.ones((2, 3, 1)))[..., 0],
    "broadcasting": lambda z, a: a * z + a[:, :1] * z[None] + z[0] - a[:1],
    "in-place arithmetic on a number": lambda z, a: add_up(z),
    "constants only": lambda z, a: np.ones(2),
}  # fmt: skip


def add_up(z):
    total, x = 0.0, z[0]
    for entry in z:
        total += entry**2
    x *= 2
    return [total, x, z[0]]
