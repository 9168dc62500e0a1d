"""The log density of a flow by three routes that share no formula.

    trace          log p(x) = log p_0(z) − ∫_{t0}^{t1} tr J dt                                       (h10)
    determinant    log p(x) = log p_0(z) + log |det A|,   A' = J A,  A(t1) = I,  from t1 to t0       (h1)
    integral       ∫ p(x) dx = 1, on a grid; for D ≤ 2

z is x, carried back from t1 to t0, and A = ∂z/∂x. The first needs the trace of J, the second products J A alone, and
the third neither: only that probability is neither made nor lost on the way.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nodeedu import plot
from nodeedu.autodiff import transforms
from nodeedu.autodiff.tape import Tape
from nodeedu.compile.field import VectorField
from nodeedu.flows.checks import check_samples
from nodeedu.flows.cnf import CNF
from nodeedu.sensitivity.odeint import odeint

Array = NDArray[Any]

AGREE = 1e-6  # of the first two routes, in nats: a thousand times the tolerance of the solves
MASS = 1e-4  # of the integral
DRAWS = 4096  # of the base density; where they arrive is where the grid lies
MARGIN = 0.4  # of their extent, on each side: for a normal density, some 6 standard deviations from the middle


@dataclass(frozen=True, eq=False)
class ThreeRoutes:
    """What three routes say of the log density of a flow; ``print`` it, or draw it with `figure`.

    Parameters
    ----------
    x : array (B, D)
        Points.
    by_trace, by_determinant : array (B,)
        Their log density, in nats.
    integral : float or None
        Of the density over the grid; None for D > 2.
    axes : tuple of arrays
        The grid's coordinates along each axis; empty for D > 2.
    density : array or None
        On the grid, (n,) or (n, n), first axis first.
    """

    x: Array
    by_trace: Array
    by_determinant: Array
    integral: float | None
    axes: tuple[Array, ...]
    density: Array | None

    @property
    def difference(self) -> float:
        """Largest difference of the first two routes, in nats."""
        return float(np.max(np.abs(self.by_trace - self.by_determinant)))

    @property
    def agree(self) -> bool:
        """Whether the first two agree to 1e-6 nats, and the integral is 1 to 1e-4."""
        return self.difference <= AGREE and (self.integral is None or abs(self.integral - 1.0) <= MASS)

    def __str__(self) -> str:
        low, high = self.by_trace.min(), self.by_trace.max()
        lines = [
            f"log density of {len(self.x)} points by three routes: {'they agree' if self.agree else 'THEY DIFFER'}",
            f"  trace        log p0(z) - int tr J dt    {low:.4f} to {high:.4f} nats",
            f"  determinant  log p0(z) + log|det dz/dx| largest difference {self.difference:.1e} nats",
        ]
        if self.integral is None:
            lines.append(f"  integral     not computed in {self.x.shape[1]} dimensions")
        else:
            grid = " x ".join(str(len(axis)) for axis in self.axes)
            lines.append(f"  integral     sum of p(x) dx             {self.integral:.6f} on {grid} points")
        return "\n".join(lines)

    def figure(self) -> Any:
        """Draw the density on the grid with the points, and the difference of the first two routes."""
        fig, axes = plot.figure(1, 2 if self.axes else 1, num="three_routes", clear=True)
        if len(self.axes) == 2:
            image = axes[0].pcolormesh(*self.axes, self.density.T, cmap="Blues", shading="auto")  # type: ignore[union-attr]
            fig.colorbar(image, ax=axes[0], label="density")
            axes[0].plot(*self.x.T, ".", color=plot.COLORS[1], markersize=3)
            axes[0].set(xlabel="$x_1$", ylabel="$x_2$", xlim=_view(self.x[:, 0]), ylim=_view(self.x[:, 1]))
            axes[0].grid(False)
        elif self.axes:
            axes[0].plot(self.axes[0], self.density)
            axes[0].plot(self.x[:, 0], np.exp(self.by_determinant), ".", label="by determinant")
            axes[0].set(xlabel="$x$", ylabel="density", xlim=_view(self.x[:, 0]))
            axes[0].legend(frameon=False)
        if self.axes:
            axes[0].set_title(f"trace on a grid: integral {self.integral:.6f}")
        last = axes[1] if self.axes else axes
        last.semilogy(self.by_trace, np.abs(self.by_trace - self.by_determinant) + 1e-16, ".")
        last.axhline(AGREE, color=plot.COLORS[1], linestyle="--", label=f"{AGREE:.0e}")
        last.set(xlabel="log density by trace (nats)", ylabel="difference of trace and determinant")
        last.legend(frameon=False)
        return fig


def _view(x: Array) -> tuple[float, float]:
    """Limits of an axis that shows all points."""
    reach = 0.2 * float(np.ptp(x)) or 1.0
    return float(x.min()) - reach, float(x.max()) + reach


def three_routes(
    flow: CNF, x: ArrayLike, theta: Any, points: int | None = None, rtol: float = 1e-9, atol: float = 1e-11
) -> ThreeRoutes:
    """Compute the log density of points by three routes.

    Parameters
    ----------
    flow : CNF
        With any trace; the exact one is used.
    x : array (B, D)
        Points at t1.
    theta : object
        Parameters.
    points : int, optional
        Of the grid along each axis; by default 2000 for D = 1 and 200 for D = 2.
    rtol, atol : float
        Tolerances of the solves for the first two routes; the grid takes those of the flow.

    Returns
    -------
    ThreeRoutes

    Warns
    -----
    UserWarning
        More than 1 % of the mass is missing on the grid, or too much.
    """
    x = check_samples("x", x, flow.field.size)
    exact = flow if flow.trace == "exact" else replace(flow, trace="exact")
    by_trace = exact.log_prob(x, theta, rtol=rtol, atol=atol)
    by_determinant = _by_determinant(exact, x, theta, rtol, atol)
    if flow.field.size > 2:
        return ThreeRoutes(x, by_trace, by_determinant, None, (), None)
    axes = _grid(exact, theta, points or (200 if flow.field.size == 2 else 2000))
    at = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    density = np.exp(exact.log_prob(at.reshape(-1, flow.field.size), theta)).reshape(at.shape[:-1])
    integral = float(np.sum(density) * np.prod([axis[1] - axis[0] for axis in axes]))
    if abs(integral - 1.0) > 0.01:
        warnings.warn(
            f"the density integrates to {integral:.3f} over the grid, expected 1: mass leaks to infinity before t1, "
            "the grid is too coarse for its detail (points), or its tails reach beyond the grid",
            UserWarning,
            stacklevel=2,
        )
    return ThreeRoutes(x, by_trace, by_determinant, integral, axes, density)


def variational(field: VectorField) -> VectorField:
    """Field of a point and of the derivative of the flow there: the state is z (D), then A (D, D) column by column.

    z' = f(t, z), A' = J(t, z) A; each column is a tangent, pushed forward through f.
    """
    size, tape = field.size, Tape()
    leaves: dict[str, Any] = {
        role: tape.input(role, field.tape.nodes[i].shape) for role, i in field.tape.inputs.items() if role != "z"
    }
    state = tape.input("z", (size + size * size,))
    z: Any = state[:size]
    dz = transforms.inline(tape, field.tape, {**leaves, "z": z})
    tape.outputs = {"dz": dz.index}
    parts: list[Any] = [dz]
    for k in range(size):
        tangent: Any = state[size * (k + 1) : size * (k + 2)]
        parts.append(transforms.push(tape, {z.index: tangent}).get(dz.index, tape.const(np.zeros(size))))
    joined: Any = np.concatenate(parts)
    tape.outputs = {"dz": joined.index}
    return VectorField(field.function, tape, (size + size * size,), field.theta)


def _by_determinant(flow: CNF, x: Array, theta: Any, rtol: float, atol: float) -> Array:
    size = flow.field.size
    start = np.concatenate([x, np.broadcast_to(np.eye(size).ravel(), (len(x), size * size))], axis=1)
    ts = np.array([flow.t1, flow.t0])
    end = odeint(variational(flow.field), start, ts, theta, method=flow.method, rtol=rtol, atol=atol).zs[-1]
    _, log_det = np.linalg.slogdet(end[:, size:].reshape(-1, size, size))
    return flow.base.log_prob(end[:, :size]) + log_det


def _grid(flow: CNF, theta: Any, points: int) -> tuple[Array, ...]:
    """Coordinates that hold nearly all of the mass, if it arrives."""
    arrived = flow.sample(theta, DRAWS, seed=0)
    low, high = arrived.min(axis=0), arrived.max(axis=0)
    reach = MARGIN * (high - low)
    return tuple(np.linspace(a, b, points) for a, b in zip(low - reach, high + reach, strict=True))
