"""Arguments: what SciPy refuses is refused in its words; where SciPy hangs or goes astray, an error names the cause."""

import numpy as np
import pytest
import scipy.integrate

from nodeedu.solvers.scipy_api import RK45, solve_ivp

METHODS = ["RK23", "RK45", "DOP853", "Radau", "BDF", "LSODA"]


def decay(t, y):
    return -y


def writes(t, y):
    y[0] = 0.0
    return -y


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("fun", "kind", "message"),
    [
        (lambda t, y: None, TypeError, "`fun` returned None"),
        (lambda t, y: np.nan * y, ValueError, "`fun` returned nan"),
        (writes, ValueError, "`fun` writes into its argument `y`"),
        (lambda t, y: 1j * y, TypeError, "`fun` returned complex numbers"),
        (lambda t, y: np.ones(3), ValueError, r"`fun` returned shape \(3,\)"),
        (lambda t, y: ["a", "b"], TypeError, "`fun` returned <U1"),
        (lambda t, y: 1 // 0, ZeroDivisionError, "division"),
    ],
)
def test_a_wrong_value_of_fun_is_an_error_that_names_it(method, fun, kind, message):
    with pytest.raises(kind, match=message):
        solve_ivp(fun, (0.0, 1.0), [1.0, 2.0], method)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["rtol", "atol", "first_step", "max_step"])
def test_nan_in_an_option_is_an_error_that_names_it(method, name):
    with pytest.raises(ValueError, match=f"`{name}`"):
        solve_ivp(decay, (0.0, 1.0), [1.0], method, **{name: np.nan})


@pytest.mark.parametrize("t_span", [(0.0, np.nan), (np.nan, 1.0), (-np.inf, 0.0), (0.0, 1.0, 2.0)])
def test_an_interval_without_a_finite_start_is_refused(t_span):
    with pytest.raises(ValueError, match="`t_span`"):
        solve_ivp(decay, t_span, [1.0])


@pytest.mark.parametrize(
    "kwargs",
    [
        {"method": "RK4"},
        {"t_eval": [[0.5]]},
        {"t_eval": [0.5, 2.0]},
        {"t_eval": [0.5, 0.5]},
        {"y0": [[1.0]]},
        {"y0": [np.inf]},
        {"max_step": -1.0},
        {"first_step": 0.0},
        {"first_step": 2.0},
        {"atol": -1.0},
        {"atol": [1.0, 2.0]},
        {"args": 3},
    ],
)
def test_scipys_messages_for_what_scipy_refuses(kwargs):
    given = {"t_span": (0.0, 1.0), "y0": [1.0]} | kwargs
    with pytest.raises((ValueError, TypeError)) as scipys:
        scipy.integrate.solve_ivp(decay, **given)
    with pytest.raises(scipys.type) as ours:
        solve_ivp(decay, **given)
    start = str(scipys.value)[:30]  # the list of methods goes on with classes, ours and SciPy's
    assert str(ours.value).startswith(start)


def test_a_tolerance_below_rounding_is_raised_with_scipys_warning():
    with pytest.warns(UserWarning, match="At least one element of `rtol` is too small") as caught:
        result = solve_ivp(decay, (0.0, 1e-3), [1.0], "DOP853", rtol=1e-20)
    assert result.success
    assert caught[0].filename == __file__  # the line of the caller, not one of the library


def test_options_without_effect_are_named_in_scipys_warning():
    with pytest.warns(UserWarning, match="The following arguments have no effect for a chosen solver: `jac`."):
        solve_ivp(decay, (0.0, 1.0), [1.0], jac=None)


def test_fun_is_given_states_that_it_may_keep():
    kept = []

    def fun(t, y):
        kept.append((y, y.copy()))
        return -y

    solve_ivp(fun, (0.0, 1.0), [1.0])
    assert all(np.array_equal(y, copy) for y, copy in kept)


def test_inputs_are_not_written_to():
    y0, t_eval, atol = np.array([1.0, 2.0]), np.linspace(1.0, 0.0, 4), np.array([1e-6, 1e-3])
    before = y0.copy(), t_eval.copy(), atol.copy()
    for dense in (False, True):
        solve_ivp(decay, (1.0, 0.0), y0, t_eval=t_eval, atol=atol, dense_output=dense)
    assert all(np.array_equal(a, b) for a, b in zip((y0, t_eval, atol), before, strict=True))


