"""The augmented field of a flow, recognised: (z, log p, probes) of a perceptron, as `nodeedu.flows.augment` makes it.

A tape of (f, -tr f_z, 0) is long. It is not read: f is traced once more and augmented, and if that gives the same tape,
this is what the field is.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from nodeedu.compile.field import VectorField, vector_field
from nodeedu.cuda.mlp import Perceptron, recognise
from nodeedu.flows.augment import Augmented, augment

__all__ = ["flow_of", "recognise_flow"]


def recognise_flow(field: Any, kernel: str = "warp") -> tuple[Perceptron, int | None]:
    """Read a perceptron off the tape of a field, or off that of the field that a flow augments.

    Parameters
    ----------
    field : VectorField
        Made by `ne.vector_field` or `augment`.
    kernel : str
        Which kernel asks, for the message.

    Returns
    -------
    mlp : Perceptron
    probes : int or None
        None for a field that is a perceptron itself; for a flow, its probes, or 0 for the exact trace.

    Raises
    ------
    ValueError
        The field is something else.
    """
    found = flow_of(field) if isinstance(field, VectorField) else None
    if found is None:
        return recognise(field, kernel), None
    inner, flow = found
    mlp = recognise(inner, kernel)
    if flow.regularised:
        raise ValueError(f"field: its flow integrates regularisers along, kernel={kernel!r} does not; take the CPU")
    return mlp, flow.probes


@lru_cache(maxsize=32)
def flow_of(field: VectorField) -> tuple[VectorField, Augmented] | None:
    """Return the field that was augmented, and the augmented one made anew; None if the field is no flow."""
    tape = field.tape
    top = tape.nodes[tape.outputs["dz"]]
    shapes = [tape.nodes[i].shape for i in top.args]
    if top.op != "concat" or len(field.shape) != 1 or len(shapes) < 2 or any(len(shape) != 1 for shape in shapes):
        return None
    size, regularised = shapes[0][0], len(shapes) > 3
    moving = size + 1 + 2 * regularised
    probes, rest = divmod(field.size - moving, size)
    if rest:
        return None
    try:
        inner = vector_field(field.function, np.zeros(size), field.theta)
        made = augment(inner, probes, regularised)
    except Exception:  # whatever the user's function says to a state that is not its own
        return None
    same = made.field.tape.nodes == tape.nodes and made.field.tape.outputs == tape.outputs
    return (inner, made) if same else None
