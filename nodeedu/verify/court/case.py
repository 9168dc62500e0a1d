"""What a claim is judged on: a problem, its loss as gradients by the states, and the path with its table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...autodiff.check import central_difference, complex_step, relative_error
from ..problem import Problem, make_problem
from .match import THRESHOLD
from .path import RTOL, Path, make_path

Array = NDArray[Any]
Loss = Callable[[Array], Any]
KINKS = {"abs", "sign", "maximum", "minimum", "where", "greater", "greater_equal", "equal"}


@dataclass(frozen=True, eq=False)
class Case:
    """A problem as the formulas of the court see it.

    Parameters
    ----------
    problem : Problem
    loss : callable, optional
        ``loss(zs)`` -> L, or (L, zs_bar), of the states (T, *shape); by default that of the problem.
    z0_of_theta : callable, optional
        ``z0(theta)``, where the initial state depends on the parameters.
    """

    problem: Problem
    loss: Loss | None = None
    z0_of_theta: Callable[[Any], Any] | None = None

    @cached_property
    def path(self) -> Path:
        """The path and its table."""
        return make_path(self.problem)

    @property
    def D(self) -> int:
        """Number of components."""
        return self.problem.size

    @property
    def ends(self) -> tuple[float, float]:
        """t0 and t1."""
        return float(self.problem.ts[0]), float(self.problem.ts[-1])

    # ---------------------------------------------------------------- loss

    @cached_property
    def L(self) -> float:
        """The loss."""
        return self.loss_of(self.path.zs)

    @cached_property
    def g(self) -> Array:
        """``dL/dz(t_i)`` (T, D)."""
        return self.cotangents_of(self.path.zs)

    def loss_of(self, zs: Array) -> Any:
        """Return L of states (T, D); complex ones pass if the loss lets them."""
        if self.loss is None:
            return self.problem.loss(zs) if zs.dtype.kind == "f" else _complex_loss(self.problem, zs)
        value = self.loss(np.reshape(zs, (-1, *self.problem.field.shape)))
        value = value[0] if isinstance(value, tuple) else value
        if np.shape(value) != ():
            raise ValueError(f"loss: got shape {np.shape(value)}, expected a number, or a number and its gradient")
        return value if np.iscomplexobj(zs) else float(value)

    def cotangents_of(self, zs: Array) -> Array:
        """Return dL/dz(t_i) (T, D); a gradient that the loss returns itself is checked against differences."""
        if self.loss is None:
            return self.problem.loss_gradients(zs)
        differences = central_difference(self.loss_of, zs).value
        value = self.loss(np.reshape(zs, (-1, *self.problem.field.shape)))
        if isinstance(value, tuple):
            given = np.reshape(np.asarray(value[1], float), zs.shape)
            if not relative_error(given, differences) < 1e-6:
                raise ValueError("loss: the gradient that it returns is not that of its value, by finite differences")
            return given
        try:
            exact = complex_step(self.loss_of, zs)
        except (TypeError, ValueError):
            return differences
        return exact if relative_error(exact, differences) < 1e-6 else differences

    # ---------------------------------------------------------------- initial state

    @cached_property
    def z0_theta(self) -> Array:
        """``dz0/dtheta`` (D, P): zero where z0 was given as an array."""
        P = self.problem
        if self.z0_of_theta is None:
            return np.zeros((P.size, len(P.p)))
        start = self.z0_of_theta
        return central_difference(lambda p: np.reshape(np.asarray(start(P.unflat(p)), float), -1), P.p).value

    # ---------------------------------------------------------------- states that mistakes take for z(t)

    def mirrored(self, t: float) -> float:
        """Return the time as far from the end as t is from the start."""
        return self.ends[0] + self.ends[1] - t

    @cached_property
    def onwards(self) -> Callable[[float], Array]:
        """``t -> z`` of a reconstruction with the wrong sign, ``dz/ds = +f`` with s = t1 - t, from z(t1)."""
        from scipy.integrate import solve_ivp

        P, (t0, t1) = self.problem, self.ends
        with np.errstate(all="ignore"):
            solved = solve_ivp(lambda t, z: -P.f(t, z), (t1, t0), self.path.zs[-1], rtol=1e-11, atol=1e-12,
                               method="DOP853", dense_output=True)  # fmt: skip
        return solved.sol if solved.success else lambda t: np.full(P.size, np.nan)

    # ---------------------------------------------------------------- how far the references can be trusted

    @cached_property
    def uncertainty(self) -> float:
        """Relative change of the right gradient when the path is solved a thousand times less accurately."""
        from .sweep import right, sweep

        rough = replace(self)
        rough.__dict__["path"] = make_path(self.problem, rtol=1e3 * RTOL)
        fine, coarse = right(self), sweep(rough, g=self.g)
        pairs = ((fine.z0, coarse.z0), (fine.theta, coarse.theta), (fine.ts, coarse.ts))
        return max(relative_error(y, x) for x, y in pairs)

    @property
    def threshold(self) -> float:
        """Relative difference below which gradients and log-densities are the same."""
        return max(THRESHOLD, 10.0 * self.uncertainty)

    @property
    def has_kinks(self) -> bool:
        """Whether f holds primitives without a derivative somewhere, such as abs and maximum."""
        tape = self.problem.field.tape
        return any(tape.nodes[i].op in KINKS for i in tape.live())


def _complex_loss(problem: Problem, zs: Array) -> Any:
    return np.sum(problem.observed[:, None] * (0.5 * (zs - problem.targets) ** 2 + 0.3 * np.cos(zs)))


def make_case(f: Any, z0: Any, ts: ArrayLike, theta: Any = None, loss: Loss | None = None, name: str = "") -> Case:
    """Check the arguments of the court and make a case of them.

    Raises
    ------
    TraceError, TypeError, ValueError
        If they cannot be used; the message names the argument.
    """
    times = np.asarray(ts, float)
    if times.ndim != 1 or len(times) < 2 or not (np.all(np.diff(times) > 0) or np.all(np.diff(times) < 0)):
        raise ValueError(f"ts: got {ts!r}, expected at least two times, strictly increasing or decreasing")
    start = z0(theta) if callable(z0) else z0
    state = np.asarray(start, float)
    if not np.isfinite(state).all():
        raise ValueError(f"z0: got {start!r}, expected finite numbers")
    problem = make_problem(f, state, theta, times, name=name)
    if not np.isfinite(problem.f(times[0], problem.z0)).all():
        raise ValueError(f"f: got nan or inf at t = {times[0]:.6g} and the initial state, expected finite slopes")
    return Case(problem, loss, z0 if callable(z0) else None)


def with_times(case: Case, ts: Array, targets: Array) -> Case:
    """Return the case with the problem's own loss at other times."""
    problem = replace(case.problem, ts=ts, targets=targets, observed=np.ones(len(ts), bool))
    return Case(problem)
