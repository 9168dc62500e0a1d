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
# # 4 · Forward sensitivity, the expensive truth
#
# **What you will do.** Differentiate a solution by the most direct route there is: differentiate the equation that it
# solves. The derivative obeys a linear equation, which you solve next to the state.
#
# **What you will learn.** Why these numbers serve as the truth for all other methods in this book; what they cost; how
# the same integral, with its brackets set differently, becomes the adjoint; why not to difference an adaptive solver.
#
# **What you need.** Chapter 1, chapter 3 (JVP, complex step), and linear equations $y' = A(t) y + b(t)$.

# %%

import numpy as np
from scipy.integrate import solve_ivp

import nodeedu as ne
from nodeedu import plot
from nodeedu.autodiff import central_difference, relative_error
from nodeedu.verify.checks import Checks
from nodeedu.verify.equations import ledger
from nodeedu.verify.equations.paths import gradient_at, loss_at
from nodeedu.verify.problem import make_problem
from nodeedu.verify.standard_problems import M, V, mlp

BLUE, ORANGE, GREEN, PINK, *_ = plot.COLORS

# %% [markdown]
# The problems are those of chapter 1: **M**, a network of 35 parameters that sees the time, and **V**, van der Pol's
# driven oscillator, with four. The library has them as objects: field $f$, start `z0`, parameters in one vector `p`,
# and four times `ts`, 0.2 to 1.7, at which a loss looks, $L = \sum_i L_i(z(t_i))$ with $L_i(z) = \tfrac12 \|z - y_i\|^2
# + 0.3 \sum_k \cos z_k$. Their methods `solve` and `flow` are SciPy's DOP853 at a tolerance of $10^{-13}$.
#
# ## The picture of the result
#
# Left: the position of the oscillator for three values of its stiffness $k$. The dashed lines were made without the
# outer two solutions: they are the middle one plus $\pm 0.06$ times a single curve, $\partial x / \partial k$. Right:
# this curve, and those of the other three parameters. The circles are differences of solutions.


# %%
def slopes(problem, t, y, matrix=np.asarray):
    """Evaluate z' = f and S' = J S + (0, f_theta) for y = (z, S), where S has D + P columns."""
    D = problem.size
    z, S = y[:D], y[D:].reshape(D, -1)
    S_dot = matrix(problem.J_by_steps(t, z)) @ S
    S_dot[:, D:] += problem.f_theta_by_steps(t, z)
    return np.concatenate([problem.f(t, z), np.ravel(S_dot)])


def start(problem):
    return np.concatenate([problem.z0, np.ravel(np.eye(problem.size, problem.size + len(problem.p)))])


def sensitivities(problem, times, matrix=np.asarray):
    """Return z (T, D), Phi = dz/dz0 (T, D, D) and S = dz/dtheta (T, D, P) at the times."""
    D = problem.size
    y = problem.solve(lambda t, y: slopes(problem, t, y, matrix), 0.2, np.asarray(times), start(problem))
    S = y[:, D:].reshape(len(times), D, -1)
    return y[:, :D], S[..., :D], S[..., D:]


# %%
fine, p, k = np.linspace(0.2, 5.5, 107), V().p, np.eye(4)[1]
y = solve_ivp(lambda t, y: slopes(V(), t, y), (0.2, 5.5), start(V()), "DOP853", fine, rtol=1e-9, atol=1e-11).y.T
x, S = y[:, 0], y[:, 4:8]  # behind (x, v), row by row: that of x by x, v, mu, k, F, omega


def position(p):
    return ne.odeint(V().field, V().z0, fine, V().unflat(p), rtol=1e-10, atol=1e-12).zs[:, 0]


measured = np.transpose([(position(p + 1e-4 * unit) - position(p - 1e-4 * unit)) / 2e-4 for unit in np.eye(4)])
np.testing.assert_allclose(measured, S, atol=1e-4)  # 1e-9 or so divided by the step, and the step squared

# %% tags=["hide-input"]
fig, (left, right) = plot.figure(1, 2, size=(9.4, 4), num="04_neighbours_and_sensitivities")
for step, color in ((-0.06, BLUE), (0, "black"), (0.06, ORANGE)):
    left.plot(fine, position(p + step * k), color=color, label=f"$k = {1 + step:.2f}$")
    left.plot(fine, x + step * S[:, 1], "--", color=color, lw=1)
