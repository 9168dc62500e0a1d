"""What ``backend="cuda"`` of `odeint` and `gradients` does: the CPU's contract, with the kernel of `choose_kernel`.

``NODEEDU_CUDA_SIMULATOR=1`` runs the same kernels in Numba's simulator, as plain Python: slow, but without a GPU.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from nodeedu.cuda.choice import choose_kernel
from nodeedu.cuda.device import GPU, SIMULATOR, Target, require
from nodeedu.cuda.mlp_choice import backsolver_of, solver_of
from nodeedu.cuda.thread_gradients import discrete_ensemble, discrete_evaluations
from nodeedu.sensitivity.results import Gradients, keep, package
from nodeedu.solvers.arguments import Inputs, Options
from nodeedu.solvers.callables import CallableField
from nodeedu.solvers.dense_output import interpolate_records
from nodeedu.solvers.runge_kutta import as_method
from nodeedu.solvers.solution import Solution
from nodeedu.solvers.solve import require_success, solve_again

__all__ = ["METHODS", "chosen_target", "gradients", "odeint", "require_host"]

Array = np.ndarray
VARIABLE = "NODEEDU_CUDA_SIMULATOR"
METHODS = ("discrete", "backsolve")


def chosen_target() -> Target:
    """Return the GPU, or the simulator if the environment asks for it.

    Raises
    ------
    RuntimeError
        If there is no GPU that can be used; the message says what is missing.
    ValueError
        If the variable is neither 0 nor 1.
    """
    wish = os.environ.get(VARIABLE, "0")
    if wish not in ("0", "1", ""):
        raise ValueError(f"{VARIABLE}: got {wish!r}, expected 1 for the simulator, or 0")
    if wish == "1":
        return SIMULATOR
    require(GPU)
    return GPU


def require_host(**arguments: Any) -> None:
    """Raise TypeError if an argument lies in the memory of a device.

    Raises
    ------
    TypeError
        The message names the argument.
    """
    for name, value in arguments.items():
        for each in value if isinstance(value, (tuple, list)) else (value,):
            if hasattr(each, "__cuda_array_interface__"):
                raise TypeError(
                    f"{name}: got {type(each).__name__}, an array on the device; expected one of NumPy (copy it with "
                    "copy_to_host(), or .get() of CuPy, or .cpu().numpy() of PyTorch): the kernels copy it themselves"
                )


def odeint(inputs: Inputs, options: Options) -> Solution:
    """Solve on the target; see `nodeedu.odeint`."""
    _require_field(inputs)
    target = chosen_target()
    outputs, samples = solver_of(choose_kernel(inputs, options, target))(inputs, inputs.p[None], options, target)
    method = as_method(options.tableau, inputs.z0.dtype, not options.fixed)
    solution = Solution(
        outputs.reshape(len(outputs), *inputs.state_shape), inputs.times, inputs, options, samples, method, None,
        partial(_dense, inputs, options, samples),
    )  # fmt: skip
    require_success(samples, options, inputs.batched, diagnose=solution.diagnose)
    return solution


def gradients(inputs: Inputs, options: Options, zs_bar: Array, method: str, solution: Solution | None) -> Gradients:
    """Compute the gradients on the target; see `nodeedu.gradients`.

    Parameters
    ----------
    inputs, options : Inputs, Options
        Checked.
    zs_bar : array (T, B, D)
        dL/dz(t_i).
    method : {"discrete", "backsolve"}
        How.
    solution : Solution, optional
        Of the forward problem, to save the solve.
    """
    if method not in METHODS:
        raise ValueError(f"method: backend 'cuda' has {' and '.join(METHODS)}, got {method!r}; take backend='cpu'")
    _require_field(inputs)
    target, returned = chosen_target(), None
    kernel = choose_kernel(inputs, options, target, method)  # before the solve, which another kernel may do
    solution = solution or odeint(inputs, options)
    zs, samples = solution._states.reshape(zs_bar.shape), solution._samples
    if method == "discrete":
        a, p_bar, trail = discrete_ensemble(inputs, options, samples["accepted"], zs_bar, target)
        nfev = discrete_evaluations(trail, options)
        kept, counts = keep(len(trail.states), trail), samples
    else:
        going_back = (inputs, options, zs, zs_bar, samples["h"], target)
        a, p_bar, counts, returned = backsolver_of(kernel)(*going_back)
        require_success(counts, options, inputs.batched, "backsolve: ")
        kept, nfev = keep(zs.size // inputs.z0.shape[1], zs), counts["nfev"]
    return package(inputs, zs, a, p_bar, samples, nfev, counts, kept, zs_bar, returned)


def _dense(inputs: Inputs, options: Options, samples: Array) -> Callable[[Array], Array]:
    """Return the dense output (n,) -> (n, B, D), of a second solve, on the CPU."""
    again = solve_again(inputs, options, samples)
    interpolant = again._method.interpolant  # type: ignore[union-attr]
    return partial(interpolate_records, records=again._records, interpolant=interpolant, z0=inputs.z0)


def _require_field(inputs: Inputs) -> None:
    if isinstance(inputs.field, CallableField):
        raise TypeError(
            "field: got a plain callable, which a kernel cannot call; make a field of it with "
            "ne.vector_field(f, z0, theta)"
        )
