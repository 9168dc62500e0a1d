"""`nodeedu fit`: fit a Neural ODE to a table of observations, check it, compare it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .. import data
from .arguments import count, positive, require_folder, share
from .table import read_table

SHIPPED = "lynx_hare_1900_1920"
STEPS = 1800


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb to its parser.

    Parameters
    ----------
    parser : argparse.ArgumentParser
    """
    table = "CSV file: a header, the first column time, empty cells are missing (default: the shipped lynx-hare record)"
    parser.add_argument("data", metavar="CSV", nargs="?", type=Path, help=table)
    out = "folder for model.npz and fit.png; those of an earlier run are renamed (%(default)s)"
    parser.add_argument("--out", metavar="DIR", type=Path, default=Path("nodeedu-fit"), help=out)
    parser.add_argument("--seed", type=count, default=0, help="of the random initial weights (%(default)s)")
    parser.add_argument("--steps", type=positive, default=STEPS, help="steps of the optimiser (%(default)s)")
    kept = "share of the rows, the last ones, that is kept back to judge the fit (%(default)s)"
    parser.add_argument("--holdout", metavar="SHARE", type=share, default=0.25, help=kept)


def run(args: argparse.Namespace) -> None:
    """Read the table, fit, judge, and write model and figure.

    Parameters
    ----------
    args : argparse.Namespace
        With what `add_arguments` adds.

    Raises
    ------
    DataError
        If the input is refused; one line.
    """
    if args.data is None:
        table = read_table(data.path(SHIPPED), f"the shipped {SHIPPED}.csv")
    else:
        table = read_table(args.data)
    require_folder(args.out)
    from ..compile import cache  # heavy, and so is the job: bad input is refused before

    where = cache.folder() or "nowhere: no folder can be written to"
    print(f"compiling the vector field, its derivatives and the solvers; kept in {where}", file=sys.stderr, flush=True)
    from . import job

    outcome = job.run(table, job.split(table, args.holdout), args.seed, args.steps)
    job.write(outcome, args.out)
    print(f"next: nodeedu predict {args.out / 'model.npz'} --times {outcome.model.t_last:g}")
