"""The constants and the order of RK23, RK45 and DOP853."""

import numpy as np
import pytest

from nodeedu.order_conditions import missed_condition
from nodeedu.solvers.scipy_api import DOP853, RK23, RK45

CLASSES = [RK23, RK45, DOP853]


@pytest.mark.parametrize("cls", CLASSES)
def test_nodes_are_row_sums_and_weights_sum_to_one(cls):
    np.testing.assert_allclose(cls.A.sum(axis=1), cls.C, rtol=0, atol=1e-14)  # rounding of sums of terms up to 43
    assert cls.B.sum() == pytest.approx(1, abs=1e-15)


@pytest.mark.parametrize("cls", CLASSES)
def test_weights_meet_the_order_conditions_of_every_tree(cls):
    assert missed_condition(cls.A, cls.B, highest=cls.order) is None


@pytest.mark.parametrize("cls", CLASSES)
def test_error_weights_do_not_see_a_constant_slope(cls):
    assert abs(cls._method.E.sum(axis=1)).max() < 1e-15  # rounding


@pytest.mark.parametrize("cls", CLASSES)
def test_one_step_has_an_error_of_one_order_more(cls):
    def error(h):
        solver = cls(lambda t, y: [y[0] * np.cos(t)], 0.0, [1.0], 10.0, first_step=h, rtol=0.1, atol=10.0)
        solver.step()
        return abs(solver.y[0] - np.exp(np.sin(h)))

    h = 0.5 if cls is DOP853 else 0.25  # small enough for the leading term, large enough for its ninth power
    assert np.log2(error(h) / error(h / 2)) > cls.order + 0.5  # h^(order + 1), half an order for finite h


@pytest.mark.parametrize("cls", CLASSES)
def test_the_estimate_is_larger_than_the_error_of_the_step(cls):
    solver = cls(lambda t, y: y, 0.0, [1.0], 1.0, first_step=0.2)
    solver.step()
    assert abs(solver._estimate_error(solver.K, 0.2)) > abs(solver.y - np.exp(0.2))
