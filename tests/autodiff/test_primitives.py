"""Every row of the table, by routes that do not use the row's own derivative."""

import ast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodeedu.autodiff import central_difference, complex_step, dot_product_test, relu, sigmoid, softplus
from nodeedu.autodiff.indexing import runs
from nodeedu.autodiff.primitives import ELEMENTWISE, STRUCTURAL, evaluate, pull_back, push_forward

RNG = np.random.default_rng(0)
ANYWHERE = np.array([-2.3, -0.8, 0.4, 1.6])
POSITIVE = np.array([0.2, 0.9, 1.7, 3.1])
OTHER = np.array([1.1, -0.7, 0.9, 1.3])

# A new row without a point here fails: the tests below run over the table.
POINTS = {
    "neg": (ANYWHERE,), "add": (ANYWHERE, OTHER), "sub": (ANYWHERE, OTHER), "mul": (ANYWHERE, OTHER),
    "div": (ANYWHERE, OTHER), "pow": (POSITIVE, OTHER), "sqrt": (POSITIVE,), "exp": (ANYWHERE,), "log": (POSITIVE,),
    "sin": (ANYWHERE,), "cos": (ANYWHERE,), "tan": (OTHER,), "arctan": (ANYWHERE,), "sinh": (ANYWHERE,),
    "cosh": (ANYWHERE,), "tanh": (ANYWHERE,), "sigmoid": (ANYWHERE,), "softplus": (ANYWHERE,), "abs": (ANYWHERE,),
    "sign": (ANYWHERE,), "maximum": (ANYWHERE, OTHER), "minimum": (ANYWHERE, OTHER), "greater": (ANYWHERE, OTHER),
    "greater_equal": (ANYWHERE, OTHER), "equal": (ANYWHERE, OTHER),
    "where": (np.array([1.0, 0.0, 1.0, 0.0]), ANYWHERE, OTHER),
}  # fmt: skip

EXAMPLES = {
    "einsum": [
        ((RNG.normal(size=(3, 4)), RNG.normal(size=4)), {"spec": "ab,b->a", "shape": (3,)}),
        ((RNG.normal(size=(3, 4)), RNG.normal(size=(4, 2))), {"spec": "ab,bc->ca", "shape": (2, 3)}),
        ((RNG.normal(size=(3, 4)),), {"spec": "ab->", "shape": ()}),
        ((RNG.normal(size=3),), {"spec": "b->abc", "shape": (2, 3, 4)}),
        ((RNG.normal(size=()), RNG.normal(size=(2, 0))), {"spec": ",ab->ba", "shape": (0, 2)}),
    ],
    "reshape": [((RNG.normal(size=(3, 4)),), {"shape": (2, 6)}), ((RNG.normal(size=1),), {"shape": ()})],
    "getitem": [
        ((RNG.normal(size=(3, 4)),), {"index": (1, (3, 2, -2))}),
        ((RNG.normal(size=3),), {"index": ((0, 0, 1),)}),
    ],
    "scatter": [((RNG.normal(size=2),), {"index": (1, (3, 2, -2)), "shape": (3, 4)})],
    "concat": [((RNG.normal(size=(2, 3)), RNG.normal(size=(2, 1)), RNG.normal(size=(2, 2))), {"axis": 1})],
}
STRUCTURAL_EXAMPLES = [(op, k) for op in STRUCTURAL for k in range(len(EXAMPLES[op]))]


def with_argument(x, k, value):
    return [value if i == k else v for i, v in enumerate(x)]


def entrywise_partials(op, x):
    """Partials of an elementwise row: tangents of ones, one argument at a time."""
    y = evaluate(op, x, {})
    ones = np.ones_like(x[0])
    tangents = [push_forward(op, with_argument([None] * len(x), k, ones), y, x, {}) for k in range(len(x))]
    return [np.zeros_like(ones) if d is None else np.broadcast_to(d, ones.shape) for d in tangents]


