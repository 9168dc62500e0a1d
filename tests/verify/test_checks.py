"""What chapters check their equations with can fail."""

import numpy as np
import pytest

from nodeedu.verify.checks import Checks

STEPS = 0.1 / 2.0 ** np.arange(6)


def test_sides_that_differ_stop_the_chapter():
    with pytest.raises(AssertionError, match=r"\(b5\) got a difference of 1.0e-03, expected <= 1.0e-06"):
        Checks().equal("b5", 1.001, 1.0, 1e-6)


def test_another_order_stops_the_chapter():
    with pytest.raises(AssertionError, match=r"\(b5\) got order 1.000, expected 2"):
        Checks().order("b5", STEPS, 2)


def test_nan_stops_the_chapter():
    with pytest.raises(AssertionError):
        Checks().equal("b5", np.nan, 1.0, 1e-6)


def test_what_holds_is_kept_under_its_label():
    checks = Checks()
    checks.equal("a1", 1.0, 1.0, 0.0)
    checks.order("a4", STEPS**2, 2)
    assert checks == {"a1": [0.0], "a4": [2.0]}
