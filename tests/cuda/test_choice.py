"""Which kernel ``backend="cuda"`` takes, and that by way of it warps and tiles give the results of the CPU."""

import numpy as np
import pytest

import nodeedu as ne
from nodeedu.cuda import dispatch
from nodeedu.cuda.choice import choose_kernel
from nodeedu.cuda.device import GPU, SIMULATOR
from nodeedu.flows.augment import augment
from nodeedu.solvers.arguments import check_inputs, check_options

pytestmark = pytest.mark.cuda


def field_of(*sizes):
    mlp = ne.nn.MLP(sizes)
    theta = {name: leaf + 0.2 * np.random.default_rng(3).normal(size=leaf.shape) for name, leaf in mlp.init(0).items()}
    return ne.vector_field(mlp, np.zeros(sizes[0]), theta), theta


def choice(field, theta, gradient="", real=np.float64, target=GPU, ts=(0.0, 1.0), **options):
    inputs = check_inputs(field, np.zeros((1, field.size), real), ts, theta)
    return choose_kernel(inputs, check_options(shape=field.shape, **options), target, gradient)


@pytest.mark.parametrize(
    ("sizes", "gradient", "real", "kernel"),
    [
        ((2, 50, 2), "", "float64", "thread"),
        ((2, 50, 2), "backsolve", "float64", "thread"),
        ((2, 50, 2), "discrete", "float64", "thread"),
        ((6, 20, 6), "", "float64", "warp"),  # as matrices, its layers are no work for a thread
        ((6, 20, 6), "backsolve", "float64", "warp"),
        ((6, 50, 6), "backsolve", "float64", "tile"),  # the gradient does not fit into registers beside the weights
        ((6, 50, 6), "backsolve", "float32", "warp"),
        ((24, 40, 24), "", "float64", "tile"),
        ((24, 40, 24), "backsolve", "float64", "tile"),
    ],
)
def test_the_first_of_thread_warp_and_tile_that_can_solves_a_problem(sizes, gradient, real, kernel):
    assert choice(*field_of(*sizes), gradient, np.dtype(real)) == kernel


def test_the_flow_of_a_perceptron_is_for_a_warp_where_a_thread_cannot():
    field, theta = field_of(6, 20, 6)
    for probes in (0, 1):
        flow = augment(field, probes).field
        assert [choice(flow, theta, gradient) for gradient in ("", "backsolve")] == ["warp", "warp"]


def test_in_the_simulator_which_has_no_shuffles_a_tile_takes_what_a_warp_would():
    assert choice(*field_of(6, 20, 6), target=SIMULATOR) == "tile"


def deep(t, z, theta):
    return theta @ np.tanh(theta.T @ np.tanh(theta @ z))


WIDE = (24, 40, 24)


@pytest.mark.parametrize(
    ("field", "gradient", "options", "reasons"),
    [
        (deep, "", {}, ["'thread': field: its state has 24", "'warp': field: got deep, ", "'tile': field: got d"]),
        (WIDE, "discrete", {}, ["'warp': method: 'discrete' goes back", "'tile': .*take method='backsolve'"]),
        (WIDE, "", {"jump_ts": [0.5]}, ["'warp': jump_ts, norm: .*no jumps", "'tile': jump_ts, norm: .*no jumps"]),
        (WIDE, "", {"method": "rk4"}, ["'warp': method: got 'rk4'", "'tile': method: got 'rk4'"]),
        ((6, 300, 6), "", {}, ["'warp': field: 6 components and 300 hidden units", "'tile': .*has 256 threads"]),
        ((6, 20, 6), "discrete", {}, ["'thread': field: its ", "'warp': method", "'tile': method"]),
    ],
)
def test_what_no_kernel_can_is_refused_with_the_reason_of_each(field, gradient, options, reasons):
    if field is deep:
        theta = np.eye(24)
        field = ne.vector_field(deep, np.zeros(24), theta)
    else:
        field, theta = field_of(*field)
    with pytest.raises(ValueError, match="(?s)backend: 'cuda' has no kernel .*" + ".*".join(reasons)):
        choice(field, theta, gradient, **options)


def test_a_flow_that_integrates_regularisers_is_refused():
    field, theta = field_of(6, 20, 6)
    with pytest.raises(ValueError, match="'warp': field: its flow integrates regularisers"):
        choice(augment(field, 0, True).field, theta)


def test_parameters_that_stand_in_two_places_are_refused():
    theta = np.eye(24)
    field = ne.vector_field(lambda t, z, theta: theta @ np.tanh(theta @ z), np.zeros(24), theta)
    with pytest.raises(ValueError, match="'tile': field: .*which uses the same parameters in two places"):
        choice(field, theta)


TS = np.outer([1.0, -1.0, 0.5], [0.0, 0.3, 1.0])  # of each sample


