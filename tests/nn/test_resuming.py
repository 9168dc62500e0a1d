"""Training that is interrupted and resumed: a pause leaves no trace."""

import subprocess
import sys
from functools import partial

import numpy as np
import pytest
from bowl import bits, bowl, noisy_bowl, run, start

from nodeedu import nn

OPTIMISERS = [nn.SGD(0.1, 0.9), nn.RMSprop(0.01), nn.Adam(nn.CosineDecay(0.1, 20))]


@pytest.mark.parametrize("pause", [1, 10, 17])
@pytest.mark.parametrize("optimiser", OPTIMISERS, ids=repr)
def test_resumed_run_ends_with_the_bits_of_an_uninterrupted_one(tmp_path, optimiser, pause):
    options = {"keep_best": True, "checkpoint_every": 5}
    rng = np.random.default_rng(3)
    whole = run(noisy_bowl(rng), start(), optimiser, 20, rng=rng, **options)
    path, rng = tmp_path / "run.npz", np.random.default_rng(3)
    run(noisy_bowl(rng), start(), optimiser, pause, rng=rng, checkpoint=path, **options)
    rng = np.random.default_rng(99)  # the checkpoint knows better
    options |= {"checkpoint": path, "resume": True}
    resumed = run(noisy_bowl(rng), start(), optimiser, 20, rng=rng, **options)
    assert bits(resumed) == bits(whole)


def interrupted_once(loss_and_gradient, at, error):
    """The same function, which is interrupted at its end in one step."""
    done = []

    def interrupting(theta, step):
        result = loss_and_gradient(theta, step)
        if step == at and not done:
            done.append(step)
            raise error
        return result

    return interrupting


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError("the network is down")], ids=["Ctrl-C", "an error"])
def test_run_resumed_after_a_broken_step_has_the_bits_of_an_uninterrupted_one(tmp_path, error):
    optimiser, path = nn.Adam(0.1), tmp_path / "run.npz"
    rng = np.random.default_rng(3)
    whole = run(noisy_bowl(rng), start(), optimiser, 20, rng=rng)
    rng = np.random.default_rng(3)
    broken = interrupted_once(noisy_bowl(rng), 7, error)  # after it has drawn from rng
    options = {"rng": rng, "checkpoint": path, "resume": True}
    if isinstance(error, KeyboardInterrupt):
        run(broken, start(), optimiser, 20, **options)
    else:
        with pytest.raises(OSError, match="the network is down"):
            run(broken, start(), optimiser, 20, **options)
    assert nn.load_checkpoint(path)["step"] == 7
    assert bits(run(broken, start(), optimiser, 20, **options)) == bits(whole)


def test_callback_may_draw_from_the_same_generator(tmp_path):
    def draw(rng, step, theta, loss):
        rng.normal()

    def trained(pauses):
        rng, path = np.random.default_rng(3), tmp_path / f"{len(pauses)}.npz"
        for steps in (*pauses, 9):
            options = {"rng": rng, "callback": partial(draw, rng), "checkpoint": path, "resume": True}
            result = run(noisy_bowl(rng), start(), nn.SGD(0.1), steps, **options)
            rng = np.random.default_rng(99)  # the checkpoint knows better
        return result

    assert bits(trained([4])) == bits(trained([]))


def test_interrupted_run_returns_what_it_reached():
    result = run(interrupted_once(bowl, 3, KeyboardInterrupt()), start(), nn.SGD(0.25), 9)
    assert result.interrupted
    assert list(result.losses) == list(run(bowl, start(), nn.SGD(0.25), 3).losses)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGINT to a process")
def test_ctrl_c_in_a_process_saves_and_says_so(tmp_path):
    script = f"""
import os, signal, numpy as np
from nodeedu import nn
from nodeedu.autodiff import Tensor
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background may have been told to ignore it
def f(theta, step):
    if step == 5:
        os.kill(os.getpid(), signal.SIGINT)
    return theta @ theta, 2 * theta
print(nn.train(f, np.ones(2), nn.SGD(0.1), 9, checkpoint={str(tmp_path / "run.npz")!r}).step)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert int(done.stdout) == nn.load_checkpoint(tmp_path / "run.npz")["step"]
    assert "interrupted after" in done.stderr
    assert "resume=True continues" in done.stderr


def test_existing_checkpoint_is_not_overwritten_unasked(tmp_path):
    path = tmp_path / "run.npz"
    run(bowl, start(), nn.Adam(0.1), 3, checkpoint=path)
    with pytest.raises(FileExistsError, match=r"run\.npz exists; pass resume=True to continue that run, or remove"):
        run(bowl, start(), nn.Adam(0.1), 3, checkpoint=path)


def test_run_that_failed_before_its_first_step_leaves_no_checkpoint(tmp_path):
    with pytest.raises(FloatingPointError):
        run(lambda theta, step: (np.nan, theta), start(), nn.Adam(0.1), 3, checkpoint=tmp_path / "run.npz")
    assert list(tmp_path.iterdir()) == []


def test_finished_run_is_not_run_again(tmp_path):
    path = tmp_path / "run.npz"
    first = run(bowl, start(), nn.Adam(0.1), 3, checkpoint=path)
    again = run(None, start(), nn.Adam(0.1), 3, checkpoint=path, resume=True)
    assert bits(again) == bits(first)


@pytest.mark.parametrize(
    ("theta", "optimiser", "message"),
    [
        ({"x": np.ones(3), "scale": (np.array(2.0),)}, nn.Adam(0.1), r"it has theta\['x'\] float64\(2,\)"),
        (start(), nn.SGD(0.1), r"expected state\['step'\], state\['u'\]"),
    ],
    ids=["other shapes", "other optimiser"],
)
def test_checkpoint_of_another_run_is_refused(tmp_path, theta, optimiser, message):
    run(bowl, start(), nn.Adam(0.1), 3, checkpoint=tmp_path / "run.npz")
    with pytest.raises(ValueError, match=message):
        run(bowl, theta, optimiser, 5, checkpoint=tmp_path / "run.npz", resume=True)


def test_random_generator_cannot_be_forgotten_when_resuming(tmp_path):
    run(bowl, start(), nn.Adam(0.1), 3, checkpoint=tmp_path / "run.npz", rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match="written by a run with one; expected the same"):
        run(bowl, start(), nn.Adam(0.1), 5, checkpoint=tmp_path / "run.npz", resume=True)


def test_file_that_holds_no_run_is_refused(tmp_path):
    nn.save_checkpoint(tmp_path / "model.npz", {"theta": start()})
    with pytest.raises(ValueError, match=r"model\.npz has no state; expected one that nodeedu\.nn\.train wrote"):
        run(bowl, start(), nn.Adam(0.1), 5, checkpoint=tmp_path / "model.npz", resume=True)
