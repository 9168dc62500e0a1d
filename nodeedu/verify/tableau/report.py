"""What `nodeedu tableau` prints of an audit: text for people, JSON for programs."""

from __future__ import annotations

from math import isfinite
from typing import Any

from .audit import Audit
from .measured import Measurement
from .order import Order
from .stability import Array, Stability

SHOWN = 5  # missed conditions that the text lists


def text(audit: Audit) -> str:
    """Write an audit: the facts, then a line for each claim, then one sentence.

    Parameters
    ----------
    audit : Audit

    Returns
    -------
    str
    """
    sections = [_head(audit), *_order(audit.order), "", *_facts(audit), "", *_claims(audit), "", _sentence(audit)]
    return "\n".join(sections)


def as_dict(audit: Audit) -> dict[str, Any]:
    """Return an audit as what JSON can hold; None stands for unbounded stability and for an order not measured.

    Parameters
    ----------
    audit : Audit

    Returns
    -------
    dict
    """
    tableau, dense = audit.tableau, audit.dense
    p, q, r = audit.assumptions
    return {
        "name": tableau.name,
        "reference": tableau.reference,
        "stages": tableau.stages,
        "structure": audit.structure,
        "fsal": audit.fsal,
        "stiffly_accurate": audit.stiffly_accurate,
        "row_sum_error": audit.row_sum_error,
        "simplifying_assumptions": {"B": p, "C": q, "D": r},
        "order": _order_dict(audit.order) | {"measured": _measured_dict(audit.measured)},
        "stability": _stability_dict(audit.stability),
        "embedded": None
        if audit.embedded is None or audit.embedded_measured is None or audit.embedded_stability is None
        else _order_dict(audit.embedded)
        | {"measured": _measured_dict((audit.embedded_measured,))}
        | {"stability": _stability_dict(audit.embedded_stability)},
        "dense_output": None
        if dense is None
        else {
            "order": dense.order,
            "order_at_random_points": dense.order_at_points,
            "measured": _finite(dense.measured.order),
            "ends_with_b": dense.ends_with_b,
            "continuous_slope": dense.smooth,
        },
        "claims": [{"name": c.name, "holds": c.holds, "evidence": c.evidence} for c in audit.claims],
        "passed": audit.passed,
    }


def _head(audit: Audit) -> str:
    tableau = audit.tableau
    stages = "1 stage" if tableau.stages == 1 else f"{tableau.stages} stages"
    words = [stages, audit.structure]
    words += ["FSAL"] if audit.fsal else []
    words += ["stiffly accurate"] if audit.stiffly_accurate and audit.structure != "explicit" else []
    reference = f"\n{tableau.reference}" if tableau.reference else ""
    return f"{tableau.name}: {', '.join(words)}{reference}\n"


def _order(order: Order) -> list[str]:
    lines = ["order   conditions   missed   largest residual"]
    for n, group in enumerate(order.conditions, start=1):
        missed = sum(not each.holds for each in group)
        largest = max(abs(each.residual) for each in group)
        lines.append(f"{n:>5}{len(group):>13}{missed or '-':>9}{largest:>19.1e}")
    if order.missed:
        listed = ", ".join(f"{each.tree} by {each.residual:.2g}" for each in order.missed[:SHOWN])
        more = len(order.missed) - SHOWN
        lines.append(f"first missed: {listed}" + (f", and {more} more" if more > 0 else ""))
        if any("c" in each.tree for each in order.missed):
            lines.append("(c: a leaf in t, for which a stage uses its node; t: every other vertex)")
    return lines


def _facts(audit: Audit) -> list[str]:
    order, dense, (p, q, r) = audit.order, audit.dense, audit.assumptions
    least = min(p, q + r + 1, 2 * q + 2)
    facts = [
        ("order of b", f"{_at_least(order, order.autonomous)} where f does not depend on t, "
                       f"{_at_least(order, order.non_autonomous)} where it does"),
        ("principal error", "-" if order.principal_error is None else f"{order.principal_error:.4g}, the norm of "
                            f"the coefficients of h^{order.autonomous + 1} in the error of one step"),
        ("assumptions", f"B({p}) C({q}) D({r}), which alone give order {least}; stage order {min(p, q)}"),
    ]  # fmt: skip
    if audit.embedded is not None:
        facts.append(("order of b_hat", _at_least(audit.embedded, audit.embedded.non_autonomous)))
    if dense is not None:
        how = "slope continuous" if dense.smooth else "continuous" if dense.ends_with_b else "with jumps"
        facts.append(("dense output", f"order {dense.order_at_points}, {how}"))
    facts += _stability_facts(audit.stability)
    return [f"{name:<17}{fact}" for name, fact in facts]


