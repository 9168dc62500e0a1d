"""The vector field: a user's function, traced once; kernels are made from its tape when they are first needed."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from ..autodiff import structure, trace, transforms
from ..autodiff.divergence import divergence
from ..autodiff.tape import Tape
from .build import as_kernel, build
from .emit import Emitted, emit
from .kernels import Kernel
from .layout import is_long, make_layout

KINDS = ("f", "vjp", "vjp_z", "vjp_theta", "jvp", "divergence")


class VectorField:
    """A vector field dz/dt = f(t, z, theta) of one sample, with its derivatives and their machine code.

    Made by `vector_field`. Calling it evaluates the tape with NumPy, the reference of everything that is emitted.

    Attributes
    ----------
    shape : tuple of int
        Shape of one sample's state.
    size : int
        D, its number of entries.
    n_params : int
        P, number of parameters: length of p_bar.
    n_packed : int
        Q, length of p: parameters, transposed copies of matrices, constant arrays.
    tape : Tape
        f as recorded; `tapes(kind)` gives those of the derivatives.
    """

    def __init__(self, function: Callable[..., Any], tape: Tape, shape: tuple[int, ...], theta: Any) -> None:
        self.function, self.tape, self.shape, self.theta = function, tape, shape, theta
        self.name = getattr(function, "__name__", type(function).__name__)
        self.size = int(np.prod(shape))
        self.layout = make_layout(theta, _constant_arrays(tape))
        self.n_params, self.n_packed = self.layout.n_params, self.layout.n_packed
        self._kernels: dict[tuple[str, np.dtype], Kernel] = {}
        self._emitted: dict[tuple[str, np.dtype], Emitted] = {}

    def __call__(self, t: float, z: Any, theta: Any = None) -> np.ndarray:
        """Evaluate f for one sample with NumPy."""
        inputs = {"t": t, "z": z, **dict(structure.flatten(theta))}
        return self.tape.evaluate({role: inputs[role] for role in self.tape.inputs})["dz"]

    def pack(self, theta: Any, dtype: Any = np.float64) -> np.ndarray:
        """Flatten parameters into the vector p that kernels read."""
        return self.layout.pack(theta, dtype)

    def unpack(self, p_bar: np.ndarray) -> Any:
        """Rebuild the containers and shapes of theta from a vector laid out like p_bar."""
        return self.layout.unpack(p_bar)

    def tapes(self, kind: str = "f") -> Tape:
        """Tape of f or of one of its derivatives.

        Parameters
        ----------
        kind : {"f", "vjp", "vjp_z", "vjp_theta", "jvp", "divergence"}
        """
        leaves = list(self.layout.places)
        if kind == "f":
            return self.tape
        if kind == "vjp":
            return transforms.vjp(self.tape)
        if kind == "vjp_z":
            return transforms.vjp(self.tape, wrt=["z"])
        if kind == "vjp_theta":
            tape = transforms.vjp(self.tape, wrt=leaves)
            tape.outputs = {role: i for role, i in tape.outputs.items() if role != "dz"}
            return tape
        if kind == "jvp":
            return transforms.jvp(self.tape, wrt=["z", *leaves])
        if kind == "divergence":
            return divergence(self.tape)
        raise ValueError(f"kind: got {kind!r}, expected one of {', '.join(KINDS)}")

    def kernel(self, kind: str = "f", dtype: Any = np.float64) -> Kernel:
        """Machine code of f or of one of its derivatives, made when first asked for.

        Parameters
        ----------
        kind : {"f", "vjp", "vjp_z", "vjp_theta", "jvp", "divergence"}
        dtype : dtype
            float64 or float32.
        """
        key = (kind, np.dtype(dtype))
        if key not in self._kernels:
            emitted = self._emit(*key)
            module = build(emitted.source, f"{self.name}_{kind}")
            self._kernels[key] = as_kernel(module, kind, kind, emitted.work_size)
        return self._kernels[key]

    def source(self, kind: str = "f", dtype: Any = np.float64) -> str:
        """Text of the emitted module."""
        return self._emit(kind, np.dtype(dtype)).source

    def show(self, kind: str = "f") -> None:
        """Print the tape of f or of one of its derivatives."""
        print(self.tapes(kind).show())

    def _emit(self, kind, dtype):
        key = (kind, dtype)
        if key not in self._emitted:
            title = f"`{kind}` of the vector field `{self.name}`, {dtype.name}."
            self._emitted[key] = emit(self.tapes(kind), kind, self.layout, self.size, dtype, title, self._lines)
        return self._emitted[key]

    @cached_property
    def _lines(self) -> dict[int, str]:
        """Line numbers of the user's function and their text, for comments."""
        try:
            lines, first = inspect.getsourcelines(self.function)
        except (OSError, TypeError):
            return {}
        return {first + i: text.strip() for i, text in enumerate(lines)}

    def __repr__(self) -> str:
        return f"VectorField({self.name}, state shape {self.shape}, {self.n_params} parameters)"


def vector_field(f: Callable[..., Any], z0: Any, theta: Any = None) -> VectorField:
    """Trace a function dz/dt = f(t, z, theta) once, for one sample.

    Parameters
    ----------
    f : callable
        ``f(t, z, theta)``, or ``f(t, z)`` if theta is None, in plain NumPy; it returns an array, list or tuple of the
        state's shape.
    z0 : array_like
        An example of *one* sample's state; only its shape matters.
    theta : structure, optional
        Array, or (nested) tuple, list or dict of arrays, an example of the parameters.

    Returns
    -------
    VectorField

    Raises
    ------
    TraceError
        f does something that cannot be recorded; the message names the line and the remedy.
    ValueError
        f returns something that has not the state's shape, or the state is empty.
    """
    if isinstance(f, VectorField):
        raise TypeError("f is a vector field already: use it as it is")
    if not callable(f):
        raise TypeError(f"f: got {type(f).__name__}, expected a function f(t, z, theta)")
    shape = np.shape(z0)
    if int(np.prod(shape)) == 0:
        raise ValueError(f"z0: got shape {shape}, expected at least one entry")
    theta = structure.as_arrays(theta)
    arguments = {"t": 0.0, "z": np.zeros(shape)}
    tape = trace.record(f, arguments if theta is None else arguments | {"theta": theta}, "dz")
    got = tape.nodes[tape.outputs["dz"]].shape
    if got != shape:
        name = getattr(f, "__name__", "f")
        raise ValueError(f"{name} returns shape {got}: expected dz/dt of one sample, the state's shape {shape}")
    return VectorField(f, tape, shape, theta)


def _constant_arrays(tape):
    """Constants with a long axis: loops must read them from p."""
    nodes = [tape.nodes[i] for i in tape.live()]
    return [
        np.frombuffer(node.attributes()["data"])
        for node in nodes
        if node.op == "const" and any(is_long(n) for n in node.shape)
    ]
