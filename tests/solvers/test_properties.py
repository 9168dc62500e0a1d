"""Properties of every explicit Runge-Kutta method, on linear systems ``z' = A z + b`` drawn at random."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from problems import field_of
from scipy.linalg import expm

import nodeedu as ne
from nodeedu.solvers.methods import is_adaptive

NAMES = ne.tableaus.names()
STEP = 1 / 8  # of the methods without an error estimate
RTOL = 1e-8
END = 1.0
entries = st.floats(-1.0, 1.0, width=32)
methods = st.sampled_from(NAMES)
matrices = arrays(float, (3, 3), elements=entries)
vectors = arrays(float, 3, elements=entries)
batches = arrays(float, (5, 3), elements=entries)
examples = settings(max_examples=25)


def run(method, A, b, z0, ts=(0.0, END), rtol=RTOL):
    """Solve and return the last state."""
    size = {"rtol": rtol, "atol": rtol} if is_adaptive(method) else {"step_size": STEP}
    theta = A.astype(z0.dtype), b.astype(z0.dtype)
    return ne.odeint(field_of("linear"), z0, ts, theta, method=method, **size).zs[-1]


def tolerance(method, A):
    """What the error of a solve may be, as a part of the size of the solution.

    Adaptive methods: a hundred rtol, as errors add up and grow by ``exp(|A|)``. Fixed steps: a step errs by the terms
    from the order p on that differ from those of the exponential, less than ``(h |A|)**(p + 1)`` together.
    """
    size = np.linalg.norm(A, 2)
    if is_adaptive(method):
        return 100 * RTOL * np.exp(size)
    return size * (STEP * size) ** ne.tableaus.get(method).order * np.exp(size) + 1e-13  # and rounding


@examples
@given(methods, matrices, vectors)
def test_a_homogeneous_system_follows_the_matrix_exponential(method, A, z0):
    error = run(method, A, np.zeros(3), z0) - expm(A * END) @ z0
    assert np.linalg.norm(error) <= tolerance(method, A) * max(1.0, np.linalg.norm(z0))  # atol is rtol: of 1 at least


@examples
@given(methods, matrices, vectors)
def test_a_constant_term_follows_the_exponential_of_the_bordered_matrix(method, A, b):
    bordered = np.zeros((4, 4))
    bordered[:3, :3], bordered[:3, 3] = A, b
    error = run(method, A, b, np.zeros(3)) - expm(bordered * END)[:3, 3]
    assert np.linalg.norm(error) <= tolerance(method, bordered) * max(1.0, np.linalg.norm(b))


@examples
@given(methods, matrices, vectors, vectors)
def test_the_opposite_field_backwards_in_time_gives_the_same_bits(method, A, b, z0):
    backwards = run(method, -A, -b, z0, (0.0, -END))
    np.testing.assert_array_equal(backwards, run(method, A, b, z0))


@examples
@given(methods, matrices, vectors)
def test_there_and_back_leads_to_the_start(method, A, z0):
    there = run(method, A, np.zeros(3), z0)
    back = run(method, A, np.zeros(3), there, (END, 0.0))
    amplified = 2 * tolerance(method, A) * np.exp(np.linalg.norm(A, 2))  # the error at the end grows on the way back
    assert np.linalg.norm(back - z0) <= amplified * max(1.0, np.linalg.norm(z0))


@examples
@given(st.sampled_from([name for name in NAMES if not is_adaptive(name)]), matrices, vectors, batches, vectors)
def test_equal_steps_commute_with_an_affine_change_of_coordinates(method, A, b, batch, c):
    M = np.eye(3) + batch[:3] / 4  # well conditioned: the entries are at most 1
    z0, inverse = batch[3], np.linalg.inv(M)
    turned = M @ A @ inverse
    image = run(method, turned, M @ b - turned @ c, M @ z0 + c)
    np.testing.assert_allclose(image, M @ run(method, A, b, z0) + c, rtol=0, atol=1e-12)  # rounding, |states| < 30


@examples
@given(st.sampled_from([name for name in NAMES if is_adaptive(name)]), matrices, vectors, st.permutations(range(3)))
def test_own_steps_commute_with_renaming_the_components(method, A, z0, order):
    image = run(method, A[np.ix_(order, order)], np.zeros(3), z0[order])
    # The norm adds in another order: the last bit of the step size moves the states by far less than their error.
    np.testing.assert_allclose(image, run(method, A, np.zeros(3), z0)[order], rtol=0, atol=RTOL)


@examples
@given(methods, matrices, vectors, batches, st.integers(0, 4))
def test_a_sample_of_a_batch_is_what_it_is_alone_bit_for_bit(method, A, b, batch, k):
    np.testing.assert_array_equal(run(method, A, b, batch)[k], run(method, A, b, batch[k]))


@examples
@given(methods, matrices, vectors, vectors)
def test_single_precision_is_double_precision_to_its_digits(method, A, b, z0):
    rtol = 1e-4  # adaptive steps may differ, then states differ by their errors
    single, double = run(method, A, b, z0.astype(np.float32), rtol=rtol), run(method, A, b, z0, rtol=rtol)
    assert single.dtype == np.float32
    allowed = (100 * rtol if is_adaptive(method) else 1e-5) * np.exp(np.linalg.norm(A, 2))  # 1e-5: 80 float32 epsilons
    assert np.linalg.norm(single - double) <= allowed
