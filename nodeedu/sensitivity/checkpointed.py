"""Backpropagation through the accepted steps, of which few states are stored: the others are computed again.

What `discrete` reads from a record of every step, this computes anew from the last state that it stored, by the
schedule of schedule.py. A step is repeated with the times and the size that it had, so that it gives the same bits, and
so does the gradient. What is kept of every step are four numbers, its times and its size, whatever D is.

The samples of a chunk share one schedule, that of the sample with the most steps. They end together, and those with
fewer steps join later.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from nodeedu.compile.kernels import DONE
from nodeedu.sensitivity.checkpoint_sweep import Replay, follow
from nodeedu.sensitivity.ledger import Ledger
from nodeedu.sensitivity.results import Kept, keep
from nodeedu.sensitivity.reverse_sweep import LANE, OTHERS
from nodeedu.sensitivity.schedule import (
    ADVANCE,
    BACK,
    RESTORE,
    STORE,
    automatic_slots,
    binomial_schedule,
    recursive_schedule,
)
from nodeedu.solvers.core import with_attributes
from nodeedu.solvers.integrate import ROUNDS
from nodeedu.solvers.runge_kutta import K, Y
from nodeedu.solvers.solution import Solution
from nodeedu.solvers.solve import lanes_at_once
from nodeedu.solvers.status import kernel_failure
from nodeedu.solvers.threads import in_chunks

Array = np.ndarray


def checkpointed(solution: Solution, zs_bar: Array, slots: int | str | None) -> tuple[Array, Array, Array, Kept]:
    """Backpropagate through a solve whose steps are known by their times.

    Parameters
    ----------
    solution : Solution
        Forward solve, with a ledger of its steps as records.
    zs_bar : array (T, B, D)
        dL/dz(t_i).
    slots : int, "recursive" or None
        How many states to store of every sample, the initial one included; None lets no step be repeated more than
        twice, in about ``sqrt(2 steps)`` slots.

    Returns
    -------
    a : array (B, D)
        a(t0+), which leaves out the observation at t0.
    p_bar : array (P,)
        dL/dtheta, summed over samples.
    nfev : array (B,)
        Evaluations of f, with its derivatives or without.
    kept : Kept
        The most states of D numbers that were stored at a time; its bytes count the times of all steps, too.

    Raises
    ------
    SolverError
        If a compiled kernel raises an exception.
    """
    inputs, method, ledger = solution._inputs, solution._method, solution._records
    steps = np.diff(ledger.row)
    a, nfev = np.zeros(inputs.z0.shape, inputs.z0.dtype), np.zeros(len(steps), np.int64)
    work = partial(_sweep, solution, zs_bar, slots, (-steps).argsort(kind="stable"), a, nfev)
    parts = in_chunks(work, len(steps), lanes_at_once(2 * len(method.b), inputs.z0[None]))  # as those of `discrete`
    p_bar = parts[0][0]
    for other, _ in parts[1:]:  # in the order of the chunks
        p_bar += other
    stored = sum(states for _, states in parts)
    return a, p_bar, nfev, Kept(stored, stored * a[0].nbytes + keep(0, ledger).bytes)


def check_slots(slots: object, method: str) -> None:
    """Raise ValueError unless slots are what `checkpointed` takes, or none are given to other methods."""
    if slots is None or (slots == "recursive" and method == "checkpointed"):
        return
    if method != "checkpointed":
        raise ValueError(f"slots: {method!r} has none; they are those of method='checkpointed'")
    if isinstance(slots, bool) or not isinstance(slots, (int, np.integer)) or slots < 1:
        raise ValueError(f"slots: got {slots!r}, expected an integer >= 1, 'recursive' or None")


def _sweep(
    solution: Solution, zs_bar: Array, slots: int | str | None, by_steps: Array, a: Array, nfev: Array, chosen: slice,
    interrupted: Callable[[], bool],
) -> tuple[Array, int]:  # fmt: skip
    """Go back over the steps of the chosen samples: fill their rows of a and nfev; return p_bar and states stored."""
    inputs, method, members, dtype = solution._inputs, solution._method, by_steps[chosen], a.dtype
    kernels = [inputs.field.kernel(kind, dtype) for kind in ("f", "vjp")]
    p_bar, work = np.zeros(inputs.field.n_params, dtype), np.empty(max(k.work_size for k in kernels), dtype)
    n, elements, used = len(members), len(members) * a.shape[1], 0
    replay = _replay(solution._records, members, inputs.z0)
    actions = _actions(int(replay.steps[0]), slots)
    if len(actions):
        used = 1 + int(actions[actions[:, 0] == STORE, 1].max(initial=0))
        replay = replay._replace(shelves=np.empty((used, elements), dtype), places=np.zeros(used, np.int64))
        replay.shelves[0] = replay.z0
    lanes = with_attributes(np.zeros(n, LANE))
    lanes["sample"], lanes["output"] = members, len(zs_bar) - 1
    rows = np.zeros((K + 2 * len(method.b) + method.interpolant.shape[1] + len(OTHERS), elements), dtype)
    rows[Y], t, done = replay.z0, np.empty(n), DONE
    for part in _pieces(actions):
        if done != DONE or interrupted():
            break
        done = follow(
            part, kernels[0].callee, kernels[1].callee, inputs.p, p_bar, work, method, solution._options.fixed,
            inputs.ts, zs_bar, replay, lanes, t, rows, a,
        )  # fmt: skip
    if done != DONE:
        raise kernel_failure("checkpointed", solution._options.method, float(lanes["t"][0]))
    nfev[members] = replay.nfev
    return p_bar, used * n


def _replay(ledger: Ledger, members: Array, z0: Array) -> Replay:
    """Return what is known of the steps of some samples, with no room for states yet."""
    steps, n = np.diff(ledger.row)[members], len(members)
    own = np.ascontiguousarray(z0[members]).reshape(-1)
    return Replay(
        ledger.steps, ledger.row[members + 1], steps, own, np.empty((0, own.size), z0.dtype), np.zeros(0, np.int64),
        np.zeros(2, np.int64), np.zeros(n, np.int64),
    )  # fmt: skip


def _actions(steps: int, slots: int | str | None) -> Array:
    """Return the schedule for a number of steps."""
    if slots == "recursive":
        return recursive_schedule(steps)
    return binomial_schedule(steps, automatic_slots(steps) if slots is None else int(slots))


def _pieces(actions: Array) -> list[Array]:
    """Cut actions where they have made about `ROUNDS` steps: between pieces, control returns to Python."""
    at, made, first, places, pieces = 0, 0, 0, {0: 0}, []
    for i, (kind, argument) in enumerate(actions.tolist()):
        if kind == STORE:
            places[argument] = at
        elif kind == RESTORE:
            at = places[argument]
        elif kind == ADVANCE:
            made, at = made + argument - at, argument
        elif kind == BACK:
            made += 1
        if made >= ROUNDS:
            pieces.append(actions[first : i + 1])
            first, made = i + 1, 0
    return [*pieces, actions[first:]]
