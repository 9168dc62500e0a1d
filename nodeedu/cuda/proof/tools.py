"""What the proofs need that pip or the system must bring, and what of it is missing."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from nodeedu.cuda.device import cuda
from nodeedu.cuda.proof.assemble import TOOLS, tool
from nodeedu.cuda.proof.machine import compiler

__all__ = ["missing", "versions"]

PACKAGES = ("numba", "numba-cuda", "nvidia-nvvm", "nvidia-cuda-nvcc", "nvidia-cuda-nvdisasm")


def missing() -> list[str]:
    """Return what is missing, one sentence each that says how to get it; empty if all is there."""
    found = []
    if "numba-cuda" not in versions():
        found.append("numba-cuda is not found; pip install 'nodeedu[cuda]' brings it")
    elif not cuda.cudadrv.nvvm.is_available():
        found.append("libnvvm is not found; pip install 'nodeedu[cuda]' brings it")
    for look, argument in [(tool, name) for name in TOOLS] + [(lambda _: compiler(), "")]:
        try:
            look(argument)
        except RuntimeError as error:
            found.append(str(error))
    return found


def versions() -> dict[str, str]:
    """Return the versions of the packages that the results depend on, of those installed."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
