"""Every shipped tableau keeps its promises, a wrong one is refused, and the observed order is the claimed one."""

import dataclasses
import pickle

import numpy as np
import pytest
from scipy.integrate import DOP853, RK23, RK45

from nodeedu import tableaus

ADAPTIVE = ("bosh3", "dopri5", "tsit5", "dop853")


def forced_van_der_pol(t, z):
    """A field that is nonlinear, non-autonomous and has two components: none of these hides a missed condition."""
    return np.array([z[1], (1 - z[0] ** 2) * z[1] - z[0] + np.cos(t)])


def stages(tableau, f, t, z, h):
    """Return the slopes k (s, D) of one step, straight from the definition."""
    k = np.zeros((tableau.stages, len(z)))
    for i in range(tableau.stages):
        k[i] = f(t + tableau.c[i] * h, z + h * tableau.A[i, :i] @ k[:i])
    return k


def solve(tableau, weights, n, span=1.0):
    """Integrate the forced van der Pol oscillator from t=0 in n equal steps."""
    z, h = np.array([1.0, 0.5]), span / n
    for i in range(n):
        z = z + h * weights @ stages(tableau, forced_van_der_pol, i * h, z, h)
    return z


def observed_order(tableau, weights, n):
    """Compare the results with n, 2n and 4n steps, which needs no exact solution."""
    coarse, middle, fine = (solve(tableau, weights, m) for m in (n, 2 * n, 4 * n))
    return np.log2(np.linalg.norm(coarse - middle) / np.linalg.norm(middle - fine))


@pytest.mark.parametrize("name", tableaus.names())
def test_the_observed_order_is_the_claimed_order(name):
    tableau = tableaus.get(name)
    # With 40 steps the next term of the error expansion changes the observed order by up to 0.12 (measured), and the
    # smallest difference that enters, 5e-14 for order 5, is still 50 times round-off. A missed condition costs 1.
    # Order 8 meets round-off with 8 steps already; with 4 the observed order is off by 0.01.
    assert observed_order(tableau, tableau.b, 4 if tableau.order == 8 else 40) == pytest.approx(tableau.order, abs=0.2)


@pytest.mark.parametrize("name", ADAPTIVE)
def test_the_observed_order_of_the_embedded_weights_is_the_claimed_one(name):
    tableau = tableaus.get(name)
    assert observed_order(tableau, tableau.b_hat, 40) == pytest.approx(tableau.embedded_order, abs=0.2)  # as above


@pytest.mark.parametrize("name", ADAPTIVE)
@pytest.mark.parametrize("theta", [0.2, 0.5, 0.9])
def test_the_error_of_dense_output_within_a_step_is_of_its_order_plus_one(name, theta):
    tableau, z0 = tableaus.get(name), np.array([1.0, 0.5])

    def error(h):
        k = stages(tableau, forced_van_der_pol, 0.0, z0, h)
        weights = tableau.interpolant @ theta ** np.arange(1, tableau.interpolant.shape[1] + 1)
        return np.linalg.norm(z0 + h * weights @ k - solve(tableau, tableau.b, 20, span=theta * h))

    # The next term of the error expansion still changes the order by up to 0.28 at these h (tsit5 at 1/2, measured;
    # smaller h meet round-off). Twenty small steps are 20**2 times more exact than the single one, or better.
    h = 0.2 if name == "dop853" else 0.05
    assert np.log2(error(h) / error(h / 2)) == pytest.approx(tableau.interpolant_order + 1, abs=0.35)


@pytest.mark.parametrize("name", ADAPTIVE)
def test_dense_output_starts_with_the_first_slope_and_ends_with_the_last(name):
    P = tableaus.get(name).interpolant
    first, last = np.eye(len(P))[[0, -1]]
    np.testing.assert_array_equal(P[:, 0], first)
    powers = np.arange(1, P.shape[1] + 1)
    # A few units of round-off of the size of the sums' terms, which is up to 600, and 6e3 for dop853.
    np.testing.assert_allclose(P @ powers, last, atol=4 * np.finfo(float).eps * (abs(P) @ powers).max())


@pytest.mark.parametrize(("name", "peer"), [("bosh3", RK23), ("dopri5", RK45)])
def test_constants_agree_with_scipy(name, peer):
    ours, s = tableaus.get(name), peer.n_stages
    np.testing.assert_array_equal(ours.A[:s, : peer.A.shape[1]], peer.A)
    np.testing.assert_array_equal(ours.b[:s], peer.B)
    np.testing.assert_array_equal(ours.c[:s], peer.C)
    # SciPy stores the rounded difference and the expanded polynomial: equal up to rounding of numbers of size 10.
    np.testing.assert_allclose(ours.b_hat - ours.b, peer.E, atol=1e-16)
    np.testing.assert_allclose(ours.interpolant, peer.P, atol=4e-15)


def test_constants_of_dop853_agree_with_scipy():
    ours = tableaus.get("dop853")
    np.testing.assert_array_equal(ours.A[:12], np.pad(DOP853.A, [(0, 0), (0, 1)]))
    np.testing.assert_array_equal(ours.b[:12], DOP853.B)
    np.testing.assert_array_equal(ours.c[:12], DOP853.C)
    np.testing.assert_allclose(ours.b - ours.b_hat, DOP853.E5, atol=1e-15)  # one rounding of numbers up to 6


