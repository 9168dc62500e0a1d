"""Other shapes of an array's memory, for which Numba's own way through strides would cost a thread its registers.

Each function is NumPy's `reshape` or a slice in plain Python, where the simulator calls it. In a kernel it is a few
constants: the compiler keeps sight of where in the array every element lies.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir

from nodeedu.cuda.device import cgutils, intrinsic, overload, types

__all__ = [
    "as_batch", "as_blocks", "as_flat", "as_samples", "of_length", "reload", "repeated", "row_anew", "sample_anew",
]  # fmt: skip

Array = np.ndarray


def as_blocks(flat: Array, blocks: int) -> Array:
    """Return rows (n, M D) as (n, M, 1, D): blocks of a batch of one."""
    return flat.reshape(len(flat), blocks, 1, -1)


def as_flat(x: Array) -> Array:
    """Return blocks (n, M, 1, D) as rows (n, M D)."""
    return x.reshape(len(x), -1)


def as_batch(row: Array) -> Array:
    """Return a row (n,) as (1, n)."""
    return row.reshape(1, -1)


def of_length(row: Array, length: int) -> Array:
    """Return the first entries of a row."""
    return row[:length]


def as_samples(rows: Array) -> Array:
    """Return rows (n, D) as (n, 1, D)."""
    return rows[:, None]


def row_anew(rows: Array, b: int) -> Array:
    """Return row b of rows (B, n) as (1, n), see `_anew`."""
    return rows[b].reshape(1, -1)


def sample_anew(array: Array, b: int, size: int) -> Array:
    """Return sample b of an array (B, n, D) as (n, 1, 1, D), of a length D that the compiler knows, see `_anew`."""
    return array[b].reshape(-1, 1, 1, size)


def repeated(row: Array, count: int, blocks: int) -> Array:
    """Return a row (M D) as (count, M, 1, D), all of which are the same memory: what is written last stays."""
    x = row.reshape(1, blocks, 1, -1)
    return np.lib.stride_tricks.as_strided(x, (count, *x.shape[1:]), (0, *x.strides[1:]))


def reload() -> None:
    """Let the compiler forget what it has read from memory: else a parameter read once holds a register to the end."""


def _reshaped(make: Callable[..., list[Any]], array: Any, axes: int) -> tuple[Any, Callable[..., Any]]:
    """Return type and code of a contiguous array on the same memory, of the shape ``make(builder, shape, number)``."""
    kind = types.Array(array.dtype, axes, "C", readonly=not array.mutable)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source = context.make_array(array)(context, builder, args[0])
        shape = make(builder, cgutils.unpack_tuple(builder, source.shape), args[1])
        strides = [source.itemsize]
        for n in reversed(shape[1:]):
            strides.insert(0, builder.mul(strides[0], n))
        view, pack = context.make_array(kind)(context, builder), cgutils.pack_array
        context.populate_array(
            view, data=source.data, shape=pack(builder, shape), strides=pack(builder, strides),
            itemsize=source.itemsize, meminfo=None,
        )  # fmt: skip
        return view._getvalue()

    return kind, generate


def _one(shape: list[Any]) -> Any:
    return shape[0].type(1)


def _anew(builder: Any, number: Any) -> Any:
    """Return a number below 2**31 and keep from the compiler that it is the same.

    Else it would work out addresses once, ahead of the loop over steps, and keep them in registers all along.
    """
    short = ir.IntType(32)
    same = ir.InlineAsm(ir.FunctionType(short, [short]), "", "=r,0", side_effect=True)
    return builder.zext(builder.call(same, [builder.trunc(number, short)]), number.type)


@intrinsic
def _row(typing_context: Any, rows: Any, b: Any) -> Any:
    kind = types.Array(rows.dtype, 2, "C", readonly=not rows.mutable)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source = context.make_array(rows)(context, builder, args[0])
        n = _anew(builder, cgutils.unpack_tuple(builder, source.shape)[1])
        return _part(context, builder, source, kind, [_one([n]), n], builder.mul(_anew(builder, args[1]), n))

    return kind(rows, types.intp), generate


@intrinsic
def _sample(typing_context: Any, array: Any, b: Any, size: Any) -> Any:
    kind = types.Array(array.dtype, 4, "C", readonly=not array.mutable)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source = context.make_array(array)(context, builder, args[0])
        n = _anew(builder, cgutils.unpack_tuple(builder, source.shape)[1])
        first = builder.mul(builder.mul(_anew(builder, args[1]), n), args[2])
        return _part(context, builder, source, kind, [n, _one([n]), _one([n]), args[2]], first)

    return kind(array, types.intp, types.intp), generate


def _part(context: Any, builder: Any, source: Any, kind: Any, shape: list[Any], first: Any) -> Any:
    """Return the code of a contiguous array that begins at an element of another."""
    strides, view, pack = [source.itemsize], context.make_array(kind)(context, builder), cgutils.pack_array
    for n in reversed(shape[1:]):
        strides.insert(0, builder.mul(strides[0], n))
    context.populate_array(
        view, data=builder.gep(source.data, [first]), shape=pack(builder, shape), strides=pack(builder, strides),
        itemsize=source.itemsize, meminfo=None,
    )  # fmt: skip
    return view._getvalue()


@intrinsic
def _reload(typing_context: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        void = ir.FunctionType(ir.VoidType(), [])
        builder.call(ir.InlineAsm(void, "", "~{memory}", side_effect=True), [])
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic
def _blocks(typing_context: Any, flat: Any, blocks: Any) -> Any:
    def make(builder: Any, shape: list[Any], blocks: Any) -> list[Any]:
        return [shape[0], blocks, _one(shape), builder.sdiv(shape[1], blocks)]

    kind, generate = _reshaped(make, flat, 4)
    return kind(flat, types.intp), generate


@intrinsic
def _flat(typing_context: Any, x: Any, blocks: Any) -> Any:
    def make(builder: Any, shape: list[Any], blocks: Any) -> list[Any]:
        return [shape[0], builder.mul(shape[1], shape[3])]

    kind, generate = _reshaped(make, x, 2)
    return kind(x, types.intp), generate


@intrinsic
def _batch(typing_context: Any, row: Any, blocks: Any) -> Any:
    kind, generate = _reshaped(lambda builder, shape, number: [_one(shape), shape[0]], row, 2)
    return kind(row, types.intp), generate


@intrinsic
def _length(typing_context: Any, row: Any, length: Any) -> Any:
    kind, generate = _reshaped(lambda builder, shape, length: [length], row, 1)
    return kind(row, types.intp), generate


@intrinsic
def _samples(typing_context: Any, rows: Any, number: Any) -> Any:
    def make(builder: Any, shape: list[Any], number: Any) -> list[Any]:
        return [shape[0], _one(shape), shape[1]]

    kind, generate = _reshaped(make, rows, 3)
    return kind(rows, types.intp), generate


@intrinsic
def _repeated(typing_context: Any, row: Any, count: Any, blocks: Any) -> Any:
    kind = types.Array(row.dtype, 4, "A")

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source = context.make_array(row)(context, builder, args[0])
        [size], one = cgutils.unpack_tuple(builder, source.shape), source.itemsize.type(1)
        size = builder.sdiv(size, args[2])
        step = builder.mul(size, source.itemsize)
        view, pack = context.make_array(kind)(context, builder), cgutils.pack_array
        context.populate_array(
            view, data=source.data, shape=pack(builder, [args[1], args[2], one, size]),
            strides=pack(builder, [one.type(0), step, step, source.itemsize]), itemsize=source.itemsize, meminfo=None,
        )  # fmt: skip
        return view._getvalue()

    return kind(row, types.intp, types.intp), generate


overload(as_blocks, inline="always")(lambda flat, blocks: lambda flat, blocks: _blocks(flat, blocks))
overload(as_flat, inline="always")(lambda x: lambda x: _flat(x, 1))
overload(as_batch, inline="always")(lambda row: lambda row: _batch(row, 1))
overload(of_length, inline="always")(lambda row, length: lambda row, length: _length(row, length))
overload(as_samples, inline="always")(lambda rows: lambda rows: _samples(rows, 1))
overload(row_anew, inline="always")(lambda rows, b: lambda rows, b: _row(rows, b))
overload(sample_anew, inline="always")(lambda array, b, size: lambda array, b, size: _sample(array, b, size))
overload(reload, inline="always")(lambda: lambda: _reload())
overload(repeated, inline="always")(lambda row, count, blocks: lambda row, count, blocks: _repeated(row, count, blocks))
