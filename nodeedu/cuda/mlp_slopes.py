"""A function of one number together with its slope, and what both pull back: there is the second derivative.

    y = act(x),     r = act'(x),     x_bar = y_bar act'(x) + r_bar act''(x)

Made from the function's tape, as all derivatives are: the tape of (act, act') is emitted as a field of two components.
"""

from __future__ import annotations

from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import numpy as np

from nodeedu.autodiff import transforms
from nodeedu.autodiff.tape import Tape
from nodeedu.compile.build import build
from nodeedu.compile.field import VectorField
from nodeedu.cuda.device import cuda
from nodeedu.cuda.mlp_reals import Bind
from nodeedu.cuda.mlp_scalar import Scalar

__all__ = ["make_slopes", "slope_functions"]


def make_slopes(scalar: Scalar | None, real: Any, bind: Bind, forms: dict[str, Any]) -> tuple[Any, Any]:
    """Return device functions ``both(x) -> (y, r)`` and ``pull(x, y_bar, r_bar) -> (y, r, x_bar)``.

    Parameters
    ----------
    scalar : Scalar or None
        None for x itself, whose slope is 1.
    real : type
        np.float64 or np.float32.
    bind : callable
        From `binder`.
    forms : dict
        From `device_forms`.
    """
    if scalar is None:
        return bind(lambda x: (x, real(1.0))), bind(lambda x, y_bar, r_bar: (x, real(1.0), y_bar))
    f, vjp = (bind(each, **forms) for each in slope_functions(scalar, np.dtype(real)))

    def both(x):
        t, z, y = cuda.local.array(1, np.float64), cuda.local.array((1, 2), real), cuda.local.array((1, 2), real)
        t[0], z[0, 0], z[0, 1] = 0.0, x, real(0.0)
        f(t, z, z[0], y, z[0])
        return y[0, 0], y[0, 1]

    def pull(x, y_bar, r_bar):
        t, z, y = cuda.local.array(1, np.float64), cuda.local.array((1, 2), real), cuda.local.array((1, 2), real)
        a, x_bar = cuda.local.array((1, 2), real), cuda.local.array((1, 2), real)
        t[0], z[0, 0], z[0, 1], a[0, 0], a[0, 1] = 0.0, x, real(0.0), y_bar, r_bar
        vjp(t, z, a, z[0], y, x_bar, z[0])
        return y[0, 0], y[0, 1], x_bar[0, 0]

    return bind(both), bind(pull)


@lru_cache
def slope_functions(scalar: Scalar, dtype: np.dtype) -> tuple[Any, Any]:
    """Return the emitted array functions f and vjp_z of (x, .) -> (act(x), act'(x))."""
    (z,) = (i for i, node in enumerate(scalar.nodes) if node.op == "input")
    source, tape = Tape(list(scalar.nodes), {"dz": scalar.output}, {"z": z}), Tape()
    x = tape.input("z", (2,))[:1]
    y = transforms.inline(tape, source, {"z": x})
    tape.outputs = {"dz": y.index}
    (slope,) = transforms.pull(tape, {y.index: tape.const(1.0).broadcast((1,))}, [x.index])
    joined: Any = np.concatenate([y, slope])
    tape.outputs = {"dz": joined.index}
    named: Any = SimpleNamespace(__name__="slopes")
    field = VectorField(named, tape, (2,), None)
    modules = [build(field.source(kind, dtype), f"slopes_{kind}") for kind in ("f", "vjp_z")]
    return modules[0].f, modules[1].vjp_z