def test_no_published_stage_of_dop853_is_needed_for_its_dense_output_but_order_seven_is_out_of_reach():
    tableau = tableaus.get("dop853")
    assert (tableau.stages, tableau.interpolant_order, tableau.interpolant.shape[1]) == (13, 6, 6)
    with pytest.raises(ValueError, match="interpolant is claimed to have order 7, but has order 6"):
        changed("dop853", interpolant_order=7)


@pytest.mark.parametrize("name", tableaus.names())
def test_the_step_of_an_fsal_method_ends_with_its_own_last_stage(name):
    tableau = tableaus.get(name)
    assert tableau.fsal == (name in ADAPTIVE)
    assert not tableau.fsal or np.array_equal(tableau.A[-1], tableau.b)


def changed(name, **changes):
    return dataclasses.replace(tableaus.get(name), **changes)


def edited(array, index, value):
    array = array.copy()
    array[index] = value
    return array


def test_a_sign_error_in_one_coefficient_is_refused():
    dopri5 = tableaus.get("dopri5")
    with pytest.raises(ValueError, match=r"dopri5.*row 3 of A sums to 8.2.*, but c\[3\] is 0.8"):
        changed("dopri5", A=edited(dopri5.A, (3, 1), 56 / 15))


def test_a_sign_error_that_keeps_the_row_sum_is_refused_by_an_order_condition():
    # Kutta's third stage with the two earlier slopes exchanged: still c = 1/2, no longer of order 4.
    rk4 = tableaus.get("rk4")
    with pytest.raises(ValueError, match=r"rk4.*b is claimed to have order 4, but has order 2.*\[\[t\]\]"):
        changed("rk4", A=edited(rk4.A, (2, slice(0, 2)), (1 / 2, 0)))


def test_embedded_weights_given_as_the_weights_are_refused():
    tsit5 = tableaus.get("tsit5")
    with pytest.raises(ValueError, match="b is claimed to have order 5, but has order 4"):
        changed("tsit5", b=tsit5.b_hat, fsal=False, interpolant=None, interpolant_order=None)


def test_weights_given_as_the_embedded_weights_are_refused():
    # They would estimate the error of every step as zero.
    with pytest.raises(ValueError, match="b_hat is claimed to have order 4, but has order 5"):
        changed("dopri5", b_hat=tableaus.get("dopri5").b)


def test_error_weights_given_as_the_embedded_weights_are_refused():
    bosh3 = tableaus.get("bosh3")
    with pytest.raises(ValueError, match="b_hat is claimed to have order 2, but has order 0"):
        changed("bosh3", b_hat=bosh3.b - bosh3.b_hat)


def test_the_lost_minus_sign_of_the_printed_tsit5_is_refused():
    tsit5 = tableaus.get("tsit5")
    with pytest.raises(ValueError, match="b_hat is claimed to have order 4, but has order 0"):
        changed("tsit5", b_hat=edited(tsit5.b_hat, -1, -1 / 66))


def test_an_interpolant_that_ends_elsewhere_is_refused():
    P = tableaus.get("dopri5").interpolant
    with pytest.raises(ValueError, match="the interpolant ends with weight .* of k\\[2\\], not 0.449"):
        changed("dopri5", interpolant=edited(P, (2, 3), P[2, 3] + 1e-9))


def test_an_interpolant_of_lower_order_than_claimed_is_refused():
    # Straight lines between the ends meet the condition of order 1 alone.
    with pytest.raises(ValueError, match="interpolant is claimed to have order 4, but has order 1"):
        changed("dopri5", interpolant=tableaus.get("dopri5").b[:, None])


def test_an_implicit_stage_is_refused():
    with pytest.raises(ValueError, match="strictly lower triangular"):
        changed("midpoint", A=[[0, 0], [0, 1 / 2]])


def test_a_matrix_of_the_wrong_shape_is_refused():
    with pytest.raises(ValueError, match=r"A must have shape \(2, 2\)"):
        changed("midpoint", A=[[0.0]])


def test_fsal_claimed_of_a_method_that_is_not_is_refused():
    with pytest.raises(ValueError, match="fsal needs"):
        changed("rk4", fsal=True)


def test_embedded_weights_without_their_order_are_refused():
    with pytest.raises(ValueError, match="b_hat and its order must be given together"):
        changed("heun", b_hat=[1, 0])


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="unknown tableau 'rk45'.*euler.*dopri5.*tsit5"):
        tableaus.get("rk45")


def test_a_tableau_cannot_be_changed():
    tableau = tableaus.get("dopri5")
    with pytest.raises(ValueError, match="read-only"):
        tableau.b[0] = 0.0
    with pytest.raises(dataclasses.FrozenInstanceError):
        tableau.order = 4


def test_get_returns_the_same_object_each_time():
    assert tableaus.get("tsit5") is tableaus.get("tsit5")


def test_a_tableau_survives_pickling_for_worker_processes():
    copy = pickle.loads(pickle.dumps(tableaus.get("dopri5")))
    np.testing.assert_array_equal(copy.A, tableaus.get("dopri5").A)
