"""`odeint` on Tensors: the solve is one node of the record, so that encoder, solve and decoder differentiate as one.

The node's pullback is the vector-Jacobian product of the whole solve, by one of the gradient methods:
zs_bar -> dL/dz0, dL/dtheta, dL/dts. With events, the node is the vector of all that is found, states at the output
times and times and states of events; each of these is a node that takes its part of it, so that one pass backwards
serves them all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from nodeedu.autodiff import Tensor, structure
from nodeedu.sensitivity.events import event_gradients
from nodeedu.sensitivity.gradients import METHODS as ALL_METHODS
from nodeedu.sensitivity.gradients import differentiate, require_differentiable, solve_for
from nodeedu.sensitivity.results import Gradients
from nodeedu.solvers.arguments import Inputs, Options, check_cotangents
from nodeedu.solvers.callables import CallableField
from nodeedu.solvers.events.solve import solve_with_events
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
    _require_derivatives(inputs)
    require_differentiable(options, gradient)
    solution = solve_for(gradient, inputs, options)
    require_success(solution._samples, options, inputs.batched, diagnose=solution.diagnose)

    def gradients(zs_bar: Any) -> Gradients:
        return differentiate(solution, check_cotangents(zs_bar, inputs), gradient)

    return replace(solution, zs=_node(solution.zs, gradients, inputs, z0, ts, theta))


def solve_events_on_tensors(
    inputs: Inputs, options: Options, events: Any, z0: Any, ts: Any, theta: Any, gradient: str
) -> Solution:
    """Solve with events, and return a solution whose ``zs``, ``t_events`` and ``z_events`` are Tensors.

    Parameters
    ----------
    inputs, options : Inputs, Options
        Checked, of plain values.
    events : callable or sequence of callables
        As `odeint` takes them; they are held as they are, and receive no gradient.
    z0, ts, theta : Tensor, array or structure
        The arguments themselves; each Tensor among them receives its gradient.
    gradient : str
        Only "discrete", as in `event_gradients`.

    Raises
    ------
    TypeError
        If the field is a plain callable, which has no derivatives.
    ValueError
        If the gradient method is another.
    SolverError
        If the solve fails.
    """
    if gradient != "discrete":
        raise ValueError(f"gradient: got {gradient!r}; with events it is 'discrete' alone")
    _require_derivatives(inputs)
    solution = solve_with_events(inputs, options, events)
    require_success(solution._samples, options, inputs.batched, diagnose=solution.diagnose)
    found = [solution.zs, solution.t_events, solution.z_events]
    values = _arrays(found)
    ends = np.cumsum([0, *(x.size for x in values)])

    def gradients(bar: Any) -> Gradients:
        parts = iter(np.split(bar, ends[1:-1]))
        return event_gradients(solution, *_mapped(lambda x: next(parts).reshape(x.shape), found))

    whole = _node(np.concatenate([np.ravel(x) for x in values]), gradients, inputs, z0, ts, theta)
    begins = iter(ends)
    zs, t_events, z_events = _mapped(lambda x: _part(whole, next(begins), x), found)
    return replace(solution, zs=zs, t_events=t_events, z_events=z_events)


def _require_derivatives(inputs: Inputs) -> None:
    if isinstance(inputs.field, CallableField):
        raise TypeError(
            "field: got a plain callable together with Tensors, which it cannot differentiate; "
            "make a field of it with ne.vector_field(f, z0, theta)"
        )


def _node(
    value: np.ndarray, gradients: Callable[[Any], Gradients], inputs: Inputs, z0: Any, ts: Any, theta: Any
) -> Tensor:
    """Make a Tensor of a value, given the gradients of a loss for its cotangent."""
    leaves = [z0, *structure.leaves_like(theta, inputs.field.unpack(inputs.p)), ts]  # in the order of gradients
    wanted = [isinstance(leaf, Tensor) for leaf in leaves]

    def pullback(bar: Any) -> list[np.ndarray]:
        g = gradients(bar)
        bars = [g.z0, *structure.leaves(g.theta), g.ts if wanted[-1] else None]
        return [bar for bar, want in zip(bars, wanted, strict=True) if want]

    return Tensor.from_pullback(value, [leaf for leaf, want in zip(leaves, wanted, strict=True) if want], pullback)


def _part(whole: Tensor, begin: int, value: np.ndarray) -> Tensor:
    """Make a Tensor of the part of a vector that begins at an entry; its value has the shape and dtype of the part."""

    def pullback(bar: np.ndarray) -> list[np.ndarray]:
        bars = np.zeros(whole.shape)
        bars[begin : begin + bar.size] = bar.ravel()
        return [bars]

    return Tensor.from_pullback(value, [whole], pullback)


def _mapped(make: Callable[[np.ndarray], Any], x: Any) -> Any:
    """Replace the arrays of nested lists, from first to last."""
    return [_mapped(make, each) for each in x] if isinstance(x, list) else make(x)


def _arrays(x: Any) -> list[np.ndarray]:
    """Return the arrays of nested lists, from first to last."""
    return [array for each in x for array in _arrays(each)] if isinstance(x, list) else [x]
