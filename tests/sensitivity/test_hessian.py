"""Hessian-vector products: the differences of gradients, the symmetry of a Hessian, and a Hessian by hand."""

import numpy as np
import pytest
from adjoint_problems import V, both, flat, like, loss_gradient

import nodeedu as ne
from nodeedu.autodiff.check import relative_error
from nodeedu.sensitivity.hessian import hessian_vector_product

RNG = np.random.default_rng(0)
DIRECTIONS = RNG.normal(size=(2, 6))  # of z0 and theta


def gradient_at(x, solver, **options):
    z0, theta = x[:2], like(V.theta, x[2:])
    zs = ne.odeint(V.field, z0, V.ts, theta, method=solver, **options).zs
    return both(ne.gradients(V.field, z0, V.ts, theta, loss_gradient(zs, V.targets), solver=solver, **options))


def product(direction, solver, **options):
    zs = ne.odeint(V.field, V.z0, V.ts, V.theta, method=solver, **options).zs
    z0, theta = hessian_vector_product(
        V.field, V.z0, V.ts, V.theta, loss_gradient(zs, V.targets), lambda zs_dot: (1.0 - 0.3 * np.cos(zs)) * zs_dot,
        direction[:2], like(V.theta, direction[2:]), solver=solver, **options,
    )  # fmt: skip
    return np.append(z0, flat(theta))


@pytest.mark.parametrize("solver", ["euler", "rk4", "dopri5"])
def test_the_product_is_the_difference_of_gradients(solver):
    x, direction = np.append(V.z0, flat(V.theta)), DIRECTIONS[0]

    def difference(h):
        one, other = (gradient_at(x + sign * h * direction, solver, step_size=0.25) for sign in (1, -1))
        return (one - other) / (2 * h)

    expected = (4 * difference(5e-4) - difference(1e-3)) / 3  # Richardson's: h^4, and rounding over h
    assert relative_error(product(direction, solver, step_size=0.25), expected) < 1e-9


def test_the_hessian_of_adaptive_steps_with_outputs_inside_them_is_symmetric():
    u, v = DIRECTIONS
    Hu, Hv = (product(each, "tsit5", rtol=1e-3, atol=1e-3) for each in (u, v))
    assert u @ Hv == pytest.approx(v @ Hu, rel=1e-12)  # rounding: the steps are held


def test_the_product_sums_over_a_batch_with_times_of_its_own():
    z0, ts = np.array([[1.0, 0.5], [0.2, -0.6]]), np.array([V.ts, V.ts[::-1]])
    bar, (z0_dot, _), theta_dot = RNG.normal(size=(4, 2, 2)), RNG.normal(size=(2, 2, 2)), RNG.normal(size=4)

    def run(z0, ts, bar, z0_dot):
        return hessian_vector_product(
            V.field, z0, ts, V.theta, bar, lambda zs_dot: zs_dot, z0_dot, theta_dot, solver="rk4", step_size=0.5
        )

    together = run(z0, ts, bar, z0_dot)
    alone = [run(z0[b], ts[b], bar[:, b], z0_dot[b]) for b in range(2)]
    np.testing.assert_array_equal(together[0], [one[0] for one in alone])
    np.testing.assert_allclose(together[1], sum(one[1] for one in alone), rtol=1e-14)  # rounding of two terms


def test_what_is_not_traced_is_refused():
    with pytest.raises(TypeError, match="take a traced one"):
        hessian_vector_product(ne.linear_field(2), V.z0, V.ts, None, V.targets, lambda d: d, V.z0, None)
    with pytest.raises(ValueError, match="z0_dot: got shape"):
        hessian_vector_product(
            V.field, V.z0, V.ts, V.theta, V.targets, lambda d: d, np.ones((3, 2)), V.theta, solver="rk4"
        )
