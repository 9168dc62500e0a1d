"""From source text to machine code: the decorator of our numeric cores, emitted modules, and C functions for solvers.

An array function ``f(t, z, p, dz, work)`` of an emitted module is followed by a C function that gives its pointers back
their shapes (`kernel_source` writes it):

    @c_function("f", "float64")
    def f_c(n, t, z, p, dz, work):
        f(carray(t, n), carray(z, (n, 2)), carray(p, 252), carray(dz, (n, 2)), carray(work, 0))
        return 1

It is compiled when its address is read (`as_kernel`), not when the module is built.
"""

from __future__ import annotations

import hashlib
import inspect
import linecache
import os
import re
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType
from typing import Any

import numba
import numpy as np
from numba import types
from numba.core.ccallback import CFunc
from numba.core.sigutils import normalize_signature
from numba.extending import is_jitted

from nodeedu.compile import cache
from nodeedu.compile.kernels import DONE, EXTENTS, JIT, SIGNATURES, Kernel

# `error_model="numpy"`: the check for division by zero of the Python model would block vectorisation. `nogil`: a thread
# pool runs chunks of samples.
STRICT: dict[str, Any] = {"error_model": "numpy", "nogil": True}

# For emitted code, `@njit(**FLAGS)`: sums may be reordered, which lets a reduction run in vector lanes. Not "fast": nan
# and inf keep their meaning. An elementary function relies on the order of its operations and must do without reassoc.
ELEMENTARY_FLAGS: dict[str, Any] = STRICT | {"fastmath": {"contract", "nsz", "arcp"}}
FLAGS: dict[str, Any] = STRICT | {"fastmath": {"contract", "nsz", "arcp", "reassoc"}}

_building = threading.RLock()
cache.generator_version()  # read now: of files edited in a running session, the old text is what runs


def jit(function_or_signatures: Any = None, **options: Any) -> Any:
    """Compile a numeric core with strict IEEE arithmetic, cached where a folder for it is writable.

    Usable as ``@jit``, ``@jit(inline="always")`` and ``@jit("void(float64[::1])")`` (compiled at once). The function
    itself is returned under ``NUMBA_DISABLE_JIT=1``.

    Parameters
    ----------
    function_or_signatures : callable, str or list of str, optional
        The function, or numba signatures.
    **options
        Options of `numba.njit`, e.g. ``fastmath={"contract"}``; they override `STRICT`.
    """
    if inspect.isfunction(function_or_signatures):
        return jit()(function_or_signatures)

    def decorate(function: Callable[..., Any]) -> Any:
        if not JIT:
            return function
        dispatcher = numba.njit(**(STRICT | options))(function)
        if unit := cache.unit_of(function.__code__.co_filename):
            dispatcher._cache = cache.FunctionCache(function, unit)
        if function_or_signatures is not None:
            given = function_or_signatures
            for signature in given if isinstance(given, list) else [given]:
                dispatcher.compile(signature)
            dispatcher.disable_compile()
        return dispatcher

    return decorate


def build(source: str, label: str) -> ModuleType:
    """Make a module of emitted source text; the same text gives the same module.

    The text is also written to our cache folder, where a debugger, a traceback and numba's cache find it. What runs is
    the text that was passed, never what lies in the file. Its functions are compiled when they are first called.

    Parameters
    ----------
    source : str
        Text of the module.
    label : str
        For display: part of the file's name.
    """
    label = re.sub(r"\W+", "_", label, flags=re.ASCII)[:40] or "module"
    unit = f"{label}-{hashlib.sha256((cache.generator_version() + source).encode()).hexdigest()[:16]}"
    name = "nodeedu_" + unit.replace("-", "_")
    with _building:
        if name not in sys.modules:
            sys.modules[name] = _execute(source, name, _store(source, unit, label + ".py"))
        return sys.modules[name]


def _execute(source: str, name: str, path: str) -> ModuleType:
    """Run the text as a module, with tracebacks and numba's cache for its functions."""
    module = ModuleType(name)
    module.__file__ = path
    on_disk = os.path.isfile(path)
    if not on_disk:  # for tracebacks and inspect; an entry without mtime stays
        linecache.cache[path] = (len(source), None, source.splitlines(keepends=True), path)
    sys.modules[name] = module  # before it runs: numba looks a function's module up by name
    try:
        exec(compile(source, path, "exec", dont_inherit=True), module.__dict__)
    except BaseException:
        del sys.modules[name]
        raise
    if on_disk:
        for value in vars(module).values():
            if is_jitted(value) and value.py_func.__code__.co_filename == path:
                value._cache = cache.FunctionCache(value.py_func)
    return module