@pytest.mark.parametrize("op", ELEMENTWISE)
def test_partials_equal_extrapolated_differences(op):
    x = POINTS[op]
    for k, partial in enumerate(entrywise_partials(op, x)):
        ones = np.ones_like(x[k])
        expected = central_difference(lambda v, k=k: evaluate(op, with_argument(x, k, v), {}), x[k], ones, step=0.03)
        # rounding: 2e-16 / (smallest step 2e-4), times the size of the values, up to 10
        assert np.allclose(partial, expected.value, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("op", sorted(set(ELEMENTWISE) - {"sign", "greater", "greater_equal", "equal"}))
def test_partials_equal_the_complex_step(op):
    x = POINTS[op]
    for k, partial in enumerate(entrywise_partials(op, x)):
        if op == "where" and k == 0:
            continue  # the condition of where does not move anything
        expected = complex_step(lambda v, k=k: evaluate(op, with_argument(x, k, v), {}), x[k], np.ones_like(x[k]))
        assert np.allclose(partial, expected, rtol=1e-13, atol=1e-15)  # a few roundings


@pytest.mark.parametrize("op", ELEMENTWISE)
def test_pull_back_and_push_forward_use_the_same_partials(op):
    x = POINTS[op]
    y = evaluate(op, x, {})
    for k in range(len(x)):
        wanted = [i == k for i in range(len(x))]
        bars = pull_back(op, np.ones_like(y), y, x, {}, wanted)
        assert all(bar is None for bar, want in zip(bars, wanted, strict=True) if not want)
        bar = np.zeros_like(y) if bars[k] is None else np.broadcast_to(bars[k], y.shape)
        assert np.array_equal(bar, entrywise_partials(op, x)[k])


@pytest.mark.parametrize("op", ELEMENTWISE)
def test_text_of_a_row_computes_its_value(op):
    row = ELEMENTWISE[op]
    names = {name: r.evaluate for name, r in ELEMENTWISE.items()} | {"power": np.power}
    for x in zip(*POINTS[op], strict=True):
        arguments = {f"x{k}": float(v) for k, v in enumerate(x)}
        assert eval(row.text.format(*arguments), {**names, **arguments}) == row.evaluate(*x)


@pytest.mark.parametrize("op", ELEMENTWISE)
def test_precedence_of_a_row_is_that_of_its_text(op):
    row = ELEMENTWISE[op]
    node = ast.parse(row.text.format("x", "y", "z"), mode="eval").body
    if isinstance(node, ast.BinOp):
        expected = 5 if isinstance(node.op, (ast.Mult, ast.Div)) else 4
    else:
        expected = {ast.Call: 9, ast.UnaryOp: 6, ast.IfExp: 1}[type(node)]
    assert row.precedence == expected


@pytest.mark.parametrize(("op", "k"), STRUCTURAL_EXAMPLES)
def test_forward_rule_of_a_structural_row_equals_the_complex_step(op, k):
    x, attrs = EXAMPLES[op][k]
    x_dot = [np.random.default_rng(1).normal(size=v.shape) for v in x]
    expected = complex_step(lambda v: evaluate(op, v, attrs), list(x), x_dot)
    got = push_forward(op, x_dot, evaluate(op, x, attrs), x, attrs)
    assert got.shape == expected.shape
    assert np.allclose(got, expected, rtol=1e-14, atol=1e-14)  # sums of at most 12 terms


@pytest.mark.parametrize(("op", "k"), STRUCTURAL_EXAMPLES)
def test_reverse_rule_of_a_structural_row_is_the_adjoint_of_its_forward_rule(op, k):
    x, attrs = EXAMPLES[op][k]
    y = evaluate(op, x, attrs)
    rng = np.random.default_rng(1)
    x_dot, y_bar = [rng.normal(size=v.shape) for v in x], rng.normal(size=y.shape)
    mismatch = dot_product_test(
        lambda x_dot: push_forward(op, x_dot, y, x, attrs),
        lambda y_bar: pull_back(op, y_bar, y, x, attrs, [True] * len(x)),
        x_dot,
        y_bar,
    )
    assert mismatch < 1e-15  # rounding of sums of at most 12 terms


@pytest.mark.parametrize("spec", ["ab,bc->ac", "ab,cb->ac"])
def test_large_contractions_equal_matrix_products(spec):
    a, b = RNG.normal(size=(120, 60)), RNG.normal(size=(60, 80))
    got = evaluate("einsum", [a, b if spec == "ab,bc->ac" else b.T], {"spec": spec, "shape": (120, 80)})
    assert np.allclose(got, a @ b, rtol=1e-13, atol=1e-13)  # sums of 60 terms of size 1


# -------------------------------------------------------------------------------------------- limits, ties and extremes


@pytest.mark.parametrize(("exponent", "slope"), [(0.0, 0.0), (1.0, 1.0), (2.0, 0.0), (3.0, 0.0)])
def test_power_has_its_finite_slope_at_zero(exponent, slope):
    assert entrywise_partials("pow", (np.zeros(1), np.full(1, exponent)))[0] == slope


def test_zero_to_a_positive_power_does_not_depend_on_the_power():
    assert entrywise_partials("pow", (np.zeros(1), np.full(1, 2.5)))[1] == 0.0


def test_integer_power_of_a_negative_base_has_a_slope():
    assert push_forward("pow", [np.ones(1), None], np.array([-8.0]), (np.array([-2.0]), np.array([3.0])), {}) == 12.0


def test_relu_has_slope_zero_at_zero():
    assert entrywise_partials("maximum", (np.zeros(1), np.zeros(1)))[0] == 0.0


@pytest.mark.parametrize("op", ["maximum", "minimum"])
def test_partials_at_a_tie_add_up_to_one(op):
    assert sum(entrywise_partials(op, (np.ones(1), np.ones(1)))) == 1.0


def test_sigmoid_and_softplus_do_not_overflow():
    x = np.array([-np.inf, -1000.0, 1000.0, np.inf])
    with np.errstate(over="raise", invalid="raise"):
        assert np.array_equal(sigmoid(x), [0.0, 0.0, 1.0, 1.0])
        assert np.array_equal(softplus(x), [0.0, 0.0, 1000.0, np.inf])


def test_sigmoid_and_softplus_are_accurate_in_the_lower_tail():
    x = np.array([-30.0, -300.0])
    assert np.allclose(sigmoid(x), np.exp(x), rtol=1e-12)  # the next term is e^-30 = 1e-13 smaller
    assert np.allclose(softplus(x), np.exp(x), rtol=1e-12)


def test_softplus_minus_its_mirror_image_is_the_identity():
    assert np.allclose(softplus(ANYWHERE) - softplus(-ANYWHERE), ANYWHERE, rtol=1e-15)


def test_activations_take_plain_lists():
    assert np.array_equal(relu([-1, 2]), [0.0, 2.0])
    assert sigmoid(0) == 0.5


@pytest.mark.parametrize("op", ELEMENTWISE)
def test_float32_values_stay_float32(op):
    assert np.asarray(evaluate(op, [x.astype(np.float32) for x in POINTS[op]], {})).dtype == np.float32


@given(st.lists(st.integers(0, 8), max_size=12))
def test_runs_of_positions_put_together_are_the_positions(positions):
    pieces = [np.arange(9)[run] for run in runs(np.array(positions, int))]
    assert [int(i) for piece in pieces for i in piece] == positions


def test_runs_join_positions_of_equal_step():
    assert runs(np.array([0, 2, 4, 9, 8])) == [slice(0, 6, 2), slice(9, 7, -1)]
