"""How far a call makes the memory of this process grow, as the operating system sees it."""

from __future__ import annotations

import contextlib
import ctypes
import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["peak_memory"]

STATUS, PEAK = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def peak_memory(call: Callable[[], Any]) -> tuple[Any, int | None]:
    """Call a function; return its result, and by how many bytes resident memory rose above where it stood.

    What the machine's pages and the allocator's reserves add is seen as well: call once before, so that all is compiled
    and loaded, and expect some 100 kB of noise. `GradientStats.stored_bytes` is the exact count of what a gradient
    keeps; this is what it needs in all.

    Parameters
    ----------
    call : callable
        Without arguments.

    Returns
    -------
    result : object
        What the function returned.
    peak : int or None
        Bytes, at least 0; None where the system cannot forget an earlier peak (all but Linux).

    Raises
    ------
    TypeError
        If it is no function.
    """
    if not callable(call):
        raise TypeError(f"call: got {call!r}, expected a function without arguments, as lambda: ne.gradients(...)")
    if not _forget_peak():
        return call(), None
    begin = _read("VmRSS")
    result = call()
    return result, max(0, _read("VmHWM") - begin)


def _forget_peak() -> bool:
    """Give back what has been freed, and set the peak to what is resident now (proc(5), clear_refs); tell if it can."""
    gc.collect(1)  # what is young; old garbage stays where it is and cannot be used by the call
    with contextlib.suppress(AttributeError, OSError, TypeError):  # not glibc: there is no such function
        ctypes.CDLL(None).malloc_trim(0)
    try:
        PEAK.write_text("5")
    except OSError:
        return False
    return STATUS.exists()


def _read(name: str) -> int:
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(name + ":"))
    return 1024 * int(line.split()[1])
