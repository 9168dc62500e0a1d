"""Tensors that were computed elsewhere and bring their own reverse rule, as a solve of an ODE does."""

import numpy as np
import pytest

from nodeedu.autodiff import Tensor

Z = np.array([0.7, -0.4, 1.3])


def cubed(x, calls):
    def pullback(y_bar):
        calls.append(y_bar)
        return [3.0 * x.value**2 * y_bar]

    return Tensor.from_pullback(x.value**3, [x], pullback)


def test_custom_pullback_takes_part_in_backward():
    x, calls = Tensor(Z), []
    np.sum(2.0 * cubed(np.sin(x), calls)).backward()
    assert np.allclose(x.grad, 6.0 * np.sin(Z) ** 2 * np.cos(Z), rtol=1e-15)
    assert len(calls) == 1


def test_custom_pullback_is_called_once_however_often_its_result_is_used():
    x, calls = Tensor(Z), []
    y = cubed(x, calls)
    np.sum(y * y + y).backward()
    assert len(calls) == 1


def test_custom_pullback_may_return_none_for_zeros():
    x, y = Tensor(Z), Tensor(2.0)
    np.sum(Tensor.from_pullback(Z, [x, y], lambda z_bar: [z_bar, None])).backward()
    assert np.array_equal(x.grad, np.ones(3))
    assert y.grad == 0.0


def test_custom_pullback_is_not_kept_without_a_leaf_that_needs_it():
    y = Tensor.from_pullback(Z, [Tensor(Z, requires_grad=False)], lambda y_bar: pytest.fail("called"))
    x = Tensor(Z)
    np.sum(x * y).backward()
    assert np.array_equal(x.grad, Z)


@pytest.mark.parametrize(
    ("bars", "said"),
    [([np.ones(2)], r"shape \(2,\) for a parent of shape \(3,\)"), ([], "shorter"), ([1.0] * 2, "longer|shape")],
)
def test_wrong_cotangents_of_a_custom_pullback_are_refused(bars, said):
    y = Tensor.from_pullback(Z, [Tensor(Z)], lambda y_bar: bars)
    with pytest.raises(ValueError, match=said):
        np.sum(y).backward()
