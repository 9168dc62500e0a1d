"""The tally: what every evaluation of f was for.

    accepted    stages of accepted steps, and first slopes that methods without FSAL evaluate for every step
    rejected    stages of rejected trial steps
    initial     the first slope at the start, after a jump and after an event's reset; the probe for the first step size
    dense       what outputs inside steps take beyond the steps, all of a second solve for ``sol(t)`` included
    event       location of events
    newton      residuals of nonlinear equations, of accepted and rejected steps alike
    adjoint     f with its derivatives in the backward pass of a gradient
    trace       f with the trace of its Jacobian

A solver adds to ``nfev`` of SAMPLE (lanes.py) whatever the purpose, and to ``f_...`` unless it is "accepted", which is
the rest. So the purposes always add up to nfev.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray


class Tally(NamedTuple):
    """Evaluations of f by purpose, ints or arrays (B,): ``sum(tally)`` is nfev."""

    accepted: Any
    rejected: Any
    initial: Any
    dense: Any
    event: Any
    newton: Any
    adjoint: Any
    trace: Any


def count_dense(samples: Array, evaluations: Array | int) -> None:
    """Add evaluations that dense output takes beyond the steps to the counters of samples (B,) of SAMPLE."""
    samples["nfev"] += evaluations
    samples["f_dense"] += evaluations


def make_tally(samples: Array, batched: bool, adjoint: Array | int = 0) -> Tally:
    """Give the evaluations of samples (B,) of SAMPLE by purpose; ``adjoint`` ones come on top of their nfev."""
    others = [samples["f_" + name] for name in Tally._fields[1:]]
    columns = [samples["nfev"] - sum(others), *others]
    columns[6] = columns[6] + adjoint
    return Tally(*(np.array(each) if batched else int(each[0]) for each in columns))
