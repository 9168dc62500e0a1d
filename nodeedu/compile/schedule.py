"""Second pass of the emitter: every component gets a tick, and what must outlive its loop gets memory.

Components of the same tick and loop space share one loop. A matrix product begins a new *segment*: it works on a tile
of samples at once, the segments between products loop over the samples of the tile. Narrow functions have no product
and become one fused loop over the batch; wide ones become segments and products. Nobody chooses a mode.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .components import Component


@dataclass(eq=False)
class Store:
    """One statement that writes an output: ``array[offset + Σ strides·loop] = component``, or ``+=``."""

    array: str
    offset: int
    strides: tuple[int, ...]
    dims: tuple[int, ...]
    component: Component
    accumulate: bool = False
    outer: tuple[Component, Component] | None = None  # p_bar += uᵀ v over the samples of a tile
    tick: int = 0


@dataclass
class Schedule:
    """The live components in order, the stores, and the ticks at which a segment begins."""

    components: list[Component]
    stores: list[Store]
    barriers: list[int] = field(default_factory=list)
    users: dict[Component, list] = field(default_factory=dict)

    @property
    def tiled(self) -> bool:
        """Whether there are matrix products or outer products, hence tiles of samples."""
        return bool(self.barriers) or any(s.outer for s in self.stores)

    def segment(self, tick: int) -> int:
        """Number of the segment that a tick belongs to."""
        return sum(barrier <= tick for barrier in self.barriers)


def make_schedule(components: list[Component], stores: list[Store]) -> Schedule:
    """Order the work that the stores need."""
    live = _live(components, stores)
    plan = Schedule(live, stores)
    for c in live:
        c.tick = _tick(c)
    plan.users = _users(live, stores)
    for c in reversed(live):
        _sink(c, plan.users[c])
    for s in stores:
        s.tick = max(ready(x) for x in s.outer) if s.outer else _need(s.component, s.dims, True)
    plan.barriers = sorted({c.tick for c in live if c.kind == "product"})
    for c in live:
        _decide_memory(c, plan)
    return plan


def _live(components, stores):
    """Components that a store reaches, in order of creation; counts uses."""
    seen = set()
    todo = [x for s in stores for x in (s.outer or (s.component,))]
    while todo:
        c = todo.pop()
        c.uses += 1
        if c not in seen:
            seen.add(c)
            todo += c.args
    return [c for c in components if c in seen]


def ready(c: Component) -> int:
    """Tick at which all of a component lies in memory."""
    if c.kind == "load":
        return ready(c.memory.array) if isinstance(c.memory.array, Component) else 0
    if c.kind == "const":
        return 0
    return c.tick if c.kind == "product" else c.tick + 1


def _need(a, loop, batched):
    """Earliest tick at which a user in this loop space can take component a."""
    if batched and not a.batched:
        return 0  # parameters alone: computed before the loop over samples
    if a.kind == "elementwise" and a.dims in (loop, ()):
        return a.tick
    return ready(a)


def _tick(c):
    if c.kind in ("const", "load"):
        return 0
    if c.kind == "product":
        return ready(c.args[1])
    loops = [part.dims for part in c.parts] or [c.loop] * len(c.args)
    return max((_need(a, loop, c.batched) for a, loop in zip(c.args, loops, strict=True)), default=0)


def _users(live, stores):
    users = {c: [] for c in live}
    for c in live:
        for a in c.args:
            users[a].append(c)
    for s in stores:
        for x in s.outer or (s.component,):
            users[x].append(s)
    return users


def _sink(c, users):
    """Move a component to the loop of its only users, so that it stays in a register."""
    if c.kind != "elementwise" or not users:
        return
    for u in users:
        if isinstance(u, Store) or u.kind not in ("elementwise", "sum"):
            return
        if c.dims and u.loop != c.dims:
            return
    c.tick = max(c.tick, min(u.tick for u in users))


def _decide_memory(c, plan):
    """Store what crosses loops, segments, or from the parameters into the loop over samples."""
    if c.kind == "load" and isinstance(c.memory.array, Component):
        c.memory.array.stored = True
    if c.kind in ("product", "assemble") or (c.kind == "sum" and c.dims):
        c.stored = True
    if c.kind not in ("elementwise", "sum"):
        return
    for u in plan.users[c]:
        if isinstance(u, Component) and u.kind == "load":
            continue  # counted above
        outer = isinstance(u, Store) and u.outer is not None
        batched = isinstance(u, Store) or u.batched
        if outer or (isinstance(u, Component) and u.kind == "product"):
            c.stored = True
        elif batched != c.batched:
            c.stored = c.stored or bool(c.dims) or plan.tiled
        elif c.dims:
            c.stored = c.stored or u.tick != c.tick or _loop_of(u, c) != c.loop
        elif plan.segment(u.tick) != plan.segment(c.tick):
            c.stored = True


def _loop_of(user, c):
    if isinstance(user, Store):
        return user.dims
    if user.kind == "assemble":
        loops = {part.dims for a, part in zip(user.args, user.parts, strict=True) if a is c}
        return loops.pop() if len(loops) == 1 else None
    return user.loop
