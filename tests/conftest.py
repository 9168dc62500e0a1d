"""What all tests share: reproducible property tests, figures without a window, and no figure left open."""

import gc
import os
import shutil
import sys
import tempfile
from pathlib import Path

import hypothesis
import pytest
from chapters import Runs

from nodeedu import plot

hypothesis.settings.register_profile("ci", derandomize=True, deadline=None)  # a compilation would miss any deadline
hypothesis.settings.load_profile("ci")

plot.headless()
plot.draft()


def pytest_collection_modifyitems(config, items):
    """Ask for the chapters last; leave out what needs compiled code when Numba compiles nothing."""
    items.sort(key=lambda item: "chapter_runs" in item.fixturenames)
    if os.environ.get("NUMBA_DISABLE_JIT", "0") in ("", "0"):
        return
    left_out = [item for item in items if item.get_closest_marker("jit")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


RUNS = pytest.StashKey()


def pytest_collection_finish(session):
    """Begin to run the chapters that are asked for; their tests, which come late, find the results."""
    gc.freeze()  # the collector need not look again and again at what lives to the end: modules, and all these tests
    wanted = {item.callspec.params["chapter"]: None for item in session.items if "chapter_runs" in item.fixturenames}
    if wanted and not session.config.option.collectonly:
        session.config.stash[RUNS] = Runs(wanted, Path(tempfile.mkdtemp()))


def pytest_sessionfinish(session):
    """Leave no chapter running behind."""
    if RUNS in session.config.stash:
        session.config.stash[RUNS].stop()
        shutil.rmtree(session.config.stash[RUNS].folder, ignore_errors=True)


@pytest.fixture(scope="session")
def chapter_runs(request):
    """Runs of the chapters."""
    return request.config.stash[RUNS]


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    if "matplotlib.pyplot" in sys.modules:  # importing it here would slow down every test session
        sys.modules["matplotlib.pyplot"].close("all")
