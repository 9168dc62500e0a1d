"""Checkpoints: any structure of arrays, numbers, texts and random generators in one npz file, exact to the bit.

The file can be read without nodeedu: ``np.load(path)["theta['W1']"]`` is the array with that path, and the entry
``structure.json`` says how the parts belong together. Reading it runs no code from it. The same content gives the same
bytes.
"""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

_FORMAT = "nodeedu checkpoint 1"
_STRUCTURE = "structure.json"
_GENERATORS = ("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64")


def save_checkpoint(path: str | os.PathLike[str], content: dict[str, Any]) -> Path:
    """Write a dictionary to a file; an older file is replaced at once and whole, or, if anything fails, not at all.

    Parameters
    ----------
    path : str or path
        The name is used as given; its folder is made if need be.
    content : dict
        Names of structures: dictionaries (with texts or integers as keys), lists and tuples of arrays, numbers, texts,
        None, and `numpy.random.Generator`, whose state is written.

    Returns
    -------
    Path
        The path written.

    Raises
    ------
    TypeError
        The content holds something else; the message names its path.
    OSError
        The file cannot be written.
    """
    arrays: dict[str, np.ndarray] = {}
    for name in content:
        if not (isinstance(name, str) and name.isidentifier()):
            raise TypeError(f"content has the key {name!r}: expected names, such as 'theta'")
    encoded = {name: _encode(value, name, arrays) for name, value in content.items()}
    path = Path(path)
    target = Path(os.path.realpath(path))  # a link stays a link
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")  # a rename needs the same file system
    try:
        with open(temporary, "wb") as file:
            with zipfile.ZipFile(file, "w") as archive:  # ZipInfo: without it, the time of day would be in the file
                archive.writestr(zipfile.ZipInfo(_STRUCTURE), json.dumps({"format": _FORMAT, "content": encoded}))
                for name, array in arrays.items():
                    with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as entry:
                        npy.write_array(entry, array, allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def load_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read what `save_checkpoint` wrote.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    dict
        As it was saved: containers, dtypes, shapes and bits; generators continue where they were. Named tuples come
        back as tuples.

    Raises
    ------
    ValueError
        The file is damaged, or not a checkpoint.
    OSError
        The file cannot be opened.
    """
    with open(path, "rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                damaged = archive.testzip()  # of all entries, before NumPy believes what a header says
                if damaged is not None:
                    raise ValueError(f"the entry {damaged} is damaged")
                structure = json.loads(archive.read(_STRUCTURE))
                if structure["format"] != _FORMAT:
                    raise ValueError(f"its format is {structure['format']!r}, expected {_FORMAT!r}")
                return {name: _decode(value, archive) for name, value in structure["content"].items()}
        except Exception as error:  # a damaged zip file raises nearly anything
            raise ValueError(
                f"{os.fspath(path)}: got a file that is damaged or no checkpoint ({type(error).__name__}: {error}), "
                "expected one that nodeedu.nn.save_checkpoint wrote; remove it or take another"
            ) from error


def _encode(value: Any, path: str, arrays: dict[str, np.ndarray]) -> Any:
    """Describe a value in JSON as a pair (kind, description); arrays are collected under their paths."""
    if value is None or type(value) in (bool, int, float, str):
        return ["value", value]
    if isinstance(value, (np.ndarray, np.generic)) and not isinstance(value, np.ma.MaskedArray):
        if value.dtype.hasobject:
            raise TypeError(f"{path} is an array of Python objects: expected numbers or texts")
        arrays[path] = np.asarray(value)
        return ["array" if isinstance(value, np.ndarray) else "scalar", path]
    if isinstance(value, np.random.Generator):
        return ["generator", _encode(value.bit_generator.state, f"{path}.state", arrays)]
    if isinstance(value, (list, tuple)):
        parts = [_encode(x, f"{path}[{i}]", arrays) for i, x in enumerate(value)]
        return ["list" if isinstance(value, list) else "tuple", parts]
    if isinstance(value, dict):
        for key in value:
            if type(key) not in (str, int):
                raise TypeError(f"{path} has the key {key!r}: expected texts or integers")
        return ["dict", [[key, _encode(x, f"{path}[{key!r}]", arrays)] for key, x in value.items()]]
    raise TypeError(f"{path} is a {type(value).__name__}: expected arrays, numbers, texts, containers or a Generator")


def _decode(encoded: Any, archive: zipfile.ZipFile) -> Any:
    """Rebuild what `_encode` described."""
    kind, description = encoded
    if kind == "value":
        return description
    if kind in ("array", "scalar"):
        with archive.open(f"{description}.npy") as entry:
            array = npy.read_array(entry, allow_pickle=False)
        return array if kind == "array" else array[()]
    if kind == "generator":
        state = _decode(description, archive)
        if state["bit_generator"] not in _GENERATORS:
            raise ValueError(f"unknown random generator {state['bit_generator']!r}")
        bit_generator = getattr(np.random, state["bit_generator"])()
        bit_generator.state = state
        return np.random.Generator(bit_generator)
    if kind == "dict":
        return {key: _decode(x, archive) for key, x in description}
    parts = [_decode(x, archive) for x in description]
    return {"list": list, "tuple": tuple}[kind](parts)
