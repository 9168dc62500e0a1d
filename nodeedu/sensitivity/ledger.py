"""A forward solve that remembers when it made its steps, and nothing of the states.

The driver records whole steps, as for `discrete`, but into room for a few of each sample. When it is full, the times
are copied and the room is used again.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from nodeedu.solvers.arguments import Inputs, Options
from nodeedu.solvers.integrate import integrate
from nodeedu.solvers.lanes import STEP
from nodeedu.solvers.norms import OwnNorm
from nodeedu.solvers.runge_kutta import as_method
from nodeedu.solvers.solution import Solution
from nodeedu.solvers.solve import Job, lanes_at_once, make_control, make_outputs, no_adjoint, solve, solve_chunk
from nodeedu.solvers.systems import FIELD, Problem
from nodeedu.solvers.threads import in_chunks

Array = np.ndarray


class Ledger(NamedTuple):
    """Times and sizes of the accepted steps of all samples, those of one sample one after the other."""

    row: Array  # (B + 1,) of each sample's first step
    steps: Array  # (4, R): t, h, first, last as in STEP of lanes.py


def make_ledger(steps: Array, samples: int) -> Ledger:
    """Sort steps (R,) of STEP by sample."""
    order = np.argsort(steps["sample"], kind="stable")
    row = np.append(0, np.cumsum(np.bincount(steps["sample"], minlength=samples)))
    return Ledger(row.astype(np.int64), np.array([steps[name][order] for name in ("t", "h", "first", "last")]))


def with_ledger(solution: Solution | None, inputs: Inputs, options: Options) -> Solution:
    """Return a solve whose ``_records`` are a ledger; one that has kept its steps need not be solved again."""
    if solution is not None and solution._records is not None:
        records = solution._records
        return replace(solution, _records=make_ledger(records.steps[: records.count[0]], len(inputs.z0)))
    field, z0 = inputs.field, inputs.z0
    kernel, method = field.kernel("f", z0.dtype), as_method(options.tableau, z0.dtype, not options.fixed)
    problem = Problem(FIELD, kernel.callee, inputs.p, np.empty((0, 0), z0.dtype), np.empty(kernel.work_size, z0.dtype))
    (outputs, samples), pages = make_outputs(inputs), [np.empty(0, STEP)]
    if len(outputs) > 1:
        norm = options.norm.bind() if isinstance(options.norm, OwnNorm) else None
        chosen = options if norm is None else replace(options, norm=norm.kernel("f", z0.dtype))
        job = Job(
            problem, method, chosen, make_control(chosen, False), inputs.ts, outputs[:, None], samples,
            options.first_step, True, no_adjoint(z0.dtype, type(kernel.callee)),
        )  # fmt: skip
        with nullcontext() if norm is None else norm.guard():
            in_chunks(
                partial(solve_chunk, job, partial(_drive, pages)), len(samples),
                lanes_at_once(len(method.b), z0[None]), parallel=norm is None,
            )  # fmt: skip
    return Solution(
        outputs.reshape(len(outputs), *inputs.state_shape), inputs.times, inputs, options, samples, method,
        make_ledger(np.concatenate(pages), len(z0)), lambda: solve(inputs, options)._make_interpolant(),
    )  # fmt: skip


def _drive(pages: list[Array], *arguments: Any) -> int:
    """Call the driver, and empty the records: the last argument but one."""
    running = integrate(*arguments)
    records = arguments[-2]
    pages.append(np.array(records.steps[: records.count[0]]))
    records.count[0] = 0
    return running
