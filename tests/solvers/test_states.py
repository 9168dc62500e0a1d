"""States: any shape, float64 or float32, with times in float64."""

import numpy as np
import pytest
from problems import PROBLEMS, field_of, network, swing

import nodeedu as ne

METHODS = ne.tableaus.names()


def test_a_number_is_a_state():
    sol = ne.odeint(swing, 1.0, [0.0, 1.0, 2.0])
    assert sol.zs.shape == (3,)
    np.testing.assert_allclose(sol.zs, np.exp(np.sin(sol.ts)), rtol=1e-5)  # rtol is 1e-6


def test_a_field_of_numbers_takes_a_vector_as_a_batch_of_them():
    field = ne.vector_field(lambda t, z, theta: -theta * z, 1.0, np.array(2.0))
    sol = ne.odeint(field, [1.0, 2.0, 3.0], [0.0, 1.0], np.array(2.0))
    assert sol.zs.shape == (2, 3)
    assert sol.stats.nfev.shape == (3,)
    np.testing.assert_allclose(sol.zs[1], np.exp(-2.0) * np.array([1, 2, 3]), rtol=1e-5)  # rtol is 1e-6


def test_a_callable_gets_the_state_in_its_own_shape():
    shapes = set()

    def f(t, z):
        shapes.add(z.shape)
        return -z

    zs = ne.odeint(f, np.arange(6.0).reshape(1, 2, 3), [0.0, 1.0]).zs
    assert shapes == {(1, 2, 3)}
    assert zs.shape == (2, 1, 2, 3)


def test_a_matrix_state_is_solved_as_its_entries():
    A = PROBLEMS["linear"].theta[0]
    Z = ne.odeint(lambda t, Z: A @ Z, np.eye(3), [0.0, 1.0], rtol=1e-9, atol=1e-11).zs[-1]
    columns = [ne.odeint(lambda t, z: A @ z, e, [0.0, 1.0], rtol=1e-9, atol=1e-11).zs[-1] for e in np.eye(3)]
    np.testing.assert_allclose(Z, np.stack(columns, axis=1), rtol=0, atol=1e-8)  # other steps: a few tolerances


def test_a_field_of_matrices_takes_batches_of_them():
    A = PROBLEMS["linear"].theta[0]
    field = ne.vector_field(lambda t, Z, theta: theta @ Z, np.zeros((3, 2)), A)
    z0 = np.random.default_rng(0).normal(size=(4, 3, 2))
    batch = ne.odeint(field, z0, [0.0, 1.0, 2.0], A).zs
    assert batch.shape == (3, 4, 3, 2)
    np.testing.assert_array_equal(batch[:, 1], ne.odeint(field, z0[1], [0.0, 1.0, 2.0], A).zs)


@pytest.mark.parametrize("method", METHODS)
def test_a_float32_state_stays_float32(method):
    field, z0, theta = network()
    sol = ne.odeint(field, z0.astype(np.float32), [0.0, 0.5, 1.0], theta, method=method, rtol=1e-4, atol=1e-5)
    assert (sol.zs.dtype, sol.ts.dtype, sol(0.3).dtype) == (np.float32, np.float64, np.float32)


def test_a_float32_solution_is_the_float64_solution_to_single_precision():
    p = PROBLEMS["pendulum"]
    single, double = (
        ne.odeint(field_of("pendulum"), p.z0.astype(dtype), p.ts, p.theta, method="rk4", step_size=0.02).zs
        for dtype in (np.float32, np.float64)
    )
    # 250 steps round numbers up to 2 to 1.2e-7 of themselves each; the errors mostly cancel, hence not 3e-5
    np.testing.assert_allclose(single, double, rtol=0, atol=5e-6)


def test_a_callable_sees_float32_in_every_stage_even_if_it_returns_float64():
    seen = set()

    def f(t, z):
        seen.add((z.dtype, type(t)))
        return np.asarray(-z, np.float64)

    assert ne.odeint(f, np.ones(2, np.float32), [0.0, 1.0]).zs.dtype == np.float32
    assert seen == {(np.dtype(np.float32), float)}


