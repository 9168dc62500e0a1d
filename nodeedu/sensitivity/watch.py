"""Will `backsolve` find its way back? A prediction before the backward pass, and a warning.

Backsolve solves z' = f backwards from every observed state. An error delta of the state that it reconstructs obeys

    delta_n = Phi^-1 delta_(n+1) + r_n,      r_n = step(-h_n; z_(n+1)) - z_n,

with r_n what is missing after one step forwards and the same step back, and Phi^-1 the tangent of the step back. All
r_n are evaluated at once, as each needs the forward steps only. Four tangents then go back: one with the r_n as they
are, two with random signs, as the backward solve takes steps of its own, and one unit vector, which measures
``|Phi^-1|`` from below. The adjoint goes back with them, along the states as they are and as they would be
reconstructed. The difference of the two integrals is the error of the gradient: an error where a has decayed does not
count, and a small error where f_theta is sensitive does.

All is linear in delta but for that. Besides, a is taken to be solved as accurately as z is. If the order is even, the
errors of a step and of the same step back cancel in r_n. With fixed steps they really do; adaptive steps back are
others, and what the step forwards alone gets wrong stands in for r_n, times the root of 2 for both ways.

It costs a forward solve and a few backward passes that are evaluated from Python.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from nodeedu.solvers.arguments import Inputs, check_cotangents, check_inputs, check_options
from nodeedu.solvers.callables import CallableField
from nodeedu.solvers.runge_kutta import Method, as_method
from nodeedu.solvers.solution import Solution
from nodeedu.solvers.solve import require_success, run, solve
from nodeedu.solvers.systems import FIELD, Problem

Array = np.ndarray

LOST, DOUBTFUL = 1.0, 0.1  # predictions are good within a factor 10
COLUMNS = 3  # of reconstruction errors; the fourth tangent is the unit vector
SQRT2 = 2.0**0.5
FORWARD_SHARE = 0.5  # of r_n: what is left if the step back is split, as both steps err by about the same


class BacksolveWarning(UserWarning):
    """The gradient that backsolve is about to compute is predicted to be wrong."""


@dataclass(frozen=True)
class Prediction:
    """What backsolve is predicted to get wrong: floats, or arrays (B,) for a batch.

    Parameters
    ----------
    state : float or array
        Relative error of the reconstructed z(t0).
    gradient : float or array
        Relative error of the sample's gradient, dL/dz0 (without the observation at t0) and dL/dtheta as one vector.
    amplification : float or array
        The largest growth of a unit vector from one observation back to the one before: ``|Phi^-1|`` from below.
    tangents : int
        How many tangent solves it took.
    """

    state: Any
    gradient: Any
    amplification: Any
    tangents: int = COLUMNS + 1

    @property
    def verdict(self) -> str:
        """On the gradient: "lost" above 1, "doubtful" within a factor 10 of that, else "kept"; of the worst sample."""
        return _verdict(self.gradient)

    @property
    def state_verdict(self) -> str:
        """The same on the reconstructed z(t0). A lost state need not mean a lost gradient."""
        return _verdict(self.state)

    def __str__(self) -> str:
        """Say what is predicted in one sentence."""
        state, gradient, growth = (np.max(each) for each in (self.state, self.gradient, self.amplification))
        return (
            f"backsolve: the gradient is {self.verdict} (relative error {gradient:.0e}), the reconstructed z(t0) is "
            f"{self.state_verdict} ({state:.0e}); backwards, errors grow by {growth:.0e} between observations"
        )


def predict_backsolve(
    field: Any, z0: ArrayLike, ts: ArrayLike, theta: Any, zs_bar: ArrayLike, solver: str = "dopri5", **options: Any
) -> Prediction:
    """Predict the errors of the reconstructed state and of the gradient that backsolve would make.

    Parameters
    ----------
    field, z0, ts, theta, zs_bar, solver
        As for `gradients`.
    **options
        Of the solver: rtol, atol, step_size, ...

    Returns
    -------
    Prediction

    Raises
    ------
    TypeError
        If field is a plain callable, which has no derivatives.
    ValueError
        If an argument is wrong.
    SolverError
        If the forward solve fails.
    """
    if not hasattr(field, "kernel") or isinstance(field, CallableField):
        raise TypeError(f"field: got {field!r}, which has no derivatives; make one with ne.vector_field(f, z0, theta)")
    inputs = check_inputs(field, z0, ts, theta)
    checked = check_options(solver, shape=field.shape, called="solver", **options)
    if checked.tableau is None:
        raise ValueError(f"solver: 'backsolve' takes an explicit Runge-Kutta method, got {solver!r}")
    bar, solution = check_cotangents(zs_bar, inputs), solve(inputs, checked)
    require_success(solution._samples, checked, inputs.batched)
    return predict(solution, bar)


def check_watch(watch: bool, method: str, reset: bool = True) -> None:
    """Raise ValueError if there is nothing to watch, or what there is is not what is predicted."""
    if watch and method != "backsolve":
        raise ValueError(f"watch: {method!r} runs nothing backwards that could go astray; leave it out")
    if watch and not reset:
        raise ValueError("watch: what is predicted holds with reset=True; without, compare returned_z0 with z0")


def watch_backsolve(solution: Solution, zs_bar: Array) -> None:
    """Warn if the gradient that backsolve would make of a solution is predicted to be doubtful or lost."""
    prediction = predict(solution, zs_bar)
    if prediction.verdict != "kept":
        warnings.warn(
            f"{prediction}. Take method='discrete', 'checkpointed' or 'interpolated', observe more often or lower the "
            "tolerances", BacksolveWarning, stacklevel=3,
        )  # fmt: skip


def predict(solution: Solution, zs_bar: Array) -> Prediction:
    """Predict from a solve that has been made; zs_bar is (T, B, D)."""
    batched, each = solution._inputs.batched, _predictions(solution, zs_bar)
    return Prediction(*(each if batched else (float(column[0]) for column in each)))


def _verdict(error: Any) -> str:
    worst = np.max(error)
    if not worst <= LOST:
        return "lost"
    return "doubtful" if worst > DOUBTFUL else "kept"


# ---------------------------------------------------------------- steps back


class Back(NamedTuple):
    """The R steps of one sample, each taken back from where it ended; s stages."""

    h: Array  # (R,)
    y: Array  # (R, D) where it should arrive
    t: Array  # (s, R) times of its stages
    states: Array  # (s, R, D)
    residuals: Array  # (R, D) r_n
    forward: Array  # (R, D) the part of the step forwards: what is missing after the step back in two halves
    ratios: Array  # (R,) what the error test would say of it
    starts: dict[int, tuple[int, Array]]  # of the last step of an interval: the observation, and how far z_i is off


def _predictions(solution: Solution, zs_bar: Array) -> Array:
    """Return state, gradient and amplification of every sample, (3, B)."""
    inputs, options = solution._inputs, solution._options
    z0, kernel = inputs.z0, inputs.field.kernel("f", inputs.z0.dtype)
    if len(zs_bar) == 1:
        return np.zeros((3, len(z0)))
    method = as_method(options.tableau, z0.dtype, False)
    problem = Problem(FIELD, kernel.callee, inputs.p, np.empty((0, 0), z0.dtype), np.empty(kernel.work_size, z0.dtype))
    landed, samples, records = run(problem, method, options, inputs.ts, z0[None], lands=True, record=True)
    require_success(samples, options, inputs.batched)
    steps, columns = records.steps[: records.count[0]], []
    off = solution._states.reshape(zs_bar.shape) - landed[:, 0]
    for b in range(len(z0)):
        own = np.flatnonzero(steps["sample"] == b)
        ts = inputs.ts[b if len(inputs.ts) > 1 else 0]
        with np.errstate(all="ignore"):  # what blows up is lost
            back = _steps_back(solution, method, steps[own], records.rows[own, 0], ts, landed[:, 0, b], off[:, b])
            columns.append(_tangents_and_adjoints(solution, method, back, zs_bar[:, b]))
    return np.array(columns).T


def _steps_back(
    solution: Solution, method: Method, steps: Array, y: Array, ts: Array, landed: Array, off: Array
) -> Back:
    """Take every step back on its own; a kernel call evaluates a stage of all of them."""
    inputs, options = solution._inputs, solution._options
    h, t1 = np.array(steps["h"]), np.append(steps["t"][1:], ts[-1])
    y1 = np.concatenate([y[1:], landed[-1:]])
    t, states, slopes = _stages(inputs, method, h, steps["last"], t1, steps["first"], y1)
    missing = y1 - h[:, None] * np.tensordot(method.b, slopes, 1) - y
    scaled = h[:, None] * np.tensordot(method.e, slopes, 1) / _scale(options, y, y1)
    halfway, middle = t1 - 0.5 * h, y1
    for times in ((steps["last"], t1, halfway), (halfway, halfway, steps["first"])):
        half = _stages(inputs, method, 0.5 * h, *times, middle)[2]
        middle = middle - 0.5 * h[:, None] * np.tensordot(method.b, half, 1)
    forward = middle - y
    if not options.fixed and options.tableau.order % 2 == 0:
        missing = SQRT2 * forward
    ends = np.searchsorted(h[0] * steps["t"], h[0] * ts[1:]) - 1  # the last step before each observation
    starts = {int(n): (i + 1, off[i + 1]) for i, n in enumerate(ends)}
    return Back(h, y, t, states, missing, forward, np.sqrt(np.mean(scaled**2, axis=1)), starts)


def _stages(
    inputs: Inputs, method: Method, h: Array, last: Array, t1: Array, first: Array, y1: Array
) -> tuple[Array, Array, Array]:
    """Return times, states and slopes of the stages of steps back from y1 (R, D), whose ends are last and first."""
    kernel, stages = inputs.field.kernel("f", y1.dtype), len(method.b)
    t, states, slopes = np.empty((stages, len(h))), *np.empty((2, stages, *y1.shape), y1.dtype)
    for q, c in enumerate(method.c):
        t[q] = last if c == 0.0 else first if c == 1.0 else t1 - c * h
        states[q] = y1 - h[:, None] * np.tensordot(method.A[q, :q], slopes[:q], 1)
        kernel.function(t[q], states[q], inputs.p, slopes[q], np.empty(kernel.work_size, y1.dtype))
    return t, states, slopes


def _scale(options: Any, one: Array, other: Array) -> Array:
    return options.atol + options.rtol * np.maximum(abs(one), abs(other))


def _tangents_and_adjoints(solution: Solution, method: Method, back: Back, zs_bar: Array) -> tuple[float, ...]:
    """Return the predicted relative errors of z(t0) and of the gradient, and the amplification."""
    field, y = solution._inputs.field, back.y
    size, rng, growth = y.shape[1], np.random.default_rng(0), 0.0
    signs = rng.choice([-1.0, 1.0], (len(y), COLUMNS, 1)).astype(y.dtype)
    signs[:, 0] = 1.0
    unit = rng.normal(size=size)
    unit /= np.linalg.norm(unit)
    delta, a = np.zeros((COLUMNS + 1, size), y.dtype), np.zeros((COLUMNS + 1, size), y.dtype)
    p_bars = np.zeros((COLUMNS + 1, field.n_params), y.dtype)
    for n in range(len(y) - 1, -1, -1):
        if n in back.starts:
            i, off = back.starts[n]
            growth = max(growth, float(np.linalg.norm(delta[-1])))
            delta[:-1], delta[-1] = off, unit
            a = a + zs_bar[i]
        delta, a, ratio = _one_step(solution, method, back, n, delta, a, p_bars)
        share = max(max(ratio, back.ratios[n], 1.0) ** (-_power(solution)), FORWARD_SHARE)
        delta[:-1] += share * signs[n] * back.residuals[n]
    growth = max(growth, float(np.linalg.norm(delta[-1])))
    scale = max(float(np.linalg.norm(y[0])), np.finfo(y.dtype).tiny)
    state = float(np.linalg.norm(delta[:-1], axis=1).max()) / scale
    gradients = np.hstack([a, p_bars])
    size_of_gradient = float(np.linalg.norm(gradients[0]))
    if size_of_gradient == 0.0:
        return state, 0.0, growth
    errors = np.linalg.norm(gradients[1:] - gradients[0], axis=1) / size_of_gradient
    steps = np.maximum(*(np.linalg.norm(each, axis=1) for each in (back.residuals, back.forward)))
    own = float(np.sum(steps) / max(float(np.linalg.norm(y, axis=1).max()), scale))
    gradient = max(float(errors.max()), own)  # a is solved as accurately as z is, from step to step
    return tuple(np.nan_to_num([state, gradient, growth], nan=np.inf).tolist())


def _power(solution: Solution) -> float:
    """Return by which power of its error ratio a step's error falls if it is split; fixed steps are not."""
    tableau = solution._options.tableau
    if solution._options.fixed or tableau is None:
        return 0.0
    return tableau.order / (1 + min(tableau.order, tableau.embedded_order or tableau.order))


