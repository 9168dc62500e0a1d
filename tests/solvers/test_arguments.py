"""Bad input is refused with a message that names the argument, what was got and what was expected."""

import math

import numpy as np
import pytest

import nodeedu as ne
from problems import network, oscillator, swing

FIELD, Z0, THETA = oscillator()
TS = [0.0, 1.0]


def solve(field=FIELD, z0=Z0, ts=TS, theta=THETA, **options):
    return ne.odeint(field, z0, ts, theta, **options)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"z0": [2.0, math.nan]}, r"z0: got nan at index \(1,\), expected finite numbers"),
        ({"z0": [[2.0, 0.0], [math.inf, 0.0]]}, r"z0: got inf at index \(1, 0\)"),
        ({"z0": [1.0, 2.0, 3.0]}, r"z0: got shape \(3,\), expected \(2,\) or, for B samples, \('B', 2\)"),
        ({"z0": np.zeros((0, 2))}, r"z0: got the empty shape \(0, 2\)"),
        ({"z0": [[1.0, 2.0], [3.0]]}, "z0: got nested sequences of unequal lengths"),
        ({"theta": (math.nan,)}, r"theta\[0\]: got nan, expected finite numbers"),
        ({"ts": [0.0, 1.0, 1.0]}, "ts: got a repeated time, 1.0 at index 1 and then 1.0"),
        ({"ts": [0.0, 2.0, 1.0]}, "ts: got times that turn back, 2.0 at index 1 and then 1.0"),
        ({"ts": [[0.0, 1.0], [1.0, 0.0], [2.0, 2.0]]}, "ts: got a repeated time of sample 2"),
        ({"ts": [0.0, math.nan]}, r"ts: got nan at index \(1,\)"),
        ({"ts": [0.0, math.inf]}, r"ts: got inf at index \(1,\)"),
        ({"ts": []}, r"ts: got shape \(0,\), expected \(T,\) with T >= 1, or \(3, T\)"),
        ({"ts": 1.0}, r"ts: got shape \(\), expected \(T,\)"),
        ({"ts": np.zeros((2, 2))}, r"ts: got shape \(2, 2\), expected \(T,\) with T >= 1, or \(3, T\)"),
        ({"rtol": -1e-6}, "rtol: got -1e-06, expected a number >= 0"),
        ({"rtol": math.nan}, "rtol: got nan"),
        ({"atol": -1.0}, "atol: got -1.0, expected numbers >= 0"),
        ({"atol": [1e-6, math.inf]}, r"atol: got \[1e-06, inf\], expected numbers >= 0"),
        ({"atol": [1e-6] * 3}, r"atol: got shape \(3,\), expected a scalar or the shape \(2,\) of a state"),
        ({"rtol": 0.0, "atol": 0.0}, "rtol and atol: got zero for both"),
        ({"method": "rk45"}, "method: got 'rk45', expected one of euler, midpoint, heun, rk4, bosh3, dopri5, tsit5"),
        ({"controller": "PID"}, "controller: got 'PID', expected 'I' or 'PI'"),
        ({"step_size": 0.0}, "step_size: got 0.0, expected a positive number"),
        ({"step_size": -0.1}, "step_size: got -0.1"),
        ({"first_step": 0}, "first_step: got 0, expected a positive number"),
        ({"first_step": 0.1, "method": "rk4"}, "first_step: 'rk4' takes fixed steps"),
        ({"max_step": math.nan}, "max_step: got nan"),
        ({"max_steps": 0}, "max_steps: got 0"),
    ],
)
def test_wrong_values_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        solve(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"z0": [1j, 2.0]}, "z0: got complex numbers, expected real ones"),
        ({"z0": ["a", "b"]}, "z0: got dtype <U1, expected real numbers"),
        ({"z0": np.array([None, 1.0])}, "z0: got dtype object"),
        ({"ts": ["a"]}, "ts: got dtype <U1"),
        ({"field": 3}, "field: got 3, expected a vector field or a callable"),
    ],
)
def test_wrong_types_are_refused(arguments, message):
    with pytest.raises(TypeError, match=message):
        solve(**arguments)