left.set(title="Two neighbours, and what $S$ says of them", xlabel="$t$", ylabel="position $x$")
for n, (name, color) in enumerate(zip((r"\mu", "k", "F", r"\omega"), (BLUE, ORANGE, GREEN, PINK), strict=True)):
    right.plot(fine, S[:, n], color=color, label=rf"$\partial x / \partial {name}$")
    right.plot(fine[::9], measured[::9, n], "o", ms=5, mfc="white", color=color)
right.set(title="Sensitivity of the position to each parameter", xlabel="$t$")
_ = left.legend(frameon=False), right.legend(frameon=False)

# %% [markdown]
# ## Step 1 · Differentiate the equation
#
# Write $S(t)$ for the matrix $\partial z(t) / \partial \theta$, with $D$ rows and one column for each of the $P$
# parameters. A solution satisfies $z(t) = z_0 + \int_{t_0}^t f(s, z(s), \theta)\, ds$. Differentiate by $\theta$, which
# acts twice under the integral: directly, and through the state that it has already changed. With $J = \partial f /
# \partial z$ and $f_\theta = \partial f / \partial \theta$ at $(t, z(t), \theta)$,
#
# $$S(t) = \int_{t_0}^{t} \bigl( J S + f_\theta \bigr)\, ds
# \quad \Longrightarrow \quad \boxed{\; S' = J S + f_\theta, \qquad S(t_0) = 0 . \;}$$ (eq-sensitivity)
#
# $S(t_0)$ is zero as $z_0$ is held fixed. That $S$ exists, and that derivative and integral may be exchanged, is a
# theorem, which asks for continuous $J$ and $f_\theta$. The same line with $z_0$ in the place of $\theta$ gives
# $\Phi(t) = \partial z(t) / \partial z_0$, with no direct effect and from the identity: the *variational equation*
#
# $$\Phi' = J \Phi, \qquad \Phi(t_0) = I .$$ (eq-variational)
#
# `slopes` is these two lines. $J$ and $f_\theta$ come from complex steps of $f$: no rule of differentiation takes part
# that could be wrong. We compare with differences of solutions, extrapolated, in a random direction.


# %%
checks = Checks()
check_equal = checks.equal

problems, rng, ts = (M(), V()), np.random.default_rng(4), M().ts
solved = {problem: sensitivities(problem, ts) for problem in problems}
for P in problems:
    _, Phi, S = solved[P]
    v, w = rng.normal(size=len(P.p)), rng.normal(size=P.size)
    # Solutions are good to 1e-12 or so; divided by the steps this leaves 1e-10.
    by_theta = central_difference(lambda p, P=P: P.flow(0.2, 1.7, P.z0, p), P.p, v, levels=5).value
    check_equal("sensitivity", S[-1] @ v, by_theta, tolerance=1e-9)
    by_start = central_difference(lambda z, P=P: P.flow(0.2, 1.7, z), P.z0, w, levels=5).value
    check_equal("variational", Phi[-1] @ w, by_start, tolerance=1e-9)
    assert relative_error([Phi[-1], S[-1]], P.tangents(0.2, 1.7, P.z0)[1:3]) < 1e-11  # the packaged one

# %% [markdown]
# ## Step 2 · Differentiate the solver
#
# A solver is a program of additions, multiplications and calls of $f$. With fixed steps we can send complex parameters
# through all of it, and the imaginary part is the derivative of what was *computed*, to all digits. How does it differ
# from solving {eq}`eq-sensitivity` with the same method and the same steps? Not at all:
#
# $$\frac{\partial}{\partial \theta} \bigl( N \text{ steps on } z' = f \bigr)
# = N \text{ steps on } S' = J S + f_\theta .$$ (eq-commute)
#
# Differentiate one stage, $k_i = f(t_i, z + h \sum_j a_{ij} k_j, \theta)$: it becomes $\dot k_i = J (S + h \sum_j
# a_{ij} \dot k_j) + f_\theta$, the same stage for $S$. In forward mode it makes no difference what one does first, to
# differentiate or to discretise. Remember this in chapter 10, where the adjoint is less obliging.


