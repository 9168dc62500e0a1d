"""One source for CPU and GPU: in Numba's simulator, the kernel gives what the CPU's driver gives."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import nodeedu as ne
from nodeedu.compile import van_der_pol_field
from nodeedu.cuda import SIMULATOR, odeint_ensemble
from nodeedu.cuda.device import GPU, cuda, rebind, require
from nodeedu.solvers.integrate import integrate, judge

PACKAGE = Path(ne.__file__).parent
MU = [0.5, 1.0, 2.0, 3.0, 5.0]  # five samples: two blocks of four threads, three of which have nothing to do
THETAS = [(np.array(mu),) for mu in MU]
Z0 = np.random.default_rng(0).normal(size=(5, 2))

FORWARD, BACKWARD = np.linspace(0.0, 4.0, 9), np.linspace(4.0, 0.0, 9)
TIMES = {
    "forward": FORWARD,
    "backward": BACKWARD,
    "each sample its own way": np.stack([FORWARD, BACKWARD, 2 * FORWARD, FORWARD - 1, -FORWARD]),
}
METHODS = {
    "dopri5": {"method": "dopri5", "rtol": 1e-6},
    "tsit5 with PI control": {"method": "tsit5", "rtol": 1e-6, "controller": "PI"},
    "bosh3 from a given step": {"method": "bosh3", "rtol": 1e-4, "first_step": 0.5, "max_step": 0.6},
    "rk4": {"method": "rk4", "step_size": 0.07},  # which does not divide the intervals
    "dopri5 with fixed steps": {"method": "dopri5", "step_size": 0.1},
}


@pytest.fixture(scope="module", params=METHODS)
def options(request):
    return METHODS[request.param]


@pytest.fixture(scope="module", params=TIMES)
def solved(request, options):
    """The ensemble, and its samples one by one on the CPU."""
    field, ts = van_der_pol_field(), TIMES[request.param]
    each = [ne.odeint(field, Z0[b], ts[b] if ts.ndim == 2 else ts, theta, **options) for b, theta in enumerate(THETAS)]
    return odeint_ensemble(field, Z0, ts, THETAS, target=SIMULATOR, **options), each


def test_states_equal_those_of_the_cpu_bit_for_bit(solved):
    ensemble, each = solved
    np.testing.assert_array_equal(ensemble.zs, np.stack([solution.zs for solution in each], axis=1))


@pytest.mark.parametrize("count", ["accepted", "rejected", "nfev", "status"])
def test_counts_equal_those_of_the_cpu(solved, count):
    ensemble, each = solved
    assert getattr(ensemble.stats, count).tolist() == [getattr(solution.stats, count) for solution in each]


def test_threads_take_different_numbers_of_steps():
    stats = odeint_ensemble(van_der_pol_field(), Z0, FORWARD, THETAS, target=SIMULATOR).stats
    assert len(set(stats.accepted)) == len(MU)
    assert stats.rejected.all()


def test_float32_fixed_steps_equal_those_of_the_cpu_bit_for_bit():
    field, z0, rk4 = van_der_pol_field(), Z0.astype(np.float32), METHODS["rk4"]
    ensemble = odeint_ensemble(field, z0, FORWARD, THETAS[2:3], target=SIMULATOR, **rk4)
    assert ensemble.zs.dtype == np.float32
    np.testing.assert_array_equal(ensemble.zs, ne.odeint(field, z0, FORWARD, THETAS[2], **rk4).zs)


def test_a_traced_field_runs_in_the_kernel():
    def forced_pendulum(t, z, theta):
        return z[1], -theta["stiffness"] * np.sin(z[0]) + np.tanh(z[0] * z[1]) * np.cos(t)

    theta = {"stiffness": 1.7}
    field = ne.vector_field(forced_pendulum, Z0[0], theta)
    ensemble = odeint_ensemble(field, Z0, FORWARD, [theta], target=SIMULATOR)
    solution = ne.odeint(field, Z0, FORWARD, theta)
    assert ensemble.stats.nfev.tolist() == solution.stats.nfev.tolist()
    # Emitted code may fuse multiply-adds when it is compiled, which plain Python does not: a few ulp a step, some 50
    # steps, and a pendulum lets errors grow tenfold or so in this time.
    np.testing.assert_allclose(ensemble.zs, solution.zs, rtol=0, atol=1e-11)


def test_a_failure_has_the_message_that_it_has_on_the_cpu():
    def blows_up(t, z, theta):
        return theta * z * z

    field, z0, ts = ne.vector_field(blows_up, np.ones(1), 1.0), np.array([[-1.0], [2.0], [0.1]]), [0.0, 1.0]
    loosely = {"method": "bosh3", "rtol": 1e-2, "atol": 1e-2}  # few steps before the blow-up at t = 1/2
    with pytest.raises(ne.SolverError) as on_cpu:
        ne.odeint(field, z0, ts, 1.0, **loosely)
    with pytest.raises(ne.SolverError) as in_kernel:
        odeint_ensemble(field, z0, ts, [1.0], target=SIMULATOR, **loosely)
    assert "sample 1" in str(on_cpu.value)
    assert str(in_kernel.value) == str(on_cpu.value).removesuffix("; error.diagnosis explains")  # made on the CPU alone


def test_the_simulated_driver_is_made_of_copies_of_the_cpu_driver_and_all_its_cores():
    copies = []

    def noted(function):
        copies.append(function)
        return function

    rebind(integrate, noted)
    # Compiled cores cannot be called from Python at all: had one been left in, the simulator would have failed.
    cores = {"aim", "choose_first_steps", "stage_states", "combine", "error_ratios", "step_factor", "emit", "accept"}
    assert cores | {"integrate"} <= {function.__name__ for function in copies}
    assert all(function.__module__.startswith("nodeedu.solvers.") for function in copies)
    assert len({function.__code__ for function in copies}) == len(copies)


def test_rebinding_puts_a_function_in_the_place_of_another_and_leaves_the_original_alone():
    rebound = rebind(judge, lambda function: function, smallest_step=abs)
    assert rebound.__globals__["smallest_step"] is abs
    assert judge.py_func.__globals__["smallest_step"] is not abs


def test_importing_nodeedu_does_not_import_cuda():
    code = "import sys, nodeedu as ne; ne.odeint, ne.gradients; print('nodeedu.cuda' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


def test_one_file_alone_imports_numba_cuda():
    imports = re.compile(r"^\s*(from|import) numba(\.cuda| import .*\bcuda\b)", re.MULTILINE)
    files = [path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py") if imports.search(path.read_text("utf-8"))]
    assert files == [Path("cuda/device.py")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"field": lambda t, z, theta: z}, "field: got <function .*expected a vector field"),
        ({"z0": Z0[0]}, r"z0: got shape \(2,\), expected \(B, \*\(2,\)\)"),
        ({"thetas": THETAS[:3]}, "thetas: got 3 for 5 samples, expected as many, or one for all"),
        ({"thetas": []}, "thetas: got none"),
        ({"thetas": [*THETAS[:4], (np.array(np.nan),)]}, "theta.*: got nan"),
        ({"method": "radau"}, "method: got 'radau'"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    given = {"field": van_der_pol_field(), "z0": Z0, "ts": FORWARD, "thetas": THETAS, "target": SIMULATOR} | arguments
    with pytest.raises((TypeError, ValueError), match=message):
        odeint_ensemble(**given)


def test_a_missing_gpu_is_named_with_the_way_out(monkeypatch):
    monkeypatch.setattr(cuda, "is_available", lambda: False)
    with pytest.raises(RuntimeError, match="no CUDA device.*target=SIMULATOR"):
        require(GPU)
