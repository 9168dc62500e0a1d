"""Checks against the reference, interleaved timing, and rows for the tables; shared by all workloads."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

from benchmarks.problem import Gradient, Problem
from benchmarks.routes import Contender, Route, make_route
from benchmarks.tables import Row, judge

# Whoever comes after a library that has filled the caches and the heap is up to twice as slow for some 5 ms.
WARM_UP = 0.02
TURN = 0.01  # so that short work is not lost in the clock


def measure(works: Mapping[str, Callable[[], Any]], repetitions: int) -> dict[str, float]:
    """Median seconds of each piece of work, repeated in turn (A B C A B C ...) so that a busy spell hits all alike.

    A turn calls the work for `WARM_UP` seconds untimed, then times the calls of about `TURN` seconds together. Seconds
    are processor time of this process: on one core that is the time on a quiet machine, and a second thread that a
    library starts is counted in. How much longer the clock on the wall took is printed.
    """
    calls = {}
    for name, work in works.items():
        _calls_within(WARM_UP, work)
        calls[name] = _calls_within(TURN, work)
    times: dict[str, list[float]] = {name: [] for name in works}
    wall, processor = time.perf_counter(), time.process_time()
    gc.collect()
    gc.disable()
    try:
        for _ in range(repetitions):
            for name, work in works.items():
                _calls_within(WARM_UP, work)
                start = time.process_time()
                for _ in range(calls[name]):
                    work()
                times[name].append((time.process_time() - start) / calls[name])
    finally:
        gc.enable()
    busy = (time.perf_counter() - wall) / (time.process_time() - processor)
    print(f"Processor time, medians of {repetitions} turns; the clock on the wall took {busy:.2f} times as long.\n")
    return {name: median(values) for name, values in times.items()}


def _calls_within(seconds: float, work: Callable[[], Any]) -> int:
    """Call the work until a time has passed, at least once; return the number of calls."""
    start, calls = time.process_time(), 0
    while calls == 0 or time.process_time() - start < seconds:
        work()
        calls += 1
    return calls


def check(errors: Mapping[str, float], largest: float) -> None:
    """Stop when a gradient is further than `largest` from the reference, or is not a number.

    Raises
    ------
    SystemExit
        The time of a wrong gradient means nothing.
    """
    wrong = [f"{name} by {error:.1e}" for name, error in errors.items() if not error <= largest]
    if wrong:
        raise SystemExit(f"gradients that differ from the reference by more than {largest:.0e}: {', '.join(wrong)}")


def compare_gradients(
    problem: Problem,
    contenders: Sequence[Contender],
    reference: Gradient,
    largest_error: float,
    repetitions: int,
    *,
    with_times: bool = False,
    others: Mapping[str, Callable[[], Any]] | None = None,
) -> tuple[list[Row], dict[str, float]]:
    """Check every contender against the reference, then time all of them in turn.

    Parameters
    ----------
    others : mapping, optional
        More work to be timed in the same turns.

    Returns
    -------
    rows : list of dict
        One a contender: name, median_ms, error, ahead, back and, beside a rival, times_ours and its verdict.
    seconds : dict
        Medians of the contenders and of `others`.
    """
    routes: dict[str, Route] = {}
    for contender in contenders:
        routes[contender.name] = make_route(contender, problem, with_times=with_times)
    errors = {name: route.gradient(route.run()).error(reference) for name, route in routes.items()}
    check(errors, largest_error)
    works = {name: route.run for name, route in routes.items()}
    seconds = measure({**works, **(others or {})}, repetitions)
    return [_row(contender, routes[contender.name], errors, seconds) for contender in contenders], seconds


def _row(contender: Contender, route: Route, errors: Mapping[str, float], seconds: Mapping[str, float]) -> Row:
    name, rival = contender.name, f"nodeedu {contender.rival}"
    ahead, back = route.evaluations()
    row = {"name": name, "median_ms": 1e3 * seconds[name], "error": errors[name], "ahead": ahead, "back": back}
    if rival in seconds:
        times_ours = seconds[name] / seconds[rival]
        row |= {"times_ours": times_ours, **judge(times_ours, at_least=contender.target)}
    return row
