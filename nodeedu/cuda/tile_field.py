"""A wide perceptron with one hidden layer, evaluated by a block for a tile of samples.

Thread j computes hidden unit j of all samples of the tile, from their states in shared memory: each weight is read
once for the whole tile. Then thread (g, i) computes component i of the samples g, g + G, ... from the hidden layer,
which lies in shared memory, too. A barrier stands between those who write there and those who read. Weights are read
along the axis in which neighbouring threads read neighbouring numbers; `field.pack` keeps copies for that.

All indices are unsigned: a signed one may count from the end, and to find that out would take a third of all
instructions.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from nodeedu.cuda.device import cuda
from nodeedu.cuda.mlp import Perceptron, places
from nodeedu.cuda.mlp_reals import Bind
from nodeedu.cuda.warp_field import make_pair
from nodeedu.solvers.trial_step import stage_time

__all__ = [
    "Shape", "Shared", "Work", "gradient_order", "make_tile_adjoint", "make_tile_gradient", "make_tile_slope",
    "shape_of",
]  # fmt: skip


class Shape(NamedTuple):
    """How a block shares out a tile."""

    threads: int  # T, a power of two
    side: int  # threads of one sample, the power of two from D on
    groups: int  # G = T / side
    each: int  # samples of a thread
    samples: int  # S = G each


class Shared(NamedTuple):
    """Shared memory of a block."""

    z: Any  # (S, side) phi(z)
    a: Any  # (S, side)
    h: Any  # (S, T) the hidden layer
    q: Any  # (S, T) its cotangents
    t: Any  # (S,) times
    errors: Any  # (1, S side) of components
    norms: Any  # (S,)


class Work(NamedTuple):
    """What the field is given: parameters and shared memory."""

    p: Any
    shared: Shared


def shape_of(mlp: Perceptron, each: int) -> Shape:
    """Return how a block shares out tiles of a perceptron, with so many samples a thread."""
    threads, side = (1 << max(0, (n - 1).bit_length()) for n in (max(mlp.size, mlp.hidden), mlp.size))
    groups = threads // side
    return Shape(threads, side, groups, each, groups * each)


class Places(NamedTuple):
    """Unsigned numbers of a perceptron and its tile."""

    size: Any
    hidden: Any
    side: Any
    groups: Any
    each: Any
    samples: Any
    w1_units: Any  # along units: (start, unit, side)
    w1_sides: Any
    w2_units: Any
    w2_sides: Any
    time: Any
    b1: Any
    b2: Any


def places_of(mlp: Perceptron, shape: Shape) -> Places:
    """Return the numbers that index p and shared memory."""
    unsigned = [
        tuple(np.uint64(n) for n in place or (0, 0))
        for place in (
            mlp.w1_along("unit"), mlp.w1_along("side"), mlp.w2_along("unit"), mlp.w2_along("side"),
            mlp.time, mlp.b1, mlp.b2,
        )
    ]  # fmt: skip
    numbers = (mlp.size, mlp.hidden, shape.side, shape.groups, shape.each, shape.samples)
    return Places(*(np.uint64(n) for n in numbers), *unsigned)


def make_preactivation(mlp: Perceptron, at: Places, real: Any, bind: Bind) -> Any:
    """Make ``preactivation(j, work, s)``: ``W1 phi(z) + w t + b1`` of unit j for all samples, from shared memory."""
    size, samples, w1, wt, b1 = at.size, at.samples, at.w1_units, at.time, at.b1
    has_time, has_b1 = mlp.time is not None, mlp.b1 is not None

    def preactivation(j, work, total):
        start = work.p[b1[0] + j * b1[1]] if has_b1 else real(0.0)
        for s in range(samples):
            total[s] = start
            if has_time:
                total[s] += work.p[wt[0] + j * wt[1]] * work.shared.t[s]
        for c in range(size):
            weight = work.p[w1[0] + j * w1[1] + c * w1[2]]
            for s in range(samples):
                total[s] += weight * work.shared.z[s, c]

    return bind(preactivation)


def make_product(matrix: Any, groups: Any, each: Any, hidden: Any, bind: Bind) -> Any:
    """Make ``product(g, i, p, layer, total)``: component i of a matrix times a layer (S, T), for g, g + G, ..."""

    def product(g, i, p, layer, total):
        for j in range(hidden):
            weight = p[matrix[0] + j * matrix[1] + i * matrix[2]]
            for e in range(each):
                total[e] += weight * layer[g + groups * e, j]

    return bind(product)


def make_tile_slope(mlp: Perceptron, shape: Shape, real: Any, bind: Bind, forms: dict[str, Any]) -> Any:
    """Make ``slope(node, lanes, z, dz, work)``; rows hold component i of the samples g, g + G, ... of a thread."""
    at, (phi, _), (act, _) = (
        places_of(mlp, shape), make_pair(mlp.inputs, real, bind, forms), make_pair(mlp.activation, real, bind, forms)
    )  # fmt: skip
    preactivation = make_preactivation(mlp, at, real, bind)
    product = make_product(at.w2_sides, at.groups, at.each, at.hidden, bind)
    size, hidden, side, groups, samples, b2 = at.size, at.hidden, at.side, at.groups, at.samples, at.b2
    each, has_time, has_b2, tile = shape.each, mlp.time is not None, mlp.b2 is not None, shape.samples

    def slope(node, lanes, z, dz, work):
        tid = np.uint64(cuda.threadIdx.x)
        i, g = tid % side, tid // side
        for e in range(each):
            s = g + groups * np.uint64(e)
            work.shared.z[s, i] = phi(z[e])
            if has_time and i == 0:
                work.shared.t[s] = stage_time(node, lanes[e])
        cuda.syncthreads()
        if tid < hidden:
            total = cuda.local.array(tile, real)
            preactivation(tid, work, total)
            for s in range(samples):
                work.shared.h[s, tid] = act(total[s])
        cuda.syncthreads()
        if i < size:
            start = work.p[b2[0] + i * b2[1]] if has_b2 else real(0.0)
            for e in range(each):
                dz[e] = start
            product(g, i, work.p, work.shared.h, dz)
        else:
            for e in range(each):
                dz[e] = real(0.0)

    return bind(slope)


def make_tile_adjoint(mlp: Perceptron, shape: Shape, real: Any, bind: Bind, forms: dict[str, Any]) -> Any:
    """Make ``adjoint(node, lanes, y, dy, work)``: z' = f, a' = -a f_z; rows hold z, then a, of a thread's samples."""
    at, (phi, pull_phi), (_, pull_act) = (
        places_of(mlp, shape), make_pair(mlp.inputs, real, bind, forms), make_pair(mlp.activation, real, bind, forms)
    )  # fmt: skip
    preactivation, cotangents = make_preactivation(mlp, at, real, bind), make_cotangents(at, real, bind)
    forwards = make_product(at.w2_sides, at.groups, at.each, at.hidden, bind)
    backwards = make_product(at.w1_sides, at.groups, at.each, at.hidden, bind)
    size, hidden, side, groups, samples, b2 = at.size, at.hidden, at.side, at.groups, at.samples, at.b2
    each, has_time, has_b2, tile = shape.each, mlp.time is not None, mlp.b2 is not None, shape.samples

    def adjoint(node, lanes, y, dy, work):
        tid, shared = np.uint64(cuda.threadIdx.x), work.shared
        i, g = tid % side, tid // side
        for e in range(each):
            s = g + groups * np.uint64(e)
            shared.z[s, i], shared.a[s, i] = phi(y[e]), y[each + e]
            if has_time and i == 0:
                shared.t[s] = stage_time(node, lanes[e])
        cuda.syncthreads()
        if tid < hidden:
            total, q = cuda.local.array(tile, real), cuda.local.array(tile, real)
            preactivation(tid, work, total)
            cotangents(tid, work, q)
            for s in range(samples):
                shared.h[s, tid], shared.q[s, tid] = pull_act(total[s], q[s])
        cuda.syncthreads()
        for e in range(2 * each):
            dy[e] = real(0.0)
        if i < size:
            start, pulled = work.p[b2[0] + i * b2[1]] if has_b2 else real(0.0), cuda.local.array(each, real)
            for e in range(each):
                dy[e], pulled[e] = start, real(0.0)
            forwards(g, i, work.p, shared.h, dy)
            backwards(g, i, work.p, shared.q, pulled)
            for e in range(each):
                dy[each + e] = -pull_phi(y[e], pulled[e])[1]

    return bind(adjoint)


