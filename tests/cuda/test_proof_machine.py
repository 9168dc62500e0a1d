"""The machine that runs PTX on the CPU does what a GPU does: threads, warps, blocks, their memory, their exchanges."""

import numpy as np
import pytest

from nodeedu.cuda.device import cuda
from nodeedu.cuda.proof import ARCHITECTURES, Fault, Program, PtxKernel
from nodeedu.cuda.proof.counts import by_kind, moved_bytes
from nodeedu.cuda.proof.examples import block_sum, scale_and_add, warp_sum
from nodeedu.cuda.proof.machine import ORDERS

pytestmark = [pytest.mark.cuda, pytest.mark.jit]

X = np.random.default_rng(0).integers(-80, 80, 128) / 8  # multiples of 1/8: their sums are exact in any order


def run(kernel, blocks, threads, *arguments, **options):
    PtxKernel(kernel).program(arguments).run(blocks, threads, arguments, **options)
    return arguments[-1]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("seed", [0, 1])
def test_results_do_not_depend_on_the_order_of_threads(order, seed):
    total = run(block_sum(np.float64), 2, 64, X, np.zeros(2), order=order, seed=seed)
    assert total.tolist() == X.reshape(2, 64).sum(axis=1).tolist()


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_code_for_every_architecture_runs(arch):
    kernel, y = PtxKernel(scale_and_add, arch), np.ones(100, np.float32)
    kernel[2, 64](np.float32(2.0), np.arange(100, dtype=np.float32), y)
    assert y.tolist() == (1.0 + 2.0 * np.arange(100)).tolist()


def shuffles(x, out):
    lane = cuda.threadIdx.x
    value = x[lane]
    out[0, lane] = cuda.shfl_sync(0xFFFFFFFF, value, 7)
    out[1, lane] = cuda.shfl_up_sync(0xFFFFFFFF, value, 3)
    out[2, lane] = cuda.shfl_down_sync(0xFFFFFFFF, value, 3)
    out[3, lane] = cuda.shfl_xor_sync(0xFFFFFFFF, value, 9)


def test_shuffles_move_values_between_lanes():
    x, lane = X[:32], np.arange(32)
    got = run(shuffles, 1, 32, x, np.zeros((4, 32)))
    # a lane that nobody is at keeps its own value
    sources = [np.full(32, 7), np.where(lane < 3, lane, lane - 3), np.where(lane > 28, lane, lane + 3), lane ^ 9]
    assert got.tolist() == [x[source].tolist() for source in sources]


def halves_of_a_warp(x, out):
    lane = cuda.threadIdx.x
    mask = 0x0000FFFF if lane < 16 else 0xFFFF0000
    value = x[lane]
    if lane < 16:
        value += cuda.shfl_xor_sync(mask, value, 8)
    else:
        value -= cuda.shfl_xor_sync(mask, value, 8)
    out[lane] = value


def test_parts_of_a_warp_shuffle_on_their_own():
    x, lane = X[:32], np.arange(32)
    other = x[lane ^ 8]
    assert run(halves_of_a_warp, 1, 32, x, np.zeros(32)).tolist() == np.where(lane < 16, x + other, x - other).tolist()


def votes(x, out):
    i = cuda.threadIdx.x
    out[0, i] = cuda.ballot_sync(0xFFFFFFFF, x[i] > 0.0)
    out[1, i] = cuda.any_sync(0xFFFFFFFF, x[i] > 9.0)
    out[2, i] = cuda.all_sync(0xFFFFFFFF, x[i] > -11.0)
    out[3, i] = cuda.syncthreads_count(1 if x[i] > 0.0 else 0)
    out[4, i] = cuda.syncthreads_or(1 if x[i] > 9.0 else 0)
    out[5, i] = cuda.syncthreads_and(1 if x[i] > 0.0 else 0)


def test_votes_of_warps_and_blocks():
    x = X[:64]
    got = run(votes, 1, 64, x, np.zeros((6, 64), np.int64))
    ballots = [sum(1 << k for k in range(32) if half[k] > 0) for half in x.reshape(2, 32)]
    assert (got[0] % 2**32).tolist() == np.repeat(ballots, 32).tolist()
    assert got[1].tolist() == np.repeat([(half > 9).any() for half in x.reshape(2, 32)], 32).tolist()
    assert got[2].all()
    assert set(got[3]) == {(x > 0).sum()}
    assert (set(got[4] != 0), set(got[5])) == ({(x > 9).any()}, {0})


