"""Which formula is this? A claim's numbers are compared with the right ones and with those of every mistake."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .mistake import Mistake

Array = NDArray[Any]
Answer = dict[str, Array]  # quantity -> numbers
Candidate = tuple[Mistake, dict[str, tuple[Array, ...]]]  # some quantities have several wrong values
THRESHOLD = 1e-5  # solves are judged that were made at 1e-6 or better; the mistakes lie far beyond
NEAR = 1e-2  # the right formula, solved carelessly


@dataclass(frozen=True, eq=False)
class Match:
    """What a claim is.

    Parameters
    ----------
    errors : dict
        Quantity -> relative error against the right value.
    wrong : tuple of str
        The quantities beyond the threshold.
    found : tuple of tuple of Mistake
        Each entry names a mistake and those that compute the same here; together they explain what `explained` holds.
    explained : frozenset of str
    nearest : str
        For what is not explained: the mistake that comes nearest, and how near.
    """

    errors: dict[str, float]
    wrong: tuple[str, ...]
    found: tuple[tuple[Mistake, ...], ...]
    explained: frozenset[str]
    nearest: str


def distance(x: Array, y: Array, scale: float = 0.0) -> float:
    """Return the difference of two vectors, relative to the larger of y and a scale; inf for nan."""
    size = max(float(np.linalg.norm(y)), scale)
    gap = float(np.linalg.norm(np.subtract(x, y)))
    return gap / (size if size > 0.0 else 1.0) if np.isfinite(gap) else np.inf


def match(got: Answer, right: Answer, candidates: Iterable[Candidate], threshold: float = THRESHOLD) -> Match:
    """Compare a claim with everything that is known.

    Parameters
    ----------
    got, right : dict
        Quantity -> numbers; only what was claimed counts.
    candidates : iterable
        The mistakes, each with what it computes.
    threshold : float
        Relative difference below which numbers are the same.
    """
    scales = {q: float(np.linalg.norm(right[q])) for q in got}
    errors = {q: distance(got[q], right[q]) for q in got}
    wrong = [q for q in got if not errors[q] < threshold]
    if not wrong:
        return Match(errors, (), (), frozenset(), "")
    known: list[tuple[frozenset[str], int, Mistake]] = []
    gaps: list[tuple[float, Mistake]] = []
    for mistake, values in candidates:
        near = {q: min((distance(got[q], v, scales[q]) for v in values[q]), default=np.inf) for q in got if q in values}
        gaps.append((max(near.get(q, np.inf) for q in wrong), mistake))
        hit = frozenset(q for q in wrong if near.get(q, np.inf) < threshold)
        if hit:
            against = sum(not gap < threshold for q, gap in near.items() if not _near(values[q], right[q], threshold))
            known.append((hit, -against, mistake))
    found, explained = _cover(known, set(wrong))
    nearest = ""
    if explained != set(wrong) and gaps:
        gap, mistake = min(gaps, key=lambda pair: pair[0])
        nearest = f"the nearest is {mistake}, {gap:.1g} away" if gap < 0.3 else ""
    return Match(errors, tuple(wrong), tuple(found), frozenset(explained), nearest)


def _near(values: tuple[Array, ...], right: Array, threshold: float) -> bool:
    """Whether one of the values that a mistake gives to a quantity is the right one."""
    return any(distance(value, right) < threshold for value in values)


def _cover(
    known: list[tuple[frozenset[str], int, Mistake]], wrong: set[str]
) -> tuple[list[tuple[Mistake, ...]], set[str]]:
    """Explain as much as possible by one mistake, then what remains by another.

    Each of those known comes with what it explains, and minus the number of quantities that speak against it: it would
    make them wrong, and the claim has other numbers there.
    """
    found: list[tuple[Mistake, ...]] = []
    left = set(wrong)
    while left:
        ranked = [(against, len(hit & left), mistake, hit) for hit, against, mistake in known if hit & left]
        if not ranked:
            break
        best = max(rank[:2] for rank in ranked)
        ties = {m.number: m for against, n, m, _ in ranked if (against, n) == best}
        found.append(tuple(ties.values()))
        left -= frozenset().union(*(hit for against, n, _, hit in ranked if (against, n) == best))
    return found, set(wrong) - left


def hidden(right: Answer, candidates: Iterable[Candidate], threshold: float = THRESHOLD) -> list[Mistake]:
    """Return the mistakes that compute the right numbers here, in the first of the ways in which they are written."""
    first = {mistake.number: (mistake, values) for mistake, values in reversed(list(candidates))}
    found = []
    for _, (mistake, values) in sorted(first.items()):
        own = [q for q in right if q in values]
        if own and all(distance(values[q][0], right[q]) < threshold for q in own):
            found.append(mistake)
    return found


def alike(right: Answer, candidates: list[Candidate], threshold: float = THRESHOLD) -> list[tuple[Mistake, Mistake]]:
    """Return pairs of mistakes that compute the same wrong numbers here."""
    rows = [(mistake, np.concatenate([values[q][0] for q in right])) for mistake, values in candidates
            if all(q in values for q in right)]  # fmt: skip
    truth, pairs = np.concatenate([right[q] for q in right]), {}
    size = float(np.linalg.norm(truth))
    for i, (one, x) in enumerate(rows):
        if distance(x, truth) < threshold:
            continue
        for other, y in rows[:i]:
            if one.number != other.number and distance(x, y, size) < threshold:
                pairs[other.number, one.number] = (other, one)
    return list(pairs.values())