def _stability_facts(stability: Stability) -> list[tuple[str, str]]:
    P, Q = polynomial(stability.numerator), polynomial(stability.denominator)
    rational = P if Q == "1" else f"({P}) / ({Q})"
    shown = f"order {stability.order}; exp(z) - R(z) = {stability.error_constant:.3g} z^{stability.order + 1} + ..."
    real, imaginary = (
        "unbounded" if not isfinite(x) else "none" if x == 0.0 else f"to {x:.5g}"
        for x in (stability.real_interval, stability.imaginary_interval)
    )
    facts = [
        ("R(z)", rational),
        ("R against exp", shown),
        ("|R| <= 1", f"negative real axis: {real}; imaginary axis: {imaginary}"),
    ]
    if len(stability.denominator) > 1:
        flags = f"A-stable: {_yes(stability.a_stable)}; L-stable: {_yes(stability.l_stable)}"
        facts.append(("implicit", f"{flags}; |R(infinity)| = {stability.at_infinity:.4g}"))
    return facts


def _claims(audit: Audit) -> list[str]:
    width = max(len(claim.name) for claim in audit.claims)
    return [f"{'PASS' if c.holds else 'FAIL'}  {c.name:<{width}}  {c.evidence}" for c in audit.claims]


def _sentence(audit: Audit) -> str:
    broken = [claim.name for claim in audit.claims if not claim.holds]
    if not broken:
        return f"{audit.tableau.name} is what it claims to be: all {len(audit.claims)} claims hold."
    count = f"{len(broken)} of {len(audit.claims)} claims"
    return f"{audit.tableau.name} is not what it claims to be: {count} fail ({', '.join(broken)})."


def polynomial(coefficients: Array) -> str:
    """Write a polynomial in z, from the lowest power up, leaving out zeros."""
    terms: list[str] = []
    for k, value in enumerate(coefficients):
        if value == 0.0:
            continue
        power = "" if k == 0 else "z" if k == 1 else f"z^{k}"
        number = f"{abs(value):.6g}"
        sign = "-" if value < 0 else "+"
        term = power if k and number == "1" else f"{number} {power}".strip()
        terms.append(f"{sign} {term}" if terms else f"{'-' if value < 0 else ''}{term}")
    return " ".join(terms) or "0"


def _at_least(order: Order, value: int) -> str:
    return f"{value} or more" if value == order.highest else str(value)


def _yes(flag: bool) -> str:
    return "yes" if flag else "no"


def _finite(x: float) -> float | None:
    return x if isfinite(x) else None


def _order_dict(order: Order) -> dict[str, Any]:
    return {
        "autonomous": order.autonomous,
        "non_autonomous": order.non_autonomous,
        "highest": order.highest,
        "principal_error": order.principal_error,
        "residuals": [max(abs(each.residual) for each in group) for group in order.conditions],
        "missed": [
            {"tree": each.tree, "order": each.order, "residual": each.residual}
            for each in dict.fromkeys((*order.missed, *(x for group in order.conditions for x in group if not x.holds)))
        ],
    }


def _measured_dict(measured: tuple[Measurement, ...]) -> dict[str, float | None]:
    return {each.problem: _finite(each.order) for each in measured}


def _stability_dict(stability: Stability) -> dict[str, Any]:
    return {
        "numerator": stability.numerator.tolist(),
        "denominator": stability.denominator.tolist(),
        "order": stability.order,
        "error_constant": stability.error_constant,
        "real_interval": _finite(stability.real_interval),
        "imaginary_interval": _finite(stability.imaginary_interval),
        "at_infinity": _finite(stability.at_infinity),
        "a_stable": stability.a_stable,
        "l_stable": stability.l_stable,
    }
