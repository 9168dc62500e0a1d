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
# # 6 · The adjoint equation, by limits
#
# **What you will do.** Ask how a loss reacts to a nudge of the state at time $t$, and find that the answer obeys a
# differential equation of its own. Every line of the derivation is executed: both sides are computed, by different
# means, and compared.
#
# **What you will learn.** What the adjoint is, why its equation carries a minus, why it is a row, and which of the
# forms in circulation are wrong, by how much.
#
# **What you need.** Chapter 1 (Euler's step, observed order) and chapter 3 (VJP, complex step). The derivation is that
# of appendix B.1 in *Neural Ordinary Differential Equations* (Chen, Rubanova, Bettencourt, Duvenaud, 2018); the numbers
# (34) to (46) are those of the paper.

# %%
from functools import cache

import matplotlib.pyplot as plt
import numpy as np
from scipy.integrate import solve_ivp

import nodeedu as ne
from nodeedu import plot
from nodeedu.autodiff import central_difference, complex_step, relative_error
from nodeedu.verify.checks import Checks

BLUE, ORANGE, GREEN, PINK, *_ = plot.COLORS

# %% [markdown]
# ## The problem
#
# A state starts at $z(t_0) = z_0$ and follows $z' = f(t, z, \theta)$ to $t_1$, where it meets a loss $L(z(t_1))$. The
# two fields are those of chapter 1: **M**, a network of 35 parameters that sees the time, and **V**, the driven
# oscillator of van der Pol. Neither has a symmetric Jacobian and both depend on time, so that no mistake can hide in a
# symmetry. The loss is chosen in the same spirit: its Hessian is not constant,
#
# $$L(z) = \tfrac12 \| z - y \|^2 + 0.3 \sum_i \cos z_i,
# \qquad \frac{\partial L}{\partial z} = (z - y) - 0.3 \sin z .$$


# %%
def M(t, z, theta):
    W1, b1, W2, b2 = theta
    return W2 @ np.tanh(W1 @ np.concatenate([z, [t]]) + b1) + b2


def V(t, z, theta):
    mu, stiffness, force, frequency = theta
    x, v = z
    return np.stack([v, mu * (1 - x**2) * v - stiffness * x + force * np.cos(frequency * t)])


rng = np.random.default_rng(2)
theta_M = (rng.normal(size=(4, 4)), rng.normal(size=4), rng.normal(size=(3, 4)), rng.normal(size=3))
theta_V = (1.5, 1.0, 1.2, 2.0)
problems = {
    "M": (M, rng.normal(size=3), theta_M, rng.normal(size=3)),
    "V": (V, np.array([1.2, -0.4]), theta_V, np.array([-1.0, 0.5])),
}
t0, t1 = 0.2, 1.7


def loss(z, y):
    return 0.5 * np.sum((z - y) ** 2) + 0.3 * np.sum(np.cos(z))


def loss_gradient(z, y):
    return (z - y) - 0.3 * np.sin(z)


# %% [markdown]
# Three tools compute. `flow` follows the equation to twelve digits. `flow_and_jacobian` also follows $\Phi = \partial
# z(s) / \partial z(t)$: differentiate $z' = f(s, z)$ by the starting value and exchange the two derivatives, and $\Phi$
# obeys the *variational equation* $\Phi' = J \Phi$, $\Phi = I$ at the start. (Chapter 4 is about this equation.) Its
# Jacobian comes from complex steps. These two know nothing of the adjoint: they are the truth. The third, $a \mapsto
# aJ$, is reverse mode.


# %%
def integrate(rhs, t, end, start, rtol=1e-12, times=None):
    return solve_ivp(rhs, (t, end), start, "DOP853", times, rtol=rtol, atol=rtol / 10).y.T


def flow(f, t, end, z, theta):
    return integrate(lambda s, z: f(s, z, theta), t, end, z)[-1]


def jacobian(f, t, z, theta):
    return complex_step(lambda z: f(t, z, theta), z)


def flow_and_jacobian(f, t, end, z, theta):
    D = len(z)

    def rhs(s, state):
        z, Phi = state[:D], state[D:].reshape(D, D)
        return np.concatenate([f(s, z, theta), np.ravel(jacobian(f, s, z, theta) @ Phi)])

    state = integrate(rhs, t, end, np.concatenate([z, np.ravel(np.eye(D))]))[-1]
    return state[:D], state[D:].reshape(D, D)


