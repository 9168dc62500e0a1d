"""The audit of a Butcher tableau: what its constants are, and whether each claim made of them holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isnan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...order_conditions import ROUND_OFF, attained_order
from .file import ClaimedTableau
from .measured import NON_AUTONOMOUS, PROBLEMS, Measurement, measured_dense_order, measured_order
from .order import Condition, Order, dense_order, order_of, row_sum_error, simplifying_assumptions
from .stability import Stability, stability_of

Array = NDArray[Any]

HIGHEST = 8  # number of vertices of the largest trees, unless the claim needs larger ones
# The measured orders of published methods lie within 0.25 of the true one; one missed condition costs 1.
LACK = 0.4
FEW_DIGITS = 1e-6  # a residual below this part of its terms comes from constants that were cut short


@dataclass(frozen=True)
class Claim:
    """Something that must be true of a tableau, and whether it is.

    Parameters
    ----------
    name : str
    holds : bool
    evidence : str
        What was found, beside what was claimed.
    """

    name: str
    holds: bool
    evidence: str


@dataclass(frozen=True)
class DenseOutput:
    """What was found of a dense output.

    Parameters
    ----------
    order : int
        Order by comparing polynomials in theta, where f does not depend on t.
    order_at_points : int
        Order at random theta, where it does.
    measured : Measurement
    ends_with_b : bool
        Whether its weights at theta = 1 are b: it is continuous from step to step.
    smooth : bool
        Whether its slope is continuous, too.
    """

    order: int
    order_at_points: int
    measured: Measurement
    ends_with_b: bool
    smooth: bool


@dataclass(frozen=True, eq=False)
class Audit:
    """All that was found of a tableau.

    Parameters
    ----------
    tableau : ClaimedTableau
    structure : str
        Explicit, diagonally implicit or fully implicit, in words.
    fsal : bool
        Whether the last slope of a step is the first of the next.
    stiffly_accurate : bool
        Whether the last row of A is b: the last stage is the result.
    row_sum_error : float
        Largest difference between a node and its row sum; 0 for round-off.
    assumptions : (int, int, int)
        Largest p, q, r such that B(p), C(q), D(r) hold.
    order : Order
        Of b.
    measured : tuple of Measurement
        Of b, one for each problem.
    stability : Stability
        Of b.
    embedded : Order or None
    embedded_measured : Measurement or None
    embedded_stability : Stability or None
    dense : DenseOutput or None
    claims : tuple of Claim
    """

    tableau: ClaimedTableau
    structure: str
    fsal: bool
    stiffly_accurate: bool
    row_sum_error: float
    assumptions: tuple[int, int, int]
    order: Order
    measured: tuple[Measurement, ...]
    stability: Stability
    embedded: Order | None
    embedded_measured: Measurement | None
    embedded_stability: Stability | None
    dense: DenseOutput | None
    claims: tuple[Claim, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every claim holds."""
        return all(claim.holds for claim in self.claims)


def audit(tableau: ClaimedTableau) -> Audit:
    """Examine a tableau by every route, and judge its claims.

    Parameters
    ----------
    tableau : ClaimedTableau

    Returns
    -------
    Audit
    """
    A, b, c, b_hat = tableau.A, tableau.b, tableau.c, tableau.b_hat
    found = Audit(
        tableau=tableau,
        structure=structure_of(A),
        fsal=_fsal_stage(tableau) is not None,
        stiffly_accurate=_equal(A[-1], b),
        row_sum_error=row_sum_error(A, c),
        assumptions=simplifying_assumptions(A, b, c),
        order=order_of(A, c, b, _highest(tableau.order)),
        measured=tuple(measured_order(A, b, c, problem) for problem in PROBLEMS),
        stability=stability_of(A, b),
        embedded=None if b_hat is None else order_of(A, c, b_hat, _highest(tableau.embedded_order)),
        embedded_measured=None if b_hat is None else measured_order(A, b_hat, c, NON_AUTONOMOUS),
        embedded_stability=None if b_hat is None else stability_of(A, b_hat),
        dense=None if tableau.interpolant is None else _dense(tableau, tableau.interpolant),
    )
    fields = {name: getattr(found, name) for name in Audit.__dataclass_fields__}
    return Audit(**fields | {"claims": tuple(_claims(found))})


def structure_of(A: Array) -> str:
    """Say in words which of its own and later stages a stage needs."""
    if not np.any(np.triu(A)):
        return "explicit"
    if np.any(np.triu(A, 1)):
        return "fully implicit"
    diagonal = np.diag(A)
    explicit_first = diagonal[0] == 0.0 and len(diagonal) > 1
    implicit = diagonal[1:] if explicit_first else diagonal
    words = "singly diagonally implicit" if _equal(implicit, implicit[:1]) else "diagonally implicit"
    return f"{words}, first stage explicit" if explicit_first else words


def _claims(found: Audit) -> Iterator[Claim]:
    tableau = found.tableau
    yield _nodes_claim(found)
    if tableau.order is not None:
        yield _order_claim("order", "b", tableau.order, found.order)
    target = found.order.non_autonomous if tableau.order is None else tableau.order
    yield _measured_claim("measured order", target, found.measured)
    if tableau.fsal:
        how = "the slope at its end is" if found.fsal else "no stage has b as its row of A at the node 1, so none is"
        yield Claim("fsal", found.fsal, f"{how} the first slope of the next step")
    if found.embedded is not None and tableau.b_hat is not None:
        yield from _embedded_claims(found, found.embedded, tableau.b_hat)
    if found.dense is not None:
        yield from _dense_claims(found.dense, tableau.interpolant_order)


