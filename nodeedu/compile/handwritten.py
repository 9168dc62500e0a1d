"""Fields written by hand: `linear_field`, `mlp_field` and `van_der_pol_field`, with the interface of traced fields.

Every derivative is derived in `nodeedu.compile.handwritten_kernels`. Nothing of it comes from the tape, which makes
these fields an independent check of all that does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nodeedu.compile.build import as_kernel, build, kernel_source
from nodeedu.compile.kernels import Kernel

KINDS = ("f", "vjp", "vjp_z", "vjp_theta", "jvp")

_MODULE = '''"""The C function of {function}: pointers to arrays of fixed shape."""

from numba import carray

from nodeedu.compile.build import c_function
from nodeedu.compile.handwritten_kernels import {function}


'''


@dataclass(frozen=True)
class HandwrittenField:
    """A vector field ``dz/dt = f(t, z, theta)`` whose kernels were written by hand; theta is a tuple of arrays.

    Parameters
    ----------
    name : str
        Its kernels are ``<name>_f``, ``<name>_vjp``, ... in `nodeedu.compile.handwritten_kernels`.
    shape : tuple of int
        Shape of one sample's state.
    leaf_shapes : dict of str to tuple of int
        Names and shapes of the arrays in theta, in order.
    reference : callable
        ``reference(t, z, theta) -> dz`` in NumPy, for one sample.
    work_sizes : dict of str to int
        Words of workspace of the kinds that need any.
    """

    name: str
    shape: tuple[int, ...]
    leaf_shapes: Mapping[str, tuple[int, ...]]
    reference: Callable[..., NDArray[Any]]
    work_sizes: Mapping[str, int] = field(default_factory=dict)
    _kernels: dict[tuple[str, str], Kernel] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def size(self) -> int:
        """Number D of state components."""
        return math.prod(self.shape)

    @property
    def n_params(self) -> int:
        """Number P of parameters."""
        return sum(math.prod(shape) for shape in self.leaf_shapes.values())

    @property
    def n_packed(self) -> int:
        """Length Q of packed parameters: P, nothing follows them."""
        return self.n_params

    def __call__(self, t: float, z: ArrayLike, theta: tuple[ArrayLike, ...]) -> NDArray[Any]:
        """Evaluate f in NumPy for one sample; complex values too, for complex-step derivatives."""
        return self.reference(t, np.asarray(z), tuple(np.asarray(leaf) for leaf in theta))

    def pack(self, theta: tuple[ArrayLike, ...], dtype: Any = np.float64) -> NDArray[Any]:
        """Copy theta into one new contiguous array (P,), leaf after leaf, each in C order.

        Raises
        ------
        ValueError
            If theta has another number of arrays, or one of them another shape.
        """
        names = ", ".join(self.leaf_shapes)
        if len(theta) != len(self.leaf_shapes):
            raise ValueError(f"theta has {len(theta)} arrays: {self.name}_field expects ({names})")
        p, at = np.empty(self.n_packed, dtype), 0
        for i, (leaf, (name, shape)) in enumerate(zip(theta, self.leaf_shapes.items(), strict=True)):
            if np.shape(leaf) != shape:
                raise ValueError(
                    f"theta[{i}], {name} of {self.name}_field, has shape {np.shape(leaf)}: expected {shape}"
                )
            size = math.prod(shape)
            p[at : at + size] = np.ravel(leaf)
            at += size
        return p

    def unpack(self, p_bar: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        """Copy an array (P,) into a tuple of arrays with the shapes of theta."""
        leaves, at = [], 0
        for shape in self.leaf_shapes.values():
            size = math.prod(shape)
            leaves.append(np.array(p_bar[at : at + size]).reshape(shape))
            at += size
        return tuple(leaves)

    def kernel(self, kind: str, dtype: Any = np.float64) -> Kernel:
        """Return the kernel of a kind, compiled when it is first asked for.

        Parameters
        ----------
        kind : str
            One of `KINDS`.
        dtype : dtype
            float64 or float32.

        Raises
        ------
        ValueError
            If the kind or the dtype is another.
        """
        real = np.dtype(dtype).name
        if kind not in KINDS:
            raise ValueError(f"kind is {kind!r}: {self.name}_field has the kernels {', '.join(KINDS)}")
        if real not in ("float64", "float32"):
            raise ValueError(f"dtype is {real}: kernels are made for float64 and float32")
        if (kind, real) not in self._kernels:
            self._kernels[kind, real] = self._make(kind, real)
        return self._kernels[kind, real]

    def _make(self, kind: str, real: str) -> Kernel:
        """Build the module that gives one kernel function its pointers, and compile it."""
        function, work_size = f"{self.name}_{kind}", self.work_sizes.get(kind, 0)
        sizes = {"D": self.size, "Q": self.n_packed, "P": self.n_params, "W": work_size}
        source = _MODULE.format(function=function) + kernel_source(kind, function, sizes, real)
        return as_kernel(build(source, function), kind, function, work_size)


def linear_field(D: int) -> HandwrittenField:
    """Return the field ``f(t, z, theta) = A z + b`` with theta = (A, b), shapes (D, D) and (D,)."""

    def reference(t, z, theta):
        A, b = theta
        return A @ z + b

    return HandwrittenField("linear", (D,), {"A": (D, D), "b": (D,)}, reference)


def mlp_field(D: int, H: int) -> HandwrittenField:
    """Return the field ``f(t, z, theta) = W2 tanh(W1 z + b1) + b2`` with H hidden units.

    theta = (W1, b1, W2, b2), shapes (H, D), (H,), (D, H) and (D,).
    """

    def reference(t, z, theta):
        W1, b1, W2, b2 = theta
        return W2 @ np.tanh(W1 @ z + b1) + b2

    leaf_shapes = {"W1": (H, D), "b1": (H,), "W2": (D, H), "b2": (D,)}
    work_sizes = {"f": H} | dict.fromkeys(KINDS[1:], 2 * H)
    return HandwrittenField("mlp", (D,), leaf_shapes, reference, work_sizes)


def van_der_pol_field() -> HandwrittenField:
    """Return the oscillator ``x' = v, v' = mu (1 - x^2) v - x`` with z = (x, v) and theta = (mu,), mu of shape ().

    B. van der Pol, "On relaxation-oscillations", Philosophical Magazine 2 (1926) 978-992.
    """

    def reference(t, z, theta):
        (mu,) = theta
        x, v = z
        return np.array([v, mu * (1 - x * x) * v - x])

    return HandwrittenField("van_der_pol", (2,), {"mu": ()}, reference)
