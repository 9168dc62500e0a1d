"""`nodeedu flow train` from points to files: train, judge on held-out points, compare, draw, write."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ... import plot
from ...fitting.files import make_way
from . import figure, report
from .baselines import compare
from .samples import Samples
from .training import Files, Recipe, Trained, fit


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a training run found.

    Parameters
    ----------
    samples : Samples
    trained : Trained
    held_out, error : float
        Mean negative log-likelihood of the held-out points, in nats, and its standard error.
    rivals : dict of str to float
        The same mean of the densities it is compared with.
    """

    samples: Samples
    trained: Trained
    held_out: float
    error: float
    rivals: dict[str, float]

    def draw(self) -> Any:
        """Draw data, samples, density and losses; returns a Matplotlib figure."""
        return figure.draw(self.samples, self.trained, self.held_out)


def run(samples: Samples, recipe: Recipe, out: Path, resume: bool = False) -> Outcome:
    """Train a flow and report on stdout; what it is busy with goes to stderr.

    Until it is done, the folder holds what an interrupted run is resumed from.

    Raises
    ------
    KeyboardInterrupt
        Ctrl-C was pressed; the run is kept.
    DataError
        A run cannot be resumed.
    SolverError
        The flow became too steep to be solved.
    """
    print(report.describe(samples, recipe), end="\n\n", flush=True)
    files = Files(out)
    if not resume:
        for path in (files.run, files.looks):
            make_way(path)
    try:
        trained = fit(samples, recipe, files, resume)
    except KeyboardInterrupt:
        if files.run.exists():
            print(f"\nkept in {files.run}; --resume goes on from there", file=sys.stderr)
        raise
    outcome = judge(samples, trained)
    print(report.describe_result(samples, trained, outcome.held_out, outcome.error, outcome.rivals), flush=True)
    return outcome


def judge(samples: Samples, trained: Trained) -> Outcome:
    """Measure the likelihood of the held-out points, by the flow and by what it is compared with."""
    log_p = trained.model.log_prob(samples.noisy(samples.held_out, 2))
    rivals = {} if samples.generated else compare(samples)
    return Outcome(samples, trained, -float(np.mean(log_p)), float(np.std(log_p) / np.sqrt(len(log_p))), rivals)


def write(outcome: Outcome, out: Path) -> Path:
    """Write model.npz and flow.png to a folder, made if need be; files of an earlier run get a number.

    Returns
    -------
    Path
        Of the model.

    Raises
    ------
    OSError
        They cannot be written.
    """
    plot.headless()
    picture = outcome.draw()
    out.mkdir(parents=True, exist_ok=True)
    model = make_way(out / "model.npz")
    outcome.trained.model.save(model)
    print(f"wrote {model}")
    print(f"wrote {plot.save(picture, make_way(out / 'flow.png'))}")
    for path in (Files(out).run, Files(out).looks):  # the run is finished
        path.unlink(missing_ok=True)
    return model
