"""Derivatives of a tape as tapes: vjp, jvp, grad, jacobian; divergence.py has the trace.

The rules of the table are written in primitives, so what a transform adds is again a tape, and transforms nest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from .primitives import apply, pull_back, push_forward
from .tape import Tape, Traced


def vjp(tape: Tape, outputs: Sequence[str] = ("dz",), wrt: Sequence[str] | None = None) -> Tape:
    """Add the vector-Jacobian product: x_bar = Σ_y y_bar ∂y/∂x (reverse mode).

    Parameters
    ----------
    tape : Tape
    outputs : sequence of str
        Roles y to be pulled back; each adds an input of role ``y_bar``.
    wrt : sequence of str, optional
        Roles x of the inputs wanted; all inputs by default. Each adds an output of role ``x_bar``.

    Returns
    -------
    Tape
        The outputs of ``tape`` and one cotangent for each input wanted, zeros where nothing depends on it.

    Raises
    ------
    ValueError
        A role is unknown, or a new role is taken already: `Tape.select` gives outputs other roles first.
    """
    wrt = list(tape.inputs) if wrt is None else wrt
    new = tape.copy()
    seeds: dict[int, Traced] = {}
    for role in outputs:
        i = _index_of(role, tape.outputs, "output")
        bar = new.input(role + "_bar", tape.nodes[i].shape)
        seeds[i] = seeds[i] + bar if i in seeds else bar  # two roles may be one line: f = exp(z) is its own divergence
    return _pull(new, tape.live(), seeds, wrt, "_bar")


def grad(tape: Tape, output: str = "loss", wrt: Sequence[str] | None = None) -> Tape:
    """Add the gradient of one scalar output: an output of role ``x_grad`` for each input wanted."""
    index = _index_of(output, tape.outputs, "output")
    if tape.nodes[index].shape != ():
        raise ValueError(f"output {output!r} has shape {tape.nodes[index].shape}: grad expects a scalar; use vjp")
    wrt = list(tape.inputs) if wrt is None else wrt
    new = tape.copy()
    return _pull(new, tape.live(), {index: new.const(1.0)}, wrt, "_grad")


def _index_of(role, table, kind):
    if role not in table:
        raise ValueError(f"{role!r} is not an {kind} of the tape, which has {', '.join(table)}")
    return table[role]


def line_of(tape: Tape, kind: str, role: str) -> Traced:
    """Line of an ``input`` or an ``output``."""
    return Traced(tape, _index_of(role, tape.inputs if kind == "input" else tape.outputs, kind))


def add_output(tape: Tape, role: str, x: Traced) -> None:
    """Give a line a role that the outputs do not have yet."""
    if role in tape.outputs:
        raise ValueError(f"the tape has an output {role!r} already: tape.select({{{role!r}: other}}) renames it")
    tape.outputs[role] = x.index


def _name_after(tape, x, node, suffix):
    """Name a derivative after the user's variable, for display."""
    own = tape.nodes[x.index]
    if node.name and not own.name and own.op not in ("input", "const"):
        tape.rename(x.index, node.name + suffix)


def _pull(tape, order, seeds, wrt, suffix):
    """Walk back over the lines ``order`` and give the cotangents of the inputs ``wrt`` roles."""
    wanted = {role: _index_of(role, tape.inputs, "input") for role in wrt}
    bars = _accumulate(tape, order, seeds, set(wanted.values()))
    for role, i in wanted.items():
        bar = bars.get(i, tape.const(0.0)).broadcast(tape.nodes[i].shape)
        add_output(tape, role + suffix, bar)
    return tape


def _accumulate(tape, order, seeds, sources):
    """Walk back over the lines ``order`` and add up cotangents, of the lines that depend on the sources."""
    bars = dict(seeds)
    wanted = depends(tape, order, sources)
    for i in reversed(order):
        node = tape.nodes[i]
        if i not in bars or not node.args or i not in wanted or i in sources:
            continue
        _name_after(tape, bars[i], node, "_bar")
        tape.line = node.line
        y, x = Traced(tape, i), [Traced(tape, a) for a in node.args]
        contributions = pull_back(node.op, bars[i], y, x, node.attributes(), [a in wanted for a in node.args])
        for a, bar in zip(node.args, contributions, strict=True):
            if bar is not None:
                bars[a] = bars[a] + bar if a in bars else bar
    return bars


