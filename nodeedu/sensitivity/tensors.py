"""`odeint` on Tensors: the solve is one node of the record, so that encoder, solve and decoder differentiate as one.

The node's pullback is the vector-Jacobian product of the whole solve, by one of the gradient methods:
zs_bar -> dL/dz0, dL/dtheta, dL/dts.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from nodeedu.autodiff import Tensor, structure
from nodeedu.sensitivity.gradients import METHODS as ALL_METHODS
from nodeedu.sensitivity.gradients import differentiate, require_differentiable, solve_for
from nodeedu.solvers.arguments import Inputs, Options, check_cotangents
from nodeedu.solvers.callables import CallableField
from nodeedu.solvers.solution import Solution
from nodeedu.solvers.solve import require_success

METHODS = tuple(method for method in ALL_METHODS if method != "forward")  # which is a product, not a pullback


def holds_tensors(*arguments: Any) -> bool:
    """Whether an argument is a Tensor, or a structure that holds one."""
    for x in arguments:
        if type(x) is np.ndarray:  # mostly, and the quickest to tell
            continue
        if isinstance(x, Tensor) or (isinstance(x, (tuple, list)) and holds_tensors(*x)):
            return True
        if isinstance(x, dict) and holds_tensors(*x.values()):
            return True
    return False


def values(x: Any) -> Any:
    """Replace the Tensors of a structure by their values."""
    return structure.tree_map(lambda leaf: leaf.value if isinstance(leaf, Tensor) else leaf, x)


def solve_on_tensors(inputs: Inputs, options: Options, z0: Any, ts: Any, theta: Any, gradient: str) -> Solution:
    """Solve, and return a solution whose ``zs`` is a Tensor with the given arguments as parents.

    Parameters
    ----------
    inputs, options : Inputs, Options
        Checked, of plain values.
    z0, ts, theta : Tensor, array or structure
        The arguments themselves; each Tensor among them receives its gradient.
    gradient : str
        How the solve is differentiated, one of `METHODS`.

    Raises
    ------
    TypeError
        If the field is a plain callable, which has no derivatives.
    ValueError
        If the gradient method is unknown.
    SolverError
        If the solve fails.
    """
    if gradient not in METHODS:
        raise ValueError(f"gradient: got {gradient!r}, expected one of {', '.join(METHODS)}")
    if isinstance(inputs.field, CallableField):
        raise TypeError(
            "field: got a plain callable together with Tensors, which it cannot differentiate; "
            "make a field of it with ne.vector_field(f, z0, theta)"
        )
    require_differentiable(options, gradient)
    solution = solve_for(gradient, inputs, options)
    require_success(solution._samples, options, inputs.batched, diagnose=solution.diagnose)
    leaves = [z0, *structure.leaves_like(theta, inputs.field.unpack(inputs.p)), ts]  # in the order of gradients
    wanted = [isinstance(leaf, Tensor) for leaf in leaves]

    def pullback(zs_bar: Any) -> list[np.ndarray]:
        g = differentiate(solution, check_cotangents(zs_bar, inputs), gradient)
        bars = [g.z0, *structure.leaves(g.theta), g.ts if wanted[-1] else None]
        return [bar for bar, want in zip(bars, wanted, strict=True) if want]

    parents = [leaf for leaf, want in zip(leaves, wanted, strict=True) if want]
    return replace(solution, zs=Tensor.from_pullback(solution.zs, parents, pullback))
