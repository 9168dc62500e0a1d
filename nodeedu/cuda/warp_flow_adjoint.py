"""The adjoint of a flow by a warp a sample: the vector-Jacobian product of (f, -tr f_z) for one hidden layer.

With x = phi(z), d = phi'(z), s = W1 x + w t + b1, h = act(s), r = act'(s), the augmented slope is

    f_i = sum_j W2_ij h_j + b2_i,     (log p)' = -sum_j c_j r_j,     c_j = sum_i W2_ij d_i W1_ji       (exact)
                                                                     c_j = 1/K sum_k L_kj R_kj         (probes v_k)
                                      L_kj = sum_i v_ki W2_ij,       R_kj = sum_i W1_ji d_i v_ki

For the row (a, l, alpha), with q = a W2, a unit has the cotangents

    s_bar_j = q_j r_j - l c_j act''(s_j),     c_bar_j = -l r_j

and what they pull back, for the exact trace and for the estimate, is

    x_bar_i = sum_j s_bar_j W1_ji             z_bar_i = x_bar_i phi'(z_i) + d_bar_i phi''(z_i)
    d_bar_i = sum_j c_bar_j W2_ij W1_ji                       or 1/K sum_kj c_bar_j L_kj W1_ji v_ki
    v_bar_ki =                                                   1/K sum_j c_bar_j (W2_ij R_kj + L_kj W1_ji d_i)
    W1_bar_ji = s_bar_j x_i + c_bar_j W2_ij d_i               or ... + 1/K sum_k c_bar_j L_kj d_i v_ki
    W2_bar_ij = a_i h_j + c_bar_j W1_ji d_i                   or ... + 1/K sum_k c_bar_j R_kj v_ki
    b1_bar_j = s_bar_j,     w_bar_j = s_bar_j t,     b2_bar_i = a_i

(h, r, s_bar) of a unit come from the emitted derivative of (act, act'), mlp_slopes.py: act'' stands nowhere by hand.
The noise does not move, but the trace depends on it: its adjoint alpha is solved for, as on the CPU.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from nodeedu.cuda.device import cuda
from nodeedu.cuda.mlp import Perceptron
from nodeedu.cuda.mlp_reals import Bind
from nodeedu.cuda.mlp_slopes import make_slopes
from nodeedu.cuda.warp_field import (
    ALL_LANES,
    Field,
    Parts,
    make_exchange,
    make_parts,
    make_transfer,
    shape_of_theta,
)
from nodeedu.cuda.warp_flow import make_spread, width_of

__all__ = ["make_flow_adjoint"]


class Traces(NamedTuple):
    """What differs between the exact trace and its estimate; c and c_bar hold a number for each unit of a lane."""

    factors: Any  # factors(y, d, theta, c), c from the own component of the state
    pull: Any  # pull(y, d, theta, c_bar, d_bar) -> v_bar: adds up this lane's part of d_bar; the own v_bar, of the warp
    gradient: Any  # gradient(y, d, theta, c_bar, theta_bar)


def make_flow_adjoint(mlp: Perceptron, probes: int, real: Any, bind: Bind, forms: dict[str, Any]) -> Field:
    """Make the device functions of the adjoint of the augmented field; rows hold a lane's own component of (y, a).

    See `make_flow_field`.
    """
    width = width_of(mlp, probes)
    made, (warp_sum, gather) = make_parts(mlp, real, bind, forms), make_exchange(width, bind)
    traces = (_exact if probes == 0 else _estimate)(mlp, probes, warp_sum, real, bind)
    slopes, (_, pull_act) = (make_slopes(each, real, bind, forms) for each in (mlp.inputs, mlp.activation))
    parts = (made, slopes, pull_act, make_spread(mlp, made.gather, real, bind))
    adjoint = _make_adjoint(mlp, width, *parts, traces, warp_sum, real, bind)
    gradient = _make_gradient(mlp, *parts, traces, real, bind)
    load, store = make_transfer(mlp, real, bind, width)
    return Field(load, None, adjoint, gradient, store, gather)


def _make_adjoint(
    mlp: Perceptron, width: int, made: Parts, slopes: Any, pull_act: Any, spread: Any, traces: Traces, warp_sum: Any,
    real: Any, bind: Bind,
) -> Any:  # fmt: skip
    size, units, out, has_b2 = mlp.size, shape_of_theta(mlp)[0] - 1, mlp.size + 2, mlp.b2 is not None
    both, pull = slopes

    def adjoint(t, y, dy, theta):
        own, x, d = cuda.threadIdx.x % width, cuda.local.array(size, real), cuda.local.array(size, real)
        a, parts = cuda.local.array(size, real), cuda.local.array(size, real)
        x_bar, d_bar = cuda.local.array(size, real), cuda.local.array(size, real)
        c, c_bar, trace = cuda.local.array(units, real), cuda.local.array(units, real), real(0.0)
        value, slope = both(y[0])
        made.gather(value, x)
        spread(slope, d)
        made.gather(y[1], a)
        row = -cuda.shfl_sync(ALL_LANES, y[1], size)
        traces.factors(y[0], d, theta, c)
        for i in range(size):
            parts[i], x_bar[i], d_bar[i] = real(0.0), real(0.0), real(0.0)
        for u in range(units):
            q = real(0.0)
            for i in range(size):
                q += theta[u, out + i] * a[i]
            h, r, s_bar = pull_act(made.sums(u, t, x, theta), q, row * c[u])
            c_bar[u] = row * r
            trace -= r * c[u]
            for i in range(size):
                parts[i] += theta[u, out + i] * h
                x_bar[i] += theta[u, i] * s_bar
        moved, pulled, bent = warp_sum(trace), real(0.0), real(0.0)
        moved = moved if own == size else real(0.0)
        rest = traces.pull(y[0], d, theta, c_bar, d_bar)
        for i in range(size):
            f, first, second = warp_sum(parts[i]), warp_sum(x_bar[i]), warp_sum(d_bar[i])
            moved, pulled, bent = (f, first, second) if own == i else (moved, pulled, bent)
        dy[0] = moved + theta[units, 0] if has_b2 else moved
        dy[1] = -pull(y[0], pulled, bent)[2] if own < size else -rest

    return bind(adjoint)


def _make_gradient(
    mlp: Perceptron, made: Parts, slopes: Any, pull_act: Any, spread: Any, traces: Traces, real: Any, bind: Bind
) -> Any:
    size, units, has_b2, has_time = mlp.size, shape_of_theta(mlp)[0] - 1, mlp.b2 is not None, mlp.time is not None
    bias, time, out, both = size, size + 1, size + 2, slopes[0]

    def gradient(t, y, weight, theta, theta_bar):
        x, d, a = cuda.local.array(size, real), cuda.local.array(size, real), cuda.local.array(size, real)
        c, c_bar, weighted = cuda.local.array(units, real), cuda.local.array(units, real), weight * y[1]
        value, slope = both(y[0])
        made.gather(value, x)
        spread(slope, d)
        made.gather(weighted, a)
        row = -cuda.shfl_sync(ALL_LANES, weighted, size)
        traces.factors(y[0], d, theta, c)
        for u in range(units):
            q = real(0.0)
            for i in range(size):
                q += theta[u, out + i] * a[i]
            h, r, s_bar = pull_act(made.sums(u, t, x, theta), q, row * c[u])
            c_bar[u] = row * r
            theta_bar[u, bias] += s_bar
            if has_time:
                theta_bar[u, time] += s_bar * t
            for i in range(size):
                theta_bar[u, i] += s_bar * x[i]
                theta_bar[u, out + i] += h * a[i]
        traces.gradient(y[0], d, theta, c_bar, theta_bar)
        if has_b2:
            theta_bar[units, 0] += weighted

    return bind(gradient)


def _exact(mlp: Perceptron, probes: int, warp_sum: Any, real: Any, bind: Bind) -> Traces:
    size, units, out, curved = mlp.size, shape_of_theta(mlp)[0] - 1, mlp.size + 2, mlp.inputs is not None

    def factors(y, d, theta, c):
        for u in range(units):
            c[u] = real(0.0)
            for i in range(size):
                c[u] += theta[u, out + i] * d[i] * theta[u, i]

    def pull(y, d, theta, c_bar, d_bar):
        if curved:
            for u in range(units):
                for i in range(size):
                    d_bar[i] += c_bar[u] * theta[u, out + i] * theta[u, i]
        return real(0.0)

    def gradient(y, d, theta, c_bar, theta_bar):
        for u in range(units):
            for i in range(size):
                moved = c_bar[u] * d[i]
                theta_bar[u, i] += moved * theta[u, out + i]
                theta_bar[u, out + i] += moved * theta[u, i]

    return Traces(bind(factors), bind(pull), bind(gradient))


def _estimate(mlp: Perceptron, probes: int, warp_sum: Any, real: Any, bind: Bind) -> Traces:
    size, units, out = mlp.size, shape_of_theta(mlp)[0] - 1, mlp.size + 2
    share, first = real(1.0 / probes), mlp.size + 1

    def meet(u, k, y, d, theta):
        """Return L and R of a probe and a unit."""
        left, right = real(0.0), real(0.0)
        for i in range(size):
            v = cuda.shfl_sync(ALL_LANES, y, first + k * size + i)
            left += theta[u, out + i] * v
            right += theta[u, i] * d[i] * v
        return left, right

    meet = bind(meet)

    def factors(y, d, theta, c):
        for u in range(units):
            c[u] = real(0.0)
            for k in range(probes):
                left, right = meet(u, k, y, d, theta)
                c[u] += share * (left * right)

    def gradient(y, d, theta, c_bar, theta_bar):
        for k in range(probes):
            for u in range(units):
                left, right = meet(u, k, y, d, theta)
                weight = share * c_bar[u]
                for i in range(size):
                    v = weight * cuda.shfl_sync(ALL_LANES, y, first + k * size + i)
                    theta_bar[u, i] += left * d[i] * v
                    theta_bar[u, out + i] += right * v

    return Traces(bind(factors), _make_pull(mlp, probes, meet, warp_sum, real, bind), bind(gradient))


def _make_pull(mlp: Perceptron, probes: int, meet: Any, warp_sum: Any, real: Any, bind: Bind) -> Any:
    size, units, out, curved = mlp.size, shape_of_theta(mlp)[0] - 1, mlp.size + 2, mlp.inputs is not None
    share, first, width = real(1.0 / probes), mlp.size + 1, width_of(mlp, probes)

    def pull(y, d, theta, c_bar, d_bar):
        own, v_bar = cuda.threadIdx.x % width, real(0.0)
        for k in range(probes):
            parts = cuda.local.array(size, real)
            for i in range(size):
                parts[i] = real(0.0)
            for u in range(units):
                left, right = meet(u, k, y, d, theta)
                weight = share * c_bar[u]
                for i in range(size):
                    parts[i] += weight * (theta[u, out + i] * right + left * theta[u, i] * d[i])
                    if curved:
                        v = cuda.shfl_sync(ALL_LANES, y, first + k * size + i)
                        d_bar[i] += weight * left * theta[u, i] * v
            for i in range(size):
                part = warp_sum(parts[i])
                v_bar = part if own == first + k * size + i else v_bar
        return v_bar

    return bind(pull)
