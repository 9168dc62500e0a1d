"""A perceptron with one hidden layer, evaluated by a warp.

Lane l owns the hidden units l, l + 32, ... and component l mod D of the state.

The weights of a unit stay in the registers of its lane, theta[u] = (row of W1, b1, w, column of W2), and of the output
b2 of its own component. The lanes exchange their components, each adds up its units, and five exchanges between lanes
give the sum to all of them:

    dz = W2 act(s) + b2,     s = W1 phi(z) + w t + b1,     q = a W2,     -a f_z = -phi'(z) * (q act'(s)) W1

All lanes hold the same t and take the same steps: a warp does not diverge.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from nodeedu.cuda.device import cuda
from nodeedu.cuda.mlp import Perceptron
from nodeedu.cuda.mlp_reals import Bind
from nodeedu.cuda.mlp_scalar import Scalar

__all__ = [
    "ALL_LANES", "WARP", "Field", "make_exchange", "make_field", "make_pair", "make_parts", "make_transfer",
    "shape_of_theta",
]  # fmt: skip

WARP = 32
ALL_LANES = 0xFFFFFFFF


class Field(NamedTuple):
    """Device functions of a perceptron; rows hold a lane's own component of z, or of (z, a)."""

    load: Any  # load(p, theta)
    slope: Any  # slope(t, z, dz, theta)
    adjoint: Any  # adjoint(t, y, dy, theta) for y = (z, a)
    gradient: Any  # gradient(t, y, weight, theta, theta_bar), which adds weight a f_theta for y = (z, a)
    store: Any  # store(theta_bar, p_bar)
    gather: Any  # gather(value, out): the components of all lanes, in order


