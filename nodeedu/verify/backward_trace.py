"""Where is backward? A pass of the adjoint method, step by step, beside two quantities that tell whether it is right.

    a dz              constant between observations, for any nudge dz that the flow carries along (eq-k1)
    a f + int a f_t   constant between observations, with the integral from t to the end (eq-f4)

At an observation a jumps by g_i = dL/dz(t_i), and they by ``g_i dz`` and ``g_i f``. What these jumps add up to is what
is due. The pass makes the steps of ``gradients(..., method="backsolve")``, in plain Python, so that a claimed adjoint
can take the place of ``a' = -a f_z``, and a claimed jump that of ``a + g``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..sensitivity.step_rules import StepRules
from ..solvers.arguments import Inputs, check_cotangents, check_inputs, check_options, real_array
from ..solvers.callables import CallableField
from ..solvers.runge_kutta import as_method
from ..solvers.solve import require_success, run, solve
from ..solvers.systems import TANGENT, Problem

Array = NDArray[Any]
Adjoint = Callable[[float, Array, Array, Any], Any]
Jump = Callable[[Array, Array], Any]
NUMBERS = ("a dz", "due", "a f + ...", "due")
SHOWN = 4  # components of a, at most


class Row(NamedTuple):
    """A line of the trace.

    Parameters
    ----------
    t : float
    what : str
        "jump, g_i", "step", or "rejected", a trial step that came to nothing.
    a : array (D,)
        The adjoint there, after the jump.
    pairing, pairing_due : float
        ``a dz``, and the sum of ``g_i dz(t_i)`` of the observations so far.
    energy, energy_due : float
        ``a f`` plus the integral of ``a f_t`` from t to the end, and the sum of ``g_i f(t_i)``.
    error : float
        ``|z^ - z|`` of the state that was found on the way back.
    evaluations : int
        Of f with its derivatives, so far.
    """

    t: float
    what: str
    a: Array
    pairing: float
    pairing_due: float
    energy: float
    energy_due: float
    error: float
    evaluations: int

    def __str__(self) -> str:
        numbers = " ".join(f"{x:12.6g}" for x in (self.pairing, self.pairing_due, self.energy, self.energy_due))
        a = ", ".join(f"{x:.4g}" for x in self.a[:SHOWN]) + (", ..." if len(self.a) > SHOWN else "")
        return f"{self.t:9.5f}  {self.what:10} {numbers} {self.error:9.0e} {self.evaluations:7d}  ({a})"


@dataclass(frozen=True, eq=False)
class BackwardTrace:
    """An annotated backward pass; ``str()`` is the table.

    Parameters
    ----------
    rows : tuple of Row
        From the last time to the first, the observation at t0 included.
    """

    rows: tuple[Row, ...]

    @property
    def pairing_drift(self) -> float:
        """How far a dz strays from what is due, relative to the largest value that is due."""
        return _drift([(row.pairing, row.pairing_due) for row in self.rows])

    @property
    def energy_drift(self) -> float:
        """How far a f and its integral stray from what is due, relative to the largest value that is due."""
        return _drift([(row.energy, row.energy_due) for row in self.rows])

    def __str__(self) -> str:
        drifts = f"drift of a dz {self.pairing_drift:.0e}, of a f + ... {self.energy_drift:.0e}"
        headings = f"{'t':>9}  {'what':10} {' '.join(f'{name:>12}' for name in NUMBERS)} |z^ - z|  f, VJP  a"
        return "\n".join([headings, *map(str, self.rows), drifts])

    def figure(self) -> Any:
        """Draw both quantities; return a Matplotlib figure. `duality_figure` draws several passes."""
        from .backward_trace_figure import duality_figure

        return duality_figure({"this pass": self})


def _drift(pairs: list[tuple[float, float]]) -> float:
    got, due = np.array(pairs).T
    return float(abs(got - due).max() / max(abs(due).max(), np.finfo(float).tiny))


class _Passed(NamedTuple):
    """A row before it is known what is due."""

    t: float
    what: str
    a: Array
    z: Array
    put_in: float
    evaluations: int
    observed: int  # the earliest observation that has been added


def backward_trace(
    field: Any,
    z0: ArrayLike,
    ts: ArrayLike,
    theta: Any,
    zs_bar: ArrayLike,
    solver: str = "dopri5",
    adjoint: Adjoint | None = None,
    jump: Jump | None = None,
    nudge: ArrayLike | None = None,
    reset: bool = True,
    **options: Any,
) -> BackwardTrace:
    """Solve the adjoint ODE backwards, one sample, and write down every step and every jump.

    Parameters
    ----------
    field, z0, ts, theta, zs_bar, solver
        As for `gradients`; no batch.
    adjoint : callable, optional
        ``adjoint(t, z, a, theta) -> da/dt`` in place of ``-a f_z``, of arrays in the shape of the state.
    jump : callable, optional
        ``jump(a, g) -> a`` in place of ``a + g``.
    nudge : array, optional
        dz at t0, in the shape of z0; by default of ones.
    reset : bool
        Whether z starts anew from the forward solve at every observation.
    **options
        Of the solver: rtol, atol, step_size, ...

    Returns
    -------
    BackwardTrace

    Raises
    ------
    TypeError, ValueError
        If an argument is wrong, or a claimed function returns another shape than a's; the message names it.
    SolverError
        If the forward solve fails.
    ArithmeticError
        If the backward pass cannot go on.
    """
    if not hasattr(field, "kernel") or isinstance(field, CallableField):
        raise TypeError(f"field: got {field!r}, which has no derivatives; make one with ne.vector_field(f, z0, theta)")
    inputs = check_inputs(field, z0, ts, theta)
    if inputs.batched:
        raise ValueError(f"z0: got shape {inputs.state_shape}, expected {field.shape}: a trace follows one sample")
    checked = check_options(solver, shape=field.shape, called="solver", **options)
    if checked.tableau is None:
        raise ValueError(f"solver: 'backsolve' takes an explicit Runge-Kutta method, got {solver!r}")
    start = np.ones(field.shape) if nudge is None else real_array("nudge", nudge)
    if start.shape != field.shape:
        raise ValueError(f"nudge: got shape {start.shape}, expected {field.shape}")
    bar, solution = check_cotangents(zs_bar, inputs)[:, 0], solve(inputs, checked)
    require_success(solution._samples, checked, False)
    rules = StepRules(checked, inputs.z0.dtype, float(checked.first_step or solution._samples["h"][0]))
    passed = _Pass(inputs, rules, theta, adjoint, jump)
    passed.go(solution._states.reshape(bar.shape), bar, reset)
    return BackwardTrace(tuple(_annotate(inputs, passed.found, bar, start)))


class _Pass:
    """The backward pass: z, a and the integral of a f_t, and what has been found."""

    def __init__(
        self, inputs: Inputs, rules: StepRules, theta: Any, adjoint: Adjoint | None, jump: Jump | None
    ) -> None:
        self.inputs, self.rules, self.theta, self.adjoint, self.jump = inputs, rules, theta, adjoint, jump
        self.vjp = inputs.field.kernel("vjp", inputs.z0.dtype)
        self.found: list[_Passed] = []
        self.evaluations, self.put_in = 0, 0.0

    def go(self, zs: Array, bar: Array, reset: bool) -> None:
        """Go from the last time to the first, with the jump at t0 at the end."""
        ts, z, a = self.inputs.ts[0], zs[-1], np.zeros_like(zs[-1])
        for i in range(len(ts) - 1, -1, -1):
            z, a = zs[i] if reset and i else z, self._jumped(a, bar[i])
            self._note(ts[i], f"jump, g_{i}", z, a, i)
            if i:
                z, a = self._over_interval(ts[i], ts[i - 1], z, a, i)

    def _over_interval(self, start: float, end: float, z: Array, a: Array, i: int) -> tuple[Array, Array]:
        for stop in self.rules.stops(start, end):
            t, made = start, 0
            self.evaluations += self.rules.method.fsal  # the first slope, as a has jumped, or the field
            while t != stop:
                h, t1 = self.rules.aim(t, start, stop, made)
                new, put_in, ratio = self._step(t, h, t1, z, a)
                self.evaluations += len(self.rules.method.b) - (self.rules.method.fsal or self.rules.rejected)
                if self.rules.accepts(t, abs(h), ratio):
                    (z, a), t, made = new, t1, made + 1
                    self.put_in += put_in
                    self._note(t, "step", z, a, i)
                elif self.rules.is_stuck(t):
                    raise ArithmeticError(f"backward_trace: stopped at t = {t:.6g}, where no step is accepted")
                else:
                    self._note(t, "rejected", z, a, i)
            start = stop
        return z, a

    def _note(self, t: float, what: str, z: Array, a: Array, i: int) -> None:
        self.found.append(_Passed(float(t), what, a.copy(), z.copy(), self.put_in, self.evaluations, i))

    def _step(self, t: float, h: float, t1: float, z: Array, a: Array) -> tuple[Array, float, float]:
        """Make a trial step; return the new (z, a) as (2, D), what a f_t puts in, and the error ratio."""
        rules, y = self.rules, np.stack([z, a])
        slopes, put_in = np.empty((len(rules.method.b), *y.shape), y.dtype), np.empty(len(rules.method.b))
        with np.errstate(all="ignore"):
            for q, c in enumerate(rules.method.c):
                state = y + h * np.tensordot(rules.method.A[q, :q], slopes[:q], 1)
                slopes[q], put_in[q] = self._slopes(rules.time(t, h, t1, c), state.astype(y.dtype))
            new = (y + h * np.tensordot(rules.method.b, slopes, 1)).astype(y.dtype)
            errors = (h * np.tensordot(rules.method.e, slopes, 1)).astype(y.dtype)
            ratio = max(rules.norm(*each) for each in zip(errors, y, new, strict=True))
        return new, float(-h * (rules.method.b @ put_in)), ratio

    def _slopes(self, t: float, y: Array) -> tuple[Array, float]:
        """Return f and da/dt as (2, D), and a f_t."""
        z, a = y[:1].copy(), y[1:].copy()
        dz, z_bar, t_bar = np.empty_like(z), np.empty_like(z), np.empty(1, y.dtype)
        p_bar, work = np.zeros(self.inputs.field.n_params, y.dtype), np.empty(self.vjp.work_size, y.dtype)
        self.vjp.function(np.array([t]), z, a, self.inputs.p, dz, t_bar, z_bar, p_bar, work)
        da = -z_bar[0] if self.adjoint is None else self._claimed("adjoint", self.adjoint, t, z, a, self.theta)
        return np.stack([dz[0], da]), float(t_bar[0])

    def _jumped(self, a: Array, g: Array) -> Array:
        return a + g if self.jump is None else self._claimed("jump", self.jump, a, g)

    def _claimed(self, name: str, function: Callable[..., Any], *arguments: Any) -> Array:
        """Call a claim on arrays in the shape of the state, copies each."""
        shape = self.inputs.field.shape
        given = [x.reshape(shape).copy() if isinstance(x, np.ndarray) and x is not self.theta else x for x in arguments]
        value = np.asarray(function(*given))
        if value.shape != shape or value.dtype.kind not in "fiu":
            got = f"{value.dtype} of shape {value.shape}"
            raise ValueError(f"{name}: {function!r} returned {got}, expected real numbers of shape {shape}")
        return value.astype(self.inputs.z0.dtype).reshape(-1)


def _annotate(inputs: Inputs, found: list[_Passed], bar: Array, nudge: Array) -> list[Row]:
    """Say at every row what a dz and a f are, what is due, and how far z is off."""
    times, places = np.unique([each.t for each in found], return_inverse=True)
    backwards = inputs.ts[0, -1] < inputs.ts[0, 0]
    zs, nudged = _true(inputs, times[::-1] if backwards else times, nudge)
    if backwards:
        zs, nudged = zs[::-1], nudged[::-1]
    at = np.searchsorted(times, inputs.ts[0])
    slopes = _slopes_at(inputs, times, zs)
    due = [np.einsum("td,td->t", bar, each[at])[::-1].cumsum()[::-1] for each in (nudged, slopes)]
    rows = []
    for each, k in zip(found, places, strict=True):
        values = float(each.a @ nudged[k]), float(due[0][each.observed])
        energies = float(each.a @ slopes[k] + each.put_in), float(due[1][each.observed])
        error = float(np.linalg.norm(each.z - zs[k]))
        rows.append(Row(each.t, each.what, each.a, *values, *energies, error, each.evaluations))
    return rows


def _true(inputs: Inputs, times: Array, nudge: Array) -> tuple[Array, Array]:
    """Return the states and what the nudge has become at times (n,), both (n, D), more accurately than is asked for."""
    options, dtype = check_options("dop853", rtol=1e-11, atol=1e-13), np.dtype(np.float64)
    jvp, p = inputs.field.kernel("jvp", dtype), inputs.p.astype(dtype)
    problem = Problem(TANGENT, jvp.callee, p, np.zeros((1, len(p))), np.empty(jvp.work_size))
    y0 = np.stack([inputs.z0.astype(dtype), nudge.astype(dtype).reshape(1, -1)])
    method = as_method(options.tableau, dtype, False)
    outputs, samples, _ = run(problem, method, options, np.ascontiguousarray(times[None]), y0, lands=True)
    require_success(samples, options, False, "backward_trace: ")
    return outputs[:, 0, 0], outputs[:, 1, 0]


def _slopes_at(inputs: Inputs, times: Array, zs: Array) -> Array:
    """Evaluate f at times (n,) and states (n, D)."""
    f = inputs.field.kernel("f", np.dtype(np.float64))
    slopes = np.empty_like(zs)
    p = inputs.p.astype(np.float64)
    f.function(np.ascontiguousarray(times), np.ascontiguousarray(zs), p, slopes, np.empty(f.work_size))
    return slopes
