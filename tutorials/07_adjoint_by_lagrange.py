# ---
# jupytext:
#   text_representation:
#     extension: .py
#     format_name: percent
# kernelspec:
#   display_name: Python 3
#   language: python
#   name: python3
# ---

# %% [markdown]
# # 7 · The adjoint equation, by Lagrange multipliers
#
# **What you will do.** Add zero to the loss: the differential equation, multiplied by a function that nobody has chosen
# yet. Integrate by parts, look at what is left, and choose the function such that the expensive part is gone.
#
# **What you will learn.** That the gradient formula holds for *every* multiplier, and one of them makes it cheap; where
# the values at the two ends come from; how a running cost enters; what one letter in the wrong case does.
#
# **What you need.** Integration by parts; $S = \partial z / \partial \theta$ and $S' = J S + f_\theta$ of chapter 4.

# %%

import numpy as np
from scipy.integrate import solve_ivp

import nodeedu as ne
from nodeedu import plot
from nodeedu.autodiff import central_difference, relative_error
from nodeedu.verify.checks import Checks
from nodeedu.verify.equations import c_lagrange, ledger
from nodeedu.verify.equations.paths import adjoint, end_theta_gradient, gradient_at, hessian_at, loss_at, with_tangent
from nodeedu.verify.standard_problems import M, V

BLUE, ORANGE, GREEN, PINK, *_ = plot.COLORS

# %% [markdown]
# ## The picture of the result
#
# The problems are M and V, as in the chapters before; the loss looks at the last time $t_1$ only. The derivation will
# end with three terms. Two of them need $S$, the expensive matrix of chapter 4, one does not. Left: the three terms of
# $\partial L / \partial \mu$ of the oscillator, for four functions $m(t)$. They are wildly different, and their sum is
# always the same (dotted). In the last group, $m$ was chosen such that only the cheap term is left. Right: this $m$,
# one of its two components, and how it is related to the adjoint $a$ of chapter 6. Circles: $a$ by its definition.


# %%
def l_z(P, t, z):
    """Return the derivative of the running loss l = L_z f by z."""
    return P.f(t, z) @ hessian_at(P, z) + gradient_at(P, z) @ P.J_by_steps(t, z)


def chosen(P, t, z, m):
    """Evaluate m' = l_z - m J, the choice of step 4."""
    return l_z(P, t, z) - m @ P.J_by_steps(t, z)


def terms(P, m, m_dot):
    """Return the terms of (c3) for a multiplier: with S under the integral, without S, and with S at the end."""

    def with_S(t, z, S):
        return (l_z(P, t, z) - m(t) @ P.J_by_steps(t, z) - m_dot(t, z)) @ S

    def without_S(t, z, S):
        return P.vjp(t, z, gradient_at(P, z) - m(t))[2]  # (L_z - m) f_theta

    integrals = [with_tangent(P, integrand, 0.2, 1.7) for integrand in (with_S, without_S)]
    return *integrals, m(1.7) @ c_lagrange.S(P, 1.7)


def multiplier(P, slope=chosen):
    """Solve for z and m from t1 back to t0; return both as a function of time."""
    end = c_lagrange.state(P, 1.7)

    def rhs(t, y):
        return np.concatenate([P.f(t, y[: P.size]), slope(P, t, y[: P.size], y[P.size :])])

    start = np.append(end, 0 * end)
    return solve_ivp(rhs, (1.7, 0.2), start, "DOP853", dense_output=True, rtol=1e-10, atol=1e-11).sol


# %%
osc, z_and_m = V().at_end, multiplier(V().at_end)
choices = {
    "$m = 0$": (lambda t: np.zeros(2), lambda t, z: np.zeros(2)),
    "cosines": (lambda t: c_lagrange.m(osc, t), lambda t, z: c_lagrange.m_dot(osc, t)),
    "larger ones": (lambda t: -8 * c_lagrange.m(osc, t), lambda t, z: -8 * c_lagrange.m_dot(osc, t)),
    "the choice": (lambda t: z_and_m(t)[2:], lambda t, z: chosen(osc, t, z, z_and_m(t)[2:])),
}
parts = np.array([[term[0] for term in terms(osc, *choice)] for choice in choices.values()])
np.testing.assert_allclose(parts.sum(axis=1), end_theta_gradient(osc)[0], rtol=1e-8)  # m is solved to 1e-10
assert np.abs(parts[-1, [0, 2]]).max() < 1e-12 < 1 < np.abs(parts[:3, [0, 2]]).max(axis=1).min()

