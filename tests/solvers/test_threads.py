"""Chunks of samples in threads: the same bits whatever the number of threads, safe to interrupt and to fork."""

import importlib
import multiprocessing
import signal
import threading
import time

import numpy as np
import pytest
from problems import PROBLEMS, field_of

import nodeedu as ne
from nodeedu.compile.kernels import JIT
from nodeedu.solvers.threads import in_chunks, thread_count

Z0 = PROBLEMS["pendulum"].z0 + np.random.default_rng(0).normal(size=(100, 2))
TS = np.linspace(0.0, 1.0, 4)
threaded = pytest.mark.skipif(not JIT, reason="Python code runs in one thread")


@pytest.fixture
def small_chunks(monkeypatch):
    """Four chunks: 32 samples, the least there can be in one, three times, and 4."""
    monkeypatch.setattr(importlib.import_module("nodeedu.solvers.solve"), "CACHE_BYTES", 1)


def everything(threads, monkeypatch):
    """Solve and differentiate with a number of threads; return states, counts, dense output and all gradients."""
    monkeypatch.setenv("NODEEDU_THREADS", threads)
    inputs = (field_of("pendulum"), Z0, TS, PROBLEMS["pendulum"].theta)
    solution = ne.odeint(*inputs, record=True)
    results = [solution.zs, solution.stats.nfev, solution.stats.accepted, solution(np.array([0.1, 0.77]))]
    for method in ("discrete", "backsolve"):
        g = ne.gradients(*inputs, np.sin(solution.zs), method=method, solution=solution)
        results += [g.z0, g.ts, np.hstack([np.ravel(leaf) for leaf in ne.autodiff.structure.leaves(g.theta)])]
    return results


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.jit  # in plain Python: 4 s, in one thread; others run the same lines
def test_any_number_of_threads_gives_the_same_bits(monkeypatch):
    for one, three in zip(everything("1", monkeypatch), everything("3", monkeypatch), strict=True):
        np.testing.assert_array_equal(one, three)


@pytest.mark.jit  # in plain Python: 4 s; others run the same lines
def test_chunks_change_no_more_than_the_rounding_of_sums_over_samples(monkeypatch, request):
    whole = everything("2", monkeypatch)
    request.getfixturevalue("small_chunks")
    for i, (one, four) in enumerate(zip(whole, everything("2", monkeypatch), strict=True)):
        if i in (5, 6, 8, 9):  # dL/dts and dL/dtheta are sums over 100 samples, of terms of size 1
            np.testing.assert_allclose(four, one, rtol=1e-12, atol=1e-12)
        else:
            np.testing.assert_array_equal(four, one)


@threaded
def test_chunks_run_in_threads_and_come_back_in_order(monkeypatch):
    monkeypatch.setenv("NODEEDU_THREADS", "2")
    both_started = threading.Barrier(2, timeout=60)  # passed only if two chunks run at the same time

    def work(members, interrupted):
        both_started.wait()
        return members.start, threading.current_thread().name

    starts, names = zip(*in_chunks(work, 4, 1), strict=True)
    assert starts == (0, 1, 2, 3)
    assert all(name.startswith("nodeedu") for name in names)


@threaded
def test_an_error_in_one_chunk_stops_the_others(monkeypatch):
    monkeypatch.setenv("NODEEDU_THREADS", "2")

    def work(members, interrupted):
        if members.start == 0:
            raise ValueError("the first")
        while not interrupted():
            pass

    with pytest.raises(ValueError, match="the first"):
        in_chunks(work, 8, 1)


@threaded
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs a timer")
def test_an_interrupt_reaches_the_user_and_stops_all_chunks(monkeypatch):
    monkeypatch.setenv("NODEEDU_THREADS", "2")

    def interrupt(signum, frame):
        raise KeyboardInterrupt

    def work(members, interrupted):
        signal.setitimer(signal.ITIMER_REAL, 0.05)  # each anew: it strikes when both run, and the caller waits
        while not interrupted():
            time.sleep(0.001)  # lets the caller have Python's lock

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            in_chunks(work, 2, 1)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@threaded
@pytest.mark.usefixtures("small_chunks")
@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork")
def test_a_forked_process_uses_threads_as_well(monkeypatch):
    here = everything("2", monkeypatch)
    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    child = context.Process(target=lambda: results.put(everything("2", monkeypatch)))
    child.start()
    child.join(60)
    assert child.exitcode == 0
    for mine, its in zip(here, results.get(), strict=True):
        np.testing.assert_array_equal(mine, its)


@pytest.mark.parametrize("text", ["0", "-1", "two", ""])
def test_a_wrong_number_of_threads_is_an_error(text, monkeypatch):
    monkeypatch.setenv("NODEEDU_THREADS", text)
    with pytest.raises(ValueError, match="NODEEDU_THREADS: got .*, expected a positive integer"):
        thread_count()
