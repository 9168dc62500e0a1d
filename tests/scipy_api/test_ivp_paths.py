"""Python function, `@njit` function and vector field: the same steps, and the result says which ran."""

import numba
import numpy as np
import pytest

import nodeedu as ne
from nodeedu.solvers.scipy_api import DOP853, RK45, solve_ivp
from nodeedu.solvers.scipy_api.callables import right_hand_side

THETA = np.array([1.5, 3.0])
EXPLICIT = ["RK23", "RK45", "DOP853"]


def predator_prey(t, y, a, b):
    return a * y[0] - y[0] * y[1], y[0] * y[1] - b * y[1]


@pytest.fixture(scope="module")
def compiled():
    return numba.njit(predator_prey)


@pytest.fixture(scope="module")
def field():
    return ne.vector_field(lambda t, z, theta: predator_prey(t, z, theta[0], theta[1]), np.ones(2), THETA)


@pytest.mark.jit
@pytest.mark.parametrize("method", EXPLICIT)
def test_a_compiled_function_gives_the_same_bits_as_python(compiled, method):
    kwargs = {"args": (1.5, 3.0), "dense_output": True, "t_eval": np.linspace(0, 3, 7), "rtol": 1e-7, "atol": 1e-9}
    python = solve_ivp(predator_prey, (0, 3), [10.0, 5.0], method, **kwargs)
    njit = solve_ivp(compiled, (0, 3), [10.0, 5.0], method, **kwargs)
    assert (python.stats.path, njit.stats.path) == ("python", "njit")
    assert python.stats.tally == njit.stats.tally
    np.testing.assert_array_equal(python.y, njit.y)
    np.testing.assert_array_equal(python.sol.ts, njit.sol.ts)


def test_options_that_need_a_solver_object_take_the_same_steps_as_without_it(compiled):
    kwargs = {"args": (1.5, 3.0), "t_eval": np.linspace(0, 3, 7), "rtol": 1e-7}
    without, with_it = (
        solve_ivp(compiled, (0, 3), [10.0, 5.0], **kwargs, atol=atol) for atol in (1e-9, np.array([1e-9, 1e-9]))
    )
    assert without.stats == with_it.stats
    np.testing.assert_array_equal(without.y, with_it.y)


@pytest.mark.jit
def test_a_compiled_function_with_events_gives_the_same_bits_as_python(compiled):
    def event(t, y, a, b):
        return y[0] - b

    results = [solve_ivp(fun, (0, 6), [10.0, 5.0], args=(1.5, 3.0), events=event) for fun in (predator_prey, compiled)]
    assert len(results[0].t_events[0]) > 1
    np.testing.assert_array_equal(results[0].t_events[0], results[1].t_events[0])


@pytest.mark.jit
@pytest.mark.parametrize("method", EXPLICIT)
def test_a_field_takes_the_same_number_of_evaluations_as_python(field, method):
    python = solve_ivp(predator_prey, (0, 3), [10.0, 5.0], method, args=(1.5, 3.0))
    traced = solve_ivp(field, (0, 3), [10.0, 5.0], method, args=(THETA,))
    assert traced.stats.path == "traced"
    assert traced.nfev == python.nfev
    np.testing.assert_allclose(traced.y, python.y, rtol=1e-8)  # emitted sums may be reordered; feedback amplifies that


def test_a_field_without_args_has_the_parameters_it_was_made_with(field):
    np.testing.assert_array_equal(
        solve_ivp(field, (0, 1), [1.0, 1.0]).y, solve_ivp(field, (0, 1), [1.0, 1.0], args=(THETA,)).y
    )


def test_other_parameters_of_a_field_give_another_solution(field):
    result = solve_ivp(field, (0, 1), [1.0, 1.0], args=(np.array([1.0, 1.0]),))
    np.testing.assert_allclose(result.y[:, -1], [1.0, 1.0], rtol=1e-12)  # an equilibrium