def _nodes_claim(found: Audit) -> Claim:
    if found.row_sum_error == 0.0:
        return Claim("nodes", True, "c is the row sums of A")
    A, c = found.tableau.A, found.tableau.c
    i = int(np.argmax(abs(A.sum(axis=1) - c)))
    evidence = f"c[{i}] is {c[i]:.6g}, but row {i} of A sums to {A[i].sum():.6g}"
    before, after = found.order.autonomous, found.order.non_autonomous
    if before == after:
        return Claim("nodes", True, f"{evidence}; that costs no order")
    return Claim("nodes", False, f"{evidence}: order {before} falls to {after} where f depends on t")


def _order_claim(name: str, what: str, claimed: int, order: Order) -> Claim:
    got = order.non_autonomous
    if got == claimed:
        return Claim(name, True, f"{what} has order {got}, as claimed")
    evidence = f"{what} has order {got}, claimed was {claimed}"
    if got > claimed:
        return Claim(name, False, f"{evidence}: it is more, so these are other weights than those meant")
    worst = max(order.missed, key=lambda condition: abs(condition.residual))
    evidence += f"; the condition of {worst.tree} is missed by {worst.residual:.2g}"
    return Claim(name, False, evidence + _hint(order.missed))


def _hint(missed: tuple[Condition, ...]) -> str:
    if all(abs(each.residual) < FEW_DIGITS * each.size for each in missed):
        return ": so little that the constants may have too few digits"
    if missed[0].tree == "t" and abs(missed[0].residual + 1) < FEW_DIGITS:
        return ": the weights sum to 0, as the weights e of an error do"
    return ""


def _measured_claim(name: str, target: int, measured: tuple[Measurement, ...]) -> Claim:
    shown = ", ".join(f"{each.order:.2f} ({each.problem})" for each in measured if not isnan(each.order))
    if not shown:
        return Claim(name, True, "not to be had: the errors are round-off, or no step succeeds")
    holds = not any(each.order < target - LACK for each in measured)
    return Claim(name, holds, f"{shown}; expected {target}")


def _embedded_claims(found: Audit, embedded: Order, b_hat: Array) -> Iterator[Claim]:
    claimed = found.tableau.embedded_order
    if claimed is not None:
        yield _order_claim("embedded order", "b_hat", claimed, embedded)
    if found.embedded_measured is not None:
        target = embedded.non_autonomous if claimed is None else claimed
        yield _measured_claim("measured embedded order", target, (found.embedded_measured,))
    differ = not _equal(found.tableau.b, b_hat)
    how = "b and b_hat differ" if differ else "b_hat is b: it estimates every error as zero"
    yield Claim("error estimate", differ, how)


def _dense_claims(dense: DenseOutput, claimed: int | None) -> Iterator[Claim]:
    if claimed is not None:
        holds = dense.order == dense.order_at_points == claimed
        routes = f"order {dense.order} as polynomials, {dense.order_at_points} at random points"
        yield Claim("dense output order", holds, f"{routes}; claimed was {claimed}")
    target = dense.order_at_points if claimed is None else claimed
    yield _measured_claim("measured dense output order", target, (dense.measured,))
    how = "ends with the weights b" if dense.ends_with_b else "does not end with the weights b: it jumps at each step"
    yield Claim("dense output end", dense.ends_with_b, how)


def _dense(tableau: ClaimedTableau, interpolant: Array) -> DenseOutput:
    highest = _highest(tableau.interpolant_order)
    # Sums of coefficients that cancel are compared with the size of the terms.
    ends_with_b = _equal(interpolant.sum(axis=1), tableau.b, abs(interpolant).sum(axis=1))
    powers = np.arange(1, interpolant.shape[1] + 1)
    last, first = _fsal_stage(tableau), np.eye(tableau.stages)
    smooth = last is not None and ends_with_b and _equal(interpolant[:, 0], first[0])
    smooth = smooth and _equal(interpolant @ powers, first[last], abs(interpolant) @ powers)
    return DenseOutput(
        order=attained_order(tableau.A, interpolant, highest),
        order_at_points=dense_order(tableau.A, tableau.c, interpolant, highest),
        measured=measured_dense_order(tableau.A, tableau.c, interpolant),
        ends_with_b=ends_with_b,
        smooth=smooth,
    )


def _fsal_stage(tableau: ClaimedTableau) -> int | None:
    """Return the stage that evaluates f at the end of the step, if the first one evaluates it at the start."""
    if np.any(tableau.A[0]) or tableau.c[0] != 0.0:
        return None
    at_end = (i for i, row in enumerate(tableau.A) if _equal(row, tableau.b) and _equal(tableau.c[i], np.ones(())))
    return next(at_end, None)


def _highest(claimed: int | None) -> int:
    return max(HIGHEST, (claimed or 0) + 1)  # one order beyond the claim, to see that it is not more


def _equal(x: Array, y: Array, size: Array | None = None) -> bool:
    return bool(np.all(abs(x - y) <= ROUND_OFF * (abs(y) + (0.0 if size is None else size))))
