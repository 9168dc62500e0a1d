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
# # 9 · Parameters, times, observations
#
# **What you will do.** Turn the adjoint of chapter 6, which knew one loss at one time, into what a program needs:
# several observations, the gradient by the parameters, and by every time that was given. In the paper on Neural ODEs
# (Chen, Rubanova, Bettencourt, Duvenaud, 2018) these are Algorithms 1 and 2.
#
# **What you will learn.** Why parameters are states that do not move; why the adjoint jumps; why an observation time
# asks for $g_i f$ and the starting time for $-a f$, and what is *not* in that $a$; what twelve mistakes cost.
#
# **What you need.** Chapter 6 (the adjoint equation), chapter 4 (forward sensitivity, the truth here).

# %%
from dataclasses import replace

import numpy as np
from scipy.integrate import solve_ivp

import nodeedu as ne
from nodeedu import plot
from nodeedu.autodiff import central_difference, relative_error
from nodeedu.verify.checks import Checks
from nodeedu.verify.equations import ledger
from nodeedu.verify.standard_problems import M, V

BLUE, ORANGE, GREEN, PINK, *_ = plot.COLORS
problems = (M(), V())
checks = Checks()
check_equal = checks.equal

# %% [markdown]
# The problems are the network **M** and the oscillator **V** of chapter 1. Four observations at the times `P.ts`, 0.2
# to 1.7, make the loss $L = \sum_i L_i(z(t_i))$, and $g_i = \partial L_i / \partial z(t_i)$ is a row. The first one,
# at $t_0$, looks at $z_0$ itself. `P.truth` has all gradients by forward sensitivity, which knows nothing of what
# follows.
#
# ## Step 1 · A parameter is a state that does not move
#
# Put everything that the loss may depend on into one state: $z$, the parameters, and the clock. It obeys $(z, \theta,
# t)' = (f, 0, 1)$, a field like any other, whose Jacobian is
#
# $$\frac{\partial (f, 0, 1)}{\partial (z, \theta, t)}
# = \begin{pmatrix} J & f_\theta & f_t \\ 0 & 0 & 0 \\ 0 & 0 & 0 \end{pmatrix} .$$ (eq-e1)

# %%
for P in problems:
    D, t = P.size, 0.9

    def together(x, P=P, D=D):
        return np.concatenate([P.f(x[-1], x[:D], x[D:-1]), 0 * x[D:-1], [1]])

    right = np.zeros((D + len(P.p) + 1, D + len(P.p) + 1))
    right[:D] = np.column_stack([P.J(t, P.z0), P.f_theta(t, P.z0), P.f_t(t, P.z0)])
    check_equal("e1", P.by_steps(together, np.concatenate([P.z0, P.p, [t]])), right, tolerance=1e-13)  # rounding

# %% [markdown]
# ## Step 2 · Algorithm 1
#
# Chapter 6 applies as it stands. The adjoint of the long state is a row $(a, a_\theta, a_t)$, and minus this row
# times the matrix gives three equations,
#
# $$a' = -aJ, \qquad a_\theta' = -a f_\theta, \qquad a_t' = -a f_t .$$
#
# The zeros mean that $a_\theta$ and $a_t$ drive nothing: they are integrals, collected on the way. At $t_1$ the loss
# does not depend on $\theta$ but through $z$, so $a_\theta(t_1) = 0$. With a loss at the end alone, one solve from
# $t_1$ back to $t_0$ gives the state, the adjoint and the gradient,
#
# $$z(t_0) = z_0, $$ (eq-e2)
#
# $$a(t_0) = \frac{dL}{dz_0}, \qquad a(t_1) = g, $$ (eq-e3)
#
# $$a_\theta(t_0) = \int_{t_0}^{t_1} a f_\theta\, dt = \frac{dL}{d\theta} .$$ (eq-e4)
#
# The function below is this, made ready for what comes next. It holds some wrong lines as well, each with a name;
# they wait for the end of the chapter.


