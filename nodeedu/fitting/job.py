"""`nodeedu fit` from a table to files: check the gradient, choose, train, compare, write."""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import plot
from . import figure, report
from .baselines import LotkaVolterra, fit_lotka_volterra, persistence
from .coordinates import choose
from .errors import Errors, errors
from .files import make_way
from .gradient_check import GradientCheck, check_gradient
from .model import Model
from .table import Table, refusal
from .training import Choice, choose_decay, fit

FEWEST_ROWS = 4  # to be fitted: three for the smaller problem that chooses the weight decay, and one to judge it by


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a fit found.

    Parameters
    ----------
    table : Table
    n_train : int
        Number of rows that were fitted.
    check : GradientCheck
    choice : Choice
        Of the weight decay.
    model : Model
        The Neural ODE.
    rival : LotkaVolterra or None
        Where the table allows one.
    errors : dict of str to Errors
        By name of the model, on the fitted rows and on the hold-out.
    """

    table: Table
    n_train: int
    check: GradientCheck
    choice: Choice
    model: Model
    rival: LotkaVolterra | None
    errors: dict[str, Errors]

    def draw(self) -> Any:
        """Draw data, fit and forecast; returns a Matplotlib figure."""
        other = None if self.rival is None else self.rival.predict
        return figure.draw(self.table, self.n_train, self.model, other)


def split(table: Table, holdout: float) -> int:
    """Return the number of rows to fit, so that about a share ``holdout`` of the rows, and at least one, is left.

    Raises
    ------
    DataError
        Fewer than `FEWEST_ROWS` would be fitted.
    """
    n = len(table.t)
    n_train = n - max(1, round(holdout * n))
    if n_train < FEWEST_ROWS:
        got = f"{n} rows, of which {max(n_train, 0)} to be fitted with a hold-out of {holdout:g}"
        raise refusal(table.file, table.lines[-1], table.time, got, f"at least {FEWEST_ROWS} to be fitted")
    return n_train


def run(table: Table, n_train: int, seed: int, steps: int) -> Outcome:
    """Fit the first rows of a table and report on stdout; what it is busy with goes to stderr.

    Parameters
    ----------
    table : Table
    n_train : int
        Rows to fit. All that is chosen or trained gets ``table.head(n_train)``; the rest is for the errors alone.
    seed, steps : int
        As in `training.fit`.

    Raises
    ------
    DataError
        The table cannot be fitted.
    """
    train = table.head(n_train)
    coordinates = choose(train)
    print(report.describe(table, n_train, coordinates, seed), end="\n\n", flush=True)
    check = check_gradient(train, coordinates, seed, busy)
    print(report.describe_check(check), end="\n\n", flush=True)
    choice = choose_decay(train, seed, steps, busy)
    print(report.describe_choice(choice, table.time), end="\n\n", flush=True)
    busy(f"training on all {n_train} rows that are fitted")
    model = dataclasses.replace(fit(train, seed, steps, choice.decay), t_last=float(table.t[-1]))
    busy("computing what it is compared with")
    rival = fit_lotka_volterra(train, coordinates)
    predictions = {report.PERSISTENCE: persistence(train, len(table.t))}
    if rival is not None:
        predictions[report.LOTKA_VOLTERRA] = rival.predict(table.t)
    predictions[report.NEURAL] = model.predict(table.t)
    compared = {name: errors(table, n_train, coordinates, y) for name, y in predictions.items()}
    print(report.describe_errors(table, compared), end="\n\n", flush=True)
    return Outcome(table, n_train, check, choice, model, rival, compared)


def write(outcome: Outcome, out: Path) -> None:
    """Write model.npz and fit.png to a folder, made if need be; files of an earlier run get a number.

    Raises
    ------
    OSError
        They cannot be written.
    """
    plot.headless()
    picture = outcome.draw()
    out.mkdir(parents=True, exist_ok=True)
    outcome.model.save(make_way(out / "model.npz"))
    print(f"wrote {out / 'model.npz'}")
    print(f"wrote {plot.save(picture, make_way(out / 'fit.png'))}")


def busy(text: str) -> None:
    """Say on stderr what is being done."""
    print(text, file=sys.stderr, flush=True)
