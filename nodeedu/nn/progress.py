"""How far a long run has come, on stderr: tqdm's bar where there is one, else a line of our own."""

from __future__ import annotations

import sys
import time
from typing import Any, TextIO

_REDRAW = 0.1  # seconds between two updates of a line on a terminal
_LOG = 10.0  # seconds between two lines in a log file


class Progress:
    """Reports steps; on a terminal it redraws one line, elsewhere it writes one line every ten seconds.

    Parameters
    ----------
    steps : int
        Number of steps of the whole run.
    start : int
        Steps made before, in a run that is resumed.
    show : bool
        False: write nothing.
    """

    def __init__(self, steps: int, start: int = 0, show: bool = True) -> None:
        self.steps, self.start = steps, start
        self.stream: TextIO | None = sys.stderr if show else None  # None also where Python has no stderr
        self.terminal = self.stream is not None and self.stream.isatty()
        self.drawn = 0  # length of the line that the next one replaces
        self.began = self.shown = time.monotonic()
        self.bar: Any = self._tqdm() if self.terminal and steps > start else None

    def _tqdm(self) -> Any:
        try:
            from tqdm import tqdm
        except ImportError:
            return None
        options = {"file": self.stream, "unit": "step", "leave": False, "dynamic_ncols": True}
        return tqdm(total=self.steps, initial=self.start, **options)

    def step(self, done: int, loss: float) -> None:
        """Report that ``done`` steps are made, and the loss of the last one."""
        if self.bar is not None:
            self.bar.set_postfix_str(f"loss {loss:.4g}", refresh=False)
            self.bar.update(1)
            return
        now = time.monotonic()
        if self.stream is None or now - self.shown < (_REDRAW if self.terminal else _LOG):
            return
        self.shown = now
        left = (now - self.began) / (done - self.start) * (self.steps - done)
        line = f"step {done} of {self.steps}, loss {loss:.4g}, about {duration(left)} left"
        self._write(line, end="" if self.terminal else "\n")

    def say(self, message: str) -> None:
        """Write one line that stays."""
        if self.bar is not None:
            self.bar.clear()
        self._write(message, end="\n")

    def close(self) -> None:
        """Remove what was drawn."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None
        elif self.drawn:
            self._write("", end="\r")

    def elapsed(self) -> str:
        """Time since the start, as text."""
        return duration(time.monotonic() - self.began)

    def _write(self, line: str, end: str) -> None:
        if self.stream is None:
            return
        # Blanks rather than an escape sequence: not every terminal knows those.
        self.stream.write(("\r" if self.drawn else "") + line.ljust(self.drawn) + end)
        self.stream.flush()
        self.drawn = len(line) if end == "" else 0


def duration(seconds: float) -> str:
    """Write a time span in words of its size."""
    if seconds < 60.0:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
