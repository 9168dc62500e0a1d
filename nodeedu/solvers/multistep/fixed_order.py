r"""Adams methods of fixed order k = 1 ... 5: `adams_bashforth1` ... `adams_bashforth5`, `adams_moulton1` ... `5`.

Adams-Bashforth integrates the polynomial through the last k slopes f_n, ..., f_{n-k+1} over the next step:

    z_{n+1} = z_n + h sum_{j<k} beta_j f_{n-j},        sigma_j = (t_{n-j} - t_n) / h,
    beta_j = int_0^1 prod_{i != j} (s - sigma_i) / (sigma_j - sigma_i) ds.

Adams-Moulton is used as a predictor-corrector pair (PECE) of one order: Adams-Bashforth predicts z*, f* = f(t_{n+1},
z*) is evaluated, the polynomial through f* and the last k - 1 slopes is integrated instead (sigma = 1, 0, ...), and
f_{n+1} is the slope of its result.

One correction, rather than an equation that is solved: each step costs two evaluations, and the predictor, of the same
order, leaves the corrector's own error as the leading one. `adams_moulton1` is so implicit Euler corrected once from an
explicit Euler step, and `adams_moulton2` the trapezoidal rule corrected once. `adams_bashforth` and `adams_moulton`
without a number are those of order 4, for which one most often sees them, and by which they compare with `rk4`.

The weights come from the times themselves, so that intervals of ts with steps of different sizes need no restart. The
first k - 1 steps are Runge-Kutta steps of order k; so are those after a step so much longer than the last ones that the
weights would magnify round-off (`LARGEST` in fixed_order_step.py). Inside a step, sol(t) is the integral of the
polynomial through the slopes around it, those ahead too, with a cubic that makes it end where the step ended.

Hairer, Norsett & Wanner, Solving Ordinary Differential Equations I (1993), III.1 and, for variable steps, III.5.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from nodeedu import tableaus
from nodeedu.solvers.arguments import Inputs, Options
from nodeedu.solvers.core import with_attributes
from nodeedu.solvers.multistep.fixed_order_output import interpolate
from nodeedu.solvers.multistep.fixed_order_step import MAX_ORDER, STAGES, STATE, Formula, Trail, Walk, Z, march
from nodeedu.solvers.solution import Solution
from nodeedu.solvers.solve import lanes_at_once, make_outputs, solve_again
from nodeedu.solvers.status import RUNNING
from nodeedu.solvers.step_control import fixed_step_count

Array = np.ndarray
ORDER = 4  # of the names without a number
STARTERS = ("euler", "heun", "kutta3", "rk4", "dopri5")  # of order 1 to 5


class Group(NamedTuple):
    """Samples that go through the same times, and their recorded steps."""

    members: slice
    ts: Array  # (T,)
    trail: Trail


class Records(NamedTuple):
    """All groups."""

    groups: tuple[Group, ...]

    @property
    def stored_states(self) -> int:
        """How many states and slopes of D numbers are kept."""
        return sum(math.prod(group.trail.rows.shape[:3]) for group in self.groups)


@lru_cache
def formula_of(method: str, dtype: Any) -> Formula:
    """Return the formula of a method's name, with the coefficients of its start in the dtype of the state."""
    order = int(method[-1]) if method[-1].isdigit() else ORDER
    starter = tableaus.get(STARTERS[order - 1])
    s = starter.stages - starter.fsal  # the last stage of an FSAL method has no weight
    A, b = (np.array(each, dtype) for each in (starter.A[:s, :s], starter.b[:s]))
    return Formula(order, method.startswith("adams_moulton"), A, b, np.array(starter.c[:s]))


