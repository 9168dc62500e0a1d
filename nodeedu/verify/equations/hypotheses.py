"""What an equation asks of the field, and the primitives of a field that break it."""

from __future__ import annotations

from functools import lru_cache

from ...compile import VectorField

SMOOTH = "f is continuously differentiable in z"
# `clip` is recorded as a maximum of a minimum, and comparisons are of use to `where` and in sums of pieces.
KINKS = ("abs", "maximum", "minimum", "where", "sign", "greater", "greater_equal", "equal")


@lru_cache(maxsize=64)
def kinks(field: VectorField) -> tuple[str, ...]:
    """Return the primitives of a field that have no derivative everywhere, in the order of `KINKS`."""
    tape = field.tape
    found = {tape.nodes[i].op for i in tape.live()}
    return tuple(op for op in KINKS if op in found)
