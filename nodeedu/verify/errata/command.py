"""`nodeedu errata`: formulas that were published wrong, tried again."""

from __future__ import annotations

import argparse
import difflib
import json

from ...fitting import DataError
from . import report
from .gallery import check, errata, select


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb to its parser.

    Parameters
    ----------
    parser : argparse.ArgumentParser
    """
    what = "of an erratum, such as mogren-adjoint-sign: its whole label (default: a line for each)"
    parser.add_argument("id", metavar="ID", nargs="?", help=what)
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Run the tests of one erratum, or of all, and print what they came to.

    Parameters
    ----------
    args : argparse.Namespace
        With what `add_arguments` adds.

    Returns
    -------
    int
        Exit code: 0 if each printed form misses and each right one holds, else 1.

    Raises
    ------
    DataError
        If there is no such erratum; one line.
    """
    if args.id is not None and args.id not in errata():
        close = difflib.get_close_matches(args.id, errata(), n=1, cutoff=0.4)
        hint = f"did you mean {close[0]!r}?" if close else "`nodeedu errata` lists them"
        raise DataError(f"errata: got {args.id!r}, expected the id of an erratum: {hint}")
    chosen = select(args.id)
    if args.json:
        found = [report.as_dict(*pair) for pair in check(chosen)]
        print(json.dumps(found, indent=2, allow_nan=False, ensure_ascii=False))
        return 0 if all(entry["passed"] for entry in found) else 1
    if args.id is not None:
        ((erratum, trials),) = check(chosen)
        print(report.label(erratum, trials))
        return 0 if report.passed(trials) else 1
    return _table()


def _table() -> int:
    print(report.HEAD)
    failed = 0
    for erratum, trials in check(select()):
        print(report.line(erratum, trials), flush=True)
        failed += not report.passed(trials)
    print(f"\n{len(errata())} errata, {failed} not shown. `nodeedu errata ID` shows the label of one.")
    return 1 if failed else 0
