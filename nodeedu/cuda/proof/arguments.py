"""Arguments of a kernel as Numba hands them over: every array as its address, size, shape and strides."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from nodeedu.cuda.proof.ptx import Declaration
from nodeedu.cuda.proof.registers import width

__all__ = ["Named", "arrays", "pack"]

Array = np.ndarray


@dataclass(frozen=True)
class Named:
    """An array among the arguments, with the words that a message calls it by."""

    name: str
    array: Array

    def bounds(self) -> tuple[int, int]:
        """Return the first address of the array and the one after its last."""
        low, high = np.lib.array_utils.byte_bounds(self.array)
        return int(low), int(high)

    def __str__(self) -> str:
        """Name, type and shape."""
        kind = self.array.dtype.name if self.array.dtype.names is None else "records"
        return f"{self.name} ({kind}, shape {self.array.shape})"


def arrays(arguments: tuple[Any, ...]) -> list[Named]:
    """Return the arrays among the arguments, those in tuples too."""
    return [Named(name, value) for name, value in _leaves(arguments) if isinstance(value, np.ndarray)]


def _leaves(arguments: tuple[Any, ...]) -> Iterator[tuple[str, Any]]:
    """Yield names and values of all that is no tuple."""
    for k, value in enumerate(arguments):
        yield from _parts(f"argument {k}", value)


def _parts(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if not isinstance(value, tuple):
        yield name, value
        return
    fields = getattr(value, "_fields", range(len(value)))
    for each, part in zip(fields, value, strict=True):
        yield from _parts(f"{name}.{each}" if isinstance(each, str) else f"{name}[{each}]", part)


def pack(arguments: tuple[Any, ...], parameters: tuple[Declaration, ...]) -> list[bytes]:
    """Return the bytes of each parameter of the kernel.

    Raises
    ------
    TypeError
        If an argument is of a type that kernels do not take, or the number of parameters is another.
    """
    words = [word for name, value in _leaves(arguments) for word in _words(name, value)]
    if len(words) != len(parameters):
        raise TypeError(f"arguments: got {len(words)} words, expected the {len(parameters)} parameters of the kernel")
    packed = []
    for word, parameter in zip(words, parameters, strict=True):
        if isinstance(word, float):
            packed.append(struct.pack("<f" if width(parameter.type) == 4 else "<d", word).ljust(8, b"\0"))
        else:
            packed.append((word % 2**64).to_bytes(8, "little"))
    return packed


def _words(name: str, value: Any) -> list[int | float]:
    if isinstance(value, np.ndarray):
        address = value.ctypes.data
        return [0, 0, value.size, value.itemsize, address, *value.shape, *value.strides]
    if isinstance(value, (float, np.floating)):
        return [float(value)]
    if isinstance(value, (bool, int, np.bool_, np.integer)):
        return [int(value)]
    raise TypeError(f"{name}: got {type(value).__name__}, expected an array, a number, or a tuple of these")