def atomics(x, out):
    i = cuda.grid(1)
    cuda.atomic.add(out, 0, x[i])
    cuda.atomic.max(out, 1, x[i])
    cuda.atomic.min(out, 2, x[i])


def test_atomics_of_all_blocks_add_up():
    assert run(atomics, 2, 64, X, np.zeros(3)).tolist() == [X.sum(), X.max(), X.min()]


def integer_atomics(out):
    i = cuda.grid(1)
    cuda.atomic.inc(out, 0, 99)
    cuda.atomic.dec(out, 1, 99)
    cuda.atomic.or_(out, 2, 1 << (i % 5))
    cuda.atomic.xor(out, 3, i)
    cuda.atomic.cas(out, 4, 0, i + 1)
    cuda.atomic.exch(out, 5, i + 1)


def test_atomics_of_integers():
    got = run(integer_atomics, 2, 64, np.zeros(6, np.uint64))
    assert got[:5].tolist() == [128 % 100, 100 - 128 % 100, 31, 0, 1]  # the first thread finds 0, no other does
    assert 1 <= got[5] <= 128


def grid_of_three(out):
    x, y, z = cuda.grid(3)
    out[z, y, x] = 1000 * cuda.blockIdx.z + 100 * cuda.threadIdx.y + 10 * cuda.blockDim.x + cuda.gridDim.y


def test_grids_and_blocks_have_three_axes():
    got = run(grid_of_three, (2, 3, 2), (4, 2, 1), np.zeros((2, 6, 8), np.int64))
    z, y, _ = np.indices(got.shape)
    assert got.tolist() == (1000 * z + 100 * (y % 2) + 10 * 4 + 3).tolist()


def of_a_local_array(x, out):
    powers, i = cuda.local.array(8, np.float64), cuda.grid(1)
    powers[0] = 1.0
    for k in range(1, 8):
        powers[k] = powers[k - 1] * x[i]
    out[i] = powers[int(out[i])]


def test_local_arrays_belong_to_a_thread():
    exponents = np.arange(8.0)
    assert run(of_a_local_array, 1, 8, np.full(8, 2.0), exponents).tolist() == (2.0 ** np.arange(8)).tolist()


def of_dynamic_shared_memory(x, out):
    parts, i = cuda.shared.array(0, np.float64), cuda.threadIdx.x
    parts[i] = x[i]
    cuda.syncthreads()
    out[i] = parts[cuda.blockDim.x - 1 - i]


def test_dynamic_shared_memory_has_the_size_of_the_launch():
    assert run(of_dynamic_shared_memory, 1, 32, X, np.zeros(32), shared=256).tolist() == X[31::-1].tolist()
    with pytest.raises(Fault, match="behind variable"):
        run(of_dynamic_shared_memory, 1, 32, X, np.zeros(32), shared=248)


BRANCHES = """
.target sm_90
.visible .entry k(.param .u64 w0, .param .u64 w1, .param .u64 w2, .param .u64 w3, .param .u64 w4, .param .u64 w5,
                  .param .u64 w6) {
  .reg .b32 %r<4>;  .reg .b64 %rd<4>;  .reg .pred %p<2>;  .reg .f64 %fd<3>;
  ld.param.u64 %rd1, [w4];
  mov.u32 %r1, %tid.x;
  mul.wide.u32 %rd2, %r1, 8;
  add.s64 %rd3, %rd1, %rd2;
  mov.f64 %fd1, 0d0000000000000000;
loop:
  fma.rn.f64 %fd1, %fd1, %fd1, 0d3FF0000000000000;
  add.s32 %r1, %r1, -1;
  setp.ge.s32 %p1, %r1, 0;
  @%p1 bra loop;
  st.global.f64 [%rd3], %fd1;
  ret;
}
"""


def test_instructions_are_counted_as_often_as_threads_execute_them():
    took = Program(BRANCHES).run(1, 3, (np.zeros(3),))  # thread t goes round the loop t + 1 times
    counts = by_kind(took.instructions)
    assert counts["float64 fma"] == 1 + 2 + 3
    assert counts["load, store global"] == 3
    assert moved_bytes(took.instructions) == 3 * 8
    assert counts["branch, call"] == 6 + 3  # of loops, and returns


def test_barriers_and_shuffles_are_counted():
    kernel = PtxKernel(warp_sum)
    kernel[1, 64](X[:64], np.zeros(2))
    assert (kernel.last.barriers, kernel.last.threads) == (0, 64)
    assert kernel.last.shuffles == 2 * 5 * 2  # two warps, five exchanges, of two halves of a float64 each
