"""Gradients of a thread: in the simulator, those of the CPU to the last bit, summed in a fixed order."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import nodeedu as ne
from nodeedu.compile import van_der_pol_field
from nodeedu.compile.handwritten_kernels import mlp_vjp_theta
from nodeedu.cuda import limits
from nodeedu.cuda.device import SIMULATOR, rebind, unchanged
from nodeedu.cuda.emitted import gradient_function
from nodeedu.cuda.limits import SHARED_BYTES, require_gradient_fit
from nodeedu.cuda.thread_gradients import backsolve_ensemble, discrete_ensemble, trail_of
from nodeedu.sensitivity.backsolve import backsolve
from nodeedu.sensitivity.discrete import discrete
from nodeedu.solvers.arguments import check_inputs, check_options
from nodeedu.solvers.solve import solve

pytestmark = pytest.mark.cuda

THETA = (np.array(1.3),)
Z0 = np.random.default_rng(0).normal(size=(5, 2))  # two blocks of four threads, three of which have nothing to do
ZS_BAR = np.random.default_rng(1).normal(size=(4, 5, 2))
TS = np.linspace(0.0, 2.0, 4)
METHODS = {
    "dopri5": {"method": "dopri5"},
    "tsit5 with PI control": {"method": "tsit5", "controller": "PI"},
    "bosh3 from a given step": {"method": "bosh3", "rtol": 1e-3, "atol": 1e-3, "first_step": 0.5},
    "rk4": {"method": "rk4", "step_size": 0.3},  # without FSAL; the step does not divide the intervals
}


def problem(z0, real=np.float64, options=METHODS["dopri5"]):
    """A forward solve with its steps."""
    inputs = check_inputs(van_der_pol_field(), z0.astype(real), TS, THETA)
    return solve(inputs, check_options(shape=(2,), **options), record=True)


def of_kernel(solution, zs_bar, method):
    """(a, p_bar) of a kernel."""
    inputs, options, samples = solution._inputs, solution._options, solution._samples
    if method is discrete:
        return discrete_ensemble(inputs, options, samples["accepted"], zs_bar, SIMULATOR)[:2]
    return backsolve_ensemble(inputs, options, solution.zs, zs_bar, samples["h"], SIMULATOR)[:2]


@pytest.mark.parametrize("method", [discrete, backsolve])
@pytest.mark.parametrize("name", METHODS)
def test_float64_gradients_equal_those_of_the_cpu_bit_for_bit(method, name):
    whole = problem(Z0, options=METHODS[name])
    a, p_bar = of_kernel(whole, ZS_BAR, method)
    one_by_one = [method(problem(Z0[b : b + 1], options=METHODS[name]), ZS_BAR[:, b : b + 1])[:2] for b in range(5)]
    np.testing.assert_array_equal(a, np.concatenate([each[0] for each in one_by_one]))
    # The block of samples 0 to 3, then that of sample 4: the order in which the kernels add.
    first = ((one_by_one[0][1] + one_by_one[1][1]) + one_by_one[2][1]) + one_by_one[3][1]
    np.testing.assert_array_equal(p_bar, first + one_by_one[4][1])


@pytest.mark.parametrize("method", [discrete, backsolve])
def test_float32_gradients_of_fixed_steps_agree_to_rounding(method):
    solution = problem(Z0, np.float32, METHODS["rk4"])
    bar = ZS_BAR.astype(np.float32)
    for got, expected in zip(of_kernel(solution, bar, method), method(solution, bar)[:2], strict=True):
        assert got.dtype == np.float32
        # times are float32 in the kernel: some 30 steps, each with an error of an ulp or two of numbers of size 1 to 5
        np.testing.assert_allclose(got, expected, rtol=0, atol=2e-5)


def test_the_steps_that_a_kernel_keeps_are_those_of_the_cpu():
    solution = problem(Z0)
    inputs, options, steps = solution._inputs, solution._options, solution._samples["accepted"]
    trail = discrete_ensemble(inputs, options, steps, ZS_BAR, SIMULATOR)[2]
    for got, expected in zip(trail, trail_of(solution), strict=True):
        np.testing.assert_array_equal(got, expected)


def test_sums_over_parameters_are_found_in_the_functions_that_a_kernel_calls_too():
    added = []
    arguments = (np.zeros(1), Z0[:1], ZS_BAR[0, :1], np.random.default_rng(2).normal(size=17))
    pulled = gradient_function(mlp_vjp_theta, SIMULATOR, lambda row, i, value: added.append(value))
    pulled(*arguments, np.zeros(17), np.zeros(6))
    p_bar = np.zeros(17)
    rebind(mlp_vjp_theta, unchanged)(*arguments, p_bar, np.zeros(6))
    assert sorted(added) == sorted(p_bar.tolist())  # each entry once; nothing was added to p_bar itself


@pytest.mark.parametrize("method", ["discrete", "backsolve"])
def test_each_sample_may_have_its_own_times(method, monkeypatch):
    monkeypatch.setenv("NODEEDU_CUDA_SIMULATOR", "1")
    ts = np.stack([[0.0, 0.5, 1.0], [1.0, 0.2, 0.0]])
    arguments = (van_der_pol_field(), Z0[:2], ts, THETA, ZS_BAR[:3, :2], method)
    got, expected = (ne.gradients(*arguments, backend=each) for each in ("cuda", "cpu"))
    np.testing.assert_array_equal(got.z0, expected.z0)
    np.testing.assert_array_equal(got.ts, expected.ts)
    assert got.stats.tally.adjoint.tolist() == expected.stats.tally.adjoint.tolist()


def test_too_many_parameters_for_shared_memory_are_an_error_that_says_what_to_take():
    solution = problem(Z0[:1])
    count = SHARED_BYTES // 8
    field = SimpleNamespace(size=2, shape=(2,), n_params=count, n_packed=count, kernel=van_der_pol_field().kernel)
    with pytest.raises(ValueError, match=rf"field: {count} parameters and their gradients take .*backend='cpu'"):
        require_gradient_fit(replace(solution._inputs, field=field), solution._options, SIMULATOR)


def test_more_steps_than_the_device_has_room_for_are_an_error_that_says_how_many_samples_fit(monkeypatch):
    solution = problem(Z0)
    monkeypatch.setattr(limits, "free_memory", lambda target: 480)
    with pytest.raises(ValueError, match="z0: the steps of its 5 samples take 4800 bytes, .* at most 1 samples at a"):
        limits.require_room_for_steps(solution._inputs, SIMULATOR, 100)
