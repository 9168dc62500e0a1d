"""Fresh processes: seconds from the start of Python to the first gradient, beside those to the end of `import numba`.

The problem is as large as the spiral, with random data, as computing data would need SciPy. Our compiled code is kept
in a private folder: warm; with the code of another field alone ("new field"); or empty. JAX's own cache of compiled
code is left off, as it is by default: it was tried for this work and gained nothing.
"""

from __future__ import annotations

import argparse
import functools
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median

from benchmarks.processes import Seconds, seconds_until
from benchmarks.tables import Row, judge, table

IMPORT_NUMBA = "import numba"
IMPORT_NUMBA_CODE = "import numba, time; print(time.perf_counter(), time.process_time())"
WARM = "nodeedu, warm cache"
NEW_FUSED = "nodeedu, new field 2-50-2"
NEW_TILED = "nodeedu, new field 64-128-64"
EMPTY = "nodeedu, empty cache"

# The most that is wanted.
WARM_RATIO = 2.5  # times `import numba`
NEW_FUSED_MORE = 3.0  # seconds more than with a warm cache
NEW_TILED_SECONDS, EMPTY_SECONDS = 8.0, 16.0

ROUNDS = 3
CHEAP_REPEATS = 3  # of what takes about a second, in each round


def first_gradient(library: str, method: str, shape: str = "spiral", **variables: str) -> Seconds:
    """Seconds to the first gradient of one library."""
    return seconds_until("-m", "benchmarks.first_gradient", library, method, shape, **variables)


def ours(shape: str, cache: Path) -> Seconds:
    """Seconds to our first gradient with compiled code kept in a folder."""
    return first_gradient("nodeedu", "discrete", shape, NODEEDU_CACHE_DIR=str(cache))


def our_scenarios(folder: Path) -> dict[str, Callable[[], Seconds]]:
    """Warm the caches, and return what to time."""
    other, warm, private = folder / "other-field", folder / "warm", folder / "private"
    for path in (other, warm):
        path.mkdir(mode=0o700)
    ours("other", other)
    ours("spiral", warm)

    def with_new_field(shape: str) -> Seconds:
        shutil.copytree(other, private)
        try:
            return ours(shape, private)
        finally:
            shutil.rmtree(private)

    def with_empty_cache() -> Seconds:
        private.mkdir(mode=0o700)
        try:
            return ours("spiral", private)
        finally:
            shutil.rmtree(private)

    return {
        WARM: lambda: ours("spiral", warm),
        NEW_FUSED: lambda: with_new_field("spiral"),
        NEW_TILED: lambda: with_new_field("tiled"),
        EMPTY: with_empty_cache,
    }


def peer_scenarios(peers: tuple[str, ...]) -> dict[str, Callable[[], Seconds]]:
    """What to time of the peers: of each its default way to a gradient."""
    methods = {"torchdiffeq": "backprop", "diffrax": "checkpoint"}
    return {f"{name} {methods[name]}": functools.partial(first_gradient, name, methods[name]) for name in peers}


def rows_of(medians: dict[str, Seconds]) -> list[Row]:
    """One row a scenario, with the verdicts on ours, by the clock on the wall."""
    seconds = {name: value.wall for name, value in medians.items()}
    ratio, more = seconds[WARM] / seconds[IMPORT_NUMBA], seconds[NEW_FUSED] - seconds[WARM]
    tiled, empty = seconds[NEW_TILED], seconds[EMPTY]
    verdicts = {
        WARM: {"ratio": ratio, **judge(ratio, at_most=WARM_RATIO)},
        NEW_FUSED: {"more_s": more, **judge(more, at_most=NEW_FUSED_MORE)},
        NEW_TILED: {"more_s": tiled - seconds[WARM], **judge(tiled, at_most=NEW_TILED_SECONDS)},
        EMPTY: {"more_s": empty - seconds[WARM], **judge(empty, at_most=EMPTY_SECONDS)},
    }
    return [
        {"name": name, "median_s": value.wall, "processor_s": value.processor, **verdicts.get(name, {})}
        for name, value in medians.items()
    ]


def run(options: argparse.Namespace, peers: tuple[str, ...]) -> list[Row]:
    """Time the scenarios in turn, print, and return the rows."""
    with tempfile.TemporaryDirectory(prefix="nodeedu-benchmark-") as name:
        folder = Path(name)
        works = {IMPORT_NUMBA: lambda: seconds_until("-c", IMPORT_NUMBA_CODE)}
        works |= our_scenarios(folder) | peer_scenarios(peers)
        times: dict[str, list[Seconds]] = {key: [] for key in works}
        for _ in range(1 if options.quick else ROUNDS):
            for key, work in works.items():
                repeats = CHEAP_REPEATS if key in (IMPORT_NUMBA, WARM) else 1
                times[key] += [work() for _ in range(repeats)]
    rows = rows_of({key: Seconds(*map(median, zip(*values, strict=True))) for key, values in times.items()})
    print("Seconds to the first gradient; ratio: to `import numba`; more: than with a warm cache.")
    print(table(rows))
    return rows
