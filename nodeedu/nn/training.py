"""The training loop: loss and gradient, a step, and again; interrupted and resumed without losing a bit."""

from __future__ import annotations

import operator
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..autodiff.structure import as_arrays, flatten, unflatten
from .optimisers import Optimiser, clip_by_norm, matching_leaves
from .progress import Progress
from .run_record import RunRecord, load_run, save_run

LossAndGradient = Callable[[Any, int], tuple[float, Any]]
_REMEDY = "lower lr, shorten gradients with max_norm, or look for bad data"


@dataclass(frozen=True, eq=False)
class Result:
    """Where a training run is: what `train` returns.

    Parameters
    ----------
    theta : structure of arrays
        After the last step.
    losses : array (step,)
        losses[k] belongs to the parameters *before* step k; that of ``theta`` was not computed.
    state : dict
        State of the optimiser.
    step : int
        Number of steps made.
    best_theta : structure of arrays or None
        With ``keep_best``: the parameters of the lowest loss.
    best_loss : float
        That loss; inf without ``keep_best``.
    interrupted : bool
        Whether Ctrl-C ended the run.
    """

    theta: Any
    losses: NDArray[Any]
    state: dict[str, Any]
    step: int
    best_theta: Any = None
    best_loss: float = np.inf
    interrupted: bool = False


def train(
    loss_and_gradient: LossAndGradient,
    theta: Any,
    optimiser: Optimiser,
    steps: int,
    *,
    max_norm: float | None = None,
    keep_best: bool = False,
    callback: Callable[[int, Any, float], Any] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: int = 100,
    resume: bool = False,
    rng: np.random.Generator | None = None,
    progress: bool = True,
) -> Result:
    """Minimise a loss by gradient steps.

    Ctrl-C ends the run in good order: the checkpoint is written and what was reached is returned. Any other exception
    is passed on after the checkpoint is written, with the step in its notes.

    Parameters
    ----------
    loss_and_gradient : callable
        ``loss_and_gradient(theta, step) -> (loss, gradient)``, the gradient with the containers and shapes of theta.
        Randomness that depends on the step alone, ``np.random.default_rng([seed, step])``, needs no ``rng`` below.
    theta : structure of arrays
        Where to start.
    optimiser : SGD, RMSprop or Adam
    steps : int
        Number of steps of the whole run, those before a resumption included.
    max_norm : float, optional
        Longer gradients are shortened to it (`clip_by_norm`).
    keep_best : bool
        Keep the parameters of the lowest loss. With random batches that may be luck.
    callback : callable, optional
        ``callback(step, theta, loss)`` after each step: the number of steps made, the new parameters, and the loss of
        those before. The run ends when it returns something true.
    checkpoint : str or path, optional
        File to write every ``checkpoint_every`` steps and at the end.
    checkpoint_every : int
        Steps between two checkpoints.
    resume : bool
        Continue from the checkpoint if the file exists. The result has the same bits as that of a run without a pause.
    rng : numpy.random.Generator, optional
        One that ``loss_and_gradient`` draws from: its state goes into the checkpoint, and is set when resuming.
    progress : bool
        Report on stderr.

    Returns
    -------
    Result

    Raises
    ------
    FloatingPointError
        The loss or the gradient is nan or inf; the message names the step and the leaf.
    ValueError
        The gradient has other containers or shapes than theta, or the checkpoint is damaged or of another run.
    FileExistsError
        The checkpoint exists and ``resume`` is False.
    """
    steps, checkpoint_every = _count("steps", steps, 0), _count("checkpoint_every", checkpoint_every, 1)
    file = None if checkpoint is None else Path(checkpoint)
    run = _start(theta, optimiser, steps, file, resume, rng)
    first = saved = run.step
    interrupted = False
    report = Progress(steps, first, progress)
    if first:
        report.say(f"resumed from {file} at step {first} of {steps}")
    try:
        while run.step < steps:
            # One assignment a step: Ctrl-C finds a whole step or none.
            run = _advance(run, loss_and_gradient, optimiser, max_norm, keep_best, rng)
            loss = float(run.losses[run.step - 1])
            report.step(run.step, loss)
            if callback is not None:
                stop = callback(run.step, run.theta, loss)
                run = replace(run, rng_state=_state_of(rng))  # it may have drawn, too
                if stop:
                    break
            if file is not None and run.step % checkpoint_every == 0:
                save_run(file, run)
                saved = run.step
    except KeyboardInterrupt:
        interrupted = True
    except Exception as error:
        error.add_note(f"after {run.step} training steps")
        raise
    finally:
        report.close()
        if file is not None and run.step > saved:
            save_run(file, run)
    losses = run.losses[: run.step].copy()
    report.say(_summary(losses[first:], run.step, steps, interrupted, report.elapsed(), file))
    return Result(run.theta, losses, run.state, run.step, run.best_theta, run.best_loss, interrupted)


