"""The command line: a table of verbs. Nothing heavy is imported before a verb runs.

A verb is one row of `VERBS`: its name, its group, a line of help, and the module that has ``add_arguments(parser)`` and
``run(args)``, which returns the exit code. Exit codes: 0 done, 1 failed, 2 the input was refused, 130 interrupted.
"""

from __future__ import annotations

import argparse
import difflib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from . import __version__


@dataclass(frozen=True)
class Verb:
    """A verb of the command line.

    Parameters
    ----------
    name : str
    group : str
        "learn", "check" or "run".
    help : str
        One line.
    module : str
        With ``add_arguments(parser)`` and ``run(args) -> exit code``, relative to the package.
    """

    name: str
    group: str
    help: str
    module: str

    def load(self) -> Any:
        """Import the module."""
        return import_module(self.module, __package__)


# What a group holds beside verbs.
GROUPS = {
    "learn": "python tutorials/00_lynx_hare.py   the first of the chapters, scripts that derive, compute and draw",
    "check": "pytest                             the tests: every claim of the package",
    "run": "",
}
VERBS = (
    Verb("figure", "learn", "measure and draw a figure, and judge its claims", ".verify.figure_command"),
    Verb("equations", "learn", "every step of the derivations, on any field", ".verify.equations.command"),
    Verb("errata", "learn", "what was published wrong, tried again beside what is right", ".verify.errata.command"),
    Verb("check-gradient", "check", "try gradients on a field of yours; name the mistake", ".verify.court.command"),
    Verb("court", "check", "the same, by a shorter name", ".verify.court.command"),
    Verb("tableau", "check", "audit a Butcher tableau: order, stability, every claim", ".verify.tableau.command"),
    Verb("cuda", "check", "selfcheck: every GPU kernel against the CPU, on a GPU or without", ".cuda.command"),
    Verb("fit", "run", "fit a Neural ODE to a table of observations, check it, compare it", ".fitting.fit_command"),
    Verb("flow", "run", "train a normalising flow, draw from it, ask it for densities", ".models.flow.command"),
    Verb("predict", "run", "states of a fitted model at any times, as CSV", ".fitting.predict_command"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; those of the process by default.

    Returns
    -------
    int
        Exit code.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    try:
        return _run(argv)
    except KeyboardInterrupt:
        print("\nnodeedu: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output, such as `head`, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _run(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help"):
        print(overview())
        return 0
    if argv[0] == "--version":
        print(f"nodeedu {__version__}")
        return 0
    verb = next((verb for verb in VERBS if verb.name == argv[0]), None)
    if verb is None:
        close = difflib.get_close_matches(argv[0], [verb.name for verb in VERBS], n=1)
        hint = f"did you mean {close[0]!r}?" if close else "`nodeedu` alone lists the verbs"
        print(f"nodeedu: got {argv[0]!r}, expected a verb: {hint}", file=sys.stderr)
        return 2
    module = verb.load()
    parser = argparse.ArgumentParser(f"nodeedu {verb.name}", description=verb.help, allow_abbrev=False)
    module.add_arguments(parser)
    try:
        args = parser.parse_args(argv[1:])
    except SystemExit as stop:  # argparse has said why
        return int(stop.code or 0)
    return _guarded(verb, module, args)


def _guarded(verb: Verb, module: Any, args: argparse.Namespace) -> int:
    """Run a verb; what it refuses or cannot do is one line on stderr."""
    from .errors import SolverError
    from .fitting import DataError

    try:
        return int(module.run(args) or 0)  # a check that fails returns 1
    except DataError as error:
        print(error, file=sys.stderr)
        return 2
    except (SolverError, OSError, FloatingPointError) as error:  # the last: a loss that is not finite
        if isinstance(error, BrokenPipeError):
            raise
        print(f"nodeedu {verb.name}: {error}", file=sys.stderr)
        return 1


def overview() -> str:
    """Text that `nodeedu` alone prints: the verbs in their groups, and what to try next."""
    lines = [f"nodeedu {__version__}: Neural ODEs that can be read, checked and used", ""]
    for group, other in GROUPS.items():
        lines.append(group)
        lines.extend(f"  nodeedu {verb.name:<26} {verb.help}" for verb in VERBS if verb.group == group)
        lines.extend([f"  {other}"] if other else [])
        lines.append("")
    return "\n".join([*lines, "`nodeedu VERB --help` shows the options of a verb.", "Next: nodeedu fit"])
