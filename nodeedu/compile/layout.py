"""How the parameters lie in the flat vectors p and p_bar.

p = [parameters | transposed copies of matrices | constant arrays]. The parameters come leaf by leaf, in each leaf the
short axes first and the long ones last, so that loops over long axes read with stride 1. A matrix product wants its
operand contiguous in one particular direction (a transposed small operand costs OpenBLAS 1.3 to 2 times as much), so a
leaf with two long axes is stored a second time, transposed. p_bar has the parameters alone.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..autodiff import structure

UNROLL = 4  # axes up to this length are written out component by component, longer ones become loops


def is_long(n: int) -> bool:
    """Whether an axis of length n becomes a loop."""
    return n > UNROLL


def c_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Strides of a contiguous array in C order, in entries."""
    strides, step = [], 1
    for n in reversed(shape):
        strides.append(step)
        step *= n
    return tuple(reversed(strides))


@dataclass(frozen=True)
class Layout:
    """Where each leaf and constant array begins in p, and its strides.

    Parameters
    ----------
    theta : structure
        Example of the parameters: containers and shapes.
    places : dict
        Role of a leaf to (offset, strides).
    transposed : dict
        (offset, rows, columns) of a matrix in p to the offset of its transposed copy.
    constants : dict
        Bytes of a constant array to its offset.
    order, back : ndarray
        p = flat[order] for ``flat`` the leaves and constants in C order, one after the other; flat = p[back] for the
        leaves.
    bounds : tuple
        Where each leaf begins and ends in ``flat``.
    n_params, n_packed : int
        Lengths of p_bar and p.
    """

    theta: Any
    shapes: tuple[tuple[int, ...], ...]
    places: dict[str, tuple[int, tuple[int, ...]]]
    transposed: dict[tuple[int, int, int], int]
    constants: dict[bytes, int]
    constant_values: np.ndarray
    order: np.ndarray
    back: np.ndarray
    bounds: tuple[tuple[int, int], ...]
    n_params: int
    n_packed: int

    def pack(self, theta: Any, dtype: Any = np.float64) -> np.ndarray:
        """Flatten parameters into p.

        Raises
        ------
        ValueError
            The leaves differ in number or shape from those the layout was made for.
        """
        try:
            leaves = structure.leaves_like(theta, self.theta)
        except ValueError:
            self._explain(theta)
        if tuple([leaf.shape if type(leaf) is np.ndarray else np.shape(leaf) for leaf in leaves]) != self.shapes:
            self._explain(theta)
        flat = np.concatenate([*leaves, self.constant_values], axis=None)
        return flat.astype(dtype, copy=False).take(self.order)

    def unpack(self, p_bar: np.ndarray) -> Any:
        """Rebuild containers and shapes from a vector laid out like p_bar."""
        flat = p_bar.take(self.back)
        pieces = zip(self.bounds, self.shapes, strict=True)
        return structure.unflatten(self.theta, [flat[start:stop].reshape(shape) for (start, stop), shape in pieces])

    def _explain(self, theta):
        expected = [f"{role} {shape}" for role, shape in zip(self.places, self.shapes, strict=True)]
        got = [f"{role} {np.shape(leaf)}" for role, leaf in structure.flatten(theta)]
        raise ValueError(
            f"theta has leaves [{', '.join(got)}]: the field was made for [{', '.join(expected)}]; "
            "pass parameters of these names and shapes, or make a new field with ne.vector_field"
        )


def make_layout(theta: Any, constants: list[np.ndarray]) -> Layout:
    """Lay out parameters and constant arrays.

    Parameters
    ----------
    theta : structure of arrays
    constants : list of ndarray
        Arrays that the tape holds as constants and that loops must read.
    """
    pairs = structure.flatten(theta)
    places, transposed, order = {}, {}, []
    offset = 0
    for role, leaf in pairs:
        shape = np.shape(leaf)
        axes = [i for i, n in enumerate(shape) if not is_long(n)] + [i for i, n in enumerate(shape) if is_long(n)]
        index = offset + np.arange(int(np.prod(shape))).reshape(shape)
        strides = [0] * len(shape)
        for axis, step in zip(axes, c_strides(tuple(shape[i] for i in axes)), strict=True):
            strides[axis] = step
        places[role] = (offset, tuple(strides))
        order.append(index.transpose(axes).ravel())
        offset += index.size
    n_params = offset
    for block in _matrices(pairs, order):
        start, rows, columns, index = block
        transposed[start, rows, columns] = offset
        order.append(index.reshape(rows, columns).T.ravel())
        offset += rows * columns
    first, at = {}, n_params
    for value in constants:
        first[value.tobytes()] = offset
        order.append(np.arange(at, at + value.size))
        offset += value.size
        at += value.size
    order_of_p = np.concatenate(order) if order else np.zeros(0, int)
    shapes = tuple(np.shape(leaf) for _, leaf in pairs)
    ends = np.cumsum([0, *(int(np.prod(shape)) for shape in shapes)]).tolist()
    return Layout(
        theta=theta,
        shapes=shapes,
        places=places,
        transposed=transposed,
        constants=first,
        constant_values=np.concatenate([np.ravel(v) for v in constants]) if constants else np.zeros(0),
        order=order_of_p,
        back=np.argsort(order_of_p[:n_params]),
        bounds=tuple(itertools.pairwise(ends)),
        n_params=n_params,
        n_packed=offset,
    )


def _matrices(pairs, order):
    """Each block of two long axes: (offset in p, rows, columns, indices into the flat leaves)."""
    start = 0
    for (_, leaf), index in zip(pairs, list(order), strict=True):
        long = [n for n in np.shape(leaf) if is_long(n)]
        if len(long) == 2:
            rows, columns = long
            for k in range(0, index.size, rows * columns):
                yield start + k, rows, columns, index[k : k + rows * columns]
        start += index.size
