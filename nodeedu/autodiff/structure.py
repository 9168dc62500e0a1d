"""Parameters as nested containers: flatten to leaves with a path, and back.

A structure is an array, or a tuple, list, dict or named tuple of structures. The path of a leaf is the Python text that
reaches it from the top, such as ``theta['W'][0]``: unique, and never a name that the user chose for something else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

CONTAINERS = dict, tuple, list, type(None)  # all else is a leaf


def flatten(structure: Any, path: str = "theta") -> list[tuple[str, Any]]:
    """List the (path, leaf) pairs of a structure in order; None has no leaves."""
    if structure is None:
        return []
    if isinstance(structure, dict):
        return [pair for key in structure for pair in flatten(structure[key], f"{path}[{key!r}]")]
    if isinstance(structure, (tuple, list)):
        return [pair for i, x in enumerate(structure) for pair in flatten(x, f"{path}[{i}]")]
    return [(path, structure)]


def unflatten(structure: Any, leaves: Iterable[Any]) -> Any:
    """Build the containers of ``structure`` around other leaves."""
    return _build(structure, iter(leaves))


def _build(like: Any, supply: Iterator[Any]) -> Any:
    if not isinstance(like, CONTAINERS):
        return next(supply)
    if isinstance(like, dict):
        return {key: _build(value, supply) for key, value in like.items()}
    if isinstance(like, (tuple, list)):
        items = [_build(value, supply) for value in like]
        return type(like)(*items) if hasattr(like, "_fields") else type(like)(items)
    return None


def leaves(structure: Any) -> list[Any]:
    """List the leaves of a structure in order."""
    return [leaf for _, leaf in flatten(structure)]


def leaves_like(structure: Any, example: Any, name: str = "theta") -> list[Any]:
    """List the leaves of a structure in the order of an example; the keys of a dict may come in another.

    Raises
    ------
    ValueError
        The containers differ from those of the example; the message calls the structure by its name.
    """
    found: list[Any] = []
    if not _collect(structure, example, found):
        got, expected = ([path for path, _ in flatten(each)] for each in (structure, example))
        differing = [path for path in (*expected, *got) if (path in expected) != (path in got)]
        where = f"first difference: {differing[0]}" if differing else "as they are nested there"
        raise ValueError(f"{name}: got the leaves {', '.join(got) or 'none'}, expected {', '.join(expected)} ({where})")
    return found


def _collect(x: Any, like: Any, found: list[Any]) -> bool:
    """Append the leaves of x to those found; return whether its containers are those of the example."""
    if not isinstance(like, CONTAINERS):
        found.append(x)
        return x is not None and not isinstance(x, dict)
    if isinstance(like, dict):
        return isinstance(x, dict) and x.keys() == like.keys() and all(_collect(x[k], like[k], found) for k in like)
    if isinstance(like, (tuple, list)):
        if not isinstance(x, (tuple, list)) or len(x) != len(like):
            return False
        return all([_collect(part, part_like, found) for part, part_like in zip(x, like, strict=True)])
    return x is None


def tree_map(function: Callable[..., Any], first: Any, *others: Any) -> Any:
    """Apply a function to the leaves of structures that share their containers."""
    columns = [leaves(first), *(leaves_like(structure, first) for structure in others)]
    return unflatten(first, [function(*row) for row in zip(*columns, strict=True)])


def as_arrays(structure: Any, path: str = "theta") -> Any:
    """Turn every leaf into a float array and refuse what is not a number.

    Raises
    ------
    TypeError
        A leaf is not real numbers; the message names its path.
    """

    def convert(name: str, leaf: Any) -> np.ndarray:
        array = np.asarray(leaf)
        if array.dtype.kind not in "fiub":
            raise TypeError(
                f"{name} has dtype {array.dtype}: expected real numbers; "
                "pass arrays, or (nested) tuples, lists or dicts of arrays"
            )
        return array if array.dtype in (np.float32, np.float64) else array.astype(np.float64)

    pairs = flatten(structure, path)
    return unflatten(structure, [convert(name, leaf) for name, leaf in pairs])