def make_cotangents(at: Places, real: Any, bind: Bind) -> Any:
    """Make ``cotangents(j, work, q)``: ``q = a W2`` of unit j for all samples, from shared memory."""
    size, samples, w2 = at.size, at.samples, at.w2_units

    def cotangents(j, work, q):
        for s in range(samples):
            q[s] = real(0.0)
        for c in range(size):
            weight = work.p[w2[0] + j * w2[1] + c * w2[2]]
            for s in range(samples):
                q[s] += weight * work.shared.a[s, c]

    return bind(cotangents)


def make_tile_gradient(mlp: Perceptron, shape: Shape, real: Any, bind: Bind, forms: dict[str, Any]) -> Any:
    """Make ``gradient(i, g, t, z, a, work, theta_bar)``, which adds ``a f_theta`` of a thread's samples.

    theta_bar is a part of the gradient that belongs to the block, and every number in it to one thread: an outer
    product for W1, (q act'(s)) phi(z), and one for W2, a act(s). `gradient_order` says where what lies. Between two
    calls there must be a barrier.
    """
    at, (phi, _) = places_of(mlp, shape), make_pair(mlp.inputs, real, bind, forms)
    _, pull_act = make_pair(mlp.activation, real, bind, forms)
    preactivation, cotangents = make_preactivation(mlp, at, real, bind), make_cotangents(at, real, bind)
    size, hidden, groups, samples, each, tile = at.size, at.hidden, at.groups, at.samples, shape.each, shape.samples
    has_time, wide, tall = mlp.time is not None, 2 * mlp.size * mlp.hidden, mlp.hidden
    biases, times, outputs = np.uint64(wide), np.uint64(wide + tall), np.uint64(wide + 2 * tall)

    def gradient(i, g, t, z, a, work, theta_bar):
        tid, shared = np.uint64(cuda.threadIdx.x), work.shared
        for e in range(each):
            s = g + groups * np.uint64(e)
            shared.z[s, i], shared.a[s, i] = phi(z[e]), a[e]
            if has_time and i == 0:
                shared.t[s] = t[e]
        cuda.syncthreads()
        if tid < hidden:
            h, q = cuda.local.array(tile, real), cuda.local.array(tile, real)
            preactivation(tid, work, h)
            cotangents(tid, work, q)
            bias, time = real(0.0), real(0.0)
            for s in range(samples):
                h[s], q[s] = pull_act(h[s], q[s])
                bias += q[s]
                time += q[s] * shared.t[s] if has_time else real(0.0)
            for c in range(size):
                first, second = real(0.0), real(0.0)
                for s in range(samples):
                    first += q[s] * shared.z[s, c]
                    second += h[s] * shared.a[s, c]
                theta_bar[c * hidden + tid] += first
                theta_bar[(size + c) * hidden + tid] += second
            theta_bar[biases + tid] += bias
            if has_time:
                theta_bar[times + tid] += time
        if tid < size:
            for s in range(samples):
                theta_bar[outputs + tid] += shared.a[s, tid]

    return bind(gradient)


def gradient_order(mlp: Perceptron) -> tuple[np.ndarray, int]:
    """Return where each number of p_bar lies in the gradient of a block, and how many numbers that has.

    The gradient is (D, H) for W1 and for W2, then H numbers for b1, H for w, and D for b2; and a zero, which is that
    of all parameters that the field does not use.
    """
    size, hidden = mlp.size, mlp.hidden
    length = 2 * (size + 1) * hidden + size
    order, at = np.full(mlp.n_params, length), 0
    for where, count in zip(places(mlp), (size * hidden, size * hidden, hidden, hidden, size), strict=True):
        order[where.ravel()] = at + np.arange(where.size)
        at += count
    return order, length + 1
