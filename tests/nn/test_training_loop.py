"""The training loop: what it minimises, and what it refuses."""

import numpy as np
import pytest
from bowl import TARGET, bowl, run, start

from nodeedu import nn
from nodeedu.autodiff import Tensor
from nodeedu.autodiff.structure import tree_map


@pytest.mark.parametrize("kind", [nn.SGD, nn.RMSprop, nn.Adam])
def test_training_reaches_the_minimum_of_a_bowl(kind):
    result = run(bowl, start(), kind(nn.CosineDecay(0.1, 400)), 400)
    np.testing.assert_allclose(result.theta["x"], TARGET, atol=1e-3)  # the last steps are shorter than that


def test_mlp_on_tensors_learns_a_sine():
    mlp = nn.MLP((1, 16, 1))
    x = np.linspace(-3.0, 3.0, 40)[:, None]
    target = np.where(np.arange(40)[:, None] % 5 == 2, np.nan, np.sin(x))  # every fifth value is missing

    def loss_and_gradient(theta, step):
        tensors = tree_map(Tensor, theta)
        loss, _ = nn.mse(mlp.batch(x, tensors), target)
        loss.backward()
        return loss, tree_map(lambda leaf: leaf.grad, tensors)

    theta = run(loss_and_gradient, mlp.init(0), nn.Adam(nn.CosineDecay(0.1, 300)), 300).theta
    error = np.sqrt(np.mean((mlp.batch(x, theta) - np.sin(x)) ** 2))
    assert error < 0.1  # the mean of the data is off by 0.72, the best straight line by 0.41, this run by 0.05


def test_losses_belong_to_the_parameters_before_each_step():
    result = run(bowl, start(), nn.SGD(0.25), 2)
    assert list(result.losses) == [33.0, 8.25]  # each step halves the distance, and quarters the loss: exact


def test_theta_given_is_not_written_to():
    theta = tree_map(lambda x: x, start())
    theta["x"].setflags(write=False)
    run(bowl, theta, nn.Adam(0.1), 3)


def test_zero_steps_return_the_start():
    result = run(bowl, start(), nn.Adam(0.1), 0)
    assert (result.step, len(result.losses)) == (0, 0)


def test_best_parameters_are_those_of_the_lowest_loss():
    result = run(bowl, start(), nn.SGD(0.45, 0.9), 40, keep_best=True)  # overshoots again and again
    assert result.best_loss == result.losses.min()
    assert bowl(result.best_theta, 0)[0] == result.best_loss


def test_long_gradients_are_shortened():
    result = run(bowl, start(), nn.SGD(1.0), 1, max_norm=1e-3)
    moved = np.concatenate([result.theta["x"] - start()["x"], [result.theta["scale"][0] - 2.0]])
    assert np.linalg.norm(moved) == pytest.approx(1e-3, rel=1e-12)  # differences of numbers near 3: 1e-16 / 1e-3


def test_callback_sees_every_step():
    seen = []
    result = run(bowl, start(), nn.SGD(0.25), 3, callback=lambda step, theta, loss: seen.append((step, loss)))
    assert seen == list(zip([1, 2, 3], result.losses, strict=True))


def test_callback_ends_the_run():
    assert run(bowl, start(), nn.SGD(0.25), 9, callback=lambda step, theta, loss: loss < 10).step == 2


@pytest.mark.parametrize("loss", [np.nan, np.inf])
def test_loss_that_is_not_finite_names_its_step(loss):
    with pytest.raises(FloatingPointError, match=f"the loss of step 2 is {loss}: expected a finite number; lower lr"):
        run(lambda theta, step: (loss if step == 2 else 0.0, theta), start(), nn.SGD(0.1), 9)


def test_gradient_that_is_not_finite_names_its_step_and_leaf():
    def loss_and_gradient(theta, step):
        return 0.0, {"x": np.array([0.0, np.nan if step == 2 else 0.0]), "scale": (np.array(0.0),)}

    message = r"the gradient of theta\['x'\] in step 2 is nan or inf in 1 of 2 entries"
    with pytest.raises(FloatingPointError, match=message):
        run(loss_and_gradient, start(), nn.SGD(0.1), 9)


def test_errors_of_the_loss_carry_the_step():
    with pytest.raises(ZeroDivisionError) as caught:
        run(lambda theta, step: (1 / (step - 4), theta), start(), nn.SGD(0.1), 9)
    assert caught.value.__notes__ == ["after 4 training steps"]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"loss_and_gradient": lambda theta, step: 1.0}, TypeError, r"returned float: expected a pair"),
        ({"loss_and_gradient": lambda theta, step: (np.ones(2), theta)}, ValueError, r"loss of shape \(2,\)"),
        ({"loss_and_gradient": lambda theta, step: (1.0, (1.0,))}, ValueError, "gradient: got the leaves"),
        ({"theta": {"x": np.array([1.0, np.nan])}}, ValueError, r"theta\['x'\] holds nan or inf"),
        ({"theta": {"x": "abc"}}, TypeError, r"theta\['x'\] has dtype"),
        ({"steps": 2.5}, TypeError, "steps: got 2.5, expected an integer"),
        ({"steps": -1}, ValueError, "steps: got -1, expected at least 0"),
        ({"checkpoint_every": 0}, ValueError, "checkpoint_every: got 0, expected at least 1"),
        ({"resume": True}, ValueError, "resume=True: expected checkpoint=PATH"),
    ],
)
def test_bad_arguments_are_refused(arguments, error, message):
    defaults = {"loss_and_gradient": bowl, "theta": start(), "optimiser": nn.SGD(0.1), "steps": 3}
    with pytest.raises(error, match=message):
        run(**defaults | arguments)