# %%
def backward(P, wrong="", rtol=1e-6, path=None):
    """Return z(t0), dL/dz0, dL/dtheta, dL/dt_i and a_t(t0+), from the last state and the g_i."""
    D, ts, g = P.size, P.ts, P.loss_gradients(P.truth.zs)
    z, a, by_theta, a_t, by_t = P.truth.zs[-1], np.zeros(D), np.zeros(len(P.p)), 0.0, np.zeros(len(ts))

    def slopes(t, y):
        a_ft, aJ, a_ftheta = P.vjp(t, y[:D], y[D : 2 * D])
        return np.concatenate([P.f(t, y[:D]), -aJ, -a_ftheta, [0 if wrong == "no f_t" else -a_ft]])

    for i in range(len(ts) - 1, 0, -1):
        inside, comes = i < len(ts) - 1, g[i]
        if wrong == "jumps left out" and inside:
            comes = 0 * g[i]
        elif wrong == "jumps subtracted" and inside:
            comes = -g[i]
        elif wrong == "jumps an interval late":
            comes = g[i + 1] if inside else 0 * g[i]
        a = comes if wrong == "a = g_i" else a + comes  # the jump
        f = P.f(ts[i], z)
        by_t[i] = (a if wrong == "dL/dt_i = a f" else g[i]) @ f * (-1 if wrong == "dL/dt_i = -g_i f" else 1)
        if wrong != "a_t starts at 0":
            a_t = a_t - g[i] @ f * (-1 if wrong == "a_t += g_i f" else 1)
        if wrong == "a_theta reset":
            by_theta = 0 * by_theta
        y = np.hstack([z, a, by_theta, a_t])
        found = solve_ivp(slopes, ts[[i, i - 1]], y, "DOP853", rtol=rtol, atol=rtol / 10, dense_output=path is not None)
        z, a, by_theta, a_t = np.split(found.y[:, -1], [D, 2 * D, 2 * D + len(P.p)])
        if path is not None:
            fine = np.linspace(ts[i], ts[i - 1], 41)
            path.append((fine, found.sol(fine).T))
    if wrong == "jumps an interval late":
        a = a + g[1]
    by_t[0] = {"dL/dt_0 = +a f": a, "g_0 in dL/dt_0": -a - g[0]}.get(wrong, -a) @ P.f(ts[0], z)
    if wrong in ("no f_t", "a_t += g_i f", "a_t starts at 0"):  # Algorithm 2; the line above is shorter
        by_t[0] = a_t[0]
    return z, a + g[0], by_theta, by_t, a_t[0]


for P in problems:
    z0, by_z0, by_theta, *_ = backward(P.at_end, rtol=1e-12)
    # A solution to twelve digits, whose errors grow a little on the way.
    check_equal("e2", z0, P.z0, tolerance=1e-10)
    check_equal("e3", by_z0, P.at_end.truth.z0, tolerance=1e-10)
    check_equal("e4", by_theta, P.at_end.truth.theta, tolerance=1e-10)

# %% [markdown]
# ## The picture of the result
#
# All four observations, on V. Left: going from right to left, the adjoint starts with $g_3$, follows its equation,
# and jumps by $g_i$ at each observation that it passes. Right: $a_\theta$, one curve for each parameter, which has
# kinks there but no jumps. At $t_0$ they arrive at the truth, the circles.

# %% tags=["hide-input"]
path = []
backward(V(), path=path)
fig, (left, right) = plot.figure(1, 2, size=(9.4, 4), num="09_jumps")
for times, y in path:
    for k, color in ((2, BLUE), (3, ORANGE)):
        left.plot(times, y[:, k], color=color)
    for k, color in enumerate((BLUE, ORANGE, GREEN, PINK)):
        right.plot(times, y[:, 4 + k], color=color)
for (times, y), (_, later) in zip(path[1:], path, strict=False):
    for k, color in ((2, BLUE), (3, ORANGE)):
        arrow = {"arrowstyle": "-|>", "color": color}
        left.annotate("", (times[0], y[0, k]), (times[0], later[-1, k]), arrowprops=arrow)
left.plot([0.2] * 2, V().truth.z0 - V().loss_gradients(V().truth.zs)[0], "o", mfc="white", color="black")
for k, name in enumerate((r"\mu", "k", "F", r"\omega")):
    right.plot(0.2, V().truth.theta[k], "o", mfc="white", color="black")
    right.annotate(f"${name}$", (0.2, V().truth.theta[k]), (-6, 0), textcoords="offset points", ha="right", va="center")
left.set(title="Adjoint $a$ of position (blue) and velocity", xlabel="$t$", xticks=V().ts)
right.set(title=r"What has been collected of $dL/d\theta$", xlabel="$t$", xticks=V().ts, xlim=(0.05, None))

