"""Peak memory: what a call takes is seen, what it has given back included, and what was taken before is not."""

import numpy as np
import pytest

import nodeedu as ne
from nodeedu.verify import peak_memory as module

MB = 1_000_000
NOISE = 4 * MB  # pages of the interpreter, reserves of the allocator


@pytest.fixture
def _linux():
    if not module._forget_peak():
        pytest.skip("the system does not forget a peak")


def touch(megabytes):
    return float(np.ones(megabytes * MB // 8).sum())


@pytest.mark.usefixtures("_linux")
def test_memory_that_is_given_back_at_once_is_seen():
    result, peak = ne.peak_memory(lambda: touch(40))
    assert result == 40 * MB / 8
    assert abs(peak - 40 * MB) < NOISE


@pytest.mark.usefixtures("_linux")
def test_an_earlier_peak_is_forgotten():
    touch(60)
    assert ne.peak_memory(lambda: touch(1))[1] < NOISE + MB


def test_where_no_peak_is_forgotten_the_result_comes_alone(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "PEAK", tmp_path / "none" / "clear_refs")
    assert ne.peak_memory(lambda: 7) == (7, None)


def test_what_is_no_function_is_refused():
    with pytest.raises(TypeError, match="call: got 3, expected a function without arguments"):
        ne.peak_memory(3)
