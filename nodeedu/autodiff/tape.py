"""The tape (Wengert list): a function written down as a list of primitives, and its evaluation with NumPy.

Inputs and outputs are known by their *role*: ``t``, ``z``, the path of a parameter such as ``theta['W']``, ``dz``, and
what the transforms add, ``dz_bar``, ``z_bar``, ``z_dot``. The names of the user's variables are only for display.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .primitives import ELEMENTWISE, evaluate
from .recorded import RecordedArray, TraceError


@dataclass(frozen=True)
class Node:
    """One line of a tape: ``input``, ``const`` or a primitive, applied to earlier lines."""

    op: str
    args: tuple[int, ...]
    attrs: tuple[tuple[str, Any], ...]
    shape: tuple[int, ...]
    name: str = ""  # the user's variable, for display
    line: int = 0  # the user's line, for display

    def attributes(self) -> dict[str, Any]:
        """Attributes as keywords."""
        return dict(self.attrs)


@dataclass
class Tape:
    """A list of nodes, each equal node recorded once, and the roles of its outputs."""

    nodes: list[Node] = field(default_factory=list)
    outputs: dict[str, int] = field(default_factory=dict)
    inputs: dict[str, int] = field(default_factory=dict)
    known: dict[tuple, int] = field(default_factory=dict)
    line: int = 0  # given to new nodes
    locate: Any = None  # while tracing: () -> (file, line) of the user's code

    def copy(self) -> Tape:
        """Copy, so that a transform can add to it."""
        return replace(
            self,
            nodes=list(self.nodes),
            outputs=dict(self.outputs),
            inputs=dict(self.inputs),
            known=dict(self.known),
            locate=None,
        )

    # Recording

    def _append(self, op, args, attrs, shape, name=""):
        attrs, shape = tuple(sorted(attrs.items())), tuple(shape)
        key = (op, args, attrs, shape)  # the shape tells apart constants of the same bytes
        if key not in self.known:
            line = self.locate()[1] if self.locate else self.line
            self.known[key] = len(self.nodes)
            self.nodes.append(Node(op, args, attrs, shape, name, line))
        return Traced(self, self.known[key])

    def input(self, role: str, shape: tuple[int, ...], name: str = "") -> Traced:
        """Add an input of a role that the tape does not have yet."""
        if role in self.inputs:
            raise ValueError(f"role {role!r} is already an input of shape {self.nodes[self.inputs[role]].shape}")
        x = self._append("input", (), {"role": role}, shape, name)
        self.inputs[role] = x.index
        return x

    def const(self, value: Any) -> Traced:
        """Add a constant, scalars as themselves, equal entries as a broadcast scalar."""
        array = np.asarray(value, float)
        if array.size > 1 and np.all(array == array.flat[0]):
            return self.const(array.flat[0]).broadcast(array.shape)
        return self._append("const", (), {"data": array.tobytes()}, array.shape)

    def value_of(self, index: int) -> np.ndarray | None:
        """Value of a constant, seen through a broadcast; None for anything else."""
        node = self.nodes[index]
        if node.op == "einsum" and len(node.args) == 1 and not self.nodes[node.args[0]].shape:
            node = self.nodes[node.args[0]]
        return np.frombuffer(node.attributes()["data"]).reshape(node.shape) if node.op == "const" else None

    def record(self, op: str, args: tuple[Traced, ...], attrs: dict[str, Any]) -> Traced:
        """Add a primitive, or what it simplifies to."""
        if op in ELEMENTWISE:
            try:
                shape = np.broadcast_shapes(*(x.shape for x in args))
            except ValueError:
                shapes = " and ".join(str(x.shape) for x in args)
                raise ValueError(f"{op} of shapes {shapes}{args[0].location()}: they do not broadcast") from None
            simple = self._simplify(op, args)
            if simple is not None:
                return simple.broadcast(shape)
            args = tuple(x.broadcast(shape) for x in args)
        else:
            shape = attrs.get("shape")
            if shape is None:
                shape = np.shape(evaluate(op, [np.empty(x.shape, bool) for x in args], attrs))
            if _is_identity(op, args, attrs):
                return args[0]
        return self._append(op, tuple(x.index for x in args), attrs, shape)

    def _simplify(self, op, args):
        """Fold constants and drop 0 + x, 1 * x, 0 * x, --x: what differentiation leaves behind."""
        values = [self.value_of(x.index) for x in args]
        scalars = [None if v is None or v.size != 1 else float(v.reshape(())) for v in values]
        if all(v is not None for v in scalars):
            with np.errstate(all="ignore"):
                return self.const(ELEMENTWISE[op].evaluate(*(np.float64(v) for v in scalars)))
        if op == "add" and 0.0 in scalars:
            return args[1 - scalars.index(0.0)]
        if op == "mul" and 1.0 in scalars:
            return args[1 - scalars.index(1.0)]
        if op == "mul" and 0.0 in scalars:
            return self.const(0.0)
        if op == "pow" and scalars[1] == 0.0:
            return self.const(1.0)
        if op == "where" and scalars[0] is not None:
            return args[1] if scalars[0] else args[2]
        if (op == "sub" and scalars[1] == 0.0) or (op in ("div", "pow") and scalars[1] == 1.0):
            return args[0]
        if op == "neg" and self.nodes[args[0].index].op == "neg":
            return Traced(self, self.nodes[args[0].index].args[0])
        return None

    def rename(self, index: int, name: str) -> None:
        """Give a node a name for display."""
        self.nodes[index] = replace(self.nodes[index], name=name)

    def select(self, roles: dict[str, str]) -> Tape:
        """Keep some outputs under new roles, ``{role: new role}``: what a second derivative of the same kind needs."""
        kept = self.copy()
        kept.outputs = {new: self.outputs[role] for role, new in roles.items()}
        return kept

    # Reading

    def live(self) -> list[int]:
        """Indices that the outputs reach, in order: dead code is left out."""
        seen: set[int] = set()
        todo = list(self.outputs.values())
        while todo:
            i = todo.pop()
            if i not in seen:
                seen.add(i)
                todo += self.nodes[i].args
        return sorted(seen)

    def evaluate(self, inputs: dict[str, Any]) -> dict[str, np.ndarray]:
        """Walk the list with NumPy: the reference for everything that is made from the tape.

        Parameters
        ----------
        inputs : dict
            Role to value, of the shape recorded. Complex values are allowed.

        Returns
        -------
        dict
            Role of each output to a new array of the common dtype of the values. As in compiled code nothing warns:
            inf and nan go where IEEE 754 sends them.

        Raises
        ------
        ValueError
            A value is missing or has another shape.
        """
        dtype = np.result_type(np.float32, *(np.asarray(x).dtype for x in inputs.values()))
        values: dict[int, np.ndarray] = {}
        with np.errstate(all="ignore"):
            for i in self.live():
                node = self.nodes[i]
                if node.op == "input":
                    values[i] = self._input_value(node, inputs, dtype)
                elif node.op == "const":
                    values[i] = self.value_of(i).astype(dtype)
                else:
                    values[i] = evaluate(node.op, [values[a] for a in node.args], node.attributes())
        return {role: np.array(values[i], dtype) for role, i in self.outputs.items()}

    def _input_value(self, node, inputs, dtype):
        role = node.attributes()["role"]
        if role not in inputs:
            raise ValueError(f"no value for the input {role!r}: the tape has the inputs {', '.join(self.inputs)}")
        value = np.asarray(inputs[role], dtype)
        if value.shape != node.shape:
            raise ValueError(f"input {role!r} has shape {value.shape}: expected {node.shape}, as it was recorded")
        return value

    def show(self) -> str:
        """Write the live lines as a table: number, shape, what is done, the user's name."""
        rows = []
        for i in self.live():
            node = self.nodes[i]
            if node.op == "const":
                text = f"const {np.array2string(self.value_of(i), threshold=6)}"
            else:
                shown = [f"v{a}" for a in node.args] + [str(v) for k, v in node.attrs if k != "shape"]
                text = f"{node.op} {', '.join(shown)}"
            rows.append(f"v{i:<4}= {text:<40} {node.shape!s:<12} {node.name}".rstrip())
        rows += [f"{role} = v{i}" for role, i in self.outputs.items()]
        return "\n".join(rows)