def _start(
    theta: Any, optimiser: Optimiser, steps: int, file: Path | None, resume: bool, rng: np.random.Generator | None
) -> RunRecord:
    """Prepare a new run, or read the one that is to be resumed."""
    if resume and file is None:
        raise ValueError("resume=True: expected checkpoint=PATH, the file to resume from")
    theta = as_arrays(theta)
    for path, leaf in flatten(theta):
        if not np.all(np.isfinite(leaf)):
            raise ValueError(f"{path} holds nan or inf: expected finite numbers to start from")
    new = RunRecord(theta, optimiser.init(theta), np.empty(steps), rng_state=_state_of(rng))
    if file is None or not file.exists():
        return new
    if not resume:
        raise FileExistsError(f"checkpoint: {file} exists; pass resume=True to continue that run, or remove the file")
    return load_run(file, new, rng)


def _advance(
    run: RunRecord,
    loss_and_gradient: LossAndGradient,
    optimiser: Optimiser,
    max_norm: float | None,
    keep_best: bool,
    rng: np.random.Generator | None,
) -> RunRecord:
    """Make one step."""
    returned = loss_and_gradient(run.theta, run.step)
    if not isinstance(returned, tuple) or len(returned) != 2:
        raise TypeError(f"loss_and_gradient returned {type(returned).__name__}: expected a pair (loss, gradient)")
    loss = _finite_loss(returned[0], run.step)
    gradient = _finite_gradient(run.theta, returned[1], run.step)
    if max_norm is not None:
        gradient, _ = clip_by_norm(gradient, max_norm)
    theta, state = optimiser.update(run.theta, gradient, run.state)
    best = (run.theta, loss) if keep_best and loss < run.best_loss else (run.best_theta, run.best_loss)
    run.losses[run.step] = loss
    return RunRecord(theta, state, run.losses, run.step + 1, *best, _state_of(rng))


def _finite_loss(loss: Any, step: int) -> float:
    if np.ndim(loss) != 0:
        raise ValueError(f"loss_and_gradient returned a loss of shape {np.shape(loss)}: expected one number")
    if not np.isfinite(loss):
        raise FloatingPointError(f"the loss of step {step} is {loss}: expected a finite number; {_REMEDY}")
    return float(loss)


def _finite_gradient(theta: Any, gradient: Any, step: int) -> Any:
    """Rebuild the gradient in the containers and dtypes of theta."""
    found = matching_leaves(theta, gradient)
    for (path, _), leaf in zip(flatten(theta), found, strict=True):
        finite = np.isfinite(leaf)
        if not finite.all():
            raise FloatingPointError(
                f"the gradient of {path} in step {step} is nan or inf in {np.count_nonzero(~finite)} of {leaf.size} "
                f"entries: expected finite numbers; {_REMEDY}"
            )
    return unflatten(theta, found)


def _state_of(rng: np.random.Generator | None) -> Any:
    return None if rng is None else rng.bit_generator.state


def _summary(losses: Any, step: int, steps: int, interrupted: bool, elapsed: str, file: Path | None) -> str:
    """One line for the end of a run."""
    text = f"{'interrupted after ' if interrupted else ''}{step} of {steps} steps, {elapsed}"
    if len(losses):
        text += f", loss {losses[0]:.4g} -> {losses[-1]:.4g}"
    if file is not None and step:
        text += f", saved in {file}" + ("; resume=True continues" if step < steps else "")
    return text


def _count(name: str, value: Any, least: int) -> int:
    try:
        count = operator.index(value)
    except TypeError:
        raise TypeError(f"{name}: got {value!r}, expected an integer") from None
    if count < least:
        raise ValueError(f"{name}: got {count}, expected at least {least}")
    return count
