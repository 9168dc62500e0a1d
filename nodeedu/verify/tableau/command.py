"""`nodeedu tableau`: audit a Butcher tableau, one of the package's or one from a file."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from . import report
from .audit import audit
from .file import find


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb to its parser.

    Parameters
    ----------
    parser : argparse.ArgumentParser
    """
    what = "a tableau of the package, such as dopri5, or a JSON file with the keys A, b, c and what is claimed of them"
    parser.add_argument("tableau", metavar="NAME|FILE.json", help=what)
    parser.add_argument("--json", action="store_true", help="print JSON")
    drawn = "draw the stability region and the measured errors; the ending chooses the format"
    parser.add_argument("--figure", metavar="FILE", type=Path, help=drawn)


def run(args: argparse.Namespace) -> int:
    """Audit a tableau, print the report, and draw it if asked to.

    Parameters
    ----------
    args : argparse.Namespace
        With what `add_arguments` adds.

    Returns
    -------
    int
        Exit code: 0 if every claim holds, else 1.

    Raises
    ------
    DataError
        If the tableau cannot be used; one line.
    """
    found = audit(find(args.tableau))
    if args.json:
        print(json.dumps(report.as_dict(found), indent=2, allow_nan=False))
    else:
        print(report.text(found))
    if args.figure is not None:
        from ... import plot
        from .figure import draw

        plot.headless()
        plot.save(draw(found), args.figure)
    return 0 if found.passed else 1
