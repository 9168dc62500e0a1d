"""Continuous normalising flows: a density at t0, carried to t1 by an ODE (arXiv 1806.07366, section 4; 1810.01367).

    log p(x) = log p_0(z(t0)) − ∫_{t0}^{t1} tr ∂f/∂z dt,     z(t1) = x                              (h10)

The integral is solved for together with z, from t1 back to t0; see augment.py.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, TypedDict, Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nodeedu.compile.field import VectorField
from nodeedu.errors import SolverError
from nodeedu.flows.augment import Augmented, augment
from nodeedu.flows.base import Base, StandardNormal
from nodeedu.flows.checks import check_base, check_field, check_samples, check_times, explained, warn_of_kinks
from nodeedu.flows.noise import probes_of
from nodeedu.sensitivity.gradients import Gradients, gradients
from nodeedu.sensitivity.odeint import odeint
from nodeedu.solvers.solution import Solution

Array = NDArray[Any]
TRACES = ("exact", "hutchinson")
GRADIENTS = ("backsolve", "discrete")


class SolverOptions(TypedDict, total=False):
    """What each call of a flow may set for its solve; see `odeint`."""

    method: str
    rtol: float
    atol: float
    step_size: float | None
    max_steps: int
    backend: str


@dataclass(frozen=True, eq=False)
class CNF:
    """A flow of a vector field, and the density that it makes of a base density.

    Parameters
    ----------
    field : VectorField
        f(t, z, theta), traced, with a state of shape (D,).
    t0, t1 : float
        Times of the base density and of the data; t1 < t0 is allowed.
    trace : {"exact", "hutchinson"}
        How tr ∂f/∂z is computed: exactly, or estimated with the noise that each call is given.
    base : Base, optional
        Density at t0; by default standard normal.
    method, rtol, atol
        Of the solver, see `odeint`; each call may replace them.

    Raises
    ------
    TypeError, ValueError
        An argument is wrong.

    Warns
    -----
    UserWarning
        f has a kink in z, where its trace jumps.
    """

    field: VectorField
    t0: float = 0.0
    t1: float = 1.0
    trace: str = "exact"
    base: Base = None  # type: ignore[assignment]
    method: str = "dopri5"
    rtol: float = 1e-6
    atol: float = 1e-9
    _fields: dict[Any, Augmented] = dataclasses.field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        check_field(self.field)
        check_times(self.t0, self.t1)
        if self.trace not in TRACES:
            raise ValueError(f"trace: got {self.trace!r}, expected one of {', '.join(map(repr, TRACES))}")
        if self.base is None:
            object.__setattr__(self, "base", StandardNormal(self.field.size))
        check_base(self.base, self.field.size)
        warn_of_kinks(self.field)

    # -------------------------------------------------------------------------------------------------------- densities

    def log_prob(
        self, x: ArrayLike, theta: Any, noise: ArrayLike | None = None, **solver: Unpack[SolverOptions]
    ) -> Array:
        """Log density of data at t1, in nats.

        Parameters
        ----------
        x : array (B, D)
            Points at t1.
        theta : object
            Parameters of f.
        noise : array (B, D) or (B, K, D)
            With trace="hutchinson": the probes of each sample, of `rademacher` or `gaussian`. They stay the same for
            the whole solve. The mean of log_prob over the noise is the log density.
        **solver
            method, rtol, atol, step_size, max_steps, backend of `odeint`; by default those of the flow, and the CPU.

        Returns
        -------
        array (B,)

        Raises
        ------
        TypeError, ValueError
            An argument is wrong, or noise is missing.
        SolverError
            The solve fails.
        """
        x, probes = self._data(x, noise)
        return self._log_prob(self._solve_back(self._augmented(probes), x, theta, probes, self._options(solver)))

    def nll_and_gradient(
        self, x: ArrayLike, theta: Any, noise: ArrayLike | None = None, gradient: str = "backsolve", *,
        kinetic: float = 0.0, jacobian: float = 0.0, **solver: Unpack[SolverOptions],
    ) -> tuple[float, Any]:  # fmt: skip
        """Mean negative log density of data, and its gradient in theta.

        Parameters
        ----------
        x, theta, noise, **solver
            As for `log_prob`.
        gradient : {"backsolve", "discrete"}
            The adjoint ODE, solved along with the flow from t0 to t1; or backpropagation through the accepted steps.
        kinetic, jacobian : float
            Weights of the mean of ∫|f|² dt and of ∫‖J‖² dt (with noise: ‖vᵀJ‖²), which are then added: they ask for
            straight paths that take few evaluations (RNODE, arXiv 2002.02798).

        Returns
        -------
        loss : float
            Mean nll in nats, with the weighted regularisers.
        gradient : object
            In the structure of theta.
        """
        if gradient not in GRADIENTS:
            raise ValueError(f"gradient: got {gradient!r}, expected one of {', '.join(map(repr, GRADIENTS))}")
        x, probes = self._data(x, noise)
        options = self._options(solver)
        augmented = self._augmented(probes, bool(kinetic or jacobian))
        solution = self._solve_back(augmented, x, theta, probes, options, gradient)
        zs_bar = np.zeros_like(solution.zs)
        end, bar, size = solution.zs[-1], zs_bar[-1], augmented.size
        loss = -np.mean(self._log_prob(solution), dtype=np.float64)
        bar[:, :size], bar[:, size] = -self.base.score(end[:, :size]), 1.0
        if augmented.regularised:
            weights = np.copysign(1.0, self.t0 - self.t1) * np.array([kinetic, jacobian])  # time may run backwards
            loss += np.mean(end[:, size + 1 : size + 3], axis=0, dtype=np.float64) @ weights
            bar[:, size + 1 : size + 3] = weights
        zs_bar /= len(x)
        return float(loss), self._differentiate(solution, theta, zs_bar, gradient, options).theta

    def score(
        self, x: ArrayLike, theta: Any, noise: ArrayLike | None = None, gradient: str = "backsolve",
        **solver: Unpack[SolverOptions],
    ) -> Array:  # fmt: skip
        """Gradient of `log_prob` in x: the score of the flow at t1, (B, D).

        Along a path the score obeys s' = −Jᵀs − ∇ tr J, s(t0) = ∇ log p_0 (i3). This is the adjoint equation of the
        augmented field, so that the adjoint methods solve it.
        """
        if gradient not in GRADIENTS:
            raise ValueError(f"gradient: got {gradient!r}, expected one of {', '.join(map(repr, GRADIENTS))}")
        x, probes = self._data(x, noise)
        options = self._options(solver)
        augmented = self._augmented(probes)
        solution = self._solve_back(augmented, x, theta, probes, options, gradient)
        size = augmented.size
        zs_bar = np.zeros_like(solution.zs)
        zs_bar[-1, :, :size], zs_bar[-1, :, size] = self.base.score(solution.zs[-1, :, :size]), -1.0
        return self._differentiate(solution, theta, zs_bar, gradient, options).z0[:, :size]

    # ----------------------------------------------------------------------------------------------------------- points

    def push(self, z: ArrayLike, theta: Any, **solver: Unpack[SolverOptions]) -> Array:
        """Carry points (B, D) of the base density from t0 to t1."""
        return self._carry("z", z, (self.t0, self.t1), theta, self._options(solver))

    def pull(self, x: ArrayLike, theta: Any, **solver: Unpack[SolverOptions]) -> Array:
        """Carry data (B, D) from t1 back to t0: the inverse of `push`."""
        return self._carry("x", x, (self.t1, self.t0), theta, self._options(solver))

    def sample(self, theta: Any, n: int, seed: int | np.random.Generator, **solver: Unpack[SolverOptions]) -> Array:
        """Draw n points (n, D) from the density at t1: draws of the base density, pushed."""
        return self.push(self.base.sample(n, seed), theta, **solver)

    # ------------------------------------------------------------------------------------------------------- the solves

    def _options(self, solver: Any) -> dict[str, Any]:
        unknown = solver.keys() - SolverOptions.__annotations__.keys()
        if unknown:
            known = ", ".join(SolverOptions.__annotations__)
            raise TypeError(f"got an unknown argument {min(unknown)!r}; options of the solver are {known}")
        return {"method": self.method, "rtol": self.rtol, "atol": self.atol, **solver}

    def _data(self, x: ArrayLike, noise: ArrayLike | None) -> tuple[Array, Array | None]:
        """Check points and, where they are needed, their probes (B, K, D)."""
        points = check_samples("x", x, self.field.size)
        if self.trace == "exact":
            return points, None
        if noise is None:
            shape = points.shape
            raise ValueError(f"noise: got None, trace='hutchinson' needs it: ne.flows.rademacher({shape}, seed)")
        return points, probes_of(noise, *points.shape).astype(points.dtype, copy=False)

    def _augmented(self, probes: Array | None, regularised: bool = False) -> Augmented:
        key = (0 if probes is None else probes.shape[1], regularised)
        if key not in self._fields:
            self._fields[key] = augment(self.field, *key)
        return self._fields[key]

    def _solve_back(
        self, augmented: Augmented, x: Array, theta: Any, probes: Array | None, options: dict[str, Any],
        gradient: str = "",
    ) -> Solution:  # fmt: skip
        """Solve the augmented field from t1 to t0, log p being 0 at t1; keep what a gradient needs of the solve."""
        record = gradient == "discrete" and options.get("backend", "cpu") == "cpu"  # kernels solve again for it
        scaled = options | {name: options[name] * augmented.dilution for name in ("rtol", "atol")}
        ts = np.array([self.t1, self.t0])
        try:
            return odeint(augmented.field, augmented.start(x, probes), ts, theta, record=record, **scaled)
        except SolverError as error:
            raise explained(error, "x", self.t0) from None

    def _log_prob(self, solution: Solution) -> Array:
        end, size = solution.zs[-1], self.field.size
        return self.base.log_prob(end[:, :size]) - end[:, size]

    def _differentiate(
        self, solution: Solution, theta: Any, zs_bar: Array, gradient: str, options: dict[str, Any]
    ) -> Gradients:
        ts, start, field = np.array([self.t1, self.t0]), solution.zs[0], solution._inputs.field
        backend = options.get("backend", "cpu")
        return gradients(field, start, ts, theta, zs_bar, method=gradient, solution=solution, backend=backend)

    def _carry(self, name: str, z: ArrayLike, ts: tuple[float, float], theta: Any, options: dict[str, Any]) -> Array:
        points = check_samples(name, z, self.field.size)
        try:
            return odeint(self.field, points, np.array(ts), theta, **options).zs[-1]
        except SolverError as error:
            raise explained(error, name, ts[1]) from None
