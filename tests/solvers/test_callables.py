"""Plain callables: what they are given, what they may return, and what becomes of their exceptions."""

import gc
import math
import signal
import sys
import threading

import numpy as np
import pytest
from problems import PROBLEMS, field_of, swing

import nodeedu as ne

TS = [0.0, 1.0]

# ---------------------------------------------------------------- what a callable is given


def test_time_is_a_python_float_and_the_state_an_array():
    seen = []
    ne.odeint(lambda t, z: (seen.append((type(t), type(z))), -z)[1], [1.0], TS)
    assert set(seen) == {(float, np.ndarray)}


def test_a_callable_may_keep_what_it_is_given_and_reuse_what_it_returns():
    kept, buffer = [], np.empty(1)

    def f(t, z):
        kept.append((t, z))
        buffer[0] = z[0] * np.cos(t)
        return buffer

    sol = ne.odeint(f, [1.0], [0.0, 2.0])
    np.testing.assert_array_equal(sol.zs, ne.odeint(swing, [1.0], [0.0, 2.0]).zs)
    assert kept[0][1][0] == 1.0
    assert len({float(z[0]) for _, z in kept}) > 10


def test_a_callable_may_return_the_state_itself():
    zs = ne.odeint(lambda t, z: z, [1.0, 2.0], TS).zs
    np.testing.assert_allclose(zs[-1], [math.e, 2 * math.e], rtol=1e-5)  # rtol is 1e-6


@pytest.mark.parametrize("write", [lambda z: z.fill(7.0), lambda z: z.__setitem__(0, 7.0), lambda z: z.sort()])
def test_writing_into_the_state_is_an_error_and_corrupts_nothing(write):
    z0 = np.array([2.0, 1.0])
    with pytest.raises(ValueError, match="read-only"):
        ne.odeint(lambda t, z: write(z) or -z, z0, TS)
    assert z0.tolist() == [2.0, 1.0]


def test_theta_is_passed_on_to_a_callable_as_it_is():
    theta, seen = {"rate": 2.0, "name": "decay", "more": [None, (1, "x")]}, []

    def f(t, z, theta):
        seen.append(theta)
        return -theta["rate"] * z

    sol = ne.odeint(f, [1.0], TS, theta)
    assert all(each is theta for each in seen)
    assert sol.zs[-1, 0] == pytest.approx(math.exp(-2), rel=1e-5)  # rtol is 1e-6


@pytest.mark.parametrize(
    ("theta", "name"),
    [
        (math.nan, "theta"),
        (np.float32(math.nan), "theta"),
        ({"k": [1.0, math.inf]}, r"theta\['k'\]\[1\]"),
        ((np.array([1.0, math.nan]),), r"theta\[0\]"),
    ],
)
def test_parameters_of_a_callable_must_be_finite(theta, name):
    with pytest.raises(ValueError, match=rf"^{name}: got (nan|inf)"):
        ne.odeint(lambda t, z, theta: -z, [1.0], TS, theta)


def test_any_callable_object_will_do():
    class Decay:
        def __call__(self, t, z):
            return -z

        def method(self, t, z):
            return -z

    one, other = ne.odeint(Decay(), [1.0], TS), ne.odeint(Decay().method, [1.0], TS)
    np.testing.assert_array_equal(one.zs, other.zs)


def test_a_callable_with_the_wrong_number_of_arguments_raises_its_own_type_error():
    with pytest.raises(TypeError, match="positional argument"):
        ne.odeint(lambda t: t, [1.0], TS)


# ---------------------------------------------------------------- what it may return


@pytest.mark.parametrize("result", [[1, 2], (1.0, 2.0), np.array([1, 2], np.int8), np.array([1.0, 2.0], np.float32)])
def test_a_callable_may_return_any_sequence_of_real_numbers(result):
    zs = ne.odeint(lambda t, z: result, [0.0, 0.0], TS).zs
    np.testing.assert_array_equal(zs, ne.odeint(lambda t, z: np.array([1.0, 2.0]), [0.0, 0.0], TS).zs)


@pytest.mark.parametrize(
    ("result", "error", "message"),
    [
        ([1.0], ValueError, r"vector field returned shape \(1,\) at t = 0; expected the shape \(2,\)"),
        (1.0, ValueError, r"vector field returned shape \(\)"),
        ([[1.0, 2.0]], ValueError, r"vector field returned shape \(1, 2\)"),
        (None, (TypeError, ValueError), "vector field returned None"),
        ([1.0, [2.0]], (TypeError, ValueError), "vector field returned"),
        ([1j, 2.0], TypeError, "vector field returned dtype complex128 at t = 0"),
        ([None, 1.0], TypeError, "vector field returned dtype object"),
        (["1", "2"], TypeError, "vector field returned dtype <U1"),
    ],
)
def test_a_wrong_result_is_refused_with_the_time_and_what_was_expected(result, error, message):
    with pytest.raises(error, match=message):
        ne.odeint(lambda t, z: result, [0.0, 1.0], TS)


