"""Small kernels with known results: what a block, a warp and a thread do, and the first rows of the registry.

Each is as simple as what it shows allows. The proofs run on them first: a machine that gets a sum over a block wrong,
or does not see that its barrier is missing, proves nothing about a solver.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from nodeedu.cuda.device import Target, cuda
from nodeedu.cuda.registry import Budget, Launch, Row

__all__ = ["ROWS", "atomic_sum", "block_sum", "scale_and_add", "tanh_of", "warp_sum"]

Array = np.ndarray
THREADS = 64


def scale_and_add(a: Any, x: Array, y: Array) -> None:
    """Y += a x, one thread an element."""
    i = cuda.grid(1)
    if i < x.shape[0]:
        y[i] += a * x[i]


def tanh_of(x: Array, y: Array) -> None:
    """Y = tanh x, as libdevice computes it."""
    i = cuda.grid(1)
    if i < x.shape[0]:
        y[i] = math.tanh(x[i])


def block_sum(real: Any) -> Callable[..., None]:
    """Return the kernel that sums the elements of each block in shared memory, by halves."""

    def kernel(x: Array, total: Array) -> None:
        parts = cuda.shared.array(THREADS, real)
        t, i = cuda.threadIdx.x, cuda.grid(1)
        parts[t] = x[i] if i < x.shape[0] else real(0.0)
        half = THREADS // 2
        while half > 0:
            cuda.syncthreads()
            if t < half:
                parts[t] += parts[t + half]
            half //= 2
        if t == 0:
            total[cuda.blockIdx.x] = parts[0]

    return kernel


def warp_sum(x: Array, total: Array) -> None:
    """Sum the elements of each warp by shuffles: after five exchanges every lane has the sum."""
    i = cuda.grid(1)
    value = x[i]
    for step in (16, 8, 4, 2, 1):
        value += cuda.shfl_xor_sync(0xFFFFFFFF, value, step)
    if i % 32 == 0:
        total[i // 32] = value


def atomic_sum(real: Any) -> Callable[..., None]:
    """Return the counter-example: a sum over a block by atomics on shared memory, which are loops."""

    def kernel(x: Array, total: Array) -> None:
        part = cuda.shared.array(1, real)
        if cuda.threadIdx.x == 0:
            part[0] = real(0.0)
        cuda.syncthreads()
        i = cuda.grid(1)
        if i < x.shape[0]:
            cuda.atomic.add(part, 0, x[i])
        cuda.syncthreads()
        if cuda.threadIdx.x == 0:
            cuda.atomic.add(total, 0, part[0])

    return kernel


def _values(real: np.dtype, count: int = 200) -> Array:
    """Multiples of 1/8 of which any sum is exact."""
    return (np.random.default_rng(0).integers(-80, 80, count) / 8).astype(real)


def _blocks(count: int) -> int:
    return -(-count // THREADS)


def _padded(x: Array) -> Array:
    return np.concatenate([x, np.zeros(-len(x) % THREADS, x.dtype)])


def _elementwise(kernel: Callable[..., None]) -> Callable[[np.dtype, Target], Launch]:
    def launch(real: np.dtype, target: Target) -> Launch:
        x = _values(real)
        y = np.ones_like(x)
        arguments = (x, y) if kernel is tanh_of else (real.type(2.5), x, y)
        return Launch(target.kernel(kernel), _blocks(len(x)), THREADS, arguments, {"y": y})

    return launch


def _sum(make: Callable[[Any], Callable[..., None]], size: int) -> Callable[[np.dtype, Target], Launch]:
    """Sums over groups of ``size`` elements, or over all if 0."""

    def launch(real: np.dtype, target: Target) -> Launch:
        x = _padded(_values(real))
        total = np.zeros(len(x) // size if size else 1, real)
        return Launch(target.kernel(make(real.type)), _blocks(len(x)), THREADS, (x, total), {"total": total})

    return launch


def _expected_sum(size: int) -> Callable[[np.dtype], dict[str, Array]]:
    def expected(real: np.dtype) -> dict[str, Array]:
        x = _padded(_values(real))
        return {"total": x.reshape(-1, size or len(x)).sum(axis=1)}

    return expected


EXACT = {"float64": 0.0, "float32": 0.0}
SMALL = Budget(32, 32)

ROWS = (
    Row("example_axpy", "y += a x", _elementwise(scale_and_add), lambda real: {"y": 1 + real.type(2.5) * _values(real)},
        SMALL, EXACT),
    Row("example_tanh", "y = tanh x", _elementwise(tanh_of), lambda real: {"y": np.tanh(_values(real))}, SMALL,
        {"float64": 1e-15, "float32": 5e-7}),
    Row("example_block_sum", "sum over a block in shared memory", _sum(block_sum, THREADS), _expected_sum(THREADS),
        SMALL, EXACT),
    Row("example_warp_sum", "sum over a warp by shuffles", _sum(lambda real: warp_sum, 32), _expected_sum(32), SMALL,
        EXACT, shuffles=True),
    Row("example_atomic_sum", "sum by atomics on shared memory: what not to do", _sum(atomic_sum, 0), _expected_sum(0),
        SMALL, EXACT, atomics=True),
)  # fmt: skip
