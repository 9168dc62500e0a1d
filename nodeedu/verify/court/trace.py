"""Claims of Hutchinson's estimate of the trace: mean and variance over seeds against those of each mistake."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .call import Fault, call, definition, vector
from .case import Case
from .judgement import Judgement
from .match import THRESHOLD
from .mistake import Mistake
from .mistakes import formulas, mistakes
from .mistakes_trace import VARIANCES

Array = NDArray[Any]
SECONDS = 1.5  # in which seeds are tried; at least FEWEST, at most MOST
FEWEST, MOST = 200, 20_000
SURE = 5.0  # standard errors: by chance once in two million
APART = 3.0  # by as many standard errors farther from the mean than another: e^-4.5 as likely, or less
SAME = 0.15  # relative difference of variances, several standard errors of a sample of a few hundred
REDRAWN = 40
WATCHED = 8


def judge_trace_estimate(c: Case, claim: Callable[..., Any], name: str) -> Judgement:
    """Judge ``(t, z, theta, seed) ->`` an estimate of tr J, the same for the same seed, with the mean tr J."""
    t, z, J = _place(c)
    hypotheses = [(m, float(mean(J))) for m, mean in formulas("trace_estimate")]
    truth = float(np.trace(J))

    def estimate(seed: int, t: float = t, z: Array = z) -> float:
        args = t, z.reshape(c.problem.field.shape), c.problem.theta, seed
        try:
            # What it does to its arguments shows in the first calls; a thousand more need not look for it.
            value = call(claim, *args) if seed < WATCHED else claim(*args)
        except Exception:
            value = call(claim, *args)
        return float(vector(value, (), claim, "the estimate")[0])

    scale = float(np.linalg.norm(J)) or 1.0
    unseen = tuple(m for m, mean in hypotheses if abs(mean - truth) < 1e-3 * scale)
    pairs = tuple((m, n) for i, (m, x) in enumerate(hypotheses) for n, y in hypotheses[:i]
                  if abs(x - y) < 1e-3 * scale and m not in unseen and _same_variance(m, n, J))  # fmt: skip
    marks: dict[str, Any] = {"hidden": unseen, "alike": pairs}
    if _redrawn(estimate, t, z, scale):
        wrong = mistakes()[REDRAWN]
        return Judgement(name, False, f"{wrong}. {wrong.says}", (wrong,), **marks)
    mean, error, count = _sample(estimate, truth, [x for _, x in hypotheses], scale)
    found = f"mean {mean:.4g} ± {error:.1g} over {count} seeds, tr J = {truth:.4g}"
    gaps = [abs(mean - x) / (error + THRESHOLD * scale) for _, x in hypotheses]
    gap = abs(mean - truth) / (error + THRESHOLD * scale)
    if gap < SURE and gap - min(gaps) < APART:
        return Judgement(name, True, f"right, {found}", (), abs(mean - truth) / scale, **marks)
    if error <= THRESHOLD * scale and count == FEWEST and len({estimate(seed) for seed in range(4)}) == 1:
        raise Fault(f"does not depend on the seed, and returned {mean:.6g} where tr J is {truth:.6g}",
                    definition(claim))  # fmt: skip
    near = [m for (m, _), each in zip(hypotheses, gaps, strict=True) if each < SURE and each - min(gaps) < APART]
    near = _of_that_variance(near, J, count * error**2)
    return Judgement(name, False, _sentence(near, found), tuple(near), abs(mean - truth) / scale, **marks)


def _of_that_variance(near: list[Mistake], J: Array, variance: float) -> list[Mistake]:
    """Return those of several mistakes that have the variance of the sample; all, if none has."""
    if len(near) < 2:
        return near
    known = [m for m in near if any(abs(variance / x - 1.0) < SAME for x in VARIANCES.get(m.number, _none)(J) if x > 0)]
    return known or near


def _same_variance(one: Mistake, other: Mistake, J: Array) -> bool:
    """Whether the noise of two mistakes may have one variance, so that no number of seeds tells them apart."""
    first, second = (VARIANCES.get(m.number, _none)(J) for m in (one, other))
    return any(abs(x - y) < 2 * SAME * y for x in first for y in second)


def _none(J: Array) -> tuple[float, ...]:
    return ()


def _sentence(near: list[Mistake], found: str) -> str:
    if not near:
        return f"wrong, by no mistake of the list: {found}"
    also = "".join(f"; {other} has the same mean here" for other in near[1:])
    return f"{near[0]}{also}: {found}. {near[0].says}"


def _place(c: Case) -> tuple[float, Array, Array]:
    """Return t, z and J near the path where the means of the mistakes are farthest apart, in standard deviations."""
    rng, best = np.random.default_rng(6), (-1.0, 0.0, c.problem.z0, np.zeros((c.D, c.D)))
    for t in np.linspace(*c.ends, 100):
        z = c.path.at(t) + 0.5 * rng.normal(size=c.D)
        J = c.problem.J(t, z)
        means = {round(float(mean(J)), 9) for _, mean in formulas("trace_estimate")} | {round(float(np.trace(J)), 9)}
        ordered = np.sort(list(means))
        gap = np.min(np.diff(ordered)) / (np.linalg.norm(J + J.T) + 1e-300) if len(ordered) > 2 else 0.0
        if np.isfinite(J).all() and gap > best[0]:
            best = (float(gap), float(t), z, J)
    return best[1], best[2], best[3]


def _redrawn(estimate: Callable[..., float], t: float, z: Array, scale: float) -> bool:
    """Whether the noise changes between two calls with one seed, at one place or at two that are next to each other."""
    for seed in range(4):
        first = estimate(seed)
        if estimate(seed) != first or abs(estimate(seed, t + 1e-8, z + 1e-8) - first) > 1e-4 * (scale + abs(first)):
            return True
    return False


def _sample(
    estimate: Callable[..., float], truth: float, means: list[float], scale: float
) -> tuple[float, float, int]:  # fmt: skip
    """Return mean, standard error and count of estimates, as soon as they single out one of the means."""
    values: list[float] = []
    begin = perf_counter()
    while True:
        values += [estimate(seed) for seed in range(len(values), max(FEWEST, 2 * len(values)))]
        mean, error = float(np.mean(values)), float(np.std(values) / np.sqrt(len(values)))
        others = [x for x in (truth, *means) if abs(x - mean) < 2 * SURE * error]
        apart = max(others, default=mean) - min(others, default=mean) <= 1e-3 * scale
        if apart or len(values) >= MOST or 2 * (perf_counter() - begin) > SECONDS:  # another round takes as long again
            return mean, error, len(values)
