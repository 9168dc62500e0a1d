"""Sums over threads without atomics: each warp adds up in registers and keeps a sum of its own in shared memory.

A gradient kernel adds to p_bar, entry by entry, for the samples that it is given. On a GPU every thread has a sample,
and all add to the same entries. emitted.py therefore writes ``add(p_bar, i, v)`` for every ``p_bar[i] += v``:

    1. 5 shuffles add the values of a warp's 32 threads; its first thread adds the sum to a row of shared memory that
       belongs to the warp
    2. at the end, the rows of a block's warps are added, in order, to one row of the block in global memory
    3. a second kernel adds the rows of the blocks, in order

No two threads ever write to the same place: the result does not depend on who comes first, to the last bit. In the
simulator, which has no shuffles, a warp is one thread.
"""

from __future__ import annotations

from typing import Any

from nodeedu.cuda.device import Target, cuda, unchanged

__all__ = ["any_running", "make_add", "make_atomic_add", "make_own_add", "sum_rows", "warp_size"]

ALL = 0xFFFFFFFF  # lanes of a warp


def warp_size(target: Target) -> int:
    """Return how many threads share a row of the gradient."""
    return 1 if target.core is unchanged else 32


def make_add(target: Target) -> Any:
    """Make ``add(row, i, value)``: add a number of every thread of a warp to row[i], which belongs to the warp."""
    if target.core is unchanged:
        return _add_own

    def add(row: Any, i: Any, value: Any) -> None:
        total = value
        for distance in (16, 8, 4, 2, 1):
            total += cuda.shfl_xor_sync(ALL, total, distance)
        if cuda.laneid == 0:
            row[i] += total

    return target.core(add)


def make_atomic_add(target: Target) -> Any:
    """Make ``add(row, i, value)`` by atomics on a row that a whole block shares: the counter-example.

    GPUs have no instruction that adds to a float in shared memory. What looks like one is a loop: read, add, compare
    and swap, and again if another thread was faster. With 32 threads that want to, the last one goes round 32 times.
    """
    if target.core is unchanged:
        return _add_own

    def add(row: Any, i: Any, value: Any) -> None:
        cuda.atomic.add(row, i, value)

    return target.core(add)


def make_own_add(target: Target) -> Any:
    """Make ``add(row, i, value)`` for a row that belongs to one thread."""
    return target.core(_add_own)


def _add_own(row: Any, i: Any, value: Any) -> None:
    row[i] += value


def any_running(target: Target, alone: bool = False) -> Any:
    """Make ``any_running(flag)``: whether the flag of any thread of the warp is set, or of this one if it is alone."""
    if alone or target.core is unchanged:
        return target.core(unchanged)

    def anyone(flag: Any) -> Any:
        return cuda.any_sync(ALL, flag)

    return target.core(anyone)


def sum_rows(rows: Any, total: Any) -> None:
    """Add up rows (n, P), a thread for each column: the kernel of the second pass."""
    q = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
    if q < total.shape[0]:
        total[q] = 0
        for k in range(rows.shape[0]):
            total[q] += rows[k, q]