def depends(tape: Tape, order: Sequence[int], sources: set[int]) -> set[int]:
    """Lines among ``order`` that depend on one of the sources."""
    found = set(sources)
    for i in order:
        if any(a in found for a in tape.nodes[i].args):
            found.add(i)
    return found


def push(tape: Tape, tangents: dict[int, Traced]) -> dict[int, Traced]:
    """Tangent of every line that depends on the given ones (forward mode), written on the same tape."""
    order = tape.live()
    dots = dict(tangents)
    for i in order:
        node = tape.nodes[i]
        if i in dots or not any(a in dots for a in node.args):
            continue
        tape.line = node.line
        y, x = Traced(tape, i), [Traced(tape, a) for a in node.args]
        y_dot = push_forward(node.op, [dots.get(a) for a in node.args], y, x, node.attributes())
        if y_dot is not None:
            dots[i] = y_dot
            _name_after(tape, y_dot, node, "_dot")
    return dots


def jvp(tape: Tape, wrt: Sequence[str] = ("z",), outputs: Sequence[str] = ("dz",)) -> Tape:
    """Add the Jacobian-vector product: y_dot = Σ_x ∂y/∂x x_dot (forward mode).

    Each role x of ``wrt`` adds an input of role ``x_dot``, each role y of ``outputs`` an output ``y_dot``.
    """
    new = tape.copy()
    seeds = {}
    for role in wrt:
        i = _index_of(role, tape.inputs, "input")
        seeds[i] = new.input(role + "_dot", tape.nodes[i].shape)
    dots = push(new, seeds)
    for role in outputs:
        i = _index_of(role, tape.outputs, "output")
        add_output(new, role + "_dot", dots.get(i, new.const(0.0)).broadcast(tape.nodes[i].shape))
    return new


def inline(tape: Tape, source: Tape, inputs: dict[str, Traced], output: str = "dz") -> Traced:
    """Write the lines of another tape onto this one, its inputs being values that are here already."""
    values: dict[int, Traced] = {}
    for i in source.live():
        node = source.nodes[i]
        tape.line = node.line
        if node.op == "input":
            values[i] = inputs[node.attributes()["role"]]
        elif node.op == "const":
            values[i] = tape.const(source.value_of(i))
        else:
            values[i] = tape.record(node.op, tuple(values[a] for a in node.args), node.attributes())
            if node.name and not tape.nodes[values[i].index].name:
                tape.rename(values[i].index, node.name)
    return values[source.outputs[output]]


def pull(tape: Tape, seeds: dict[int, Traced], wanted: Sequence[int]) -> list[Traced]:
    """Cotangents of the lines wanted from those of other lines (reverse mode), written on the same tape."""
    bars = _accumulate(tape, tape.live(), seeds, set(wanted))
    return [bars.get(i, tape.const(0.0)).broadcast(tape.nodes[i].shape) for i in wanted]


def columns(tape: Tape, y: Traced, x: Traced) -> Iterator[tuple[tuple[int, ...], Traced | None]]:
    """∂y/∂x_k for every entry k of the line x: one forward push a unit vector."""
    for k in np.ndindex(x.shape):
        one = tape.const(1.0)
        unit = apply("scatter", one, index=k, shape=x.shape) if x.shape else one  # its zeros fold away in the emitter
        yield k, push(tape, {x.index: unit}).get(y.index)


def jacobian(tape: Tape, output: str = "dz", wrt: str = "z") -> Tape:
    """Add the Jacobian ∂y/∂x as an output of role ``{y}_{x}`` and shape y.shape + x.shape."""
    new = tape.copy()
    y, x = line_of(new, "output", output), line_of(new, "input", wrt)
    found = [(new.const(0.0) if column is None else column).broadcast(y.shape) for _, column in columns(new, y, x)]
    shape = y.shape + x.shape
    result = np.reshape(np.stack(found, axis=-1), shape) if found else new.const(np.zeros(shape))
    add_output(new, f"{output}_{wrt}", result)
    return new
