"""Errata of a blog post on residual nets as Euler's method."""

from __future__ import annotations

import numpy as np

from ..equations.paths import end_gradient, end_theta_gradient
from ..problem import Problem
from .erratum import Array, Erratum, Values
from .working import adjoint_slope, backwards, theta_gradient

SOURCE = "Neural networks as Ordinary Differential Equations (blog post)"
DT = 0.1
TURN = np.array([[-0.4, 1.0, 0.2], [-1.0, -0.3, 0.5], [0.1, -0.6, -0.2]])
LINEAR = "z' = A z, D = 3, t1 = 1, 10 steps"
START = np.array([1.0, -0.5, 0.8])
STEPS = 10


def block(P: Problem, G: Array) -> Array:
    """Return ``dt G + h``, what the layer returns."""
    return DT * G + P.z0


def F(P: Problem) -> Array:
    """Return a residual branch, the field at z0."""
    return P.f(P.ts[0], P.z0)


def negative_adjoint(P: Problem) -> Array:
    """Return the integral of ``a f_theta``, where a starts from the negative gradient."""
    return backwards(P, adjoint_slope(P), -end_gradient(P), lambda t, z, a: a @ P.f_theta_by_steps(t, z))


def euler(N: int) -> Array:
    """Return the result of N steps of Euler's method on `LINEAR`."""
    z = START
    for _ in range(N):
        z = z + (TURN @ z) / N
    return z


def powers() -> Array:
    """Return ``(I + h A)^N z0`` by an eigendecomposition: no steps are taken."""
    values, vectors = np.linalg.eig(np.eye(3) + TURN / STEPS)
    return (vectors @ (values**STEPS * np.linalg.solve(vectors, START.astype(complex)))).real


ERRATA = (
    Erratum(
        "blog-residual-branch", SOURCE, "section “Euler's method and residual networks”",
        r"$G(h_t) = F(h_t) / \Delta t + h_t$",
        r"$G(h_t) = F(h_t) / \Delta t$",
        "The skip connection stands outside already: $\\Delta t\\, G + h$ with the printed G is too large by "
        "$\\Delta t\\, h$, exactly.",
        "Y. Lu, A. Zhong, Q. Li & B. Dong, arXiv 1710.10121", "F = f of M and V at z0, dt = 0.1",
        (Values("F(h) + h", lambda P: block(P, F(P) / DT + P.z0), lambda P: block(P, F(P) / DT),
                lambda P: F(P) + P.z0),),
    ),
    Erratum(
        "blog-adjoint-definition", SOURCE, "section “Training the beast”",
        r"$a(t) = -\frac{\partial L}{\partial h(t)}$",
        r"$a(t) = \frac{\partial L}{\partial h(t)}$",
        "The adjoint equation is linear and holds for either sign, so that nothing complains; but every gradient that "
        "is read off a comes out with the wrong sign.",
        "R. T. Q. Chen et al., arXiv 1806.07366, eq. (34), to which the post refers",
        "M and V, loss at the last time, dL/dtheta as the integral of a f_theta",
        (Values("dL/dtheta", negative_adjoint, theta_gradient, end_theta_gradient),),
    ),
    Erratum(
        "blog-scalar-layer", SOURCE, "second paragraph",
        r"$F(x) = \sigma(\sum_i \theta_i x_i)$, with “a vector of parameters”",
        r"$F(x) = \sigma(\Theta x)$, with a matrix, one row for each unit",
        "The printed layer has one output, and cannot return a state of the width that the same paragraph asks for.",
        "I. Goodfellow, Y. Bengio & A. Courville, Deep Learning (2016), 6", "the widths of M and V",
        (Values("components of F(x)", lambda P: np.size(np.tanh(np.ones(P.size) @ P.z0)),
                lambda P: np.size(np.tanh(np.ones((P.size, P.size)) @ P.z0)), lambda P: P.field.size),),
    ),
    Erratum(
        "blog-euler-one-step", SOURCE, "section “Evaluating ODEs”",
        r"With Euler's method “exactly” $\mathrm{ODESolve} = h(t_0) + (t_1 - t_0)\, G(h(t_0), t_0, \theta)$",
        r"$\mathrm{ODESolve} = h(t_0) + \sum_{n<N} \Delta t\, G(h_n, t_n, \theta)$",
        "The printed form is Euler's method with a single step, one layer. N layers evaluate G in N places.",
        "Hairer, Nørsett & Wanner I, I.7", LINEAR,
        (Values("10 steps of Euler's method", lambda _: euler(1), lambda _: euler(STEPS), lambda _: powers(),
                (LINEAR,)),),
    ),
)  # fmt: skip
RIGHT = ("the substitution $u^\\top B = v^\\top C$ with $A^\\top v = u$, where A can be inverted",)
