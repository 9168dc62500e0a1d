"""`nodeedu cuda selfcheck`: whether the kernels work here, and a report to paste into a bug report."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb to its parser.

    Parameters
    ----------
    parser : argparse.ArgumentParser
    """
    parser.add_argument("action", choices=["selfcheck"], help="check every kernel, with or without a GPU")
    only = "only this one; may be given again"
    parser.add_argument("--kernel", action="append", default=[], metavar="NAME", help=only)
    parser.add_argument("--json", nargs="?", const="-", metavar="FILE", help="print the report as JSON, or write it")


def run(args: argparse.Namespace) -> int:
    """Check, and print or write the report.

    Parameters
    ----------
    args : argparse.Namespace
        With what `add_arguments` adds.

    Returns
    -------
    int
        Exit code: 0 if nothing failed, 1 if a check did, 2 if a name is unknown or a package is missing.
    """
    if args.json not in (None, "-") and not Path(args.json).parent.is_dir():
        print(f"--json: got {args.json}, expected a file in a folder that exists", file=sys.stderr)
        return 2
    try:
        from nodeedu.cuda.selfcheck import selfcheck
    except ImportError as error:
        print(f"numba-cuda is needed and cannot be imported ({error}): pip install 'nodeedu[cuda]'", file=sys.stderr)
        return 2
    lines = sys.stderr if args.json == "-" else sys.stdout
    try:
        report = selfcheck(args.kernel, lambda line: print(line, file=lines, flush=True))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    text = json.dumps(report, indent=2, allow_nan=True)
    if args.json == "-":
        print(text)
    elif args.json:
        Path(args.json).write_text(text + "\n", encoding="utf-8")
    if args.json != "-":
        print("passed" if report["passed"] else "failed; --json gives the report for a bug report")
    return 0 if report["passed"] else 1