def shape_of_theta(mlp: Perceptron) -> tuple[int, int]:
    """Return the shape (U + 1, 2 D + 2) of the weights that a lane holds."""
    return -(-mlp.hidden // WARP) + 1, 2 * mlp.size + 2


def make_pair(scalar: Scalar | None, real: Any, bind: Bind, forms: dict[str, Any]) -> tuple[Any, Any]:
    """Return device functions ``value(x)`` and ``pull(x, y_bar) -> (value, x_bar)`` of a function of one number."""
    if scalar is None:
        return bind(lambda x: x), bind(lambda x, y_bar: (x, y_bar))
    f, vjp = (bind(each, **forms) for each in scalar.functions(np.dtype(real)))

    def value(x):
        t, z, y = cuda.local.array(1, np.float64), cuda.local.array((1, 1), real), cuda.local.array((1, 1), real)
        t[0], z[0, 0] = 0.0, x
        f(t, z, z[0], y, z[0])
        return y[0, 0]

    def pull(x, y_bar):
        t, z, y = cuda.local.array(1, np.float64), cuda.local.array((1, 1), real), cuda.local.array((1, 1), real)
        a, x_bar = cuda.local.array((1, 1), real), cuda.local.array((1, 1), real)
        t[0], z[0, 0], a[0, 0] = 0.0, x, y_bar
        vjp(t, z, a, z[0], y, x_bar, z[0])
        return y[0, 0], x_bar[0, 0]

    return bind(value), bind(pull)


def make_exchange(size: int, bind: Bind) -> tuple[Any, Any]:
    """Return ``warp_sum(value)``, which adds a number of each lane, and ``gather(value, out)``, its components.

    The order of the sum makes all lanes agree bit for bit.
    """

    def warp_sum(value):
        value += cuda.shfl_xor_sync(ALL_LANES, value, 16)
        value += cuda.shfl_xor_sync(ALL_LANES, value, 8)
        value += cuda.shfl_xor_sync(ALL_LANES, value, 4)
        value += cuda.shfl_xor_sync(ALL_LANES, value, 2)
        value += cuda.shfl_xor_sync(ALL_LANES, value, 1)
        return value

    def gather(value, out):
        for i in range(size):
            out[i] = cuda.shfl_sync(ALL_LANES, value, i)

    return bind(warp_sum), bind(gather)


class Parts(NamedTuple):
    """What slope, adjoint and gradient are made of."""

    sums: Any  # sums(u, t, x, theta): what unit u is given
    add_up: Any  # add_up(parts): the own component of the sum of all lanes' parts
    gather: Any  # see Field
    phi: Any  # and the others: see make_pair
    pull_phi: Any
    act: Any
    pull_act: Any


def make_parts(mlp: Perceptron, real: Any, bind: Bind, forms: dict[str, Any]) -> Parts:
    """Make the parts in a number type."""
    size, bias, time, has_time = mlp.size, mlp.size, mlp.size + 1, mlp.time is not None
    warp_sum, gather = make_exchange(size, bind)

    def sums(u, t, x, theta):
        s = theta[u, bias]
        if has_time:
            s += theta[u, time] * t
        for i in range(size):
            s += theta[u, i] * x[i]
        return s

    def add_up(parts):
        own, total = cuda.threadIdx.x % size, real(0.0)
        for i in range(size):
            part = warp_sum(parts[i])
            total = part if i == own else total
        return total

    inputs, activation = (make_pair(each, real, bind, forms) for each in (mlp.inputs, mlp.activation))
    return Parts(bind(sums), bind(add_up), gather, *inputs, *activation)


def make_field(mlp: Perceptron, real: Any, bind: Bind, forms: dict[str, Any]) -> Field:
    """Make the device functions of a perceptron.

    Parameters
    ----------
    mlp : Perceptron
        From `recognise`.
    real : type
        np.float64 or np.float32.
    bind : callable
        From `binder`.
    forms : dict
        From `device_forms`.
    """
    parts, (load, store) = make_parts(mlp, real, bind, forms), make_transfer(mlp, real, bind)
    slope, adjoint, gradient = (make(mlp, parts, real, bind) for make in (_make_slope, _make_adjoint, _make_gradient))
    return Field(load, slope, adjoint, gradient, store, parts.gather)


def _make_slope(mlp: Perceptron, made: Parts, real: Any, bind: Bind) -> Any:
    size, units, out, has_b2 = mlp.size, shape_of_theta(mlp)[0] - 1, mlp.size + 2, mlp.b2 is not None

    def slope(t, z, dz, theta):
        x, parts = cuda.local.array(size, real), cuda.local.array(size, real)
        made.gather(made.phi(z[0]), x)
        for i in range(size):
            parts[i] = real(0.0)
        for u in range(units):
            h = made.act(made.sums(u, t, x, theta))
            for i in range(size):
                parts[i] += theta[u, out + i] * h
        dz[0] = made.add_up(parts) + theta[units, 0] if has_b2 else made.add_up(parts)

    return bind(slope)


def _make_adjoint(mlp: Perceptron, made: Parts, real: Any, bind: Bind) -> Any:
    size, units, out, has_b2 = mlp.size, shape_of_theta(mlp)[0] - 1, mlp.size + 2, mlp.b2 is not None

    def adjoint(t, y, dy, theta):
        x, a = cuda.local.array(size, real), cuda.local.array(size, real)
        parts, pulled = cuda.local.array(size, real), cuda.local.array(size, real)
        made.gather(made.phi(y[0]), x)
        made.gather(y[1], a)
        for i in range(size):
            parts[i], pulled[i] = real(0.0), real(0.0)
        for u in range(units):
            q = real(0.0)
            for i in range(size):
                q += theta[u, out + i] * a[i]
            h, s_bar = made.pull_act(made.sums(u, t, x, theta), q)
            for i in range(size):
                parts[i] += theta[u, out + i] * h
                pulled[i] -= theta[u, i] * s_bar
        dy[0] = made.add_up(parts) + theta[units, 0] if has_b2 else made.add_up(parts)
        dy[1] = made.pull_phi(y[0], made.add_up(pulled))[1]

    return bind(adjoint)


def _make_gradient(mlp: Perceptron, made: Parts, real: Any, bind: Bind) -> Any:
    size, units, has_b2, has_time = mlp.size, shape_of_theta(mlp)[0] - 1, mlp.b2 is not None, mlp.time is not None
    bias, time, out = size, size + 1, size + 2

    def gradient(t, y, weight, theta, theta_bar):
        x, a = cuda.local.array(size, real), cuda.local.array(size, real)
        made.gather(made.phi(y[0]), x)
        made.gather(weight * y[1], a)
        for u in range(units):
            q = real(0.0)
            for i in range(size):
                q += theta[u, out + i] * a[i]
            h, s_bar = made.pull_act(made.sums(u, t, x, theta), q)
            theta_bar[u, bias] += s_bar
            if has_time:
                theta_bar[u, time] += s_bar * t
            for i in range(size):
                theta_bar[u, i] += s_bar * x[i]
                theta_bar[u, out + i] += h * a[i]
        if has_b2:
            theta_bar[units, 0] += weight * y[1]

    return bind(gradient)


def make_transfer(mlp: Perceptron, real: Any, bind: Bind, width: int = 0) -> tuple[Any, Any]:
    """Make ``load(p, theta)``, p to registers, and ``store(theta_bar, p_bar)``, registers to p_bar.

    A lane whose unit does not exist holds the first weights of the last one, so that act sees a number that it is made
    for, and zeros behind them. The state has width components, of which the first D are z.
    """
    across = np.uint64(width or mlp.size)
    size, hidden, warp = (np.uint64(n) for n in (mlp.size, mlp.hidden, WARP))
    units, columns = np.uint64(shape_of_theta(mlp)[0] - 1), shape_of_theta(mlp)[1]
    bias, time, out = (np.uint64(n) for n in range(mlp.size, columns)[:3])
    w1, w2 = (tuple(np.uint64(n) for n in matrix) for matrix in (mlp.w1, mlp.w2))
    wt, b1, b2 = (tuple(np.uint64(n) for n in vector or (0, 0)) for vector in (mlp.time, mlp.b1, mlp.b2))
    has_time, has_b1, has_b2 = mlp.time is not None, mlp.b1 is not None, mlp.b2 is not None

    def load(p, theta):
        lane = np.uint64(cuda.threadIdx.x)
        for u in range(units):
            j = lane + warp * u
            exists = j < hidden
            j = j if exists else hidden - np.uint64(1)
            for i in range(size):
                theta[u, i] = p[w1[0] + j * w1[1] + i * w1[2]]
                theta[u, out + i] = p[w2[0] + j * w2[1] + i * w2[2]] if exists else real(0.0)
            theta[u, bias] = p[b1[0] + j * b1[1]] if has_b1 else real(0.0)
            if has_time:
                theta[u, time] = p[wt[0] + j * wt[1]]
        if has_b2:
            i = lane % across
            theta[units, np.uint64(0)] = p[b2[0] + i * b2[1]] if i < size else real(0.0)

    def store(theta_bar, p_bar):
        lane = np.uint64(cuda.threadIdx.x)
        for u in range(units):
            j = lane + warp * u
            if j < hidden:
                for i in range(size):
                    p_bar[w1[0] + j * w1[1] + i * w1[2]] = theta_bar[u, i]
                    p_bar[w2[0] + j * w2[1] + i * w2[2]] = theta_bar[u, out + i]
                if has_b1:
                    p_bar[b1[0] + j * b1[1]] = theta_bar[u, bias]
                if has_time:
                    p_bar[wt[0] + j * wt[1]] = theta_bar[u, time]
        if has_b2 and lane < size:
            p_bar[b2[0] + lane * b2[1]] = theta_bar[units, np.uint64(0)]

    return bind(load), bind(store)
