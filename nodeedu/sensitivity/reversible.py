"""Backpropagation through the steps of a reversible method, undoing them on the way: exact, in constant memory.

What `discrete` computes from stored steps, this computes from the last one alone: each step is undone by its formula
(reversible.py and symplectic.py in solvers/fixed_step/), which gives back the states that it was made from, up to
round-off.
It is not `backsolve`, which solves the ODE backwards and so meets other states than the forward solve did. Kidger,
Foster, Li & Lyons (arXiv 2105.13493), McCallum & Foster (arXiv 2410.11648).

The gradient is as exact as the states that come back. Round-off in them grows as any perturbation does backwards in
time: fast where solutions contract. As z0 is known, what has come of it is seen at the end.
"""

from __future__ import annotations

import warnings

import numpy as np

from nodeedu.sensitivity.results import Kept, keep
from nodeedu.solvers.arguments import Options
from nodeedu.solvers.methods import FAMILIES, algorithm
from nodeedu.solvers.solution import Solution

Array = np.ndarray


def reversible(solution: Solution, zs_bar: Array) -> tuple[Array, Array, Array, Kept, Array]:
    """Undo all steps of a solve and backpropagate through them; warn if z0 has not come back.

    Parameters
    ----------
    solution : Solution
        Of a method that `require_reversible` lets pass; its steps need not have been kept.
    zs_bar : array (T, B, D)
        dL/dz(t_i).

    Returns
    -------
    a : array (B, D)
        a(t0+), which leaves out the observation at t0.
    p_bar : array (P,)
        dL/dtheta, summed over samples.
    nfev : array (B,)
        Evaluations of f, with its derivatives or without.
    kept : Kept
        What was kept for the backward pass: the states after the last step, whatever their number.
    returned : array (B, D)
        z(t0) as it came back.
    """
    a, p_bar, nfev, z0 = algorithm(solution._options.method).reverse(solution, zs_bar)
    states: Array = solution._method  # type: ignore[assignment]  # where Runge-Kutta methods have their tableau
    _look_at(z0, solution)
    return a, p_bar, nfev, keep(states.shape[0] * states.shape[1], states), z0


def require_reversible(options: Options) -> None:
    """Raise ValueError if a method cannot be undone; the message names those that can."""
    if options.tableau is None and hasattr(algorithm(options.method), "reverse"):
        return
    able = [name for family in FAMILIES for name in family.fixed if hasattr(algorithm(name), "reverse")]
    raise ValueError(f"solver: 'reversible' undoes the steps of {', '.join(able)}; got {options.method!r}")


def _look_at(z0: Array, solution: Solution) -> None:
    """Warn if the initial state that came back (B, D) differs from the true one by more than the root of eps."""
    true, zs = solution._inputs.z0, solution._states.reshape(-1, *z0.shape)
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        error = float((abs(z0 - true).max(axis=1) / abs(zs).max(axis=(0, 2))).max())
    limit = float(np.sqrt(np.finfo(true.dtype).eps))
    if not error <= limit and not np.array_equal(z0, true):
        warnings.warn(
            f"reversible: z(t0) came back with a relative error of {error:.1e}, as round-off has grown on the way; the "
            "gradient may be as wrong. Take method='discrete', fewer steps or a shorter time",
            RuntimeWarning, stacklevel=5,
        )  # fmt: skip
