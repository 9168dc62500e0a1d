"""`vector_field`: what it accepts, what it refuses, and how parameters are laid out."""

import numpy as np
import pytest

from nodeedu.compile import vector_field


def spiral(t, z, theta):
    W1, b1, W2, b2 = theta
    x = z**3
    h = np.tanh(W1 @ x + b1)
    return W2 @ h + b2


@pytest.fixture(scope="module")
def theta():
    rng = np.random.default_rng(0)
    return rng.normal(size=(50, 2)), rng.normal(size=50), rng.normal(size=(2, 50)), rng.normal(size=2)


@pytest.fixture(scope="module")
def field(theta):
    return vector_field(spiral, np.zeros(2), theta)


def test_calling_a_field_evaluates_the_function(field, theta):
    z = np.array([0.3, -0.7])
    # the tape does the same NumPy operations in the same order, but for z**3 and the matrix products
    np.testing.assert_allclose(field(0.0, z, theta), spiral(0.0, z, theta), rtol=1e-14)


def test_unpack_inverts_pack(field, theta):
    for got, expected in zip(field.unpack(field.pack(theta)), theta, strict=True):
        np.testing.assert_array_equal(got, expected)


def test_a_leaf_with_two_long_axes_is_packed_a_second_time_transposed():
    W = np.random.default_rng(0).normal(size=(6, 5))
    field = vector_field(lambda t, z, W: np.tanh(W.T @ (W @ z)), np.zeros(5), W)
    p = field.pack(W)
    assert (field.n_params, field.n_packed) == (30, 60)
    np.testing.assert_array_equal(p[:30].reshape(6, 5), W)
    np.testing.assert_array_equal(p[30:].reshape(5, 6), W.T)


def test_structures_keep_their_containers():
    theta = {"net": [np.ones((3, 2)), (np.zeros(()), np.zeros(0))], "rate": 2.0}
    field = vector_field(lambda t, z, th: -th["rate"] * z * th["net"][1][0], np.zeros(3), theta)
    back = field.unpack(field.pack(theta))
    assert list(back) == ["net", "rate"]
    assert isinstance(back["net"], list)
    assert isinstance(back["net"][1], tuple)
    assert [np.shape(x) for x in (back["net"][0], *back["net"][1], back["rate"])] == [(3, 2), (), (0,), ()]


def test_pack_refuses_leaves_of_other_shapes(field, theta):
    with pytest.raises(ValueError, match=r"theta has leaves .*\(49,\).*made for .*\(50,\)"):
        field.pack((theta[0], np.zeros(49), *theta[2:]))


def test_a_function_that_returns_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"returns shape \(3,\): expected .*\(2,\)"):
        vector_field(lambda t, z: np.zeros(3), np.zeros(2))


def test_a_function_that_returns_nothing_is_refused():
    with pytest.raises(TypeError, match="returned None"):
        vector_field(lambda t, z: None, np.zeros(2))


def test_an_empty_state_is_refused():
    with pytest.raises(ValueError, match=r"z0: got shape \(0,\)"):
        vector_field(lambda t, z: z, np.zeros(0))


def test_what_is_not_callable_is_refused():
    with pytest.raises(TypeError, match="f: got ndarray"):
        vector_field(np.zeros(2), np.zeros(2))


def test_a_field_is_not_traced_again(field):
    with pytest.raises(TypeError, match="vector field already"):
        vector_field(field, np.zeros(2))


def test_text_as_a_parameter_is_refused_by_its_path():
    with pytest.raises(TypeError, match=r"theta\['name'\] has dtype"):
        vector_field(lambda t, z, th: -z, np.zeros(2), {"name": "tanh"})


def test_an_unknown_kind_is_refused(field):
    with pytest.raises(ValueError, match="kind: got 'hessian'"):
        field.source("hessian")


def test_show_prints_the_tape_with_the_users_names(field, capsys):
    field.show()
    printed = capsys.readouterr().out
    assert "tanh" in printed
    assert all(name in printed for name in ("W1", "b2", "x", "h"))
