"""The summands of a field as its author wrote them, so that a wrong derivative is traced to the term it came from.

``f_2 = mu (1 - x**2) v - k x + A cos(w t)`` has three; they are read off the tape, each with its text.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...autodiff import structure, transforms
from ...autodiff.primitives import ELEMENTWISE
from ...autodiff.tape import Node, Tape
from .case import Case

Array = NDArray[Any]
LONG = 60  # characters: a longer text is no name
MOST = 64  # summands: more are no help to a reader


@dataclass(frozen=True, eq=False)
class Summand:
    """A summand of one component of f.

    Parameters
    ----------
    component : int
        Which.
    text : str
        As in the user's code, with its sign.
    gradients : array (m, D)
        Its derivatives by z at some points.
    """

    component: int
    text: str
    gradients: Array


def summands(c: Case, points: list[tuple[float, Array]]) -> list[Summand]:
    """Return the summands of all components of f, differentiated at some points (t, z); none if there are too many."""
    tape = c.problem.field.tape
    parts = [(i, *part) for i in range(c.D) for part in _split(tape, tape.outputs["dz"], i, 1.0)]
    if len(parts) > MOST:
        return []
    slopes = {node: _slopes(c, node, points) for node in {node for _, _, node, _ in parts}}
    return [Summand(i, _text(tape, node, entry, sign), sign * slopes[node][:, entry]) for i, sign, node, entry in parts]


def _split(tape: Tape, index: int, entry: int, sign: float) -> list[tuple[float, int, int]]:
    """Return (sign, node, entry) of the summands of one entry of a node, entries counted in C order."""
    node = tape.nodes[index]
    if node.op in ("add", "sub", "neg"):
        signs = {"add": (1.0, 1.0), "sub": (1.0, -1.0), "neg": (-1.0,)}[node.op]
        pairs = zip(node.args, signs, strict=True)
        return [part for arg, own in pairs for part in _split(tape, arg, entry, sign * own)]
    if node.op == "reshape":
        return _split(tape, node.args[0], entry, sign)
    if node.op == "concat" and len(node.shape) == 1:
        for arg in node.args:
            length = prod(tape.nodes[arg].shape)
            if entry < length:
                return _split(tape, arg, entry, sign)
            entry -= length
    return [(sign, index, entry)]


def _slopes(c: Case, index: int, points: list[tuple[float, Array]]) -> Array:
    """Return the derivatives of a node by z at some points (m, entries, D)."""
    P, tape = c.problem, c.problem.field.tape.copy()
    tape.outputs = {"s": index}
    jacobian = transforms.jacobian(tape, "s").select({"s_z": "s_z"})
    theta = dict(structure.flatten(P.theta))
    every = [{"t": t, "z": np.reshape(z, P.field.shape), **theta} for t, z in points]
    values = [jacobian.evaluate({role: inputs[role] for role in jacobian.inputs})["s_z"] for inputs in every]
    return np.reshape(values, (len(points), -1, c.D))


def _text(tape: Tape, index: int, entry: int, sign: float) -> str:
    text, precedence = _render(tape, index)
    if len(text) > LONG:
        text, precedence = tape.nodes[index].name or f"the summand in line {tape.nodes[index].line}", 9
    node = tape.nodes[index]
    if node.shape and not str(node.attributes().get("spec", "")).startswith("->"):  # a broadcast number has no entries
        text, precedence = f"{_bracketed(text, precedence, 9)}[{entry}]", 9
    return text if sign > 0 else f"-{_bracketed(text, precedence, 5)}"


def _render(tape: Tape, index: int) -> tuple[str, int]:
    """Write a node as Python would, with the precedence of its outermost operation."""
    node = tape.nodes[index]
    if node.name:
        return node.name, 9
    if node.op == "const":
        value = np.frombuffer(node.attributes()["data"])
        return (f"{value[0]:g}" if value.size == 1 else "constants"), 9
    if node.op == "input":
        return str(node.attributes()["role"]), 9
    inside = [_render(tape, arg) for arg in node.args]
    if node.op == "pow":
        return f"{_bracketed(*inside[0], 9)}**{_bracketed(*inside[1], 9)}", 7
    if node.op in ELEMENTWISE:
        entry = ELEMENTWISE[node.op]
        floor = 0 if entry.precedence == 9 else entry.precedence
        last = floor + (node.op in ("sub", "div"))
        texts = [_bracketed(*x, last if i else floor) for i, x in enumerate(inside)]
        return entry.text.format(*texts), entry.precedence
    return _rearranged(node, inside)


def _rearranged(node: Node, inside: list[tuple[str, int]]) -> tuple[str, int]:
    attributes = node.attributes()
    if node.op == "einsum":
        if len(inside) == 2:
            return " @ ".join(_bracketed(*x, 6) for x in inside), 5
        inputs, output = attributes["spec"].split("->")
        return (f"{_bracketed(*inside[0], 9)}.T", 9) if len(inputs) == 2 and output == inputs[::-1] else inside[0]
    if node.op == "getitem" and all(isinstance(i, int) for i in attributes["index"]):
        return f"{_bracketed(*inside[0], 9)}[{', '.join(map(str, attributes['index']))}]", 9
    if node.op in ("reshape", "getitem", "scatter") and len(inside) == 1:
        return (inside[0][0], inside[0][1]) if node.op == "reshape" else (f"{_bracketed(*inside[0], 9)}[...]", 9)
    return f"{node.op}({', '.join(text for text, _ in inside)})", 9


def _bracketed(text: str, precedence: int, least: int) -> str:
    return text if precedence >= least else f"({text})"
