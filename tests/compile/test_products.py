"""Products of a matrix of parameters with a block of rows: one call for the whole tile, whatever the order of axes."""

import numpy as np
import pytest

from nodeedu import vector_field
from nodeedu.autodiff import structure


def from_the_left(t, z, theta):
    return np.tanh(theta @ z)  # (6, 6) @ (6, 5)


def from_the_right(t, z, theta):
    return np.sin(z) @ theta  # (6, 5) @ (5, 5)


def transposed(t, z, theta):
    return (theta @ z.T).T * t  # (5, 5) @ (5, 6)


@pytest.mark.parametrize(("f", "size"), [(from_the_left, 6), (from_the_right, 5), (transposed, 5)])
def test_a_matrix_times_a_block_of_rows_is_one_product_and_agrees_with_the_tape(f, size):
    rng = np.random.default_rng(0)
    theta, z, a = rng.normal(size=(size, size)), rng.normal(size=(40, 6, 5)), rng.normal(size=(40, 6, 5))
    t = rng.uniform(size=40)
    field = vector_field(f, z[0], theta)
    source = field.source("vjp")
    rows = 5 if f is from_the_left else 6
    assert source.count(f".reshape(m * {rows}, {size})") >= 4  # the product there and back, two tiles each
    assert "accumulate(" in source
    kernel = field.kernel("vjp")
    dz, z_bar, t_bar, p_bar = np.empty((40, 30)), np.empty((40, 30)), np.empty(40), np.zeros(field.n_params)
    flat = z.reshape(40, 30), a.reshape(40, 30)
    kernel.function(t, *flat, field.pack(theta), dz, t_bar, z_bar, p_bar, np.empty(kernel.work_size))
    tape, theta_bar = field.tapes("vjp"), 0.0
    for b in range(40):
        inputs = {"t": t[b], "z": z[b], "dz_bar": a[b], **dict(structure.flatten(theta))}
        expected = tape.evaluate(inputs)
        # the same terms, added by BLAS in another order
        assert np.allclose(dz[b], expected["dz"].ravel(), rtol=1e-13, atol=1e-14)
        assert np.allclose(z_bar[b], expected["z_bar"].ravel(), rtol=1e-13, atol=1e-14)
        theta_bar = theta_bar + expected["theta_bar"]
    assert np.allclose(field.unpack(p_bar), theta_bar, rtol=1e-12, atol=1e-13)


def test_the_trace_of_a_two_layer_field_is_one_product_with_all_columns():
    def f(t, z, theta):
        W1, W2, W3 = theta
        return W3 @ np.tanh(W2 @ np.tanh(W1 @ z))

    shapes = (16, 7), (16, 16), (7, 16)
    field = vector_field(f, np.zeros(7), tuple(map(np.ones, shapes)))
    products = [line.strip() for line in field.source("divergence").splitlines() if line.strip().startswith("product(")]
    columns = [line for line in products if "reshape(m * 7, 16)" in line]
    assert len(products) == 4  # W1, W2 and W3 times a vector, W2 times the 7 columns
    assert len(columns) == 1
