"""Find the arrays that a function sees without being given them: in a trace they are constants.

Followed are free variables, globals, default values, arguments bound by functools.partial and the attributes that the
code names, from the function itself through the helper functions that it names.
"""

from __future__ import annotations

import dis
import functools
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType, MethodType
from typing import Any

import numpy as np

from . import structure

_LIBRARIES = {"numpy", "nodeedu", "scipy", "numba", "builtins"}  # they hold no parameters of the user
_Reached = tuple[str, Any, frozenset[str]]  # name, value, and the attributes of it that may be looked at


def captured_arrays(function: Callable[..., Any]) -> dict[str, np.ndarray]:
    """Names and values of the arrays that ``function`` captures, each array under the first name met.

    An array that is named only to ask for its shape is listed too; one that is reached by a computed name (``getattr``)
    is not.
    """
    found: dict[int, tuple[str, np.ndarray]] = {}
    visited = set()
    reached: list[_Reached] = [("self", function, frozenset({"__call__"}))]
    for name, value, attributes in reached:  # the list grows while it is read
        if isinstance(value, np.ndarray):
            if value.dtype.kind in "fiu" and value.size:
                found.setdefault(id(value), (name, value))
        elif isinstance(value, (tuple, list, dict)):
            pairs = structure.flatten(value, name)
            reached += [(path, x, attributes) for path, x in pairs if not isinstance(x, (int, float, str))]
        elif (id(value), attributes) not in visited:
            visited.add((id(value), attributes))
            reached += _reach(name, value, attributes)
    return dict(found.values())


def function_code(function: Callable[..., Any]) -> CodeType | None:
    """Code of the Python function that a callable runs, seen through partial, methods and functools.wraps."""
    while not isinstance(function, FunctionType) or hasattr(function, "__wrapped__"):
        if isinstance(function, functools.partial):
            function = function.func
        elif isinstance(function, MethodType):
            function = function.__func__
        elif hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        else:
            function = vars(type(function)).get("__call__")
            if function is None:
                return None
    return function.__code__


def _reach(name: str, value: Any, attributes: frozenset[str]) -> Iterator[_Reached]:
    """What a callable, an object or a module leads to."""
    if isinstance(value, functools.partial):
        yield name, value.func, attributes
        yield from ((f"argument {i}", x, attributes) for i, x in enumerate(value.args))
        yield from ((key, x, attributes) for key, x in value.keywords.items())
    elif isinstance(value, MethodType):
        yield from _of_method(value.__func__, value.__self__)
    elif isinstance(value, FunctionType):
        if not _of_library(value):
            yield from _seen_by(value)
    elif not isinstance(value, type) and not _of_library(value):
        held = getattr(value, "__dict__", {})
        for key in sorted(attributes):
            if key in held:
                yield f"{name}.{key}", held[key], attributes
            elif isinstance(getattr(type(value), key, None), FunctionType):
                yield from _of_method(getattr(type(value), key), value)


def _of_method(function: FunctionType, owner: Any) -> Iterator[_Reached]:
    if not _of_library(function):
        yield function.__name__, function, frozenset()
        yield "self", owner, _names(function.__code__, "LOAD_ATTR", "LOAD_METHOD")


def _seen_by(function: FunctionType) -> Iterator[_Reached]:
    """Globals, free variables and default values of a Python function."""
    code = function.__code__
    attributes = _names(code, "LOAD_ATTR", "LOAD_METHOD") | {"__call__"}
    for key in sorted(_names(code, "LOAD_GLOBAL")):
        yield key, function.__globals__.get(key), attributes
    for key, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        if cell != type(cell)():  # an empty cell: the variable is not assigned yet
            yield key, cell.cell_contents, attributes
    defaults = function.__defaults__ or ()
    with_default = code.co_varnames[code.co_argcount - len(defaults) : code.co_argcount]
    for key, value in [*zip(with_default, defaults, strict=True), *(function.__kwdefaults__ or {}).items()]:
        yield key, value, attributes


def _of_library(value: Any) -> bool:
    """Whether a function or a module belongs to one of the libraries."""
    module = getattr(value, "__module__", None) or getattr(value, "__name__", "")
    return isinstance(module, str) and module.split(".")[0] in _LIBRARIES


def _names(code: CodeType, *operations: str) -> frozenset[str]:
    """Names that a code object, or one nested in it, uses in the given bytecode operations."""
    names = frozenset(i.argval for i in dis.get_instructions(code) if i.opname in operations)
    return names.union(*(_names(c, *operations) for c in code.co_consts if isinstance(c, CodeType)))
