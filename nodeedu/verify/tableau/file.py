"""Reading a Butcher tableau and what is claimed of it, without believing any of it."""

from __future__ import annotations

import ast
import difflib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from fractions import Fraction
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from ... import tableaus
from ...fitting import DataError
from ...solvers.implicit import tableaus as implicit_tableaus

Array = NDArray[Any]

KEYS = ("A", "b", "c", "b_hat", "e", "order", "embedded_order", "fsal", "interpolant", "interpolant_order")
REMARKS = ("name", "reference", "comment")  # carried or passed over, never checked
HIGHEST_CLAIM = 11  # the 4766 trees with 12 vertices, which decide whether order 11 is exact, take a second
LARGEST = 1e6  # no method has larger constants; their powers would overflow
EXPECTED_NUMBER = f'a number up to {LARGEST:g} in size, or text such as "1/5" or "1/2 - sqrt(3)/6"'


@dataclass(frozen=True, eq=False)
class ClaimedTableau:
    """A Runge-Kutta method, explicit or implicit, with what its source claims of it: only shapes are known to agree.

    Parameters
    ----------
    name : str
        What reports call it.
    A : array (s, s)
        Runge-Kutta matrix, of any structure.
    b, c : array (s,)
        Weights and nodes.
    b_hat : array (s,), optional
        Embedded weights.
    order, embedded_order : int, optional
        Orders claimed for b and b_hat.
    fsal : bool
        Whether the last slope of a step is claimed to be the first of the next.
    interpolant : array (s, m), optional
        Dense output with the weights ``b_i(theta) = sum_j interpolant[i, j] theta**(j + 1)``.
    interpolant_order : int, optional
        Order claimed for the dense output at every theta.
    reference : str
    """

    name: str
    A: Array
    b: Array
    c: Array
    b_hat: Array | None = None
    order: int | None = None
    embedded_order: int | None = None
    fsal: bool = False
    interpolant: Array | None = None
    interpolant_order: int | None = None
    reference: str = ""

    @property
    def stages(self) -> int:
        """Number of stages s."""
        return len(self.b)


