"""Training a flow by Adam: the loss of each kind of trace, and a look at fresh points now and then.

    exact          −mean log p(x), the trace exact
    hutchinson     the same, the trace estimated with one probe a point, drawn for each step and frozen in its solve
    flow-matching  mean squared distance of the field from the paths between noise and data; no solve at all

What is kept are the parameters of the best look. A look is on points that are not fitted, by likelihood in every case.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...fitting import DataError
from ...flows import CNF, rademacher
from ...flows.matching import matching_loss
from ...nn import MLP, Adam, CosineDecay, load_checkpoint, save_checkpoint, train
from ...nn.progress import Progress, duration
from ...sensitivity import odeint
from .model import FlowModel, neural_field
from .samples import Samples

TRACES = ("exact", "hutchinson", "flow-matching")
HIDDEN = 2  # layers
TOLERANCE = 1e-4  # of solves in training: its error is far below the scatter between batches
LEARNING_RATE = 1e-2  # at first; falls to 0 along a cosine
MAX_NORM = 5.0  # gradients are clipped to it
LOOKS = 20  # in a run

Say = Callable[[str], Any]


@dataclass(frozen=True)
class Recipe:
    """How a flow is trained.

    Parameters
    ----------
    trace : str
        One of `TRACES`.
    seed : int
        Of the initial weights, the batches and the noise.
    steps : int
    width : int
        Units of each hidden layer.
    batch : int
        Points of a step.
    rate : float
        Learning rate at first.
    """

    trace: str
    seed: int
    steps: int
    width: int
    batch: int
    rate: float = LEARNING_RATE


@dataclass(frozen=True)
class Look:
    """What was seen at a step.

    Parameters
    ----------
    step : int
    nll : float
        Mean negative log-likelihood of the watched points, in nats, in data units.
    evaluations : float
        Of the field, for a point on average, to carry watched points back to noise.
    seconds : float
        Of training, looks not counted.
    """

    step: int
    nll: float
    evaluations: float
    seconds: float


@dataclass(frozen=True, eq=False)
class Trained:
    """What `fit` returns: the model of the best look, all looks, and the loss of every step."""

    model: FlowModel
    looks: tuple[Look, ...]
    losses: NDArray[Any]

    @property
    def best(self) -> Look:
        """The look whose parameters were kept."""
        return min(self.looks, key=lambda look: look.nll)


@dataclass(frozen=True, eq=False)
class Files:
    """Where an unfinished run is kept: the optimiser's state, and what the looks have found."""

    folder: Path

    @property
    def run(self) -> Path:
        """What `nodeedu.nn.train` resumes from."""
        return self.folder / "training.npz"

    @property
    def looks(self) -> Path:
        """The looks so far, the parameters of the best, and the recipe."""
        return self.folder / "looks.npz"


def fit(
    samples: Samples, recipe: Recipe, files: Files | None = None, resume: bool = False, show: bool = True
) -> Trained:
    """Train a flow.

    Parameters
    ----------
    samples : Samples
    recipe : Recipe
    files : Files, optional
        Where to keep what an interrupted run is resumed from.
    resume : bool
        Go on with the run that is kept there.
    show : bool
        Report on stderr.

    Raises
    ------
    KeyboardInterrupt
        Ctrl-C was pressed; the run is kept.
    DataError
        The run that is kept there is of another recipe, or damaged.
    """
    theta = MLP((samples.dim, *[recipe.width] * HIDDEN, samples.dim), time=True).init(recipe.seed)
    model = initial_model(samples, recipe, theta)
    watcher = Watcher(samples, model, recipe, files, show)
    loss_and_gradient = objective(samples, model, recipe)
    watcher.begin(resume, lambda: loss_and_gradient(theta, 0))
    options: dict[str, Any] = {"max_norm": MAX_NORM, "progress": False, "callback": watcher}
    if files is not None:
        options |= {"checkpoint": files.run, "checkpoint_every": watcher.every, "resume": resume}
    optimiser = Adam(lr=CosineDecay(recipe.rate, recipe.steps))
    try:
        result = train(loss_and_gradient, theta, optimiser, recipe.steps, **options)
    except ValueError as error:
        if not resume:
            raise
        raise DataError(f"--resume: {error}") from None
    finally:
        watcher.progress.close()
    if result.interrupted:
        raise KeyboardInterrupt
    return Trained(replace(model, weights=watcher.kept), tuple(watcher.looks), result.losses)


def initial_model(samples: Samples, recipe: Recipe, theta: Any) -> FlowModel:
    """Make the model as it is before the first step."""
    to = samples.coordinates()
    about = (samples.name, samples.columns, dict(samples.units), samples.levels)
    return FlowModel(*about, to.mean, to.scale, theta, recipe.trace, recipe.seed)


