"""Eager Tensors: values as NumPy computes them, gradients as the tape and finite differences give them."""

import copy

import numpy as np
import pytest
from expressions import CALLS, EXPRESSIONS, A, Z
from fields import FIELDS

from nodeedu.autodiff import Tensor, TraceError, central_difference, record, relu, sigmoid, softplus, structure, vjp

HOLD_FLOAT64 = {"matmul", "where", "stack", "concatenate", "less_equal"}  # calls with arrays that widen, as in NumPy


def as_tensors(x):
    return structure.tree_map(Tensor, x)


def joined(result):
    """What a field returns, as one Tensor."""
    return result if isinstance(result, Tensor) else np.stack([joined(x) for x in result])


# --------------------------------------------------------------------------------------------------------------- values


@pytest.mark.parametrize("name", [*CALLS, *EXPRESSIONS])
def test_tensors_compute_what_numpy_computes(name):
    expression = {**CALLS, **EXPRESSIONS}[name]
    expected = np.asarray(expression(Z, A), float)
    result = expression(Tensor(Z), Tensor(A))
    got = result.value if isinstance(result, Tensor) else as_values(result)
    assert got.shape == expected.shape
    assert np.allclose(got, expected, rtol=1e-14, atol=1e-14)  # the same operations, sums perhaps in another order


def as_values(result):
    """Values of a list, an object array or a plain array that may hold Tensors."""
    if isinstance(result, (list, tuple)):
        return np.array([x.value if isinstance(x, Tensor) else as_values(x) for x in result], float)
    return np.vectorize(float)(result)


@pytest.mark.parametrize("name", sorted(set(CALLS) - HOLD_FLOAT64))
def test_float32_tensors_stay_float32_beside_numbers_and_masks(name):
    z, a = Tensor(np.float32(Z)), Tensor(np.float32(A))
    result = CALLS[name](z, a)
    assert (result[0] if isinstance(result, list) else result).dtype == np.float32


@pytest.mark.parametrize(
    "expression",
    [
        lambda x: 2.0 * x / 3 + 1 - x**2,
        lambda x: np.where(x > 0, x, 0.0) + np.maximum(x, 0.5) + (x > 0) * x,
        lambda x: np.stack([x[0], 1.0]),
        lambda x: sigmoid(x) + softplus(x) + relu(x),
        lambda x: np.mean(x) + np.linalg.norm(x),
    ],
)
def test_gradients_of_float32_are_float32(expression):
    x = Tensor(np.float32(Z))
    y = np.sum(expression(x))
    y.backward()
    assert y.dtype == x.grad.dtype == np.float32


@pytest.mark.parametrize(("value", "dtype"), [(1, float), (True, float), ([1, 2], float), (np.float32(1), np.float32)])
def test_tensor_holds_float64_or_float32(value, dtype):
    assert Tensor(value).dtype == dtype


def test_tensor_copies_its_value():
    x = Z.copy()
    y = Tensor(x)
    x[:] = 0.0
    assert np.array_equal(y.value, Z)


def test_comparisons_and_questions_give_plain_arrays():
    x = Tensor(Z)
    for answer in (x > 0, x <= Z, x == x, x != 0.7, np.isfinite(x), np.logical_and(x > 0, x < 1)):
        assert type(answer) is np.ndarray
        assert answer.dtype == bool


def test_a_single_number_can_decide_and_be_printed():
    x = Tensor(1.5)
    assert x > 1.0
    assert (float(x), int(x), bool(x), 1.5 in Tensor(Z + 0.8)) == (1.5, 1, True, True)
    assert max(x, Tensor(0.5)) is x
    assert f"{x:.3f}" == "1.500"


# ------------------------------------------------------------------------------------------------------------ gradients


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_backward_equals_the_vjp_of_the_tape(field):
    dz_bar = np.random.default_rng(1).normal(size=field.z.shape)
    arguments = {"t": field.t, "z": field.z, "theta": field.theta}
    expected = vjp(record(field.function, arguments, "dz")).evaluate({**field.inputs(), "dz_bar": dz_bar})
    t, z, theta = (as_tensors(x) for x in arguments.values())
    joined(field.function(t, z, theta)).backward(dz_bar)
    leaves = dict(structure.flatten({"t": t, "z": z}, "")) | dict(structure.flatten(theta, "theta"))
    for role, leaf in leaves.items():
        want = expected[role.replace("['", "").replace("']", "") + "_bar" if role[0] == "[" else role + "_bar"]
        got = np.zeros(leaf.shape) if leaf.grad is None else leaf.grad
        # both use the rules of the table, in another order of sums and without the tape's simplifications
        assert np.allclose(got, want, rtol=1e-12, atol=1e-13), role


def network(x, theta):
    h = np.tanh(x @ theta["W"] + theta["b"])
    scores = sigmoid(h) * softplus(h @ theta["V"].T) + relu(h[:, ::-1] - 0.1)
    return np.mean((scores - scores.mean(axis=0)) ** 2) + 0.1 * np.sum(theta["scale"] * theta["V"] ** 2)


