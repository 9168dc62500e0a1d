"""Gradients come in the containers, shapes and dtypes of what they belong to, for states and batches of any shape."""

import numpy as np
import pytest
from adjoint_problems import V, both, flat
from fields import commutator
from gradient_truths import contract, sensitivities
from scipy.linalg import expm

import nodeedu as ne
from nodeedu.autodiff.check import central_difference, complex_step, relative_error

every_method = pytest.mark.parametrize("method", ["discrete", "backsolve", "forward"])
TOLERANCES = {"rtol": 1e-9, "atol": 1e-11}

NESTED = {
    "decay": [{"rate": np.array(0.7), "unused": np.ones((2, 3))}, (np.array([0.4, 1.3]),)],
    "empty": np.zeros(0),
}


def driven_decay(t, z, theta):
    constants, (drive,) = theta["decay"]
    return -constants["rate"] * z**3 + drive[0] * np.sin(drive[1] * t)


@pytest.fixture(scope="module")
def truth_of_v():
    return contract(sensitivities(V), V.targets)


@pytest.fixture(scope="module")
def scalar():
    return ne.vector_field(driven_decay, np.array(1.0), NESTED)


def scalar_gradient(scalar, method, z0=1.5, **options):
    return ne.gradients(scalar, np.array(z0), [0.0, 0.5, 2.0], NESTED, [0.3, -1.0, 0.7], method=method, **options)


@every_method
def test_theta_keeps_its_containers_and_shapes(scalar, method):
    theta_bar = scalar_gradient(scalar, method).theta
    assert list(theta_bar) == ["decay", "empty"]
    assert (type(theta_bar["decay"]), type(theta_bar["decay"][1])) == (list, tuple)
    assert list(theta_bar["decay"][0]) == ["rate", "unused"]
    assert theta_bar["decay"][0]["rate"].shape == ()
    assert theta_bar["decay"][1][0].shape == (2,)
    assert theta_bar["empty"].shape == (0,)


@every_method
def test_leaves_that_the_field_does_not_use_get_exact_zeros(scalar, method):
    np.testing.assert_array_equal(scalar_gradient(scalar, method).theta["decay"][0]["unused"], np.zeros((2, 3)))


@pytest.fixture(scope="module")
def scalar_differences(scalar):
    """Differences of the loss in z0, the rate, and the two numbers of the drive."""

    def loss(x):
        constants, _ = NESTED["decay"]
        theta = NESTED | {"decay": [constants | {"rate": x[1]}, (x[2:],)]}
        zs = ne.odeint(scalar, x[0], [0.0, 0.5, 2.0], theta, rtol=1e-11, atol=1e-12).zs
        return zs @ np.array([0.3, -1.0, 0.7])

    return central_difference(loss, np.array([1.5, 0.7, 0.4, 1.3]), step=1 / 64, levels=3).value


@every_method
def test_a_state_without_axes_has_the_right_gradient(scalar, scalar_differences, method):
    g = scalar_gradient(scalar, method, **TOLERANCES)
    constants_bar, (drive_bar,) = g.theta["decay"]
    got = np.array([g.z0, constants_bar["rate"], *drive_bar])
    # differences of solves to 1e-11 with steps of 1/64; the gradient has rtol for each of some tens of steps
    assert relative_error(got, scalar_differences) < 1e-7


@every_method
@pytest.mark.parametrize("samples", [None, 2])
def test_a_state_that_is_a_matrix_has_the_right_gradient(method, samples):
    """Z' = theta Z - Z theta^T is solved by exp(theta t) Z0 exp(-theta^T t)."""
    rng = np.random.default_rng(0)
    theta, batch = 0.5 * rng.normal(size=(3, 3)), () if samples is None else (samples,)
    Z0, zs_bar = rng.normal(size=(*batch, 3, 3)), rng.normal(size=(2, *batch, 3, 3))
    field = ne.vector_field(commutator, np.zeros((3, 3)), np.zeros((3, 3)))
    g = ne.gradients(field, Z0, [0.0, 0.8], theta, zs_bar, method=method, **TOLERANCES)

    def loss(x):
        theta, Z0 = x
        return np.sum(zs_bar[0] * Z0) + np.sum(zs_bar[1] * (expm(0.8 * theta) @ Z0 @ expm(-0.8 * theta.T)))

    def partial(i):
        given = [theta, Z0]
        return complex_step(lambda x: loss([*given[:i], x, *given[i + 1 :]]), given[i])

    # rtol for each of some tens of steps
    assert relative_error(g.theta, partial(0)) < 1e-7
    assert relative_error(g.z0, partial(1)) < 1e-7
    assert (g.theta.shape, g.z0.shape) == ((3, 3), Z0.shape)


@every_method
def test_a_linear_field_has_the_gradient_of_the_matrix_exponential(method):
    """a(t0) = dL/dz1 exp(A T), a row; and for b = 0, z1 = exp(A T) z0."""
    rng = np.random.default_rng(0)
    A, z0, terminal = 0.5 * rng.normal(size=(3, 3)), rng.normal(size=3), rng.normal(size=3)
    zs_bar = np.stack([np.zeros(3), terminal])
    theta = A, np.zeros(3)
    g = ne.gradients(ne.linear_field(3), z0, [0.0, 1.5], theta, zs_bar, method=method, **TOLERANCES)
    A_bar = complex_step(lambda A: terminal @ expm(1.5 * A) @ z0, A)
    # rtol for each of some tens of steps
    assert relative_error(g.z0, terminal @ expm(1.5 * A)) < 1e-7
    assert relative_error(g.theta[0], A_bar) < 1e-7


