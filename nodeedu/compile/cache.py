"""Where compiled code is kept: a private folder, one subfolder a unit, named by a hash of all it was made from.

    $NODEEDU_CACHE_DIR, else nodeedu/ in ~/.cache (or $XDG_CACHE_HOME), ~/Library/Caches or %LOCALAPPDATA%
      runge_kutta-0f3a…/     numba's cache for a file of this package; the hash covers the file and what it imports
      spiral_vjp-91c2…/      an emitted module, with numba's cache for it in __pycache__

Numba's cache holds pickles and machine code, so reading one that another user wrote would run that user's code. A
folder is used only if it belongs to us and nobody else can write to it; else a temporary one takes its place.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import hashlib
import os
import re
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numba
from numba.core import caching
from numba.core.compiler_lock import global_compiler_lock

PACKAGE = Path(__file__).resolve().parents[1]
UNUSED_DAYS = 60  # a unit's folder that no process has touched for so long is removed

_IMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+([.\w]+)[ \t]+import[ \t]+(\([^)]*\)|[^\n#]*)|import[ \t]+([\w.]+))", re.MULTILINE
)
_said: set[str] = set()  # warnings already issued

WITHOUT = "compiles without a cache"


class CacheWarning(UserWarning):
    """Compiled code cannot be kept, so that the next process compiles again."""


def folder() -> Path | None:
    """Return the folder for compiled code, made if need be; None where nothing can be written at all."""
    return _usable(os.environ.get("NODEEDU_CACHE_DIR") or _platform_folder())


def unit_folder(unit: str) -> Path | None:
    """Return the private subfolder of one unit (``label-hash``), marked as used today; None if there can be none."""
    root = folder()
    if root is None:
        return None
    path = root / unit
    try:
        if not path.is_dir():
            _remove_unused(root)
        path.mkdir(mode=0o700, exist_ok=True)
        reason = distrust(path)
        os.utime(path)
    except OSError as error:
        reason = f"cannot make {path}: {error.strerror}"
    if reason:
        complain(reason, WITHOUT)
        return None
    return path


def distrust(path: Path) -> str:
    """Return why what lies at a path must not be run as our own code; empty where it may (and on non-POSIX systems)."""
    if not hasattr(os, "geteuid"):
        return ""  # e.g. Windows: the folder lies in the user's profile, and access lists guard it
    status = os.lstat(path)
    if status.st_uid != os.geteuid():
        return f"{path} belongs to user {status.st_uid}, not to user {os.geteuid()}"
    if status.st_mode & 0o022:
        return f"{path} can be written by other users (chmod go-w {path})"
    return ""


def source_stamp(files: Iterable[Path]) -> str:
    """Return a hash over source files and all files of this package that they import, directly or through others.

    Numba itself stamps a cached function with its own file alone, and would go on running the old machine code of a
    callee that was edited in another file.
    """
    seen: set[Path] = set()
    waiting = [Path(file) for file in files]
    while waiting:
        file = waiting.pop()
        if file not in seen:
            seen.add(file)
            waiting.extend(_imports(file))
    digest = hashlib.sha256(numba.__version__.encode())
    for file in sorted(seen, key=str):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


@functools.cache
def generator_version() -> str:
    """Return a hash over what makes emitted code, read once: this subpackage, the primitives, and numba's version."""
    return source_stamp([*sorted(PACKAGE.glob("compile/*.py")), *PACKAGE.glob("autodiff/primitives.py")])


class FunctionCache:
    """Numba's cache of one function: opened when numba first asks for machine code, and made safe.

    A process that imports this package and compiles nothing touches no folder and hears no warning. Damaged files and
    a full disk cost a compilation, not an exception.

    Parameters
    ----------
    function : callable
        The Python function; it lies in a file.
    unit : str, optional
        The unit that its files go to; without it they lie beside the function's own file.
    """

    def __init__(self, function: Callable[..., Any], unit: str | None = None) -> None:
        self._function = function
        self._unit = unit

    @functools.cached_property
    def _numba(self) -> Any:
        """Numba's own cache; the one that keeps nothing if there is no place for it."""
        place = unit_folder(self._unit) if self._unit else ""  # to numba an empty setting means: beside the source
        if place is None:
            return caching.NullCache()
        with global_compiler_lock:  # numba's own; with a lock of ours, two threads could wait for each other
            before, numba.config.CACHE_DIR = numba.config.CACHE_DIR, str(place)
            try:
                cache = caching.FunctionCache(self._function)
            except RuntimeError as error:  # numba could not write there after all
                complain(str(error), WITHOUT)
                return caching.NullCache()
            finally:
                numba.config.CACHE_DIR = before
        # Numba numbers the data files of a function: 1 for its first signature, 2 for the next. Two processes that
        # compile two signatures at the same moment could both write number 1, and the index would lead float64 arrays
        # to float32 code for ever after. With the process in the name, no two write the same file.
        files = cache._cache_file
        files._data_name_pattern = files._data_name_pattern.replace("{number:d}", f"{os.getpid()}.{{number:d}}")
        return cache

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return what is kept for a signature; None, so that it is compiled, if there is nothing or it is damaged."""
        try:
            return self._numba.load_overload(sig, target_context)
        except CacheWarning:
            raise  # where warnings are errors
        except Exception:  # unpickling a torn file raises anything
            self.flush()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep what was compiled."""
        try:
            self._numba.save_overload(sig, data)
        except OSError as error:
            complain(f"cannot write to {self.cache_path}: {error.strerror}", WITHOUT)

    def flush(self) -> None:
        """Forget all signatures."""
        with contextlib.suppress(OSError):
            self._numba.flush()

    @property
    def cache_path(self) -> str | None:
        """Folder of the files."""
        return self._numba.cache_path


