"""A solve under way: its state in three arrays, and the one call that takes its steps, in Python or in machine code."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import types
from numba.extending import intrinsic

from nodeedu.compile.build import jit
from nodeedu.solvers.scipy_api.compiled import Compiled
from nodeedu.solvers.scipy_api.explicit import (
    COUNTS,
    NFEV,
    NUMBERS,
    Control,
    Output,
    System,
    T,
    solve,
    state_of,
)
from nodeedu.solvers.scipy_api.methods import Method

Array = np.ndarray


class Stepper:
    """What the explicit methods need to go on.

    Parameters
    ----------
    f : callable or Compiled
        A checked Python function of (t, y), or machine code.
    method : Method
    t0, t_bound : float
    y0 : array (n,)
        Real or complex.
    max_step : float
        Longest step.
    rtol, atol : float or array (n,)
    first_step : float
        Size of the first trial step; 0 lets the solver choose.

    Attributes
    ----------
    numbers, counts, block : array
        See `explicit.State`.
    clock : array (1,)
        Time of the last evaluation in machine code.
    """

    __slots__ = ("_given", "_run", "block", "clock", "counts", "direction", "method", "numbers", "t_bound")

    def __init__(
        self, f: Any, method: Method, t0: float, y0: Array, t_bound: float,
        max_step: float = math.inf, rtol: Any = 1e-3, atol: Any = 1e-6, first_step: float = 0.0,
    ) -> None:  # fmt: skip
        stages = len(method.c)
        self.method, self.t_bound, self.direction = method, t_bound, 1.0 if t_bound >= t0 else -1.0
        self.numbers, self.counts = np.zeros(len(NUMBERS) + stages), np.zeros(len(COUNTS), np.int64)
        self.block, self.clock = np.zeros((4 + stages, len(y0)), y0.dtype), np.empty(1)
        self.numbers[:2], self.block[:4] = t0, y0
        tolerances = np.empty((2, len(y0)))
        tolerances[0], tolerances[1] = rtol, atol
        control = (self.t_bound, self.direction, max_step, tolerances, first_step)
        if isinstance(f, Compiled):
            work = np.empty(f.work_size, y0.dtype)
            self._run, system = drive, (f.address, f.p, work, self.clock)
        else:
            self._run, system = run_in_python, (f,)
        self._given = (*system, method, *control, self.numbers, self.counts, self.block)

    def advance(self, output: Output, limit: int) -> int:
        """Take at most `limit` accepted steps; before the first ones, evaluate f at the start.

        With the limit `LAST` no step is taken, but what is wanted of the last one is kept.
        """
        return self._run(*self._given, *output, limit)

    @property
    def t(self) -> float:
        """Time that the solve has got to."""
        return self.numbers[T]

    @property
    def nfev(self) -> int:
        """Number of evaluations of f."""
        return int(self.counts[NFEV])

    @property
    def interpolant_shape(self) -> tuple[int, int]:
        """Shape (m, n) of the coefficients of a step's interpolant."""
        return self.method.n_coefficients, self.block.shape[1]


def run_in_python(
    function, method, t_bound, direction, max_step, tolerances, first_step, numbers, counts, block,
    ts, ys, dense, coefficients, t_eval, y_eval, limit,
):  # fmt: skip
    """Do the work of `Stepper.advance` with a Python function f."""
    system, state = System(function, None, None, None), state_of(numbers, counts, block)
    control = Control(t_bound, direction, max_step, tolerances[0], tolerances[1])
    output = Output(ts, ys, dense, coefficients, t_eval, y_eval)
    return solve(system, method, control, state, output, first_step, limit)


@intrinsic
def borrowed(typing_context, value):
    """Return an array, or a tuple with arrays, whose memory nobody counts: the caller must hold on to it.

    Otherwise each mention of an array in compiled code adds to its count of references and subtracts again, which took
    three quarters of the time of a small system.
    """

    def uncounted(context, builder, kind, given):
        array = context.make_array(kind)(context, builder, given)
        array.meminfo, array.parent = array.meminfo.type(None), array.parent.type(None)
        return array._getvalue()

    def generate(context, builder, signature, args):
        kind, given = signature.args[0], args[0]
        if isinstance(kind, types.Array):
            return uncounted(context, builder, kind, given)
        for i, member in enumerate(kind.types):
            if isinstance(member, types.Array):
                array = uncounted(context, builder, member, builder.extract_value(given, i))
                given = builder.insert_value(given, array, i)
        return given

    return value(value), generate


# Arguments come one by one: from Python, a record of arrays is slow to open.
@jit
def drive(
    address, p, work, clock, method, t_bound, direction, max_step, tolerances, first_step, numbers, counts, block,
    ts, ys, dense, coefficients, t_eval, y_eval, limit,
):  # fmt: skip
    """Do the work of `Stepper.advance` with machine code of f."""
    system, method = System(address, borrowed(p), borrowed(work), borrowed(clock)), borrowed(method)
    state, tolerances = state_of(borrowed(numbers), borrowed(counts), borrowed(block)), borrowed(tolerances)
    control = Control(t_bound, direction, max_step, tolerances[0], tolerances[1])
    output = Output(borrowed(ts), borrowed(ys), dense, borrowed(coefficients), borrowed(t_eval), borrowed(y_eval))
    return solve(system, method, control, state, output, first_step, limit)
