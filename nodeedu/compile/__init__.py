"""From a vector field's tape to machine code: explode, schedule, render, build."""

from .field import VectorField, vector_field
from .handwritten import linear_field, mlp_field, van_der_pol_field
from .kernels import Kernel

__all__ = ["Kernel", "VectorField", "linear_field", "mlp_field", "van_der_pol_field", "vector_field"]
