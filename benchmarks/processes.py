"""Fresh Python processes, started from the root of the repository."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import NamedTuple

from benchmarks.environment import ROOT


def run_python(*arguments: str, **variables: str) -> str:
    """Standard output of ``python ARGUMENTS`` under the given environment variables.

    Raises
    ------
    SystemExit
        The process failed; its standard error is the message.
    """
    process = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=os.environ | variables, capture_output=True, text=True, check=False
    )
    if process.returncode:
        raise SystemExit(f"python {' '.join(arguments)} failed:\n{process.stderr}")
    return process.stdout


def run_module(module: str, *arguments: str, **variables: str) -> str:
    """Standard output of ``python -m MODULE ARGUMENTS``."""
    return run_python("-m", module, *arguments, **variables)


class Seconds(NamedTuple):
    """Seconds from the start of a process, by the clock on the wall and of processor time."""

    wall: float
    processor: float


def seconds_until(*arguments: str, **variables: str) -> Seconds:
    """Seconds from the start of ``python ARGUMENTS`` to when it prints `time.perf_counter()` and `time.process_time()`.

    The clock of `perf_counter` is one for all processes (Linux: CLOCK_MONOTONIC).
    """
    start = time.perf_counter()
    wall, processor = run_python(*arguments, **variables).split()[-2:]
    return Seconds(float(wall) - start, float(processor))
