"""The planar continuous normalising flow: many planar layers at once, of infinitesimal size, that change with time.

R. Chen et al., arXiv 1806.07366, section 4: where a planar flow has K layers in a row, the continuous one has M hidden
units side by side. The trace of a sum is the sum of the traces, so that width costs O(M), not O(M³).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..autodiff import sigmoid
from .base import generator_of, samples_of

Array = NDArray[Any]
Theta = dict[str, Any]
MOTION = 0.3


@dataclass(frozen=True)
class PlanarCNF:
    """The field of a planar CNF of width M with gates, or with all parameters made by a hypernetwork.

        dz/dt = Σ_m σ_m(t) u_m(t) tanh(w_m(t)·z + b_m(t)),    σ(t) = sigmoid(G τ(t) + e),    τ(t) = tanh(c t + d)

    The gates σ_m in (0, 1) are a small network of t alone, "that learns when the dynamic f_m(z) should be applied".
    With ``hypernetwork`` its hidden units τ (H,) move the other parameters as well, w(t) = w + W τ(t) and so on;
    without, w, b and u are constant. (arXiv 1806.07366, section 4, where a CNF has both.) A call
    ``planar(t, z, theta)`` is plain NumPy for one sample: ``ne.vector_field(planar, z0, theta)`` traces it, and `CNF`
    makes a density of it. The trace of ∂f/∂z is Σ_m σ_m u_m·w_m (1 − tanh²).

    The parameters are ``{"w": (M, D), "b": (M,), "u": (D, M), "gate": {"c", "d": (H,), "G": (M, H), "e": (M,)}}``
    as `init` makes them, with ``"motion": {"w": (M D, H), "b": (M, H), "u": (D M, H)}`` for a hypernetwork; without
    gates (``gates=0``) there are the first three alone, and the field does not depend on time.

    Parameters
    ----------
    dim : int
        D.
    width : int
        M.
    gates : int
        H, hidden units of the network of the gates; 0 for none.
    hypernetwork : bool
        Whether these hidden units move w, b and u, too.

    Raises
    ------
    ValueError
        ``dim`` or ``width`` is not a positive integer, ``gates`` a negative one, or there are none for a hypernetwork.
    """

    dim: int
    width: int
    gates: int = 8
    hypernetwork: bool = False

    def __post_init__(self) -> None:
        for name, least in (("dim", 1), ("width", 1), ("gates", 0)):
            n = getattr(self, name)
            if not isinstance(n, (int, np.integer)) or isinstance(n, bool) or n < least:
                raise ValueError(f"{name}: got {n!r}, expected an integer of at least {least}")
        if self.hypernetwork and not self.gates:
            raise ValueError("gates: got 0, expected hidden units for the hypernetwork")

    def init(self, seed: int | np.random.Generator, scale: float = 1.0) -> Theta:
        """Draw parameters.

        w, b standard normal; u normal with deviation ``scale``/√M, so that dz/dt has the same size at any width; gates
        half open at first, e = 0, with c and d normal with deviation 2 so that they can tell times in [0, 1] apart.
        What a hypernetwork adds has deviations `MOTION` times as large as those of what it is added to.

        Parameters
        ----------
        seed : int or numpy.random.Generator
            The same seed gives the same bits.
        scale : float
            Size of dz/dt.
        """
        rng = generator_of(seed)
        M, D, H = self.width, self.dim, self.gates
        theta: Theta = {
            "w": rng.normal(size=(M, D)),
            "b": rng.normal(size=M),
            "u": rng.normal(0.0, scale / np.sqrt(M), (D, M)),
        }
        if H:
            theta["gate"] = {
                "c": rng.normal(0.0, 2.0, H),
                "d": rng.normal(0.0, 2.0, H),
                "G": rng.normal(0.0, 1.0 / np.sqrt(H), (M, H)),
                "e": np.zeros(M),
            }
        if self.hypernetwork:
            small = MOTION / np.sqrt(H)
            theta["motion"] = {
                "w": rng.normal(0.0, small, (M * D, H)),
                "b": rng.normal(0.0, small, (M, H)),
                "u": rng.normal(0.0, small * scale / np.sqrt(M), (D * M, H)),
            }
        return theta

    def __call__(self, t: Any, z: Any, theta: Theta) -> Any:
        """Evaluate dz/dt (D,) for one sample z (D,) at time t."""
        w, b, u = theta["w"], theta["b"], theta["u"]
        if not self.gates:
            return u @ np.tanh(w @ z + b)
        gate = theta["gate"]
        tau = np.tanh(gate["c"] * t + gate["d"])
        if self.hypernetwork:
            motion = theta["motion"]
            w = w + (motion["w"] @ tau).reshape(w.shape)
            b = b + motion["b"] @ tau
            u = u + (motion["u"] @ tau).reshape(u.shape)
        return u @ (np.tanh(w @ z + b) * sigmoid(gate["G"] @ tau + gate["e"]))


def one_unit_solution(z0: ArrayLike, u: ArrayLike, w: ArrayLike, b: float, t: float = 1.0) -> tuple[Array, Array]:
    """Solve dz/dt = u tanh(w·z + b), the planar CNF of one unit without gate, in closed form (n2, n3).

    With y = w·z + b and κ = u·w the field is dy/dt = κ tanh y, hence sinh y(t) = e^{κt} sinh y(0), and

        z(t) = z(0) + u (y(t) − y(0))/κ,    log p(z(t)) − log p(z(0)) = −κt − log(cosh y(0)/cosh y(t)).

    Parameters
    ----------
    z0 : array_like (B, D)
    u, w : array_like (D,)
    b : float
    t : float

    Returns
    -------
    z : array (B, D)
        At time t.
    change : array (B,)
        log p(z(t)) − log p(z(0)) along the path.
    """
    u, w = np.asarray(u, np.float64), np.asarray(w, np.float64)
    z0 = samples_of(z0, len(w), "z0")
    kappa, y0 = u @ w, z0 @ w + b
    if kappa == 0.0:  # u lies in the plane where y is constant
        return z0 + t * np.tanh(y0)[:, None] * u, np.zeros(len(z0))
    growth, sinh, cosh = np.exp(kappa * t), np.sinh(y0), np.cosh(y0)
    cosh_t = np.sqrt(1.0 + (growth * sinh) ** 2)
    # asinh(growth sinh) − y(0) by the difference formula of asinh, in which nothing cancels for small κ
    step = np.arcsinh(sinh * np.expm1(2.0 * kappa * t) / (growth * cosh + cosh_t))
    return z0 + (step / kappa)[:, None] * u, -kappa * t - np.log(cosh / cosh_t)
