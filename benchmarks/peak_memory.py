"""Peak memory of one gradient in a fresh process: ``python -m benchmarks.peak_memory LIBRARY METHOD STEPS``.

Prints, as JSON, the peak resident memory in bytes, the gradient dL/dz0, dL/dtheta in one list, and the number of stored
states and their bytes where the library tells them.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import resource
import sys
from pathlib import Path

from benchmarks.problem import long_problem
from benchmarks.routes import Contender, make_route

STATUS = Path("/proc/self/status")


def reset_peak() -> None:
    """Forget the peak that compiling reached, where the system can (Linux: proc(5), clear_refs)."""
    gc.collect()
    if STATUS.exists():
        # What compiling has freed goes back to the system, or the allocator would serve the next run from it.
        with contextlib.suppress(AttributeError):  # not glibc
            ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")


def peak_bytes() -> int:
    """Peak resident memory of this process.

    Not `ru_maxrss` on Linux: a process inherits there the peak of the one that started it.
    """
    if STATUS.exists():
        line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))
        return 1024 * int(line.split()[1])
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    """Compute the gradient once, so that all is compiled, and again under measurement."""
    library, method, steps = sys.argv[1:]
    route = make_route(Contender(library, method), long_problem(int(steps)))
    route.run()
    reset_peak()
    result = route.run()
    peak = peak_bytes()
    gradient = route.gradient(result)
    told = {name: getattr(gradient, name) for name in ("stored_states", "stored_bytes")}
    print(json.dumps({"peak": peak, "gradient": gradient.flat().tolist(), **told}))


if __name__ == "__main__":
    main()
