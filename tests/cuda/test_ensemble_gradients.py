"""Gradients of samples that have parameters of their own: in the simulator, those of the CPU to the last bit."""

import numpy as np
import pytest

import nodeedu as ne
from nodeedu.compile import van_der_pol_field
from nodeedu.cuda import GPU, SIMULATOR, gradients_ensemble, odeint_ensemble
from nodeedu.cuda.device import cuda

pytestmark = pytest.mark.cuda

MU = [0.5, 1.0, 2.0, 3.0, 5.0]  # five samples: two blocks of four threads, three of which have nothing to do
THETAS = [(np.array(mu),) for mu in MU]
Z0 = np.random.default_rng(0).normal(size=(5, 2))
ZS_BAR = np.random.default_rng(1).normal(size=(4, 5, 2))
TS = np.linspace(0.0, 2.0, 4)
OPTIONS = {
    "dopri5": {},
    "tsit5 with PI control": {"solver": "tsit5", "controller": "PI"},
    "rk4": {"solver": "rk4", "step_size": 0.3},  # without FSAL; the step does not divide the intervals
    "jumps, one of them at an output": {"jump_ts": [0.3, TS[1], 1.1]},
}


@pytest.fixture(scope="module", params=["discrete", "backsolve"])
def method(request):
    return request.param


@pytest.fixture(scope="module", params=OPTIONS)
def options(request):
    return OPTIONS[request.param]


@pytest.fixture(scope="module")
def computed(method, options):
    """The gradients of the ensemble, and those of its samples one by one on the CPU."""
    field = van_der_pol_field()
    each = [ne.gradients(field, Z0[b], TS, THETAS[b], ZS_BAR[:, b], method, **options) for b in range(5)]
    return gradients_ensemble(field, Z0, TS, THETAS, ZS_BAR, method, target=SIMULATOR, **options), each


def test_gradients_equal_those_of_the_cpu_bit_for_bit(computed):
    ensemble, each = computed
    np.testing.assert_array_equal(ensemble.z0, np.stack([gradients.z0 for gradients in each]))
    np.testing.assert_array_equal([theta for (theta,) in ensemble.thetas], [gradients.theta[0] for gradients in each])


def test_counts_equal_those_of_the_cpu(computed):
    ensemble, each = computed
    for name in ("nfev", "nfev_backward", "accepted", "rejected"):
        assert getattr(ensemble.stats, name).tolist() == [getattr(gradients.stats, name) for gradients in each]
    assert ensemble.stats.tally.adjoint.tolist() == [gradients.stats.tally.adjoint for gradients in each]


def test_parameters_that_all_share_get_one_gradient_summed_over_the_samples(method):
    arguments = (van_der_pol_field(), Z0, TS)
    got = gradients_ensemble(*arguments, THETAS[2:3], ZS_BAR, method, target=SIMULATOR)
    expected = ne.gradients(*arguments, THETAS[2], ZS_BAR, method)
    np.testing.assert_array_equal(got.z0, expected.z0)
    assert len(got.thetas) == 1
    # The kernels add up the samples of a block first: another order, a rounding for each of five samples.
    np.testing.assert_allclose(got.thetas[0][0], expected.theta[0], rtol=1e-14)


def test_each_sample_may_have_its_own_times_too(method):
    ts = np.stack([TS, TS[::-1], 0.5 * TS, TS - 1.0, -TS])
    got = gradients_ensemble(van_der_pol_field(), Z0, ts, THETAS, ZS_BAR, method, target=SIMULATOR)
    for b in range(5):
        expected = ne.gradients(van_der_pol_field(), Z0[b], ts[b], THETAS[b], ZS_BAR[:, b], method)
        np.testing.assert_array_equal(got.z0[b], expected.z0)
        np.testing.assert_array_equal(got.thetas[b][0], expected.theta[0])


def test_a_descent_along_the_gradients_finds_the_parameters_of_each_sample():
    field, true = van_der_pol_field(), odeint_ensemble(van_der_pol_field(), Z0, TS, THETAS, target=SIMULATOR).zs
    thetas = [(np.array(1.1 * mu),) for mu in MU]
    losses = []
    for _ in range(2):
        apart = odeint_ensemble(field, Z0, TS, thetas, target=SIMULATOR).zs - true
        losses.append((apart**2).sum(axis=(0, 2)) / 2)
        slopes = gradients_ensemble(field, Z0, TS, thetas, apart, target=SIMULATOR).thetas
        # Newton's step to where a straight line through the loss would be zero, half of it
        thetas = [(mu - losses[-1][b] / slope,) for b, ((mu,), (slope,)) in enumerate(zip(thetas, slopes, strict=True))]
    assert (losses[1] < 0.5 * losses[0]).all()


def test_no_time_gives_no_gradient(method):
    got = gradients_ensemble(van_der_pol_field(), Z0, TS[:1], THETAS, ZS_BAR[:1], method, target=SIMULATOR)
    np.testing.assert_array_equal(got.z0, ZS_BAR[0])
    assert [float(theta) for (theta,) in got.thetas] == [0.0] * 5


def test_jumps_of_a_shared_gradient_equal_those_of_the_cpu(monkeypatch):
    monkeypatch.setenv("NODEEDU_CUDA_SIMULATOR", "1")
    arguments = (van_der_pol_field(), Z0, TS, THETAS[1], ZS_BAR)
    got, expected = (ne.gradients(*arguments, jump_ts=[0.3, 1.1], backend=each) for each in ("cuda", "cpu"))
    np.testing.assert_array_equal(got.z0, expected.z0)
    np.testing.assert_allclose(got.theta[0], expected.theta[0], rtol=1e-14)  # as above


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "forward"}, "method: got 'forward', expected one of discrete, backsolve"),
        ({"method": "dopri5"}, "method: got 'dopri5', .*solver= chooses the tableau"),
        ({"solver": "radau"}, "solver: got 'radau'"),
        ({"zs_bar": ZS_BAR[:, :3]}, r"zs_bar: got shape \(4, 3, 2\), expected \(4, 5, 2\)"),
        ({"thetas": THETAS[:3]}, "thetas: got 3 for 5 samples, expected as many, or one for all"),
        ({"z0": Z0[0]}, r"z0: got shape \(2,\), expected \(B, \*\(2,\)\)"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    given = {"field": van_der_pol_field(), "z0": Z0, "ts": TS, "thetas": THETAS, "zs_bar": ZS_BAR, "target": SIMULATOR}
    with pytest.raises((TypeError, ValueError), match=message):
        gradients_ensemble(**(given | arguments))


def test_a_missing_gpu_is_named(monkeypatch):
    monkeypatch.setattr(cuda, "is_available", lambda: False)
    with pytest.raises(RuntimeError, match="no CUDA device"):
        gradients_ensemble(van_der_pol_field(), Z0, TS, THETAS, ZS_BAR, target=GPU)
