"""Which term is wrong? A claim's numbers are regressed on the terms of the right formula, and on decoys.

The right answer has the coefficient 1 for every term and 0 for every decoy; least squares finds those of the claim.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
FIT = 1e-6  # largest relative residual of numbers that are a combination of the terms
EXACT = 1e-4  # how near a coefficient is to the number that it is taken for
MOST = 6  # lines of evidence: a reader stops there
WORDS = {0.0: "is missing", -1.0: "has the wrong sign", 2.0: "is counted twice", 0.5: "has half its size"}


@dataclass(frozen=True, eq=False)
class Term:
    """A named column of the regression.

    Parameters
    ----------
    name : str
    values : array (m,)
    expected : float
        1 for a term of the right formula, 0 for a decoy.
    """

    name: str
    values: Array
    expected: float = 1.0


def regress(got: Array, terms: list[Term]) -> list[str] | None:
    """Say what is wrong with a sum of terms.

    Parameters
    ----------
    got : array (m,)
        What the claim computed.
    terms : list of Term
        Right terms, then decoys.

    Returns
    -------
    list of str or None
        One sentence a term that is wrong; None if the numbers are no combination of the terms, or several of them.
    """
    size = np.linalg.norm(got)
    right = [term for term in terms if term.expected == 1.0]
    for chosen in (right, terms):
        columns = [term for term in chosen if np.linalg.norm(term.values) > 1e-12 and not _idle(term)]
        if not columns or len(columns) > len(got):
            continue
        X = np.stack([term.values for term in columns], axis=1)
        scale = np.linalg.norm(X, axis=0)
        c, _, rank, _ = np.linalg.lstsq(X / scale, got, rcond=1e-9)
        if rank < len(columns) or np.linalg.norm(X / scale @ c - got) > FIT * max(size, scale.max()):
            continue
        found = zip(columns, c / scale, strict=True)
        return [_say(term, value) for term, value in found if abs(value - term.expected) > EXACT]
    return None


def _idle(term: Term) -> bool:
    """Whether a decoy is constant: it would stand in for any number that is left over."""
    return term.expected == 0.0 and bool(np.ptp(term.values) <= 1e-12 * np.max(abs(term.values)))


def rows(got: Array, names: list[str], fine: list[list[Term]] | None, coarse: list[list[Term]]) -> list[str]:
    """Regress each component (m, K) of a claim on its own terms; return the evidence, the last lines cut off.

    Parameters
    ----------
    got : array (m, K)
    names : list of str
        Of the components.
    fine, coarse : list of list of Term
        Of each component: the summands as their author wrote them, which are tried first, and whole entries of a
        Jacobian with decoys.
    """
    lines = []
    for k, name in enumerate(names):
        found = regress(got[:, k], fine[k]) if fine is not None else None
        found = regress(got[:, k], coarse[k]) if found is None else found
        if found is None:
            lines.append(f"{name} holds something that is no sum of its terms")
        lines += [f"{name}: {sentence}" for sentence in found or ()]
    return lines if len(lines) <= MOST else [*lines[: MOST - 1], f"and {len(lines) - MOST + 1} more"]


def _say(term: Term, value: float) -> str:
    if term.expected == 0.0:
        return f"{term.name} should not be there (coefficient {value:.4g})"
    for known, words in WORDS.items():
        if abs(value - known) < EXACT:
            return f"the term {term.name} {words}"
    return f"the term {term.name} has the coefficient {value:.4g}, expected 1"
