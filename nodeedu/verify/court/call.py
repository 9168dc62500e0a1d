"""Calls of the user's functions: what they raise, return or change is reported as theirs, with the line."""

from __future__ import annotations

import functools
import inspect
import linecache
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...autodiff import structure
from ..problem import Problem

Array = NDArray[Any]
PACKAGE = str(Path(__file__).parents[2])
CHANGED = "changes its argument"


class Fault(Exception):
    """A claim that cannot be judged, by its own fault.

    Parameters
    ----------
    says : str
        What it did, in a sentence without its subject.
    where : str
        File, line number and text of the line.
    """

    def __init__(self, says: str, where: str) -> None:
        super().__init__(f"{says} ({where})")
        self.says, self.where = says, where


def call(claim: Callable[..., Any], *args: Any) -> Any:
    """Call a claim on copies of its arguments.

    Raises
    ------
    Fault
        If it raises, or changes an argument.
    """
    given = [_copy(arg) for arg in args]
    try:
        with np.errstate(all="ignore"):
            value = claim(*given)
    except Exception as error:
        raise Fault(f"raised {type(error).__name__}: {error}", _line_of(error, claim)) from error
    for i, (before, after) in enumerate(zip(args, given, strict=True)):
        if not _same(before, after):
            raise Fault(f"{CHANGED} {_name(claim, i)}", _line_of_change(claim, args))
    return value


def vector(value: Any, shape: tuple[int, ...], claim: Callable[..., Any], what: str) -> Array:
    """Return what a claim returned as a flat vector.

    Raises
    ------
    Fault
        If it has another shape, or is not finite real numbers.
    """
    try:
        array = np.asarray(value)
        numbers = array.dtype.kind in "fiub"
    except ValueError:
        numbers = False
    if not numbers:
        raise Fault(f"returned {_short(value)} for {what}, expected real numbers", definition(claim))
    if array.shape != shape:
        raise Fault(f"returned shape {array.shape} for {what}, expected {shape}", definition(claim))
    if not np.isfinite(array).all():
        raise Fault(f"returned nan or inf for {what}", definition(claim))
    return array.astype(float).reshape(-1)


def parameters(value: Any, problem: Problem, claim: Callable[..., Any], what: str) -> Array:
    """Return a structure like theta that a claim returned as a flat vector (P,).

    Raises
    ------
    Fault
        As `vector`; the message names the leaf.
    """
    try:
        leaves = structure.leaves_like(value, problem.theta)
    except ValueError:
        expected = ", ".join(path for path, _ in structure.flatten(problem.theta)) or "None"
        raise Fault(f"returned {_short(value)} for {what}, expected the containers of theta: {expected}",
                    definition(claim)) from None  # fmt: skip
    pairs = zip(leaves, structure.flatten(problem.theta), strict=True)
    vectors = [vector(x, np.shape(y), claim, f"{what} by {path}") for x, (path, y) in pairs]
    return np.concatenate([np.zeros(0), *vectors])


def parts(value: Any, names: tuple[str, ...], claim: Callable[..., Any]) -> tuple[Any, ...]:
    """Return the parts of what a claim returned: a tuple, or an object with these attributes.

    Raises
    ------
    Fault
        If it is neither.
    """
    if isinstance(value, (tuple, list)) and len(value) == len(names):
        return tuple(value)
    if all(hasattr(value, name) for name in names):
        return tuple(getattr(value, name) for name in names)
    raise Fault(f"returned {_short(value)}, expected ({', '.join(names)})", definition(claim))


def definition(claim: Callable[..., Any]) -> str:
    """Return where a function is defined."""
    code = _code(claim)
    return repr(claim) if code is None else _place(code.co_filename, code.co_firstlineno)


def _code(claim: Any) -> Any:
    claim = inspect.unwrap(claim)
    while isinstance(claim, functools.partial):
        claim = claim.func
    return getattr(claim, "__code__", None) or getattr(type(claim).__call__, "__code__", None)


def _line_of(error: BaseException, claim: Callable[..., Any]) -> str:
    """Return the innermost line of the claim's own file, or else of a file that is not the package's."""
    frames, code = traceback.extract_tb(error.__traceback__), _code(claim)
    own = [frame for frame in frames if code is not None and frame.filename == code.co_filename]
    others = [frame for frame in frames if not frame.filename.startswith(PACKAGE)]
    chosen = (own or others)[-1:]
    return _place(chosen[0].filename, chosen[0].lineno or 0) if chosen else definition(claim)


def _line_of_change(claim: Callable[..., Any], args: tuple[Any, ...]) -> str:
    """Call once more with arrays that cannot be written to: what tries to is stopped at its line."""
    try:
        claim(*[_copy(arg, writeable=False) for arg in args])
    except Exception as error:
        return _line_of(error, claim)
    return definition(claim)


def _place(file: str, line: int) -> str:
    text = linecache.getline(file, line).strip()
    return f"{file}:{line}" + (f": {text}" if text else "")


def _name(claim: Callable[..., Any], i: int) -> str:
    code = _code(claim)
    names = code.co_varnames[: code.co_argcount] if code is not None else ()
    names = names[1:] if names[:1] == ("self",) else names
    return names[i] if i < len(names) else f"number {i + 1}"


def _copy(arg: Any, writeable: bool = True) -> Any:
    if callable(arg) or arg is None:
        return arg

    def each(leaf: Any) -> Any:
        if not isinstance(leaf, np.ndarray):
            return leaf
        copied = leaf.copy()
        copied.flags.writeable = writeable
        return copied

    return structure.unflatten(arg, [each(leaf) for leaf in structure.leaves(arg)])


def _same(before: Any, after: Any) -> bool:
    if callable(before):
        return True
    try:
        pairs = zip(structure.leaves(before), structure.leaves_like(after, before), strict=True)
        return all(np.array_equal(x, y, equal_nan=True) for x, y in pairs)
    except ValueError:  # the containers have changed
        return False


def _short(value: Any) -> str:
    text = repr(value).replace("\n", " ")
    return text if len(text) <= 60 else text[:57] + "..."
