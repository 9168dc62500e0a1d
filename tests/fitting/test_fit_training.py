"""Training lowers the loss, grows its horizon, and sees only what it is given."""

import numpy as np
import pytest

from nodeedu.fitting import job, training
from nodeedu.fitting.gradient_check import ROUTES, GradientCheck
from nodeedu.fitting.training import fit


def loss(model, table):
    error = model.coordinates.z(model.predict(table.t)) - model.coordinates.z(table.y)
    return np.nanmean(error**2)


@pytest.mark.jit
def test_training_reduces_the_error_of_the_fitted_rows(noisy):
    short, long = (fit(noisy, 0, steps, 1e-3, progress=False) for steps in (1, 300))
    assert loss(long, noisy) < 0.1 * loss(short, noisy)  # the scatter itself is 0.03


def test_the_same_seed_gives_the_same_bits(noisy):
    one, two = (fit(noisy, 3, 6, 1e-3, progress=False) for _ in range(2))
    np.testing.assert_array_equal(one.weights["W1"], two.weights["W1"])


def test_another_seed_gives_another_start(noisy):
    one, two = (fit(noisy, seed, 1, 1e-3, progress=False) for seed in (0, 1))
    assert not np.array_equal(one.weights["W1"], two.weights["W1"])


def test_the_horizon_grows_by_quarters_to_all_rows():
    z = np.ones((16, 2))
    assert [training._horizon(done, z) for done in (0, 0.17, 0.34, 0.5, 0.99)] == [4, 8, 12, 16, 16]


def test_the_horizon_waits_for_an_observation():
    z = np.full((16, 1), np.nan)
    z[9] = 1.0
    assert training._horizon(0.0, z) == 10


def test_the_gradient_of_the_loss_includes_the_weight_decay(noisy, monkeypatch):
    seen = {}

    def spy(loss_and_gradient, theta, optimiser, steps, **options):
        seen["at"], seen["function"] = theta, loss_and_gradient
        return original(loss_and_gradient, theta, optimiser, 0, **options)

    original = training.train
    monkeypatch.setattr(training, "train", spy)
    fit(noisy, 0, 10, 0.5, progress=False)
    theta, value = seen["at"], lambda theta: seen["function"](theta, 9)[0]
    slope, h = seen["function"](theta, 9)[1]["weights"]["W1"][2, 1], 1e-5
    moved = [{**theta, "weights": {**theta["weights"], "W1": theta["weights"]["W1"].copy()}} for _ in range(2)]
    moved[0]["weights"]["W1"][2, 1] += h
    moved[1]["weights"]["W1"][2, 1] -= h
    # solves to 1e-6 differ by 1e-8 with their steps, divided by 2h
    assert (value(moved[0]) - value(moved[1])) / (2 * h) == pytest.approx(slope, abs=2e-3)


def test_the_weight_decay_is_the_candidate_with_the_smallest_error_on_the_inner_tail(noisy):
    choice = training.choose_decay(noisy, 0, 6, lambda _: None, progress=False)
    assert choice.errors.keys() == set(training.DECAYS)
    assert choice.errors[choice.decay] == min(choice.errors.values())
    assert choice.tail == (6.1, 7.5)  # the last fifth of fourteen rows


def test_too_few_rows_take_the_fallback_decay(noisy):
    y = noisy.y.copy()
    y[2:-1, 0] = np.nan
    table = type(noisy)(noisy.file, noisy.time, noisy.columns, noisy.t, y, noisy.lines)
    assert training.choose_decay(table, 0, 30, lambda _: None).errors == {}


def test_ctrl_c_during_training_is_passed_on(noisy, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "misfit", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fit(noisy, 0, 10, 1e-3, progress=False)


@pytest.mark.jit
def test_nothing_but_the_errors_depends_on_the_held_out_rows(noisy, monkeypatch, capsys):
    # the check is given the training rows alone, and thousands of solves
    monkeypatch.setattr(job, "check_gradient", lambda *_: GradientCheck(np.zeros((len(ROUTES),) * 2), 0, 0))
    n, y = 10, noisy.y.copy()
    y[n:] = [[1e4, -7.0], [np.nan, 3.0], [0.0, 0.0], [1.0, 1.0]]
    other = type(noisy)(noisy.file, noisy.time, noisy.columns, noisy.t, y, noisy.lines, noisy.units)
    one, two = (job.run(table, n, seed=0, steps=12) for table in (noisy, other))
    assert one.choice == two.choice
    for key, weights in one.model.weights.items():
        np.testing.assert_array_equal(two.model.weights[key], weights)
    np.testing.assert_array_equal(one.model.z0, two.model.z0)
    np.testing.assert_array_equal(one.rival.theta, two.rival.theta)
    assert one.errors["Neural ODE"].train == two.errors["Neural ODE"].train
    assert one.errors["Neural ODE"].holdout != two.errors["Neural ODE"].holdout