def a_times_J(f, t, z, a, theta):
    z = ne.Tensor(z)
    f(t, z, theta).backward(a)
    return z.grad


# %% [markdown]
# As in chapter 1, an equation is checked in one of two ways: its sides are equal up to rounding, or their difference
# vanishes like $\varepsilon^p$, which shows in the ratio of neighbours when $\varepsilon$ is halved.

# %%
checks = Checks()
check_equal, check_order = checks.equal, checks.order

# %% [markdown]
# ## The picture of the result
#
# Left: the oscillator follows its path. At some time we nudge its velocity a little and let it go on: it ends
# elsewhere, and the loss changes. Right: the change of the loss for a unit nudge, as a function of the time of the
# nudge. Each circle costs two new solutions from that time to the end. The curves cost *one* solution of one equation,
# from the end to the beginning. They are the adjoint, $a(t)$. The dashed curves solve the equation that you find in
# many slides, with the sign of the right side lost.


# %%
def follow_back(name, times, slope, rtol=1e-12):
    """Solve z' = f and a' = slope(f, t, z, a, theta) from t1 back to the last of the times; return z and a at each."""
    f, z0, theta, y = problems[name]
    z1 = flow(f, t0, t1, z0, theta)

    def rhs(t, state):
        z, a = np.split(state, 2)
        return np.concatenate([f(t, z, theta), slope(f, t, z, a, theta)])

    start = np.concatenate([z1, loss_gradient(z1, y)])
    return np.split(integrate(rhs, t1, times[-1], start, rtol, times), 2, axis=1)


def minus_aJ(f, t, z, a, theta):
    return -a_times_J(f, t, z, a, theta)


def plus_aJ(f, t, z, a, theta):
    return +a_times_J(f, t, z, a, theta)


# %%
f, z0, theta, y = problems["V"]
fine, coarse = np.linspace(t1, t0, 61), np.linspace(t1, t0, 11)
_, adjoint = follow_back("V", fine, minus_aJ, rtol=1e-9)
_, lost_sign = follow_back("V", fine, plus_aJ, rtol=1e-9)

path = solve_ivp(f, (t0, t1), z0, t_eval=coarse[::-1], args=(theta,), rtol=1e-9, atol=1e-11).y.T[::-1]
nudge, measured = 1e-4, np.empty((11, 2))
for i, (t, z) in enumerate(zip(coarse, path, strict=True)):
    for k, unit in enumerate(np.eye(2)):
        ends = [flow(f, t, t1, z + s * nudge * unit, theta) for s in (1, -1)]
        measured[i, k] = (loss(ends[0], y) - loss(ends[1], y)) / (2 * nudge)

# %% tags=["hide-input"]
fig, (left, right) = plot.figure(1, 2, size=(9.4, 4), num="06_nudge_and_adjoint")
dense = solve_ivp(f, (t0, t1), z0, t_eval=fine[::-1], args=(theta,), rtol=1e-9).y
left.plot(fine[::-1], dense[1], color="black")
for t, z, color in [(coarse[i], path[i], plt.get_cmap("viridis")(i / 10)) for i in (9, 6, 3)]:
    bent = solve_ivp(f, (t, t1), z + [0, 0.4], dense_output=True, args=(theta,), rtol=1e-9).sol
    ts = np.linspace(t, t1, 60)
    left.plot(ts, bent(ts)[1], color=color, lw=1.4)
    left.annotate("", (t, z[1] + 0.44), (t, z[1] - 0.04), arrowprops={"arrowstyle": "-|>", "color": color, "lw": 1.6})
left.set(title="Nudge the velocity, and let go", xlabel="$t$", ylabel="velocity $v$")
for k, (color, name) in enumerate(((BLUE, "position"), (ORANGE, "velocity"))):
    right.plot(fine, adjoint[:, k], color=color)
    right.plot(coarse, measured[:, k], "o", mfc="white", color=color, label=f"nudge of the {name}, measured")
    right.plot(fine, lost_sign[:, k], "--", color=color, lw=1, alpha=0.8)
