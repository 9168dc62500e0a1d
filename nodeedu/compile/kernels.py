"""Kernels: compiled vector-field functions, and how a jitted solver calls one through its address.

A solver that took a jitted function as an argument would be compiled again for every field. It takes the *address* of a
C function instead (an int64), is compiled once, and calls the address with the data pointers of its arrays:

    int64 kernel(int64 n, double* t, real* z, ..., real* work)        returns 1; 0 means that an exception was swallowed

The same solver source also runs as plain Python. There the callee is a Python function on arrays, and `call_f` and its
siblings below simply call it with the first ``n`` rows. Numba replaces them by the call through the pointer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numba
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

JIT = not numba.config.DISABLE_JIT

DONE = 1  # what a kernel returns; a `@cfunc` that swallowed an exception returns 0

# The arguments of each kind, in order, and the extents of each argument:
# n rows (samples), D state components, Q packed parameters, P parameters, W words of workspace.
SIGNATURES: dict[str, tuple[str, ...]] = {
    "f": ("t", "z", "p", "dz", "work"),
    "vjp": ("t", "z", "a", "p", "dz", "t_bar", "z_bar", "p_bar", "work"),
    "vjp_z": ("t", "z", "a", "p", "dz", "z_bar", "work"),
    "vjp_theta": ("t", "z", "a", "p", "p_bar", "work"),
    "jvp": ("t", "z", "z_dot", "p", "p_dot", "dz", "dz_dot", "work"),
    "divergence": ("t", "z", "p", "dz", "trace", "work"),
}
EXTENTS: dict[str, str] = {
    "t": "n", "t_bar": "n", "trace": "n",
    "z": "nD", "a": "nD", "z_dot": "nD", "dz": "nD", "z_bar": "nD", "dz_dot": "nD",
    "p": "Q", "p_dot": "Q", "p_bar": "P", "work": "W",
}  # fmt: skip


@dataclass(frozen=True)
class Kernel:
    """A compiled function of a vector field.

    Parameters
    ----------
    kind : str
        A key of `SIGNATURES`.
    function : callable
        Takes the arrays that `SIGNATURES` names, any number of rows.
    address : int
        Pointer to the C function; 0 under ``NUMBA_DISABLE_JIT=1``.
    work_size : int
        Words of workspace that a call needs.
    owner : object
        Whatever must stay alive for the address to stay valid.
    """

    kind: str
    function: Callable[..., Any]
    address: int
    work_size: int
    owner: Any = None

    @property
    def callee(self) -> Any:
        """What a solver is given: the address, or the function itself where nothing is jitted."""
        return self.address if JIT else self.function


@intrinsic
def _call_address(typing_context, callee, n, arrays):
    """Call ``int64 (*callee)(int64 n, pointer, ...)`` with the data pointers of a tuple of arrays."""

    def generate(context, builder, signature, args):
        values, kinds = [args[1]], [ir.IntType(64)]
        for i, array_type in enumerate(signature.args[2]):
            array = builder.extract_value(args[2], i)
            values.append(context.make_array(array_type)(context, builder, array).data)
            kinds.append(values[-1].type)
        function = ir.FunctionType(ir.IntType(64), kinds)
        return builder.call(builder.inttoptr(args[0], ir.PointerType(function)), values)

    return types.int64(types.int64, types.int64, arrays), generate


def call_f(callee, n, t, z, p, dz, work):
    """Evaluate ``dz = f(t, z, p)`` on the first n rows."""
    callee(t[:n], z[:n], p, dz[:n], work)
    return DONE


@overload(call_f)
def _(callee, n, t, z, p, dz, work):
    return lambda callee, n, t, z, p, dz, work: _call_address(callee, n, (t, z, p, dz, work))


def call_vjp(callee, n, t, z, a, p, dz, t_bar, z_bar, p_bar, work):
    """Evaluate f, ``a f_t`` and ``a f_z`` on the first n rows; add ``a f_theta`` to p_bar."""
    callee(t[:n], z[:n], a[:n], p, dz[:n], t_bar[:n], z_bar[:n], p_bar, work)
    return DONE


@overload(call_vjp)
def _(callee, n, t, z, a, p, dz, t_bar, z_bar, p_bar, work):
    return lambda callee, n, t, z, a, p, dz, t_bar, z_bar, p_bar, work: _call_address(
        callee, n, (t, z, a, p, dz, t_bar, z_bar, p_bar, work)
    )


def call_vjp_z(callee, n, t, z, a, p, dz, z_bar, work):
    """Evaluate f and ``a f_z`` on the first n rows."""
    callee(t[:n], z[:n], a[:n], p, dz[:n], z_bar[:n], work)
    return DONE


@overload(call_vjp_z)
def _(callee, n, t, z, a, p, dz, z_bar, work):
    return lambda callee, n, t, z, a, p, dz, z_bar, work: _call_address(callee, n, (t, z, a, p, dz, z_bar, work))


def call_vjp_theta(callee, n, t, z, a, p, p_bar, work):
    """Add ``a f_theta`` of the first n rows to p_bar."""
    callee(t[:n], z[:n], a[:n], p, p_bar, work)
    return DONE


@overload(call_vjp_theta)
def _(callee, n, t, z, a, p, p_bar, work):
    return lambda callee, n, t, z, a, p, p_bar, work: _call_address(callee, n, (t, z, a, p, p_bar, work))


def call_jvp(callee, n, t, z, z_dot, p, p_dot, dz, dz_dot, work):
    """Evaluate f and ``f_z z_dot + f_theta p_dot`` on the first n rows."""
    callee(t[:n], z[:n], z_dot[:n], p, p_dot, dz[:n], dz_dot[:n], work)
    return DONE


@overload(call_jvp)
def _(callee, n, t, z, z_dot, p, p_dot, dz, dz_dot, work):
    return lambda callee, n, t, z, z_dot, p, p_dot, dz, dz_dot, work: _call_address(
        callee, n, (t, z, z_dot, p, p_dot, dz, dz_dot, work)
    )
