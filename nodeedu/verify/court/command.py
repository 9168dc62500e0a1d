"""`nodeedu check-gradient`, or `nodeedu court`: the gradient court from the command line."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import traceback
from pathlib import Path
from typing import Any

from ...autodiff import TraceError
from ...fitting import DataError
from .verdict import KINDS, court, kind_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb to its parser.

    Parameters
    ----------
    parser : argparse.ArgumentParser
    """
    what = (
        "a function f(t, z, theta) or a vector field, in a module that can be imported from here; it carries z0 as an "
        "attribute, and may carry theta, ts, loss and claims, a dict (default: the built-in field)"
    )
    parser.add_argument("field", metavar="MODULE:FUNCTION", nargs="?", help=what)
    claim = f"a function of yours to judge, such as gradient=mine:backward; kinds are {', '.join(KINDS)}"
    parser.add_argument("--claim", metavar="KIND=MODULE:FUNCTION", action="append", default=[], help=claim)
    only = "judge the claims alone, without the trial of the package's own methods"
    parser.add_argument("--claims-only", action="store_true", help=only)
    drawn = "draw the pairwise errors of all methods; the ending chooses the format"
    parser.add_argument("--figure", metavar="FILE", type=Path, help=drawn)


def run(args: argparse.Namespace) -> int:
    """Hold court and print the verdict.

    Parameters
    ----------
    args : argparse.Namespace
        With what `add_arguments` adds.

    Returns
    -------
    int
        Exit code: 0 if all methods agree and all claims are right, else 1.

    Raises
    ------
    DataError
        If something cannot be found or used; one line.
    """
    if args.figure is not None and args.claims_only:
        raise DataError("--figure: got it with --claims-only, but it draws the trial; expected one of the two")
    field = None if args.field is None else load(args.field, "MODULE:FUNCTION")
    claims = dict(getattr(field, "claims", None) or {})
    for text in args.claim:
        kind, _, place = text.partition("=")
        if not place:
            raise DataError(f"--claim: got {text!r}, expected KIND=MODULE:FUNCTION, such as jump=mine:jump")
        claims[kind if kind not in claims else f"{kind} {len(claims) + 1}"] = load(place, "--claim")
    if args.claims_only and not claims:
        raise DataError("--claims-only: got no claims, expected at least one --claim, or the attribute claims")
    arguments: dict[str, Any] = {name: getattr(field, name, None) for name in ("z0", "ts", "theta", "loss")}
    if field is not None and arguments["z0"] is None:
        raise DataError(f"{args.field}: got a function without the attribute z0, expected one initial state there")
    try:
        for name in claims:
            kind_of(name)
        verdict = court(field, claims=claims, trial=not args.claims_only, **arguments)
    except (TraceError, TypeError, ValueError) as error:
        raise DataError(f"{args.field or 'court'}: {error}") from error
    print(verdict)
    if args.figure is not None:
        from ... import plot

        plot.headless()
        plot.save(verdict.figure(), args.figure)
    return 0 if verdict.ok else 1


def load(place: str, argument: str) -> Any:
    """Return what a text MODULE:FUNCTION names; modules of the working folder are found, too.

    Raises
    ------
    DataError
        If there is no such module or function, or the module does not run; the message says which, and where.
    """
    module_name, _, name = place.partition(":")
    if not module_name or not name:
        raise DataError(f"{argument}: got {place!r}, expected MODULE:FUNCTION, such as mine:field")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found: Any = importlib.import_module(module_name.removesuffix(".py").replace(os.sep, "."))
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = "" if isinstance(error, ModuleNotFoundError) else f", at {last.filename}:{last.lineno}"
        raise DataError(f"{argument}: got {place!r}, but importing {module_name} failed: {error}{where}") from error
    for part in name.split("."):
        if not hasattr(found, part):
            raise DataError(f"{argument}: got {place!r}, but {module_name} has no {name!r}; expected a function in it")
        found = getattr(found, part)
    if not callable(found):
        raise DataError(f"{argument}: got {place!r}, which is no function; expected f(t, z, theta)")
    return found
