"""What the court says about one claim."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .call import Fault
from .match import NEAR, Answer, Candidate, Match, alike, hidden, match
from .mistake import Mistake


@dataclass(frozen=True, eq=False)
class Judgement:
    """The verdict on a claim.

    Parameters
    ----------
    claim : str
        Its name.
    ok : bool
        Whether it is right.
    says : str
        One sentence, or a few.
    mistakes : tuple of Mistake
        Those that explain it; of those that compute the same here, all.
    error : float
        Largest relative error against the right value; inf if there is none.
    evidence : tuple of str
        Which terms are wrong.
    where : str
        The line of the user's code, if it could not be judged.
    hidden : tuple of Mistake
        Those that the problem cannot tell from the right formula.
    alike : tuple of (Mistake, Mistake)
        Those that it cannot tell apart.
    """

    claim: str
    ok: bool
    says: str
    mistakes: tuple[Mistake, ...] = ()
    error: float = float("inf")
    evidence: tuple[str, ...] = ()
    where: str = ""
    hidden: tuple[Mistake, ...] = ()
    alike: tuple[tuple[Mistake, Mistake], ...] = ()

    @property
    def numbers(self) -> tuple[int, ...]:
        """Numbers of the mistakes."""
        return tuple(mistake.number for mistake in self.mistakes)

    def __str__(self) -> str:
        lines = [f"{'PASS' if self.ok else 'FAIL'}  {self.claim}: {self.says}"]
        lines += [f"      {line}" for line in self.evidence]
        lines += [f"      at {self.where}"] if self.where else []
        return "\n".join(lines)


def judge(
    name: str, got: Answer, right: Answer, candidates: list[Candidate], threshold: float,
    evidence: Callable[[Match], list[str]],
) -> Judgement:  # fmt: skip
    """Judge what a claim has computed.

    Parameters
    ----------
    name : str
    got, right : dict
    candidates : list
    threshold : float
    evidence : callable
        Match -> which terms are wrong; only called if something is.
    """
    found = match(got, right, candidates, threshold)
    error = max(found.errors.values(), default=0.0)
    own = {q: right[q] for q in got}
    unseen, pairs = tuple(hidden(own, candidates)), tuple(alike(own, candidates))
    if not found.wrong:
        return Judgement(name, True, f"right, to {max(error, 1e-16):.0e}", (), error, hidden=unseen, alike=pairs)
    named = tuple(mistake for group in found.found for mistake in group)
    says = _sentence(found, error)
    return Judgement(name, False, says, named, error, tuple(evidence(found)), hidden=unseen, alike=pairs)


def at_fault(name: str, fault: Fault) -> Judgement:
    """Report a claim that could not be judged."""
    return Judgement(name, False, f"your function {fault.says}", where=fault.where)


def _sentence(found: Match, error: float) -> str:
    wrong = " and ".join(found.wrong)
    said = []
    for group in found.found:
        first, *others = group
        also = "".join(f"; {other} computes the same here" for other in others)
        said.append(f"{first}{also}. {first.says}" + (f" (Found in {first.found}.)" if first.found else ""))
    left = [q for q in found.wrong if q not in found.explained]
    if left and not said and error < NEAR:
        said.append(f"{wrong}: right only to {error:.0e}, and no known mistake. Solve more accurately, or look for a "
                    "small term that is missing.")  # fmt: skip
    elif left:
        nearest = f"; {found.nearest}" if found.nearest else ""
        said.append(f"{' and '.join(left)}: wrong by {max(found.errors[q] for q in left):.1g} (relative), "
                    f"by no mistake of the list{nearest}.")  # fmt: skip
    return " ".join(said)
