"""Continuous normalising flows: mean negative log-likelihood of a batch and its gradient in the parameters.

The field is W3 tanh(W2 tanh(W1 (z, t) + b1) + b2) + b3 with 64 hidden units, from t = 1 back to 0, dopri5 with rtol and
atol 1e-5, float64, one thread; the adjoint is solved backwards.

exact        D = 2, batch 512: the trace of the Jacobian itself. torchdiffeq takes its D rows by autograd, as FFJORD's
             published code does; diffrax its columns by forward mode.
hutchinson   D = 64, batch 256: v J v with signs v, frozen for the solve.

The peers solve the batch as one system, which is where diffrax is fastest by far; ours gives each sample its own steps.
The reference is ours at a tolerance of 1e-10, backpropagated through the steps.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

import nodeedu as ne
from benchmarks import harness
from benchmarks.tables import Row, judge, table
from nodeedu import flows

HIDDEN = 64
TOLERANCE = 1e-5
LARGEST_ERROR = 2e-3  # of gradients solved to 1e-5 a step; a wrong or missing term shows in the first digits

PEERS = {"torchdiffeq": "benchmarks.flows_torchdiffeq", "diffrax": "benchmarks.flows_diffrax"}
METHODS = {"torchdiffeq": "adjoint", "diffrax": "backsolve"}
TARGETS = {("exact", "torchdiffeq"): 4.0, ("exact", "diffrax"): 1.3, ("hutchinson", "diffrax"): 1.5}


@dataclass(frozen=True)
class Likelihood:
    """A batch whose mean negative log-likelihood is wanted, and its gradient.

    Parameters
    ----------
    trace : {"exact", "hutchinson"}
    x, noise : ndarray, shape (B, D)
    theta : tuple of ndarray
        W1 (H, D + 1), b1, W2 (H, H), b2, W3 (D, H), b3.
    """

    trace: str
    x: np.ndarray
    noise: np.ndarray
    theta: tuple[np.ndarray, ...]


def field(t, z, theta):
    """f(t, z) of one sample."""
    W1, b1, W2, b2, W3, b3 = theta
    h = np.tanh(W1 @ np.concatenate([z, np.reshape(t, (1,))]) + b1)
    return W3 @ np.tanh(W2 @ h + b2) + b3


def likelihood(trace: str) -> Likelihood:
    """One of the two workloads."""
    rng, (size, samples) = np.random.default_rng(0), {"exact": (2, 512), "hutchinson": (64, 256)}[trace]
    widths = (size + 1, HIDDEN, HIDDEN, size)
    layers = [(rng.normal(size=(n, m)) / np.sqrt(m), 0.1 * rng.normal(size=n)) for m, n in pairwise(widths)]
    x = 1.5 * rng.normal(size=(samples, size))
    return Likelihood(trace, x, flows.rademacher(x.shape, 1), tuple(leaf for layer in layers for leaf in layer))


def ours(problem: Likelihood, gradient: str, tolerance: float = TOLERANCE) -> Callable[[], Any]:
    """The work in nodeedu: () -> (nll, gradient)."""
    traced = ne.vector_field(field, problem.x[0], problem.theta)
    flow = flows.CNF(traced, trace=problem.trace, rtol=tolerance, atol=tolerance)
    noise = None if problem.trace == "exact" else problem.noise
    return lambda: flow.nll_and_gradient(problem.x, problem.theta, noise, gradient)


def error(result: Any, reference: Any) -> float:
    """Largest error of the gradient, relative to its largest entry."""
    got, expected = (np.concatenate([np.ravel(leaf) for leaf in each[1]]) for each in (result, reference))
    return float(np.abs(got - expected).max() / np.abs(expected).max())


def compare(problem: Likelihood, peers: tuple[str, ...], repetitions: int) -> list[Row]:
    """Check every contender against the reference, then time all in turn."""
    works = {f"nodeedu {gradient}": ours(problem, gradient) for gradient in flows.cnf.GRADIENTS}
    to_numpy: dict[str, Callable[[Any], Any]] = {}
    for peer in peers:
        module, name = importlib.import_module(PEERS[peer]), f"{peer} {METHODS[peer]}"
        works[name], to_numpy[name] = module.work(problem, TOLERANCE), module.arrays
    reference = ours(problem, "discrete", 1e-10)()
    errors = {name: error(to_numpy.get(name, lambda result: result)(work()), reference) for name, work in works.items()}
    harness.check(errors, LARGEST_ERROR)
    seconds = harness.measure(works, repetitions)
    rows = []
    for name in works:
        row = {"name": name, "median_ms": 1e3 * seconds[name], "error": errors[name]}
        if name in to_numpy:
            ratio, target = seconds[name] / seconds["nodeedu backsolve"], TARGETS.get((problem.trace, name.split()[0]))
            row |= {"times_ours": ratio, **judge(ratio, at_least=target)}
        rows.append(row)
    return rows


def run(options: argparse.Namespace, peers: tuple[str, ...]) -> list[Row]:
    """Check, time, print, and return the rows."""
    found = []
    for trace in ("exact", "hutchinson"):
        problem = likelihood(trace)
        print(f"trace {trace}: D = {problem.x.shape[1]}, batch {len(problem.x)}")
        rows = compare(problem, peers, 3 if options.quick else 11)
        print(table(rows), end="\n\n")
        found += [row | {"trace": trace} for row in rows]
    return found
