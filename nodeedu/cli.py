"""The command line: a table of verbs. Nothing heavy is imported before a verb runs.

A verb is one row of `VERBS`: its name, its group, a line of help, a function that adds its arguments and one that runs
it. Exit codes: 0 done, 1 failed, 2 the input was refused, 130 interrupted.
"""

from __future__ import annotations

import argparse
import difflib
import math
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import __version__

SHIPPED = "lynx_hare_1900_1920"
STEPS = 1800


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
    add_arguments : callable
        Takes the verb's parser.
    run : callable
        Takes the parsed arguments.
    """

    name: str
    group: str
    help: str
    add_arguments: Callable[[argparse.ArgumentParser], Any]
    run: Callable[[argparse.Namespace], Any]


def _fit_arguments(parser: argparse.ArgumentParser) -> None:
    data = "CSV file: a header, the first column time, empty cells are missing (default: the shipped lynx-hare record)"
    parser.add_argument("data", metavar="CSV", nargs="?", type=Path, help=data)
    out = "folder for model.npz and fit.png; those of an earlier run are renamed (%(default)s)"
    parser.add_argument("--out", metavar="DIR", type=Path, default=Path("nodeedu-fit"), help=out)
    parser.add_argument("--seed", type=_count, default=0, help="of the random initial weights (%(default)s)")
    parser.add_argument("--steps", type=_positive, default=STEPS, help="steps of the optimiser (%(default)s)")
    share = "share of the rows, the last ones, that is kept back to judge the fit (%(default)s)"
    parser.add_argument("--holdout", metavar="SHARE", type=_share, default=0.25, help=share)


def _fit(args: argparse.Namespace) -> None:
    from . import data
    from .fitting import read_table

    if args.data is None:
        table = read_table(data.path(SHIPPED), f"the shipped {SHIPPED}.csv")
    else:
        table = read_table(args.data)
    _require_folder(args.out)
    from .compile import cache

    where = cache.folder() or "nowhere: no folder can be written to"
    print(f"compiling the vector field, its derivatives and the solvers; kept in {where}", file=sys.stderr, flush=True)
    from .fitting import job

    outcome = job.run(table, job.split(table, args.holdout), args.seed, args.steps)
    job.write(outcome, args.out)
    print(f"next: nodeedu predict {args.out / 'model.npz'} --times {outcome.model.t_last:g}")


def _predict_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", type=Path, help="a file model.npz that `nodeedu fit` wrote")
    times = "in the unit of the data, separated by commas, such as 0,0.5,1 (--times=-1,0 if the first is negative)"
    parser.add_argument("--times", required=True, type=_times, help=times)


def _predict(args: argparse.Namespace) -> None:
    import csv

    from .errors import SolverError
    from .fitting import DataError
    from .fitting.model import load

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


def _tableau_arguments(parser: argparse.ArgumentParser) -> None:
    from .verify.tableau import command

    command.add_arguments(parser)


def _tableau(args: argparse.Namespace) -> int:
    from .verify.tableau import command

    return command.run(args)


def _figure_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", choices=sorted(FIGURES), help=f"one of {', '.join(sorted(FIGURES))}")
    parser.add_argument("--out", metavar="DIR", type=Path, default=Path("."), help="folder to draw into (%(default)s)")


def _figure(args: argparse.Namespace) -> int:
    from importlib import import_module

    _require_folder(args.out)
    return int(import_module(FIGURES[args.name], __package__).run(args.out))


def _equations_arguments(parser: argparse.ArgumentParser) -> None:
    from .verify.equations import command

    command.add_arguments(parser)


def _equations(args: argparse.Namespace) -> int:
    from .verify.equations import command

    return command.run(args)


def _errata_arguments(parser: argparse.ArgumentParser) -> None:
    from .verify.errata import command

    command.add_arguments(parser)


def _errata(args: argparse.Namespace) -> int:
    from .verify.errata import command

    return command.run(args)


def _court_arguments(parser: argparse.ArgumentParser) -> None:
    from .verify.court import command

    command.add_arguments(parser)


def _court(args: argparse.Namespace) -> int:
    from .verify.court import command

    return command.run(args)


# What `nodeedu figure` knows: modules with ``run(folder) -> exit code`` that measure, draw and judge their own claims.
FIGURES = {"stability": ".verify.stability_figure", "work-precision": ".verify.work_precision"}
# What a group holds beside verbs.
GROUPS = {
    "learn": "python tutorials/00_lynx_hare.py   the first of the chapters, scripts that derive, compute and draw",
    "check": "pytest                             the tests: every claim of the package",
    "run": "",
}
VERBS = (
    Verb("figure", "learn", "measure and draw: what an error costs, ours beside SciPy's", _figure_arguments, _figure),
    Verb("equations", "learn", "every step of the derivations, on any field", _equations_arguments, _equations),
    Verb("errata", "learn", "what was published wrong, tried again beside what is right", _errata_arguments, _errata),
    Verb("check-gradient", "check", "try gradients on a field of yours; name the mistake", _court_arguments, _court),
    Verb("court", "check", "the same, by a shorter name", _court_arguments, _court),
    Verb("tableau", "check", "audit a Butcher tableau: order, stability, every claim", _tableau_arguments, _tableau),
    Verb("fit", "run", "fit a Neural ODE to a table of observations, check it, compare it", _fit_arguments, _fit),
    Verb("predict", "run", "states of a fitted model at any times, as CSV", _predict_arguments, _predict),
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
    parser = argparse.ArgumentParser(f"nodeedu {verb.name}", description=verb.help, allow_abbrev=False)
    verb.add_arguments(parser)
    try:
        args = parser.parse_args(argv[1:])
    except SystemExit as stop:  # argparse has said why
        return int(stop.code or 0)
    return _guarded(verb, args)


def _guarded(verb: Verb, args: argparse.Namespace) -> int:
    """Run a verb; what it refuses or cannot do is one line on stderr."""
    from .errors import SolverError
    from .fitting import DataError

    try:
        return int(verb.run(args) or 0)  # a check that fails returns 1
    except DataError as error:
        print(error, file=sys.stderr)
        return 2
    except (SolverError, OSError) as error:
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


def _require_folder(path: Path) -> None:
    """Refuse a folder that cannot be made or written to, before any work is done; nothing is made yet."""
    from .fitting import DataError

    existing = next(each for each in (path, *path.absolute().parents) if each.exists())
    if not existing.is_dir():
        raise DataError(f"--out: got {path}, but {existing} is a file; expected a folder")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise DataError(f"--out: got {path}, but {existing} cannot be written to; expected a folder that can")


def _number(text: str, expected: str, low: float, high: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected {expected}")
    return value


def _count(text: str, low: int = 0) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < low:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected an integer from {low} on")
    return int(text)


def _positive(text: str) -> int:
    return _count(text, low=1)


def _share(text: str) -> float:
    return _number(text, "a number from 0.01 to 0.9", 0.01, 0.9)


def _times(text: str) -> list[float]:
    limit = sys.float_info.max
    return [_number(cell, "finite numbers separated by commas", -limit, limit) for cell in text.split(",")]