@every_method
def test_a_field_written_by_hand_has_the_gradient_of_the_traced_one(method):
    from nodeedu.compile.handwritten import van_der_pol_field

    traced = ne.gradients(V.field, V.z0, V.ts, np.array([1.2, 1.0, 0.0, 0.0]), V.targets, method=method, rtol=1e-4)
    by_hand = ne.gradients(van_der_pol_field(), V.z0, V.ts, (np.array(1.2),), V.targets, method=method, rtol=1e-4)
    # the fields differ by rounding; the further columns of "forward" change its steps, which leaves rtol
    tolerance = 1e-3 if method == "forward" else 1e-10
    np.testing.assert_allclose(by_hand.z0, traced.z0, rtol=tolerance)
    np.testing.assert_allclose(by_hand.theta[0], traced.theta[0], rtol=tolerance)


@every_method
def test_a_field_without_parameters_has_none_to_differentiate(method):
    field = ne.vector_field(lambda t, z: -z * np.cos(t), np.zeros(2))
    g = ne.gradients(field, [1.0, -2.0], [0.0, 1.0], None, [[0.0, 0.0], [1.0, 1.0]], method=method, **TOLERANCES)
    assert g.theta is None
    np.testing.assert_allclose(g.z0, np.exp(-np.sin(1.0)), rtol=1e-7)  # z(t) = z0 exp(-sin t); rtol for each step


@every_method
def test_float32_gives_float32_gradients_of_its_accuracy(method):
    z0 = V.z0.astype(np.float32)
    g = ne.gradients(V.field, z0, V.ts, V.theta, V.targets, method=method, rtol=1e-5, atol=1e-6)
    assert (g.z0.dtype, g.theta.dtype) == (np.float32, np.float32)
    expected = ne.gradients(V.field, V.z0, V.ts, V.theta, V.targets, **TOLERANCES)
    assert relative_error(both(g), both(expected)) < 1e-3  # 1e-5 and roundings of 6e-8 for each step, amplified
    np.testing.assert_allclose(g.ts, expected.ts, rtol=1e-3)


@every_method
@pytest.mark.parametrize("atol", [0.0, np.array([1e-6, 1e-9])])
def test_a_relative_tolerance_alone_suffices_and_each_component_may_have_its_own(truth_of_v, method, atol):
    g = ne.gradients(V.field, V.z0, V.ts, V.theta, V.targets, method=method, atol=atol)
    assert relative_error(both(g), truth_of_v) < 1e-5  # rtol for each of some tens of steps


@every_method
def test_lists_and_integers_are_numbers_too(method):
    ints = ne.gradients(V.field, [1, 0], [0, 1], np.array([1, 1, 1, 2]), [[0, 0], [1, -1]], method=method)
    floats = ne.gradients(
        V.field, np.array([1.0, 0.0]), np.array([0.0, 1.0]), np.array([1.0, 1.0, 1.0, 2.0]),
        np.array([[0.0, 0.0], [1.0, -1.0]]), method=method,
    )  # fmt: skip
    np.testing.assert_array_equal(both(ints), both(floats))


@every_method
def test_a_batch_sums_theta_over_samples_and_keeps_their_initial_states_apart(problem, method):
    rng = np.random.default_rng(0)
    z0 = problem.z0 + 0.3 * rng.normal(size=(3, len(problem.z0)))
    zs_bar = rng.normal(size=(len(problem.ts), *z0.shape))

    def gradient(z0, zs_bar):
        return ne.gradients(problem.field, z0, problem.ts, problem.theta, zs_bar, method=method, rtol=1e-4)

    together, single = gradient(z0, zs_bar), [gradient(z0[b], zs_bar[:, b]) for b in range(3)]
    np.testing.assert_array_equal(together.z0, [g.z0 for g in single])
    # the sum has another order
    assert relative_error(flat(together.theta), sum(flat(g.theta) for g in single)) < 1e-14
    np.testing.assert_array_equal(together.stats.nfev, [g.stats.nfev for g in single])


def rectified(t, z, theta):
    W1, b1, W2 = theta
    return W2 @ ne.relu(W1 @ z + b1)


@pytest.fixture(scope="module")
def kinks():
    """A ReLU network, three of whose units start on their kinks, and differences of a loss in one direction of W2."""
    rng = np.random.default_rng(0)
    W1, W2, direction = rng.normal(size=(6, 2)), rng.normal(size=(2, 6)), rng.normal(size=(2, 6))
    z0, ts = np.array([0.5, -0.25]), [0.0, 0.4, 1.0]
    b1 = np.append(-W1[:3] @ z0, rng.normal(size=3))
    field = ne.vector_field(rectified, z0, (W1, b1, W2))

    def loss(W2):
        return np.sum(ne.odeint(field, z0, ts, (W1, b1, W2), rtol=1e-9, atol=1e-11).zs[1:])

    slope = central_difference(loss, W2, direction, step=1e-3, levels=3).value
    return (field, z0, ts, (W1, b1, W2)), direction, slope


@every_method
def test_a_field_with_kinks_has_a_finite_gradient_that_differences_see(kinks, method):
    problem, direction, slope = kinks
    g = ne.gradients(*problem, [[0, 0], [1, 1], [1, 1]], method=method, rtol=1e-8, atol=1e-10)
    assert np.isfinite(both(g)).all()
    # a step h across a kink has an error of h^2, at most rtol; the derivative of that is of order h, at most sqrt(rtol)
    np.testing.assert_allclose(np.sum(g.theta[2] * direction), slope, rtol=1e-3)
