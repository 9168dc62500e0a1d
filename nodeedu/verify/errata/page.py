"""The page of errata: ``python -m nodeedu.verify.errata.page tutorials/errata.md`` writes it anew.

Numbers on it are rounded so far that no machine changes them.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from .erratum import Erratum, Trial, Values
from .gallery import check, modules, select
from .report import printed_word, right_word

INTRODUCTION = """\
<!-- Written by: python -m nodeedu.verify.errata.page tutorials/errata.md -->

# Errata

Formulas and statements about neural ODEs that are wrong where they were printed, or true only under a condition that
was not. Each is shown with its right form and a measurement in which the one misses and the other holds: against
forward sensitivities by complex steps, which use no adjoint, against differences, or against a solution that is known.
M is a small network that sees the time (D = 3, 35 parameters), V the driven oscillator of van der Pol (D = 2, 4
parameters). The adjoint a is a row, J is the Jacobian of f, g the gradient of the loss.

These are good sources, and most of what they say is right; their slips are the ones that we all make. `nodeedu errata`
repeats the measurements, `nodeedu errata ID` shows one label. Errors are relative.
"""
HEAD = ("| quantity | problem | as printed | right |", "|---|---|---|---|")


def text(found: Mapping[str, Sequence[Trial]]) -> str:
    """Write the page.

    Parameters
    ----------
    found : mapping
        Trials by id; without those of an erratum its table has no rows.

    Returns
    -------
    str
        Markdown with LaTeX.
    """
    lines = [INTRODUCTION]
    for module in modules():
        for source in dict.fromkeys(erratum.source for erratum in module.ERRATA):
            lines += [f"## {source}", ""]
            lines += [f"Right as printed: {'; '.join(module.RIGHT)}.", ""] if module.RIGHT else []
            chosen = [erratum for erratum in module.ERRATA if erratum.source == source]
            lines += [line for erratum in chosen for line in _label(erratum, found.get(erratum.id, ()))]
    return "\n".join(lines)


def _label(erratum: Erratum, trials: Sequence[Trial]) -> list[str]:
    fields = (
        f"*{erratum.place[0].upper()}{erratum.place[1:]}.*",
        f"**Printed.** {erratum.printed}",
        f"**Right.** {erratum.right}",
        f"**Why.** {erratum.why}",
        f"**Reference.** {erratum.reference.rstrip('.')}.",
        f"**Measured** with {erratum.settings}:",
    )
    head = [line for field in fields for line in (field, "")]
    return [f"### {erratum.id}", "", *head, *HEAD, *(row(trial) for trial in trials), ""]


def row(trial: Trial) -> str:
    """Return the row of the page's table for a trial."""
    test, printed = trial.test, printed_word(trial, number=one_digit, order=".1f")
    right = right_word(trial, order=".1f")
    if isinstance(test, Values):
        right = f"within {one_digit(test.tolerance)}"
    what, problem = (text.replace("|", r"\|") for text in (test.what, trial.problem))
    return f"| {what} | {problem} | {printed} | {right} |"


def one_digit(x: float) -> str:
    """Write a number with one significant digit."""
    return f"{float(f'{x:.0e}'):g}".replace("e-0", "e-").replace("e+0", "e")


def main() -> None:
    """Measure everything, and write the page to the file that is named."""
    found = {erratum.id: trials for erratum, trials in check(select())}
    Path(sys.argv[1]).write_text(text(found), encoding="utf-8")


if __name__ == "__main__":
    main()
