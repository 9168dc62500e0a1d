"""One core, one thread: set before NumPy, Torch or JAX are first imported, for they read it only then."""

from __future__ import annotations

import importlib.util
import os
import platform
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

PEERS = ("torchdiffeq", "diffrax")

INSTALL = 'pip install -e ".[bench]"'

THREADS = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "JAX_PLATFORMS": "cpu",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}


def use_one_thread() -> None:
    """Keep this process, and those that it starts, to one thread on one core.

    The affinity is needed beside the variables: XLA keeps helper threads that no variable turns off, and JAX then
    used 1.1 to 1.4 cores. Pinned it is also faster (a gradient of the spiral: 0.39 ms against 0.50 ms).
    """
    os.environ.update(THREADS)
    # A machine's own tuning of OpenBLAS would decide which library looks fast.
    for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
        os.environ.pop(name, None)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def installed_peers() -> tuple[str, ...]:
    """Names of the peers that can be imported; says on stdout which are left out and what installs them."""
    found = tuple(name for name in PEERS if importlib.util.find_spec(name) is not None)
    for name in PEERS:
        if name not in found:
            print(f"{name} is not installed, so its rows are left out; to compare with it: {INSTALL}")
    return found


def describe_machine() -> dict[str, str]:
    """Processor and versions, for the JSON file and the head of each table."""
    packages = ("numpy", "numba", "scipy", "torch", "torchdiffeq", "jax", "diffrax")
    versions = {}
    for name in packages:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return {"processor": _processor(), "python": platform.python_version(), **versions}


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
