"""Errata of presentation slides by A. Drozdyuk, which follow appendix B of the paper."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..equations.paths import (
    adjoint,
    carried,
    end_gradient,
    end_theta_gradient,
    ends,
    middle,
    state,
)
from ..problem import Problem
from .erratum import Array, Erratum, Orders, Values
from .solving import solve
from .working import backprop, discrete_gradient, end_loss_gradient, steps

SOURCE = "A. Drozdyuk, Neural ODEs (slides, 2020)"
CHEN = "R. T. Q. Chen et al., arXiv 1806.07366, "
LAYERS = 20
KINK = "f = 1 + |z|^1.5"
WIGGLE = "remainder eps^2 sin(z / eps^2)"
SWITCH = 1.0  # where a coefficient jumps
SWITCHED = "z' = k(t) z, k = 1 before t = 1, 3 after"


def unit_back(P: Problem, sign: float) -> Array:
    """Return a(t1 - 1) of ``a' = sign a J``, which the integral from t + 1 to t says."""
    t1 = ends(P)[1]
    return carried(P, lambda t, z, a: sign * a @ P.J_by_steps(t, z), end_gradient(P), t1, t1 - 1.0)


def last_layer(P: Problem) -> Array:
    """Return ``h a_{t+h} f_theta`` of the last layer alone."""
    zs, (t0, t1) = steps(P, "euler", LAYERS), ends(P)
    h = (t1 - t0) / LAYERS
    return h * end_loss_gradient(P, zs[-1]) @ P.f_theta_by_steps(t1 - h, zs[-2])


def quotient_residual(P: Problem, eps: float, where: Array) -> Array:
    """Return ``(a(t + eps) - a(t)) / eps + a(t + eps) J(where)``, which vanishes with eps if the step is right."""
    t = middle(P)
    later = adjoint(P, t + eps)
    return (later - adjoint(P, t)) / eps + later @ P.J_by_steps(t, where)


def kink_residual(eps: float) -> float:
    """Return ``dT_eps/dz - (1 + eps f')`` at z = 0 for the C^1 field ``1 + |z|^1.5``: f' = 0 there.

    In one dimension ``dT_eps/dz = f(T_eps(z)) / f(z)``.
    """
    moved = solve(lambda t, z: 1 + abs(z) ** 1.5, 0.0, eps, [0.0]).y[0, -1]
    return float(abs(moved) ** 1.5)


def wiggle_slope(eps: float) -> float:
    """Return the largest slope of the remainder ``eps^2 sin(z / eps^2)`` over one period, by complex steps."""
    z = 2 * np.pi * eps**2 * np.arange(16) / 16
    step = 1e-30 * eps**2
    return float(np.max(eps**2 * np.sin((z + step * 1j) / eps**2).imag / step))


def switched_adjoint(t: float) -> float:
    """Return a(t) on [0, 2] of `SWITCHED` with L = z(2): the exponential of the integral of k from t to 2."""
    return float(np.exp(3.0 * (2.0 - max(t, SWITCH)) + max(SWITCH - t, 0.0)))


def left_slope(h: float = 1e-2) -> float:
    """Return da/dt at the switch from the left, by differences extrapolated three times."""
    quotients = np.array([switched_adjoint(SWITCH) - switched_adjoint(SWITCH - h / 2**k) for k in range(6)])
    table = quotients / (h / 2.0 ** np.arange(6))
    for j in range(1, 6):
        table = (2**j * table[1:] - table[:-1]) / (2**j - 1)
    return float(table[0])


def augmented(P: Problem, row: bool) -> Array:
    """Return (a, a_theta) at t0 of the augmented adjoint, times the augmented Jacobian as a row or as a column."""
    D, n = P.size, P.size + len(P.p) + 1
    (t0, t1), start = ends(P), np.concatenate([state(P, ends(P)[1]), end_gradient(P), np.zeros(len(P.p) + 1)])

    def rhs(t: float, y: Array) -> Array:
        z, a, J = y[:D], y[D:], np.zeros((n, n))
        J[:D] = np.hstack([P.J_by_steps(t, z), P.f_theta_by_steps(t, z), P.f_t_by_steps(t, z)[:, None]])
        return np.concatenate([P.f(t, z), -a @ J if row else -J @ a])

    return P.solve(rhs, t1, t0, start)[D:-1]


def both_gradients(P: Problem) -> Array:
    """Return dL/dz0 and dL/dtheta by definition."""
    return np.concatenate([adjoint(P, ends(P)[0]), end_theta_gradient(P)])


def _same(residual: Any) -> Any:
    return lambda _, h: residual(h)


