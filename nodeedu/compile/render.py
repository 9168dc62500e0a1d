"""Third pass of the emitter: a schedule becomes the text of a Numba module that a person can read.

A narrow function is one loop over the samples. A wide one goes over tiles of `TILE` samples: each segment is a function
of its own (in one large function LLVM stops vectorising), with matrix products between them. A value that is used once,
in the same loop, and that the user did not name is written into the expression that uses it.
"""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass

from .components import BATCHED_SCALARS, Component
from .expressions import Expressions, Place
from .schedule import Schedule, Store

TILE = 32
INDENT = "    "
LOOP_VARIABLES = {0: "", 1: "j", 2: "ij", 3: "ijk", 4: "ijkl"}
TAKEN = {*"bmrnBijkl", "b0", "np", "real", "work", "scratch", "product", "accumulate", *keyword.kwlist}


@dataclass(frozen=True)
class Rendered:
    """Text of a kernel's functions and the workspace that a call needs."""

    text: str
    work_size: int


class Renderer(Expressions):
    """Writes one kernel.

    Parameters
    ----------
    plan : Schedule
    name : str
        Name of the function.
    arguments : tuple of str
        Names of its arguments, in order.
    operand_offset : callable
        Matrix component to the offset in p of the block that a product needs.
    comments : dict
        Line of the user's function to its text.
    single : bool
        Whether the numbers are float32.
    """

    def __init__(self, plan: Schedule, name, arguments, operand_offset, comments, single=False) -> None:
        super().__init__(plan, TAKEN | set(arguments), single)
        self.kernel, self.arguments = name, arguments
        self.operand_offset, self.comments = operand_offset, comments
        self.buffers: dict[Component, int] = {}
        self.words = self.scratch = 0
        self.segments: list[str] = []

    def render(self) -> Rendered:
        """Write the functions."""
        plan = self.plan
        for c in plan.components:
            if c.stored:
                self.buffers[c] = self.words
                self.words += c.size * (TILE if plan.tiled and c.batched else 1)
        before = self._phase([c for c in plan.components if not c.batched], [], batched=False)
        body = self._tiles() if plan.tiled else self._samples()
        lines = before + body
        head = self._head(lines)
        text = [
            *self.segments,
            "@njit(**FLAGS)",
            f"def {self.kernel}({', '.join(self.arguments)}):",
            *(INDENT + line for line in ["n = t.shape[0]", *head, *lines]),
        ]
        return Rendered("\n".join(text) + "\n", self.words + self.scratch)

    # The loop over samples

    def _samples(self):
        inner = self._phase([c for c in self.plan.components if c.batched], self.plan.stores, batched=True)
        return ["for b in range(n):", *(INDENT + line for line in self._loads() + inner)] if inner else []

    def _tiles(self):
        lines = []
        batched = [c for c in self.plan.components if c.batched]
        for number in range(len(self.plan.barriers) + 1):
            mine = [c for c in batched if self.plan.segment(c.tick) == number]
            stores = [s for s in self.plan.stores if self.plan.segment(s.tick) == number]
            lines += [self._product(c) for c in mine if c.kind == "product"]
            inner = self._phase(mine, [s for s in stores if not s.outer], batched=True)
            if inner:
                lines.append(self._segment(inner))
            lines += [self._accumulate(s) for s in stores if s.outer]
        return [
            f"for b0 in range(0, n, {TILE}):",
            INDENT + f"m = min({TILE}, n - b0)",
            *(INDENT + line for line in lines),
        ]

    def _segment(self, inner):
        """Put a loop over the samples of a tile into a function of its own; return the call."""
        name = f"{self.kernel}_segment_{len(self.segments) + 1}"
        lines = ["for r in range(m):", INDENT + "b = b0 + r", *(INDENT + line for line in self._loads() + inner)]
        signature = f"{name}(b0, m, {', '.join(self.arguments)})"
        text = ["@njit(**FLAGS)", f"def {signature}:", *(INDENT + line for line in self._head(lines) + lines), "", ""]
        self.segments.append("\n".join(text))
        return signature

    def _loads(self):
        """Scalars of a sample, read once at the head of its loop: later stores could alias them."""
        lines = []
        for name, array, index in self.hoisted.values():
            read = f"{array}[b]" if array in BATCHED_SCALARS else f"{array}[b, {index}]"
            lines.append(f"{name} = real({read})" if self.single and array == "t" else f"{name} = {read}")
        self.hoisted = {}
        return lines

    def _head(self, lines):
        """Name the slices of p, of p_bar and of the workspace that the lines use."""
        used = set(re.findall(r"[A-Za-z_]\w*", " ".join(lines)))
        head = [f"{name} = {text}" for name, text in self.slices.values() if name in used]
        for c, at in self.buffers.items():
            name = self.memory_name(c)
            if name in used:
                rows = f".reshape({TILE}, {c.size})" if self.plan.tiled and c.batched else ""
                size = c.size * (TILE if rows else 1)
                head.append(f"{name} = work[{at}:{at + size}]{rows}")
        if "scratch" in used:
            head.append(f"scratch = work[{self.words}:{self.words + self.scratch}]")
        return head

    # Products over a tile

    def _tile(self, x, length):
        """The tile's rows of x; of a block, each of its rows of that length is one."""
        if x.kind == "load" and isinstance(x.memory.array, str):
            text = f"{x.memory.array}[b0:b0 + m]"
        else:
            text = f"{self.memory_name(x.memory.array if x.kind == 'load' else x)}[:m]"
        return text if x.size == length else f"{text}.reshape(m * {x.size // length}, {length})"

    def _product(self, c):
        matrix, vector = c.args
        rows, columns = matrix.dims
        offset = self.operand_offset(matrix)
        suffix = "" if offset == matrix.memory.offset else "_T"
        block = self.slice_of("p", offset, 1, rows * columns, (matrix.name or "matrix") + suffix)
        return f"product({self._tile(vector, columns)}, {block}.reshape({columns}, {rows}), {self._tile(c, rows)})"

    def _accumulate(self, s):
        u, v = s.outer
        rows, columns = s.dims
        self.scratch = max(self.scratch, rows * columns)
        block = self.slice_of(s.array, s.offset, 1, rows * columns, self.bar_name(s.offset))
        scratch = f"scratch[:{rows * columns}].reshape({rows}, {columns})"
        return f"accumulate({self._tile(u, rows)}, {self._tile(v, columns)}, {scratch}, {block})"

    # Loops

    def _phase(self, components, stores, batched):
        """All ticks of a segment, or of what depends on the parameters alone."""
        components = [c for c in components if c.kind in ("elementwise", "sum", "assemble")]
        lines = []
        for tick in sorted({c.tick for c in components} | {s.tick for s in stores}):
            mine = [c for c in components if c.tick == tick]
            lines += self._tick(tick, mine, [s for s in stores if s.tick == tick], batched)
        return lines

    def _tick(self, tick, components, stores, batched):
        """One loop nest for each loop space, the scalars first."""
        groups: dict[tuple, list] = {}
        lines = []
        for c in components:
            if c.kind == "assemble":
                lines += self._fill(c)
                for a, part in zip(c.args, c.parts, strict=True):
                    groups.setdefault(part.dims, []).append((c, a, part))
            else:
                groups.setdefault(c.loop, []).append(c)
        for s in stores:
            groups.setdefault(s.dims, []).append(s)
        for dims in sorted(groups, key=len):
            place = Place(tick, dims, LOOP_VARIABLES[len(dims)], batched)
            lines += self._nest(place, sorted(groups[dims], key=lambda item: not isinstance(item, Component)))
        return lines

    def _fill(self, c):
        if c.op != "fill":
            return []
        return [f"for j in range({c.size}):", INDENT + f"{self.memory(c, 'j', c.batched)} = {self.number(0.0)}"]

    def _nest(self, place, items):
        """A loop nest with lines before, inside and after each level; sums are gathered in registers."""
        depth = len(place.dims)
        before: list[list[str]] = [[] for _ in range(depth + 1)]
        after: list[list[str]] = [[] for _ in range(depth + 1)]
        body: list[str] = []
        self.last_comment = 0
        for item in items:
            if isinstance(item, Component):
                self._component(item, place, before, body, after)
            elif isinstance(item, Store):
                body.append(self._store(item, place))
            else:
                block, a, part = item
                index = self.linear(part.offset, part.strides, place.variables)
                body.append(f"{self.memory(block, index, block.batched)} = {self.ref(a, place)[0]}")
        lines = []
        for level, (variable, n) in enumerate(zip(place.variables, place.dims, strict=True)):
            lines += [INDENT * level + line for line in before[level]]
            lines.append(INDENT * level + f"for {variable} in range({n}):")
        lines += [INDENT * depth + line for line in before[depth] + body]
        for level in reversed(range(depth + 1)):
            lines += [INDENT * level + line for line in after[level]]
        return lines if body or any(before) or any(after) else []

    def _component(self, c, place, before, body, after):
        if c.kind == "elementwise" and self.inlined(c):
            return
        comment = self._comment(c)
        if c.kind == "sum":
            level = len(c.dims)
            before[level].append(f"{self.name(c)} = {self.number(0.0)}")
            body += [*comment, f"{self.name(c)} += {self.ref(c.args[0], place)[0]}"]
            if c.stored:
                index = self.linear(0, self.strides(c.dims), place.variables[:level])
                after[level].append(f"{self.memory(c, index, place.batched)} = {self.name(c)}")
            return
        body += [*comment, f"{self.name(c)} = {self.expression(c, place)[0]}"]
        if c.stored:
            index = self.linear(0, self.strides(c.dims), place.variables)
            body.append(f"{self.memory(c, index, place.batched)} = {self.name(c)}")

    def _comment(self, c):
        """The user's line above the block that it became."""
        text = self.comments.get(c.line)
        if not text or c.line == self.last_comment:
            return []
        self.last_comment = c.line
        return [f"# {text}"]

    def _store(self, s, place):
        value = self.ref(s.component, place)[0]
        if s.array in BATCHED_SCALARS:
            return f"{s.array}[b] = {value}"
        index = self.linear(s.offset, s.strides, place.variables)
        if not s.accumulate:
            return f"{s.array}[b, {index}] = {value}"
        if len(s.dims) == 1:
            size = (s.dims[0] - 1) * s.strides[0] + 1
            return f"{self.slice_of(s.array, s.offset, s.strides[0], size, self.bar_name(s.offset))}[j] += {value}"
        return f"{s.array}[{index}] += {value}"
