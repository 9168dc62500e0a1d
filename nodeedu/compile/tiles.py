"""Matrix products over a tile of samples, compiled once for all emitted modules."""

from __future__ import annotations

import numpy as np

from .build import ELEMENTARY_FLAGS, jit


@jit(**ELEMENTARY_FLAGS)
def product(x, matrix, out):
    """Compute ``out = x @ matrix``: samples (m, K) times a block of p (K, N)."""
    np.dot(x, matrix, out)


@jit(**ELEMENTARY_FLAGS)
def accumulate(u, v, scratch, p_bar):
    """Add Σ_b u_b v_bᵀ over the samples of a tile to a block of p_bar."""
    np.dot(u.T, v, scratch)
    flat = scratch.reshape(scratch.size)
    for i in range(flat.size):
        p_bar[i] += flat[i]