right.set(title=r"What a nudge at $t$ does to the loss: $a(t)$", xlabel="$t$", ylabel=r"$\partial L / \partial z(t)$")
right.annotate("dashed: the sign lost", (0.22, -2.6), color="0.35", fontsize=9)
right.legend(frameon=False, fontsize=9)
print(f"largest distance of circles and curves: {np.abs(measured - adjoint[::6]).max():.1e}")
# The central difference is off by nudge**2 times a third derivative.
np.testing.assert_allclose(measured, adjoint[::6], atol=1e-5)

# %% [markdown]
# ## Step 1 · The adjoint is a derivative
#
# Let $\varphi_{t \to t_1}(z)$ be the solution at $t_1$ that starts at $z$ at time $t$. The *adjoint* at time $t$ is the
# derivative of the loss by the state at this time, taken along the solution $z(t)$ that the problem has:
#
# $$a(t) \;=\; \frac{\partial L}{\partial z(t)}
# \;=\; \frac{\partial}{\partial z} L\bigl(\varphi_{t \to t_1}(z)\bigr) \Big|_{z = z(t)} .$$ (eq-b1)
#
# This is equation (34), and it is a definition: nothing is claimed yet. But it can be computed in two ways. The direct
# one is to nudge and solve again. The other one is the chain rule, $a(t) = \frac{\partial L}{\partial z(t_1)} \Phi$
# with $\Phi = \partial z(t_1) / \partial z(t)$ from the variational equation.
#
# The derivative of a number by $D$ numbers is a **row**: it waits for a nudge, a column $\delta z$, to give a number
# $\delta L = a\, \delta z$. In this book $a$ is a row, $J$ stands on its right, and no transpose will ever be needed.

# %%
t = 0.6
halves = [0.1 / 2**k for k in range(6)]


def by_nudging(name, t):
    """Compute a(t) from losses alone: central differences, extrapolated."""
    f, z0, theta, y = problems[name]
    z = flow(f, t0, t, z0, theta)
    return central_difference(lambda z: loss(flow(f, t, t1, z, theta), y), z, levels=5).value


@cache
def by_chain_rule(name, t):
    """Compute a(t) from the gradient of the loss and the Jacobian of the flow."""
    f, z0, theta, y = problems[name]
    z1, Phi = flow_and_jacobian(f, t, t1, flow(f, t0, t, z0, theta), theta)
    return loss_gradient(z1, y) @ Phi


for name in problems:
    # Solutions are good to some 1e-12; divided by steps of 1/256 and more this leaves 1e-10.
    check_equal("b1", by_nudging(name, t), by_chain_rule(name, t), tolerance=1e-9)

# %% [markdown]
# ## Step 2 · A short piece of the path
#
# Cut the way from $t$ to $t_1$ after a short time $\varepsilon$. The first piece maps $z(t)$ to $z(t + \varepsilon)$.
# Call this map $T_\varepsilon$; this is (37),
#
# $$T_\varepsilon(z(t), t) = z(t + \varepsilon) = z(t) + \int_t^{t+\varepsilon} f(s, z(s), \theta)\, ds .$$ (eq-b4)
#
# The loss depends on $z(t)$ only through $z(t + \varepsilon)$, whatever $\varepsilon$ is. Hence, by the chain rule,
# (38):
#
# $$a(t) = a(t + \varepsilon)\, \frac{\partial T_\varepsilon}{\partial z} .$$ (eq-b3)
#
# There is no limit here and no approximation. Take $\varepsilon$ as the depth of one layer, and this is backpropagation
# through a layer, $\frac{dL}{dh_t} = \frac{dL}{dh_{t+1}} \frac{dh_{t+1}}{dh_t}$. We check both with a large
# $\varepsilon$, the integral by Gauss and Legendre's rule.

# %%
eps = 0.1
nodes, weights = np.polynomial.legendre.leggauss(8)
for name, (f, z0, theta, _) in problems.items():
    z = flow(f, t0, t, z0, theta)
    z_eps, dT_dz = flow_and_jacobian(f, t, t + eps, z, theta)
    times = t + eps * (nodes + 1) / 2
    velocities = np.array([f(s, flow(f, t, s, z, theta), theta) for s in times])
    # Eight nodes integrate this smooth function to rounding; solutions are good to some 1e-12.
    check_equal("b4", z_eps, z + eps / 2 * weights @ velocities, tolerance=1e-11)
    check_equal("b3", by_chain_rule(name, t + eps) @ dT_dz, by_chain_rule(name, t), tolerance=1e-11)

