"""How components are named and written inside the loops of a kernel."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..autodiff.primitives import ELEMENTWISE
from .components import BATCHED_SCALARS, Component
from .layout import c_strides
from .schedule import Schedule, Store

CALL, UNARY, CONDITIONAL = 9, 6, 1  # precedences of Python's grammar, as in the table of primitives
DEEPEST = 12  # nested expressions longer than this become a line of their own


@dataclass(frozen=True)
class Place:
    """Where text is written: tick, loop space and variables, inside the loop over samples or before it."""

    tick: int
    dims: tuple[int, ...]
    variables: str
    batched: bool


class Expressions:
    """Names and expressions; `Renderer` arranges them into loops."""

    def __init__(self, plan: Schedule, taken: set[str], single: bool) -> None:
        self.plan, self.taken, self.single = plan, set(taken) | set(ELEMENTWISE) | {"power"}, single
        self.names: dict[object, str] = {}
        self.slices: dict[tuple, tuple[str, str]] = {}
        self.hoisted: dict[tuple, tuple[str, str, int]] = {}

    # Names

    def unique(self, wish: str) -> str:
        """A free identifier: the wish, or the wish with a number."""
        wish = wish if wish.isidentifier() and wish.isascii() else "v"
        name, k = wish, 1
        while name in self.taken:
            k += 1
            name = f"{wish}_{k}"
        self.taken.add(name)
        return name

    def name(self, c: Component) -> str:
        """Register that holds a component."""
        if c not in self.names:
            self.names[c] = self.unique(c.name or {"sum": "s", "product": "u", "assemble": "c"}.get(c.kind, "v"))
        return self.names[c]

    def memory_name(self, c: Component) -> str:
        """Block of the workspace that holds a component."""
        if ("memory", c) not in self.names:
            self.names["memory", c] = self.unique(self.name(c) + ("_rows" if self.plan.tiled and c.batched else "_mem"))
        return self.names["memory", c]

    def slice_of(self, array: str, offset: int, step: int, size: int, wish: str) -> str:
        """Named slice of p or p_bar."""
        key = (array, offset, step, size)
        if key not in self.slices:
            text = f"{array}[{offset}:{offset + size}{f':{step}' if step != 1 else ''}]"
            self.slices[key] = (self.unique(wish or f"{array}_{offset}"), text)
        return self.slices[key][0]

    def bar_name(self, offset: int) -> str:
        """``W1_bar_0`` for the slice of p_bar that belongs to ``W1_0``."""
        for c in self.plan.components:
            if c.kind == "load" and c.name and c.memory.array == "p" and c.memory.offset == offset:
                head, _, digits = c.name.rpartition("_")
                return f"{head}_bar_{digits}" if head and digits.isdigit() else c.name + "_bar"
        return ""

    # Places in memory

    strides = staticmethod(c_strides)

    @staticmethod
    def linear(offset: int, strides, variables: str) -> str:
        """Text of ``offset + Σ stride·variable``."""
        terms = [v if s == 1 else f"{s} * {v}" for s, v in zip(strides, variables, strict=True) if s]
        if offset or not terms:
            terms.insert(0, str(offset))
        return " + ".join(terms)

    def memory(self, c: Component, index: str, batched: bool) -> str:
        """Entry of a stored component."""
        row = "r, " if self.plan.tiled and c.batched and batched else ""
        return f"{self.memory_name(c)}[{row}{index}]"

    def number(self, value: float) -> str:
        """Text of a constant in the kernel's precision."""
        text = repr(float(value)) if value == value and abs(value) != float("inf") else f"np.{float(value)}"
        text = text.replace("np.-inf", "-np.inf")
        return f"real({text})" if self.single else text

    # References

    def ref(self, c: Component, place: Place) -> tuple[str, int]:
        """Text and precedence of a component at a place."""
        if c.kind == "const":
            return self.number(c.value), CALL if c.value >= 0 or self.single else UNARY
        if c.kind == "load":
            return self._load(c, place), CALL
        if c.kind == "elementwise" and self.inlined(c):
            return self.expression(c, place)
        if c.stored and not self._in_register(c, place):
            index = self.linear(0, c_strides(c.dims), place.variables[: len(c.dims)])
            return self.memory(c, index, place.batched), CALL
        return self.name(c), CALL

    def _in_register(self, c, place):
        if c.kind in ("product", "assemble") or (c.kind == "sum" and c.dims) or c.batched != place.batched:
            return False
        if c.dims:
            return c.tick == place.tick
        same = self.plan.segment(c.tick) == self.plan.segment(place.tick)
        return same or not c.batched

    def _load(self, c, place):
        array, offset, strides = c.memory.array, c.memory.offset, c.memory.strides
        index = self.linear(offset, strides, place.variables[: len(strides)])
        if isinstance(array, Component):
            return self.memory(array, index, place.batched)
        if c.batched:
            if array in BATCHED_SCALARS or not any(strides):
                return self._hoisted(c, array, offset)
            return f"{array}[b, {index}]"
        if not any(strides):
            key = (array, offset)
            if key not in self.slices:
                self.slices[key] = (self.unique(c.name or f"{array}_{offset}"), f"{array}[{offset}]")
            return self.slices[key][0]
        if len(strides) == 1:
            size = (c.dims[0] - 1) * strides[0] + 1
            return f"{self.slice_of(array, offset, strides[0], size, c.name)}[{place.variables[0]}]"
        return f"{array}[{index}]"

    def _hoisted(self, c, array, offset):
        key = (array, offset)
        if key not in self.hoisted:
            if key not in self.names:
                wish = c.name if c.name and c.name != array else f"{array}_{offset}"
                self.names[key] = self.unique(f"{array}_b" if array in BATCHED_SCALARS else wish)
            self.hoisted[key] = (self.names[key], array, offset)
        return self.names[key]

    # Expressions

    def inlined(self, c: Component) -> bool:
        """Whether a component is written into the one expression that uses it."""
        if c.uses != 1 or c.stored or c.name or self._depth(c) >= DEEPEST:
            return False
        user = self.plan.users[c][0]
        if isinstance(user, Store):
            return (c.tick, c.dims) == (user.tick, user.dims) and c.batched and user.outer is None
        if user.kind not in ("elementwise", "sum") or (user.op == "pow" and small_power(user)):
            return False
        return (c.tick, c.dims, c.batched) == (user.tick, user.loop, user.batched)

    def _depth(self, c):
        inner = [a for a in c.args if a.kind == "elementwise" and a.uses == 1 and not a.name and not a.stored]
        return 1 + max((self._depth(a) for a in inner), default=0)

    def expression(self, c: Component, place: Place) -> tuple[str, int]:
        """Text and precedence of an elementwise component."""
        refs = [self.ref(a, place) for a in c.args]
        if c.op == "copy":
            return refs[0]
        power = small_power(c)
        if power:
            return " * ".join([refs[0][0]] * power), ELEMENTWISE["mul"].precedence
        row = ELEMENTWISE[c.op]
        template = re.sub(r"\d+\.\d+", r"real(\g<0>)", row.text) if self.single else row.text
        texts = []
        for i, (text, precedence) in enumerate(refs):
            lowest = row.precedence + ((i > 0 and c.op in ("sub", "div")) or row.precedence == CONDITIONAL)
            texts.append(f"({text})" if row.precedence < CALL and precedence < lowest else text)
        return template.format(*texts), row.precedence


def small_power(c: Component) -> int:
    """2, 3 or 4 if the component is x to that power, else 0: written as a product."""
    if c.op != "pow" or c.args[1].kind != "const" or c.args[0].kind == "const":
        return 0
    value = c.args[1].value
    return int(value) if value in (2.0, 3.0, 4.0) else 0
