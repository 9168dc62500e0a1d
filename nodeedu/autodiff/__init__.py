"""Derivatives by a tape: record plain NumPy once, transform tape to tape, or compute eagerly with Tensors."""

from .check import (
    Difference,
    central_difference,
    complex_step,
    dot_product_test,
    relative_error,
    tape_dot_product_test,
)
from .divergence import divergence
from .functions import relu, sigmoid, softplus
from .recorded import TraceError
from .tape import Node, Tape
from .tensor import Tensor
from .trace import CapturedArrayWarning, record
from .transforms import grad, jacobian, jvp, vjp

__all__ = [
    "CapturedArrayWarning",
    "Difference",
    "Node",
    "Tape",
    "Tensor",
    "TraceError",
    "central_difference",
    "complex_step",
    "divergence",
    "dot_product_test",
    "grad",
    "jacobian",
    "jvp",
    "record",
    "relative_error",
    "relu",
    "sigmoid",
    "softplus",
    "tape_dot_product_test",
    "vjp",
]
