"""What a kernel must not do is said in words: which thread did what, in which line."""

import numpy as np
import pytest

from nodeedu.cuda.device import cuda
from nodeedu.cuda.proof import Fault, PtxKernel
from nodeedu.cuda.proof.examples import block_sum, warp_sum
from nodeedu.cuda.proof.machine import ORDERS
from nodeedu.cuda.proof.mutants import mutants

pytestmark = [pytest.mark.cuda, pytest.mark.jit]

X = np.random.default_rng(0).integers(-80, 80, 128) / 8


def run(kernel, blocks, threads, *arguments, **options):
    PtxKernel(kernel).program(arguments).run(blocks, threads, arguments, **options)
    return arguments[-1]


def past_the_end(x, out):
    i = cuda.grid(1)
    out[i] = x[i]


def test_an_access_outside_an_array_names_the_array_the_thread_and_the_line():
    with pytest.raises(Fault) as caught:
        run(past_the_end, 1, 128, X, np.zeros(100))
    line = past_the_end.__code__.co_firstlineno + 2
    text = str(caught.value)
    assert caught.value.kind == "bounds"
    assert "thread 100 of block (0, 0, 0) writes 8 bytes 0 bytes behind argument 1 (float64, shape (100,))" in text
    assert f"test_proof_faults.py:{line}" in text


def beyond_a_shared_array(x, out):
    first, second = cuda.shared.array(32, np.float64), cuda.shared.array(32, np.float64)
    i = cuda.threadIdx.x
    second[i] = x[i]
    first[i + int(out[i])] = 0.0
    cuda.syncthreads()
    out[i] = second[i] + first[i]


def test_an_access_beyond_a_shared_array_is_no_access_to_the_next():
    with pytest.raises(Fault, match="thread 31 .* writes 8 bytes 0 bytes behind variable"):
        run(beyond_a_shared_array, 1, 32, X, np.ones(32))


def half_at_a_barrier(x, out):
    i = cuda.threadIdx.x
    if i < 16:
        cuda.syncthreads()
        out[i] = x[i]
    else:
        cuda.syncthreads()
        out[i] = -x[i]


def waits_for_no_one(x, out):
    i = cuda.threadIdx.x
    if i < 16:
        cuda.shfl_sync(0xFFFFFFFF, i, 0)
    else:
        cuda.syncthreads()
    out[i] = x[i]


def test_a_deadlock_says_who_waits_where():
    with pytest.raises(Fault) as caught:
        run(waits_for_no_one, 1, 32, X, np.zeros(32))
    text = str(caught.value)
    assert caught.value.kind == "deadlock"
    assert "threads 0-15 wait in a shuffle at test_proof_faults.py:" in text
    assert "threads 16-31 wait at a barrier at test_proof_faults.py:" in text


def test_a_barrier_that_only_half_of_the_threads_reach_is_refused():
    with pytest.raises(Fault, match=r"threads 0-15 wait at a barrier .*; threads 16-31 wait at a barrier"):
        run(half_at_a_barrier, 1, 32, X, np.zeros(32))


def no_barrier(x, out):
    parts, i = cuda.shared.array(64, np.float64), cuda.threadIdx.x
    parts[i] = x[i]
    out[i] = parts[63 - i]


@pytest.mark.parametrize("order", ORDERS)
def test_a_missing_barrier_is_a_race_in_any_order(order):
    with pytest.raises(Fault, match="has used since the last barrier") as caught:
        run(no_barrier, 1, 64, X, np.zeros(64), order=order)
    assert caught.value.kind == "race"


def barrier_of_the_warp(x, out):
    parts, i = cuda.shared.array(64, np.float64), cuda.threadIdx.x
    parts[i] = x[i]
    cuda.syncwarp()
    out[i] = parts[i ^ 1] + parts[i ^ int(out[i])]


def test_a_barrier_of_the_warp_orders_the_warp_and_no_more():
    assert run(barrier_of_the_warp, 1, 64, X, np.full(64, 31.0))[0] == X[1] + X[31]
    with pytest.raises(Fault, match="has used since the last barrier"):
        run(barrier_of_the_warp, 1, 64, X, np.full(64, 32.0))


def reads_an_ended_lane(x, out):
    i = cuda.threadIdx.x
    if i == 5:
        return
    out[i] = cuda.shfl_sync(0xFFFFFFFF, x[i], 5)


def test_a_shuffle_from_a_lane_that_has_ended_is_refused():
    with pytest.raises(Fault, match="reads lane 5, which does not take part") as caught:
        run(reads_an_ended_lane, 1, 32, X, np.zeros(32))
    assert caught.value.kind == "lane"


def never_ends(x, out):
    while x[0] == out[0]:
        cuda.threadfence()


def test_a_loop_without_end_is_given_up():
    with pytest.raises(Fault, match="does not come to an end") as caught:
        run(never_ends, 1, 1, np.zeros(1), np.zeros(1), loops=10**6)
    assert caught.value.kind == "endless"


def test_arguments_of_another_number_or_type_are_refused():
    program = PtxKernel(past_the_end).program((X, X))
    with pytest.raises(TypeError, match="got 7 words, expected the 14 parameters"):
        program.run(1, 1, (X,))
    with pytest.raises(TypeError, match="argument 1: got str"):
        program.run(1, 1, (X, "x"))
    with pytest.raises(ValueError, match="order: got 'sideways'"):
        program.run(1, 1, (X, X), order="sideways")


@pytest.mark.parametrize(
    ("kernel", "size", "kinds"),
    [(block_sum(np.float64), 64, {"race"}), (warp_sum, 32, {"mask"})],
    ids=["block", "warp"],
)
def test_every_mutant_of_a_sum_is_caught(kernel, size, kinds):
    program, found = PtxKernel(kernel).program((X, X)), []
    for mutant in mutants(program):
        with pytest.raises(Fault) as caught:
            program.run(2, 64, (X, np.zeros(128 // size)), without=mutant.site)
        found.append(caught.value.kind)
    assert found
    assert set(found) == kinds
