"""Derivatives of a tape as tapes: vjp, jvp, grad, jacobian, divergence.

The rules of the table are written in primitives, so what a transform adds is again a tape, and transforms nest.
"""

from __future__ import annotations

from collections.abc import Sequence

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


def _add_output(tape, role, x):
    if role in tape.outputs:
        raise ValueError(f"the tape has an output {role!r} already: tape.select({{{role!r}: other}}) renames it")
    tape.outputs[role] = x.index


def _name_after(tape, x, node, suffix):
    """Name a derivative after the user's variable, for display."""
    own = tape.nodes[x.index]
    if node.name and not own.name and own.op not in ("input", "const"):
        tape.rename(x.index, node.name + suffix)


def _pull(tape, order, seeds, wrt, suffix):
    """Walk back over the lines ``order`` and add up cotangents."""
    bars = dict(seeds)
    wanted = _depends(tape, order, {_index_of(role, tape.inputs, "input") for role in wrt})
    for i in reversed(order):
        node = tape.nodes[i]
        if i not in bars or not node.args or i not in wanted:
            continue
        _name_after(tape, bars[i], node, "_bar")
        tape.line = node.line
        y, x = Traced(tape, i), [Traced(tape, a) for a in node.args]
        contributions = pull_back(node.op, bars[i], y, x, node.attributes(), [a in wanted for a in node.args])
        for a, bar in zip(node.args, contributions, strict=True):
            if bar is not None:
                bars[a] = bars[a] + bar if a in bars else bar
    for role in wrt:
        i = tape.inputs[role]
        bar = bars.get(i, tape.const(0.0)).broadcast(tape.nodes[i].shape)
        _add_output(tape, role + suffix, bar)
    return tape


def _depends(tape, order, sources):
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
        _add_output(new, role + "_dot", dots.get(i, new.const(0.0)).broadcast(tape.nodes[i].shape))
    return new


def _columns(tape, wrt, output):
    """∂output/∂x_k for every entry k of the input ``wrt``: one forward push a unit vector."""
    i = _index_of(wrt, tape.inputs, "input")
    shape = tape.nodes[i].shape
    for k in np.ndindex(shape):
        one = tape.const(1.0)
        unit = apply("scatter", one, index=k, shape=shape) if shape else one  # its zeros fold away in the emitter
        dots = push(tape, {i: unit})
        yield k, dots.get(tape.outputs[output])


def jacobian(tape: Tape, output: str = "dz", wrt: str = "z") -> Tape:
    """Add the Jacobian ∂y/∂x as an output of role ``{y}_{x}`` and shape y.shape + x.shape."""
    new = tape.copy()
    shape_y = tape.nodes[_index_of(output, tape.outputs, "output")].shape
    shape_x = tape.nodes[_index_of(wrt, tape.inputs, "input")].shape
    columns = [
        (new.const(0.0) if column is None else column).broadcast(shape_y) for _, column in _columns(new, wrt, output)
    ]
    shape = shape_y + shape_x
    result = np.reshape(np.stack(columns, axis=-1), shape) if columns else new.const(np.zeros(shape))
    _add_output(new, f"{output}_{wrt}", result)
    return new


def divergence(tape: Tape) -> Tape:
    """Add ``trace`` = tr ∂f/∂z = Σ_i ∂f_i/∂z_i, by D forward pushes.

    The zeros of the unit vectors vanish by simplification, here and in the emitter.
    """
    shapes = [tape.nodes[_index_of("dz", tape.outputs, "output")].shape, tape.nodes[tape.inputs["z"]].shape]
    if shapes[0] != shapes[1]:
        raise ValueError(f"dz has shape {shapes[0]}, z {shapes[1]}: a divergence needs equal shapes")
    new = tape.copy()
    total = new.const(0.0)
    for k, column in _columns(new, "z", "dz"):
        if column is not None:
            total = total + column[k]
    _add_output(new, "trace", total)
    return new
