"""The gradient court: all gradient methods against each other, and the user's own functions against every mistake."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import ArrayLike

from . import pointwise, whole
from .call import Fault
from .case import Case, Loss, make_case
from .judgement import Judgement, at_fault
from .report import text
from .trace import judge_trace_estimate
from .trial import Trial, run_trial

Claim = Callable[..., Any]
KINDS: dict[str, Callable[[Case, Claim, str], Judgement]] = {
    "adjoint_rhs": pointwise.judge_adjoint_rhs,
    "theta_integrand": pointwise.judge_theta_integrand,
    "jump": pointwise.judge_jump,
    "gradient": whole.judge_gradient,
    "log_p_rate": pointwise.judge_log_p_rate,
    "log_p_rate_fixed": pointwise.judge_log_p_rate_fixed,
    "log_p": whole.judge_log_p,
    "trace_estimate": judge_trace_estimate,
    "discrete_backward": whole.judge_discrete_backward,
    "linear_adjoint": whole.judge_linear_adjoint,
    "lagrange": whole.judge_lagrange,
    "tangent_rhs": pointwise.judge_tangent_rhs,
}
WITHOUT_FIELD = ("jump", "linear_adjoint")


@dataclass(frozen=True, eq=False)
class Verdict:
    """What the court found.

    Parameters
    ----------
    case : Case
        The problem.
    claims : tuple of Judgement
    trial : Trial or None
        The package's own methods against each other; None if they were left out.
    """

    case: Case
    claims: tuple[Judgement, ...]
    trial: Trial | None

    @property
    def ok(self) -> bool:
        """Whether all claims are right and all methods agree."""
        return all(claim.ok for claim in self.claims) and (self.trial is None or self.trial.ok)

    def figure(self) -> Any:
        """Draw the pairwise errors of the trial; return a Matplotlib figure."""
        from .figure import draw

        if self.trial is None:
            raise ValueError("trial: it was left out, and there is nothing to draw; expected court(..., trial=True)")
        return draw(self.trial)

    def __str__(self) -> str:
        return text(self)


def court(
    f: Any = None,
    z0: Any = None,
    ts: ArrayLike | None = None,
    theta: Any = None,
    loss: Loss | None = None,
    claims: Mapping[str, Claim] | None = None,
    *,
    trial: bool = True,
    scipy: bool = True,
) -> Verdict:
    """Try all gradient methods on a problem, judge the user's own functions, and name the mistake where one is wrong.

    The loss L looks at the states z(t_i) at all times. a = dL/dz(t) is a row, J = df/dz, g_i = dL/dz(t_i). Claims are
    functions, by kind; arrays have the shapes of the state and of theta:

    ==================== ================================================= ======================================
    claim                signature                                         right is
    ==================== ================================================= ======================================
    adjoint_rhs          (t, z, a, theta) -> da/dt                         -a J
    theta_integrand      (t, z, a, theta) -> structure of theta            a f_theta, integrated from t0 to t1
    jump                 (a, g) -> a                                       a + g, on the way back
    gradient             (f, z0, ts, theta, zs_bar) -> (z0, theta, ts)     see `nodeedu.gradients`; None if unclaimed
    log_p_rate           (t, z, theta) -> number                           -tr J, along the path
    log_p_rate_fixed     (t, z, theta) -> number                           -tr J - s f, at a fixed point; s the score
    log_p                (f, x, theta) -> number                           density at ts[-1] of a normal z(ts[0])
    trace_estimate       (t, z, theta, seed) -> number                     v J v, random by the seed alone
    discrete_backward    (f, zs, ts, theta, zs_bar) -> (z0, theta)         backpropagation through Euler's steps
    linear_adjoint       (A, C, u) -> row                                  u B, where A B = C, by one solve with A'
    lagrange             (f, z0, ts, theta, loss_gradient) -> dL/dtheta    by m' = l_z - m J, loss at ts[-1] alone
    tangent_rhs          (t, z, dz, theta) -> array                        J dz
    ==================== ================================================= ======================================

    A key may go on after its kind, as in ``"gradient 2"``. Where z0 is a function of theta, ``gradient`` gets that
    function, and its dL/dtheta includes the path through z0.

    Parameters
    ----------
    f : callable or VectorField, optional
        The field; by default a built-in one on which all mistakes can be told apart.
    z0 : array or callable, optional
        One initial state, or a function of theta that returns it.
    ts : array (T,), optional
        Times; by default four from 0.2 to 1.7.
    theta : structure, optional
        Parameters.
    loss : callable, optional
        ``loss(zs)`` -> L, or (L, dL/dzs), of the states (T, *shape), in NumPy; by default one that no mistake survives.
    claims : dict, optional
    trial : bool
        Whether to run the package's own gradient methods, too. Without, a claim is judged in a second or two.
    scipy : bool
        Whether the trial includes SciPy's solve of the sensitivity equations and the complex step.

    Returns
    -------
    Verdict
        ``.ok``, ``.claims``, ``.trial``, ``.figure()``; ``str()`` is the report.

    Raises
    ------
    TraceError, TypeError, ValueError
        If the problem cannot be used; the message names the argument. What a claim does wrong is never raised.
    """
    case = problem_of(f, z0, ts, theta, loss)
    _ = case.g  # a path or a loss that cannot be used is refused here
    judged = []
    for name, claim in (claims or {}).items():
        kind = kind_of(name)
        if not callable(claim):
            raise TypeError(f"claims[{name!r}]: got {claim!r}, expected a function")
        judged.append(judge_claim(case, kind, claim, name))
    return Verdict(case, tuple(judged), run_trial(case, scipy) if trial else None)


def problem_of(f: Any, z0: Any, ts: ArrayLike | None, theta: Any, loss: Loss | None) -> Case:
    """Return the case of some arguments; without f the built-in one."""
    if f is None:
        from ..standard_problems import V

        if z0 is not None or theta is not None or ts is not None:
            raise ValueError("f: got None with z0, ts or theta, expected a field, or nothing for the built-in one")
        return Case(V(), loss)
    if z0 is None:
        raise ValueError("z0: got None, expected an initial state")
    return make_case(f, z0, (0.2, 0.7, 1.1, 1.7) if ts is None else ts, theta, loss)


def kind_of(name: str) -> str:
    """Return the kind of a claim from its key.

    Raises
    ------
    ValueError
        If there is no such kind.
    """
    kind = name.split()[0] if name.split() else name
    if kind not in KINDS:
        raise ValueError(f"claims: got {name!r}, expected one of {', '.join(KINDS)}")
    return kind


def judge_claim(case: Case, kind: str, claim: Claim, name: str = "") -> Judgement:
    """Judge one claim on a case."""
    try:
        return KINDS[kind](case, claim, name or kind)
    except Fault as fault:
        return at_fault(name or kind, fault)
