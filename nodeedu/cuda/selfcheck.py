"""Whether the kernels work here: on a GPU if there is one, else as far as a machine without one can tell.

    with a GPU      every kernel of the registry against the CPU; a gradient against differences; steps in a second, as
                    a share of the ceiling that the counted instructions allow
    without         what is missing, and the three proofs: (a) the simulator, (b) registers and spills of the machine
                    code, (c) the PTX, run on the CPU; (b) and (c) where NVIDIA's compiler wheels and gcc are installed

What comes out is a dictionary of plain values, to be printed or pasted into a bug report as JSON.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from nodeedu.compile.handwritten import van_der_pol_field
from nodeedu.cuda.device import GPU, SIMULATOR, Target, cuda, gpu_missing
from nodeedu.cuda.ensemble import make_launch, solve_ensemble
from nodeedu.cuda.registry import Row, rows
from nodeedu.cuda.thread_gradients import discrete_ensemble
from nodeedu.solvers.arguments import check_inputs, check_options

__all__ = ["REALS", "difference_check", "selfcheck", "throughput", "versions"]

REALS = ("float64", "float32")
PACKAGES = ("nodeedu", "numpy", "numba", "llvmlite", "numba-cuda", "cuda-bindings", "nvidia-nvvm", "nvidia-cuda-nvcc")
MANY = 65536  # samples of the throughput
Report = dict[str, Any]


def selfcheck(kernels: Sequence[str] = (), say: Callable[[str], None] = print) -> Report:
    """Check everything that can be checked here.

    Parameters
    ----------
    kernels : sequence of str
        Names of rows of the registry; all if none is given.
    say : callable
        Told of each result as it comes.

    Returns
    -------
    dict
        ``versions``, ``gpu`` or ``missing``, ``checks``, ``differences``, ``throughput``, and whether all ``passed``.
    """
    wanted = [row for row in rows() if not kernels or row.name in kernels]
    unknown = set(kernels) - {row.name for row in wanted}
    if unknown:
        known = ", ".join(row.name for row in rows())
        raise ValueError(f"kernel: got {', '.join(sorted(unknown))}, expected some of {known}")
    missing, report = gpu_missing(), {"versions": versions()}
    report |= {"missing": missing} if missing else {"gpu": _describe_gpu()}
    say(f"GPU: {missing or report['gpu']}")
    checks: list[Report] = []
    for check in _without_gpu(wanted) if missing else _with_gpu(wanted):
        checks.append(check)
        say(_line(check))
    checks.append(difference_check(SIMULATOR if missing else GPU))
    say(_line(checks[-1]))
    report |= {"checks": checks, "throughput": None if missing else [throughput(real) for real in REALS]}
    for each in report["throughput"] or ():
        say(str(each))
    return report | {"passed": all(check["passed"] for check in checks if check["passed"] is not None)}


def versions() -> dict[str, str]:
    """Return the versions of all that takes part."""
    found = {"python": platform.python_version(), "system": platform.platform()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def _with_gpu(wanted: Sequence[Row]) -> Iterator[Report]:
    for row in wanted:
        for real in REALS:
            yield _compared(row, real, GPU, "GPU")


def _without_gpu(wanted: Sequence[Row]) -> Iterator[Report]:
    for row in wanted:
        if not row.shuffles:
            yield _compared(row, "float64", SIMULATOR, "simulator")
    try:
        from nodeedu.cuda.proof import missing
        from nodeedu.cuda.proof.prove import prove

        lacking = missing()
    except ImportError as error:
        lacking = [str(error)]
    if lacking:
        problem = "skipped: " + "; ".join(lacking)
        yield {"layer": "proof", "kernel": "all", "real": "", "passed": None, "problem": problem}
        return
    for row in wanted:
        for real in REALS:
            yield _timed(row, real, "proof", lambda row=row, real=real: prove(row, real, with_mutants=False))


def _compared(row: Row, real: str, target: Target, layer: str) -> Report:
    """Run a kernel and compare what it writes with the CPU's."""

    def run() -> Any:
        outputs, expected = row.launch(np.dtype(real), target).run(), row.expected(np.dtype(real))
        differences = {name: _difference(outputs[name], value) for name, value in expected.items()}
        most = {name: 0.0 if value.dtype.kind in "iub" else row.tolerance[real] for name, value in expected.items()}
        problems = [f"{name} differs by {d:.2e}" for name, d in differences.items() if not d <= most[name]]
        return _Compared(tuple(problems), differences)

    return _timed(row, real, layer, run)


class _Compared:
    """What `prove` has, too."""

    def __init__(self, problems: tuple[str, ...], differences: dict[str, float]) -> None:
        self.problems, self.differences = problems, differences


def _timed(row: Row, real: str, layer: str, run: Callable[[], Any]) -> Report:
    """Run a check, and report how it went; a kernel that cannot be run at all has failed."""
    start, differences = time.perf_counter(), {}
    try:
        result = run()
        problem, differences = "; ".join(result.problems), result.differences
    except Exception as error:  # whatever it is, it belongs into the report
        problem = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"
    return {
        "layer": layer, "kernel": row.name, "real": real, "passed": not problem, "problem": problem,
        "differences": differences, "seconds": round(time.perf_counter() - start, 3),
    }  # fmt: skip


