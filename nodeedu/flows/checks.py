"""Checks at the public floor of flows."""

from __future__ import annotations

import math
import warnings
from typing import Any

from numpy.typing import ArrayLike, NDArray

from nodeedu.autodiff.tape import Tape
from nodeedu.compile.field import VectorField
from nodeedu.errors import SolverError
from nodeedu.solvers.checks import is_real, real_array, require_finite

Array = NDArray[Any]

# Primitives with a kink or a jump, and the arguments that decide on which side of it one is.
COMPARISONS = ("greater", "greater_equal", "equal")
KINKS = {
    **dict.fromkeys(("abs", "sign", "where"), (0,)),
    **dict.fromkeys(("maximum", "minimum", *COMPARISONS), (0, 1)),
}


def check_field(field: Any) -> None:
    """Raise unless it is a traced field with states (D,)."""
    if not isinstance(field, VectorField):
        kind = "a hand-written field" if hasattr(field, "kernel") else repr(field)
        raise TypeError(
            f"field: got {kind}, which has no tape to take the trace and its derivatives of; "
            "expected one of ne.vector_field(f, z, theta)"
        )
    if len(field.shape) != 1:
        raise ValueError(f"field: got one with states of shape {field.shape}, expected (D,): reshape inside f")


def check_times(t0: Any, t1: Any) -> None:
    """Raise unless they are two different finite times."""
    for name, t in (("t0", t0), ("t1", t1)):
        if not (is_real(t) and math.isfinite(t)):
            raise ValueError(f"{name}: got {t!r}, expected a finite number")
    if t0 == t1:
        raise ValueError(f"t0 and t1: got {t0!r} for both, expected two different times")


def check_base(base: Any, size: int) -> None:
    """Raise unless it is a base density of D dimensions."""
    missing = [name for name in ("dim", "log_prob", "score", "sample") if not hasattr(base, name)]
    if missing:
        example = "ne.flows.StandardNormal(D)"
        raise TypeError(f"base: got {base!r}, which has no {missing[0]}; expected a density such as {example}")
    if base.dim != size:
        raise ValueError(f"base: got a density of {base.dim} dimensions, expected {size}, those of the field's states")


def check_samples(name: str, x: ArrayLike, size: int) -> Array:
    """Return finite samples (B, D) of float64 or float32."""
    array = real_array(name, x)
    if array.ndim != 2 or array.shape[1] != size or not len(array):
        hint = f"; one sample is {name}[None]" if array.shape == (size,) else ""
        raise ValueError(f"{name}: got shape {array.shape}, expected (B, {size}), a sample a row{hint}")
    require_finite(name, array)
    return array


def kinks(tape: Tape) -> list[str]:
    """Primitives of f that are not continuously differentiable in z."""
    moving, found = {tape.inputs["z"]}, []
    for i in tape.live():
        node = tape.nodes[i]
        if not any(a in moving for a in node.args):
            continue
        moving.add(i)
        if node.op in KINKS and any(node.args[k] in moving for k in KINKS[node.op]) and node.op not in found:
            found.append(node.op)
    return [op for op in found if "where" not in found or op not in COMPARISONS]  # np.where(z > 0, a, b): say np.where


def warn_of_kinks(field: VectorField) -> None:
    """Warn if f is not C¹ in z."""
    found = kinks(field.tape)
    if found:
        names = " and ".join(f"np.{name}" for name in found)
        warnings.warn(
            f"the field {field.name!r} is not continuously differentiable in z, because of {names}: its trace jumps at "
            "the kinks, where steps become small and the change of variables need not hold; use smooth functions such "
            "as tanh or ne.softplus",
            UserWarning,
            stacklevel=4,
        )


def explained(error: SolverError, name: str, stop: float) -> SolverError:
    """Say what it means for a density if a path that starts at x or z reaches infinity before the time ``stop``."""
    found = error.diagnosis
    if found is None or found.cause not in ("blow-up", "overflow"):
        return error
    if name == "z":
        what = "mass leaks to infinity, and the density of what is left does not integrate to 1"
    else:
        what = "this point comes from infinity, where no sample of the base density is"
    where = "" if error.sample is None else f"[{error.sample}]"
    return SolverError(
        f"{name}{where}: its path leaves all bounds at t = {found.t:.6g}, before t = {stop:.6g}: {what}. A field that "
        f"grows no faster than |z| cannot do this; or let the flow end earlier. {error}",
        t=error.t, method=error.method, cause=error.cause, sample=error.sample, diagnose=error.diagnose,
    )  # fmt: skip
