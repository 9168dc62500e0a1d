"""Errata of lecture slides by O. Mogren."""

from __future__ import annotations

import numpy as np

from ..equations.k_duality import moved, nudge
from ..equations.paths import adjoint, end_gradient, end_theta_gradient, ends, middle, state
from ..problem import Problem
from . import limits, solving
from .erratum import Array, Bounds, Erratum, Orders, Values
from .working import adjoint_slope, back, gauss, theta_gradient

SOURCE = "O. Mogren, Neural ordinary differential equations (lecture slides)"
CHEN = "R. T. Q. Chen et al., Neural Ordinary Differential Equations, arXiv 1806.07366"
STANDARD = "M and V, loss at the last time"
RADIUS = 0.5  # of a circle in the plane of the first two components


def wrong_sign(P: Problem) -> Array:
    """Return a(t0) with the sign of the slides."""
    return back(P, lambda t, z, a: a @ P.J_by_steps(t, z))


def around(P: Problem) -> float:
    """Return the work of f around a circle, by the trapezium rule, which is exact to rounding here."""
    t, total, n = middle(P), 0.0, 96
    for angle in 2 * np.pi * np.arange(n) / n:
        tangent = np.array([-np.sin(angle), np.cos(angle)])
        total += P.f(t, on_circle(P, RADIUS, angle))[:2] @ tangent * RADIUS * 2 * np.pi / n
    return total


def curl_inside(P: Problem) -> float:
    """Return the integral of the curl ``J_21 - J_12`` over the disc."""
    t, n = middle(P), 32

    def ring(radius: float) -> float:
        Js = [P.J_by_steps(t, on_circle(P, radius, angle)) for angle in 2 * np.pi * np.arange(n) / n]
        return sum(J[1, 0] - J[0, 1] for J in Js) * radius * 2 * np.pi / n

    return gauss(ring, 0.0, RADIUS, 12)


def on_circle(P: Problem, radius: float, angle: float) -> Array:
    """Return a point around the state in the middle of the path."""
    z = state(P, middle(P)).copy()
    z[:2] += radius * np.cos(angle), radius * np.sin(angle)
    return z


def remainder(P: Problem, h: float = 0.1) -> Array:
    """Return ``(z(t + h) - z - h f) / h`` from Taylor's formula with its integral."""
    t = ends(P)[0]

    def integrand(s: float) -> Array:
        z = P.flow(t, s, P.z0)
        return (t + h - s) * (P.f_t_by_steps(s, z) + P.J_by_steps(s, z) @ P.f(s, z))

    return gauss(integrand, t, t + h, 8) / h


ADJOINTS = (
    Erratum(
        "mogren-adjoint-sign", SOURCE, "slide “How to train the ODENet”",
        r"$\frac{\partial a(t)}{\partial t} = a(t) \frac{\partial f}{\partial z}$",
        r"$\frac{da}{dt} = -a \frac{\partial f}{\partial z}$",
        "The minus is missing. With it the product of the adjoint and a tangent, $a\\,\\delta z$, is constant in time, "
        "as a change of the loss must be; without it the product drifts.",
        CHEN + ", eq. (4) and (35)", STANDARD,
        (Values("a(t0)", wrong_sign, lambda P: back(P, adjoint_slope(P)), lambda P: adjoint(P, ends(P)[0])),
         Values("a dz at t0, which is a dz at t1",
                lambda P: wrong_sign(P) @ nudge(P), lambda P: back(P, adjoint_slope(P)) @ nudge(P),
                lambda P: end_gradient(P) @ moved(P, ends(P)[1]))),
    ),
    Erratum(
        "mogren-theta-sign", SOURCE, "slide “How to train the ODENet”",
        r"$\frac{\partial L}{\partial \theta} = \int_{t_1}^{t_0} a \frac{\partial f}{\partial \theta}$",
        r"$\frac{dL}{d\theta} = -\int_{t_1}^{t_0} a \frac{\partial f}{\partial \theta}\, dt$",
        "The minus and the dt are missing, and the gradient points the wrong way: descent climbs. The printed form is "
        "that of the other convention, $a = -\\partial L/\\partial z$, which the slide does not use.",
        CHEN + ", eq. (5)", STANDARD,
        (Values("dL/dtheta", lambda P: -theta_gradient(P), theta_gradient, end_theta_gradient),),
    ),
)  # fmt: skip

