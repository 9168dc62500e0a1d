r"""(i) Densities in space and time: Liouville's equation at a fixed point, along a particle, and for the score.

The density at t0 is the standard normal one; p at (z, t), in the middle of the path, is the one that the flow makes of
it. ``s = d log p/dz``, the score, is a row.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from ..problem import Problem
from .equation import STEPS, Equation
from .h_change_of_variables import PAPER, REVERSIBLE, TWICE, J, log_density, log_det_Phi, log_normal, slope
from .hypotheses import SMOOTH
from .paths import Array, carried, ends, middle, state


def p(P: Problem, shift: float = 0.0) -> float:
    """Return the density in the middle, or a little later at the same place, by definition."""
    return math.exp(log_density(P, middle(P) + shift, state(P, middle(P))))


def p_along(P: Problem, shift: float) -> float:
    """Return the density that the particle meets a little later: that of its start, over its change of volume."""
    return math.exp(log_normal(P.z0) - log_det_Phi(P, shift))


@lru_cache(maxsize=64)
def s(P: Problem) -> Array:
    """Return the score in the middle by differences of densities: no derivative of a derivative takes part."""
    t, z = middle(P), state(P, middle(P))
    return np.array([slope(lambda x: log_density(P, t, x), z, e) for e in np.eye(P.size)])


def p_rate(P: Problem) -> float:
    """Return the rate at which p may change, as its change may vanish."""
    return p(P) * float(np.linalg.norm(J(P)))


# fmt: off
EQUATIONS = (
    Equation("i1", r"\frac{p(z, t + h) - p(z, t - h)}{2 h} = -p\, (\mathrm{tr}\, J + s f) + O(h^2)",
             PAPER + "(30), the product differentiated", order=2, ladder=STEPS[:4],
             scale=p_rate, hypotheses=(SMOOTH, TWICE, REVERSIBLE),
             lhs=lambda P, h: (p(P, h) - p(P, -h)) / (2 * h),
             rhs=lambda P, h: -p(P) * (P.divergence(middle(P), state(P, middle(P)))
                                       + s(P) @ P.f(middle(P), state(P, middle(P))))),
    Equation("i2", r"\frac{p(z(t + h), t + h) - p(z(t - h), t - h)}{2 h} = -p\, \mathrm{tr}\, J + O(h^2)",
             PAPER + "(31)", order=2, scale=p_rate,
             lhs=lambda P, h: (p_along(P, h) - p_along(P, -h)) / (2 * h),
             rhs=lambda P, h: -p(P) * P.divergence(middle(P), state(P, middle(P)))),
    Equation("i3", r"\frac{ds}{dt} = -s J - \nabla \mathrm{tr}\, J, \quad s(t_0) = -z_0",
             PAPER + "(32), differentiated in space", tolerance=1e-8,  # differences
             hypotheses=(SMOOTH, TWICE, REVERSIBLE),
             lhs=lambda P, _: s(P),
             rhs=lambda P, _: carried(P, lambda t, z, s: -s @ P.J(t, z) - P.divergence_gradients(t, z)[0],
                                      -state(P, ends(P)[0]), ends(P)[0], middle(P))),
)
# fmt: on