def _one_step(
    solution: Solution, method: Method, back: Back, n: int, delta: Array, a: Array, p_bars: Array
) -> tuple[Array, Array, float]:
    """Take tangents (4, D) and adjoints (4, D) back over a step; the first adjoint goes along the states as they are.

    Adds to p_bars (4, P), and returns the error ratio of the first adjoint.
    """
    inputs, h, rows = solution._inputs, back.h[n], len(a)
    jvp, vjp_z, vjp_theta = (inputs.field.kernel(kind, a.dtype) for kind in ("jvp", "vjp_z", "vjp_theta"))
    work = np.empty(max(kernel.work_size for kernel in (jvp, vjp_z, vjp_theta)), a.dtype)
    still, unused = np.zeros_like(inputs.p), np.empty_like(a)
    pushed, pulled = np.empty((2, len(method.b), *a.shape), a.dtype)
    for q in range(len(method.b)):
        t, state = np.full(rows, back.t[q, n]), np.repeat(back.states[q, n][None], rows, axis=0)
        tangents = delta - h * np.tensordot(method.A[q, :q], pushed[:q], 1).astype(a.dtype)
        adjoints = a + h * np.tensordot(method.A[q, :q], pulled[:q], 1).astype(a.dtype)
        jvp.function(t, state, tangents, inputs.p, still, unused, pushed[q], work)
        state[1:] += tangents[:-1]
        vjp_z.function(t, state, adjoints, inputs.p, unused, pulled[q], work)
        for i in range(rows if method.b[q] else 0):
            weighted = h * method.b[q] * adjoints[i : i + 1]
            vjp_theta.function(t[:1], state[i : i + 1], weighted, inputs.p, p_bars[i], work)
    new = a + h * np.tensordot(method.b, pulled, 1)
    scaled = h * np.tensordot(method.e, pulled[:, 0], 1) / _scale(solution._options, a[0], new[0])
    return delta - h * np.tensordot(method.b, pushed, 1), new, float(np.sqrt(np.mean(scaled**2)))