def _is_identity(op, args, attrs):
    if op == "reshape":
        return attrs["shape"] == args[0].shape
    if op == "einsum":
        inputs, output = attrs["spec"].split("->")
        return inputs == output
    if op == "getitem":
        return attrs["index"] == tuple((0, n, 1) for n in args[0].shape)
    return False


class Traced(RecordedArray):
    """An array on a tape: it has a shape, and no value yet."""

    __slots__ = ("index", "tape")

    def __init__(self, tape: Tape, index: int) -> None:
        self.tape, self.index = tape, index

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        """Shape of the array."""
        return self.tape.nodes[self.index].shape

    def record_primitive(self, op, args, attrs):
        """Write one primitive on the tape."""
        return self.tape.record(op, tuple(self.lift(x) for x in args), attrs)

    def lift(self, x: Any) -> Traced:
        """Put a number, an array or an array of traced entries on this tape."""
        if isinstance(x, Traced):
            if x.tape is not self.tape:
                raise TraceError("a traced array is used in another trace: f must not keep arrays between calls")
            return x
        if isinstance(x, RecordedArray):
            raise TraceError(f"a Tensor meets a traced array{self.location()}: pass it in theta, or use its .value")
        array = np.asarray(x)
        if array.dtype == object and isinstance(x, (list, tuple, np.ndarray)):
            return self.lift_entries(array)
        if array.dtype.kind not in "fiub":
            kind = f"dtype {array.dtype}" if isinstance(x, np.ndarray) else f"type {type(x).__name__}"
            self.refuse(f"a value of {kind} is used", "traced functions work on real numbers")
        return self.tape.const(array)

    def location(self) -> str:
        """Where in the user's code this happens, for error messages."""
        if not self.tape.locate:
            return ""
        return self.tape.locate.describe()

    def __repr__(self) -> str:
        return f"Traced(v{self.index}, shape={self.shape})"
