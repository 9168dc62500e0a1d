"""Chunks of samples in threads.

Compiled code lets go of Python's lock, and chunks share nothing that they write. A chunk is the same whoever computes
it, and its results are collected in order: whatever the number of threads, the results are the same to the last bit.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import TypeVar

import numba

from nodeedu.compile.kernels import JIT

Result = TypeVar("Result")

VARIABLE = "NODEEDU_THREADS"


def in_chunks(
    work: Callable[[slice, Callable[[], bool]], Result], count: int, size: int, parallel: bool = True
) -> list[Result]:
    """Return what ``work(members, interrupted)`` returns for each chunk of samples, in order.

    The threads live as long as the call: starting them takes a thousandth of what a chunk takes, and no pool is left
    that a forked process would inherit without its threads.

    Parameters
    ----------
    work : callable
        It is given the samples as a slice, and a function that tells whether it should stop, since another chunk has
        failed or the user has pressed Ctrl-C.
    count, size : int
        Number of samples, in all and in a chunk.
    parallel : bool
        Whether threads gain anything: not where Python is called back.
    """
    chunks = [slice(first, min(first + size, count)) for first in range(0, count, size)]
    threads = min(len(chunks), thread_count()) if JIT and parallel and len(chunks) > 1 else 1
    if threads == 1:
        return [work(chunk, _never) for chunk in chunks]
    from concurrent.futures import ThreadPoolExecutor  # when first needed: importing it takes milliseconds

    interrupted = threading.Event()
    with ThreadPoolExecutor(threads, "nodeedu") as pool:
        try:  # an interrupt may strike while chunks are handed out: those that run must hear of it
            futures = [pool.submit(work, chunk, interrupted.is_set) for chunk in chunks]
            return [future.result() for future in futures]
        except BaseException:
            interrupted.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def thread_count() -> int:
    """Return how many threads to use: `NODEEDU_THREADS`, else `NUMBA_NUM_THREADS`, else the cores of this process.

    Raises
    ------
    ValueError
        If the variable is not a positive integer.
    """
    text = os.environ.get(VARIABLE)
    if text is None:
        return int(numba.config.NUMBA_NUM_THREADS)
    if not text.isdecimal() or int(text) == 0:
        raise ValueError(f"{VARIABLE}: got {text!r}, expected a positive integer")
    return int(text)


def _never() -> bool:
    return False