# %% [markdown]
# ## Step 3 · The derivative of a short piece
#
# For small $\varepsilon$ the piece is nearly the identity. $\Phi(s) = \partial z(s)/\partial z(t)$ starts at $I$ with
# the slope $\Phi' = J \Phi = J$, so by Taylor's formula, applied to $\Phi$,
#
# $$\frac{\partial T_\varepsilon}{\partial z} = I + \varepsilon J + O(\varepsilon^2),
# \qquad J = \frac{\partial f}{\partial z}(t, z(t), \theta) .$$ (eq-b5)
#
# The paper's lines (41) and (42) are shorter: expand $T_\varepsilon = z + \varepsilon f + O(\varepsilon^2)$ and
# differentiate by $z$, the $O(\varepsilon^2)$ included. The result is right, but an $O$ must not be differentiated: a
# term may be small and steep. $\varepsilon^2 \sin(z / \varepsilon^2)$ is $O(\varepsilon^2)$, and its derivative by $z$
# is $\cos(z/\varepsilon^2)$, which does not even go to zero. The variational equation closes the gap, and tells us what
# it needs: $\partial f/\partial z$ continuous for $I + \varepsilon J + o(\varepsilon)$, Lipschitz in $z$ and $t$ for
# $O(\varepsilon^2)$.

# %%
for f, z0, theta, _ in problems.values():
    z = flow(f, t0, t, z0, theta)
    J = jacobian(f, t, z, theta)
    pieces = [flow_and_jacobian(f, t, t + eps, z, theta)[1] for eps in halves]
    remainders = [dT_dz - np.eye(len(z)) - eps * J for dT_dz, eps in zip(pieces, halves, strict=True)]
    check_order("b5", [np.linalg.norm(remainder) for remainder in remainders], expected=2)

# %% [markdown]
# ## Step 4 · The limit
#
# Now the derivative of $a$ itself. In the difference quotient replace $a(t)$ by {eq}`eq-b3`, then use {eq}`eq-b5`:
#
# $$\frac{a(t + \varepsilon) - a(t)}{\varepsilon}
# = a(t + \varepsilon)\, \frac{I - \partial T_\varepsilon/\partial z}{\varepsilon}
# = -\,a(t + \varepsilon)\, J + O(\varepsilon) .$$
#
# **This is where the minus comes from.** Not from running backwards: the difference is the ordinary one, later minus
# earlier. It comes from which of the two is a multiple of the other. The earlier $a$ is the later one *times* $(I +
# \varepsilon J)$, because an earlier nudge still has to pass through the piece. As $\varepsilon \to 0$, the right side
# goes to $-a(t) J$, as $a$ is continuous; and this itself has order one, (44):
#
# $$a(t + \varepsilon) J - a(t) J = O(\varepsilon) .$$ (eq-b9)
#
# So the quotient from the right converges to $-aJ$ with order one,
#
# $$\frac{a(t + \varepsilon) - a(t)}{\varepsilon} + a(t) J = O(\varepsilon), $$ (eq-b6)
#
# A derivative needs both sides. (39) in the paper looks to the right only. To the left, cut the path at $t -
# \varepsilon$ instead and repeat the argument,
#
# $$\frac{a(t) - a(t - \varepsilon)}{\varepsilon} + a(t) J = O(\varepsilon), $$ (eq-b7)
#
# and in the mean of the two the errors of first order cancel:
#
# $$\frac{a(t + \varepsilon) - a(t - \varepsilon)}{2 \varepsilon} + a(t) J = O(\varepsilon^2) .$$ (eq-b8)

# %%
quotients = {}
for name, (f, z0, theta, _) in problems.items():
    J = jacobian(f, t, flow(f, t0, t, z0, theta), theta)
    a = by_chain_rule(name, t)
    later = np.array([by_chain_rule(name, t + eps) for eps in halves])
    earlier = np.array([by_chain_rule(name, t - eps) for eps in halves])
    eps = np.array(halves)[:, None]
    right, left = (later - a) / eps, (a - earlier) / eps
    quotients[name] = right
    norm = np.linalg.norm
    check_order("b6", norm(right + a @ J, axis=1), expected=1)
    check_order("b7", norm(left + a @ J, axis=1), expected=1)
    check_order("b8", norm((right + left) / 2 + a @ J, axis=1), expected=2)
    check_order("b9", norm(later @ J - a @ J, axis=1), expected=1)

