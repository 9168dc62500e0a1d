"""``backend="cuda"`` of `odeint` and `gradients`: the CPU's results, here by way of the simulator, or an error."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import nodeedu as ne
from nodeedu.compile import van_der_pol_field
from nodeedu.cuda import device, dispatch, limits
from nodeedu.cuda.device import cuda, launch
from nodeedu.flows.augment import augment

FIELD, THETA = van_der_pol_field(), (np.array(1.3),)
Z0 = np.random.default_rng(0).normal(size=(3, 2))
TS = np.linspace(0.0, 1.0, 3)
ZS_BAR = np.random.default_rng(1).normal(size=(3, 3, 2))


@pytest.fixture
def simulated(monkeypatch):
    monkeypatch.setenv("NODEEDU_CUDA_SIMULATOR", "1")


@pytest.mark.usefixtures("simulated")
class TestTheContractOfTheCpu:
    def test_solutions_are_equal_bit_for_bit_with_their_counts_and_dense_output(self):
        got, expected = (ne.odeint(FIELD, Z0, TS, THETA, backend=each) for each in ("cuda", "cpu"))
        np.testing.assert_array_equal(got.zs, expected.zs)
        np.testing.assert_array_equal(got.stats.tally, expected.stats.tally)
        np.testing.assert_array_equal(got(0.3), expected(0.3))

    @pytest.mark.parametrize("options", [{"atol": [1e-9, 1e-3], "norm": "max"}, {"jump_ts": [0.0, 0.4]}])
    def test_options_hold(self, options):
        got, expected = (ne.odeint(FIELD, Z0, TS, THETA, backend=each, **options) for each in ("cuda", "cpu"))
        np.testing.assert_array_equal(got.zs, expected.zs)
        np.testing.assert_array_equal(got.stats.tally, expected.stats.tally)

    def test_one_state_has_no_axis_of_samples_and_one_time_is_no_solve(self):
        assert ne.odeint(FIELD, Z0[0], TS, THETA, backend="cuda").zs.shape == (3, 2)
        np.testing.assert_array_equal(ne.odeint(FIELD, Z0, [0.5], THETA, backend="cuda").zs, Z0[None])

    @pytest.mark.cuda
    @pytest.mark.parametrize("method", ["discrete", "backsolve"])
    def test_gradients_take_the_solution_that_they_are_given(self, method):
        solution = ne.odeint(FIELD, Z0, TS, THETA, backend="cuda")
        arguments = (FIELD, Z0, TS, THETA, ZS_BAR, method)
        got = ne.gradients(*arguments, backend="cuda", solution=solution)
        expected = ne.gradients(*arguments)
        np.testing.assert_array_equal(got.z0, expected.z0)
        np.testing.assert_array_equal(got.ts, expected.ts)
        assert got.stats.nfev_backward.tolist() == expected.stats.nfev_backward.tolist()

    def test_a_failure_names_the_component_as_on_the_cpu(self):
        field = ne.vector_field(lambda t, z, theta: [z[0], np.log(theta * z[1])], np.ones(2), 1.0)
        z0, messages = np.array([[1.0, 1.0], [1.0, -1.0]]), []
        for backend in ("cuda", "cpu"):
            with pytest.raises(ne.SolverError) as error:
                ne.odeint(field, z0, TS, 1.0, backend=backend)
            messages.append(str(error.value))
        assert messages[0] == messages[1]
        assert "sample 1" in messages[0]
        assert "component 1" in messages[0]


@pytest.mark.cuda
@pytest.mark.usefixtures("simulated")
@pytest.mark.parametrize("probes", [0, 1], ids=["exact trace", "Hutchinson"])
def test_the_field_of_a_flow_runs_in_the_kernel_as_any_other(probes):
    rng = np.random.default_rng(2)
    theta = (rng.normal(size=(3, 2)), rng.normal(size=(2, 3)))
    flow = augment(ne.vector_field(lambda t, z, theta: theta[1] @ np.tanh(theta[0] @ z), np.zeros(2), theta), probes)
    noise = rng.choice([-1.0, 1.0], size=(3, probes, 2))
    start = flow.start(Z0, noise if probes else None)
    arguments = (flow.field, start, [1.0, 0.0], theta, "bosh3", 1e-3, 1e-3)
    got, expected = (ne.odeint(*arguments, backend=each) for each in ("cuda", "cpu"))
    # emitted code may fuse multiply-adds when it is compiled: a few ulp a step, some 20 steps
    np.testing.assert_allclose(got.zs, expected.zs, rtol=0, atol=1e-13)
    assert got.stats.nfev.tolist() == expected.stats.nfev.tolist()


@pytest.mark.cuda
@pytest.mark.usefixtures("simulated")
@pytest.mark.parametrize("gradient", ["discrete", "backsolve"])
def test_the_likelihood_of_a_flow_and_its_gradient_take_the_backend(gradient):
    theta = (np.array([[0.5, -1.0]]), np.array([[1.0], [0.3]]))
    field = ne.vector_field(lambda t, z, theta: theta[1] @ np.tanh(theta[0] @ z), np.zeros(2), theta)
    flow = ne.flows.CNF(field, method="bosh3", rtol=1e-2, atol=1e-2)
    got, expected = (
        flow.nll_and_gradient(Z0[:2], theta, gradient=gradient, backend=each) for each in ("cuda", "cpu")
    )
    # emitted code may fuse multiply-adds when it is compiled: a few ulp a step
    np.testing.assert_allclose(got[0], expected[0], rtol=1e-13)
    for leaf, wanted in zip(got[1], expected[1], strict=True):
        np.testing.assert_allclose(leaf, wanted, rtol=1e-12, atol=1e-14)


@pytest.mark.usefixtures("simulated")
class TestErrors:
    def test_a_backend_that_does_not_exist(self):
        with pytest.raises(ValueError, match="backend: got 'gpu', expected one of 'cpu', 'cuda'"):
            ne.odeint(FIELD, Z0, TS, THETA, backend="gpu")

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"method": "radau5"}, "method: got 'radau5', expected an explicit one for the kernels"),
            ({"norm": lambda x: 0.0}, "norm: got .*expected 'rms' or 'max': a kernel cannot call Python"),
            ({"record": True}, "record: backend 'cuda' does not know it"),
            ({"events": lambda t, z: z[0]}, "events: backend 'cuda' does not know it"),
            ({"field": lambda t, z, theta: z}, "field: got a plain callable"),
            ({"ts": [0.0, 1.0, 1.0 + 1e-9], "z0": Z0.astype(np.float32)}, "ts: times of float32 kernels are float32"),
            ({"z0": SimpleNamespace(__cuda_array_interface__={})}, "z0: got SimpleNamespace, an array on the device"),
        ],
    )
    def test_what_odeint_cannot_do_on_the_device(self, arguments, message):
        with pytest.raises((TypeError, ValueError), match=message):
            ne.odeint(**({"field": FIELD, "z0": Z0, "ts": TS, "theta": THETA, "backend": "cuda"} | arguments))

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"method": "forward"}, "method: backend 'cuda' has discrete and backsolve, got 'forward'"),
            ({"method": "backsolve", "reset": False}, "reset: backend 'cuda' does not know it"),
        ],
    )
    def test_what_gradients_cannot_do_on_the_device(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            ne.gradients(FIELD, Z0, TS, THETA, ZS_BAR, backend="cuda", **arguments)

    @pytest.mark.parametrize(("size", "real"), [(12, np.float64), (17, np.float32)])
    def test_states_that_a_thread_cannot_hold(self, size, real):
        field = ne.vector_field(lambda t, z: -z, np.zeros(size))
        with pytest.raises(ValueError, match=rf"field: its state has {size} numbers .* thread holds {size - 1}.*warp"):
            ne.odeint(field, np.ones((1, size), real), TS, backend="cuda")

    @pytest.mark.cuda
    def test_layers_so_wide_that_they_are_matrix_products(self):
        W = np.eye(8)
        field = ne.vector_field(lambda t, z, theta: theta @ np.tanh(theta @ z), np.zeros(8), W)
        with pytest.raises(ValueError, match=r"field: its layers are so wide .*tile"):
            ne.odeint(field, np.ones((1, 8)), TS, W, backend="cuda")

    def test_arrays_that_the_device_has_no_room_for(self, monkeypatch):
        monkeypatch.setattr(limits, "free_memory", lambda target: 100)
        with pytest.raises(ValueError, match="z0: 3 samples take .* take at most 1 samples at a time"):
            ne.odeint(FIELD, Z0, TS, THETA, backend="cuda")

    def test_functions_without_a_device_form(self):
        def compiler(argument):
            raise KeyError("<ufunc 'frobnicate'>")

        with pytest.raises(ValueError, match="field: it does not compile for the device: .*frobnicate.*backend='cpu'"):
            launch({(1, 4): compiler}, 1, 4, None)


def test_the_variable_for_the_simulator_is_checked(monkeypatch):
    monkeypatch.setenv("NODEEDU_CUDA_SIMULATOR", "yes")
    with pytest.raises(ValueError, match="NODEEDU_CUDA_SIMULATOR: got 'yes', expected 1"):
        dispatch.chosen_target()


def test_a_missing_gpu_is_named_with_the_way_out(monkeypatch):
    monkeypatch.delenv("NODEEDU_CUDA_SIMULATOR", raising=False)
    monkeypatch.setattr(cuda, "is_available", lambda: False)
    with pytest.raises(RuntimeError, match=r"no CUDA device.*NODEEDU_CUDA_SIMULATOR=1"):
        ne.odeint(FIELD, Z0, TS, THETA, backend="cuda")


def test_an_old_gpu_is_named(monkeypatch):
    monkeypatch.setattr(cuda, "is_available", lambda: True)
    monkeypatch.setattr(cuda, "get_current_device", lambda: SimpleNamespace(compute_capability=(6, 1)))
    assert device.gpu_missing() == "the device has compute capability 6.1, and the kernels need 7.5 or newer"


def test_a_missing_compiler_is_named(monkeypatch):
    def no_library():
        raise OSError("libnvvm.so cannot be found")

    monkeypatch.setattr(cuda, "is_available", lambda: True)
    monkeypatch.setattr(cuda, "get_current_device", lambda: SimpleNamespace(compute_capability=(9, 0)))
    monkeypatch.setattr(device.nvvm, "NVVM", no_library)
    assert "libnvvm.so cannot be found" in device.gpu_missing()


@pytest.mark.cuda
def test_without_numba_cuda_the_cpu_works_and_the_backend_says_what_to_install():
    code = (
        "import sys; sys.modules['numba.cuda.extending'] = None\n"
        "import numpy as np, nodeedu as ne\n"
        "from nodeedu.compile import van_der_pol_field\n"
        "arguments = van_der_pol_field(), np.ones(2), [0.0, 0.1], (np.array(1.0),)\n"
        "print(ne.odeint(*arguments).stats.status)\n"
        "try: ne.odeint(*arguments, backend='cuda')\n"
        "except RuntimeError as error: print(error)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    status, message = run.stdout.strip().split("\n")
    assert status == "0"
    assert "needs the package numba-cuda" in message
    assert "pip install 'nodeedu[cuda]'" in message


@pytest.mark.gpu
@pytest.mark.parametrize("method", ["discrete", "backsolve"])
def test_on_a_gpu_results_agree_to_rounding(method):
    solutions = [ne.odeint(FIELD, Z0, TS, THETA, backend=each) for each in ("cuda", "cpu")]
    # fused multiply-adds: a few ulp a step
    np.testing.assert_allclose(solutions[0].zs, solutions[1].zs, rtol=0, atol=1e-12)
    got, expected = (ne.gradients(FIELD, Z0, TS, THETA, ZS_BAR, method, backend=each) for each in ("cuda", "cpu"))
    np.testing.assert_allclose(got.z0, expected.z0, rtol=0, atol=1e-11)
    np.testing.assert_allclose(got.theta[0], expected.theta[0], rtol=0, atol=1e-10)
