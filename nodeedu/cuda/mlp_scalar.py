"""Functions of one number that a tape applies entry by entry: activations, and what stands before the first layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

from nodeedu.autodiff.primitives import ELEMENTWISE
from nodeedu.autodiff.tape import Node, Tape
from nodeedu.compile.build import build
from nodeedu.compile.field import VectorField

__all__ = ["Scalar", "cut_out"]


@dataclass(frozen=True)
class Scalar:
    """A function of one number, as a tape of elementwise primitives.

    Parameters
    ----------
    nodes : tuple of Node
        The tape, with the input ``z`` of shape (1,).
    output : int
        Which node is its value.
    """

    nodes: tuple[Node, ...]
    output: int

    @lru_cache  # noqa: B019 - of a few frozen records
    def functions(self, dtype: Any) -> tuple[Callable[..., Any], Callable[..., Any]]:
        """Return the emitted array functions f and vjp_z of the field of one component that this function is."""
        (z,) = (i for i, node in enumerate(self.nodes) if node.op == "input")
        tape = Tape(list(self.nodes), {"dz": self.output}, {"z": z})
        tape.known = {(n.op, n.args, n.attrs, n.shape): i for i, n in enumerate(self.nodes)}
        named = SimpleNamespace(__name__="scalar")
        field = VectorField(named, tape, (1,), None)  # type: ignore[arg-type]
        modules = [build(field.source(kind, dtype), f"scalar_{kind}") for kind in ("f", "vjp_z")]
        return modules[0].f, modules[1].vjp_z


class _NoScalarError(Exception):
    """There is no such function."""


def cut_out(source: Tape, top: int, is_bottom: Callable[[int], bool]) -> tuple[Scalar | None, int | None]:
    """Cut out the function, entry by entry, of one node that another is; None for the node itself.

    Returns the function and the node at the bottom, or (None, None) if there is no such function.
    """
    tape, bottoms = Tape(), set()
    x = tape.input("z", (1,))

    def copy(i: int) -> Any:
        node, value = source.nodes[i], source.value_of(i)
        if is_bottom(i):
            bottoms.add(i)
            return x
        if value is not None and value.size == 1:
            return tape.const(value.reshape(())).broadcast((1,))
        if node.op not in ELEMENTWISE:
            raise _NoScalarError
        return tape.record(node.op, tuple(copy(each) for each in node.args), node.attributes())

    try:
        result = copy(top)
    except _NoScalarError:
        return None, None
    if len(bottoms) != 1:
        return None, None
    nodes = tuple(replace(node, name="", line=0) for node in tape.nodes)
    return (None if result.index == x.index else Scalar(nodes, result.index)), bottoms.pop()
