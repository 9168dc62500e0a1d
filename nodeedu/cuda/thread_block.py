"""What the gradient kernels of threads do around a sample: a block's part for theta, or nothing where samples have own.

Where all samples share theta, a block reads it into shared memory, keeps a row of sums for each warp there, and at the
end writes their sum to its row in global memory (reductions.py). Where each sample has a theta of its own, its gradient
is a row of its own, too: no thread waits for another.
"""

from __future__ import annotations

from typing import Any

from nodeedu.cuda.device import Function, Target, cuda
from nodeedu.cuda.views import of_length

__all__ = ["gradient_kernel"]


def gradient_kernel(
    solve: Any, packed: int, parameters: int, own_theta: bool, lanes: int, real: Any, target: Target
) -> Function:
    """Make a kernel, which is launched with one argument, ``given``; it has ``given.p`` and ``given.rows``.

    Parameters
    ----------
    solve : callable
        ``solve(b, p, p_bar, given)`` of a thread adds the gradient of sample b for theta to p_bar. Where samples share
        theta, it is called for b beyond the last sample, too: all threads of a warp add up together.
    packed, parameters : int
        Q and P.
    own_theta : bool
        Whether ``given.p`` is (B, Q) and ``given.rows`` (B, P), or (1, Q) and (blocks, P).
    lanes : int
        How many threads share a row of sums.
    real : dtype
        Of the kernel.
    target : Target
        Where it runs.
    """
    words, size, threads = max(packed, 1), max(parameters, 1), target.threads
    warps = threads // lanes
    shape = (warps, size)

    def shared(given: Any) -> None:
        p = cuda.shared.array(words, real)  # on a line of its own: by that the simulator tells shared arrays apart
        sums = cuda.shared.array(shape, real)
        for q in range(cuda.threadIdx.x, packed, threads):
            p[q] = given.p[0, q]
        for q in range(cuda.threadIdx.x, size, threads):
            for w in range(warps):
                sums[w, q] = 0
        cuda.syncthreads()
        solve(cuda.blockIdx.x * threads + cuda.threadIdx.x, p, sums[cuda.threadIdx.x // lanes], given)
        cuda.syncthreads()
        for q in range(cuda.threadIdx.x, size, threads):
            for w in range(1, warps):
                sums[0, q] += sums[w, q]
            given.rows[cuda.blockIdx.x, q] = sums[0, q]

    def own(given: Any) -> None:
        b = cuda.blockIdx.x * threads + cuda.threadIdx.x
        if b < given.rows.shape[0]:
            solve(b, of_length(given.p[b], packed), of_length(given.rows[b], size), given)

    return own if own_theta else shared