@pytest.mark.parametrize("method", ["Radau", "BDF", "LSODA"])
def test_implicit_methods_take_the_exact_jacobian_of_a_field(field, method):
    by_differences = solve_ivp(predator_prey, (0, 3), [10.0, 5.0], method, args=(1.5, 3.0), rtol=1e-8, atol=1e-10)
    exact = solve_ivp(field, (0, 3), [10.0, 5.0], method, args=(THETA,), rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(exact.y[:, -1], by_differences.y[:, -1], rtol=1e-5)  # a thousand rtol for BDF
    assert exact.nfev <= by_differences.nfev


def test_the_jacobian_of_a_field_is_that_of_its_formula(field):
    jacobian = right_hand_side(field, (THETA,), np.ones(2), False, True).jacobian
    x, y = 2.0, 5.0
    np.testing.assert_allclose(jacobian(0.0, np.array([x, y])), [[1.5 - y, -x], [y, x - 3.0]], rtol=1e-15)


def test_a_handwritten_field_has_its_exact_jacobian():
    A = np.array([[-1.0, 2.0], [0.0, -1000.0]])
    result = solve_ivp(ne.linear_field(2), (0, 1), [1.0, 1.0], "Radau", args=((A, np.zeros(2)),), rtol=1e-8, atol=1e-10)
    x = np.exp(-1) * (1 + 2 / 999) - 2 / 999 * np.exp(-1000)
    np.testing.assert_allclose(result.y[:, -1], [x, 0.0], rtol=1e-6, atol=1e-9)  # a hundred rtol


@pytest.mark.parametrize("wrong", [{"args": (THETA, 1.0)}, {"y0": [1.0]}])
def test_a_field_refuses_what_does_not_fit_it(field, wrong):
    with pytest.raises(ValueError, match=r"`args`|`y0`"):
        solve_ivp(field, **({"t_span": (0, 1), "y0": [1.0, 1.0], "args": (THETA,)} | wrong))


def test_a_field_with_parameters_of_unknown_values_asks_for_them():
    with pytest.raises(ValueError, match=r"args=\(theta,\)"):
        solve_ivp(ne.linear_field(2), (0, 1), [1.0, 1.0])


def test_a_complex_state_of_a_field_runs_in_python(field):
    result = solve_ivp(field, (0, 1), [1.0 + 0j, 1.0])
    assert result.stats.path == "python"
    np.testing.assert_allclose(result.y, solve_ivp(field, (0, 1), [1.0, 1.0]).y, rtol=1e-8)  # amplified rounding


@pytest.mark.jit
def test_a_complex_state_is_compiled():
    turn = numba.njit(lambda t, y: (1j * y[0],))
    result = solve_ivp(turn, (0.0, 1.0), [1.0 + 0j], "DOP853", rtol=1e-9, atol=1e-12)
    assert result.stats.path == "njit"
    assert result.y[0, -1] == pytest.approx(np.exp(1j), abs=1e-7)  # a hundred rtol


@pytest.mark.jit
@pytest.mark.parametrize("kind", [tuple, list, np.array])
def test_a_compiled_function_may_return_a_tuple_a_list_or_an_array(kind):
    function = {
        tuple: lambda t, y: (y[1], -y[0]),
        list: lambda t, y: [y[1], -y[0]],
        np.array: lambda t, y: np.array([y[1], -y[0]]),
    }[kind]
    result = solve_ivp(numba.njit(function), (0.0, 1.0), [1.0, 0.0])
    assert result.stats.path == "njit"
    np.testing.assert_array_equal(result.y, solve_ivp(function, (0.0, 1.0), [1.0, 0.0]).y)


@pytest.mark.jit
def test_arguments_of_a_compiled_function_keep_their_kinds():
    @numba.njit
    def f(t, y, n, A, damped):
        return (A[n, 0] * y[0], A[n, 1] * y[1]) if damped else (y[0], y[1])

    A = np.array([[0.0, 0.0], [-1.0, -1.0]])
    result = solve_ivp(f, (0.0, 1.0), [1.0, 2.0], args=(1, A, True), rtol=1e-8)
    assert result.stats.path == "njit"
    np.testing.assert_allclose(result.y[:, -1], np.exp(-1) * np.array([1.0, 2.0]), rtol=1e-5)  # atol is 1e-6


@pytest.mark.jit
def test_arguments_that_a_kernel_cannot_take_leave_a_compiled_function_to_python():
    f = numba.njit(lambda t, y, rates: (-rates[0] * y[0],))
    result = solve_ivp(f, (0.0, 1.0), [1.0], args=((1.0, 2.0),))
    assert result.stats.path == "python"
    assert result.success


@numba.njit
def _writes(t, y):
    y[0] = 0.0
    return y[1], y[0]


@numba.njit
def _too_long(t, y):
    return y[0], y[1], t


@numba.njit
def _none(t, y):
    return None


@numba.njit
def _complex(t, y):
    return 1j * y[0], y[1]


@numba.njit
def _raises(t, y):
    if t > 0.3:
        raise ValueError("late")
    return y[1], y[0]


@pytest.mark.jit
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # numba prints what a C function raises
@pytest.mark.parametrize(
    ("fun", "kind", "message"),
    [
        (_writes, ValueError, "`fun` writes into its argument `y`"),
        (_too_long, ValueError, "`fun` returned another number of values"),
        (_none, TypeError, "`fun` returned None"),
        (_complex, TypeError, "`fun` returned complex numbers"),
        (_raises, ValueError, "late"),
    ],
)
def test_a_wrong_compiled_function_is_an_error_that_names_it(fun, kind, message):
    with pytest.raises(kind, match=message):
        solve_ivp(fun, (0.0, 1.0), [1.0, 2.0])


def test_the_classes_take_a_field_and_step(field):
    for cls in (RK45, DOP853):
        solver = cls(field, 0.0, [1.0, 1.0], 1.0)
        while solver.status == "running":
            assert solver.step() is None
        assert solver.t == 1.0
        assert solver.accepted > 0
        with pytest.raises(RuntimeError, match="Attempt to step on a failed or finished solver"):
            solver.step()