# %%
def six_steps(f, y, h=0.25):  # of Kutta's method of order four
    for t in 0.2 + h * np.arange(6):
        k1 = f(t, y)
        k2 = f(t + h / 2, y + h / 2 * k1)
        k3 = f(t + h / 2, y + h / 2 * k2)
        y = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + f(t + h, y + h * k3))
    return y


for P in problems:
    differentiated = P.by_steps(lambda p, P=P: six_steps(lambda t, z: P.f(t, z, p), P.z0), P.p)
    y = six_steps(lambda t, y, P=P: slopes(P, t, y), start(P))[P.size :]
    check_equal("commute", differentiated, y.reshape(P.size, -1)[:, P.size :], tolerance=1e-14)  # rounding of six steps

# %% [markdown]
# ## Step 3 · The gradient
#
# The loss looks at states, so the chain rule finishes the work. With the rows $g_i = \partial L / \partial z(t_i)$,
#
# $$\frac{dL}{d\theta} = \sum_i g_i\, S(t_i), \qquad \frac{dL}{dz_0} = \sum_i g_i\, \Phi(t_i) .$$ (eq-gradient)
#
# We compare with losses alone, then with the library, where this is `method="forward"`, compiled.

# %%
for P in problems:
    zs, Phi, S = solved[P]
    g, v = P.loss_gradients(zs), rng.normal(size=len(P.p))
    by_hand = [np.einsum("ti,tij->j", g, Phi), np.einsum("ti,tip->p", g, S)]
    by_losses = central_difference(lambda p, P=P: P.loss(P.flow(0.2, ts, P.z0, p)), P.p, v, levels=5).value
    check_equal("gradient", by_hand[1] @ v, by_losses, tolerance=1e-9)  # differences again
    packaged = ne.gradients(P.field, P.z0, ts, P.theta, g, method="forward", rtol=1e-11, atol=1e-12)
    assert relative_error([packaged.z0, P.flat(packaged.theta)], by_hand) < 1e-9  # 1e-11 a step, and its growth

# %% [markdown]
# ## Step 4 · The bill
#
# By complex steps, `slopes` needs one evaluation of $f$ for each component of the state and each parameter:
#
# $$\text{one evaluation of } (z', \Phi', S') = 1 + D + P \text{ evaluations of } f .$$ (eq-bill)
#
# JVPs lower the price of a column, not their number. We let the network count its calls, then let it grow beside
# `method="discrete"`, which goes through the steps in reverse (chapter 10): one row for each stage, whatever $P$ is.

# %%
calls = []
counting = make_problem(lambda t, z, theta: (calls.append(t), mlp(t, z, theta))[1], M().z0, M().theta)
slopes(counting, 0.5, start(counting))  # the first evaluation also decides how to differentiate
calls.clear()
slopes(counting, 0.5, start(counting))
check_equal("bill", len(calls), 1 + 3 + 35, tolerance=0)

bills = {"forward": [], "discrete": []}
for H in (4, 16, 64):
    theta = tuple(np.random.default_rng(H).normal(size=shape) / H**0.5 for shape in ((H, 4), H, (3, H), 3))
    wide, bars = ne.vector_field(mlp, M().z0, theta), np.array([np.zeros(3), np.ones(3)])
    for method, bill in bills.items():
        stats = ne.gradients(wide, M().z0, [0.2, 1.7], theta, bars, method=method).stats
        bill.append(stats.nfev * (4 + wide.n_params) if method == "forward" else stats.nfev + stats.nfev_backward)
        print(f"P = {wide.n_params:3}, {method:8}: {bill[-1]:6} values, columns and rows; {stats.stored_states} states")
        assert (stats.stored_states == 0) == (method == "forward")
assert np.all(np.divide(*bills.values())[[0, 2]] > [25, 400])

