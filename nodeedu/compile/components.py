"""Components: the scalar and loop-shaped pieces that a tape is exploded into.

A component is one number for each point of its loop space ``dims`` (the long axes), and for each sample if it is
``batched``. Kinds:

const        ``value``
load         an entry of memory: an argument of the kernel, or another component that is stored
elementwise  ``op`` of the table applied to the arguments
sum          its argument summed over the trailing axes of the argument's loop space
product      matrix times vector for a tile of samples at once; the matrix is a block of p
assemble     memory that several parts are written into (concatenate, scatter, general reshape)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..autodiff.primitives import ELEMENTWISE
from .layout import c_strides

BATCHED_SCALARS = ("t", "trace_bar", "trace", "t_bar")  # arguments with one number for each sample


@dataclass(frozen=True)
class Memory:
    """Entry ``offset + Σ strides·loop variables`` of an argument (by name) or of a stored component."""

    array: Any
    offset: int
    strides: tuple[int, ...]


@dataclass(frozen=True)
class Part:
    """Where one argument of an `assemble` goes: offset, strides and the loop space it is written over."""

    offset: int
    strides: tuple[int, ...]
    dims: tuple[int, ...]


@dataclass(eq=False)
class Component:
    """One piece; the last block of fields is filled by the scheduler."""

    kind: str
    args: tuple[Component, ...] = ()
    op: str = ""
    value: float = 0.0
    memory: Memory | None = None
    parts: tuple[Part, ...] = ()
    extent: int = 0
    dims: tuple[int, ...] = ()
    batched: bool = False
    name: str = ""
    line: int = 0

    tick: int = 0
    stored: bool = False
    uses: int = 0

    @property
    def size(self) -> int:
        """Words of memory for one sample."""
        return self.extent or int(np.prod(self.dims))

    @property
    def loop(self) -> tuple[int, ...]:
        """The loop space in which it is computed."""
        return self.args[0].dims if self.kind == "sum" else self.dims

    def is_const(self, value: float) -> bool:
        """Whether it is this constant."""
        return self.kind == "const" and self.value == value


class Builder:
    """Makes components, each equal one once, with constants folded."""

    def __init__(self) -> None:
        self.components: list[Component] = []
        self.known: dict[tuple, Component] = {}
        self.line = 0

    def new(self, kind: str, args=(), *, batched=None, dims=(), **fields) -> Component:
        """Make a component or find the equal one."""
        key = (kind, tuple(map(id, args)), tuple(dims), *fields.values())
        if key not in self.known:
            batched = any(a.batched for a in args) if batched is None else batched
            component = Component(kind, tuple(args), dims=tuple(dims), batched=batched, line=self.line, **fields)
            self.known[key] = component
            self.components.append(component)
        return self.known[key]

    def const(self, value: float) -> Component:
        """Make a constant."""
        return self.new("const", value=float(value))

    def load(self, array: Any, offset: int, strides, dims, batched: bool) -> Component:
        """Read memory: an argument's name or a stored component."""
        args = () if isinstance(array, str) else (array,)
        return self.new("load", args, batched=batched, dims=dims, memory=Memory(array, offset, tuple(strides)))

    def elementwise(self, op: str, *args: Component) -> Component:
        """Apply an elementwise primitive, or what it folds to."""
        values = [a.value if a.kind == "const" else None for a in args]
        if all(v is not None for v in values):
            with np.errstate(all="ignore"):
                return self.const(float(ELEMENTWISE[op].evaluate(*(np.float64(v) for v in values))))
        if op == "mul" and 0.0 in values:
            return self.const(0.0)
        if op == "mul" and 1.0 in values:
            return args[1 - values.index(1.0)]
        if op == "add" and 0.0 in values:
            return args[1 - values.index(0.0)]
        if op == "sub" and values[0] == 0.0:
            return self.elementwise("neg", args[1])
        if (op == "sub" and values[1] == 0.0) or (op in ("div", "pow") and values[1] == 1.0):
            return args[0]
        return self.new("elementwise", args, op=op, dims=max((a.dims for a in args), key=len))

    def copy(self, x: Component) -> Component:
        """Give a vector memory of its own."""
        return self.new("elementwise", (x,), op="copy", dims=x.dims)

    def sum(self, x: Component, dims: tuple[int, ...], lost: tuple[int, ...]) -> Component:
        """Sum over the trailing axes ``lost``; a component without loops stands for equal entries."""
        if not x.dims:
            return self.elementwise("mul", x, self.const(float(np.prod(lost))))
        return self.new("sum", (x,), dims=dims)

    def view(self, x: Component, starts, axes, dims) -> Component:
        """Read x at other indices, as NumPy's basic indexing does.

        Parameters
        ----------
        starts : tuple of int
            First index along each loop axis of x.
        axes : tuple
            For each new axis the (source axis, step) it walks along, or None for a broadcast.
        dims : tuple of int
            Lengths of the new axes.
        """
        if not x.dims:
            return x
        if x.kind == "load":
            array, offset, strides = x.memory.array, x.memory.offset, x.memory.strides
        else:
            array, offset, strides = x, 0, c_strides(x.dims)
        offset += sum(start * stride for start, stride in zip(starts, strides, strict=True))
        new_strides = tuple(0 if axis is None else strides[axis[0]] * axis[1] for axis in axes)
        if x.kind != "load" and (offset, new_strides, tuple(dims)) == (0, strides, x.dims):
            return x
        return self.load(array, offset, new_strides, dims, x.batched)
