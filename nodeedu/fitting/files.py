"""Names of result files that belong to no earlier run."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def make_way(path: Path) -> Path:
    """Rename a file of an earlier run to the first free number, say so on stderr, and return the path.

    Parameters
    ----------
    path : Path
        Where a file is to be written.

    Returns
    -------
    Path
        The same.
    """
    if path.exists():
        numbers = (path.with_name(f"{path.stem}.{i}{path.suffix}") for i in range(1, 10**6))
        earlier = next(name for name in numbers if not name.exists())
        os.rename(path, earlier)
        print(f"kept  {earlier}, the {path.name} of an earlier run", file=sys.stderr)
    return path
