"""The flow of a density by a warp a sample: z and log p of a perceptron with one hidden layer.

    z' = f,     (log p)' = -tr f_z = -sum_j c_j act'(s_j),     c_j = sum_i W2_ij phi'(z_i) W1_ji

A hidden unit's lane computes its share of the trace along with that of dz. For tanh, act' = 1 - h**2. Hutchinson's
estimate of the trace is ``sum_j (v W2)_j act'(s_j) (W1 phi'(z) v)_j``, a mean over probes v.

The state is that of `nodeedu.flows.augment`, (z, log p, probes), a component a lane; the probes do not move.
"""

from __future__ import annotations

from typing import Any

from nodeedu.cuda.device import cuda
from nodeedu.cuda.mlp import Perceptron
from nodeedu.cuda.mlp_reals import Bind
from nodeedu.cuda.warp_field import ALL_LANES, Field, make_exchange, make_parts, make_transfer, shape_of_theta

__all__ = ["make_flow_field", "make_spread", "width_of"]


def width_of(mlp: Perceptron, probes: int) -> int:
    """Return the number of components of (z, log p, probes)."""
    return mlp.size + 1 + probes * mlp.size


def make_flow_field(mlp: Perceptron, probes: int, real: Any, bind: Bind, forms: dict[str, Any]) -> Field:
    """Make the device functions of the augmented field, with so many probes, or 0 for the exact trace.

    Its adjoint is in warp_flow_adjoint.py.
    """
    size, units, has_b2, width = mlp.size, shape_of_theta(mlp)[0] - 1, mlp.b2 is not None, width_of(mlp, probes)
    made, out = make_parts(mlp, real, bind, forms), mlp.size + 2
    (warp_sum, gather), spread = make_exchange(width, bind), make_spread(mlp, made.gather, real, bind)
    traces = _make_exact(size, out, real, bind) if probes == 0 else _make_estimate(size, probes, out, real, bind)

    def slope(t, y, dy, theta):
        own, x, d = cuda.threadIdx.x % width, cuda.local.array(size, real), cuda.local.array(size, real)
        parts, trace = cuda.local.array(size, real), real(0.0)
        value, slope_of_value = made.pull_phi(y[0], real(1.0))
        made.gather(value, x)
        spread(slope_of_value, d)
        for i in range(size):
            parts[i] = real(0.0)
        for u in range(units):
            h, rate = made.pull_act(made.sums(u, t, x, theta), real(1.0))
            trace += rate * traces(u, y[0], d, theta)
            for i in range(size):
                parts[i] += theta[u, out + i] * h
        total = -warp_sum(trace)
        total = total if own == size else real(0.0)
        for i in range(size):
            part = warp_sum(parts[i])
            total = part if own == i else total
        dy[0] = total + theta[units, 0] if has_b2 else total

    load, store = make_transfer(mlp, real, bind, width)
    return Field(load, bind(slope), None, None, store, gather)


def make_spread(mlp: Perceptron, gather: Any, real: Any, bind: Bind) -> Any:
    """Make ``spread(slope, d)``: phi'(z) of all components; they need no exchange where they are 1."""
    size = mlp.size

    def ones(slope, d):
        for i in range(size):
            d[i] = real(1.0)

    return gather if mlp.inputs else bind(ones)


def _make_exact(size: int, out: int, real: Any, bind: Bind) -> Any:
    """Make ``traces(u, y, d, theta)``: the factor c of unit u."""

    def traces(u, y, d, theta):
        c = real(0.0)
        for i in range(size):
            c += theta[u, out + i] * d[i] * theta[u, i]
        return c

    return bind(traces)


def _make_estimate(size: int, probes: int, out: int, real: Any, bind: Bind) -> Any:
    """Make the same for Hutchinson's estimate; the probes are with the lanes behind log p."""
    share = real(1.0 / probes)

    def traces(u, y, d, theta):
        total = real(0.0)
        for k in range(probes):
            left, right = real(0.0), real(0.0)
            for i in range(size):
                v = cuda.shfl_sync(ALL_LANES, y, size + 1 + k * size + i)
                left += theta[u, out + i] * v
                right += theta[u, i] * d[i] * v
            total += left * right
        return share * total

    return bind(traces)
