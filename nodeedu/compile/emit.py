"""Tape in, text of a Numba module out: explode, schedule, render."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from ..autodiff.primitives import ELEMENTWISE
from ..autodiff.tape import Tape
from .build import kernel_source
from .components import Component
from .explode import Exploder, long_axes
from .expressions import small_power
from .kernels import SIGNATURES
from .layout import Layout, c_strides, is_long
from .render import Renderer
from .schedule import Store, make_schedule

ARGUMENTS = {"t": "t", "z": "z", "dz_bar": "a", "z_dot": "z_dot"}  # role of an input: kernel argument


@dataclass(frozen=True)
class Emitted:
    """Text of a module with one kernel, and the workspace that a call of it needs."""

    source: str
    work_size: int


def emit(tape: Tape, kind: str, layout: Layout, size: int, dtype, title: str, comments: dict[int, str]) -> Emitted:
    """Write a kernel.

    Parameters
    ----------
    tape : Tape
        What the kernel computes; its roles are those of `ARGUMENTS`, of the parameters, and of the kernel's outputs.
    kind : str
        A key of `kernels.SIGNATURES`; also the name of the function.
    layout : Layout
        Where the parameters lie.
    size : int
        D, number of state components.
    dtype : dtype
        float64 or float32.
    title : str
        First line of the module.
    comments : dict
        Line of the user's function to its text.
    """
    arguments = {role: ARGUMENTS[role] for role in tape.inputs if role in ARGUMENTS}
    exploder = Exploder(tape, layout, arguments)
    stores = [store for role, i in tape.outputs.items() for store in _stores(exploder, role, i)]
    plan = make_schedule(exploder.components, stores)
    single = np.dtype(dtype) == np.float32
    renderer = Renderer(plan, kind, SIGNATURES[kind], exploder.operand_offset, comments, single)
    rendered = renderer.render()
    sizes = {"D": size, "Q": layout.n_packed, "P": layout.n_params, "W": rendered.work_size}
    wrapper = kernel_source(kind, kind, sizes, dtype)
    head = _head(title, plan, kind, sizes, single)
    return Emitted(f"{head}\n\n{rendered.text}\n\n{wrapper}", rendered.work_size)


def _stores(exploder, role, i):
    """Statements that write one output; gradients of parameters are accumulated in p_bar."""
    node = exploder.tape.nodes[i]
    leaf = role.removesuffix("_bar")
    accumulate = leaf in exploder.layout.places
    offset, strides = exploder.layout.places[leaf] if accumulate else (0, c_strides(node.shape))
    array = "p_bar" if accumulate else role
    for k, component in np.ndenumerate(exploder.values[i]):
        at = offset + sum(q * s for q, s, n in zip(k, strides, node.shape, strict=True) if not is_long(n))
        long = tuple(s for s, n in zip(strides, node.shape, strict=True) if is_long(n))
        yield from _store(exploder, Store(array, at, long, long_axes(node.shape), component, accumulate))


def _store(exploder, store):
    """Drop what adds zero; split sums, and turn u_i v_j summed over samples into a product of two tiles."""
    c = store.component
    if store.accumulate and c.is_const(0.0):
        return
    if store.accumulate and len(store.dims) == 2:
        if c.kind == "elementwise" and c.op == "add":
            for a in c.args:
                yield from _store(exploder, Store(store.array, store.offset, store.strides, store.dims, a, True))
            return
        store.outer = _outer(exploder, c)
        if store.outer and store.strides[1] != 1:
            store.outer, store.dims, store.strides = store.outer[::-1], store.dims[::-1], store.strides[::-1]
        if store.outer and store.strides != (store.dims[1], 1):
            store.outer = None
    yield store


def _outer(exploder, c) -> tuple[Component, Component] | None:
    """The vectors (u, v) if the component is u_i v_j of a sample, or Σ_k u_ki v_kj of two blocks of rows."""
    c = c.args[0] if c.kind == "sum" else c
    if c.kind != "elementwise" or c.op != "mul" or not all(a.kind == "load" and a.batched for a in c.args):
        return None
    found = {}
    for a in c.args:
        strides = a.memory.strides
        if len(strides) < 2 or (strides[0] == 0) == (strides[1] == 0) or 0 in strides[2:]:
            return None
        axis = int(strides[0] == 0)
        order = (*range(2, len(strides)), axis)
        dims, steps = zip(*((c.dims[i], strides[i]) for i in order), strict=True)
        vector = exploder.load(a.memory.array, a.memory.offset, steps, dims, True)
        vector.name = a.name
        found[axis] = exploder.whole(vector)
    return (found[0], found[1]) if len(found) == 2 else None


def _head(title, plan, kind, sizes, single):
    """Docstring and imports of the module."""
    texts = {ELEMENTWISE[c.op].text for c in plan.components if c.op in ELEMENTWISE and not small_power(c)}
    names = sorted(text.split("(")[0] for text in texts if re.match(r"\w+\(", text))
    bits = 32 if single else 64
    lines = [
        f'"""{title}',
        "",
        f"{kind}({', '.join(SIGNATURES[kind])}) for n samples, one a row: "
        f"D = {sizes['D']}, P = {sizes['P']} parameters, {sizes['Q']} words in p.",
        "p_bar is added to, all other results are overwritten. Written by nodeedu: change the vector field, not this.",
        '"""',
        "",
        "import numpy as np",
        "from numba import carray, njit",
        "",
        "from nodeedu.compile.build import FLAGS, c_function",
    ]
    if names:
        imported = ", ".join(f"{name}{bits} as {name}" for name in names)
        lines.append(f"from nodeedu.compile.elementary import {imported}")
    if plan.tiled:
        lines.append("from nodeedu.compile.tiles import accumulate, product")
    if single:
        lines += ["", "real = np.float32"]
    return "\n".join(lines)
