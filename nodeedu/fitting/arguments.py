"""Types of command line arguments: what is refused, in one line that says what was got and what is expected."""

from __future__ import annotations

import argparse
import math
import os
import sys
from pathlib import Path

from .table import DataError


def count(text: str, low: int = 0) -> int:
    """Return an integer from ``low`` on."""
    if not text.isascii() or not text.isdigit() or int(text) < low:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected an integer from {low} on")
    return int(text)


def positive(text: str) -> int:
    """Return an integer from 1 on."""
    return count(text, low=1)


def share(text: str) -> float:
    """Return a number from 0.01 to 0.9."""
    return number(text, "a number from 0.01 to 0.9", 0.01, 0.9)


def times(text: str) -> list[float]:
    """Return finite numbers that were separated by commas."""
    limit = sys.float_info.max
    return [number(cell, "finite numbers separated by commas", -limit, limit) for cell in text.split(",")]


def number(text: str, expected: str, low: float, high: float) -> float:
    """Return a number in [low, high]; ``expected`` says so in words."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected {expected}")
    return value


def require_folder(path: Path, option: str = "--out") -> None:
    """Refuse a folder that cannot be made or written to, before any work is done; nothing is made yet.

    Raises
    ------
    DataError
        One line.
    """
    existing = next(each for each in (path, *path.absolute().parents) if each.exists())
    if not existing.is_dir():
        raise DataError(f"{option}: got {path}, but {existing} is a file; expected a folder")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise DataError(f"{option}: got {path}, but {existing} cannot be written to; expected a folder that can")
