"""What a thread can hold, and what a kernel cannot run: each limit is an error that says what to use instead."""

from __future__ import annotations

import inspect
import sys
from typing import Any

import numpy as np

from nodeedu import tableaus
from nodeedu.cuda.device import GPU, cuda
from nodeedu.solvers.arguments import Inputs, Options

__all__ = [
    "LARGEST_STATE", "free_memory", "largest_state", "require_choices", "require_discrete_fit", "require_fit",
    "require_gradient_fit", "require_narrow", "require_room", "require_room_for_steps",
]  # fmt: skip

# The largest D with which a kernel of threads neither spills registers nor keeps an array in memory, on any of sm_80,
# sm_90 and sm_100: above, the rows of a thread (state, slopes, their cotangents) do not fit into its 255 registers.
# First for methods of up to 7 stages, as dopri5 has, then of more, as dop853 has. Measured with a field that keeps
# little of its own (tests/cuda/test_proof_limits.py). What a field has as a workspace lies in memory in any case.
LARGEST_STATE = {
    "forward": {"float64": (11, 7), "float32": (16, 14)},
    "backsolve": {"float64": (6, 3), "float32": (8, 6)},
    "discrete": {"float64": (4, 2), "float32": (8, 4)},
}
STAGES = 7
PURPOSES = {
    "forward": "a solve", "backsolve": "the adjoint ODE", "discrete": "backpropagation through the steps",
}  # fmt: skip
LARGEST_WORKSPACE = 1024  # words of a thread
SHARED_BYTES = 48 * 1024  # of a block, as long as it is not asked for more at the launch


def require_fit(inputs: Inputs, options: Options) -> None:
    """Raise ValueError if the kernels cannot solve a problem.

    Raises
    ------
    ValueError
        If the method, the norm, the state or the field is not for them; the message says what is.
    """
    require_choices(inputs, options)
    _require_small(inputs, options, "forward")
    require_narrow(inputs.field, "f", inputs.z0.dtype)  # last: it compiles the field


def _require_small(inputs: Inputs, options: Options, what: str) -> None:
    """Raise ValueError if a thread does not hold state and slopes."""
    size, real, method = inputs.field.size, inputs.z0.dtype, options.method
    largest = largest_state(what, real, options)
    if size > largest:
        smaller = what == "discrete" and size <= largest_state("backsolve", real, options)
        others = "method='backsolve', " if smaller else ""
        raise ValueError(
            f"field: its state has {size} numbers of {real.name}; a thread holds {largest} for {PURPOSES[what]} by "
            f"{method}. Take {others}backend='cpu', or for a multilayer perceptron a kernel in which a warp or a block "
            "shares a sample (nodeedu.cuda.warp, nodeedu.cuda.tile)"
        )


def largest_state(what: str, real: np.dtype, options: Options) -> int:
    """Return the largest D that a thread holds for "forward", "backsolve" or "discrete"."""
    return LARGEST_STATE[what][real.name][len(options.tableau.b) > STAGES]


def require_choices(inputs: Inputs, options: Options) -> None:
    """Raise ValueError if no kernel at all knows the method, the norm or the times."""
    if options.tableau is None:
        raise ValueError(
            f"method: got {options.method!r}, expected an explicit one for the kernels: {', '.join(tableaus.names())}"
        )
    if not isinstance(options.norm, str):
        raise ValueError(f"norm: got {options.norm.function!r}, expected 'rms' or 'max': a kernel cannot call Python")
    times = inputs.ts.astype(inputs.z0.dtype)
    if not (np.diff(times, axis=1) != 0).all():
        raise ValueError("ts: times of float32 kernels are float32, where two of these are equal; take z0 in float64")


def require_gradient_fit(
    inputs: Inputs, options: Options, target: Any, own_theta: bool = False, what: str = "backsolve"
) -> None:
    """Raise ValueError if the gradient kernels cannot solve a problem: state and adjoint share the registers.

    Parameters that all samples share lie in the memory that a block shares, with the sums for their gradient.
    """
    require_choices(inputs, options)
    _require_small(inputs, options, what)
    field, real = inputs.field, inputs.z0.dtype
    words = field.n_packed + field.n_params * (target.threads // (32 if target.threads >= 32 else 1))
    if not own_theta and words * real.itemsize > SHARED_BYTES:
        raise ValueError(
            f"field: {field.n_params} parameters and their gradients take {words * real.itemsize} bytes of shared "
            f"memory, a block has {SHARED_BYTES}. Take backend='cpu', or the kernel in which a block shares a tile of "
            "samples (nodeedu.cuda.tile)"
        )
    require_fit(inputs, options)
    for kind in ("vjp_z", "vjp_theta"):
        require_narrow(field, kind, real)


def require_discrete_fit(inputs: Inputs, options: Options, target: Any, own_theta: bool = False) -> None:
    """Raise ValueError if the kernel that backpropagates cannot solve a problem."""
    require_gradient_fit(inputs, options, target, own_theta, "discrete")
    require_narrow(inputs.field, "vjp", inputs.z0.dtype)


def require_room_for_steps(inputs: Inputs, target: Any, steps: int) -> None:
    """Raise ValueError if the steps that are kept for backpropagation take too much memory."""
    samples, size = inputs.z0.shape
    needed, free = steps * (4 + size) * inputs.z0.itemsize, free_memory(target)
    if needed > free:
        raise ValueError(
            f"z0: the steps of its {samples} samples take {needed} bytes, of which the device has {free} left; take at "
            f"most {max(1, samples * free // needed)} samples at a time, or method='backsolve', which keeps none"
        )


def require_room(given: Any, samples: int, target: Any) -> None:
    """Raise ValueError if the arrays of a launch do not fit into the memory that the device has left."""
    needed, free = _bytes(given), free_memory(target)
    if needed > free:
        raise ValueError(
            f"z0: {samples} samples take {needed} bytes on the device, which has {free} left; take at most "
            f"{max(1, samples * free // needed)} samples at a time, or fewer output times"
        )


def _bytes(x: Any) -> int:
    return sum(map(_bytes, x)) if isinstance(x, tuple) else int(getattr(x, "nbytes", 0))


def free_memory(target: Any) -> int:
    """Return how many bytes the memory of a target has left; without a GPU it is the computer's, and unlimited here."""
    if target is not GPU:
        return sys.maxsize
    return int(cuda.current_context().get_memory_info().free)


def require_narrow(field: Any, kind: str, real: np.dtype) -> None:
    """Raise ValueError if a kernel of a field multiplies matrices for tiles of samples, or needs much memory."""
    kernel = field.kernel(kind, real)
    module = sys.modules[inspect.unwrap(getattr(kernel.function, "py_func", kernel.function)).__module__]
    if hasattr(module, "product") or hasattr(module, "accumulate"):
        raise ValueError(
            "field: its layers are so wide that it multiplies matrices, for a tile of samples at a time; a thread has "
            "one sample. Take backend='cpu', or the kernel in which a block shares a tile (nodeedu.cuda.tile)"
        )
    if kernel.work_size > LARGEST_WORKSPACE:
        raise ValueError(
            f"field: it needs a workspace of {kernel.work_size} numbers; a thread has {LARGEST_WORKSPACE}. "
            "Take backend='cpu', or a kernel in which a warp or a block shares a sample (nodeedu.cuda.warp)"
        )
