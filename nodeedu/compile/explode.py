"""First pass of the emitter: a tape becomes components.

Axes up to `layout.UNROLL` long are written out, one component an entry; longer axes stay loops. The value of a node is
an object array over its short axes (length 1 where an axis is long), and structural primitives vanish: into the choice
of components, into strides, into sums.
"""

from __future__ import annotations

import numpy as np

from ..autodiff.tape import Tape
from .components import BATCHED_SCALARS, Builder, Component, Part
from .layout import Layout, c_strides, is_long


def short_shape(shape):
    """Shape of the object array that holds a node's components."""
    return tuple(1 if is_long(n) else n for n in shape)


def long_axes(shape):
    """Lengths of the loop axes."""
    return tuple(n for n in shape if is_long(n))


class Exploder(Builder):
    """Holds ``values``: node index to object array of components.

    Parameters
    ----------
    tape : Tape
    layout : Layout
        Where parameters and constants lie in p.
    arguments : dict
        Role of an input to the kernel argument it is read from; parameters are read from ``p`` or ``p_dot``.
    """

    def __init__(self, tape: Tape, layout: Layout, arguments: dict[str, str]) -> None:
        super().__init__()
        self.tape, self.layout, self.arguments = tape, layout, arguments
        self.values: dict[int, np.ndarray] = {}
        for i in tape.live():
            node = tape.nodes[i]
            self.line = node.line
            rule = getattr(self, "_" + node.op, None)
            args = [self.values[a] for a in node.args]
            self.values[i] = rule(node, *args, **node.attributes()) if rule else self._elementwise(node, *args)
            self._give_names(node, self.values[i])

    def _give_names(self, node, value):
        for k, component in np.ndenumerate(value):
            if node.name and not component.name and component.kind != "const":
                digits = "".join(str(q) for q, n in zip(k, node.shape, strict=True) if not is_long(n))
                component.name = node.name + (f"_{digits}" if digits and value.size > 1 else "")

    def fill(self, shape, make) -> np.ndarray:
        """Build the object array of a node from ``make(short index)``."""
        value = np.empty(short_shape(shape), object)
        for k in np.ndindex(value.shape):
            value[k] = make(k)
        return value

    def _shapes(self, node):
        return [self.tape.nodes[a].shape for a in node.args]

    # Leaves

    def _input(self, node, role):
        leaf = role.removesuffix("_dot")
        if leaf in self.layout.places:
            offset, strides = self.layout.places[leaf]
            array, batched = ("p" if leaf == role else "p_dot"), False
        else:
            offset, strides = 0, c_strides(node.shape)
            array, batched = self.arguments[role], True
        return self._memory(array, offset, strides, node.shape, batched)

    def _memory(self, array, offset, strides, shape, batched):
        """Components that read an array lying in memory with these strides."""
        long = [i for i, n in enumerate(shape) if is_long(n)]

        def make(k):
            start = offset + sum(q * s for i, (q, s) in enumerate(zip(k, strides, strict=True)) if i not in long)
            return self.load(array, start, [strides[i] for i in long], long_axes(shape), batched)

        return self.fill(shape, make)

    def _const(self, node, data):
        value = np.frombuffer(data).reshape(node.shape)
        if long_axes(node.shape):
            return self._memory("p", self.layout.constants[data], c_strides(node.shape), node.shape, False)
        return self.fill(node.shape, lambda k: self.const(value[k]))

    # Entry by entry

    def _elementwise(self, node, *args):
        return self.fill(node.shape, lambda k: self.elementwise(node.op, *(x[k] for x in args)))

    # Moving entries

    def _reshape(self, node, x, shape):
        (source,) = self._shapes(node)
        if [n for n in source if n != 1] == [n for n in shape if n != 1] or not long_axes(source + shape):
            return x.reshape(short_shape(shape))
        return self._assemble(shape, [(x, source, 0, c_strides(source))])

    def _getitem(self, node, x, index):
        (source,) = self._shapes(node)

        def make(k):
            entries = list(k)
            short, starts, axes, dims = [], [], [], []
            for i, n in zip(index, source, strict=True):
                start, count, step = i if isinstance(i, tuple) else (i, None, 0)
                if count is not None and not is_long(count):
                    start, count = start + step * entries.pop(0), None
                elif count is not None:
                    entries.pop(0)
                if not is_long(n):
                    short.append(start)
                    continue
                short.append(0)
                starts.append(start)
                if count is not None:
                    axes.append((len(starts) - 1, step))
                    dims.append(count)
            return self.view(x[tuple(short)], starts, axes, dims)

        return self.fill(node.shape, make)

    def _scatter(self, node, x, index, shape):
        (source,) = self._shapes(node)
        whole = [i == (0, n, 1) or not is_long(n) for i, n in zip(index, shape, strict=True)]
        if all(whole):
            value = self.fill(shape, lambda k: self.const(0.0))
            places = [[0] if is_long(n) else _entries(i) for i, n in zip(index, shape, strict=True)]
            value[np.ix_(*places)] = x.reshape([len(q) for q in places])
            return value
        strides = c_strides(shape)
        starts = [i if isinstance(i, int) else i[0] for i in index]
        offset = sum(start * s for start, s in zip(starts, strides, strict=True))
        steps = [i[2] * s for i, s in zip(index, strides, strict=True) if isinstance(i, tuple)]
        return self._assemble(shape, [(x, source, offset, steps)], fill=True)

    def _concat(self, node, *args, axis):
        if not is_long(node.shape[axis]):
            return np.concatenate(args, axis)
        pieces, offset, strides = [], 0, c_strides(node.shape)
        for x, shape in zip(args, self._shapes(node), strict=True):
            pieces.append((x, shape, offset, strides))
            offset += shape[axis] * strides[axis]
        return self._assemble(node.shape, pieces)

    def _assemble(self, shape, pieces, fill=False):
        """Write pieces (value, shape, offset, strides) into one block of memory and read it in C order."""
        args, parts = [], []
        for x, piece_shape, offset, strides in pieces:
            long = [s for s, n in zip(strides, piece_shape, strict=True) if is_long(n)]
            for k, component in np.ndenumerate(x):
                start = sum(q * s for q, s, n in zip(k, strides, piece_shape, strict=True) if not is_long(n))
                args.append(component)
                parts.append(Part(offset + start, tuple(long), long_axes(piece_shape)))
        op = "fill" if fill else ""
        block = self.new("assemble", args, op=op, parts=tuple(parts), extent=int(np.prod(shape)))
        block.stored = True
        return self._memory(block, 0, c_strides(shape), shape, block.batched)

    # Contraction

    def _einsum(self, node, *args, spec, shape):
        inputs, out = spec.split("->")
        letters = inputs.split(",")
        length = dict(zip(out, shape, strict=True))
        for own, source in zip(letters, self._shapes(node), strict=True):
            length.update(zip(own, source, strict=True))
        lost_short = [c for c in length if c not in out and not is_long(length[c])]

        def make(k):
            at = dict(zip(out, k, strict=True))
            total = self.const(0.0)
            for q in np.ndindex(*(length[c] for c in lost_short)):
                at.update(zip(lost_short, q, strict=True))
                terms = [
                    (x[tuple(0 if is_long(length[c]) else at[c] for c in own)], [c for c in own if is_long(length[c])])
                    for x, own in zip(args, letters, strict=True)
                ]
                total = self.elementwise("add", total, self._contract(terms, out, length))
            return total

        return self.fill(node.shape, make)

    def _contract(self, terms, out, length):
        """Multiply terms (component, its loop letters) and sum the loop letters that ``out`` lacks."""
        if any(x.is_const(0.0) for x, _ in terms):
            return self.const(0.0)
        kept = [c for c in out if is_long(length[c])]
        lost = [c for _, own in terms for c in own if c not in kept]
        lost = list(dict.fromkeys(lost))
        product = self._matrix_vector(terms, kept, lost, length)
        if product is not None:
            return product
        loop = kept + lost
        dims = tuple(length[c] for c in loop)

        def align(x, own):
            axes = tuple((own.index(c), 1) if c in own else None for c in loop)
            return self.view(x, (0,) * len(x.dims), axes, dims)

        y = align(*terms[0])
        for term in terms[1:]:
            y = self.elementwise("mul", y, align(*term))
        return self.sum(y, dims[: len(kept)], dims[len(kept) :]) if lost else y

    def _matrix_vector(self, terms, kept, lost, length):
        """A product component, if one term is a matrix of p and the other a vector, or rows, of each sample."""
        if len(terms) != 2 or len(lost) != 1 or terms[0][0].batched == terms[1][0].batched:
            return None
        (matrix, own), (vector, other) = sorted(terms, key=lambda term: term[0].batched)
        row = [c for c in kept if c in own]
        rest = [c for c in kept if c not in own]
        if len(row) != 1 or len(own) != 2 or set(other) != {*rest, *lost} or not vector.dims:
            return None
        rows, columns = length[row[0]], length[lost[0]]
        axes = ((own.index(row[0]), 1), (own.index(lost[0]), 1))
        matrix = self.view(matrix, (0, 0), axes, (rows, columns))
        if matrix.kind != "load" or self.operand_offset(matrix) is None:
            return None
        vector = self.whole(self._transposed(vector, other, rest + lost, length))
        product = self.new("product", (matrix, vector), dims=[length[c] for c in rest + row])
        return self._transposed(product, rest + row, kept, length)

    def _transposed(self, x, letters, order, length):
        """Read x with its axes in another order."""
        axes = tuple((letters.index(c), 1) for c in order)
        return self.view(x, (0,) * len(order), axes, tuple(length[c] for c in order))

    def whole(self, vector: Component) -> Component:
        """Return what lies in memory by itself and in order: the vector, or a copy."""
        return vector if vector.kind != "load" or self.is_whole(vector) else self.copy(vector)

    def operand_offset(self, matrix: Component) -> int | None:
        """Offset in p of the (columns, rows) block that y = x @ block needs, or None."""
        rows, columns = matrix.dims
        memory = matrix.memory
        if memory.array != "p":
            return None
        if memory.strides == (1, rows):
            return memory.offset
        if memory.strides == (columns, 1):
            return self.layout.transposed.get((memory.offset, rows, columns))
        return None

    def is_whole(self, vector):
        """Whether a load reads all of its memory in order."""
        memory = vector.memory
        if memory.offset != 0 or memory.strides != c_strides(vector.dims):
            return False
        if isinstance(memory.array, Component):
            return memory.array.size == vector.size
        shapes = {name: self.tape.nodes[self.tape.inputs[role]].shape for role, name in self.arguments.items()}
        return memory.array not in BATCHED_SCALARS and int(np.prod(shapes[memory.array])) == vector.size


def _entries(i):
    """Positions along a short axis that an index item names."""
    return [i] if isinstance(i, int) else [i[0] + q * i[2] for q in range(i[1])]
