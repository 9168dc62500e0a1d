"""What `nodeedu errata` prints: a line for each erratum, the label of one, JSON for programs."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

from .erratum import Bounds, Erratum, Orders, Trial, Values

WIDTH = 100
HEAD = f"{'':4}  {'id':27} {'printed misses (V / M)':31} {'right holds':22} source"


def passed(trials: Sequence[Trial]) -> bool:
    """Return whether all trials of an erratum show it."""
    return all(trial.ok for trial in trials)


def line(erratum: Erratum, trials: Sequence[Trial]) -> str:
    """Say in a line what the first test of an erratum came to.

    Parameters
    ----------
    erratum : Erratum
    trials : sequence of Trial
        All of its trials, whose verdicts count.
    """
    shown = [trial for trial in trials if trial.test is erratum.tests[0]]
    worst = max(shown, key=lambda trial: abs(trial.right))
    source = erratum.source.split(" (")[0]
    verdict = "PASS" if passed(trials) else "FAIL"
    return f"{verdict}  {erratum.id:27} {printed_word(*shown):31} {right_word(worst):22} {source}"


def label(erratum: Erratum, trials: Sequence[Trial]) -> str:
    """Write all that is known of an erratum, as on the label of an exhibit."""
    fields = (
        ("source", f"{erratum.source}: {erratum.place}"),
        ("printed", erratum.printed),
        ("right", erratum.right),
        ("why", erratum.why),
        ("reference", erratum.reference),
        ("settings", erratum.settings),
    )
    lines = [erratum.id, ""]
    for name, text in fields:
        lines += textwrap.wrap(text, WIDTH, initial_indent=f"{name:<11}", subsequent_indent=" " * 11)
    lines += ["", *(measured(trial) for trial in trials)]
    end = "The printed form misses, the right one holds." if passed(trials) else "The erratum is not shown."
    return "\n".join([*lines, "", end])


def measured(trial: Trial) -> str:
    """Say in a line what a trial came to."""
    verdict = "PASS" if trial.ok else "FAIL"
    words = f"printed: {printed_word(trial)}; right: {right_word(trial)}"
    return f"{verdict}  {trial.test.what}, {trial.problem}: {words}"


def printed_word(*trials: Trial, number: Callable[[float], str] = "{:.3g}".format, order: str = ".2f") -> str:
    """Say how far the printed form is off.

    Parameters
    ----------
    *trials : Trial
        Of one test.
    number : callable
        Writes relative errors and parts of bounds.
    order : str
        Format of an order.
    """
    test = trials[0].test
    if isinstance(test, Orders) and math.isfinite(test.claimed):
        return f"order {' / '.join(_order(trial.printed, order) for trial in trials)}, not {test.claimed:g}"
    found = " / ".join(number(trial.printed) for trial in trials)
    return f"{found} times the bound" if isinstance(test, Bounds) else f"off by {found}"


def right_word(trial: Trial, order: str = ".2f") -> str:
    """Say how well the right form holds; the format of orders as of `printed_word`."""
    match trial.test:
        case Orders():
            return f"order {_order(trial.right, order)}"
        case Bounds():
            return f"{trial.right:.1f} of the bound"
    return f"{trial.right:.1e}"


def _order(x: float, digits: str) -> str:
    text = f"{x:{digits}}"
    return text.lstrip("-") if float(text) == 0.0 else text


def as_dict(erratum: Erratum, trials: Sequence[Trial]) -> dict[str, Any]:
    """Return an erratum as what JSON can hold; None stands for a number that could not be found."""
    texts = ("id", "source", "place", "printed", "right", "why", "reference", "settings")
    return {name: getattr(erratum, name) for name in texts} | {
        "passed": passed(trials),
        "trials": [
            {
                "quantity": trial.test.what,
                "problem": trial.problem,
                "kind": {Values: "relative error", Orders: "order", Bounds: "part of a bound"}[type(trial.test)],
                "printed": trial.printed if math.isfinite(trial.printed) else None,
                "right": trial.right if math.isfinite(trial.right) else None,
                "passed": trial.ok,
            }
            for trial in trials
        ],
    }
