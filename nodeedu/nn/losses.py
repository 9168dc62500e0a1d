"""Losses with their derivatives: ``loss(prediction, target) -> (value, prediction_bar)``.

Each is a weighted mean over the observed entries, with ∂/∂prediction beside it, ready to be handed to `ne.gradients`:

    value = Σ_i w_i ℓ(e_i) / Σ_i w_i,    prediction_bar_i = w_i ℓ'(e_i) / Σ_j w_j,    e = prediction − target.

An entry whose target is nan is missing: its weight is 0. On a Tensor both results are Tensors, and
``value.backward()`` works.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike


def mse(prediction: Any, target: ArrayLike, weights: ArrayLike | None = None) -> tuple[Any, Any]:
    """Mean squared error: ℓ(e) = e², ℓ'(e) = 2 e.

    Parameters
    ----------
    prediction : array or Tensor
        Any shape.
    target : array_like
        The same shape; nan where nothing was observed.
    weights : array_like, optional
        Not negative, or a boolean mask; broadcast to the shape of the target. All 1 by default.

    Returns
    -------
    value : float
    prediction_bar : array
        ∂value/∂prediction, in the shape and dtype of the prediction; 0 where the target is missing.

    Raises
    ------
    ValueError
        The shapes differ, a weight is negative or not finite, or nothing is observed.
    """
    error, w = _errors_and_weights(prediction, target, weights)
    return _mean(w, error**2), w * 2.0 * error


def mae(prediction: Any, target: ArrayLike, weights: ArrayLike | None = None) -> tuple[Any, Any]:
    """Mean absolute error: ℓ(e) = |e|, ℓ'(e) = sign(e), 0 at e = 0.

    Parameters, results and errors are those of `mse`.
    """
    error, w = _errors_and_weights(prediction, target, weights)
    return _mean(w, np.abs(error)), w * np.sign(error)


def huber(
    prediction: Any, target: ArrayLike, weights: ArrayLike | None = None, *, delta: float = 1.0
) -> tuple[Any, Any]:
    """Huber's loss: ℓ(e) = e²/2 for |e| ≤ delta, else delta (|e| − delta/2); ℓ'(e) = e, cut at ±delta.

    An outlier pulls with a force of at most delta. P. Huber, "Robust estimation of a location parameter", Annals of
    Mathematical Statistics 35 (1964) 73-101.

    Parameters, results and errors are those of `mse`; ``delta``, in the units of the prediction, must be positive.
    """
    if not delta > 0.0:
        raise ValueError(f"delta: got {delta!r}, expected a positive number")
    error, w = _errors_and_weights(prediction, target, weights)
    cut = np.clip(error, -delta, delta)
    return _mean(w, cut * (error - 0.5 * cut)), w * cut


def gaussian_nll(prediction: Any, target: ArrayLike, std: Any, weights: ArrayLike | None = None) -> tuple[Any, Any]:
    """Negative log likelihood of normal errors: ℓ(e) = (e/std)²/2 + log(std) + log(2π)/2, ℓ'(e) = e/std².

    Parameters, results and errors are those of `mse`; ``std``, in the units of the prediction, is positive: a number,
    or an array that broadcasts to the target. Its unit enters the value through the logarithm.
    """
    if not hasattr(std, "record_primitive"):
        std = np.asarray(std, getattr(prediction, "dtype", np.float64))
        if not np.all(std > 0.0):
            raise ValueError(f"std: got {std}, expected positive numbers")
    error, w = _errors_and_weights(prediction, target, weights)
    scaled = error / std
    return _mean(w, 0.5 * scaled**2 + np.log(std) + 0.5 * math.log(2.0 * math.pi)), w * scaled / std


def _mean(w: Any, losses: Any) -> Any:
    """Sum over entries: w is normalised. A number for arrays, a Tensor for Tensors."""
    value = np.sum(w * losses)
    return value if hasattr(value, "record_primitive") else float(value)


def _errors_and_weights(prediction: Any, target: Any, weights: Any) -> tuple[Any, Any]:
    """Compute e, and w / Σ w with 0 where the target is missing."""
    if not hasattr(prediction, "record_primitive"):
        prediction = np.asarray(prediction)
        prediction = prediction if prediction.dtype.kind == "f" else prediction.astype(np.float64)
    target = np.asarray(target, prediction.dtype)
    if prediction.shape != target.shape:
        # Broadcasting (T, 1) against (T,) would make T² errors and say nothing.
        raise ValueError(f"prediction has shape {prediction.shape}, target {target.shape}: expected the same")
    w = np.asarray(~np.isnan(target), np.float64)
    if weights is not None:
        given = np.asarray(weights, np.float64)
        if not np.all((given >= 0.0) & (given < np.inf)):
            raise ValueError("weights: got a negative or non-finite entry, expected finite numbers >= 0, or a mask")
        try:
            w = w * np.broadcast_to(given, target.shape)
        except ValueError:
            expected = f"expected one that broadcasts to {target.shape}"
            raise ValueError(f"weights: got shape {given.shape}, {expected}") from None
    total = w.sum()
    if not total > 0.0:
        raise ValueError(f"target of shape {target.shape}: nothing is observed, all entries are nan or have weight 0")
    return prediction - np.where(w > 0.0, target, 0.0), np.asarray(w / total, prediction.dtype)