SOLVERS = (
    Erratum(
        "mogren-velocity", SOURCE, "slide “Ordinary differential equation (ODE) solvers”",
        "Euler's method “takes a small step $h$ in gradient's direction”",
        "Euler's method takes a step along the velocity $f(z, t)$",
        "A gradient does no work around a closed curve, and its Jacobian is symmetric. The work of f around a circle "
        "is the integral of its curl, which is not zero.",
        "T. M. Apostol, Calculus II, 11.10", "M and V, a circle of radius 0.5 about the state",
        (Values("work of f around a circle", lambda P: 0.0, curl_inside, around),),
    ),
    Erratum(
        "mogren-euler-equality", SOURCE, "slide “Ordinary differential equation (ODE) solvers”",
        r"$z(t + h) = z + h f(z, t)$",
        r"$z(t + h) = z + h f(z, t) + \int_t^{t+h} (t + h - s)\,(f_t + J f)\, ds$",
        "The sign of equality hides the local error, $\\frac{h^2}{2} (f_t + J f) + O(h^3)$. With the integral it may "
        "stay.",
        "E. Hairer, S. P. Nørsett & G. Wanner, Solving Ordinary Differential Equations I, II.3",
        "M and V, h = 0.1 at t0",
        (Values("(z(t + h) - z)/h", lambda P: P.f(P.ts[0], P.z0), lambda P: P.f(P.ts[0], P.z0) + remainder(P),
                lambda P: (P.flow(P.ts[0], P.ts[0] + 0.1, P.z0) - P.z0) / 0.1),),
    ),
    Erratum(
        "mogren-error-guarantees", SOURCE, "slides “ODE solvers” and “How to train the ODENet”",
        "Modern solvers have “approximation error guarantees”",
        "A tolerance bounds the estimated error of each step; what becomes of these errors is up to the problem",
        "Each step keeps to its tolerance, and yet the result is wrong by two hundred times as much. With a tolerance "
        "of 1e-6 the factor is about sixty.",
        "Hairer, Nørsett & Wanner I, II.4", "van der Pol, mu = 5, T = 40, RK45, rtol = 1e-3, atol = 1e-6",
        (Bounds("error / tolerance: of the result as printed, estimated of a step",
                solving.global_error, solving.estimated_error, (solving.STIFFENING,)),),
    ),
    Erratum(
        "mogren-reverse-cost", SOURCE, "slide “Reverse vs Forward Cost”",
        "“Reverse pass roughly half as expensive as forward pass”",
        "No such law: the backward solve chooses its own steps; here it needs more evaluations than the forward one",
        "The half was measured on one network at one tolerance. The state, the adjoint and the gradient are solved "
        "together, and the least smooth of them sets the step.",
        "Y. Ma, V. Dixit, M. Innes, X. Guo & C. Rackauckas, arXiv 1812.01892",
        "M and V, RK45, rtol = 1e-6, atol = 1e-9",
        (Bounds("evaluations: backward / (forward / 2) as printed, forward / backward",
                lambda P: 2 * solving.backward_share(P), lambda P: 1 / solving.backward_share(P), solving.STANDARD),),
    ),
    Erratum(
        "mogren-memory", SOURCE, "slide “O(1) Memory Gradients”",
        "“No need to store activations, just run dynamics backwards from output”",
        r"Only while $\Vert \Phi^{-1} \Vert \cdot \mathrm{tol} \ll 1$; else keep the forward path, or checkpoints",
        "A component that decays forwards grows backwards, and with it the error of the end. Here the state that is "
        "run back is wrong by the time that the gradient needs it; the stored path is not.",
        "A. Gholami, K. Keutzer & G. Biros, ANODE, arXiv 1902.10298",
        "x' = -25 x, y' = theta_1 x^2 + theta_2 y, L = y(1); RK45, rtol = 1e-6, atol = 1e-9; the stored path also by "
        "DOP853 at 1e-12",
        (Values("dL/dtheta, both by RK45", solving.run_back, lambda _: solving.on_stored_path("RK45", 1e-6, 1e-9),
                solving.slow_fast_gradient, (solving.SLOW_FAST,), tolerance=1e-6),  # the tolerance of the solver
         Values("dL/dtheta, stored path by DOP853", solving.run_back,
                lambda _: solving.on_stored_path("DOP853", 1e-12, 1e-13),
                solving.slow_fast_gradient, (solving.SLOW_FAST,))),
    ),
)  # fmt: skip

