"""The augmented field: what a flow does to a point, and to the logarithm of the density there.

    z' = f(t, z, θ),     (log p)' = −tr ∂f/∂z                           (h10, arXiv 1806.07366, eq. 8)

It is a vector field like any other, with a tape that is made from that of f. So solvers and gradients work on it as
they are, and its derivatives are second derivatives of f. One sample's state is one vector,

    z (D) | log p | kinetic energy, Jacobian (if wanted) | v (K D)

With Hutchinson's estimate, tr J is the mean of vᵀ J v over the K probes v of a sample. The noise is carried as a part
of the state that does not move: every sample has its own, and it is frozen for the solve.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nodeedu.autodiff import transforms
from nodeedu.autodiff.divergence import squared_jacobian, trace
from nodeedu.autodiff.tape import Tape
from nodeedu.compile.field import VectorField

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Augmented:
    """A field of (z, log p, …) and how its state is laid out; made by `augment`.

    Parameters
    ----------
    field : VectorField
        Its state is flat.
    size : int
        D.
    probes : int
        K, or 0 for the exact trace.
    regularised : bool
        Whether the kinetic energy ∫|f|² dt and the Jacobian's ∫‖J‖² dt (with noise: ‖vᵀJ‖²) are integrated along.
    """

    field: VectorField
    size: int
    probes: int
    regularised: bool

    @property
    def moving(self) -> int:
        """How many entries of the state move: all but the noise."""
        return self.size + 1 + 2 * self.regularised

    @property
    def dilution(self) -> float:
        """What makes the root mean square over the whole state one over the entries that move, as a factor."""
        return math.sqrt(self.moving / self.field.size)

    def start(self, x: Array, noise: Array | None) -> Array:
        """Put points (B, D) and noise (B, K, D) together; log p and the energies start at 0."""
        state = np.zeros((len(x), self.field.size), x.dtype)
        state[:, : self.size] = x
        if self.probes:
            state[:, self.moving :] = noise.reshape(len(x), -1)  # type: ignore[union-attr]
        return state


def augment(field: VectorField, probes: int = 0, regularised: bool = False) -> Augmented:
    """Make the augmented field.

    Parameters
    ----------
    field : VectorField
        f, traced.
    probes : int
        K probes of Hutchinson's estimate; 0 is the exact trace.
    regularised : bool
        Whether to integrate the regularisers of arXiv 2002.02798 along.
    """
    size = field.size
    moving = size + 1 + 2 * regularised
    tape = Tape()
    leaves: dict[str, Any] = {role: tape.input(role, field.tape.nodes[i].shape, field.tape.nodes[i].name)
              for role, i in field.tape.inputs.items() if role != "z"}  # fmt: skip
    state = tape.input("z", (moving + probes * size,))
    z: Any = np.reshape(state[:size], field.shape)
    dz = transforms.inline(tape, field.tape, {**leaves, "z": z})
    tape.outputs = {"dz": dz.index}
    if probes:
        noise = [np.reshape(state[moving + k * size : moving + (k + 1) * size], field.shape) for k in range(probes)]
        divergence, squares = _estimates(tape, dz, z, noise)
    else:
        divergence, squares = _exact(tape, dz, z, regularised)
    parts: list[Any] = [np.reshape(dz, (size,)), np.reshape(-divergence, (1,))]
    if regularised:
        parts += [np.reshape(np.sum(dz * dz), (1,)), np.reshape(squares, (1,))]
    parts += [tape.const(np.zeros(probes * size))] * bool(probes)
    joined: Any = np.concatenate(parts)
    tape.outputs = {"dz": joined.index}
    augmented = VectorField(field.function, tape, (moving + probes * size,), field.theta)
    return Augmented(augmented, size, probes, regularised)


def _exact(tape: Tape, dz: Any, z: Any, squares: bool) -> tuple[Any, Any]:
    """Trace of the Jacobian, and the sum of its squares if wanted."""
    return trace(tape, dz, z), squared_jacobian(tape, dz, z) if squares else None


def _estimates(tape: Tape, dz: Any, z: Any, noise: list[Any]) -> tuple[Any, Any]:
    """Means over the probes of vᵀ J v and ‖vᵀ J‖²."""
    pulled = [transforms.pull(tape, {dz.index: v}, [z.index])[0] for v in noise]
    products = sum(np.sum(row * v) for row, v in zip(pulled, noise, strict=True))
    return products / len(noise), sum(np.sum(row * row) for row in pulled) / len(noise)