@pytest.mark.parametrize("dtype", [int, bool, np.int8, np.float16])
def test_other_numbers_become_float64(dtype):
    sol = solve(z0=Z0[0].astype(dtype), ts=np.array([0, 1]))
    assert sol.zs.dtype == np.float64
    np.testing.assert_array_equal(sol.zs, solve(z0=Z0[0].astype(dtype).astype(float)).zs)


@pytest.mark.parametrize(
    "variant",
    [np.asfortranarray, lambda z: np.repeat(z, 2, axis=0)[::2], lambda z: z.tolist(), lambda z: z.astype(">f8")],
)
def test_any_layout_of_an_array_gives_the_same_solution(variant):
    np.testing.assert_array_equal(solve(z0=variant(Z0), ts=tuple(TS)).zs, solve().zs)


def test_inputs_are_never_written_to():
    field, z0, theta = network()
    ts = np.array([0.0, 1.0])
    inputs = [z0, ts, *theta]
    for array in inputs:
        array.flags.writeable = False
    bar = np.ones((2, *z0.shape))
    bar.flags.writeable = False
    ne.odeint(field, z0, ts, theta)
    for method in ("discrete", "backsolve", "forward"):
        ne.gradients(field, z0, ts, theta, bar, method=method)


def test_one_tolerance_may_be_zero():
    for options in ({"rtol": 0.0}, {"atol": 0.0}):
        assert (solve(**options).stats.status == 0).all()


def test_a_callable_may_return_a_list_or_integers():
    np.testing.assert_array_equal(
        ne.odeint(lambda t, z: [1, 2], [0.0, 0.0], TS).zs, ne.odeint(lambda t, z: np.array([1.0, 2.0]), [0.0, 0.0], TS).zs
    )


@pytest.mark.parametrize(
    ("f", "error", "message"),
    [
        (lambda t, z: [1.0], ValueError, r"the vector field returned shape \(1,\) at t = 0; expected .* \(2,\)"),
        (lambda t, z: None, ValueError, r"the vector field returned shape \(\)"),
        (lambda t, z: z * 1j, TypeError, "the vector field returned dtype complex128 at t = 0"),
        (lambda t, z: 1 / 0, ZeroDivisionError, "division by zero"),
        (lambda t, z: z.sort(), ValueError, "read-only"),
    ],
)
def test_a_wrong_vector_field_raises_where_it_went_wrong(f, error, message):
    with pytest.raises(error, match=message):
        ne.odeint(f, [0.0, 1.0], TS)


def test_what_a_callable_raises_keeps_its_traceback():
    def broken(t, z):
        raise KeyError("lost")

    with pytest.raises(KeyError) as info:
        ne.odeint(broken, [0.0], TS)
    assert info.traceback[-1].name == "broken"


def test_an_interrupt_inside_a_callable_gets_out():
    def interrupted(t, z):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ne.odeint(interrupted, [0.0], TS)


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


def test_solves_may_be_nested():
    def f(t, z):
        return -ne.odeint(lambda s, y: -y, z, [0.0, 1.0]).zs[-1]

    sol = ne.odeint(f, [1.0], [0.0, 1.0])
    assert sol.zs[-1, 0] == pytest.approx(math.exp(-math.exp(-1)), rel=1e-5)  # rtol is 1e-6


def test_theta_is_passed_on_to_a_callable_as_it_is():
    theta = {"rate": 2.0, "name": "decay"}
    sol = ne.odeint(lambda t, z, theta: -theta["rate"] * z, [1.0], TS, theta)
    assert sol.zs[-1, 0] == pytest.approx(math.exp(-2), rel=1e-5)  # rtol is 1e-6


@pytest.mark.jit
def test_a_jitted_callable_is_reported_as_such():
    import numba

    assert ne.odeint(numba.njit(lambda t, z: -z), [1.0], TS).stats.path == "njit"
