"""What ptxas and nvdisasm report is read rightly: each check finds the fault that it is for."""

import numpy as np
import pytest

from nodeedu.cuda.device import cuda
from nodeedu.cuda.proof import PTX, compile_ptx
from nodeedu.cuda.proof.assemble import assemble
from nodeedu.cuda.proof.budgets import excess, measure
from nodeedu.cuda.proof.examples import atomic_sum, tanh_of
from nodeedu.cuda.proof.occupancy import occupancy
from nodeedu.cuda.proof.roofline import ceiling
from nodeedu.cuda.registry import Budget, Launch, Row

needs_wheels = [pytest.mark.cuda, pytest.mark.jit]
X = np.ones(64, np.float32)


def leaks_float64(x, y):
    i = cuda.grid(1)
    y[i] = 0.1 * x[i]  # 0.1 is a float64


def keeps_float32(x, y):
    i = cuda.grid(1)
    y[i] = np.float32(0.1) * x[i]


def indexes_a_local_array(x, y):
    kept, i = cuda.local.array(16, np.float32), cuda.grid(1)
    for k in range(16):
        kept[k] = x[k]
    for _ in range(int(x[16])):
        kept[int(y[i])] = kept[int(y[i + 1])]
        i += 1
    y[i] = kept[int(x[i])]


def problems(kernel, budget, **options):
    """Return the excess of a kernel over a budget in float32 on sm_90."""

    def launch(real, target):
        return Launch(target.kernel(kernel), 1, 64, (X, X.copy()), {})

    row = Row("kernel", "", launch, dict, budget, **options)
    (use,) = measure(row.name, "float32", launch(np.dtype(np.float32), PTX), ["sm_90"])
    return excess(use, row)


@pytest.mark.parametrize("mark", [pytest.param(None, marks=needs_wheels)])
class TestReports:
    def test_a_float64_constant_in_a_float32_kernel_is_found(self, mark):
        assert problems(keeps_float32, Budget(32, 32)) == []
        (found,) = problems(leaks_float64, Budget(32, 32))
        assert "float64 instructions, at most 0" in found

    def test_a_stack_frame_is_found(self, mark):
        (found,) = problems(indexes_a_local_array, Budget(64, 64))
        assert found == "kernel, float32, sm_90: 64 bytes of stack of the kernel, at most 0"

    def test_atomic_loops_are_found_unless_they_are_the_example(self, mark):
        kernel = atomic_sum(np.float32)
        (found,) = problems(kernel, Budget(32, 32))
        assert "1 atomic loops on shared memory, at most 0" in found
        assert problems(kernel, Budget(32, 32), atomics=True) == []

    def test_registers_and_shared_memory_over_the_budget_are_found(self, mark):
        found = problems(atomic_sum(np.float32), Budget(1, 1, shared=3), atomics=True)
        assert [one.partition(": ")[2].partition(" ")[2] for one in found] == [
            "registers, at most 1",
            "bytes of shared memory, at most 3",
        ]

    def test_spills_are_found_in_the_functions_that_a_kernel_calls_too(self, mark):
        def powers(x, y):
            i = cuda.grid(1)
            y[i] = x[i] ** x[i + 1] + x[i + 2] ** x[i + 3] + x[i + 4] ** x[i + 5] + x[i + 6] ** x[i + 7]

        wide = X.astype(np.float64)
        got = assemble(compile_ptx(powers, (wide, wide)), "sm_90", ("--maxrregcount=24",))
        assert got.functions[0].spills > 0
        assert any("pow" in function.name for function in got.functions[1:])
        assert got.spills == sum(function.spills for function in got.functions) > 0

    def test_float64_instructions_are_counted_in_the_machine_code(self, mark):
        got = assemble(compile_ptx(tanh_of, (X.astype(np.float64), X.astype(np.float64))), "sm_90")
        conversions = got.count("F2F.F64.F32", "F2F.F32.F64")
        assert got.doubles == got.count("DADD", "DMUL", "DFMA", "DSETP", "MUFU.RCP64H") + conversions > 20
        assert assemble(compile_ptx(tanh_of, (X, X.copy())), "sm_90").doubles == 0

    def test_code_that_ptxas_refuses_is_an_error(self, mark):
        with pytest.raises(RuntimeError, match="ptxas fails"):
            assemble(".version 8.0\n.target sm_90\n.visible .entry k() { nonsense; }", "sm_90")


# Registers and threads of a block; NVIDIA's occupancy calculator says
@pytest.mark.parametrize(
    ("registers", "shared", "threads", "share"),
    [
        (32, 0, 128, 1.0),
        (64, 2016, 128, 0.5),
        (80, 0, 128, 0.375),
        (228, 0, 128, 0.125),
        (32, 48 * 1024, 128, 0.25),  # four blocks of 4 warps find 48 KiB in 228 KiB
        (32, 0, 32, 0.5),  # 32 blocks at most, of one warp each
    ],
)
def test_occupancy_on_a_hopper(registers, shared, threads, share):
    assert occupancy("sm_90", registers, shared, threads) == share


def test_the_ceiling_is_that_of_the_busiest_unit():
    steps_of_fma = ceiling({"fma.rn.f64": 1000, "mov.f64": 10**6}, 1)  # moves cost nothing
    assert steps_of_fma.bound == "float64"
    assert steps_of_fma.steps_per_second == pytest.approx(64 * 132 * 1.98e9 / 1000)
    assert ceiling({"fma.rn.f64": 1000, "ex2.approx.f32": 500, "bra": 1}, 1).bound == "approximate"
    assert ceiling({"fma.rn.f32": 1000, "bra": 10}, 1).bound == "issue"


def test_an_architecture_without_known_limits_is_refused():
    with pytest.raises(ValueError, match="arch: got 'sm_42', expected one of sm_80"):
        occupancy("sm_42", 32, 0, 128)
