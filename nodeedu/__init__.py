"""Neural ordinary differential equations, written to be read: one tape, its derivatives, and fast solvers.

    import numpy as np
    import nodeedu as ne

    def f(t, z, theta):                                # one sample, plain NumPy
        W1, b1, W2, b2 = theta
        return W2 @ np.tanh(W1 @ z**3 + b1) + b2

    field = ne.vector_field(f, z0[0], theta)           # traced once; .show() prints the tape, .source("vjp") the code
    sol = ne.odeint(field, z0, ts, theta)              # every sample of the batch with its own step size
    g = ne.gradients(field, z0, ts, theta, zs_bar)     # dL/dz0, dL/dtheta, dL/dt_i from zs_bar = ∂L/∂z(t_i)

Names are imported when they are first used, so that `import nodeedu` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from scipy.integrate import BDF, LSODA, Radau

    from . import autodiff, data, flows, nn, plot, tableaus
    from .autodiff import CapturedArrayWarning, Tensor, TraceError, relu, sigmoid, softplus
    from .compile import VectorField, linear_field, mlp_field, vector_field
    from .errors import SolverError
    from .sensitivity.events import event_gradients
    from .sensitivity.gradients import gradients
    from .sensitivity.hessian import hessian_vector_product
    from .sensitivity.odeint import odeint
    from .sensitivity.watch import BacksolveWarning, predict_backsolve
    from .solvers.scipy_api.classes import DOP853, RK23, RK45
    from .solvers.scipy_api.solve_ivp import solve_ivp
    from .verify.backward_trace import backward_trace
    from .verify.court import court
    from .verify.peak_memory import peak_memory

_HOME = {
    "vector_field": "compile", "VectorField": "compile", "linear_field": "compile", "mlp_field": "compile",
    "odeint": "sensitivity", "gradients": "sensitivity",
    **dict.fromkeys(("BacksolveWarning", "predict_backsolve"), "sensitivity.watch"),
    "event_gradients": "sensitivity.events",
    "hessian_vector_product": "sensitivity.hessian",
    "Tensor": "autodiff", "sigmoid": "autodiff", "softplus": "autodiff", "relu": "autodiff",
    "TraceError": "autodiff", "CapturedArrayWarning": "autodiff",
    "SolverError": "errors",
    "backward_trace": "verify.backward_trace",
    "court": "verify.court", "peak_memory": "verify.peak_memory",
    **dict.fromkeys(("solve_ivp", "RK23", "RK45", "DOP853", "Radau", "BDF", "LSODA"), "solvers.scipy_api"),
}  # fmt: skip
_MODULES = ("autodiff", "data", "flows", "nn", "plot", "tableaus")

__all__ = [
    "BDF",
    "DOP853",
    "LSODA",
    "RK23",
    "RK45",
    "BacksolveWarning",
    "CapturedArrayWarning",
    "Radau",
    "SolverError",
    "Tensor",
    "TraceError",
    "VectorField",
    "autodiff",
    "backward_trace",
    "court",
    "data",
    "event_gradients",
    "flows",
    "gradients",
    "hessian_vector_product",
    "linear_field",
    "mlp_field",
    "nn",
    "odeint",
    "peak_memory",
    "plot",
    "predict_backsolve",
    "relu",
    "sigmoid",
    "softplus",
    "solve_ivp",
    "tableaus",
    "vector_field",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(import_module("." + _HOME[name], __name__), name)
    elif name in _MODULES:
        value = import_module("." + name, __name__)
    else:
        raise AttributeError(f"nodeedu has no {name!r}; it has {', '.join(__all__)}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
