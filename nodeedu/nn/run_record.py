"""All that the next training step depends on, in one record: made, written to a file, and read back."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..autodiff.structure import flatten, leaves, unflatten
from .checkpoints import load_checkpoint, save_checkpoint


@dataclass(frozen=True, eq=False)
class RunRecord:
    """A training run between two steps.

    Parameters
    ----------
    theta : structure of arrays
    state : dict
        State of the optimiser.
    losses : array, at least (step,)
        Filled up to ``step``; all records of a run share it.
    step : int
        Number of steps made.
    best_theta : structure of arrays or None
        Parameters of the lowest loss.
    best_loss : float
    rng_state : dict or None
        Where the random generator stood between the two steps.
    """

    theta: Any
    state: dict[str, Any]
    losses: NDArray[Any]
    step: int = 0
    best_theta: Any = None
    best_loss: float = np.inf
    rng_state: Any = None


def save_run(file: Path, run: RunRecord) -> None:
    """Write a run to a file, losses of the steps made only."""
    content = {f.name: getattr(run, f.name) for f in fields(run)}
    save_checkpoint(file, content | {"losses": run.losses[: run.step]})


def load_run(file: Path, new: RunRecord, rng: np.random.Generator | None) -> RunRecord:
    """Read a run in place of a new one, and set the random generator.

    Raises
    ------
    ValueError
        The file is damaged, its leaves are not those of the new run, or one has a random generator and one has none.
    """
    saved = load_checkpoint(file)
    missing = [f.name for f in fields(RunRecord) if f.name not in saved]
    if missing:
        raise ValueError(f"checkpoint: {file} has no {missing[0]}; expected one that nodeedu.nn.train wrote")
    for name, ours in (("theta", new.theta), ("state", new.state)):
        got, expected = _signature(saved[name], name), _signature(ours, name)
        if got != expected:
            raise ValueError(
                f"checkpoint: {file} is of another run, it has {got}: expected {expected}; remove it or rename it"
            )
    if (saved["rng_state"] is None) != (rng is None):
        given = "without" if saved["rng_state"] is None else "with"
        raise ValueError(f"rng: {file} was written by a run {given} one; expected the same when it is resumed")
    if rng is not None:
        rng.bit_generator.state = saved["rng_state"]  # ValueError for another kind of generator
    losses = np.empty(max(len(new.losses), saved["step"]))
    losses[: saved["step"]] = saved["losses"]
    # Into the containers of the theta given: a named tuple was saved as a tuple.
    return RunRecord(
        unflatten(new.theta, leaves(saved["theta"])),
        unflatten(new.state, leaves(saved["state"])),
        losses,
        saved["step"],
        None if saved["best_theta"] is None else unflatten(new.theta, leaves(saved["best_theta"])),
        saved["best_loss"],
        saved["rng_state"],
    )


def _signature(structure: Any, name: str) -> str:
    """Describe the leaves of a structure, to compare and to show."""
    pairs = flatten(structure, name)
    return ", ".join(f"{path} {x.dtype}{x.shape}" if isinstance(x, np.ndarray) else path for path, x in pairs)