# %% [markdown]
# With 35 parameters forward sensitivity does more than 25 times the work of reverse mode, with 515 more than 400 times.
# That is the expense. But it kept no states, it never went back, and it has more to give than a gradient: $S$ tells
# which parameters the data can determine. For the four of V it is the method of choice.
#
# ## Step 5 · The same integral, other brackets
#
# Let $\Phi(t, s) = \Phi(t)\, \Phi(s)^{-1}$ be the derivative of the state at $t$ by the state at $s$. What a parameter
# does at the moment $s$, $f_\theta\, ds$, is a nudge of the state, and is carried to $t$ like any other (Duhamel):
#
# $$S(t) = \int_{t_0}^{t} \Phi(t, s)\, f_\theta(s)\, ds .$$ (eq-duhamel)
#
# Let the loss look at the last time $t_1$ only, with the row $g$. The gradient is then a product of three factors under
# an integral, and may be computed from either end:
#
# $$\frac{dL}{d\theta} = \int_{t_0}^{t_1} g\, \bigl( \Phi(t_1, s)\, f_\theta \bigr)\, ds
# = \int_{t_0}^{t_1} \bigl( g\, \Phi(t_1, s) \bigr)\, f_\theta\, ds
# = \int_{t_0}^{t_1} a(s)\, f_\theta(s)\, ds .$$ (eq-k2)
#
# From the right, $P$ columns move forward in time. From the left, *one row* moves backward: $a(s) = g\, \Phi(t_1, s)$,
# the **adjoint**. A nudge $\delta z' = J\, \delta z$ has the same effect on the loss whenever we look at it,
#
# $$a(t)\, \delta z(t) = a(t_1)\, \delta z(t_1) ,$$ (eq-k1)
#
# and from $0 = (a\, \delta z)' = (a' + a J)\, \delta z$ for all nudges follows $a' = -a J$. Chapters 6 and 7 derive
# this in two other ways. Pair $a$ with $S$ instead, and $(a S)' = -a J S + a J S + a f_\theta$, so that at any time
#
# $$a(t)\, S(t) = \int_{t_0}^{t} a\, f_\theta\, ds .$$ (eq-k3)

# %%
times, weights = np.polynomial.legendre.leggauss(30) * np.array([[0.75], [0.75]]) + [[0.95], [0]]  # Gauss's rule
for P in problems:
    D, (zs, Phis, Ss) = P.size, sensitivities(P, [*times, 1.7])
    carried = [Phis[-1] @ np.linalg.solve(Phis[k], P.f_theta_by_steps(times[k], zs[k])) for k in range(30)]
    check_equal("duhamel", np.tensordot(weights, carried, 1), Ss[-1], tolerance=1e-9)  # thirty nodes leave less

    def back(t, y, P=P, D=D):  # z' = f, a' = -aJ, q' = a f_theta, on the tape: nothing in common with `slopes`
        _, aJ, a_f_theta = P.vjp(t, y[:D], y[D : 2 * D])
        return np.concatenate([P.f(t, y[:D]), -aJ, a_f_theta])

    g = gradient_at(P, zs[-1])
    y = P.solve(back, 1.7, np.array([times[14], 0.2]), np.concatenate([zs[-1], g, 0 * P.p]))
    (a_mid, a_start), (q_mid, q_start) = y[:, D : 2 * D], y[:, 2 * D :]
    check_equal("k1", [a_mid @ Phis[14], a_start], [g @ Phis[-1]] * 2, tolerance=1e-11)  # solutions of 1e-12 or so
    check_equal("k2", -q_start, g @ Ss[-1], tolerance=1e-11)
    check_equal("k3", q_mid - q_start, a_mid @ Ss[14], tolerance=1e-11)

# %% [markdown]
# ## What goes wrong, measured
#
# **The transpose.** Who has just read about adjoints writes $S' = J^{\mathsf T} S + f_\theta$. On M and V the gradient
# is then off by more than a third. On $f = -W^{\mathsf T} \tanh(W z)$, whose $J$ is symmetric, no test can tell.

# %%
descent = make_problem(lambda t, z, theta: -theta[0].T @ np.tanh(theta[0] @ z), M().z0, (rng.normal(size=(4, 3)),))
for P, name in ((M(), "M"), (V(), "V"), (descent, "symmetric")):
    zs, _, S = solved.get(P) or sensitivities(P, [1.7])
    wrong, g = sensitivities(P, [1.7], np.transpose)[2][-1], gradient_at(P, zs[-1])
    error = relative_error(g @ wrong, g @ S[-1])
    print(f"{name:9}: dL/dtheta off by {error:.1e}")
    assert error < 1e-11 if P is descent else error > 0.34