# %% [markdown]
# ## Step 3 · Observations make jumps
#
# The loss is a sum, and the gradient of a sum is the sum of the gradients. Each $L_i$ has an adjoint of its own that
# starts at $t_i$ with $g_i$ and is zero at later times, which cannot matter to it:
#
# $$\frac{dL}{dz_0} = \sum_i g_i\, \Phi(t_i, t_0), \qquad \Phi(t, s) = \frac{\partial z(t)}{\partial z(s)} .$$ (eq-e7)
#
# All of them obey the same linear equation. So we need not solve it four times: add them up on the way, each from its
# time on,
#
# $$a(t_i^-) = a(t_i^+) + g_i, \qquad \frac{dL}{dz_0} = a(t_0^+) + g_0, $$ (eq-e5)
#
# $$\frac{dL}{d\theta} = \int_{t_0}^{t_N} a f_\theta\, dt .$$ (eq-e6)
#
# $t^-$ is just before and $t^+$ just after, on the clock, not in the order in which the program gets there.

# %%
results = {P.name: backward(P, rtol=1e-12) for P in problems}
for P in problems:
    zs, Phi, _, _ = P.tangents(P.ts[0], P.ts, P.z0)
    # Solutions to twelve digits.
    check_equal("e7", np.einsum("ti,tij->j", P.loss_gradients(zs), Phi), results[P.name][1], tolerance=1e-10)
    check_equal("e5", results[P.name][1], P.truth.z0, tolerance=1e-10)
    check_equal("e6", results[P.name][2], P.truth.theta, tolerance=1e-10)

# %% [markdown]
# ## Step 4 · The times
#
# Look a little later, at $t_i + \delta t$. The path is as it was, the state that you see has moved on by $f\, \delta
# t$, and *this* observation changes by $g_i f\, \delta t$. The later ones do not notice. So the factor is $g_i$, not
# the adjoint, which stands for all that comes after.
#
# Start a little later, at $t_0 + \delta t$, with the same $z_0$. A path that had started at $t_0$ would be at $z_0 + f
# \delta t$ by now: yours has been nudged by $-f\, \delta t$. What a nudge does, we know. But the observation at $t_0$
# looks at $z_0$ itself, wherever the clock stands; it takes no part. Together,
#
# $$\frac{dL}{dt_i} = g_i\, f(t_i, z_i) \quad (i \ge 1), \qquad
# \frac{dL}{dt_0} = -a(t_0^+)\, f(t_0, z_0) .$$ (eq-f1)
#
# We compare with losses alone.

# %%
measured = {}
for P in problems:

    def loss(ts, P=P):
        moved = replace(P, ts=ts)
        return moved.loss(moved.flow(ts[0], ts, P.z0))

    measured[P.name] = central_difference(loss, P.ts).value
    check_equal("f1", measured[P.name], results[P.name][3], tolerance=1e-8)  # 1e-13 over the step, extrapolated

# %% [markdown]
# ## Step 5 · Algorithm 2
#
# The paper finds $dL/dt_0$ by another way, with the clock as a state. A change of $a_t$'s kind sets the clock of the
# *field* forward and leaves all durations as they are: its adjoint starts at zero and would end at $\int a f_t\, dt$.
# To move $t_0$ alone, take back what the observations then gain by being late, $g_i f$ for each:
#
# $$a_t' = -a f_t, \qquad a_t(t_i^-) = a_t(t_i^+) - g_i f(t_i, z_i), \qquad \frac{dL}{dt_0} = a_t(t_0^+) .$$ (eq-f2)
#
# It needs $\partial f / \partial t$ along the whole path, where {eq}`eq-f1` needs a product at its beginning. That
# both agree is a statement of its own: shift all times together, and only the field notices,
#
# $$\sum_{i=0}^{N} \frac{dL}{dt_i} = \int_{t_0}^{t_N} a f_t\, dt .$$ (eq-f3)

# %%
for P in problems:
    check_equal("f2", results[P.name][4], P.truth.ts[0], tolerance=1e-10)  # solutions to twelve digits
    work = results[P.name][4] + results[P.name][3][1:].sum()  # what a_t has collected without its jumps
    check_equal("f3", measured[P.name].sum(), work, tolerance=1e-8)  # differences, as in step 4