# %% [markdown]
# ## Step 5 · The equation, and how to solve it
#
# We have derived (35), and step 1 gives its value at the end: there, $\varphi$ is the identity.
#
# $$\boxed{\;\frac{da(t)}{dt} = -\,a(t)\, \frac{\partial f}{\partial z}(t, z(t), \theta),
# \qquad a(t_1) = \frac{\partial L}{\partial z(t_1)} \;}$$ (eq-b2)
#
# The value is known at the end, so we solve from $t_1$ to $t$. The Jacobian is wanted along the path $z(t)$, so we
# follow $z$ back along with $a$. The right side needs $aJ$, a VJP: one sweep of reverse mode, the price of a few
# evaluations of $f$, however many components $z$ has. The matrix $J$ is never made.
#
# The check compares with step 1, which used neither reverse mode nor an equation for $a$. Integrated, the equation
# reads
#
# $$a(t) = a(t_1) - \int_{t_1}^{t} a(s)\, J(s)\, ds
# \;=\; a(t_1) + \int_{t}^{t_1} a(s)\, J(s)\, ds ,$$ (eq-b10)
#
# which is (46). The two forms differ in the order of the limits *and* in the sign. To change one of them only is the
# commonest error of all.

# %%
nodes, weights = np.polynomial.legendre.leggauss(40)
times, weights = t0 + (t1 - t0) / 2 * (1 - nodes), (t1 - t0) / 2 * weights  # from t1 down to t0
adjoints = {}
for name, (f, z0, theta, y) in problems.items():
    zs, rows = adjoints[name] = follow_back(name, [*times, t0], minus_aJ)
    # Two solutions, each good to some 1e-12.
    check_equal("b2", rows[-1], by_chain_rule(name, t0), tolerance=1e-11)

    products = [a_times_J(f, s, z, a, theta) for s, z, a in zip(times, zs, rows, strict=False)]
    at_end = loss_gradient(flow(f, t0, t1, z0, theta), y)
    # Forty nodes integrate this smooth function to rounding.
    check_equal("b10", at_end + weights @ np.array(products), by_chain_rule(name, t0), tolerance=1e-11)

# %% [markdown]
# ## A second look at the sign
#
# A nudge $\delta z$ made at $t_0$ travels with the variational equation, $\delta z' = J\, \delta z$. The loss changes
# by $\delta L = a\, \delta z$, and it does not matter at which moment of the journey we compute this: the nudge is
# always the same nudge. So the product must not depend on $t$,
#
# $$\frac{d}{dt} \bigl( a\, \delta z \bigr) = a'\, \delta z + a\, J\, \delta z = 0
# \quad \text{for all } \delta z \quad\Longleftrightarrow\quad a' = -aJ .$$ (eq-k1)
#
# The minus is what keeps $a\, \delta z$ constant; chapter 8 makes more of this. It also gives a test that needs no
# truth: follow both, multiply, look whether the product drifts.

# %%
for name, (f, z0, theta, y) in problems.items():
    dz0 = np.ones(len(z0))
    z1, Phi = flow_and_jacobian(f, t0, t1, z0, theta)
    at_t1 = loss_gradient(z1, y) @ (Phi @ dz0)
    at_t0 = adjoints[name][1][-1] @ dz0
    with_plus = follow_back(name, [t0], plus_aJ, rtol=1e-8)[1][0] @ dz0
    check_equal("k1", at_t0, at_t1, tolerance=1e-11)  # two solutions, each good to some 1e-12
    print(f"{name}: a dz is {at_t1:.4f} at t1 and {at_t0:.4f} at t0; with a' = +aJ it drifts to {with_plus:.4f}")

# %% [markdown]
# ## What goes wrong, measured
#
# All of the following are in circulation.
#
# | form | where it comes from |
# |---|---|
# | $a' = +aJ$ | the sign lost in copying (O. Mogren's slides; in the integral form, A. Drozdyuk's, 2020) |
# | $a' = -Ja$ | $a$ taken for a column (X. Garcia's notes, 2019); for columns the equation is $a' = -J^{\mathsf T} a$ |
# | $J$ kept from $t_1$ | the Jacobian computed once, at the end of the path |
# | $z$ kept from $t_1$ | the time runs back, the state does not |
# | $J$ at $a$ | copies of the derivation print $\partial f(a(t), t, \theta)$ in line (43); the state is meant |
#
# We solve the first four and compare with the truth at $t_0$. Their tolerance need not be tight.


