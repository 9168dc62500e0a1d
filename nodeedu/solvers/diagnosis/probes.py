"""Questions that the failure microscope puts to a vector field: its spectrum, its noise, its jumps, its growth."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from nodeedu.solvers.diagnosis.trail import Slopes

Array = np.ndarray

WHOLE_JACOBIAN = 64  # components; beyond, a Krylov space of half as many vectors
KRYLOV = 32
HALVINGS = 80  # more than the bits of a float64
NOISE_POINTS = 9
THIN = 0.2  # growth of ln|f| between two points of a fit: accurate solves make many steps for each


# ---------------------------------------------------------------- spectrum and stability


def eigenvalues(f: Slopes, t: float, z: Array, h: float) -> Array:
    """Return eigenvalues of the Jacobian at (t, z) by forward differences: all, or for large D the outermost.

    The differences are small against the state or, where it is zero, against its change in a step of size h.

    For large D they are Ritz values of Arnoldi's method (Golub & Van Loan, Matrix Computations, 10.5), which finds the
    outermost eigenvalues first: just those that limit the step size.
    """
    f0, size = f(t, z), len(z)
    scale = max(float(abs(z).max()), min(float(abs(h * f0).max()), 1.0), 1e-8)
    with np.errstate(all="ignore"):
        if size <= WHOLE_JACOBIAN:
            steps = 1e-7 * np.maximum(abs(z), 1e-3 * scale)
            jacobian = np.stack([(f(t, z + step) - f0) / step[i] for i, step in enumerate(np.diag(steps))], axis=1)
            return np.linalg.eigvals(jacobian) if np.isfinite(jacobian).all() else np.empty(0)
        step = 1e-7 * scale * math.sqrt(size)
        return _ritz_values(lambda v: (f(t, z + step * v) - f0) / step, size)


def _ritz_values(multiply: Callable[[Array], Array], size: int) -> Array:
    """Return the eigenvalues of V^T J V for an orthonormal basis V of a Krylov space."""
    V, H = np.zeros((KRYLOV + 1, size)), np.zeros((KRYLOV + 1, KRYLOV))
    start = np.random.default_rng(0).normal(size=size)  # has a part in every eigenvector, whatever the symmetry
    V[0] = start / np.linalg.norm(start)
    for j in range(KRYLOV):
        w = multiply(V[j])
        if not np.isfinite(w).all():
            return np.empty(0)
        for _ in range(2):  # twice is enough for orthogonality
            projection = V[: j + 1] @ w
            H[: j + 1, j] += projection
            w = w - projection @ V[: j + 1]
        H[j + 1, j] = np.linalg.norm(w)
        if H[j + 1, j] <= 1e-10 * abs(H[: j + 1, j]).max():
            return np.linalg.eigvals(H[: j + 1, : j + 1])
        V[j + 1] = w / H[j + 1, j]
    return np.linalg.eigvals(H[:-1])


class Stability(NamedTuple):
    """How a step of size h lies in the stability region, for the eigenvalue that lies farthest out in it."""

    eigenvalue: complex
    limit: float  # the largest |h lambda| in its direction for which the method is stable
    ratio: float  # |h lambda| / limit; beyond 1 the step is unstable


def stability(spectrum: Array, h: float, tableau: Any) -> Stability | None:
    """Compare h lambda with the stability region ``|R(h lambda)| <= 1``, R(x) = 1 + sum_j b A^j 1 x^(j+1).

    Only eigenvalues that decay in the direction of h count: where a solution grows, so must the numbers.
    """
    ones = np.ones(tableau.stages)
    powers = [1.0]
    for _ in range(tableau.stages):
        powers.append(float(tableau.b @ ones))
        ones = tableau.A @ ones
    radii = np.linspace(0.01, 40.0, 4000)
    found = None
    for eigenvalue in spectrum:
        x = complex(eigenvalue) * math.copysign(1.0, h)
        if x.real > 0.05 * abs(x) or x == 0:  # a twentieth: finite differences blur purely imaginary ones
            continue
        unstable = abs(np.polyval(powers[::-1], radii * x / abs(x))) > 1.0 + 1e-9
        limit = float(radii[np.argmax(unstable)]) if unstable.any() else math.inf
        ratio = abs(h * x) / limit
        if found is None or ratio > found.ratio:
            found = Stability(complex(eigenvalue), limit, ratio)
    return found


def implicit_steps(f: Slopes, t: float, z: Array, t1: float, h: float, rtol: float, atol: Any, most: int) -> int | None:
    """Return how many steps Radau IIA of order 5 needs from t to t1, or None if more than so many."""
    from scipy.integrate import Radau

    if not np.isfinite(f(t, z)).all():
        return None
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            solver = Radau(f, t, z.copy(), t1, rtol=max(rtol, 1e-12), atol=atol, first_step=min(abs(h), abs(t1 - t)))
            for count in range(1, most + 1):
                solver.step()
                if solver.status == "finished":
                    return count
                if solver.status == "failed":
                    return None
        except (ValueError, np.linalg.LinAlgError):  # a Jacobian that is not finite
            return None
    return None


# ---------------------------------------------------------------- noise


def noise(f: Slopes, t: float, z: Array, h: float, eps: float) -> Array:
    """Return the noise (D,) of the slopes near (t, z): round-off of all kinds, and whatever else is not smooth.

    High differences of a smooth function over close points vanish; those of noise of size s do not: the mean square of
    the k-th is ``s^2 (2k)! / k!^2`` (Hamming, Introduction to Applied Numerical Analysis; Moré & Wild, SIAM J. Sci.
    Comput. 33 (2011) 1292, ECnoise). The points lie along the solution; each is moved by one rounding of its state, as
    are the states of stages.
    """
    f0, rng = f(t, z), np.random.default_rng(0)
    spacing = math.copysign(max(1e-3 * abs(h), 8 * np.spacing(abs(t))), h)
    shifts = spacing * np.arange(-(NOISE_POINTS // 2), NOISE_POINTS - NOISE_POINTS // 2)
    moved = [z + s * f0 + eps * abs(z) * rng.choice([-1.0, 1.0], len(z)) for s in shifts]
    table = np.stack([f(t + s, each) for s, each in zip(shifts, moved, strict=True)])
    k = 5
    differences = np.diff(table, k, axis=0)
    return np.sqrt((differences**2).mean(axis=0) * math.factorial(k) ** 2 / math.factorial(2 * k))


# ---------------------------------------------------------------- jumps


class Jump(NamedTuple):
    """A jump of the slope."""

    t: float
    component: int
    size: float  # of the jump of that component
    scaled: float  # the largest jump of a component, in units of its tolerance
    in_time: bool  # it comes with t; else with the state


def find_jump(f: Slopes, t: float, z: Array, f0: Array, h: float, scale: Array) -> Jump | None:
    """Look for a jump of the slope on the line from (t, z) to (t + h, z + h f0), by bisection.

    The half with the larger difference of slopes is halved on and on, until its ends are neighbouring numbers. At a
    jump the difference across is then much larger than the differences beside it, over stretches 1000 times as long;
    at a pole, a kink or a root it is not, nor in noise.
    """

    def point(s: float) -> tuple[float, Array]:
        return t + s * h, z + s * h * f0

    def g(s: float) -> Array:
        return f(*point(s)) / scale

    def gap(u: Array, v: Array) -> float:
        value = abs(v - u).max()
        return float(value) if value == value else math.inf

    knots = np.linspace(0.0, 1.0, 17)
    values = [g(s) for s in knots]
    k = int(np.argmax([gap(values[i], values[i + 1]) for i in range(16)]))
    a, b, ga, gb = knots[k], knots[k + 1], values[k], values[k + 1]
    for _ in range(HALVINGS):
        m = 0.5 * (a + b)
        if not a < m < b or all(_same(point(m), point(end)) for end in (a, b)):
            break
        gm = g(m)
        if gap(ga, gm) >= gap(gm, gb):
            b, gb = m, gm
        else:
            a, ga = m, gm
    return _judge_jump(f, point, g, gap, a, b, float(np.spacing(abs(t)) / abs(h)), scale)


def _same(p: tuple[float, Array], q: tuple[float, Array]) -> bool:
    return p[0] == q[0] and bool((p[1] == q[1]).all())


def _judge_jump(
    f: Slopes, point: Any, g: Any, gap: Any, a: float, b: float, least: float, scale: Array
) -> Jump | None:  # fmt: skip
    """See `find_jump`; a and b are the ends of the last half, and `least` the distance of two neighbouring times.

    The ends move apart, off the jump itself: sign(0) is 0.
    """
    width = max(b - a, least)
    a, b = a - 2.0 * width, b + 2.0 * width
    ga, gb = g(a), g(b)
    across = gap(ga, gb)
    beside = max(max(gap(g(a - far), ga), gap(gb, g(b + far))) for far in width * np.array([30.0, 300.0, 1000.0]))
    if not (0.0 < across < math.inf and across > 10.0 * beside):
        return None
    (ta, za), (tb, zb) = point(a), point(b)
    component = int(np.argmax(abs(gb - ga)))
    in_time = ta != tb and gap(f(tb, za) / scale, gb) < gap(f(ta, zb) / scale, gb)
    return Jump(tb, component, float(abs(gb - ga)[component] * scale[component]), across, bool(in_time))


# ---------------------------------------------------------------- growth


class BlowUp(NamedTuple):
    """A fit of ``|f| ~ (T - t)^(-exponent)``."""

    remaining: float  # T minus the end of the trail, signed
    exponent: float
    decades: float  # over which T - t shrank within the fit


def fit_blow_up(h: Array, f_size: Array, end_t: float) -> BlowUp | None:
    """Fit a power of the remaining time to sizes of slopes (n + 1,) at both ends of the steps (n,); None if it is none.

    With ``L = d ln|f| / dt`` it is ``1/L = (T - t) / exponent``: linear in t, and zero at T. Exponential growth has
    a constant L.
    """
    distance = np.append(np.cumsum(abs(h[::-1]))[::-1], 0.0)  # to the end of the trail
    size = np.log(np.maximum(f_size, 1e-300))
    # The size of steps of a few spacings is round-off itself.
    nodes = np.flatnonzero(np.append(True, abs(h) > 64 * np.spacing(abs(end_t))) & np.isfinite(size))
    lowest = np.minimum.accumulate(size[nodes[::-1]])[::-1]
    nodes = nodes[size[nodes] < np.append(lowest[1:], math.inf)]  # those after which all are larger: noise falls out
    nodes = nodes[np.diff(np.floor(size[nodes] / THIN), append=math.inf) > 0][-100:]
    if len(nodes) < 8:  # points for two numbers
        return None
    x, y = distance[nodes], size[nodes]
    inverse, middle = np.diff(x) / -np.diff(y), 0.5 * (x[1:] + x[:-1])
    # 1/L = offset + slope * middle with relative residuals, so that all decades count alike
    unit = inverse.min()  # without units, the two columns may be 16 decades apart
    rows = np.stack([unit / inverse, middle / inverse], axis=1)
    (offset, slope), *_ = np.linalg.lstsq(rows, np.ones(len(rows)))
    if not slope > 0.02:  # an exponent beyond 50 is exponential growth
        return None
    remaining = max(offset * unit / slope, 0.0)
    x, y = np.log(x[x + remaining > 0] + remaining), y[x + remaining > 0]
    minus_exponent, constant = np.polyfit(x, y, 1)
    decades, wiggles = np.ptp(x) / math.log(10.0), np.std(y - constant - minus_exponent * x) / np.std(y)
    # Over two decades and more: over one, the flank of a smooth hill looks like a power, too.
    fits = decades > 2.0 and np.ptp(y) > math.log(10.0) and -50.0 < minus_exponent < -0.2 and wiggles < 0.2
    return BlowUp(float(remaining), float(-minus_exponent), float(decades)) if fits else None