# %% [markdown]
# **Differences of an adaptive solver.** Step 1 differenced solutions that are good to $10^{-12}$. Follow V to $t = 20$
# with a tolerance of $10^{-4}$ instead (the truth: a polynomial in $\mu$ through solutions with $10^{-12}$). When $\mu$
# moves, the steps move with it, and the error has a slope of its own. At some $\mu$ a step that was accepted is
# rejected, and the computed loss *jumps* (each dot on the left is one solution); a quotient divides the jump by $h$.


# %%
def end(mu, rtol=1e-4):
    return ne.odeint(P.field, P.z0, [0.2, 20.0], (mu, *P.theta[1:]), rtol=rtol, atol=1e-3 * rtol).zs[-1]


def by_sensitivity(mu):
    bars, options = [P.z0 * 0, gradient_at(P, end(mu))], {"method": "forward", "rtol": 1e-4, "atol": 1e-7}
    return ne.gradients(P.field, P.z0, [0.2, 20.0], (mu, *P.theta[1:]), bars, **options).theta[0]


P = V()
true = np.polynomial.Chebyshev.interpolate(lambda mus: [loss_at(P, end(mu, 1e-12)) for mu in mus], 12, [1.4, 1.6])
mus, dots, hs = np.linspace(1.4502, 1.5498, 60), np.linspace(1.45, 1.55, 401), np.logspace(-1.5, -6, 10)
quotients = np.array([[(loss_at(P, end(mu + h)) - loss_at(P, end(mu - h))) / (2 * h) for mu in mus] for h in hs])
misses = np.abs(quotients / true.deriv()(mus) - 1)
by_equation = np.abs([by_sensitivity(mu) for mu in mus] / true.deriv()(mus) - 1)
print("differences, worst of 60:", misses.max(axis=1).round(3), " forward:", by_equation.max().round(4))
assert by_equation.max() < 0.007 < 0.02 < misses.max(axis=1).min() < 1 < misses.max()

# %% tags=["hide-input"]
fig, (left, right) = plot.figure(1, 2, size=(9.4, 3.8), num="04_differences_of_an_adaptive_solver")
left.plot(dots, [loss_at(P, end(mu)) - true(mu) for mu in dots], ".", ms=3, color=BLUE)
left.set(title="Error of the computed loss", xlabel=r"damping $\mu$")
right.loglog(hs, misses.max(axis=1), "o-", color=BLUE, label=r"differences, worst of 60 values of $\mu$")
right.loglog(hs, np.median(misses, axis=1), "o--", color=BLUE, lw=1, label="median")
right.axhline(by_equation.max(), color=ORANGE, label="forward sensitivity, worst")
right.axhline(np.median(by_equation), color=ORANGE, ls="--", lw=1, label="median")
right.invert_xaxis()
right.set(title=r"Relative error of $dL/d\mu$", xlabel="$h$", ylim=(3e-4, 40))
right.legend(frameon=False, fontsize=9)

# %% [markdown]
# At its worst the quotient is off by more than 100 %, and with the best $h$, which one does not know beforehand, still
# by 2 % at some $\mu$. Forward sensitivity with the same tolerance stays below 0.7 %: it divides nothing by $h$.

# %%
# The same steps, as the ledger of the library has them
for finding in (*ledger.check(M(), ["k"]), *ledger.check(V(), ["k"])):
    print(ledger.row(finding))
    assert finding.ok

# %% [markdown]
# ## Exercises
#
# 1. *A moving start.* Let $z_0 = (\mu, -0.4)$ in V. Change one line of `start`, and compare $dL/d\mu$ with differences.
# 2. *One direction.* For the derivative along $v$ one column $S v$ is enough. Write its equation, and solve it for M.
# 3. *Who controls the error?* Solve with steps chosen by the error of $z$ alone, and take $S$ along. For which field is
#    $S$ then much worse than $z$? (In the library all columns take part in the control of the steps.)
#
# ## Further reading
#
# - E. Hairer, S. P. Nørsett, G. Wanner: *Solving Ordinary Differential Equations I* (1993), section I.14.
# - T. Maly, L. R. Petzold, Appl. Numer. Math. 20 (1996) 57: many columns at the price of few. B. Sengupta, K. J.
#   Friston, W. D. Penny, NeuroImage 98 (2014) 521: forward sensitivity beside the adjoint.

# %% tags=["remove-cell"]
plot.show_or_save()
