"""What backsolve will get wrong, by a backward pass along the true path: the numbers behind watch.py.

Backsolve makes steps back, of sizes that its error estimates choose, from states that it has found before. As long as
those are near the true path, its steps are those that the same rules choose on the path itself, and the error delta of
its state obeys

    delta_m = Phi^-1 delta_(m+1) + r_m,      r_m = step(-h_m; z(t_(m+1))) - z(t_m).

So the path is retraced here: z is looked up at the start of every step back (in a more accurate forward solve, which
also tells how far off the observed states are), the step is made from there and judged as the solver would judge it,
and made once more in two halves, which tells r_m (by Richardson's extrapolation). Two tangents go back along with it:
delta, and a unit vector, which measures ``|Phi^-1|`` from below. So do two adjoints: one as exact as the halves are,
and one along z + delta by the steps that backsolve makes. The difference of their integrals is the error of the
gradient: an error where a has decayed does not count, and a small error where f_theta is sensitive does. All is linear
in delta but for that.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from nodeedu import tableaus
from nodeedu.sensitivity.backsolve import theta_quadrature
from nodeedu.sensitivity.lookup import Path, solved, states_of, with_path
from nodeedu.sensitivity.step_rules import StepRules
from nodeedu.solvers.solution import Solution
from nodeedu.solvers.solve import require_success

Array = np.ndarray

TANGENTS = 2  # delta and the unit vector
FINER, DECAYED = 1e-2, 1e-12  # tolerances of the true path, in units of those that are watched
MANY = 10_000  # steps that it may take
FINEST = {8: 1e-12, 4: 1e-6}  # rtol that a dtype of so many bytes still allows


class Step(NamedTuple):
    """A step back that was tried."""

    z: Array  # (D,) where it leads on the path
    tangents: Array  # (m, D)
    a: Array  # (n, D), the first along the path, the others along path and tangents
    p_bars: Array  # (n, P) what they add to the integral for theta
    ratio: float


def backward_errors(solution: Solution, zs_bar: Array) -> Array:
    """Return state, gradient and amplification of every sample, (3, B); see `Prediction` in watch.py."""
    inputs = solution._inputs
    if len(zs_bar) == 1:
        return np.zeros((3, len(inputs.z0)))
    true = _true_path(solution)
    path, off = solved(true), (solution._states - true._states).reshape(zs_bar.shape)
    with np.errstate(all="ignore"):  # what blows up is lost
        columns = [_Retrace(solution, path, b).errors(off[:, b], zs_bar[:, b]) for b in range(len(inputs.z0))]
    return np.array(columns).T


def _true_path(solution: Solution) -> Solution:
    """Solve more accurately: by adaptive steps of order 8, whatever the watched ones are, and with dense output.

    What has decayed must be right as well: it is what backsolve starts from. So the error is all but relative, unless
    that takes too many steps, as it does where a component is nothing but round-off.
    """
    inputs, options = solution._inputs, solution._options
    rtol = max(FINER * options.rtol, FINEST[inputs.z0.dtype.itemsize])
    for share, most in ((DECAYED, MANY), (FINER, max(MANY, options.max_steps))):
        finer = replace(
            options, method="dop853", tableau=tableaus.get("dop853"), fixed=False, step_size=math.inf, first_step=0.0,
            rtol=rtol, atol=share * options.atol, min_step=0.0, max_steps=most,
        )  # fmt: skip
        true = with_path(None, inputs, finer)
        if not true._samples["status"].any():
            break
    require_success(true._samples, true._options, inputs.batched)
    return true


class _Retrace:
    """The way back of one sample."""

    def __init__(self, solution: Solution, path: Path, b: int) -> None:
        inputs, options, dtype = solution._inputs, solution._options, solution._inputs.z0.dtype
        self.path, self.b, self.p = path, b, inputs.p
        self.ts = inputs.ts[b if len(inputs.ts) > 1 else 0]
        self.rules = StepRules(options, dtype, float(options.first_step or solution._samples["h"][b]))
        self.order, self.nodes = options.tableau.order, theta_quadrature(options.tableau, dtype)
        kernels = {kind: inputs.field.kernel(kind, dtype) for kind in ("jvp", "vjp_z", "vjp_theta")}
        self.work = np.empty(max(kernel.work_size for kernel in kernels.values()), dtype)
        self.kernels, self.still = {kind: kernel.function for kind, kernel in kernels.items()}, np.zeros_like(inputs.p)
        self.delta, self.a = np.zeros((2, TANGENTS, inputs.z0.shape[1]), dtype)
        self.p_bars = np.zeros((2, inputs.field.n_params), dtype)

    def errors(self, off: Array, zs_bar: Array) -> tuple[float, ...]:
        """Go all the way back; return the relative errors of z(t0) and of the gradient, and the amplification."""
        unit, growth = np.random.default_rng(0).normal(size=self.delta.shape[1]), 0.0
        unit /= np.linalg.norm(unit)
        for i in range(len(self.ts) - 1, 0, -1):
            self.delta[...] = off[i], unit
            self.a += zs_bar[i]
            if not self._over_interval(self.ts[i], self.ts[i - 1]):
                return math.inf, math.inf, math.inf
            growth = max(growth, float(np.linalg.norm(self.delta[1])))
        z0 = states_of(self.path, self.b, self.ts[:1])[0]
        tiny = np.finfo(self.a.dtype).tiny
        state = np.linalg.norm(self.delta[0]) / max(np.linalg.norm(z0), tiny)
        exact, found = np.hstack([self.a, self.p_bars])
        off_by = np.linalg.norm(found - exact)
        gradient = off_by / max(np.linalg.norm(exact), tiny) if off_by else 0.0
        return tuple(np.nan_to_num([state, gradient, growth], nan=np.inf).tolist())

    def _over_interval(self, start: float, end: float) -> bool:
        """Go back over an interval; return whether it was possible."""
        for stop in self.rules.stops(start, end):
            t, made = start, 0
            while t != stop:
                h, t1 = self.rules.aim(t, start, stop, made)
                if self._try(t, h, t1):
                    t, made = t1, made + 1
                elif self.rules.is_stuck(t):
                    return False
                if not np.isfinite(self.a).all():
                    return False
            start = stop
        return True

    def _try(self, t: float, h: float, t1: float) -> bool:
        """Try a step back; return whether it was accepted."""
        z = states_of(self.path, self.b, np.array([t]))[0]
        step = self._step(t, h, t1, z, self.delta, self.a)
        if not self.rules.accepts(t, abs(h), step.ratio):
            return False
        half = self._step(t, 0.5 * h, t + 0.5 * h, z, self.delta[:0], self.a[:1])
        fine = self._step(t + 0.5 * h, 0.5 * h, t1, half.z, self.delta[:0], half.a)
        share = 1.0 / (2.0**self.order - 1.0)
        residual = step.z - fine.z - share * (fine.z - step.z)
        self.delta, self.a = step.tangents, step.a
        self.delta[0] += residual
        self.a[:1] = fine.a + share * (fine.a - step.a[:1])
        self.p_bars[:1] += half.p_bars + fine.p_bars
        self.p_bars[1:] += step.p_bars[1:]
        return True

    def _step(self, t: float, h: float, t1: float, z: Array, delta: Array, a: Array) -> Step:
        """Make a step of signed size h from z (D,), with tangents (m, D) and adjoints (n, D)."""
        method, stages = self.rules.method, len(self.rules.method.b)
        slopes, unused = np.empty((stages, 1, len(z)), z.dtype), np.empty((max(len(delta), 1), len(z)), z.dtype)
        pushed, pulled = np.empty((stages, *delta.shape), z.dtype), np.empty((stages, *a.shape), z.dtype)
        for q, c in enumerate(method.c):
            weights = h * method.A[q, :q]
            time = self.rules.time(t, h, t1, c)
            state, tangents, rows = _moved(weights, q, (z[None], slopes), (delta, pushed), (a, -pulled))
            states = _beside(state, tangents, len(a))
            dz = np.empty_like(states)
            self.kernels["vjp_z"](np.full(len(a), time), states, rows, self.p, dz, pulled[q], self.work)
            slopes[q] = dz[:1]
            if len(delta):
                path = np.repeat(state, len(delta), axis=0)
                self.kernels["jvp"](
                    np.full(len(delta), time), path, tangents, self.p, self.still, unused, pushed[q], self.work
                )
        new = _moved(h * method.b, stages, (z[None], slopes), (delta, pushed), (a, -pulled))
        errors = _moved(h * method.e, stages, (0.0 * z[None], slopes), (0.0 * delta, pushed), (0.0 * a, -pulled))
        seen = [each[0][0] + (each[1][0] if len(delta) else 0.0) for each in ((z[None], delta), new, errors)]
        ratio = max(self.rules.norm(seen[2], seen[0], seen[1]), self.rules.norm(errors[2][0], a[0], new[2][0]))
        p_bars = self._theta(t, h, t1, (z[None], slopes), (delta, pushed), (a, -pulled))
        return Step(new[0][0], new[1], new[2], p_bars, ratio)

    def _theta(self, t: float, h: float, t1: float, *blocks: tuple[Array, Array]) -> Array:
        """Return what a step back adds to each adjoint's integral for theta, by the quadrature of backsolve."""
        nodes, weights, omega = self.nodes
        p_bars, found = np.zeros((len(blocks[2][0]), self.p_bars.shape[1]), self.p.dtype), []
        for row in weights:
            state, tangents, rows = _moved(h * row, len(row), *blocks)
            found.append((_beside(state, tangents, len(rows)), rows))
        times = np.array([self.rules.time(t, h, t1, node) for node in nodes])
        for j in range(len(p_bars)):
            states, rows = (np.ascontiguousarray([each[k][j] for each in found]) for k in (0, 1))
            rows = (-h * omega[:, None] * rows).astype(states.dtype)
            self.kernels["vjp_theta"](times, states, rows, self.p, p_bars[j], self.work)
        return p_bars


def _moved(weights: Array, count: int, *blocks: tuple[Array, Array]) -> list[Array]:
    """Return ``y + sum_j weights_j k_j`` of the first slopes, for each pair of states y and slopes k."""
    return [y + np.tensordot(weights[:count], k[:count], 1).astype(y.dtype) for y, k in blocks]


def _beside(state: Array, tangents: Array, rows: int) -> Array:
    """Return a state on the path, and as many beside it as there are further adjoints."""
    return np.concatenate([state, state + tangents[: rows - 1]])