def _store(source: str, unit: str, file_name: str) -> str:
    """Write the text unless it is there already; return its path, or a made-up name where nothing can be written."""
    folder = cache.unit_folder(unit)
    if folder is None:
        return f"<{unit}>"
    path, text = folder / file_name, source.encode()
    try:
        if not path.is_file() or cache.distrust(path) or path.read_bytes() != text:
            temporary = folder / f"{file_name}.{os.getpid()}.{threading.get_ident()}"
            temporary.write_bytes(text)
            temporary.chmod(0o600)
            os.replace(temporary, path)  # atomic: another process sees the old file or the new one
    except OSError as error:
        cache.complain(f"cannot write {path}: {error.strerror}", cache.WITHOUT)
        return f"<{unit}>"
    return str(path)


@dataclass(frozen=True)
class CFunction:
    """A Python function on pointers that becomes a C function when `address` is first read.

    Parameters
    ----------
    function : callable
        ``function(n, pointer, ...) -> int64``.
    kind : str
        A key of `kernels.SIGNATURES`.
    dtype : str
        ``"float64"`` or ``"float32"``: all arrays but the times, which are float64.
    """

    function: Callable[..., Any]
    kind: str
    dtype: str

    @property
    def signature(self) -> Any:
        """Numba's ``int64(int64, pointers...)``."""
        real = types.CPointer(getattr(types, self.dtype))
        time = types.CPointer(types.float64)
        return types.int64(types.int64, *(time if name == "t" else real for name in SIGNATURES[self.kind]))

    @cached_property
    def compiled(self) -> CFunc:
        """Numba's own object, which owns the machine code."""
        compiled = CFunc(self.function, normalize_signature(self.signature), locals={}, options=STRICT)
        if os.path.isfile(self.function.__code__.co_filename):
            compiled._cache = cache.FunctionCache(self.function)
        compiled.compile()  # as `numba.cfunc` does, but with our cache
        return compiled

    @property
    def address(self) -> int:
        """Pointer to the C function; 0 under ``NUMBA_DISABLE_JIT=1``."""
        return self.compiled.address if JIT else 0


def c_function(kind: str, dtype: str) -> Callable[[Callable[..., Any]], CFunction]:
    """Mark a function on pointers as the C function of a kind."""
    return lambda function: CFunction(function, kind, dtype)


def kernel_source(kind: str, name: str, sizes: Mapping[str, int], dtype: Any) -> str:
    """Return the text of the C function ``<name>_c`` for the array function ``<name>``.

    The module that it goes into needs ``from numba import carray`` and
    ``from nodeedu.compile.build import c_function``.

    Parameters
    ----------
    kind : str
        A key of `kernels.SIGNATURES`.
    name : str
        Name of the array function.
    sizes : mapping
        ``D`` state components, ``Q`` packed parameters, ``P`` parameters, ``W`` words of workspace; those that the kind
        uses.
    dtype : dtype
        float64 or float32.
    """
    names = SIGNATURES[kind]
    arrays = ", ".join(f"carray({each}, {_extent(EXTENTS[each], sizes)})" for each in names)
    return (
        f'@c_function("{kind}", "{np.dtype(dtype).name}")\n'
        f"def {name}_c(n, {', '.join(names)}):\n"
        f"    {name}({arrays})\n"
        f"    return {DONE}\n"
    )


def _extent(extent: str, sizes: Mapping[str, int]) -> str:
    """Return the text of a shape: "n" rows stay a name, sizes become numbers."""
    axes = [axis if axis == "n" else str(int(sizes[axis])) for axis in extent]
    return axes[0] if len(axes) == 1 else f"({', '.join(axes)})"


def as_kernel(module: ModuleType, kind: str, name: str, work_size: int) -> Kernel:
    """Compile the C function of ``module.<name>`` and return both as a kernel.

    Parameters
    ----------
    module : module
        What `build` returned; it has the functions ``<name>`` and ``<name>_c``.
    kind : str
        A key of `kernels.SIGNATURES`.
    name : str
        Name of the array function.
    work_size : int
        Words of workspace that a call needs.
    """
    c = getattr(module, name + "_c")
    return Kernel(kind, getattr(module, name), c.address, work_size, owner=c)