ERRATA = (
    Erratum(
        "drozdyuk-backward-integral", SOURCE, "slide “Continuous-time Backpropagation”",
        r"$a(t) = a(t+1) + \int_{t+1}^{t} a \frac{\partial f}{\partial z}\, dt$",
        r"$a(t) = a(t+1) - \int_{t+1}^{t} a \frac{\partial f}{\partial z}\, dt$",
        "The limits already run backwards, and so does the sign: the printed form says $a' = +a J$. The discrete line "
        "above it on the slide is right.",
        CHEN + "eq. (46)", "M and V, over the last unit of time, where the printed line is solved for a",
        (Values("a(t1 - 1)", lambda P: unit_back(P, 1.0), lambda P: unit_back(P, -1.0),
                lambda P: adjoint(P, ends(P)[1] - 1.0)),),
    ),
    Erratum(
        "drozdyuk-one-layer", SOURCE, "slide “Continuous-time Backpropagation”",
        r"$\frac{\partial L}{\partial \theta} = h\, a_{t+h} \frac{\partial f(z(t), \theta)}{\partial \theta}$",
        r"$\frac{dL}{d\theta} = \sum_t h\, a_{t+h} \frac{\partial f(z_t, t, \theta)}{\partial \theta}$",
        "All layers share the parameters, so that each adds its part. The printed form is the part of one layer.",
        "I. Goodfellow, Y. Bengio & A. Courville, Deep Learning (2016), 10.2.2", "M and V, 20 steps of Euler's method",
        (Values("dL/dtheta of the net", last_layer, lambda P: backprop(P, "euler", LAYERS),
                lambda P: discrete_gradient(P, "euler", LAYERS)),),
    ),
    Erratum(
        "drozdyuk-eq43", SOURCE, "eq. (43), numbered as in the paper's appendix B.1",
        r"$-\varepsilon\, a(t + \varepsilon) \frac{\partial f(a(t), t, \theta)}{\partial z(t)}$",
        r"$-\varepsilon\, a(t + \varepsilon) \frac{\partial f(z(t), t, \theta)}{\partial z(t)}$",
        "The field is taken at the adjoint where the state is meant. The difference quotient of a then does not "
        "approach the printed limit however small the step.",
        CHEN + "eq. (44)", "M and V in the middle of the path, eps = 0.1 ... 0.003",
        (Orders("(a(t + eps) - a(t)) / eps + a J", lambda P, h: quotient_residual(P, h, adjoint(P, middle(P))),
                lambda P, h: quotient_residual(P, h, state(P, middle(P))), claimed=1, order=1),),
    ),
    Erratum(
        "drozdyuk-eq42", SOURCE, "eq. (41) to (42), numbered as in the paper's appendix B.1",
        r"$\frac{\partial}{\partial z} O(\varepsilon^2) = O(\varepsilon^2)$, for f that is differentiable once",
        r"$\frac{\partial T_\varepsilon}{\partial z} = I + \varepsilon J + o(\varepsilon)$ for $f \in C^1$; "
        r"$O(\varepsilon^2)$ for $f \in C^{1,1}$",
        "A remainder may be small and steep, as $\\varepsilon^2 \\sin(z/\\varepsilon^2)$ is. For the field "
        "$1 + |z|^{3/2}$ at 0 the remainder is $\\varepsilon^{3/2}$: the limit stands, the order does not.",
        "P. Hartman, Ordinary Differential Equations, V.3",
        "eps = 0.1 ... 0.003; of the steep remainder the largest slope",
        (Orders("derivative of the remainder", _same(kink_residual), _same(kink_residual), claimed=2, order=1.5,
                problems=(KINK,)),
         Orders("derivative of the remainder", _same(wiggle_slope), _same(wiggle_slope), claimed=2, order=0,
                problems=(WIGGLE,))),
    ),
    Erratum(
        "drozdyuk-one-sided", SOURCE, "eq. (39), numbered as in the paper's appendix B.1",
        r"$\frac{da}{dt} = \lim_{\varepsilon \to 0^+} \frac{a(t + \varepsilon) - a(t)}{\varepsilon}$",
        r"$\frac{da}{dt}^{\pm} = -a J(t^\pm)$, two one-sided limits, equal where J is continuous",
        "A limit from the right is the derivative from the right. Where the field switches, the one from the left is "
        "another, and it is the one that the backward solve needs.",
        "A. F. Filippov, Differential Equations with Discontinuous Righthand Sides (1988)", SWITCHED + ", L = z(2)",
        (Values("da/dt at t = 1 from the left", lambda _: -3.0 * switched_adjoint(SWITCH),
                lambda _: -1.0 * switched_adjoint(SWITCH), lambda _: left_slope(), (SWITCHED,)),),
    ),
    Erratum(
        "drozdyuk-rows", SOURCE, "eq. (48) and (50), numbered as in the paper's appendix B.2",
        r"$a_{aug} := \begin{bmatrix} a \\ a_\theta \\ a_t \end{bmatrix}$, then "
        r"$-\begin{bmatrix} a & a_\theta & a_t \end{bmatrix} \frac{\partial f_{aug}}{\partial [z, \theta, t]}$",
        r"$a_{aug} := \begin{bmatrix} a & a_\theta & a_t \end{bmatrix}$ in both",
        "The augmented adjoint is a column in the one equation and a row in the other. As the column it has the right "
        "length to be multiplied from the left, and then dL/dtheta stays zero for ever.",
        CHEN + "eq. (38), where a is a row", "M and V, loss at the last time",
        (Values("dL/dz0 and dL/dtheta", lambda P: augmented(P, row=False), lambda P: augmented(P, row=True),
                both_gradients),),
    ),
)  # fmt: skip
RIGHT = ("eq. (34), (35), (37) and (38)", "eq. (44)")
