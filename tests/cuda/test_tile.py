"""A block solves a tile: in the simulator, and as PTX, it gives what the CPU gives, with each sample's own steps."""

import numpy as np
import pytest

import nodeedu as ne
from nodeedu.cuda import odeint_ensemble
from nodeedu.cuda.device import SIMULATOR
from nodeedu.cuda.mlp import recognise
from nodeedu.cuda.tile_field import gradient_order, shape_of
from nodeedu.cuda.tile_launch import backsolve_tile, require_tile, solve_tile
from nodeedu.sensitivity.backsolve import backsolve
from nodeedu.solvers.arguments import check_inputs, check_options
from nodeedu.solvers.solve import solve

COUNTS = ("accepted", "rejected", "nfev", "f_initial", "status")


def problem(samples=3, size=2, hidden=3, time=True, ts=(0.0, 0.2, 1.0)):
    """Samples of different scales, so that their steps differ; the last tile is not full."""
    mlp, rng = ne.nn.MLP((size, hidden, size), time=time), np.random.default_rng(0)
    theta = {name: leaf + 0.5 * rng.normal(size=leaf.shape) for name, leaf in mlp.init(0).items()}
    z0 = rng.normal(size=(samples, size)) * np.linspace(0.1, 3.0, samples)[:, None]
    inputs = check_inputs(ne.vector_field(mlp, z0[0], theta), z0, np.array(ts), theta)
    return inputs, check_options("dopri5", 1e-4, 1e-6, shape=(size,))


def expect_equal_counts(samples, expected):
    assert {name: samples[name].tolist() for name in COUNTS} == {name: expected[name].tolist() for name in COUNTS}


@pytest.fixture(scope="module")
def solved():
    inputs, options = problem()
    return inputs, options, solve(inputs, options)


# The kernel adds the products of a layer to its bias, the CPU adds the bias last: equal but for the last bits.
ROUNDING = 1e-14


def test_in_the_simulator_a_tile_equals_the_cpu(solved):
    inputs, options, expected = solved
    zs, samples = solve_tile(inputs, inputs.p[None], options, SIMULATOR)
    np.testing.assert_allclose(zs, expected.zs, rtol=ROUNDING, atol=ROUNDING)
    expect_equal_counts(samples, expected._samples)


def test_an_ensemble_takes_the_kernel_by_name(solved):
    inputs, options, _ = solved
    theta = inputs.field.unpack(inputs.p[: inputs.field.n_params])
    tolerances = {"rtol": options.rtol, "atol": options.atol, "kernel": "tile", "target": SIMULATOR}
    ensemble = odeint_ensemble(inputs.field, inputs.z0[:1], inputs.ts[0, :1], [theta], **tolerances)
    np.testing.assert_array_equal(ensemble.zs, inputs.z0[None, :1])
    with pytest.raises(ValueError, match="expected one of thread, warp, tile"):
        odeint_ensemble(inputs.field, inputs.z0, inputs.ts[0], [theta], target=SIMULATOR, kernel="grid")


def test_the_samples_of_a_tile_take_steps_of_their_own(solved):
    assert len(set(solved[2].stats.accepted)) > 1


def test_in_the_simulator_the_adjoint_of_a_tile_equals_the_cpu(solved):
    inputs, options, forward = solved
    zs_bar = np.random.default_rng(1).normal(size=forward.zs.shape)
    going_back = (inputs, options, forward._states, zs_bar, forward._samples["h"], SIMULATOR)
    a, p_bar, samples, returned = backsolve_tile(*going_back)
    expected = backsolve(forward, zs_bar)
    np.testing.assert_allclose(returned, expected[4], rtol=10 * ROUNDING)
    np.testing.assert_allclose(a, expected[0], rtol=10 * ROUNDING)
    np.testing.assert_allclose(p_bar, expected[1], rtol=10 * ROUNDING, atol=10 * ROUNDING)  # sums over steps
    expect_equal_counts(samples, expected[2])


@pytest.mark.parametrize(
    ("size", "hidden", "each", "shape"),
    [(64, 128, 2, (128, 64, 2, 2, 4)), (128, 128, 1, (128, 128, 1, 1, 1)), (3, 100, 2, (128, 4, 32, 2, 64))],
)
def test_threads_share_out_a_tile_by_powers_of_two(size, hidden, each, shape):
    mlp = ne.nn.MLP((size, hidden, size))
    assert shape_of(recognise(ne.vector_field(mlp, np.zeros(size), mlp.init(0))), each) == shape


def test_the_gradient_of_a_block_has_every_parameter_once():
    inputs, _ = problem()
    order, length = gradient_order(recognise(inputs.field))
    assert sorted(order) == list(range(length - 1))  # this field has all there can be: a bias in both layers, and time


def test_a_parameter_that_the_field_does_not_use_has_the_gradient_zero():
    theta = (np.ones((3, 2)), np.ones(4), np.ones((2, 3)))
    field = ne.vector_field(lambda t, z, theta: theta[2] @ np.tanh(theta[0] @ z), np.zeros(2), theta)
    order, length = gradient_order(recognise(field))
    assert [sorted(set(leaf.ravel())) for leaf in field.unpack(order)[1:2]] == [[length - 1]]  # nothing adds to it


@pytest.mark.parametrize(("size", "hidden"), [(8, 300), (300, 8)])
def test_a_field_too_wide_is_refused(size, hidden):
    inputs, options = problem(1, size, hidden)
    with pytest.raises(ValueError, match="256 threads"):
        require_tile(inputs, options)


def test_parameters_of_each_sample_are_refused_with_the_kernel_that_takes_them(solved):
    inputs, options, _ = solved
    with pytest.raises(ValueError, match="take kernel='warp'"):
        solve_tile(inputs, np.stack([inputs.p, inputs.p, inputs.p]), options, SIMULATOR)
