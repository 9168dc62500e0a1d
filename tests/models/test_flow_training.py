"""Training a flow: the likelihood rises, a run that was interrupted ends with the same bits, and its files say so."""

import numpy as np
import pytest

from nodeedu.fitting import DataError
from nodeedu.models.flow import training
from nodeedu.models.flow.training import Files, fit
from tests.models.conftest import STEPS, recipe


def test_twenty_steps_make_points_that_are_not_fitted_more_likely(trained):
    first, *_, last = trained.looks
    assert last.nll < first.nll - 0.05  # nats; 0.3 for this seed


@pytest.mark.parametrize("trace", ["hutchinson", "flow-matching"])
@pytest.mark.jit  # in plain Python: 7 s; others run the same lines
def test_other_traces_train_too(samples, trace):
    looks = fit(samples, recipe(trace), show=False).looks
    assert min(look.nll for look in looks[1:]) < looks[0].nll


def test_the_parameters_of_the_best_look_are_kept(samples, trained):
    log_p = trained.model.log_prob(samples.watched)
    np.testing.assert_allclose(-log_p.mean(), trained.best.nll, rtol=1e-12)  # the same computation


@pytest.mark.jit  # in plain Python: 5 s; others run the same lines
def test_an_interrupted_run_that_is_resumed_ends_with_the_same_bits(samples, trained, tmp_path, monkeypatch):
    def interrupt(self, step, theta):
        if step == STEPS // 2:
            raise KeyboardInterrupt
        return look(self, step, theta)

    look = training.Watcher.look
    monkeypatch.setattr(training.Watcher, "look", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fit(samples, recipe(), Files(tmp_path), show=False)
    monkeypatch.setattr(training.Watcher, "look", look)
    again = fit(samples, recipe(), Files(tmp_path), resume=True, show=False)
    assert [each.nll for each in again.looks if each.step != STEPS // 2] == [
        each.nll for each in trained.looks if each.step != STEPS // 2
    ]
    np.testing.assert_array_equal(again.losses, trained.losses)


def test_a_run_of_another_recipe_is_not_resumed(samples, tmp_path):
    fit(samples, recipe(steps=2), Files(tmp_path), show=False)
    with pytest.raises(DataError, match="--resume: .*looks.npz is of a run with Recipe"):
        fit(samples, recipe(steps=3), Files(tmp_path), resume=True, show=False)
