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
    "LARGEST_STATE", "free_memory", "require_discrete_fit", "require_fit", "require_gradient_fit", "require_narrow",
    "require_room",
]  # fmt: skip

# Above, the rows of a thread (state, slopes) do not fit into its 255 registers: they would lie in slow memory.
LARGEST_STATE = {"float64": 12, "float32": 16}
LARGEST_WORKSPACE = 1024  # words of a thread
SHARED_BYTES = 48 * 1024  # of a block, as long as it is not asked for more at the launch


def require_fit(inputs: Inputs, options: Options) -> None:
    """Raise ValueError if the kernels cannot solve a problem.

    Raises
    ------
    ValueError
        If the method, the norm, the state or the field is not for them; the message says what is.
    """
    field, real = inputs.field, inputs.z0.dtype.name
    if options.tableau is None:
        raise ValueError(
            f"method: got {options.method!r}, expected an explicit one for the kernels: {', '.join(tableaus.names())}"
        )
    if not isinstance(options.norm, str):
        raise ValueError(f"norm: got {options.norm.function!r}, expected 'rms' or 'max': a kernel cannot call Python")
    require_narrow(field, "f", inputs.z0.dtype)
    if field.size > LARGEST_STATE[real]:
        raise ValueError(
            f"field: its state has {field.size} numbers of {real}; a thread holds {LARGEST_STATE[real]}. Take "
            "backend='cpu', or for a multilayer perceptron a kernel in which a warp or a block shares a sample "
            "(nodeedu.cuda.warp, nodeedu.cuda.tile)"
        )
    times = inputs.ts.astype(inputs.z0.dtype)
    if not (np.diff(times, axis=1) != 0).all():
        raise ValueError("ts: times of float32 kernels are float32, where two of these are equal; take z0 in float64")


def require_gradient_fit(inputs: Inputs, options: Options, target: Any) -> None:
    """Raise ValueError if the gradient kernels cannot solve a problem: state and adjoint share the registers."""
    require_fit(inputs, options)
    field, real = inputs.field, inputs.z0.dtype
    for kind in ("vjp_z", "vjp_theta"):
        require_narrow(field, kind, real)
    if 2 * field.size > LARGEST_STATE[real.name]:
        raise ValueError(
            f"field: its state has {field.size} numbers of {real.name}, and as many its adjoint; a thread holds "
            f"{LARGEST_STATE[real.name]}. Take backend='cpu', or for a multilayer perceptron a kernel in which a warp "
            "or a block shares a sample (nodeedu.cuda.warp, nodeedu.cuda.tile)"
        )
    words = field.n_packed + field.n_params * (target.threads // (32 if target.threads >= 32 else 1))
    if words * real.itemsize > SHARED_BYTES:
        raise ValueError(
            f"field: {field.n_params} parameters and their gradients take {words * real.itemsize} bytes of shared "
            f"memory, a block has {SHARED_BYTES}. Take backend='cpu', or the kernel in which a block shares a tile of "
            "samples (nodeedu.cuda.tile)"
        )


def require_discrete_fit(inputs: Inputs, options: Options, target: Any, steps: int) -> None:
    """Raise ValueError if the kernel that backpropagates cannot, or if the steps that it needs take too much memory."""
    require_gradient_fit(inputs, options, target)
    require_narrow(inputs.field, "vjp", inputs.z0.dtype)
    if options.jump_ts:
        raise ValueError("jump_ts: the discrete gradient kernel knows none; take method='backsolve' or backend='cpu'")
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