# %% tags=["hide-input"]
fig, (left, right) = plot.figure(1, 2, size=(9.4, 4), num="07_every_multiplier")
names = ("with $S$, under the integral", "with $S$, at the end", "without $S$")
for k, (column, name, color) in enumerate(zip((0, 2, 1), names, (ORANGE, PINK, BLUE), strict=True)):
    left.bar(np.arange(4) + 0.25 * (k - 1), parts[:, column], 0.25, color=color, label=name)
left.axhline(parts[0].sum(), color="black", ls=":", lw=1.4)
left.set_xticks(range(4), choices)
left.set(title=r"Three terms of $\partial L / \partial \mu$")
left.legend(frameon=False, fontsize=9, loc="lower left")
times = np.linspace(0.2, 1.7, 80)
zs, ms = np.split(z_and_m(times).T, 2, axis=1)
at_path = np.array([gradient_at(osc, z) for z in zs])
for values, color, name in (
    (at_path, GREEN, "$L_z$ along the path"),
    (ms, ORANGE, "$m$"),
    (at_path - ms, BLUE, "$a = L_z - m$"),
):
    right.plot(times, values[:, 1], color=color, label=name)
right.plot(times[::13], [adjoint(osc, t)[1] for t in times[::13]], "o", color=BLUE, mfc="white")
right.set(title="The chosen multiplier (velocity)", xlabel="$t$")
right.legend(frameon=False, fontsize=9)

# %% [markdown]
# ## Step 1 · The loss as an integral
#
# Multipliers belong under an integral, so write the loss as one. Along the path, $L(z(t))$ grows at the rate
# $\frac{d}{dt} L(z(t)) = L_z\, z' = L_z f$, with the row $L_z = \partial L / \partial z$. This rate is the *running
# loss* $l(t, z, \theta) = L_z(z)\, f(t, z, \theta)$, and
#
# $$L(z(t_1)) = L(z_0) + \int_{t_0}^{t_1} l\, dt .$$ (eq-c1)
#
# The letters $L$ and $l$ are two functions. $L$ does not know $\theta$; $l$ does, through $f$. By the product rule,
#
# $$l_z = f^{\mathsf T} L_{zz} + L_z J, \qquad l_\theta = L_z f_\theta .$$ (eq-running)


# %%
checks = Checks()
check_equal = checks.equal

problems, rng = (M().at_end, V().at_end), np.random.default_rng(7)
for P in problems:
    z0, z1 = P.z0, c_lagrange.state(P, 1.7)
    integral = with_tangent(P, lambda t, z, S, P=P: gradient_at(P, z) @ P.f(t, z), 0.2, 1.7)  # S is not needed yet
    check_equal("c1", loss_at(P, z0) + integral, loss_at(P, z1), tolerance=1e-11)  # solutions of 1e-12 or so

    by_steps = P.by_steps(lambda z, P=P: gradient_at(P, z) @ P.f(0.9, z), z1)
    check_equal("running", l_z(P, 0.9, z1), by_steps, tolerance=1e-14)  # rounding
    assert relative_error(l_z(P, 0.9, z1), c_lagrange.l_z(P, 0.9, z1)) < 1e-14  # the packaged one
    by_steps = P.by_steps(lambda p, P=P, z=z1: gradient_at(P, z) @ P.f(0.9, z, p), P.p)
    check_equal("running", gradient_at(P, z1) @ P.f_theta(0.9, z1), by_steps, tolerance=1e-14)

