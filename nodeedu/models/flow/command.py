"""`nodeedu flow`: train a flow, draw from it, ask it for densities."""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path

from ...fitting.arguments import count, positive, require_folder
from ...fitting.table import DataError

OUT = Path("nodeedu-flow")
GENERATED = ("two-moons", "two-circles", "8-gaussians", "pinwheel", "checkerboard", "spirals")
NAMES = (*GENERATED, "old-faithful", "fiji", "digits")
TRACES = ("exact", "hutchinson", "flow-matching")
MOST_GRID = 1000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb to its parser; nothing heavy is imported.

    Parameters
    ----------
    parser : argparse.ArgumentParser
    """
    verbs = parser.add_subparsers(dest="action", metavar="train|sample|density", required=True)
    _train_arguments(verbs.add_parser("train", allow_abbrev=False, help="learn a density from points"))
    sample = verbs.add_parser("sample", allow_abbrev=False, help="draw points from a trained flow, as CSV")
    _model_argument(sample)
    sample.add_argument("-n", type=positive, default=1000, help="number of points (%(default)s)")
    sample.add_argument("--seed", type=count, default=0, help="of the draws (%(default)s)")
    density = verbs.add_parser("density", allow_abbrev=False, help="log density of a flow in the plane, as CSV and PNG")
    _model_argument(density)
    grid = f"points along each side of the grid, 2 to {MOST_GRID} (%(default)s)"
    density.add_argument("--grid", metavar="N", type=_grid, default=100, help=grid)
    density.add_argument("--figure", metavar="FILE", type=Path, help="where to draw it (density.png beside the model)")


def _train_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", nargs="?", choices=NAMES, help=f"one of {', '.join(NAMES)}")
    data = "in place of NAME: a CSV file with a header and one point a row"
    parser.add_argument("--data", metavar="CSV", type=Path, help=data)
    trace = f"{', '.join(TRACES)} (exact; for digits, hutchinson)"
    parser.add_argument("--trace", choices=TRACES, metavar="TRACE", help=trace)
    out = "folder for model.npz and flow.png; those of an earlier run are renamed (%(default)s)"
    parser.add_argument("--out", metavar="DIR", type=Path, default=OUT, help=out)
    parser.add_argument("--seed", type=count, default=0, help="of weights, batches and noise (%(default)s)")
    parser.add_argument("--steps", type=positive, help="steps of Adam (default: what suits the data)")
    width = "units of each of the two hidden layers (default: what suits the data)"
    parser.add_argument("--width", type=positive, help=width)
    parser.add_argument("--resume", action="store_true", help="go on with an interrupted run of the same arguments")


def _model_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", type=Path, help="a file model.npz that `nodeedu flow train` wrote")


def run(args: argparse.Namespace) -> int:
    """Train, sample or evaluate.

    Parameters
    ----------
    args : argparse.Namespace
        With what `add_arguments` adds.

    Returns
    -------
    int
        Exit code.

    Raises
    ------
    DataError
        The input cannot be used; one line.
    SolverError
        A solve fails.
    """
    return {"train": _train, "sample": _sample, "density": _density}[args.action](args)


def _train(args: argparse.Namespace) -> int:

    if (args.name is None) == (args.data is None):
        got = "neither" if args.name is None else "both"
        raise DataError(f"flow train: got {got} of NAME and --data, expected one of them: nodeedu flow train two-moons")
    require_folder(args.out)
    from . import job
    from .recipes import recipe_for
    from .samples import from_file, named

    samples = named(args.name, args.seed) if args.data is None else from_file(args.data)
    recipe = recipe_for(samples, args.trace, args.seed, args.steps, args.width)
    from ...compile import cache

    where = cache.folder() or "nowhere: no folder can be written to"
    print(f"compiling the flow and its derivatives, once; kept in {where}", file=sys.stderr, flush=True)
    model = job.write(job.run(samples, recipe, args.out, args.resume), args.out)
    print(f"next: nodeedu flow sample {model} -n 1000")
    return 0


def _sample(args: argparse.Namespace) -> int:
    from .model import load

    model = load(args.model)
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(model.columns)
    writer.writerows([f"{value:.8g}" for value in row] for row in model.sample(args.n, args.seed))
    return 0


def _density(args: argparse.Namespace) -> int:
    from ... import plot
    from ...fitting.files import make_way
    from .model import load

    if args.figure:
        require_folder(args.figure.parent, "--figure")
    model = load(args.model)
    if model.dim != 2:
        raise DataError(f"{args.model}: got a flow of {model.dim} dimensions, expected 2: a grid needs a plane")
    from . import figure

    window = figure.window_of(model.sample(figure.DOTS, 0), figure.is_square(model))
    _, _, points = figure.grid_of(window, args.grid)
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow([*model.columns, "log_p"])
    log_p = model.log_prob(points)
    writer.writerows([f"{value:.8g}" for value in (*row, last)] for row, last in zip(points, log_p, strict=True))
    plot.headless()
    fig, axis = plot.figure(size=(5.4, 4.6))
    figure.draw_density(fig, axis, model, window)
    path = args.figure or make_way(args.model.with_name("density.png"))
    print(f"wrote {plot.save(fig, path)}", file=sys.stderr)
    return 0


def _grid(text: str) -> int:
    if not 2 <= (n := count(text)) <= MOST_GRID:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected an integer from 2 to {MOST_GRID}")
    return n
