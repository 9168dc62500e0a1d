"""Tracing: call a plain NumPy function once on traced arrays and keep the tape."""

from __future__ import annotations

import keyword
import linecache
import os
import sys
import traceback
import warnings
from collections.abc import Callable
from types import CodeType
from typing import Any

import numpy as np

from . import structure
from .captures import captured_arrays, function_code
from .recorded import TraceError
from .tape import Tape, Traced

_HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep
_NUMPY = os.path.dirname(os.path.abspath(np.__file__)) + os.sep


class CapturedArrayWarning(UserWarning):
    """A traced function uses an array from outside: a constant, whose gradient is not computed."""


class _Site:
    """Finds the user's line while tracing."""

    def __init__(self, code: CodeType | None) -> None:
        self.code = code

    def __call__(self) -> tuple[str, int]:
        """File and line of the innermost frame that is neither ours nor NumPy's."""
        frame = sys._getframe(1)
        while frame is not None:
            if frame.f_code is self.code or not frame.f_code.co_filename.startswith((_HERE, _NUMPY)):
                return frame.f_code.co_filename, frame.f_lineno
            frame = frame.f_back
        return "?", 0

    def describe(self, error: BaseException | None = None) -> str:
        """Line that is running, or the user's line that an error passed through last."""
        file, line = self() if error is None else self._passed_by(error)
        text = linecache.getline(file, line).strip()
        return f" ({os.path.basename(file)}, line {line}{f': `{text}`' if text else ''})"

    def _passed_by(self, error: BaseException) -> tuple[str, int]:
        lines = [(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(error.__traceback__)]
        return next(((file, line) for file, line in reversed(lines) if not file.startswith((_HERE, _NUMPY))), ("?", 0))


def record(function: Callable[..., Any], arguments: dict[str, Any], output: str = "y") -> Tape:
    """Trace ``function(*arguments)``.

    Parameters
    ----------
    function : callable
        Plain NumPy; it is called once. Of a function compiled by Numba, the Python function is traced.
    arguments : dict
        Name of each argument to an example of it: an array or a structure of arrays, of which only shapes matter.
    output : str
        Role of the result.

    Returns
    -------
    Tape
        Inputs have the role of their argument, or the path of the leaf in it.

    Raises
    ------
    TraceError
        The function does something that cannot be recorded.

    Warns
    -----
    CapturedArrayWarning
        Once for each array that the function sees without being given it.
    """
    function = getattr(function, "py_func", function)
    tape, traced = Tape(), []
    for name, example in arguments.items():
        pairs = structure.flatten(example, name)
        inputs = [tape.input(path, np.shape(leaf), _display_name(path)) for path, leaf in pairs]
        traced.append(structure.unflatten(example, inputs))
    code = function_code(function)
    tape.locate = site = _Site(code)
    try:
        result, names = _call_and_watch(function, traced, tape, code)
        y = _as_one_array(result, tape, getattr(function, "__name__", type(function).__name__))
    except (TypeError, ValueError) as error:
        better = _explained(error, site)
        if better is None:
            raise
        raise better from None
    finally:
        tape.locate = None
    for index, name in names.items():
        if tape.nodes[index].op != "input" or "[" in tape.nodes[index].attributes()["role"]:
            tape.rename(index, name)
    tape.outputs = {output: y.index}
    _warn_of_captures(function, code)
    return tape


def _explained(error: Exception, site: _Site) -> Exception | None:
    """Give an error that NumPy words in its own terms the user's line and a remedy; None for any other."""
    if isinstance(error.__cause__, TraceError):  # "setting an array element with a sequence" hides what we said
        return error.__cause__
    if str(error).startswith("loop of ufunc"):
        what = f"np.array([...]) of recorded values meets a function that takes them one by one ({error})"
        return TraceError(f"{what}{site.describe(error)}: use np.stack([...]) in its place")
    return None


def _display_name(path: str) -> str:
    """``W`` for ``theta['W']``; the user's local variable replaces it where there is one."""
    key = path.rsplit("[", 1)[-1].rstrip("]").strip("'\"")
    return key if key.isidentifier() and not keyword.iskeyword(key) else ""


def _call_and_watch(function, arguments, tape, code):
    """Call the function; read its local variables when it returns, to name the nodes after them."""
    names: dict[int, str] = {}
    if sys.getprofile() is not None:  # a profiler is at work: leave it alone, names are only for display
        return function(*arguments), names

    def watch(frame, event, value):
        if event == "return" and frame.f_code is code:
            found = frame.f_locals.items()
            names.update({x.index: k for k, x in found if isinstance(x, Traced) and x.tape is tape})

    sys.setprofile(watch)
    try:
        return function(*arguments), names
    finally:
        sys.setprofile(None)


def _as_one_array(result: Any, tape: Tape, name: str) -> Traced:
    """Join a list, tuple or object array of results into one traced array."""
    if isinstance(result, Traced):
        return result
    if result is None:
        raise TraceError(f"{name} returned None: expected an array; is the `return` missing?")
    if isinstance(result, (list, tuple)) and len(result):
        parts = [_as_one_array(x, tape, name) for x in result]
        if len({x.shape for x in parts}) > 1:
            raise TraceError(f"{name} returned pieces of shapes {[x.shape for x in parts]}: they must be equal")
        return np.stack(parts)
    if isinstance(result, (int, float, np.ndarray, np.generic, list, tuple)):
        return Traced(tape, 0).lift(np.asarray(result))
    kind = type(result).__name__
    raise TraceError(f"{name} returned a value of type {kind}: expected an array, or a list or tuple of arrays")


def _warn_of_captures(function, code):
    for name, array in captured_arrays(function).items():
        warnings.warn_explicit(
            f"the function captures the array {name!r} of shape {array.shape}: it is recorded as a constant, its "
            "gradient is not computed and later changes are not seen; pass it in theta if it is a parameter",
            CapturedArrayWarning,
            code.co_filename if code else "?",
            code.co_firstlineno if code else 1,
        )
