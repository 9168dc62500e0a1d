"""Which fields the warp and tile kernels take: perceptrons with one hidden layer, recognised on the field's tape.

    dz/dt = W2 act(s) + b2,     s = W1 phi(z) + w t + b1

act and phi are functions of one number, any that the tape's elementwise primitives make; phi, w, b1 and b2 may be
missing. W1 and W2 are leaves of theta as they are, in either orientation; w is a leaf, or the column of W1 that
multiplies t. The kernels read the parameters where `field.pack` puts them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from nodeedu.autodiff.tape import Tape
from nodeedu.compile.field import VectorField
from nodeedu.cuda.mlp_scalar import Scalar, cut_out

__all__ = ["Matrix", "Perceptron", "Vector", "places", "recognise"]


class Matrix(NamedTuple):
    """A matrix in p: its entry of a hidden unit and an input (W1) or output (W2) is ``p[start + j unit + i side]``."""

    start: int
    unit: int
    side: int


class Vector(NamedTuple):
    """A vector in p: ``p[start + i stride]``."""

    start: int
    stride: int


class _Product(NamedTuple):
    """A node that is the product of a matrix in p and a vector: strides along the result and along the vector."""

    start: int
    out: int
    inner: int
    copy: tuple[int, int, int]  # the same of the transposed copy, or of the matrix itself
    vector: int  # node


@dataclass(frozen=True)
class Perceptron:
    """A perceptron with one hidden layer and the places of its parameters in p.

    Parameters
    ----------
    size, hidden : int
        D components of the state, H hidden units.
    w1, w2 : Matrix
    time, b1, b2 : Vector or None
    activation : Scalar
    inputs : Scalar or None
        phi; None for z itself.
    w1_copy, w2_copy : Matrix
        Copies with the axes the other way round, where `field.pack` keeps them; else W1 and W2 again.
    n_params : int
        P, the length of p_bar.
    """

    size: int
    hidden: int
    w1: Matrix
    w2: Matrix
    time: Vector | None
    b1: Vector | None
    b2: Vector | None
    activation: Scalar
    inputs: Scalar | None
    w1_copy: Matrix
    w2_copy: Matrix
    n_params: int

    def w1_along(self, axis: str) -> Matrix:
        """Return the copy of W1 in which neighbours along an axis ("unit" or "side") lie side by side, if there is."""
        return min(self.w1, self.w1_copy, key=lambda matrix: getattr(matrix, axis))

    def w2_along(self, axis: str) -> Matrix:
        """Return such a copy of W2."""
        return min(self.w2, self.w2_copy, key=lambda matrix: getattr(matrix, axis))


def places(mlp: Perceptron) -> list[np.ndarray]:
    """Return where in p the parameters of W1 (D, H), W2 (D, H), b1 (H,), w (H,) and b2 (D,) lie; empty if missing."""
    units, sides = np.arange(mlp.hidden), np.arange(mlp.size)
    matrices = [each.start + units * each.unit + sides[:, None] * each.side for each in (mlp.w1, mlp.w2)]
    vectors = ((mlp.b1, units), (mlp.time, units), (mlp.b2, sides))
    return matrices + [each.start + at * each.stride if each else np.zeros(0, int) for each, at in vectors]


class _OtherError(Exception):
    """What the tape has in place of a perceptron."""


def recognise(field: Any, kernel: str = "warp") -> Perceptron:
    """Read a perceptron off the tape of a field.

    Parameters
    ----------
    field : VectorField
        Made by `ne.vector_field`.
    kernel : str
        Which kernel asks, for the message.

    Raises
    ------
    ValueError
        The field is something else; the message says what, and names the kernel that takes it.
    """
    advice = f"kernel={kernel!r} takes W2 tanh(W1 z + b1) + b2 and the like, kernel='thread' takes any field"
    if not isinstance(field, VectorField):
        raise ValueError(f"field: got {field!r}, which has no tape to read a perceptron from; {advice}")
    try:
        return _read(field)
    except _OtherError as found:
        raise ValueError(f"field: got {field.name}, {found}; {advice}") from None


@lru_cache(maxsize=32)
def _read(field: VectorField) -> Perceptron:
    """Walk the tape from its output to its inputs."""
    mlp = _walk(field)
    used = np.concatenate(places(mlp), axis=None)
    if len(np.unique(used)) < len(used):
        raise _OtherError("which uses the same parameters in two places")
    return mlp


def _walk(field: VectorField) -> Perceptron:
    if len(field.shape) != 1:
        raise _OtherError(f"whose state has shape {field.shape}, not (D,)")
    top, others = _affine(field, field.tape.outputs["dz"])
    if "time" in others:
        raise _OtherError("which adds a multiple of t to its result")
    activation, found = cut_out(field.tape, top.vector, lambda i: _try_affine(field, i) is not None)
    if found is None or activation is None:
        raise _OtherError("whose hidden layer is no function, unit by unit, of W1 z + b1")
    layer, terms = _affine(field, found)
    state, first, time_column = _split_time(field, layer.vector)
    inputs, z = cut_out(field.tape, state, lambda i: field.tape.nodes[i].attributes().get("role") == "z")
    if z is None:
        raise _OtherError("whose first layer does not multiply a function, component by component, of z")
    if time_column is not None and "time" in terms:
        raise _OtherError("which adds t to its hidden layer in two ways")
    time = terms.get("time")
    if time_column is not None:
        time = Vector(layer.start + time_column * layer.inner, layer.out)
    start, out, inner = layer.copy
    return Perceptron(
        field.size, field.tape.nodes[top.vector].shape[0],
        Matrix(layer.start + first * layer.inner, layer.out, layer.inner), Matrix(top.start, top.inner, top.out),
        time, terms.get("bias"), others.get("bias"), activation, inputs,
        Matrix(start + first * inner, out, inner), Matrix(top.copy[0], top.copy[2], top.copy[1]), field.n_params,
    )  # fmt: skip


def _affine(field: VectorField, i: int) -> tuple[_Product, dict[str, Vector]]:
    """Return the product of matrix and vector in a sum, and its other terms: "bias", "time"."""
    products, others = [], {}
    for term in _terms(field.tape, i):
        if product := _product(field, term):
            products.append(product)
            continue
        kind, place = _addend(field, term)
        if kind in others:
            raise _OtherError(f"which adds two terms of one kind: {kind}")
        others[kind] = place
    if len(products) != 1:
        raise _OtherError(f"in which {len(products)} parameter matrices multiply a layer where one was expected")
    return products[0], others


def _try_affine(field: VectorField, i: int) -> tuple[_Product, dict[str, Vector]] | None:
    try:
        return _affine(field, i)
    except _OtherError:
        return None


def _terms(tape: Tape, i: int) -> Iterator[int]:
    if tape.nodes[i].op == "add":
        for each in tape.nodes[i].args:
            yield from _terms(tape, each)
    else:
        yield i


def _leaf(field: VectorField, i: int) -> tuple[int, tuple[int, ...]] | None:
    """Return the offset and strides in p of a node that is a leaf of theta."""
    return field.layout.places.get(field.tape.nodes[i].attributes().get("role", ""))


def _addend(field: VectorField, i: int) -> tuple[str, Vector]:
    """Return the kind and place of a bias, or of weights times t."""
    node = field.tape.nodes[i]
    if place := _leaf(field, i):
        return "bias", Vector(place[0], place[1][0])
    if node.op == "mul":
        for weights, time in (node.args, node.args[::-1]):
            if (place := _leaf(field, weights)) and _is_time(field.tape, time):
                return "time", Vector(place[0], place[1][0])
    raise _OtherError(f"in which {node.op} stands where parameters, or parameters times t, are added to a product")


def _is_time(tape: Tape, i: int) -> bool:
    """Whether a node is t, in any shape."""
    node = tape.nodes[i]
    if node.op == "reshape" or (node.op == "einsum" and len(node.args) == 1):
        return _is_time(tape, node.args[0])
    return bool(node.attributes().get("role") == "t")


def _product(field: VectorField, i: int) -> _Product | None:
    """Read a node that is the product of a leaf, or a transposed leaf, and a vector."""
    node = field.tape.nodes[i]
    if node.op != "einsum" or len(node.args) != 2:
        return None
    given, out = node.attributes()["spec"].split("->")
    letters = given.split(",")
    for (matrix, vector), (axes, inner) in zip(
        (node.args, node.args[::-1]), (letters, letters[::-1]), strict=True
    ):  # fmt: skip
        if len(axes) == 2 and len(inner) == 1 and sorted(axes) == sorted(inner + out):
            return _matrix(field, matrix, axes.index(out), axes.index(inner), vector)
    return None


def _matrix(field: VectorField, i: int, out: int, inner: int, vector: int) -> _Product:
    """Find the matrix in p, and the transposed copy that the layout keeps if both axes are long."""
    node = field.tape.nodes[i]
    if node.op == "einsum" and len(node.args) == 1 and _is_transposition(node.attributes()["spec"]):
        return _matrix(field, node.args[0], inner, out, vector)
    place = _leaf(field, i)
    if place is None:
        raise _OtherError(f"in which {node.op} computes the matrix of a layer from parameters")
    start, strides = place
    rows, columns = node.shape
    copy = field.layout.transposed.get((start, rows, columns))
    if copy is None:
        return _Product(start, strides[out], strides[inner], (start, strides[out], strides[inner]), vector)
    swapped = (1, rows)
    return _Product(start, strides[out], strides[inner], (copy, swapped[out], swapped[inner]), vector)


def _is_transposition(spec: str) -> bool:
    before, after = spec.split("->")
    return len(before) == 2 and after == before[::-1]


def _split_time(field: VectorField, i: int) -> tuple[int, int, int | None]:
    """Return what W1 multiplies but for t, the first column that does, and the column of t: of z, or of (z, t)."""
    node = field.tape.nodes[i]
    if node.op != "concat" or len(node.args) != 2:
        return i, 0, None
    first, second = node.args
    if _is_time(field.tape, second):
        return first, 0, field.size
    if _is_time(field.tape, first):
        return second, 1, 0
    return i, 0, None