def find(name_or_file: str) -> ClaimedTableau:
    """Return one of the package's tableaus by its name, or read a foreign one from a JSON file.

    Parameters
    ----------
    name_or_file : str
        A name that `tableaus.names()` or `implicit_tableaus.names()` lists, or the path of a file.

    Returns
    -------
    ClaimedTableau

    Raises
    ------
    DataError
        If it is neither, or the file cannot be used.
    """
    known = tableaus.names() + implicit_tableaus.names()
    if name_or_file in known:
        ours = (tableaus if name_or_file in tableaus.names() else implicit_tableaus).get(name_or_file)
        return ClaimedTableau(**{field.name: getattr(ours, field.name) for field in fields(ClaimedTableau)})
    if not Path(name_or_file).suffix and not Path(name_or_file).exists():
        close = difflib.get_close_matches(name_or_file, known, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise DataError(f"tableau: got {name_or_file!r}, expected a JSON file or {_any(known)}{hint}")
    return read(name_or_file)


def read(file: str | Path) -> ClaimedTableau:
    """Read a tableau from a JSON file.

    The keys are A, b and c, and optionally b_hat or e (the weights ``b - b_hat`` of the error), order, embedded_order,
    fsal, interpolant, interpolant_order, name, reference and comment. Numbers may be text: "1/5", "1/2 - sqrt(3)/6".
    The rows of A may leave out the zeros on and above the diagonal, and those above it.

    Parameters
    ----------
    file : str or Path

    Returns
    -------
    ClaimedTableau

    Raises
    ------
    DataError
        If the file cannot be read or a key is missing, unknown or wrong; one line names the file and the key.
    """
    record = _load(file)
    for key in record:
        if key not in KEYS + REMARKS:
            _refuse(file, f"got the unknown key {key!r}, expected {_any(KEYS + REMARKS)}")
    for key in ("A", "b", "c"):
        if key not in record:
            _refuse(file, f"got no key {key!r}, expected A, b and c")
    name = record.get("name", Path(file).stem)
    if not isinstance(name, str) or not name.isprintable():
        _refuse(file, f"got {_shown(name)}, expected one line of text", "name")
    b = _vector(file, "b", record["b"], None)
    if "b_hat" in record and "e" in record:
        _refuse(file, "got b_hat and e, expected one of them: e is b - b_hat")
    b_hat = _vector(file, "b_hat", record["b_hat"], len(b)) if "b_hat" in record else None
    if "e" in record:
        b_hat = b - _vector(file, "e", record["e"], len(b))
    if not isinstance(fsal := record.get("fsal", False), bool):
        _refuse(file, f"got {_shown(fsal)}, expected true or false", "fsal")
    interpolant = _interpolant(file, record["interpolant"], len(b)) if "interpolant" in record else None
    return ClaimedTableau(
        name=name,
        A=_matrix(file, record["A"], len(b)),
        b=b,
        c=_vector(file, "c", record["c"], len(b)),
        b_hat=b_hat,
        order=_order(file, "order", record, b),
        embedded_order=_order(file, "embedded_order", record, b_hat),
        fsal=fsal,
        interpolant=interpolant,
        interpolant_order=_order(file, "interpolant_order", record, interpolant),
        reference=str(record.get("reference", "")),
    )


def _load(file: str | Path) -> dict[str, Any]:
    expected = "expected a JSON object with the keys A, b and c"
    try:
        record = json.loads(Path(file).read_text(encoding="utf-8-sig"))
    except OSError as error:
        _refuse(file, f"got no file that can be read ({error.strerror}), {expected}")
    except json.JSONDecodeError as error:
        _refuse(file, f"got text that is not JSON ({error.msg}, line {error.lineno}), {expected}")
    except (ValueError, RecursionError) as error:  # not UTF-8, an integer of 5000 digits, brackets without end
        _refuse(file, f"got what cannot be read as JSON ({type(error).__name__}), {expected}")
    if not isinstance(record, dict):
        _refuse(file, f"got {_shown(record)}, {expected}")
    return record


def _order(file: str | Path, key: str, record: dict[str, Any], weights: Array | None) -> int | None:
    if key not in record:
        return None
    value = record[key]
    if type(value) is not int or not 1 <= value <= HIGHEST_CLAIM:
        _refuse(file, f"got {_shown(value)}, expected an integer from 1 to {HIGHEST_CLAIM}", key)
    if weights is None:
        needed = "b_hat or e" if key == "embedded_order" else "interpolant"
        _refuse(file, f"got {value} without {needed}, expected {needed} too", key)
    return value


def _vector(file: str | Path, key: str, value: Any, size: int | None) -> Array:
    expected = f"a list of {'' if size is None else f'{size} '}numbers"
    if not isinstance(value, list) or not value or len(value) != (size or len(value)):
        _refuse(file, f"got {_shown(value)}, expected {expected}", key)
    return np.array([_number(file, f"{key}[{i}]", each) for i, each in enumerate(value)])


def _rows(file: str | Path, key: str, value: Any) -> list[list[float]]:
    if not isinstance(value, list) or not all(isinstance(row, list) for row in value):
        _refuse(file, f"got {_shown(value)}, expected a list of rows", key)
    return [[_number(file, f"{key}[{i}][{j}]", x) for j, x in enumerate(row)] for i, row in enumerate(value)]


def _matrix(file: str | Path, value: Any, s: int) -> Array:
    rows = _rows(file, "A", value)
    lengths = [len(row) for row in rows]
    if lengths == list(range(1, s)):  # the first row of an explicit method is all zeros: it may be left out
        rows = [[], *rows]
    elif lengths not in ([s] * s, list(range(s)), list(range(1, s + 1))):
        shapes = f"{s} rows of {s}, or rows up to the diagonal, with or without it"
        _refuse(file, f"got rows of lengths {_shown(lengths)}, expected {shapes}", "A")
    return np.array([row + [0.0] * (s - len(row)) for row in rows])


def _interpolant(file: str | Path, value: Any, s: int) -> Array:
    rows = _rows(file, "interpolant", value)
    if len(rows) != s or not rows[0] or any(len(row) != len(rows[0]) for row in rows):
        lengths = [len(row) for row in rows]
        expected = f"{s} rows of equal length, the coefficients of theta, theta**2, ..."
        _refuse(file, f"got rows of lengths {_shown(lengths)}, expected {expected}", "interpolant")
    return np.array(rows)


def _number(file: str | Path, where: str, value: Any) -> float:
    try:
        if isinstance(value, str):
            number = float(evaluate(value))
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            number = float(value)
        else:
            number = math.nan
    except (ValueError, SyntaxError, ArithmeticError):
        number = math.nan
    if not abs(number) <= LARGEST:
        _refuse(file, f"got {_shown(value)}, expected {EXPECTED_NUMBER}", where)
    return number


def evaluate(text: str) -> Fraction:
    """Compute an arithmetic expression of numbers, ``+ - * /``, brackets and sqrt: exactly, but for the roots.

    Parameters
    ----------
    text : str
        For instance ``"1/4 - sqrt(3)/6"``.

    Returns
    -------
    Fraction

    Raises
    ------
    ValueError, SyntaxError, ArithmeticError
        If it is anything else, or has no value.
    """
    if len(text) > 200 or not set(text) <= set("0123456789.eE+-*/() sqrt"):
        raise ValueError("not a short arithmetic expression")
    return _value(ast.parse(text.strip(), mode="eval").body)


def _value(node: ast.expr) -> Fraction:
    match node:
        case ast.Constant(value=int() | float() as number):
            return Fraction(number)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _value(left) + _value(right)
        case ast.BinOp(left=left, op=ast.Sub(), right=right):
            return _value(left) - _value(right)
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            return _value(left) * _value(right)
        case ast.BinOp(left=left, op=ast.Div(), right=right):
            return _value(left) / _value(right)
        case ast.Call(func=ast.Name(id="sqrt"), args=[radicand], keywords=[]):
            return Fraction(math.sqrt(_value(radicand)))
    raise ValueError("not a number, + - * / or sqrt")


def _refuse(file: str | Path, complaint: str, key: str | None = None) -> NoReturn:
    raise DataError(f"{file}{'' if key is None else f', key {key}'}: {complaint}") from None


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def _any(names: Sequence[str]) -> str:
    return f"one of {', '.join(names)}"