# %%
def minus_Ja(f, t, z, a, theta):
    return -jacobian(f, t, z, theta) @ a


def J_kept_from_t1(f, t, z, a, theta):
    return minus_aJ(f, t1, z_end, a, theta)


def z_kept_from_t1(f, t, z, a, theta):
    return minus_aJ(f, t, z_end, a, theta)


forms = (minus_aJ, plus_aJ, minus_Ja, J_kept_from_t1, z_kept_from_t1)
errors = {form: [] for form in forms}
for name, (f, z0, theta, _) in problems.items():
    z_end, truth = flow(f, t0, t1, z0, theta), by_chain_rule(name, t0)
    for form in forms:
        got = follow_back(name, [t0], form, rtol=1e-8)[1][0]
        errors[form].append(np.linalg.norm(got - truth) / np.linalg.norm(truth))
print("relative error of a(t0)      M         V")
for form, (on_M, on_V) in errors.items():
    print(f"{form.__name__:18} {on_M:11.2g} {on_V:9.2g}")
    assert max(on_M, on_V) < 1e-6 if form is minus_aJ else min(on_M, on_V) > 0.5

# %% [markdown]
# The fifth is caught by the difference quotients of step 4. A right equation leaves a residual that halves with
# $\varepsilon$; the misprint leaves one that stays.

# %%
fig, panels = plot.figure(1, 2, size=(9, 3.6), sharey=True, num="06_quotients")
for axes, (name, (f, z0, theta, _)) in zip(panels, problems.items(), strict=True):
    z, a = flow(f, t0, t, z0, theta), by_chain_rule(name, t)
    slopes = {"$-aJ$": minus_aJ(f, t, z, a, theta), "$-aJ$ with $J$ at $a$": minus_aJ(f, t, a, a, theta),
              "$+aJ$": plus_aJ(f, t, z, a, theta), "$-Ja$": minus_Ja(f, t, z, a, theta)}  # fmt: skip
    for (form, slope), color in zip(slopes.items(), (BLUE, ORANGE, GREEN, PINK), strict=True):
        residuals = np.linalg.norm(quotients[name] - slope, axis=1)
        axes.loglog(halves, residuals, "o-", color=color, label=f"$a'$ = {form}")
        assert (residuals[-1] < 0.1) == (form == "$-aJ$")
    axes.set(title=f"Field {name}", xlabel=r"$\varepsilon$")
panels[0].set_ylabel("difference quotient minus right side")
panels[0].legend(frameon=False, loc="center left", bbox_to_anchor=(0.02, 0.6))

# %% [markdown]
# **The wrong test.** Had we tried all this on a field whose Jacobian is symmetric, such as that of a gradient descent,
# $aJ$ and $Ja$ would be the same numbers and the second row of the table would pass:

# %%
W, z, a = rng.normal(size=(4, 3)), rng.normal(size=3), rng.normal(size=3)


def descent(t, z, theta):
    return -W.T @ np.tanh(W @ z)


print("aJ", a @ jacobian(descent, 0.0, z, None), " Ja", jacobian(descent, 0.0, z, None) @ a)
np.testing.assert_allclose(a @ jacobian(descent, 0.0, z, None), jacobian(descent, 0.0, z, None) @ a, rtol=1e-12)

# %% [markdown]
# ## Step 6 · What training needs
#
# The adjoint is the gradient by the state. The gradient by the parameters is one more limit away. Change $\theta$ by
# $\delta\theta$, but only between $t$ and $t + \varepsilon$. There the velocity changes by $f_\theta\, \delta\theta$,
# so that the state at $t + \varepsilon$ has been nudged by $\varepsilon f_\theta\, \delta\theta$, and we know what a
# nudge does: the loss changes by $\varepsilon\, a f_\theta\, \delta\theta$. Add up all the pieces:
#
# $$\frac{dL}{d\theta} = \int_{t_0}^{t_1} a(t)\, \frac{\partial f}{\partial \theta}(t, z(t), \theta)\, dt .$$ (eq-k2)
#
# Here is no minus and the limits are in their natural order. (Chapter 9 treats this with care, and the derivatives by
# the times too.) $a f_\theta$ is the other half of the same VJP. To check it, we nudge all parameters in one random
# direction and compare with losses.


