"""Rows as aligned text with a verdict on each target, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.environment import describe_machine

Row = dict[str, Any]

# key of a row: heading, format
COLUMNS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "name": ("", str),
    "median_ms": ("median ms", "{:.3f}".format),
    "median_s": ("median s", "{:.2f}".format),
    "processor_s": ("processor s", "{:.2f}".format),
    "more_s": ("more than", "{:+.2f}".format),
    "limit_ms": ("limit ms", "{:.3f}".format),
    "few_mb": ("peak MB, few steps", "{:.1f}".format),
    "many_mb": ("many steps", "{:.1f}".format),
    "growth_mb": ("growth MB", "{:+.2f}".format),
    "states_a_step": ("states a step", "{:.2f}".format),
    "stored_states": ("stored states", "{:d}".format),
    "stored_bytes": ("stored bytes", "{:d}".format),
    "ratio": ("ratio", "{:.2f}".format),
    "times_ours": ("times ours", "{:.1f}".format),
    "target": ("target", str),
    "verdict": ("", str),
    "error": ("error", "{:.1e}".format),
    "ahead": ("f ahead", "{:.4g}".format),
    "back": ("f, VJP back", "{:.4g}".format),
}


def judge(value: float, *, at_least: float | None = None, at_most: float | None = None) -> Row:
    """Entries "target" and "verdict" of a row whose figure is `value`; none without a bound."""
    if at_least is not None:
        return {"target": f">= {at_least:g}", "verdict": "reached" if value >= at_least else "MISSED"}
    if at_most is not None:
        return {"target": f"<= {at_most:g}", "verdict": "reached" if value <= at_most else "MISSED"}
    return {}


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as aligned text: the columns of `COLUMNS` that some row has, blank where a row has no such entry."""
    keys = [key for key in COLUMNS if any(key in row for row in rows)]
    lines = [[COLUMNS[key][0] for key in keys]]
    lines += [[COLUMNS[key][1](row[key]) if key in row else "" for key in keys] for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    texts = []
    for line in lines:
        cells = [cell.rjust(width) for cell, width in zip(line, widths, strict=True)]
        texts.append("  ".join([line[0].ljust(widths[0]), *cells[1:]]).rstrip())
    texts.insert(1, "-" * max(map(len, texts)))
    return "\n".join(texts)


def write_json(path: Path, workload: str, rows: Sequence[Row]) -> None:
    """Write the rows together with the machine and the versions that they were measured with."""
    path.write_text(json.dumps({"workload": workload, "machine": describe_machine(), "rows": list(rows)}, indent=1))
    print(f"written: {path}")
