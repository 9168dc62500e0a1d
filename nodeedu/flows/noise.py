"""Hutchinson's estimate of a trace, and the noise for it.

    tr J = E[vᵀ J v]  for any noise with mean 0 and covariance I                      (labels j1, j3)

The variance of one draw, with S = (J + Jᵀ)/2, is 2(‖S‖² − Σ S_ii²) for signs and 2‖S‖² for normal numbers: signs are
never worse, as the diagonal costs them nothing (j2, j4). M. F. Hutchinson, Commun. Stat. Simul. Comput. 19 (1990) 433;
H. Avron and S. Toledo, J. ACM 58 (2011) 8.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nodeedu.solvers.checks import real_array

Array = NDArray[Any]
Shape = int | tuple[int, ...]


def rademacher(shape: Shape, seed: int | np.random.Generator) -> Array:
    """Draw signs, −1 or 1 with equal probability.

    Parameters
    ----------
    shape : int or tuple of int
        (B, D) for one probe a sample, (B, K, D) for K probes.
    seed : int or Generator
        The same seed gives the same signs.

    Returns
    -------
    array
        float64.
    """
    return 2.0 * np.random.default_rng(seed).integers(0, 2, shape) - 1.0


def gaussian(shape: Shape, seed: int | np.random.Generator) -> Array:
    """Draw standard normal numbers; arguments as of `rademacher`."""
    return np.random.default_rng(seed).standard_normal(shape)


def hutchinson_trace(field: Any, t: float | ArrayLike, z: ArrayLike, theta: Any, noise: ArrayLike) -> Array:
    """Estimate tr ∂f/∂z for every sample by vᵀ J v, averaged over the probes.

    Parameters
    ----------
    field : field
        Traced or hand-written.
    t : float or array (B,)
        Time, shared or of each sample.
    z : array (B, D)
        States.
    theta : object
        Parameters.
    noise : array (B, D) or (B, K, D)
        v: one probe for each sample, or K.

    Returns
    -------
    array (B,)

    Raises
    ------
    TypeError
        The field has no derivatives.
    ValueError
        A shape is wrong.
    """
    if not hasattr(field, "kernel"):
        raise TypeError(f"field: got {field!r}, which has no derivatives; make one with ne.vector_field(f, z, theta)")
    states = real_array("z", z)
    dtype, size = states.dtype, field.size
    if states.ndim < 1 or states.shape[1:] != field.shape:
        raise ValueError(f"z: got shape {states.shape}, expected {('B', *field.shape)}")
    rows = np.array(states, order="C").reshape(-1, size)
    probes = probes_of(noise, len(rows), size).astype(dtype)
    times = np.ascontiguousarray(np.broadcast_to(np.asarray(t, np.float64), len(rows)))
    kernel, p = field.kernel("vjp_z", dtype), field.pack(theta, dtype)
    dz, v_J, work = np.empty_like(rows), np.empty_like(rows), np.empty(kernel.work_size, dtype)
    total = np.zeros(len(rows), dtype)
    for k in range(probes.shape[1]):
        v = np.ascontiguousarray(probes[:, k])
        kernel.function(times, rows, v, p, dz, v_J, work)
        total += np.einsum("bi,bi->b", v_J, v)
    return total / probes.shape[1]


def probes_of(noise: ArrayLike, samples: int, size: int) -> Array:
    """Check noise and return it as (B, K, D).

    Raises
    ------
    ValueError
        The shape is wrong, or an entry is not finite.
    """
    array = real_array("noise", noise)
    probes = array[:, None] if array.ndim == 2 else array
    if probes.ndim != 3 or probes.shape[::2] != (samples, size) or not probes.shape[1]:
        raise ValueError(
            f"noise: got shape {array.shape}, expected {(samples, size)}, one probe for each sample, "
            f"or {(samples, 'K', size)}: ne.flows.rademacher({(samples, size)}, seed)"
        )
    if not np.isfinite(probes).all():
        raise ValueError("noise: got nan or infinite entries, expected finite numbers")
    return probes
