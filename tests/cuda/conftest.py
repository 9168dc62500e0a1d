"""What tests of the proofs need: NVIDIA's compiler wheels and a C compiler. Elsewhere they say what is missing."""

import os
from functools import cache

import pytest

REQUIRED = os.environ.get("NODEEDU_REQUIRE_CUDA_PROOF", "") not in ("", "0")


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
