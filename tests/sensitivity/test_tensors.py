"""`odeint` on Tensors records itself: gradients pass through encoder, solve and decoder."""

import numpy as np
import pytest

import nodeedu as ne
from nodeedu.autodiff import central_difference


def pendulum(t, z, theta):
    return z[1], -theta["stiffness"] * np.sin(z[0]) - theta["damping"] * z[1] + np.cos(t)


THETA = {"stiffness": np.array(1.7), "damping": np.array(0.2)}
TS = np.linspace(0.0, 2.0, 4)
TIGHT = {"rtol": 1e-10, "atol": 1e-12}


@pytest.fixture(scope="module")
def field():
    return ne.vector_field(pendulum, np.zeros(2), THETA)


def pipeline(field, x, encoder, theta, decoder, ts, **options):
    """Data -> encoder -> initial states -> solve -> decoder -> loss."""
    z0 = np.tanh(x @ encoder)
    zs = ne.odeint(field, z0, ts, theta, **TIGHT, **options).zs
    return np.mean((zs @ decoder - 0.3) ** 2)


def arguments(rng):
    return rng.normal(size=(4, 3)), rng.normal(size=(3, 2)), THETA, rng.normal(size=2), TS


@pytest.mark.parametrize("gradient", ["discrete", "backsolve"])
@pytest.mark.parametrize(
    "leaf",
    [
        "stiffness",
        "damping",
        # in plain Python: 36 s for these; the others run the same lines
        *(pytest.param(leaf, marks=pytest.mark.jit) for leaf in ("encoder", "decoder", "ts")),
    ],
)
def test_every_leaf_of_a_pipeline_gets_the_gradient_that_finite_differences_see(field, gradient, leaf):
    x, encoder, theta, decoder, ts = arguments(np.random.default_rng(0))
    tensors = {"encoder": encoder, "decoder": decoder, "ts": ts, **theta}
    tensors = {name: ne.Tensor(value) for name, value in tensors.items()}
    theta = {"stiffness": tensors["stiffness"], "damping": tensors["damping"]}
    pipeline(field, x, tensors["encoder"], theta, tensors["decoder"], tensors["ts"], gradient=gradient).backward()

    def loss(value):
        given = {name: tensor.value for name, tensor in tensors.items()} | {leaf: value}
        theta = {"stiffness": given["stiffness"], "damping": given["damping"]}
        return float(pipeline(field, x, given["encoder"], theta, given["decoder"], given["ts"]))

    expected = central_difference(loss, tensors[leaf].value, step=1 / 64, levels=3)
    # three levels from steps of 1/64 leave about 1e-10, and the solves 1e-10 divided by the smallest step
    np.testing.assert_allclose(tensors[leaf].grad, expected.value, atol=1e-7, rtol=1e-6)


def test_the_solve_of_tensors_gives_the_values_of_the_solve_of_arrays(field):
    z0 = np.array([0.3, -0.2])
    on_tensors = ne.odeint(field, ne.Tensor(z0), TS, THETA)
    assert isinstance(on_tensors.zs, ne.Tensor)
    np.testing.assert_array_equal(on_tensors.zs.value, ne.odeint(field, z0, TS, THETA).zs)


def test_parameters_in_another_order_get_their_own_gradients(field):
    tensors = {name: ne.Tensor(THETA[name]) for name in ("damping", "stiffness")}  # the other way round
    np.sum(ne.odeint(field, np.ones(2), TS, tensors).zs).backward()
    g = ne.gradients(field, np.ones(2), TS, THETA, np.ones((len(TS), 2)))
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(tensor.grad, g.theta[name])


@pytest.mark.parametrize("method", ["checkpointed", "backsolve", "interpolated", "quadrature", "reversible"])
def test_tensors_take_the_gradient_of_any_method(field, method):
    options = {"step_size": 0.1} if method == "reversible" else TIGHT
    solver = "reversible_rk4" if method == "reversible" else "dopri5"
    z0 = ne.Tensor(np.ones(2))
    np.sum(ne.odeint(field, z0, TS, THETA, method=solver, gradient=method, **options).zs).backward()
    bar = np.ones((len(TS), 2))
    g = ne.gradients(field, np.ones(2), TS, THETA, bar, method=method, solver=solver, **options)
    np.testing.assert_array_equal(z0.grad, g.z0)


def test_a_plain_callable_on_tensors_is_refused():
    with pytest.raises(TypeError, match=r"plain callable .* ne.vector_field"):
        ne.odeint(lambda t, z: -z, ne.Tensor(np.ones(2)), TS)


def test_an_unknown_gradient_method_is_refused(field):
    with pytest.raises(ValueError, match="gradient: got 'magic', expected one of discrete, .*backsolve"):
        ne.odeint(field, ne.Tensor(np.ones(2)), TS, THETA, gradient="magic")