def solve(inputs: Inputs, options: Options, record: bool = False) -> Solution:
    """Make fixed steps; see `nodeedu.solvers.solve.solve`."""
    z0, ts, field = inputs.z0, inputs.ts, inputs.field
    kernel, formula = field.kernel("f", z0.dtype), formula_of(options.method, z0.dtype)
    outputs, samples = make_outputs(inputs)
    room, groups = np.empty(kernel.work_size, z0.dtype), []
    with getattr(field, "guard", nullcontext)():  # plain callables raise exceptions, and want them back
        for members, times in _groups(inputs, len(formula.b)) if ts.shape[1] > 1 else ():
            walk = _make_walk(z0[members], times[0], len(formula.b))
            steps = min(_count(times, options.step_size), options.max_steps) if record else 0
            trail = _make_trail(int(steps), walk)
            out = np.ascontiguousarray(outputs[:, members])
            while march(kernel.callee, inputs.p, room, formula, options.step_size, options.max_steps, times, walk,
                        samples[members], out, trail):  # fmt: skip
                pass
            outputs[:, members] = out
            groups.append(Group(members, times, trail))
    kept = Records(tuple(groups)) if record else None
    zs = outputs.reshape(len(outputs), *inputs.state_shape)
    return Solution(
        zs, inputs.times, inputs, options, samples, None, kept,
        lambda: _interpolant(inputs, options, outputs[-1], kept, samples),
    )  # fmt: skip


def _groups(inputs: Inputs, stages: int) -> Iterator[tuple[slice, Array]]:
    """Yield samples that share their times, as many as a core's cache holds."""
    count, ts = len(inputs.z0), inputs.ts
    chunk = 1 if inputs.own_times else lanes_at_once(int(STAGES) + stages, inputs.z0[None])
    for first in range(0, count, chunk):
        yield slice(first, min(first + chunk, count)), ts[first if inputs.own_times else 0]


def _count(ts: Array, step_size: float) -> float:
    count = getattr(fixed_step_count, "py_func", fixed_step_count)
    return sum(count(a, b, step_size) for a, b in pairwise(ts))


def _make_walk(z0: Array, start: float, stages: int) -> Walk:
    state, n = np.zeros(1, STATE), len(z0)
    state["t"], state["output"], state["alive"] = start, 1, n
    x = np.zeros((STAGES + stages, *z0.shape), z0.dtype)
    x[Z] = z0
    return Walk(
        with_attributes(state), np.full(n, RUNNING), x, np.empty(n), np.zeros(MAX_ORDER),
        np.zeros(MAX_ORDER), np.zeros(MAX_ORDER + 1), np.zeros((2, MAX_ORDER)),
    )  # fmt: skip


def _make_trail(steps: int, walk: Walk) -> Trail:
    z = walk.x[Z]
    return Trail(*np.zeros((2, steps)), np.zeros((steps, 2, MAX_ORDER)), np.zeros((steps, 2, *z.shape), z.dtype))


def _interpolant(
    inputs: Inputs, options: Options, ends: Array, kept: Records | None, samples: Array
) -> Callable[[Array], Array]:
    """Return the dense output (n,) -> (n, B, D)."""
    records = kept or solve_again(inputs, options, samples)._records
    return interpolate(inputs, records.groups, ends, formula_of(options.method, ends.dtype).order, samples)


def backward(solution: Solution, zs_bar: Array) -> tuple[Array, Array, Array]:
    """Backpropagation through the steps; see fixed_order_adjoint.py."""
    from nodeedu.solvers.multistep.fixed_order_adjoint import undo

    inputs, options = solution._inputs, solution._options
    kernels = inputs.field.kernel("f", zs_bar.dtype), inputs.field.kernel("vjp", zs_bar.dtype)
    p_bar, a = np.zeros(inputs.field.n_params, zs_bar.dtype), np.zeros_like(inputs.z0)
    nfev = np.zeros(len(a), np.int64)
    formula = formula_of(options.method, zs_bar.dtype)
    for members, ts, trail in solution._records.groups:
        a[members], nfev[members] = undo(kernels, inputs.p, p_bar, formula, ts, trail, zs_bar[:, members])
    return a, p_bar, nfev
