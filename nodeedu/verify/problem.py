"""What a derivation is checked on: a vector field, a path that it makes, and losses on the way.

Two kinds of derivatives live here, and a check compares one with the other. Those that end in ``_by_steps`` are complex
steps of the user's own function, solved by SciPy: the truth, on which no tape and no adjoint ever runs. The others are
made from the tape. States and parameters are flat vectors, z (D,) and p (P,); a and the loss gradients are rows (D,).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..autodiff import divergence, structure, transforms
from ..autodiff.tape import Tape
from ..compile import VectorField, vector_field
from ..errors import SolverError
from .steps import Differentiate, chosen_for
from .walk import walker

Array = NDArray[Any]
ENDED = "solving to t = %g ended at t = %g: the path, or a derivative of it, may grow without bound there"
RTOL, ATOL = 1e-13, 1e-14  # of paths that count as the truth: DOP853 then errs by a few 1e-13


class Truth(NamedTuple):
    """States and gradients by forward sensitivity on complex steps, which never uses the adjoint."""

    zs: Array  # (T, D)
    z0: Array  # (D,) dL/dz0, with the observation at t0
    theta: Array  # (P,)
    ts: Array  # (T,) dL/dt_i; dL/dt_0 with z0 held fixed, without the observation at t0


@dataclass(frozen=True, eq=False)
class Problem:
    """A vector field with a path and the loss ``L = sum_i L_i(z(t_i))``.

    ``L_i(z) = 1/2 |z - y_i|^2 + 0.3 sum cos z``: its Hessian is not constant, so that an integral that takes the loss
    for the running loss shows. Dimensionless.

    Parameters
    ----------
    name : str
    field : VectorField
    z0 : array (D,)
        Initial state, flat.
    theta : structure
        Parameters.
    ts : array (T,)
        Times of the observations; the path starts at the first.
    targets : array (T, D)
        y_i above.
    observed : array (T,) of bool
        Which observations count: the loss at the last time alone, or all.
    """

    name: str
    field: VectorField
    z0: Array
    theta: Any
    ts: Array
    targets: Array
    observed: Array

    @property
    def size(self) -> int:
        """D, the number of components."""
        return self.field.size

    @cached_property
    def p(self) -> Array:
        """Parameters in one vector (P,)."""
        return self.flat(self.theta)

    @cached_property
    def at_end(self) -> Problem:
        """The same problem with the loss at the last time alone."""
        return replace(self, observed=np.arange(len(self.ts)) == len(self.ts) - 1)

    # ---------------------------------------------------------------- parameters as a vector

    def flat(self, theta: Any) -> Array:
        """Return the leaves of a structure like theta in one vector (P,)."""
        leaves = structure.leaves_like(theta, self.theta)
        return np.concatenate([np.ravel(leaf) for leaf in leaves]) if leaves else np.zeros(0)

    def unflat(self, p: Array) -> Any:
        """Return a vector (P,), or an array (P, ...), in the structure of theta; complex numbers pass."""
        rest = np.shape(p)[1:]
        return structure.unflatten(self.theta, [p[i:j].reshape(shape + rest) for shape, i, j in self._leaves])

    @cached_property
    def _leaves(self) -> list[tuple[tuple[int, ...], int, int]]:
        """Shape of each leaf of theta, and where it stands in p."""
        shapes = [np.shape(leaf) for leaf in structure.leaves(self.theta)]
        ends = [0, *np.cumsum([math.prod(shape) for shape in shapes]).tolist()]
        return list(zip(shapes, ends, ends[1:], strict=False))

    # ---------------------------------------------------------------- the field, by the user's own function

    def f(self, t: Any, z: Array, p: Array | None = None) -> Array:
        """Evaluate the user's function: ``f(t, z, theta)`` (D,); complex arguments pass."""
        return self._f(t, z, self.theta if p is None or self.theta is None else self.unflat(p))

    def _f(self, t: Any, z: Array, theta: Any) -> Array:
        state = z if np.shape(z) == self.field.shape else np.reshape(z, self.field.shape)
        value = self.field.function(t, state) if self.theta is None else self.field.function(t, state, theta)
        return np.asarray(value).reshape(-1)

    def J_by_steps(self, t: float, z: Array) -> Array:
        """Return ``J = df/dz`` (D, D)."""
        return self.by_steps(lambda z: self.f(t, z), z)

    def f_theta_by_steps(self, t: float, z: Array) -> Array:
        """Return ``df/dtheta`` (D, P)."""
        last: list[Any] = [None, None]

        def f(p: Array) -> Array:
            if p is not last[0]:  # complex steps move the entries of one vector; the leaves are views of it
                last[:] = p, self.unflat(p)
            return self._f(t, z, last[1])

        return self.by_steps(f, self.p)

    def f_t_by_steps(self, t: float, z: Array) -> Array:
        """Return ``df/dt`` (D,)."""
        return self.by_steps(lambda t: self.f(t[0], z), np.array([t]))[:, 0]

    @cached_property
    def by_steps(self) -> Differentiate:
        """How functions that are made of f are differentiated: ``by_steps(function, x)`` -> Jacobian (D, n)."""
        D = self.size
        x = np.concatenate([self.z0, self.p, self.ts[:1]])
        return chosen_for(lambda x: self.f(x[-1], x[:D], x[D:-1]), x)

    # ---------------------------------------------------------------- the field, by the tape

    def J(self, t: float, z: Array) -> Array:
        """Return ``J = df/dz`` (D, D)."""
        return self._tapes["dz_z"](self._inputs(t, z))["dz_z"].reshape(self.size, self.size)

    def f_t(self, t: float, z: Array) -> Array:
        """Return ``df/dt`` (D,)."""
        return self._tapes["dz_t"](self._inputs(t, z))["dz_t"].reshape(self.size)

    def f_theta(self, t: float, z: Array) -> Array:
        """Return ``df/dtheta`` (D, P)."""
        return np.array([self.vjp(t, z, row)[2] for row in np.eye(self.size)]).reshape(self.size, len(self.p))

    def vjp(self, t: float, z: Array, a: Array) -> tuple[float, Array, Array]:
        """Return ``a f_t``, ``a J`` (D,) and ``a f_theta`` (P,)."""
        bars = self._vjp_tape({**self._inputs(t, z), "dz_bar": np.reshape(a, self.field.shape)})
        leaves = [np.ravel(bars[role + "_bar"]) for role in self._roles]
        return float(bars["t_bar"]), bars["z_bar"].reshape(-1), np.concatenate([np.zeros(0), *leaves])

    def divergence(self, t: float, z: Array) -> float:
        """Return ``tr J``."""
        return float(self._tapes["trace"](self._inputs(t, z))["trace"])

    def divergence_gradients(self, t: float, z: Array) -> tuple[Array, Array]:
        """Return ``d(tr J)/dz`` (D,) and ``d(tr J)/dtheta`` (P,), derivatives of a derivative."""
        found = self._divergence_tape(self._inputs(t, z))
        leaves = [np.ravel(found[role + "_grad"]) for role in self._roles]
        return found["z_grad"].reshape(-1), np.concatenate([np.zeros(0), *leaves])

    def _inputs(self, t: float, z: Array) -> dict[str, Any]:
        return {"t": t, "z": np.reshape(z, self.field.shape)}

    @cached_property
    def _roles(self) -> list[str]:
        """Names of the leaves of theta on the tape."""
        return [role for role, _ in structure.flatten(self.theta)]

    def _walker(self, tape: Tape) -> Callable[[dict[str, Any]], dict[str, Array]]:
        return walker(tape, dict(structure.flatten(self.theta)))

    @cached_property
    def _tapes(self) -> dict[str, Any]:
        tape = self.field.tape
        made = transforms.jacobian(tape), transforms.jacobian(tape, wrt="t"), divergence(tape)
        roles = "dz_z", "dz_t", "trace"
        return {role: self._walker(tape.select({role: role})) for role, tape in zip(roles, made, strict=True)}

    @cached_property
    def _vjp_tape(self) -> Any:
        return self._walker(transforms.vjp(self.field.tape))

    @cached_property
    def _divergence_tape(self) -> Any:
        return self._walker(transforms.grad(divergence(self.field.tape), "trace"))

    # ---------------------------------------------------------------- paths

    def solve(self, rhs: Callable[[float, Array], Array], t: float, s: float | Array, start: Array) -> Array:
        """Solve ``y' = rhs(t, y)`` from t to s by SciPy's DOP853; return y(s) (N,), or (T, N) for T times s."""
        from scipy.integrate import solve_ivp  # only here: importing it takes half a second

        times, states = np.atleast_1d(s), [np.asarray(start, float)]
        for begin, end in zip(np.concatenate([[t], times]), times, strict=False):  # the ends of steps are best
            if begin == end:
                states.append(states[-1])
                continue
            found = solve_ivp(rhs, (begin, end), states[-1], "DOP853", rtol=RTOL, atol=self.atol)
            if not found.success:
                raise SolverError(ENDED % (end, found.t[-1]), t=found.t[-1], method="DOP853", cause="underflow")
            states.append(found.y[:, -1])
        return np.array(states[1:]) if np.ndim(s) else states[-1]

    @cached_property
    def atol(self) -> float:
        """Absolute tolerance of paths: smaller where the state is."""
        return ATOL * (min(1.0, float(np.max(np.abs(self.z0)))) or 1.0)

    def flow(self, t: float, s: float | Array, z: Array, p: Array | None = None) -> Array:
        """Return z(s) of the path through z at t."""
        return self.solve(lambda t, z: self.f(t, z, p), t, s, z)

    def flow_jacobian(self, t: float, s: float | Array, z: Array) -> Array:
        """Return ``Phi = dz(s)/dz(t)`` (..., D, D), by ``Phi' = J Phi`` on complex steps."""
        D = self.size

        def rhs(t: float, y: Array) -> Array:
            return np.concatenate([self.f(t, y[:D]), np.ravel(self.J_by_steps(t, y[:D]) @ y[D:].reshape(D, D))])

        y = self.solve(rhs, t, s, np.concatenate([z, np.eye(D).ravel()]))
        return y[..., D:].reshape(*y.shape[:-1], D, D)

    def tangents(self, t: float, s: float | Array, z: Array) -> tuple[Array, Array, Array, Array]:
        """Solve ``S' = J S + (0, f_theta, f_t)`` by complex steps.

        Returns
        -------
        z : array (..., D)
            z(s).
        Phi : array (..., D, D)
            ``dz(s)/dz(t)``.
        S : array (..., D, P)
            ``dz(s)/dtheta``.
        shift : array (..., D)
            ``dz(s)/dc`` of the field f(t + c, z, theta).
        """
        D, P = self.size, len(self.p)

        def rhs(t: float, y: Array) -> Array:
            S_dot = self.J_by_steps(t, y[:D]) @ y[D:].reshape(D, -1)
            S_dot[:, D : D + P] += self.f_theta_by_steps(t, y[:D])
            S_dot[:, -1] += self.f_t_by_steps(t, y[:D])
            return np.concatenate([self.f(t, y[:D]), S_dot.ravel()])

        y = self.solve(rhs, t, s, np.concatenate([z, np.eye(D, D + P + 1).ravel()]))
        S = y[..., D:].reshape(*y.shape[:-1], D, D + P + 1)
        return y[..., :D], S[..., :D], S[..., D:-1], S[..., -1]

    # ---------------------------------------------------------------- loss

    def loss(self, zs: Array) -> float:
        """Return L of the states (T, D) at the times ts."""
        return float(np.sum(self.observed[:, None] * (0.5 * (zs - self.targets) ** 2 + 0.3 * np.cos(zs))))

    def loss_gradients(self, zs: Array) -> Array:
        """Return ``g_i = dL/dz(t_i)`` (T, D)."""
        return self.observed[:, None] * (zs - self.targets - 0.3 * np.sin(zs))

    @cached_property
    def truth(self) -> Truth:
        """Gradients of L by forward sensitivity: ``dL/dx = sum_i g_i dz(t_i)/dx``."""
        zs, Phi, S, shift = self.tangents(self.ts[0], self.ts, self.z0)
        g = self.loss_gradients(zs)
        slopes = np.array([self.f(t, z) for t, z in zip(self.ts, zs, strict=True)])
        ts = np.einsum("ti,ti->t", g, slopes)
        # Starting later with the same z0 shifts the clock of the field, and shortens the way to every t_i.
        ts[0] = np.einsum("ti,ti->", g[1:], shift[1:] - slopes[1:])
        return Truth(zs, np.einsum("ti,tij->j", g, Phi), np.einsum("ti,tip->p", g, S), ts)


def make_problem(
    f: Callable[..., Any] | VectorField, z0: ArrayLike, theta: Any = None, ts: ArrayLike = (0.2, 0.7, 1.1, 1.7),
    seed: int = 0, name: str = "",
) -> Problem:  # fmt: skip
    """Trace a function and draw targets near its initial state.

    Parameters
    ----------
    f : callable or VectorField
    z0 : array
        One state.
    theta : structure, optional
    ts : array (T,)
        Strictly monotone; at least three times, so that there are jumps between the ends.
    seed : int
        Of the targets.
    name : str
        By default that of the function.

    Raises
    ------
    TraceError, TypeError, ValueError
        See `vector_field`.
    """
    field = f if isinstance(f, VectorField) else vector_field(f, z0, theta)
    theta = structure.as_arrays(theta)
    start, times = np.array(z0, float).reshape(-1), np.array(ts, float)
    targets = start + np.random.default_rng(seed).normal(size=(len(times), len(start)))
    return Problem(name or field.name, field, start, theta, times, targets, np.ones(len(times), bool))