# %% [markdown]
# `ne.gradients` returns the three, as `.z0`, `.theta` and `.ts`, for any of its methods:

# %%
P = V()
got = ne.gradients(P.field, P.z0, P.ts, P.theta, P.loss_gradients(P.truth.zs), "backsolve", rtol=1e-10, atol=1e-12)
for mine, library in zip(results["V"][1:4], (got.z0, P.flat(got.theta), got.ts), strict=True):
    print(library)
    np.testing.assert_allclose(library, mine, rtol=1e-6)  # its tolerance, over some steps

# %% [markdown]
# ## What goes wrong, measured
#
# Twelve wrong lines in `backward`, one at a time, on V. All are natural, and several have been published. The columns
# are relative errors.

# %%
jumps = ("jumps left out", "jumps subtracted", "a = g_i", "jumps an interval late")
mistakes = (*jumps, "a_theta reset", "dL/dt_i = a f", "dL/dt_i = -g_i f", "no f_t", "a_t += g_i f", "a_t starts at 0",
            "dL/dt_0 = +a f", "g_0 in dL/dt_0")  # fmt: skip
truth = P.truth.z0, P.truth.theta, P.truth.ts
print(f"{'':24} {'dL/dz0':>8} {'dL/dtheta':>10} {'dL/dt':>8}   dL/dt_0 (differences: {measured['V'][0]:.3f})")
for wrong in ("", *mistakes):
    result = backward(P, wrong)[1:4]
    each = [relative_error(x, y) for x, y in zip(result, truth, strict=True)]
    print(f"{wrong or 'right':24} {each[0]:8.0e} {each[1]:10.0e} {each[2]:8.0e} {result[2][0]:10.3f}")
    assert (max(each) < 1e-5) if not wrong else (max(each) > 5e-3)
    assert (each[0] > 1e-2) == (wrong in jumps)
    assert (each[1] > 1e-2) == (wrong in (*jumps, "a_theta reset"))

# %% [markdown]
# Eight of the twelve leave $dL/dz_0$ as it is, and seven of these leave $dL/d\theta$ as well: a test that looks at
# one gradient sees one mistake. Two fingerprints help to tell them apart. Subtracted jumps miss by twice what omitted
# jumps miss by. And on a problem with a single observation, at the end, six of the twelve are invisible:

# %%
left_out, subtracted = (backward(P, wrong)[1] - P.truth.z0 for wrong in jumps[:2])
np.testing.assert_allclose(subtracted, 2 * left_out, rtol=1e-3)  # both to some six digits
single, hidden = replace(P, ts=P.ts[[0, -1]], targets=P.targets[[0, -1]], observed=np.array([False, True])), []
for wrong in mistakes:
    result, right = backward(single, wrong)[1:4], (single.truth.z0, single.truth.theta, single.truth.ts)
    if max(relative_error(x, y) for x, y in zip(result, right, strict=True)) < 1e-5:
        hidden.append(wrong)
print(len(hidden), "hidden:", hidden)
assert len(hidden) == 6

# %% [markdown]
# Last, the ledger of the library: the steps of (e) and (f), in code that shares nothing with this chapter.

# %%
for finding in ledger.check(V(), ["e", "f1", "f2", "f3"]):
    print(ledger.row(finding))
    assert finding.ok

# %% [markdown]
# ## Exercises
#
# 1. *A start that depends on $\theta$.* Let $z_0 = (\mu, -0.4)$ in V. Which term is missing from {eq}`eq-e6`? Compare
#    with differences.
# 2. *A loss on the way.* Add $\int l(z)\, dt$ to the loss. Find the change of $a'$ by putting observations closer and
#    closer.
# 3. *A force that is switched.* Let $F$ jump at $t = 1$. Which of {eq}`eq-f1` and {eq}`eq-f2` still gives $dL/dt_0$?
#
# ## Further reading
#
# - R. T. Q. Chen, Y. Rubanova, J. Bettencourt, D. Duvenaud: *Neural ordinary differential equations* (2018), arXiv
#   1806.07366, appendices B.2 and C.
# - Y. Cao, S. Li, L. Petzold, R. Serban: *Adjoint sensitivity analysis for differential-algebraic equations*, SIAM J.
#   Sci. Comput. 24 (2003) 1076: the same with constraints, and integrals in the loss.

# %% tags=["remove-cell"]
plot.show_or_save()
