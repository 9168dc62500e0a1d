"""Numbers of trained models in a JSON file: a figure and its claims are redrawn from them without training."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import plot
from ...fitting import DataError
from ...fitting.table import reason

DIGITS = 6  # of parameters: a relative error of 5e-7 moves no pixel

DPI = 100  # of many small panels: less than `plot.save`, to keep the file small

Run = dict[str, Any]


def redraw(
    numbers: Path, path: Path, draw: Callable[[dict[str, Any]], Any], claims: Callable[[dict[str, Any]], list[bool]]
) -> int:
    """Draw a figure from its numbers and print its claims; return 0 if all hold, else 1."""
    plot.headless()
    found = read(numbers)
    path.parent.mkdir(parents=True, exist_ok=True)
    draw(found).savefig(path, dpi=DPI)
    print("wrote", path)
    return 0 if all(claims(found)) else 1


def read(path: Path) -> dict[str, Any]:
    """Read a record: ``{"about": settings, "runs": [...], "parameters": {...}}``.

    Raises
    ------
    DataError
        The file is missing or no record; one line.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if not {"about", "runs", "parameters"} <= set(record):
            raise ValueError("keys are missing")
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"{path}: got {reason(error)}, expected the numbers of a training run") from None
    return record


def write(path: Path, about: dict[str, Any], runs: Iterable[Run], parameters: dict[str, Any]) -> None:
    """Write a record, one run a line."""
    lines = ",\n".join("  " + json.dumps(run) for run in runs)
    thetas = ",\n".join(f"  {json.dumps(name)}: {json.dumps(_plain(theta))}" for name, theta in parameters.items())
    text = f'{{"about": {json.dumps(about, indent=1)},\n"runs": [\n{lines}\n],\n"parameters": {{\n{thetas}\n}}}}\n'
    path.write_text(text, encoding="utf-8")


def parameters(record: dict[str, Any], name: str) -> Any:
    """Parameters of a model as arrays."""
    return _arrays(record["parameters"][name])


def select(runs: Iterable[Run], value: str, **wanted: Any) -> NDArray[Any]:
    """Values of the runs that have all these entries, in the order of their seeds."""
    found = [run for run in runs if all(run[key] == each for key, each in wanted.items())]
    return np.array([run[value] for run in sorted(found, key=lambda run: run["seed"])])


class Book:
    """A record that grows run by run, on disk after every one; an interrupted training is taken up again.

    Parameters
    ----------
    path : Path
    about : dict
        Settings; runs of other settings are not kept.
    """

    def __init__(self, path: Path, about: dict[str, Any]) -> None:
        self.path, self.about = path, about
        self.runs: list[Run] = []
        self.thetas: dict[str, Any] = {}
        if path.exists() and (earlier := read(path))["about"] == about:
            self.runs = earlier["runs"]
            self.thetas = {name: _arrays(theta) for name, theta in earlier["parameters"].items()}

    def has(self, run: Run) -> bool:
        """Whether a run with these entries is there."""
        return any(run.items() <= each.items() for each in self.runs)

    def add(self, run: Run, measured: dict[str, float], model: str, theta: Any) -> None:
        """Add a run, and keep the parameters of the model if its first measurement is the lowest of all seeds."""
        self.runs.append(run | {key: round(value, 6) for key, value in measured.items()})
        print(self.runs[-1], flush=True)
        value = next(iter(measured))
        alike = {key: each for key, each in run.items() if key != "seed"}
        if self.runs[-1][value] <= min(select(self.runs, value, **alike)):
            self.thetas[model] = theta
        write(self.path, self.about, self.runs, self.thetas)


def _plain(theta: Any) -> Any:
    if isinstance(theta, dict):
        return {key: _plain(value) for key, value in theta.items()}
    return [float(f"{x:.{DIGITS}g}") for x in theta] if np.ndim(theta) == 1 else [_plain(row) for row in theta]


def _arrays(theta: Any) -> Any:
    if isinstance(theta, dict):
        return {key: _arrays(value) for key, value in theta.items()}
    return np.array(theta, np.float64)
