"""What all tests share: reproducible property tests, figures without a window, and no figure left open."""

import os
import sys

import hypothesis
import pytest

from nodeedu import plot

hypothesis.settings.register_profile("ci", derandomize=True, deadline=None)  # a compilation would miss any deadline
hypothesis.settings.load_profile("ci")

plot.headless()


def pytest_collection_modifyitems(config, items):
    """Leave out what needs compiled code when Numba compiles nothing."""
    if os.environ.get("NUMBA_DISABLE_JIT", "0") in ("", "0"):
        return
    left_out = [item for item in items if item.get_closest_marker("jit")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    if "matplotlib.pyplot" in sys.modules:  # importing it here would slow down every test session
        sys.modules["matplotlib.pyplot"].close("all")