def test_a_result_that_goes_wrong_later_is_refused_at_that_time():
    with pytest.raises(ValueError, match=r"returned shape \(1,\) at t = 0\.[3-9]"):
        ne.odeint(lambda t, z: z if t < 0.3 else z[:1], [0.0, 1.0], TS, method="euler", step_size=0.1)


# ---------------------------------------------------------------- exceptions


class OwnError(Exception):
    pass


@pytest.mark.parametrize("at", [0, 1, 2, 5, 30])
@pytest.mark.parametrize("error", [OwnError, ZeroDivisionError, KeyboardInterrupt, SystemExit])
def test_what_a_callable_raises_comes_through_whenever_it_is_raised(error, at):
    count = iter(range(1000))

    def f(t, z):
        if next(count) == at:
            raise error("lost")
        return -z

    with pytest.raises(error, match="lost"):
        ne.odeint(f, [1.0], [0.0, 5.0])


def test_nothing_is_evaluated_after_an_exception():
    calls = []

    def f(t, z):
        calls.append(t)
        if len(calls) == 4:
            raise OwnError
        return -z

    with pytest.raises(OwnError):
        ne.odeint(f, [1.0], [0.0, 5.0])
    assert len(calls) == 4


def test_what_a_callable_raises_keeps_its_traceback():
    def broken(t, z):
        raise KeyError("lost")

    with pytest.raises(KeyError) as info:
        ne.odeint(broken, [0.0], TS)
    assert info.traceback[-1].name == "broken"


def test_an_exception_in_dense_output_comes_through():
    broken = []

    def f(t, z):
        if broken:
            raise OwnError
        return -z

    sol = ne.odeint(f, [1.0], [0.0, 2.0])
    broken.append(True)
    with pytest.raises(OwnError):  # dense output solves once more
        sol(0.5)


class Interrupt(KeyboardInterrupt):
    pass


@pytest.fixture
def alarm():
    """A function that lets a signal raise Interrupt after so many seconds, as Ctrl-C does."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        pytest.skip("needs interval timers and the main thread")

    def interrupt(*_):
        raise Interrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    gc.disable()  # what strikes in a callback of the collector, such as Hypothesis has one, is lost to Python itself
    yield lambda seconds: signal.setitimer(signal.ITIMER_REAL, seconds)
    gc.enable()
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.jit  # without it no machine code runs, and a coverage tracer that is struck keeps its lock for ever
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # how lost interrupts show
def test_an_interrupt_between_two_evaluations_is_never_lost(alarm):
    # Signals strike anywhere, also while machine code runs: the next call of Python then raises at its very entry.
    lost = 0
    ne.odeint(swing, [1.0], TS)  # what is to be compiled is compiled
    for i in range(40):
        try:
            alarm(0.002 + 1e-5 * i)
            ne.odeint(swing, [1.0], [0.0, 10.0], method="euler", step_size=1e-3)  # takes longer than that
            lost += 1
            alarm(0)
        except Interrupt:
            pass
    assert lost == 0


@pytest.mark.jit
def test_a_long_solve_of_a_compiled_field_can_be_interrupted(alarm):
    p = PROBLEMS["van_der_pol"]
    field = field_of("van_der_pol")
    ne.odeint(field, p.z0, p.ts, p.theta, method="rk4", step_size=0.1)  # what is to be compiled is compiled
    alarm(0.05)
    with pytest.raises(Interrupt):
        ne.odeint(field, p.z0, [0.0, 1e9], p.theta, method="rk4", step_size=0.1, max_steps=10**9)  # would take minutes


# ---------------------------------------------------------------- more than one solve at a time


def test_solves_may_be_nested():
    def f(t, z):
        return -ne.odeint(lambda s, y: -y, z, TS).zs[-1]

    sol = ne.odeint(f, [1.0], TS)
    assert sol.zs[-1, 0] == pytest.approx(math.exp(-math.exp(-1)), rel=1e-5)  # rtol is 1e-6


def test_solves_in_threads_do_not_disturb_each_other():
    rates = np.arange(1.0, 5.0)
    results = {}

    def work(rate):
        results[rate] = [ne.odeint(lambda t, z: -rate * z, [1.0], TS).zs[-1, 0] for _ in range(5)]

    threads = [threading.Thread(target=work, args=(rate,)) for rate in rates]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)  # so that threads do change in the middle of a solve
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    for rate in rates:
        assert results[rate] == [ne.odeint(lambda t, z: -rate * z, [1.0], TS).zs[-1, 0]] * 5  # noqa: B023


def test_a_field_serves_threads_at_the_same_time():
    p, field = PROBLEMS["pendulum"], field_of("pendulum")
    expected = ne.odeint(field, p.z0, p.ts, p.theta).zs
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(ne.odeint(field, p.z0, p.ts, p.theta).zs)) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    for zs in results:
        np.testing.assert_array_equal(zs, expected)
