"""Where `odeint` and `gradients` run: on the CPU, or on a GPU, whose package is imported when it is first asked for."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["BACKENDS", "require_backend", "use"]

BACKENDS = ("cpu", "cuda")


def require_backend(backend: object, **unknown: object) -> None:
    """Raise ValueError if there is no such backend, or one that does not know an argument that was given."""
    if backend not in BACKENDS:
        raise ValueError(f"backend: got {backend!r}, expected one of {', '.join(map(repr, BACKENDS))}")
    for name, given in unknown.items():
        if given:
            raise ValueError(f"{name}: backend {backend!r} does not know it; leave it out, or take backend='cpu'")


def use(backend: str, **arguments: Any) -> Any:
    """Return the module that solves and differentiates for a backend other than the CPU.

    Parameters
    ----------
    backend : str
        One of `BACKENDS`.
    **arguments
        What must not lie in the memory of a device.

    Raises
    ------
    RuntimeError
        If numba-cuda is not installed.
    """
    try:
        module = import_module(f"nodeedu.{backend}.dispatch")
    except ImportError as error:
        raise RuntimeError(
            f"backend: 'cuda' needs the package numba-cuda, which cannot be imported ({error}); "
            "pip install 'nodeedu[cuda]', or take backend='cpu'"
        ) from error
    module.require_host(**arguments)
    return module
