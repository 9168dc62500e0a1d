"""What tests of kernels need: numba-cuda, and those that prove something, NVIDIA's compiler wheels and a C compiler.

Where that is missing they are left out, and say so; where NODEEDU_REQUIRE_CUDA_PROOF is set, as in CI, they fail.
"""

import os
from functools import cache
from importlib.util import find_spec

import pytest

REQUIRED = os.environ.get("NODEEDU_REQUIRE_CUDA_PROOF", "") not in ("", "0")


LEFT_OUT = not REQUIRED and find_spec("numba_cuda") is None


def pytest_ignore_collect(collection_path):
    """Without numba-cuda nothing of nodeedu.cuda can be imported."""
    return True if LEFT_OUT and collection_path.name.startswith("test_") else None


def pytest_terminal_summary(terminalreporter):
    if LEFT_OUT:
        terminalreporter.write_line("tests/cuda: left out, as numba-cuda is not installed (the extra cuda brings it)")


@cache
def _missing():
    from nodeedu.cuda.proof import missing

    return missing()


def pytest_runtest_setup(item):
    if item.get_closest_marker("cuda") and _missing():
        text = "; ".join(_missing())
        pytest.fail(text, pytrace=False) if REQUIRED else pytest.skip(text)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    """Where the proofs are required, one that is skipped is not given."""
    outcome = yield
    report = outcome.get_result()
    if REQUIRED and report.skipped and item.get_closest_marker("cuda"):
        report.outcome = "failed"
        report.longrepr = f"skipped, where NODEEDU_REQUIRE_CUDA_PROOF is set: {report.longrepr}"
