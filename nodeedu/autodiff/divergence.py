"""The divergence tr ∂f/∂z on a tape: the identity's D columns are pushed forward at once, and met by the rows.

Pushing the identity through y = g(x) gives the Jacobian ∂y/∂z = g' ∂x/∂z of every line. Of the last lines only the
trace is wanted, so that the identity is also pulled back from the end, and the two meet:

    W @ I = W,           tr(A @ B) = Σ Aᵀ ∘ B

In W2 @ tanh(W1 @ z + b1), W1 is taken for the first product and W2 for the last: no product is left, and the trace of
H units costs O(D H), where D forward pushes would cost O(D² H). A further layer costs a product with an (H, D) matrix.

What makes the two rewrites work is that a Jacobian is either dense, of shape z.shape + y.shape, or `Sparse`: each entry
of y moves with at most one entry of z, as it does from z itself through whatever acts entry by entry or moves entries.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .primitives import ELEMENTWISE, apply, evaluate, scaled
from .tape import Tape, Traced
from .transforms import add_output, depends, line_of

Array = np.ndarray
AXES = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"  # of z; those of a traced function are small letters


class Sparse(NamedTuple):
    """A Jacobian ∂y_a/∂z_k that is ``slope_a`` where k is ``source_a``, else 0."""

    slope: Any  # y.shape, recorded
    source: Array  # y.shape, places in the flattened z; -1 where nothing moves, with slope 0


def divergence(tape: Tape) -> Tape:
    """Add ``trace`` = tr ∂f/∂z = Σ_i ∂f_i/∂z_i.

    Raises
    ------
    ValueError
        ``dz`` and ``z`` differ in shape.
    """
    new = tape.copy()
    dz, z = line_of(new, "output", "dz"), line_of(new, "input", "z")
    if dz.shape != z.shape:
        raise ValueError(f"dz has shape {dz.shape}, z {z.shape}: a divergence needs equal shapes")
    add_output(new, "trace", trace(new, dz, z))
    return new


def trace(tape: Tape, dz: Traced, z: Traced) -> Traced:
    """Σ_i ∂dz_i/∂z_i of two lines of equal shape, written on the same tape."""
    order = _between(tape, [dz.index], z.index)
    meetings = _pull_identity(tape, order, dz, z)
    jacobians = _push_identity(tape, _between(tape, [i for i, _ in meetings], z.index), z)
    total = tape.const(0.0)
    for i, rows in meetings:
        if i in jacobians:  # else it is flat: the slope of sign, and of comparisons, is 0
            total = total + _meet(rows, jacobians[i], z)
    return total


def squared_jacobian(tape: Tape, dz: Traced, z: Traced) -> Traced:
    """Σ_ij (∂dz_i/∂z_j)² of two lines, written on the same tape."""
    jacobian = _push_identity(tape, _between(tape, [dz.index], z.index), z).get(dz.index)
    if jacobian is None:
        return tape.const(0.0)
    entries = jacobian.slope if isinstance(jacobian, Sparse) else jacobian
    return np.sum(entries * entries)


def _between(tape: Tape, ends: Iterable[int], start: int) -> list[int]:
    """Lines that lead from one line to others, in order, both included."""
    reached, todo = set(), list(ends)
    while todo:
        i = todo.pop()
        if i not in reached:
            reached.add(i)
            todo += tape.nodes[i].args
    return sorted(depends(tape, sorted(reached), {start}) & reached)


def _identity(z: Traced) -> Sparse:
    return Sparse(z.tape.const(np.ones(z.shape)), np.arange(z.size).reshape(z.shape))


# -------------------------------------------------------------------------------------------------------------- forward


def _push_identity(tape: Tape, order: list[int], z: Traced) -> dict[int, Any]:
    """Jacobians of the lines that depend on z."""
    blocks: dict[int, Any] = {z.index: _identity(z)}
    for i in order:
        node = tape.nodes[i]
        if i in blocks:
            continue
        tape.line = node.line
        args = [blocks.get(a) for a in node.args]
        y, x = Traced(tape, i), [Traced(tape, a) for a in node.args]
        if node.op in ELEMENTWISE:
            partials = ELEMENTWISE[node.op].partials(y, *x)
            terms = [_scale(b, p) for b, p in zip(args, partials, strict=True) if b is not None and p is not None]
        elif node.op == "einsum":
            terms = [_push_einsum(k, b, x, z, **node.attributes()) for k, b in enumerate(args) if b is not None]
        else:
            terms = [_push_structural(node.op, args, x, z, node.attributes())]
        if terms:
            blocks[i] = _sum(terms, z)
    return blocks


def _scale(block: Any, factor: Any) -> Any:
    """Multiply by the slope of an entry: the axes of z come first, so that a dense block broadcasts."""
    if isinstance(block, Sparse):
        return Sparse(scaled(block.slope, factor), block.source)
    return scaled(block, factor)


def _sum(terms: list[Any], z: Traced) -> Any:
    total = terms[0]
    for term in terms[1:]:
        if isinstance(total, Sparse) and isinstance(term, Sparse) and _agree(total, term):
            total = Sparse(total.slope + term.slope, np.maximum(total.source, term.source))
        else:
            total = _dense(total, z) + _dense(term, z)
    return total


def _agree(one: Sparse, other: Sparse) -> bool:
    """Whether no entry follows two different entries of z."""
    return bool(np.all((one.source == other.source) | (one.source < 0) | (other.source < 0)))


def _dense(block: Any, z: Traced) -> Traced:
    """Write a block out, of shape z.shape + y.shape."""
    if not isinstance(block, Sparse):
        return block
    units = np.arange(z.size).reshape(z.shape + (1,) * block.source.ndim) == block.source
    return z.tape.const(units) * block.slope


def _push_structural(op: str, args: list[Any], x: list[Traced], z: Traced, attrs: dict[str, Any]) -> Any:
    """Move the entries of a block as those of y."""
    if all(b is None or isinstance(b, Sparse) for b in args):
        zeros = [(z.tape.const(np.zeros(v.shape)), np.full(v.shape, -1)) for v in x]
        slopes, sources = zip(*(zero if b is None else b for b, zero in zip(args, zeros, strict=True)), strict=True)
        return Sparse(_move(op, slopes, attrs), evaluate(op, [s + 1 for s in sources], attrs) - 1)
    blocks = [z.tape.const(np.zeros(z.shape + v.shape)) if b is None else _dense(b, z)
              for b, v in zip(args, x, strict=True)]  # fmt: skip
    whole = {
        "shape": lambda shape: z.shape + shape,
        "index": lambda index: (*((0, n, 1) for n in z.shape), *index),
        "axis": lambda axis: len(z.shape) + axis,
    }
    return apply(op, *blocks, **{name: whole[name](value) for name, value in attrs.items()})


def _move(op: str, slopes: Sequence[Traced], attrs: dict[str, Any]) -> Traced:
    """Move slopes; constant ones at once, so that those of the identity are still seen to be 1."""
    values = [x.tape.value_of(x.index) for x in slopes]
    if any(v is None for v in values):
        return apply(op, *slopes, **attrs)
    whole = [np.broadcast_to(v, x.shape) for v, x in zip(values, slopes, strict=True)]
    return slopes[0].tape.const(evaluate(op, whole, attrs))


def _push_einsum(k: int, block: Any, x: list[Traced], z: Traced, spec: str, shape: tuple[int, ...]) -> Any:
    """One term of the product rule: argument k of the contraction moves."""
    own, out, letters = _letters(spec, k)
    others = [(v, c) for j, (v, c) in enumerate(zip(x, letters, strict=True)) if j != k]
    return _contract(block, own, out, shape, others, z)


# ------------------------------------------------------------------------------------------------------------- backward


def _pull_identity(tape: Tape, order: list[int], dz: Traced, z: Traced) -> list[tuple[int, Any]]:
    """Pull the identity back as long as it stays sparse; return the lines and rows at which the trace is to be taken.

    Rows of line y stand for the sum Σ_ka rows_ka ∂y_a/∂z_k.
    """
    moving, meetings = set(order), []
    waiting: dict[int, Sparse] = {dz.index: _identity(z)} if dz.index in moving else {}
    for i in reversed(order):
        node, rows = tape.nodes[i], waiting.get(i)
        if rows is None:
            continue
        if i == z.index:
            meetings.append((i, rows))
            continue
        tape.line = node.line
        for a, part in _pull_rows(tape, i, rows, z, moving):
            if not isinstance(part, Sparse) or (a in waiting and not _agree(waiting[a], part)):
                meetings.append((a, part))
            else:
                waiting[a] = _sum([waiting[a], part], z) if a in waiting else part
    return meetings


def _pull_rows(tape: Tape, i: int, rows: Sparse, z: Traced, moving: set[int]) -> list[tuple[int, Any]]:
    """Rows of the arguments of a line, of those that move."""
    node = tape.nodes[i]
    attrs, op = node.attributes(), node.op
    y, x = Traced(tape, i), [Traced(tape, a) for a in node.args]
    if op in ELEMENTWISE:
        parts = ELEMENTWISE[op].partials(y, *x)
        return [(a, _scale(rows, p)) for a, p in zip(node.args, parts, strict=True) if a in moving and p is not None]
    if op == "einsum":
        return [(a, _pull_einsum(k, rows, x, z, **attrs)) for k, a in enumerate(node.args) if a in moving]
    if op == "reshape":
        back = [("reshape", {"shape": x[0].shape})]
    elif op == "getitem":
        back = [("scatter", {"index": attrs["index"], "shape": x[0].shape})]
    elif op == "scatter":
        back = [("getitem", {"index": attrs["index"]})]
    else:
        ends = np.cumsum([v.shape[attrs["axis"]] for v in x])
        whole = [(0, n, 1) for n in y.shape]
        spans = [(int(end) - v.shape[attrs["axis"]], v.shape[attrs["axis"]], 1) for end, v in zip(ends, x, strict=True)]
        back = [("getitem", {"index": tuple(span if j == attrs["axis"] else w for j, w in enumerate(whole))})
                for span in spans]  # fmt: skip
    return [(a, _push_structural(op, [rows], [y], z, keywords))
            for a, (op, keywords) in zip(node.args, back, strict=True) if a in moving]  # fmt: skip


def _pull_einsum(k: int, rows: Sparse, x: list[Traced], z: Traced, spec: str, shape: tuple[int, ...]) -> Any:
    own, out, letters = _letters(spec, k)
    others = [(v, c) for j, (v, c) in enumerate(zip(x, letters, strict=True)) if j != k]
    return _contract(rows, out, own, x[k].shape, others, z)


# ------------------------------------------------------------------------------------------------------------ both ways


def _letters(spec: str, k: int) -> tuple[str, str, list[str]]:
    """Letters of argument k, of the result, and of all arguments."""
    inputs, out = spec.split("->")
    letters = inputs.split(",")
    return letters[k], out, letters


def _contract(block: Any, own: str, out: str, shape: tuple[int, ...], others: list[Any], z: Traced) -> Any:
    """Contract a block with axes ``own`` with the other factors of an einsum: a block with axes ``out``."""
    factors, theirs = [v for v, _ in others], "".join("," + c for _, c in others)
    if isinstance(block, Sparse) and set(own) <= set(out):  # entries are copied and scaled: it stays sparse
        slope = apply("einsum", block.slope, *factors, spec=f"{own}{theirs}->{out}", shape=shape)
        return Sparse(slope, evaluate("einsum", [block.source], {"spec": f"{own}->{out}", "shape": shape}))
    found = _identity_block(block) if isinstance(block, Sparse) and not set(own) & set(out) else None
    if found is None:
        axes = "".join([c for c in AXES if c not in own + out + theirs][: len(z.shape)])
        spec = f"{axes}{own}{theirs}->{axes}{out}"
        return apply("einsum", _dense(block, z), *factors, spec=spec, shape=z.shape + shape)
    # ---------------- W @ I = W: the axes of the block become those of z
    start, box = found
    index = tuple((part.start, part.stop - part.start, 1) for part in box)
    slope, lengths = _move("getitem", [block.slope], {"index": index}), dict(zip(own, box, strict=True))
    factors = [v[tuple(lengths.get(c, slice(None)) for c in letters)] for v, letters in others]
    constant = z.tape.value_of(slope.index)
    if constant is not None and np.all(constant == 1.0) and set(own) <= set(theirs):
        result = apply("einsum", *factors, spec=f"{theirs[1:]}->{own}{out}", shape=slope.shape + shape)
    else:
        result = apply("einsum", slope, *factors, spec=f"{own}{theirs}->{own}{out}", shape=slope.shape + shape)
    result = np.reshape(result, (slope.size, *shape))
    index = ((start, slope.size, 1), *((0, n, 1) for n in shape))
    if slope.size < z.size:
        result = apply("scatter", result, index=index, shape=(z.size, *shape))
    return np.reshape(result, z.shape + shape)


def _identity_block(block: Sparse) -> tuple[int, tuple[slice, ...]] | None:
    """Where an identity matrix sits in a block: its first place in z and the slices of its rows; None if it is none."""
    places = np.argwhere(block.source >= 0)
    if not len(places):
        return None
    lows, highs = places.min(axis=0).tolist(), places.max(axis=0).tolist()
    box = tuple(slice(low, high + 1) for low, high in zip(lows, highs, strict=True))
    sources = block.source[box].ravel()
    start = int(sources[0])
    return (start, box) if np.array_equal(sources, np.arange(start, start + sources.size)) else None


def _meet(rows: Any, block: Any, z: Traced) -> Traced:
    """Σ_ka rows_ka block_ka: the trace, by tr(A @ B) = Σ Aᵀ ∘ B."""
    if isinstance(rows, Sparse) and isinstance(block, Sparse):
        same = (rows.source == block.source) & (rows.source >= 0)
        return np.sum(scaled(rows.slope * block.slope, z.tape.const(same)))
    rows, block = _dense(rows, z), _dense(block, z)
    letters = AXES[: len(rows.shape)]
    return apply("einsum", rows, block, spec=f"{letters},{letters}->", shape=())
