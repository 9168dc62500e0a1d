"""The annotated backward pass makes backsolve's steps, and its invariants tell right adjoints from broken ones."""

import numpy as np
import pytest

import nodeedu as ne
from nodeedu.verify.backward_trace import backward_trace
from nodeedu.verify.backward_trace_figure import duality_figure
from nodeedu.verify.standard_problems import V

P = V()
GIVEN = P.field, P.z0, P.ts, P.theta, P.loss_gradients(P.truth.zs)


@pytest.mark.parametrize(
    ("solver", "options"),
    [
        ("dopri5", {"rtol": 1e-5, "atol": 1e-8, "jump_ts": [0.5, 1.0]}),  # FSAL; some steps are rejected
        ("rk4", {"step_size": 0.1}),
    ],
)
def test_the_trace_makes_the_steps_of_backsolve(solver, options):
    trace, g = backward_trace(*GIVEN, solver, **options), ne.gradients(*GIVEN, "backsolve", solver, **options)
    kinds = [row.what for row in trace.rows]
    assert kinds.count("step") == g.stats.accepted
    assert kinds.count("rejected") == g.stats.rejected
    assert [kind for kind in kinds if "jump" in kind] == ["jump, g_3", "jump, g_2", "jump, g_1", "jump, g_0"]
    assert trace.rows[-1].evaluations == g.stats.nfev_backward
    np.testing.assert_allclose(trace.rows[-1].a, g.z0, rtol=1e-13)  # sums in another order


def test_both_invariants_hold_for_the_right_adjoint_to_the_tolerance():
    for rtol in (1e-4, 1e-8):
        trace = backward_trace(*GIVEN, rtol=rtol, atol=rtol / 100)
        assert max(trace.pairing_drift, trace.energy_drift) < 10 * rtol  # rtol for each of some tens of steps


@pytest.mark.parametrize("backwards", [False, True])
def test_at_the_end_a_dz_is_the_change_of_the_loss(backwards):
    ts, nudge = P.ts[::-1] if backwards else P.ts, np.array([0.3, -1.0])
    zs_bar = GIVEN[-1]
    trace = backward_trace(P.field, P.z0, ts, P.theta, zs_bar, nudge=nudge, rtol=1e-8, atol=1e-10)
    g = ne.gradients(P.field, P.z0, ts, P.theta, zs_bar, "forward", rtol=1e-10, atol=1e-12)
    assert trace.rows[-1].pairing == pytest.approx(g.z0 @ nudge, rel=1e-6)  # rtol over some tens of steps
    assert trace.rows[-1].pairing_due == pytest.approx(g.z0 @ nudge, rel=1e-8)


BROKEN = {
    "the sign lost": {"adjoint": lambda t, z, a, theta: P.vjp(t, z, a)[1]},
    "a column taken for a row": {"adjoint": lambda t, z, a, theta: -P.J(t, z) @ a},
    "half of each jump": {"jump": lambda a, g: a + 0.5 * g},
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_adjoints_stray_from_what_is_due(name):
    trace = backward_trace(*GIVEN, **BROKEN[name])
    assert min(trace.pairing_drift, trace.energy_drift) > 0.05


def test_without_the_reset_the_error_of_the_state_carries_over():
    kept, reset = (backward_trace(*GIVEN, rtol=1e-4, atol=1e-7, reset=r).rows for r in (False, True))
    index = [row.what for row in kept].index("jump, g_1")
    assert kept[index].error == kept[index - 1].error
    index = [row.what for row in reset].index("jump, g_1")
    assert reset[index].error != reset[index - 1].error


def test_the_table_has_a_line_a_step_and_says_how_far_both_stray():
    trace = backward_trace(*GIVEN)
    lines = str(trace).splitlines()
    assert len(lines) == len(trace.rows) + 2
    assert lines[0].split()[:3] == ["t", "what", "a"]
    assert lines[1].split()[1:3] == ["jump,", "g_3"]
    assert lines[-1].startswith("drift of a dz")


def test_the_figure_has_a_line_for_each_pass_and_one_for_what_is_due():
    import matplotlib.pyplot as plt

    trace = backward_trace(*GIVEN)
    figure = duality_figure({"right": trace, "again": trace})
    assert [len(axes.lines) for axes in figure.axes] == [3, 3]
    plt.close(figure)
    figure = trace.figure()
    plt.close(figure)


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"field": lambda t, z: -z}, TypeError, "has no derivatives"),
        ({"z0": np.ones((2, 2)), "zs_bar": np.zeros((4, 2, 2))}, ValueError, "a trace follows one sample"),
        ({"solver": "radau5"}, ValueError, "explicit Runge-Kutta method"),
        ({"nudge": np.ones(3)}, ValueError, r"nudge: got shape \(3,\), expected \(2,\)"),
        ({"adjoint": lambda t, z, a, theta: a[:1]}, ValueError, r"adjoint: .* of shape \(1,\), expected .* \(2,\)"),
        ({"jump": lambda a, g: "a"}, ValueError, "jump: .* expected real numbers"),
    ],
)
def test_what_cannot_be_traced_is_refused(wrong, error, message):
    names = "field", "z0", "ts", "theta", "zs_bar"
    with pytest.raises(error, match=message):
        backward_trace(**{**dict(zip(names, GIVEN, strict=True)), **wrong})