@pytest.mark.parametrize("t_span", [(0.0, 0.7), (0.7, -0.1), (0.1, 0.1 + 1e-9)])
@pytest.mark.parametrize("method", ["RK23", "RK45", "DOP853"])
def test_fun_is_never_evaluated_outside_the_interval(method, t_span):
    times = []

    def fun(t, y):
        times.append(t)
        return np.cos(t) * y

    result = solve_ivp(fun, t_span, [1.0], method, dense_output=True)
    assert len(times) == result.nfev
    assert min(times) >= min(t_span)
    assert max(times) <= max(t_span)


@pytest.mark.parametrize("args", [(2.0,), [2.0]])
def test_args_reach_fun_and_events(args):
    def event(t, y, rate):
        return y[0] - np.exp(-rate / 2)

    result = solve_ivp(lambda t, y, rate: -rate * y, (0, 1), [1.0], args=args, events=event, rtol=1e-9, atol=1e-12)
    assert result.t_events[0] == pytest.approx([0.5], abs=1e-8)  # the tolerance of the solve


def test_vectorized_fun_gets_columns():
    shapes = set()

    def fun(t, y):
        shapes.add(y.shape)
        return -y

    result = solve_ivp(fun, (0.0, 1.0), [1.0, 2.0], vectorized=True)
    assert shapes == {(2, 1)}
    np.testing.assert_array_equal(result.y, solve_ivp(decay, (0.0, 1.0), [1.0, 2.0]).y)


@pytest.mark.parametrize("method", ["RK23", "RK45", "DOP853"])
def test_complex_states_rotate(method):
    result = solve_ivp(lambda t, y: 1j * y, (0.0, 1.0), [1.0 + 0j, 1j], method, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(result.y[:, -1], np.exp(1j) * np.array([1, 1j]), rtol=1e-6)  # a hundred rtol


@pytest.mark.parametrize("t_end", [10.0, np.inf])
def test_an_empty_state_needs_no_steps(t_end):
    result = solve_ivp(lambda t, y: y, (0.0, t_end), [], dense_output=True)
    assert result.success
    assert result.sol([1.0, 2.0]).shape == (0, 2)


@pytest.mark.parametrize("method", ["RK23", "RK45", "DOP853"])
def test_an_infinite_end_is_left_by_a_terminal_event(method):
    def event(t, y):
        return y[0] - 0.25

    event.terminal = True
    result = solve_ivp(decay, (0.0, np.inf), [1.0], method, events=event, rtol=1e-8, atol=1e-10)
    assert result.t[-1] == pytest.approx(np.log(4), abs=1e-7)  # ten rtol


def test_a_solve_towards_infinity_ends_at_the_largest_number():
    result = solve_ivp(lambda t, y: 0 * y, (0.0, np.inf), [1.0])
    assert result.status == -1
    assert result.t[-1] == np.finfo(float).max


def test_a_component_of_zero_with_atol_zero_starts():
    result = solve_ivp(lambda t, y: [y[1], -y[0]], (0.0, 1.0), [0.0, 1.0], atol=0.0, rtol=1e-6)
    assert result.success
    np.testing.assert_allclose(result.y[:, -1], [np.sin(1), np.cos(1)], rtol=1e-4)  # a hundred rtol


def test_tolerances_may_differ_between_components():
    kwargs = {"rtol": [1e-3, 1e-9], "atol": [1e-6, 1e-12]}
    ours = solve_ivp(lambda t, y: [y[1], -y[0]], (0.0, 3.0), [0.0, 1.0], **kwargs)
    scipys = scipy.integrate.solve_ivp(lambda t, y: [y[1], -y[0]], (0.0, 3.0), [0.0, 1.0], **kwargs)
    assert ours.nfev == scipys.nfev


def test_the_class_refuses_nan_at_the_start():
    with pytest.raises(ValueError, match="component 1"):
        RK45(lambda t, y: [0.0, np.nan], 0.0, [1.0, 1.0], 1.0)