# %% [markdown]
# ## Step 2 · Add zero
#
# On a solution, $z' - f = 0$ at every moment. Multiply by a row $m(t)$, *any* differentiable one, and add:
#
# $$\mathcal{L} = L(z_0) + \int_{t_0}^{t_1} l\, dt + \int_{t_0}^{t_1} m\, (z' - f)\, dt .$$
#
# The second integral is zero for every $\theta$, so $d\mathcal{L}/d\theta = dL/d\theta$, whatever $m$ is. (In mechanics
# and in control one also varies $z$ here. We do not: $z$ is the solution throughout.) Differentiate. With $\partial z /
# \partial \theta = S$ and $\partial z' / \partial \theta = S'$,
#
# $$\frac{dL}{d\theta} = \int_{t_0}^{t_1} \bigl( l_z S + l_\theta \bigr)\, dt
# + \int_{t_0}^{t_1} m\, \bigl( S' - J S - f_\theta \bigr)\, dt .$$
#
# ## Step 3 · Integrate by parts
#
# We want to be rid of $S$. Under the integral stands $S'$ too; the product rule turns it into $S$, at the price of two
# values at the ends. The one at $t_0$ is zero as long as $z_0$ does not depend on $\theta$:
#
# $$\int_{t_0}^{t_1} m\, S'\, dt = m(t_1)\, S(t_1) - m(t_0)\, S(t_0) - \int_{t_0}^{t_1} m'\, S\, dt .$$ (eq-c2)
#
# Put this in and collect the terms with $S$. For **every** $m$,
#
# $$\frac{dL}{d\theta} = \int_{t_0}^{t_1} \bigl( l_z - m J - m' \bigr)\, S\, dt
# + \int_{t_0}^{t_1} ( L_z - m )\, f_\theta\, dt + m(t_1)\, S(t_1) .$$ (eq-c3)
#
# We check both with cosines for $m$, against the truth of chapter 4.


# %%
def cosines(P):
    return lambda t: c_lagrange.m(P, t), lambda t, z: c_lagrange.m_dot(P, t)


for P in problems:
    m, m_dot = cosines(P)

    def m_S_dot(t, z, S, P=P, m=m):
        return m(t) @ (P.J_by_steps(t, z) @ S + P.f_theta_by_steps(t, z))

    by_parts = m(1.7) @ c_lagrange.S(P, 1.7) - with_tangent(P, lambda t, z, S, m=m_dot: m(t, z) @ S, 0.2, 1.7)
    check_equal("c2", with_tangent(P, m_S_dot, 0.2, 1.7), by_parts, tolerance=1e-11)  # solutions of 1e-12 or so
    check_equal("c3", np.sum(terms(P, m, m_dot), axis=0), end_theta_gradient(P), tolerance=1e-11)

# %% [markdown]
# ## Step 4 · Choose
#
# $m$ is ours. Let it make the bracket in front of $S$ vanish, and let it be zero at $t_1$:
#
# $$m' = l_z - m J, \quad m(t_1) = 0 \qquad \Longrightarrow \qquad
# \frac{dL}{d\theta} = \int_{t_0}^{t_1} ( L_z - m )\, f_\theta\, dt .$$ (eq-c4)
#
# This is a linear equation for *one row*, and its value is given at the end: solve it backwards. There is no $S$ left.
#
# ## Step 5 · An old acquaintance
#
# Only the difference of $L_z$ and $m$ enters, so give it a name. Along the path $\frac{d}{dt} L_z = f^{\mathsf T}
# L_{zz}$; with $l_z$ from {eq}`eq-running`,
#
# $$a = L_z - m: \qquad a' = f^{\mathsf T} L_{zz} - (f^{\mathsf T} L_{zz} + L_z J - m J) = -a J,
# \qquad a(t_1) = L_z(z(t_1)) .$$ (eq-c5)
#
# The second derivatives are gone, and the adjoint of chapter 6 is back: $dL/d\theta = \int a f_\theta\, dt$. We compare
# it with its definition, $a(t) = L_z(z(t_1))\, \partial z(t_1) / \partial z(t)$.