def expect_results_of_the_cpu(field, theta):
    """Solve and differentiate on both; the kernels fuse multiply-adds: a few ulp a step.

    Kernels of bosh3 have half the stages to compile; the registry's are those of dopri5.
    """
    options = {"rtol": 1e-4, "atol": 1e-6}
    z0 = np.random.default_rng(0).normal(size=(3, field.size)) * np.array([[0.1], [1.0], [2.0]])
    zs_bar = np.random.default_rng(1).normal(size=(3, 3, field.size))
    got, expected = (ne.odeint(field, z0, TS, theta, "bosh3", backend=each, **options) for each in ("cuda", "cpu"))
    np.testing.assert_allclose(got.zs, expected.zs, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(got.stats.tally, expected.stats.tally)
    np.testing.assert_allclose(got(0.0), expected(0.0), rtol=0, atol=1e-12)
    arguments = (field, z0, TS, theta, zs_bar, "backsolve")
    back, wanted = (ne.gradients(*arguments, solver="bosh3", backend=each, **options) for each in ("cuda", "cpu"))
    for name in ("z0", "ts", "returned_z0"):
        np.testing.assert_allclose(getattr(back, name), getattr(wanted, name), rtol=1e-12, atol=1e-12)
    for name in theta:
        np.testing.assert_allclose(back.theta[name], wanted.theta[name], rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(back.stats.tally, wanted.stats.tally)
    assert back.stats.rejected.tolist() == wanted.stats.rejected.tolist()


@pytest.fixture
def on_ptx(monkeypatch):
    """Run what a GPU would run: its PTX, on the CPU."""
    from nodeedu.cuda.proof import PTX

    monkeypatch.setattr(dispatch, "chosen_target", lambda: PTX)


@pytest.mark.jit
@pytest.mark.usefixtures("on_ptx")
class TestTheContractOfTheCpu:
    @pytest.mark.parametrize("sizes", [(6, 20, 6), WIDE], ids=["warp", "tile"])
    def test_solutions_gradients_and_counts_are_those_of_the_cpu(self, sizes):
        expect_results_of_the_cpu(*field_of(*sizes))

    def test_a_density_and_its_gradient_are_those_of_the_cpu_and_of_differences(self):
        field, theta = field_of(6, 8, 6)
        x, noise = np.random.default_rng(4).normal(size=(3, 6)), ne.flows.rademacher((3, 6), 5)
        flow = ne.flows.CNF(field, trace="hutchinson", method="bosh3", rtol=1e-8, atol=1e-10)
        for name in ("log_prob", "score"):
            got, expected = (getattr(flow, name)(x, theta, noise, backend=each) for each in ("cuda", "cpu"))
            np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-10)  # rounding, over some hundred steps
        loss, gradient = flow.nll_and_gradient(x, theta, noise, backend="cuda")
        expected_loss, expected = flow.nll_and_gradient(x, theta, noise)
        assert abs(loss - expected_loss) < 1e-10
        direction = {name: np.random.default_rng(6).normal(size=leaf.shape) for name, leaf in theta.items()}
        for name, leaf in gradient.items():
            np.testing.assert_allclose(leaf, expected[name], rtol=1e-10, atol=1e-10)

        def nll(h):
            moved = {name: leaf + h * direction[name] for name, leaf in theta.items()}
            return -flow.log_prob(x, moved, noise).mean()

        slope, h = sum(np.vdot(gradient[name], direction[name]) for name in theta), 1e-4
        # central differences err by h**2, and by the error of the solves over h
        assert abs(slope - (nll(h) - nll(-h)) / (2 * h)) < 1e-6 * abs(slope)

    def test_a_failure_names_the_component_as_on_the_cpu(self):
        field, theta = field_of(6, 20, 6)
        theta = {name: 0.0 * leaf for name, leaf in theta.items()} | {"W1": np.ones((20, 6)), "W2": 0.1 * theta["W2"]}
        theta["W2"][2], messages = 1.5e308, []
        for backend in ("cuda", "cpu"):
            with pytest.raises(ne.SolverError) as error:
                ne.odeint(field, np.outer([0, 9], np.ones(6)), TS[:2], theta, "bosh3", backend=backend)
            messages.append(str(error.value))
        assert messages[0] == messages[1]
        assert "sample 1" in messages[0]
        assert "component 2" in messages[0]


def test_in_the_simulator_a_tile_gives_the_results_of_the_cpu(monkeypatch):
    monkeypatch.setenv("NODEEDU_CUDA_SIMULATOR", "1")
    field, theta = field_of(5, 4, 5)
    arguments = (field, np.ones((1, 5)), [0.0, 0.1], theta)
    got, expected = (ne.odeint(*arguments, rtol=1e-3, backend=each) for each in ("cuda", "cpu"))
    np.testing.assert_allclose(got.zs, expected.zs, rtol=1e-14)  # it adds the bias first, the CPU last
    np.testing.assert_array_equal(got.stats.tally, expected.stats.tally)