@functools.cache
def unit_of(file: str) -> str | None:
    """Return the unit for the functions of a source file; None if there is no such file (``<stdin>``).

    To be called when the file is imported: the hash is that of the text that runs, even if it is edited afterwards.
    """
    path = Path(file).resolve()
    return f"{path.stem}-{source_stamp([path])}" if path.is_file() else None


def complain(reason: str, consequence: str) -> None:
    """Issue a `CacheWarning`, the same one only once a process."""
    message = f"nodeedu {consequence}: {reason}. Set NODEEDU_CACHE_DIR to a folder that is yours alone."
    if message not in _said:
        _said.add(message)
        warnings.warn(message, CacheWarning, stacklevel=3)


def _platform_folder() -> str:
    """Return where programs keep what they can make again, by the custom of the platform."""
    home = os.path.expanduser("~")
    if sys.platform == "win32":
        root = os.environ.get("LOCALAPPDATA") or os.path.join(home, "AppData", "Local")
    elif sys.platform == "darwin":
        root = os.path.join(home, "Library", "Caches")
    else:
        root = os.environ.get("XDG_CACHE_HOME") or os.path.join(home, ".cache")
    return os.path.join(root, "nodeedu")


@functools.cache
def _usable(candidate: str) -> Path | None:
    """Return the candidate if it is ours and writable, else a temporary folder, else None."""
    try:
        os.makedirs(candidate, mode=0o700, exist_ok=True)
        path = Path(candidate).resolve()  # once: a link that is turned elsewhere later is not followed
        reason = distrust(path)
        if not reason:
            tempfile.TemporaryFile(dir=path).close()
            return path
    except OSError as error:
        reason = f"cannot write to {candidate}: {error.strerror}"
    path = _temporary_folder()
    complain(reason, "keeps compiled code for this process only" if path else WITHOUT)
    return path


@functools.cache
def _temporary_folder() -> Path | None:
    """Make a private folder that lasts as long as the process."""
    try:
        path = Path(tempfile.mkdtemp(prefix="nodeedu-")).resolve()  # mkdtemp makes it 0700
    except OSError:
        return None
    owner = os.getpid()

    def remove() -> None:
        if os.getpid() == owner:  # a forked child that exits must leave it to its parent
            shutil.rmtree(path, ignore_errors=True)

    atexit.register(remove)
    return path


@functools.cache
def _imports(file: Path) -> tuple[Path, ...]:
    """Return the files of this package that a source file imports, read off its import statements.

    The package's own ``__init__`` is left out: it runs whatever is imported, and would tie every file to every other.
    """
    found: list[Path] = []
    for module, names, plain in _IMPORT.findall(file.read_text(encoding="utf-8")):
        dotted = module or plain
        bare = dotted.lstrip(".")
        if bare != dotted:
            base = file.parents[len(dotted) - len(bare) - 1].joinpath(*bare.split("."))
        elif bare.split(".")[0] == PACKAGE.name:
            base = PACKAGE.parent.joinpath(*bare.split("."))
        else:
            continue
        for path in (base, *(base / name for name in re.findall(r"\w+", names))):
            found += [each for each in (path.with_suffix(".py"), path / "__init__.py") if each.is_file()]
    return tuple(each for each in found if each != PACKAGE / "__init__.py")


def _remove_unused(root: Path) -> None:
    """Remove units that no process has asked for in `UNUSED_DAYS`."""
    oldest = time.time() - UNUSED_DAYS * 86400
    for path in root.glob("*-" + "[0-9a-f]" * 16):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < oldest:
                shutil.rmtree(path, ignore_errors=True)