# %%
def backwards(P, slope=chosen, end=None, row=lambda P, t, z, m: gradient_at(P, z) - m, rtol=1e-12):
    """Solve for z, m and the integral of row f_theta from t1 to t0; return m(t0), and the integral from t0 to t1."""
    D, z1 = P.size, c_lagrange.state(P, 1.7)

    def rhs(t, y):
        z, m = y[:D], y[D : 2 * D]
        return np.concatenate([P.f(t, z), slope(P, t, z, m), P.vjp(t, z, row(P, t, z, m))[2]])

    start = np.concatenate([z1, 0 * z1 if end is None else end, 0 * P.p])
    y = solve_ivp(rhs, (1.7, 0.2), start, "DOP853", rtol=rtol, atol=rtol / 10).y[:, -1]
    return y[D : 2 * D], -y[2 * D :]


for P in problems:
    m_start, gradient = backwards(P)
    check_equal("c4", gradient, end_theta_gradient(P), tolerance=1e-10)  # solved to 1e-12 a step
    check_equal("c5", gradient_at(P, P.z0) - m_start, adjoint(P, 0.2), tolerance=1e-10)

# %% [markdown]
# ## Step 6 · Without the detour
#
# Who knows the result need not write $L$ as an integral. Take $L(z(t_1)) - \int a\, (z' - f)\, dt$, with the minus for
# later comfort. The same two steps, now for a start $z_0(\theta)$ and with a *running cost* $\int r(z)\, dt$ added to
# the loss, give for **every** $a$
#
# $$\frac{dL}{d\theta} = \bigl( L_z - a(t_1) \bigr)\, S(t_1) + a(t_0) \frac{\partial z_0}{\partial \theta}
# + \int_{t_0}^{t_1} \bigl( a' + a J + r_z \bigr)\, S\, dt + \int_{t_0}^{t_1} a f_\theta\, dt .$$ (eq-every)
#
# One reads off the choice: $a' = -a J - r_z$ and $a(t_1) = L_z$. So "the multiplier ends at zero" and "the multiplier
# ends at $L_z$" are both right, each in its own bookkeeping. Without running cost,
#
# $$\frac{dL}{d\theta} = \int_{t_0}^{t_1} a f_\theta\, dt + a(t_0) \frac{\partial z_0}{\partial \theta},$$ (eq-c6)
#
# and with a running cost $r = \tfrac12 \|z\|^2$ and a fixed start,
#
# $$a' = -a J - r_z, \quad a(t_1) = L_z \qquad \Longrightarrow \qquad
# \frac{d}{d\theta} \Bigl( L + \int r\, dt \Bigr) = \int_{t_0}^{t_1} a f_\theta\, dt .$$ (eq-cost)


# %%
def minus_aJ(P, t, z, a):
    return -P.vjp(t, z, a)[1]


def with_cost(P, t, z, a):
    return minus_aJ(P, t, z, a) - z


for P in problems:
    L_z, v, B = gradient_at(P, c_lagrange.state(P, 1.7)), rng.normal(size=len(P.p)), c_lagrange.z0_theta(P)
    of_a = {"end": L_z, "row": lambda P, t, z, a: a}
    a_start, integral = backwards(P, minus_aJ, **of_a)

    def moving_start(h, P=P, v=v, B=B):
        return loss_at(P, P.flow(0.2, 1.7, P.z0 + h * B @ v, P.p + h * v))

    truth = central_difference(moving_start, 0.0, 1.0, levels=5).value
    check_equal("c6", (integral + a_start @ B) @ v, truth, tolerance=1e-8)  # differences of solutions of 1e-12 or so
    print(f"{P.name}: without the boundary term off by {abs(integral @ v / truth - 1):.2g}")
    assert abs(integral @ v / truth - 1) > 0.3

    a, a_dot = cosines(P)

    def integrand(t, z, S, P=P, a=a, a_dot=a_dot):  # of (every), with cosines and a fixed start; r_z = z
        return (a_dot(t, z) + a(t) @ P.J_by_steps(t, z) + z) @ S + a(t) @ P.f_theta_by_steps(t, z)

    truth = end_theta_gradient(P) + with_tangent(P, lambda t, z, S: z @ S, 0.2, 1.7)
    every = (L_z - a(1.7)) @ c_lagrange.S(P, 1.7) + with_tangent(P, integrand, 0.2, 1.7)
    check_equal("every", every, truth, tolerance=1e-11)
    check_equal("cost", backwards(P, with_cost, **of_a)[1], truth, tolerance=1e-10)

    bars, options = [0 * L_z, L_z], {"method": "backsolve", "rtol": 1e-11, "atol": 1e-12}
    packaged = ne.gradients(P.field, P.z0, [0.2, 1.7], P.theta, bars, **options)
    assert relative_error([packaged.z0, P.flat(packaged.theta)], [a_start, integral]) < 1e-8  # 1e-11 a step, and growth

