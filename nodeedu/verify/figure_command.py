"""`nodeedu figure`: measure and draw a figure, and judge its claims."""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path

from ..fitting.arguments import require_folder

# Modules with ``run(folder) -> exit code`` that measure, draw and judge their own claims.
FIGURES = {
    "figure4": "nodeedu.models.paper.figure4",
    "figure5": "nodeedu.models.paper.figure5",
    "stability": "nodeedu.verify.stability_figure",
    "work-precision": "nodeedu.verify.work_precision",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb to its parser.

    Parameters
    ----------
    parser : argparse.ArgumentParser
    """
    parser.add_argument("name", metavar="NAME", choices=sorted(FIGURES), help=f"one of {', '.join(sorted(FIGURES))}")
    parser.add_argument("--out", metavar="DIR", type=Path, default=Path("."), help="folder to draw into (%(default)s)")


def run(args: argparse.Namespace) -> int:
    """Draw the figure.

    Parameters
    ----------
    args : argparse.Namespace
        With what `add_arguments` adds.

    Returns
    -------
    int
        Exit code: 0 if all claims hold.

    Raises
    ------
    DataError
        If the folder cannot be made or written to; one line.
    """
    require_folder(args.out)
    return int(import_module(FIGURES[args.name]).run(args.out))