def network_parameters():
    rng = np.random.default_rng(0)
    return {"W": rng.normal(size=(2, 3)), "b": rng.normal(size=3), "V": rng.normal(size=(3, 3)), "scale": np.array(0.3)}


def test_gradients_of_a_batched_network_equal_extrapolated_differences():
    x = np.random.default_rng(1).normal(size=(5, 2))
    theta = as_tensors(network_parameters())
    network(x, theta).backward()
    expected = central_difference(lambda theta: network(x, theta), network_parameters(), step=0.01).value
    for key, leaf in theta.items():
        assert leaf.grad.shape == leaf.shape
        assert np.allclose(leaf.grad, expected[key], rtol=1e-9, atol=1e-11)  # rounding: 2e-16 / (smallest step 8e-5)


def test_broadcast_leaves_get_gradients_of_their_own_shape():
    row, column, number = Tensor(np.ones(3)), Tensor(np.ones((2, 1))), Tensor(2.0)
    np.sum(row * column * number + A).backward()
    assert np.array_equal(row.grad, np.full(3, 4.0))
    assert np.array_equal(column.grad, np.full((2, 1), 6.0))
    assert number.grad == 6.0


def test_gradients_add_up_over_uses_and_over_backward_calls():
    x = Tensor(3.0)
    y = x * x + x
    y.backward()
    assert x.grad == 7.0
    y.backward()
    assert x.grad == 14.0
    x.grad = None
    y.backward()
    assert x.grad == 7.0


def test_only_leaves_that_require_a_gradient_get_one():
    x, y = Tensor(Z), Tensor(Z, requires_grad=False)
    product = x * y
    np.sum(product).backward()
    assert y.grad is None
    assert product.grad is None
    assert not (2 * y).requires_grad


def test_a_leaf_can_be_its_own_result():
    x = Tensor(2.0)
    x.backward(3.0)
    assert x.grad == 3.0


def test_seed_weighs_the_entries():
    x = Tensor(Z)
    (x**2).backward([1.0, 0.0, -1.0])
    assert np.array_equal(x.grad, 2 * Z * [1.0, 0.0, -1.0])


def test_long_histories_need_no_recursion():
    x = Tensor(1.0)
    y = x
    for _ in range(5000):  # five times Python's limit of nested calls
        y = y * 1.0
    y.backward()
    assert x.grad == 1.0


def test_array_of_tensors_keeps_their_gradients():
    x, y = Tensor(0.5), Tensor(2.0)
    np.sum(A[:, :2] @ np.stack(list(np.sin(np.array([x, y])) * 2))).backward()
    assert x.grad == pytest.approx(2 * np.cos(0.5) * A[:, 0].sum(), rel=1e-15)
    assert y.grad == pytest.approx(2 * np.cos(2.0) * A[:, 1].sum(), rel=1e-15)


def test_optimiser_may_write_into_the_value_of_a_leaf():
    w = Tensor(np.array([1.0, -2.0]))
    losses = []
    for _ in range(3):
        w.grad = None
        loss = np.sum(w**2)
        loss.backward()
        w.value -= 0.25 * w.grad
        losses.append(float(loss))
    assert losses == [5.0, 1.25, 0.3125]


def test_infinite_slopes_give_inf_without_a_warning():
    x = Tensor(np.zeros(2))
    np.sum(np.sqrt(x)).backward()
    assert np.array_equal(x.grad, [np.inf, np.inf])


# --------------------------------------------------------------------------------------------------------------- errors


def test_backward_of_an_array_needs_a_seed():
    with pytest.raises(ValueError, match=r"backward of shape \(3,\) needs a seed"):
        (2 * Tensor(Z)).backward()


def test_seed_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"seed has shape \(2,\): expected \(3,\)"):
        (2 * Tensor(Z)).backward(np.ones(2))


def test_backward_without_a_leaf_is_refused():
    with pytest.raises(ValueError, match="no leaf with requires_grad"):
        Tensor(1.0, requires_grad=False).backward()


@pytest.mark.parametrize("value", [1j, "text", [Tensor(1.0), 2.0], None])
def test_tensor_of_anything_but_numbers_is_refused(value):
    with pytest.raises(TypeError, match="a Tensor holds real numbers"):
        Tensor(value)


def write_entry(x):
    x[0] = 1.0


def add_in_place(x):
    x += 1.0


@pytest.mark.parametrize("function", [write_entry, add_in_place, np.fft.fft, np.arcsin, lambda x: x[x]])
def test_what_cannot_be_recorded_says_how_to_leave_the_record(function):
    with pytest.raises(TraceError, match="the plain array is x.value"):
        function(Tensor(Z))


def test_truth_of_several_numbers_is_refused_as_in_numpy():
    with pytest.raises(ValueError, match="ambiguous"):
        bool(Tensor(Z))


def test_shapes_that_do_not_broadcast_are_refused():
    with pytest.raises(ValueError, match="shape mismatch"):
        Tensor(Z) + Tensor(np.ones(2))


def test_tensors_can_be_copied_and_shown():
    x = copy.deepcopy(Tensor([1.0]))
    assert repr(x) == "Tensor(array([1.]), requires_grad=True)"