LIMITS = (
    Erratum(
        "mogren-limit-scale", SOURCE, "slide “Ordinary differential equation for Resnets”",
        r"$z_{t+1} = z_t + f(z_t, \theta_t)$ becomes $\frac{\partial z}{\partial t} = f$ “in the limit”",
        r"$z_{n+1} = z_n + \frac{1}{L} f(z_n, \theta(n/L))$ does, for $L \to \infty$",
        "Without the factor 1/L each layer adds as much as the one before, and twice the depth gives another result, "
        "further off the deeper the net. With it the results of L and 2L layers close in like 1/L.",
        "E. Haber & L. Ruthotto, Inverse Problems 34 (2018) 014004",
        "D = 4, f = tanh(W(t) z), smooth W, L = 64 ... 1024",
        (Orders("|z_2L - z_L| over h = 1/L", limits.unscaled, limits.scaled, claimed=1, order=1,
                problems=(limits.NET,), steps=limits.WIDTHS),),
    ),
    Erratum(
        "mogren-limit-weights", SOURCE, "slide “Ordinary differential equation for Resnets”",
        r"$z_{t+1} = z_t + f(z_t, \theta_t)$ has an ODE as its limit, with any weights $\theta_t$ of the layers",
        r"The weights must come from a function $\theta(t)$ that is regular in t",
        "Independent weights in each layer, scaled by $1/\\sqrt{L}$ so that they neither vanish nor explode, drive the "
        "state like noise. Twice the depth gives another state, however deep the net.",
        "A. Cohen, R. Cont, A. Rossier & R. Xu, Scaling properties of deep residual networks, ICML 2021",
        "D = 4, f = tanh(W z), 64 draws of independent normal W, L = 64 ... 1024",
        (Orders("|z_2L - z_L| over h = 1/L", limits.rough, limits.scaled, claimed=1, order=1,
                problems=(limits.NET,), steps=limits.WIDTHS),),
    ),
    Erratum(
        "mogren-trace-cost", SOURCE, "slide “Instantaneous Change of Variables”",
        "The trace has a “worst-case cost $O(D^2)$”",
        r"D vector-Jacobian products: $D \cdot O(\mathrm{cost}(f))$, which is $O(D^2)$ only if f costs $O(D)$",
        "A net with hidden layers as wide as its input costs $D^2$ itself, and its trace $D^3$. With a single hidden "
        "layer of width H a closed form, $\\sum_h \\sigma'_h (W_1 W_2)_{hh}$, costs $O(D H)$.",
        "W. Grathwohl et al., FFJORD, arXiv 1810.01367, section 3.1",
        "f = W2 tanh(W1 z) with H = D; multiplications counted at D = 16 and 32",
        (Values("cost at 2 D / cost at D", lambda _: 4.0, lambda _: limits.predicted_growth(16),
                lambda _: limits.counted_growth(16), (limits.WIDE,)),),
    ),
    Erratum(
        "mogren-existence", SOURCE, "slide “Instantaneous Change of Variables”",
        "“Only need continuously differentiable $f$”",
        r"f must also have solutions that last, for instance by $|f(z, t)| \le c\,(1 + |z|)$",
        "The field $z^2$ is as smooth as can be, and its solution from 1 is 1/(1 - t): there is no z(t1), and no "
        "density, after t = 1.",
        "Hairer, Nørsett & Wanner I, I.7", "z' = z^2, z(0) = 1, asked for until t1 = 1.7",
        (Values("time until which z exists", lambda _: 1.7, lambda _: 1.0, lambda _: solving.last_time(1.7),
                ("z' = z^2",)),),
    ),
)  # fmt: skip

ERRATA = (*ADJOINTS, *SOLVERS, *LIMITS)
RIGHT = ("the rule of $|\\det|^{-1}$", "the integral for $\\log p(z(t_1))$")