def _difference(got: np.ndarray, expected: np.ndarray) -> float:
    """Return the largest difference, relative to the largest value or 1; nan if there is one."""
    apart = np.abs(got.astype(np.float64) - expected.astype(np.float64)).max(initial=0.0)
    return float(apart / max(1.0, float(np.abs(expected).max(initial=0.0))))


def difference_check(target: Target) -> Report:
    """Compare the gradient of the kernels with central differences of the forward kernel.

    Parameters
    ----------
    target : Target
        Where they run.
    """
    start, ts, step = time.perf_counter(), np.linspace(0.0, 1.0, 3), 1e-5
    z0, zs_bar = np.random.default_rng(0).normal(size=(3, 2)), np.random.default_rng(1).normal(size=(3, 3, 2))
    options = check_options("dopri5", step_size=0.1, shape=(2,))

    def solve(mu: float) -> Any:
        inputs = check_inputs(van_der_pol_field(), z0, ts, (np.array(mu),))
        return (inputs, *solve_ensemble(inputs, inputs.p[None], options, target))

    inputs, _, samples = solve(1.3)
    _, p_bar, _ = discrete_ensemble(inputs, options, samples["accepted"], zs_bar, target)
    above, below = (np.sum(zs_bar * solve(1.3 + sign * step)[1]) for sign in (1, -1))
    expected = (above - below) / (2 * step)
    apart = float(abs(p_bar[0] - expected) / max(1.0, abs(expected)))
    return {
        "layer": "finite differences", "kernel": "thread_discrete", "real": "float64", "passed": apart <= 1e-6,
        "problem": "" if apart <= 1e-6 else f"differs by {apart:.2e}", "differences": {"theta": apart},
        "seconds": round(time.perf_counter() - start, 3),
    }  # fmt: skip


def throughput(real: str) -> Report:
    """Measure steps in a second of the forward kernel on many samples, and the share of the ceiling that they are."""
    from nodeedu.cuda.thread_rows import checked

    inputs, options = checked(np.dtype(real))
    inputs = replace(inputs, z0=np.random.default_rng(0).normal(size=(MANY, 2)).astype(real))
    kernel, blocks, given = make_launch(inputs, inputs.p[None], options, GPU)
    there, seconds = _to_device(given), []
    for _ in range(4):  # the first one compiles; all start from the same states
        again = there._replace(ends=cuda.to_device(given.ends))
        cuda.synchronize()
        start = time.perf_counter()
        kernel[blocks, GPU.threads](again)
        cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    steps = int(there.counts.copy_to_host()[:, 1:3].sum())
    found: Report = {"kernel": "thread_forward", "real": real, "samples": MANY, "steps": steps}
    found |= {"seconds": min(seconds[1:]), "steps_per_second": steps / min(seconds[1:])}
    bound = _ceiling(real)
    share = found["steps_per_second"] / bound["steps_per_second"] if bound else None
    return found | {"ceiling": bound, "share_of_ceiling": share}


def _ceiling(real: str) -> Report | None:
    """Return what the counted instructions allow on this GPU; None where they cannot be counted."""
    from nodeedu.cuda.proof import PTX, missing
    from nodeedu.cuda.proof.roofline import H100, ceiling
    from nodeedu.cuda.thread_rows import forward

    if missing():
        return None
    launch, device = forward(np.dtype(real), PTX), cuda.get_current_device()
    launch.run()
    here = replace(
        H100, name=_describe_gpu()["name"], multiprocessors=int(device.MULTIPROCESSOR_COUNT),
        clock=1e3 * float(device.CLOCK_RATE),
    )  # fmt: skip
    assert launch.steps is not None
    bound = ceiling(launch.kernel.last.instructions, launch.steps(), here)
    return {"steps_per_second": bound.steps_per_second, "bound": bound.bound, "units_of": H100.name}


def _to_device(x: Any) -> Any:
    """Copy the arrays of a tuple of tuples to the device."""
    if isinstance(x, tuple):
        return type(x)(*map(_to_device, x))
    return cuda.to_device(x) if isinstance(x, np.ndarray) else x


def _describe_gpu() -> Report:
    device = cuda.get_current_device()
    name = device.name.decode() if isinstance(device.name, bytes) else str(device.name)
    free, total = cuda.current_context().get_memory_info()
    return {
        "name": name, "compute_capability": ".".join(map(str, device.compute_capability)),
        "multiprocessors": int(device.MULTIPROCESSOR_COUNT), "clock_khz": int(device.CLOCK_RATE),
        "memory": int(total), "free": int(free),
    }  # fmt: skip


def _line(check: Report) -> str:
    """Return a check as a line for people."""
    verdict = {True: "PASS", False: "FAIL", None: "SKIP"}[check["passed"]]
    numbers = ", ".join(f"{name} {value:.1e}" for name, value in check.get("differences", {}).items())
    told = check["problem"] or numbers
    return f"{verdict}  {check['layer']}  {check['kernel']}  {check['real']}  {told}"