def objective(samples: Samples, model: FlowModel, recipe: Recipe) -> Callable[[Any, int], tuple[float, Any]]:
    """Loss and gradient of a step, as `nodeedu.nn.train` wants them; likelihoods are in nats, in data units."""
    field = neural_field(model.weights)
    if recipe.trace == "flow-matching":

        def regression(theta: Any, step: int) -> tuple[float, Any]:
            x, rng = standard_batch(samples, model, recipe, step), np.random.default_rng([recipe.seed, step, 1])
            return matching_loss(field, theta, x, rng, coupling="optimal")

        return regression
    flow = CNF(field, trace=recipe.trace, rtol=TOLERANCE, atol=TOLERANCE)

    def likelihood(theta: Any, step: int) -> tuple[float, Any]:
        x = standard_batch(samples, model, recipe, step)
        noise = rademacher(x.shape, np.random.default_rng([recipe.seed, step, 1])) if flow.trace != "exact" else None
        loss, gradient = flow.nll_and_gradient(x, theta, noise, gradient="discrete")
        return loss - float(np.mean(model.coordinates.log_det(x))), gradient

    return likelihood


def standard_batch(samples: Samples, model: FlowModel, recipe: Recipe, step: int) -> NDArray[Any]:
    """Points of a step in the model's coordinates."""
    return model.coordinates.from_data(samples.batch(recipe.batch, recipe.seed, step))


class Watcher:
    """Looks at the flow now and then, keeps the best parameters, and reports; called after every step."""

    def __init__(self, samples: Samples, model: FlowModel, recipe: Recipe, files: Files | None, show: bool) -> None:
        self.model, self.recipe, self.files = model, recipe, files
        self.points = samples.noisy(samples.watched, 1)
        self.every = max(1, recipe.steps // LOOKS)
        self.looks: list[Look] = []
        self.kept: Any = model.weights
        self.show, self.progress = show, Progress(recipe.steps, 0, False)
        self.seconds, self.since = 0.0, time.perf_counter()

    def __call__(self, step: int, theta: Any, loss: float) -> None:
        """Report a step, and look if it is time."""
        self.progress.step(step, loss)
        if step % self.every and step != self.recipe.steps:
            return
        self.seconds += time.perf_counter() - self.since
        look = self.look(step, theta)
        if not self.looks or look.nll < min(each.nll for each in self.looks):
            self.kept = theta
        self.looks.append(look)
        left = (self.recipe.steps - step) * self.seconds / step
        line = f"step {step} of {self.recipe.steps}: loss {loss:.3f}, nll of points not fitted {look.nll:.3f} nats, "
        self.progress.say(line + f"{look.evaluations:.0f} evaluations, about {duration(left)} left")
        self._save()
        self.since = time.perf_counter()

    def look(self, step: int, theta: Any) -> Look:
        """Measure likelihood and cost of the parameters."""
        model = self.model
        x = model.coordinates.from_data(self.points)
        back = odeint(model.flow.field, x, np.array([1.0, 0.0]), theta, rtol=TOLERANCE, atol=TOLERANCE)
        nll = -float(np.mean(model.log_prob(self.points, theta, probes=1)))
        return Look(step, nll, float(np.mean(back.stats.nfev)), self.seconds)

    def begin(self, resume: bool, warm: Callable[[], Any]) -> None:
        """Compile by one call of ``warm`` and one look, then start the clock.

        With ``resume``, take up what the looks of the earlier run found.

        Raises
        ------
        DataError
            That run was of another recipe, or its files are damaged.
        """
        if resume and self.files is not None and self.files.run.exists():
            self._restore(self.files)
        self._save()
        first = self.looks[-1].step if self.looks else 0
        began = time.perf_counter()
        warm()
        self.look(0, self.model.weights)
        self.progress = Progress(self.recipe.steps, first, self.show)
        self.progress.say(f"compiled, or read from the cache, in {duration(time.perf_counter() - began)}")
        self.since = time.perf_counter()

    def _save(self) -> None:
        if self.files is not None:
            looks = [asdict(each) for each in self.looks]
            save_checkpoint(self.files.looks, {"looks": looks, "theta": self.kept, "recipe": asdict(self.recipe)})

    def _restore(self, files: Files) -> None:
        try:
            content = load_checkpoint(files.looks)
            recipe, looks = Recipe(**content["recipe"]), [Look(**each) for each in content["looks"]]
        except (OSError, ValueError, KeyError, TypeError):
            raise DataError(f"--resume: got a damaged {files.looks}, expected that of an unfinished run") from None
        if recipe != self.recipe:
            raise DataError(f"--resume: {files.looks} is of a run with {recipe}, expected {self.recipe}")
        made = len(load_checkpoint(files.run)["losses"])
        self.looks, self.kept = [look for look in looks if look.step <= made], content["theta"]
        self.seconds = self.looks[-1].seconds if self.looks else 0.0
