"""NumPy functions that are not primitives themselves, written in primitives.

Each entry of `FUNCTIONS` has NumPy's name and the part of NumPy's signature that is recorded. Arguments may be recorded
arrays, arrays, numbers, or (for stacking) sequences of these.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from .primitives import apply
from .recorded import LETTERS, RecordedArray


def recorded_among(*values: Any) -> RecordedArray | None:
    """The first recorded array among values and their entries: it knows how to lift the others."""
    for x in values:
        if isinstance(x, RecordedArray):
            return x
        if isinstance(x, (list, tuple)) or (isinstance(x, np.ndarray) and x.dtype == object):
            found = recorded_among(*(x.ravel() if isinstance(x, np.ndarray) else x))
            if found is not None:
                return found
    return None


def _lift(*values):
    kind = recorded_among(*values)
    return [kind.lift(x) for x in values]


def _axes(axis, ndim):
    return tuple(range(ndim)) if axis is None else normalize_axis_tuple(axis, ndim)


def matmul(a, b):
    """Contract the last axis of a with the first of a vector b, else the last but one; earlier axes are a batch."""
    a, b = _lift(a, b)
    if a.ndim == 0 or b.ndim == 0 or a.shape[-1] != b.shape[max(b.ndim - 2, 0)]:
        raise ValueError(f"@ of shapes {a.shape} and {b.shape}{a.location()}: the inner lengths must agree")
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a, b = (x.broadcast(batch + x.shape[-2:]) if x.ndim > 2 else x for x in (a, b))
    lead = LETTERS[: len(batch)]
    left = (lead if a.ndim > 2 else "") + "ij"[-min(a.ndim, 2) :]
    right = (lead if b.ndim > 2 else "") + "jk"[: b.ndim]
    out = lead + (left + right).replace("j", "").translate(dict.fromkeys(map(ord, lead)))
    lengths = dict(zip(left + right, a.shape + b.shape, strict=True))
    return apply("einsum", a, b, spec=f"{left},{right}->{out}", shape=tuple(lengths[c] for c in out))


def dot(a, b):
    """Scale if one side is a number, else contract as `matmul`."""
    a, b = _lift(a, b)
    return a * b if a.ndim == 0 or b.ndim == 0 else matmul(a, b)


def outer(a, b):
    """All products a_i b_j."""
    a, b = (np.reshape(x, -1) for x in _lift(a, b))
    return apply("einsum", a, b, spec="i,j->ij", shape=a.shape + b.shape)


def sum_(a, axis=None, *, keepdims=False):
    """Sum over axes."""
    (a,) = _lift(a)
    gone = _axes(axis, a.ndim)
    letters = LETTERS[: a.ndim]
    kept = [i for i in range(a.ndim) if i not in gone]
    shape = tuple(a.shape[i] for i in kept)
    y = apply("einsum", a, spec=f"{letters}->{''.join(letters[i] for i in kept)}", shape=shape) if gone else a
    return np.reshape(y, [1 if i in gone else n for i, n in enumerate(a.shape)]) if keepdims else y


def mean(a, axis=None, *, keepdims=False):
    """Average over axes."""
    (a,) = _lift(a)
    count = int(np.prod([a.shape[i] for i in _axes(axis, a.ndim)]))
    return sum_(a, axis, keepdims=keepdims) / float(count)


def norm(x, ord=None, axis=None, keepdims=False):
    """Euclidean norm, of all entries or along axes."""
    if ord is not None:
        x.refuse(f"np.linalg.norm with ord={ord!r} is not recorded", "leave ord out for the Euclidean norm")
    return np.sqrt(np.sum(np.square(x), axis=axis, keepdims=keepdims))


def transpose(a, axes=None):
    """Permute axes."""
    (a,) = _lift(a)
    axes = tuple(range(a.ndim))[::-1] if axes is None else _axes(axes, a.ndim)
    letters = LETTERS[: a.ndim]
    shape = tuple(a.shape[i] for i in axes)
    return apply("einsum", a, spec=f"{letters}->{''.join(letters[i] for i in axes)}", shape=shape)


def reshape(a, shape):
    """Same entries in C order, another shape."""
    (a,) = _lift(a)
    shape = np.empty(a.shape, bool).reshape(shape).shape  # NumPy resolves -1 and checks
    return a if shape == a.shape else apply("reshape", a, shape=shape)


def concatenate(arrays, axis=0):
    """Join along an existing axis."""
    arrays = _lift(*arrays)
    if axis is None:
        arrays, axis = [np.reshape(x, -1) for x in arrays], 0
    ndim = np.concatenate([np.empty(x.shape, bool) for x in arrays], axis).ndim  # NumPy checks the shapes
    axis = normalize_axis_index(axis, ndim)
    joined = [x for x in arrays if x.shape[axis]]  # nothing of length 0 reaches the tape
    if len(joined) <= 1:
        return joined[0] if joined else arrays[0]
    return apply("concat", *joined, axis=axis)


def stack(arrays, axis=0):
    """Join along a new axis."""
    arrays = _lift(*arrays)
    if len({x.shape for x in arrays}) > 1:
        raise ValueError(f"np.stack of shapes {[x.shape for x in arrays]}{arrays[0].location()}: they must be equal")
    at = normalize_axis_index(axis, arrays[0].ndim + 1)
    return concatenate([np.reshape(x, x.shape[:at] + (1,) + x.shape[at:]) for x in arrays], at)


def hstack(arrays):
    """Join along the second axis, or the first of vectors."""
    arrays = [np.reshape(x, 1) if x.ndim == 0 else x for x in _lift(*arrays)]
    return concatenate(arrays, 0 if arrays[0].ndim == 1 else 1)


def roll(a, shift, axis=None):
    """Shift entries along one axis (or the flattened array); what leaves at the end enters at the front."""
    if axis is None:
        return np.reshape(roll(np.reshape(a, -1), shift, 0), a.shape)
    axis = normalize_axis_index(axis, a.ndim)
    return a[(slice(None),) * axis + (np.roll(np.arange(a.shape[axis]), shift),)]


def diff(a):
    """Differences of neighbours along the last axis."""
    return a[..., 1:] - a[..., :-1]


def clip(a, a_min=None, a_max=None, *, min=None, max=None):
    """Limit to an interval."""
    lower, upper = (a_min if min is None else min), (a_max if max is None else max)
    a = a if lower is None else np.maximum(a, lower)
    return a if upper is None else np.minimum(a, upper)


def where(condition, x, y):
    """Choose entry by entry."""
    return apply("where", *_lift(condition, x, y))


def broadcast_to(array, shape):
    """Repeat along axes."""
    (array,) = _lift(array)
    return array.broadcast(np.broadcast_shapes(array.shape, tuple(np.atleast_1d(shape))))


def _not_equal(a, b):
    return 1.0 - np.equal(a, b)


FUNCTIONS = {
    "matmul": matmul, "dot": dot, "outer": outer, "sum": sum_, "mean": mean, "norm": norm, "transpose": transpose,
    "reshape": reshape, "ravel": lambda a: reshape(a, -1), "expand_dims": lambda a, axis: stack([a], axis),
    "concatenate": concatenate, "stack": stack, "hstack": hstack, "roll": roll, "diff": diff,
    "clip": clip, "where": where, "broadcast_to": broadcast_to, "copy": lambda a: a,
    "zeros_like": lambda a: a.lift(np.zeros(a.shape, a.dtype)),
    "ones_like": lambda a: a.lift(np.ones(a.shape, a.dtype)),
    "full_like": lambda a, fill_value: a.lift(fill_value).broadcast(a.shape),
    "square": lambda x: x**2.0, "reciprocal": lambda x: 1.0 / x, "positive": lambda x: x,
    "less": lambda a, b: np.greater(b, a), "less_equal": lambda a, b: np.greater_equal(b, a),
    "not_equal": _not_equal, "logical_not": lambda a: np.equal(a, 0.0),
    "logical_and": lambda a, b: np.minimum(_not_equal(a, 0.0), _not_equal(b, 0.0)),
    "logical_or": lambda a, b: np.maximum(_not_equal(a, 0.0), _not_equal(b, 0.0)),
    "shape": lambda a: a.shape, "ndim": lambda a: a.ndim, "size": lambda a: a.size,
}  # fmt: skip
FUNCTIONS |= {
    "bitwise_and": FUNCTIONS["logical_and"], "bitwise_or": FUNCTIONS["logical_or"],
    "invert": FUNCTIONS["logical_not"],
}  # fmt: skip
