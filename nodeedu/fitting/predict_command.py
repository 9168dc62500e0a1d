"""`nodeedu predict`: states of a fitted model at any times."""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path

from ..errors import SolverError
from .arguments import times
from .table import DataError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb to its parser.

    Parameters
    ----------
    parser : argparse.ArgumentParser
    """
    parser.add_argument("model", metavar="MODEL", type=Path, help="a file model.npz that `nodeedu fit` wrote")
    unit = "in the unit of the data, separated by commas, such as 0,0.5,1 (--times=-1,0 if the first is negative)"
    parser.add_argument("--times", required=True, type=times, help=unit)


def run(args: argparse.Namespace) -> None:
    """Print the states as CSV.

    Parameters
    ----------
    args : argparse.Namespace
        With what `add_arguments` adds.

    Raises
    ------
    DataError
        If the input is refused; one line.
    """
    from .model import load  # heavy

    model = load(args.model)
    try:
        states = model.predict(args.times)
    except SolverError as error:
        end = model.coordinates.t0 + error.t / model.coordinates.rate
        got = f"got {max(args.times):g}, but the solver gave up at {end:g} ({error.cause})"
        raise DataError(f"times: {got}; expected times nearer to the data") from None
    if max(args.times) > model.t_last:
        print(f"note: the data end at {model.time} {model.t_last:g}; later times are forecasts", file=sys.stderr)
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow([model.time, *model.columns])
    writer.writerows([f"{t:.15g}", *(f"{y:.8g}" for y in row)] for t, row in zip(args.times, states, strict=True))
