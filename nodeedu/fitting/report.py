"""What `nodeedu fit` prints: plain text in columns, every number with what it means."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from .coordinates import LOG_RATIO, Coordinates
from .errors import Errors
from .gradient_check import AGREE, ROUTES, GradientCheck
from .table import Table
from .training import Choice

PERSISTENCE, LOTKA_VOLTERRA, NEURAL = "persistence", "Lotka-Volterra ODE", "Neural ODE"


def describe(table: Table, n_train: int, coordinates: Coordinates, seed: int) -> str:
    """Say what is fitted, what is kept back, and in which coordinates."""
    t, name, missing = table.t, table.time, int(np.isnan(table.y).sum())
    logs = [column for column, log in zip(table.columns, coordinates.log, strict=True) if log]
    rule = f"positive, largest at least {LOG_RATIO:g} times smallest"
    lines = [
        f"data         {table.file}: {', '.join(map(table.label, table.columns))}"
        + (f"; {missing} values are missing" if missing else ""),
        f"fitted       {n_train} rows, {name} {t[0]:g} to {t[n_train - 1]:g}: "
        "all choices below are made on these alone",
        f"kept back    {len(t) - n_train} rows, {name} {t[n_train]:g} to {t[-1]:g}",
        f"logarithms   {', '.join(logs)} ({rule})" if logs else f"logarithms   no column (that would take: {rule})",
        f"seed         {seed}",
    ]
    if len(table.columns) == 1:
        lines.append("note         one column makes a field on a line: its solutions cannot oscillate")
    return "\n".join(lines)


def describe_check(check: GradientCheck) -> str:
    """Write the table of pairwise relative errors, and one sentence on them."""
    width = max(map(len, ROUTES)) + 2
    lines = [
        f"gradient check: {check.n_parameters} derivatives of the loss on {check.n_rows} rows at random weights; "
        "relative errors between routes",
        " " * width + "".join(f"{route:>{width}}" for route in ROUTES[:-1]),
    ]
    for i, route in enumerate(ROUTES[1:], start=1):
        lines.append(f"{route:<{width}}" + "".join(f"{check.errors[i, j]:>{width}.1e}" for j in range(i)))
    worst = float(check.errors.max())
    if check.agree:
        sentence = f"All five routes agree to {worst:.0e}, so the gradient that trains the network is right."
    else:
        sentence = (
            f"The routes do NOT all agree to {AGREE:g}: see which one stands apart before you trust the fit "
            "(training uses discrete)."
        )
    return "\n".join([*lines, sentence])


def describe_choice(choice: Choice, time: str) -> str:
    """Say how the weight decay was chosen."""
    if not choice.errors:
        return f"weight decay {choice.decay:g}: too few rows to choose by"
    tried = ", ".join(f"{error:.3g} with {decay:g}" for decay, error in choice.errors.items())
    first, last = choice.tail
    tail = f"{first:g}" if first == last else f"{first:g} to {last:g}"
    return f"weight decay {choice.decay:g}, chosen by forecasting {time} {tail} from the rows before: error {tried}"


def describe_errors(table: Table, errors: Mapping[str, Errors]) -> str:
    """Write the errors, a line for train and hold-out and each column, and a sentence on who wins."""
    labels = [", all columns", *(f", {table.label(column)}" for column in table.columns)]
    left = max(map(len, labels)) + len("hold-out") + 2
    lines = [
        "root mean square errors; those of all columns are in standard deviations of the fitted rows",
        " " * left + "".join(f"{name:>{len(name) + 3}}" for name in errors),
    ]
    for part in ("train", "hold-out"):
        for i, label in enumerate(labels):
            cells = [_value(e, part, i) for e in errors.values()]
            row = "".join(f"{_number(x):>{len(name) + 3}}" for name, x in zip(errors, cells, strict=True))
            lines.append(f"{part + label:<{left}}{row}")
    lines.append(f"({PERSISTENCE}: a fitted row repeats the one before it, the hold-out repeats the last fitted row)")
    return "\n".join([*lines, _verdict(errors)])


def _verdict(errors: Mapping[str, Errors]) -> str:
    held = {name: e.holdout for name, e in errors.items()}
    if math.isnan(held[NEURAL]):
        return "Nothing was observed on the hold-out: there is nothing to judge by."
    beats = "beats" if held[NEURAL] < held[PERSISTENCE] else "does NOT beat"
    text = f"On the hold-out the Neural ODE {beats} persistence ({held[NEURAL]:.3g} against {held[PERSISTENCE]:.3g})"
    if LOTKA_VOLTERRA not in held:
        return text + "."
    better = held[LOTKA_VOLTERRA] < held[NEURAL]
    how = "does better still" if better and beats == "beats" else "does better" if better else "does worse"
    return f"{text}; the Lotka-Volterra ODE, with four rates, {how} ({held[LOTKA_VOLTERRA]:.3g})."


def _value(errors: Errors, part: str, i: int) -> float:
    total, columns = (
        (errors.train, errors.train_columns) if part == "train" else (errors.holdout, errors.holdout_columns)
    )
    return total if i == 0 else float(columns[i - 1])


def _number(x: float) -> str:
    return "-" if math.isnan(x) else f"{x:.3g}"