def test_the_times_of_a_float32_state_keep_all_their_digits():
    # The spacing of float32 near 1e6 is 0.06: a time in single precision would stand still.
    ts = 1e6 + np.array([0.0, 0.25, 0.5])
    zs = ne.odeint(lambda t, z: np.cos(t) + 0 * z, np.zeros(1, np.float32), ts, method="rk4", step_size=0.01).zs[:, 0]
    np.testing.assert_allclose(zs, np.sin(ts) - np.sin(ts[0]), rtol=0, atol=2e-6)  # float32 sums of 50 steps


def test_float32_batches_are_independent_bit_for_bit():
    field, z0, theta = network()
    z0 = z0.astype(np.float32)
    batch = ne.odeint(field, z0, [0.0, 1.0], theta, rtol=1e-4, atol=1e-5).zs
    for b in range(4):
        np.testing.assert_array_equal(batch[:, b], ne.odeint(field, z0[b], [0.0, 1.0], theta, rtol=1e-4, atol=1e-5).zs)


@pytest.mark.parametrize("dtype", [int, bool, np.int8, np.uint16, np.float16, np.longdouble])
def test_other_real_numbers_become_float64(dtype):
    zs = ne.odeint(swing, np.array([1, 0], dtype), np.array([0, 1])).zs
    assert zs.dtype == np.float64
    np.testing.assert_array_equal(zs, ne.odeint(swing, [1.0, 0.0], [0.0, 1.0]).zs)


def test_integer_times_are_times():
    np.testing.assert_array_equal(ne.odeint(swing, 1.0, [0, 1, 2]).zs, ne.odeint(swing, 1.0, [0.0, 1.0, 2.0]).zs)


@pytest.mark.parametrize(
    "variant",
    [
        np.asfortranarray,
        lambda z: np.repeat(z, 2, axis=0)[::2],
        lambda z: z[::-1].copy()[::-1],
        lambda z: z.tolist(),
        lambda z: tuple(map(tuple, z)),
        lambda z: z.astype(">f8"),
    ],
)
def test_any_layout_of_an_array_gives_the_same_solution(variant):
    field, z0, theta = network()
    ts = np.stack([[0.0, 0.5, 1.0]] * 4)
    np.testing.assert_array_equal(
        ne.odeint(field, variant(z0), variant(ts), tuple(map(np.asfortranarray, theta))).zs,
        ne.odeint(field, z0, ts, theta).zs,
    )


@pytest.mark.parametrize("record", [False, True])
def test_inputs_are_never_written_to(record):
    field, z0, theta = network()
    inputs = [z0, np.array([0.0, 0.5, 1.0]), np.full(2, 1e-8), *theta]
    copies = [each.copy() for each in inputs]
    for each in inputs:
        each.flags.writeable = False
    z0, ts, atol, *theta = inputs
    ne.odeint(field, z0, ts, tuple(theta), atol=atol, record=record)(0.3)
    for each, copy in zip(inputs, copies, strict=True):
        np.testing.assert_array_equal(each, copy)


def test_later_changes_of_the_inputs_change_no_dense_output():
    z0, ts, atol = np.array([1.0, 2.0]), np.array([0.0, 1.0]), np.full(2, 1e-6)
    sol = ne.odeint(swing, z0, ts, atol=atol)
    expected = ne.odeint(swing, z0, ts, atol=atol)(0.5)
    for each in (z0, ts, atol):
        each *= 3.0
    np.testing.assert_array_equal(sol(0.5), expected)


def test_writing_into_a_result_changes_no_other_result():
    z0 = np.array([1.0, 2.0])
    sol = ne.odeint(swing, z0, [0.0, 1.0])
    before = sol(0.5)
    sol.zs[...] = 7.0
    assert z0.tolist() == [1.0, 2.0]
    np.testing.assert_array_equal(sol(0.5), before)
    np.testing.assert_array_equal(sol(0.0), z0)