# %% [markdown]
# ## What goes wrong, measured
#
# The derivation with the running loss is passed around in notes (X. Garcia, 2019) in which two letters changed places:
#
# - $m' = L_z - m J$, with $L$ where $l$ belongs. The bracket before $S$ in {eq}`eq-c3` does not vanish then, and what
#   was dropped is 35 % of the gradient on M and 47 % on V.
# - $\int (l_z - m)\, f_\theta\, dt$, from $l_\theta = l_z f_\theta$, with $l$ where $L$ belongs: 37 % and 68 %.
#
# A third slip mixes the two bookkeepings of step 6: the equation for $m$ with $m(t_1) = L_z$. Then $a = L_z - m$ starts
# at zero, stays there, and the gradient is zero. A training run with it looks like one that has converged. And of the
# boundary term at $t_0$ we saw in step 6 that without it a derivative may be off by more than 30 %.


# %%
def L_for_l(P, t, z, m):
    return gradient_at(P, z) - m @ P.J_by_steps(t, z)


print("relative error of dL/dtheta   L for l   l for L   both      m = L_z at the end")
for P in problems:
    swapped, end = {"row": lambda P, t, z, m: l_z(P, t, z) - m}, gradient_at(P, c_lagrange.state(P, 1.7))
    slips = ({"slope": L_for_l}, swapped, {"slope": L_for_l, **swapped}, {"end": end})
    wrong = [backwards(P, **slip, rtol=1e-8)[1] for slip in slips]
    errors = [relative_error(gradient, end_theta_gradient(P)) for gradient in wrong]
    print(f"{P.name:29} " + "      ".join(f"{error:.2f}" for error in errors))
    assert np.allclose(errors, {"M": [0.35, 0.37, 0.34, 1], "V": [0.47, 0.68, 0.59, 1]}[P.name], atol=0.006)
    assert np.abs(wrong[-1]).max() < 1e-6

# %%
# The same steps, as the ledger of the library has them
for P in problems:
    for finding in ledger.check(P, ["c"]):
        print(ledger.row(finding))
        assert finding.ok

# %% [markdown]
# ## Exercises
#
# 1. *The other sign.* Subtract the zero in step 2 instead of adding it. Which formulas change, and which does not?
# 2. *Two observations.* Let the loss be $L_1(z(t_m)) + L_2(z(t_1))$. Integrate by parts from $t_0$ to $t_m$ and from
#    $t_m$ to $t_1$, with an $a$ that may jump at $t_m$. Which jump removes $S(t_m)$?
# 3. *A free end.* Let $t_1$ be chosen by the condition $c(z(t_1)) = 0$. What does $t_1(\theta)$ add to step 6?
#
# ## Further reading
#
# - Y. Cao, S. Li, L. Petzold, R. Serban, SIAM J. Sci. Comput. 24 (2003) 1076: this derivation, for more equations.
# - A. E. Bryson, Y.-C. Ho: *Applied Optimal Control* (1975), chapter 2, where the multiplier is the costate.

# %% tags=["remove-cell"]
plot.show_or_save()