# %%
def by_nudging_theta(name, v):
    """Compute the derivative of the loss along v from losses alone."""
    f, z0, theta, y = problems[name]
    return central_difference(lambda theta: loss(flow(f, t0, t1, z0, theta), y), theta, v).value


theta_bars = {}
for name, (f, _, theta, _) in problems.items():
    leaves = [ne.Tensor(leaf) for leaf in theta]
    for s, weight, z, a in zip(times, weights, *adjoints[name], strict=False):
        f(s, z, leaves).backward(weight * a)  # adds to the gradient of every leaf
    theta_bars[name] = [leaf.grad for leaf in leaves]
    v = tuple(rng.normal(size=np.shape(leaf)) for leaf in theta)
    along_v = sum(np.sum(bar * nudge) for bar, nudge in zip(theta_bars[name], v, strict=True))
    # Solutions are good to some 1e-12; divided by the step this leaves 1e-11 or so.
    check_equal("k2", along_v, by_nudging_theta(name, v), tolerance=1e-9)

# %% [markdown]
# This is all that `ne.gradients` does with `method="backsolve"`: it solves for $z$ and $a$ from $t_1$ back to $t_0$ and
# accumulates $a f_\theta$ on the way, in compiled code, with the VJP that was made from the tape of $f$. With
# `method="discrete"` it does something else, backpropagation through the steps of the solver (chapter 10). At a tight
# tolerance both must give what we have computed by hand. `zs_bar` holds $\partial L / \partial z(t_i)$ for the times in
# `ts`; this loss looks at the last one only.

# %%
for name, (f, z0, theta, y) in problems.items():
    field, ts = ne.vector_field(f, z0, theta), [t0, t1]
    solution = ne.odeint(field, z0, ts, theta, rtol=1e-11, atol=1e-12)
    zs_bar = np.array([np.zeros_like(z0), loss_gradient(solution.zs[-1], y)])
    by_hand = [by_chain_rule(name, t0), *theta_bars[name]]
    for method in ("backsolve", "discrete"):
        g = ne.gradients(field, z0, ts, theta, zs_bar, method=method, rtol=1e-11, atol=1e-12)
        error = relative_error([g.z0, *g.theta], by_hand)
        print(f"{name}, {method:9}: relative difference from the derivation {error:.1e}")
        assert error < 1e-8  # a tolerance of 1e-11 a step, times the steps and the growth of errors on the way

# %% [markdown]
# ## Exercises
#
# 1. *Columns.* Write the derivation once more with a column $\lambda = a^{\mathsf T}$. Where does the transpose enter?
#    Does any sign change?
# 2. *A definition with a minus.* Some authors define $a = -\partial L/\partial z$. Which of {eq}`eq-b2`, {eq}`eq-b10`
#    and {eq}`eq-k2` change? What happens if you take the equation for $a$ from one author and {eq}`eq-k2` from another?
# 3. *A running cost.* Let the loss be $\int_{t_0}^{t_1} l(z(t))\, dt$. Repeat steps 2 to 5: the piece from $t$ to $t +
#    \varepsilon$ now also pays $\varepsilon\, l(z)$. Show that $a' = -aJ - \partial l/\partial z$ with $a(t_1) = 0$,
#    and check it as in step 4.
#
# ## Further reading
#
# - R. T. Q. Chen, Y. Rubanova, J. Bettencourt, D. Duvenaud: *Neural ordinary differential equations*, arXiv 1806.07366
#   (2018), appendix B.
# - L. S. Pontryagin, V. G. Boltyanskii, R. V. Gamkrelidze, E. F. Mishchenko: *The Mathematical Theory of Optimal
#   Processes* (1962), where $a$ is the costate.
# - E. Hairer, S. P. Nørsett, G. Wanner: *Solving Ordinary Differential Equations I* (1993), section I.14, on the
#   variational equation and on derivatives by initial values and parameters.
# - M. B. Giles, N. A. Pierce: *An introduction to the adjoint approach to design*, Flow, Turbulence and Combustion 65
#   (2000) 393.

# %% tags=["remove-cell"]
plot.show_or_save()
