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
# # 11 · When running backwards fails
#
# **What you will do.** Recover the beginning of a path from its end, as the adjoint method does to save memory, and
# watch it go wrong. Then find out when the gradient goes wrong with it, and when it does not.
#
# **What you will learn.** By how much an error grows on the way back; how to predict it; why a lost state need not
# mean a lost gradient; what the remedies cost, and that one of them fails for the same reason.
#
# **What you need.** Chapters 6 (the adjoint equation), 4 (the variational equation) and 10 (backpropagation).

# %%
import warnings

import numpy as np
from scipy.integrate import solve_ivp

import nodeedu as ne
from nodeedu import plot
from nodeedu.autodiff import relative_error
from nodeedu.verify.checks import Checks
from nodeedu.verify.equations import ledger
from nodeedu.verify.standard_problems import M, V

BLUE, ORANGE, GREEN, PINK, *_ = plot.COLORS
checks = Checks()
check_equal = checks.equal

# %% [markdown]
# ## The picture of the result
#
# The field is `trap`: a component that decays fast, and a slow one that remembers what the fast one was,
#
# $$x' = -\lambda x, \qquad y' = \theta_1 x^2 + \theta_2 y, \qquad x_0 = y_0 = \theta_1 = \theta_2 = 1,
# \qquad L = y(1) .$$
#
# Left: $x$ from 0 to 1, and back again from where the solver arrived (dashed). Both solves keep their tolerance in
# every step. Right: the error of the recovered $x_0$, and of $dL/d\theta$ by `method="backsolve"`, against $\lambda$.
# The dotted line is a prediction, from step 3. `"discrete"` sees nothing of all this.


# %%
def trap(t, z, theta):
    (x, y), (theta1, theta2, rate) = z, theta
    return np.stack([-rate * x, theta1 * x**2 + theta2 * y])


start, at_end = np.ones(2), np.array([[0.0, 0.0], [0.0, 1.0]])  # dL/dz at the times 0 and 1
field = ne.vector_field(trap, start, (1.0, 1.0, 10.0))
rates = np.arange(5.0, 27.5, 2.5)


def truth(rate):
    """Return dL/dtheta_1 and dL/dtheta_2 by forward sensitivity."""
    return ne.gradients(field, start, [0, 1], (1.0, 1.0, rate), at_end, "forward", rtol=1e-12, atol=1e-14).theta[:2]


def error(rate, method, ts=(0, 1), **options):
    """Return the relative error of dL/dtheta at the default tolerances, rtol 1e-6 and atol 1e-9, and what it cost."""
    bar = np.zeros((len(ts), 2))
    bar[-1, 1] = 1
    got = ne.gradients(field, start, ts, (1.0, 1.0, rate), bar, method, **options)
    return relative_error(got.theta[:2], truth(rate)), got.stats


by_backsolve, by_steps = ([error(rate, method)[0] for rate in rates] for method in ("backsolve", "discrete"))
recovered = []
for rate in rates:
    there = ne.odeint(field, start, [0, 1], (1.0, 1.0, rate)).zs[-1]
    recovered.append(ne.odeint(field, there, [1, 0], (1.0, 1.0, rate)).zs[-1, 0])

# %% tags=["hide-input"]
fig, (left, right) = plot.figure(1, 2, size=(9.4, 4), num="11_lost_on_the_way_back")
fine = np.linspace(0, 1, 81)
for rate, color in ((10.0, BLUE), (20.0, GREEN), (25.0, ORANGE)):
    path = ne.odeint(field, start, fine, (1.0, 1.0, rate)).zs
    back = ne.odeint(field, path[-1], fine[::-1], (1.0, 1.0, rate)).zs
    left.semilogy(fine, path[:, 0], color=color, label=rf"$\lambda = {rate:.0f}$")
    left.semilogy(fine[::-1], np.abs(back[:, 0]), "--", color=color)
left.set(title="There, and back (dashed)", xlabel="$t$", ylabel="$|x|$")
left.legend(frameon=False)
right.semilogy(rates, np.abs(np.array(recovered) - 1), "o-", color=GREEN, label="recovered $x_0$")
right.semilogy(rates, by_backsolve, "o-", color=ORANGE, label=r"$dL/d\theta$, backsolve")
right.semilogy(rates, by_steps, "o-", color=BLUE, label=r"$dL/d\theta$, discrete")
right.semilogy(rates, 1e-9 * np.exp(rates) + 1e-6, ":", color="black", label=r"$\|\Phi^{-1}\| \cdot$ tolerance")
right.set(title="Relative errors", xlabel=r"$\lambda$")
_ = right.legend(frameon=False, fontsize=9)

# %%
for rate, expected in ((10.0, 1.5e-6), (20.0, 1e-3), (25.0, 0.64)):
    found = by_backsolve[list(rates).index(rate)]
    print(f"rate {rate}: backsolve is off by {found:.0e}")
    assert expected / 1.5 < found < 1.5 * expected  # another machine rounds otherwise
assert max(by_steps) < 1e-6

# %% [markdown]
# An error of 64 %, and no message: the solver has kept its promise, which was about each step.
#
# ## Step 1 · What becomes of an error
#
# Let $\varphi$ be the flow from $t_0$ to $t_1$, so that $z_1 = \varphi(z_0)$, with the Jacobian $\Phi = \partial z_1
# /
# \partial z_0$. Start back from $z_1 + \delta$ instead. The inverse of the flow has the inverse Jacobian, so
#
# $$\varphi^{-1}(z_1 + \delta) = z_0 + \Phi^{-1} \delta + O(|\delta|^2) .$$ (eq-m1)
#
# Where paths converge, $\Phi$ is small and $\Phi^{-1}$ is large. It is not a matter of the solver.

# %%
for P in (M(), V()):
    t0, t1 = P.ts[0], P.ts[-1]
    z1, Phi = P.flow(t0, t1, P.z0), P.flow_jacobian(t0, t1, P.z0)
    deltas = [0.01 / 2**k * np.ones(P.size) for k in range(6)]
    rest = [np.linalg.norm(P.flow(t1, t0, z1 + d) - P.z0 - np.linalg.solve(Phi, d)) for d in deltas]
    orders = np.log2(np.divide(rest[:-1], rest[1:]))
    print(
        f"(m1) {P.name}: orders {np.round(orders, 3)}, norm of the inverse {np.linalg.norm(np.linalg.inv(Phi), 2):.1f}"
    )
    assert abs(orders[-1] - 2) < 0.15  # the next power of delta still shows
    checks.setdefault("m1", []).append(orders[-1])

# %% [markdown]
# ## Step 2 · The simplest case
#
# For $x' = -\lambda x$ on a path of length $T$, $\Phi^{-1} = e^{\lambda T}$:
#
# $$\log |\text{error of } x_0| = \lambda T + \log |\delta| .$$ (eq-m3)
#
# We start back from $e^{-\lambda T} + \delta$ with $\lambda = 10$ and $\delta = 10^{-9}$, what an absolute tolerance
# leaves, for several $T$, and fit a line. Its slope should be $\lambda$.

# %%
lengths = np.arange(1.0, 2.6, 0.25)
errors = [solve_ivp(lambda t, x: -10 * x, (T, 0), [np.exp(-10 * T) + 1e-9], rtol=1e-10, atol=1e-14).y[0, -1] - 1
          for T in lengths]  # fmt: skip
slope = np.polyfit(lengths, np.log(np.abs(errors)), 1)[0]
print(f"slope {slope:.4f}: each unit of time costs {slope / np.log(10):.1f} digits")
check_equal("m3", slope, 10.0, tolerance=1e-3)  # at the shortest T the solver's own error still shows

# %% [markdown]
# ## Step 3 · A prediction
#
# A solver leaves at $z_1$ an error of about its tolerance, so the recovered state will be off by about
#
# $$|\hat z_0 - z_0| \approx \|\Phi^{-1}\|_2 \cdot (\text{atol} + \text{rtol}\, |z_1|) .$$ (eq-predict)
#
# On `trap` with its $\Phi^{-1} = e^\lambda$ this is the dotted line of the picture. It is a cautious estimate: $x(1)$
# is far smaller than atol, and so is its error, as nobody asked for larger steps. What was measured lies between
# some three times the prediction and about a hundredth of it. While $\lambda$ goes from 5 to 25, both grow by a factor
# of more than $10^4$.

# %%
ratios = np.abs(np.array(recovered) - 1) / (1e-9 * np.exp(rates) + 1e-6)
print("(predict) measured / predicted:", np.round(ratios, 3))
assert np.all((ratios > 1 / 300) & (ratios < 4))
assert np.abs(recovered[-1] - 1) > 1e4 * np.abs(recovered[0] - 1)
checks["predict"] = ratios

# %% [markdown]
# ## Step 4 · From the state to the gradient
#
# The adjoint of $y$ is $a_y = e^{\theta_2 (1 - t)}$, and $\partial f / \partial \theta_1 = (0, x^2)$, so that
#
# $$\frac{dL}{d\theta_1} = \int_0^1 e^{\theta_2 (1 - t)} x^2\, dt
# = \frac{e^{\theta_2} - e^{-2\lambda}}{2 \lambda + \theta_2} .$$ (eq-trap)
#
# All of it is made near $t = 0$, at the far end of the way back, where $x$ is off the most: that is the trap. The
# recovered path is $\hat x(t) = \hat x_0 e^{-\lambda t}$, so the integral comes out as
#
# $$\widehat{\frac{dL}{d\theta_1}} = \hat x_0^2 \, \frac{dL}{d\theta_1} .$$ (eq-lost)

# %%
for rate in (3.0, 10.0):
    exact = (np.e - np.exp(-2 * rate)) / (2 * rate + 1)
    check_equal("trap", truth(rate)[0], exact, tolerance=1e-9)  # the tolerance of the truth, over some steps

    x1_off = np.exp(-rate) * 1.25  # so that the recovered x0 is 1.25
    y1 = np.exp(1) * (1 + (1 - np.exp(-2 * rate - 1)) / (2 * rate + 1))
    back = solve_ivp(
        lambda t, s, rate=rate: [*trap(t, s[:2], (1, 1, rate)), -s[2], -s[2] * s[0] ** 2],
        (1, 0), [x1_off, y1, 1, 0], rtol=1e-11, atol=1e-14,
    ).y[:, -1]  # fmt: skip
    check_equal("lost", back[3], 1.25**2 * exact, tolerance=1e-9)  # the tolerance, over some steps

# %% [markdown]
# ## Step 5 · A lost state, and a good gradient
#
# Now a field that pulls just as hard, but forgets:
#
# $$x' = -\lambda (x - \sin \theta_1 t), \quad y' = -\lambda (y - \theta_2 x), \quad L = x(1) + y(1),
# \quad \lambda = 40 .$$
#
# The recovered $z_0$ is off by many millions. The gradient has six digits. For the adjoint decays on its way back as
# fast as the error grows: what happened long ago had no influence on the loss, so it does no harm to have it wrong.
# The error of the gradient is the error of the state *weighted by the adjoint*,
#
# $$\delta \frac{dL}{d\theta} = \int \delta a\, f_\theta + a\, \frac{\partial f_\theta}{\partial z}\, \delta z\; dt . $$
#
# So $\hat z_0 - z_0$, which is easy to watch, is the wrong thing to watch.


# %%
def forgetful(t, z, theta):
    (x, y), (theta1, theta2) = z, theta
    return np.stack([-40 * (x - np.sin(theta1 * t)), -40 * (y - theta2 * x)])


other, theta, bar = ne.vector_field(forgetful, start, (3.0, 0.5)), (3.0, 0.5), np.array([[0.0, 0.0], [1.0, 1.0]])
there = ne.odeint(other, start, [0, 1], theta).zs[-1]
lost = np.linalg.norm(ne.odeint(other, there, [1, 0], theta).zs[-1] - start)
exact = ne.gradients(other, start, [0, 1], theta, bar, "forward", rtol=1e-12, atol=1e-14).theta
off = relative_error(ne.gradients(other, start, [0, 1], theta, bar, "backsolve").theta, exact)
print(f"z0 is off by {lost:.0e}, dL/dtheta by {off:.0e}")
assert lost > 1e6
assert off < 3e-6

# %% [markdown]
# The library predicts both before it runs backwards, if it is asked to: `watch=True` carries the error back along the
# true path, by the steps that `"backsolve"` will choose, and weighs it. It must warn about `trap` and be silent here.
# (Afterwards the first of them is known for free: `returned_z0` of the result is $\hat z_0$.)

# %%
for f, parameters, cotangent in ((field, (1.0, 1.0, 25.0), at_end), (other, theta, bar)):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        ne.gradients(f, start, [0, 1], parameters, cotangent, "backsolve", watch=True)
    print(f.name, "->", [str(each.message) for each in said] or "no warning")
    assert len(said) == (f is field)
back = ne.gradients(other, start, [0, 1], theta, bar, "backsolve").returned_z0
assert np.linalg.norm(back - start) > 1e6

# %% [markdown]
# ## Step 6 · Remedies, and what they cost
#
# | | what it does | what it keeps |
# |---|---|---|
# | discrete | backpropagates through the steps that were made | all steps |
# | checkpointed | the same, from a few states; the rest is solved again | as few as you like |
# | interpolated | solves the adjoint equation, takes $z$ from the forward solve | a polynomial for each step |
# | more observations | starts the way back anew at each of them | one state for each |
#
# None of them runs $z$ backwards for long. On `trap` with $\lambda = 25$:

# %%
print(f"{'':28} error of dL/dtheta   states kept   bytes   evaluations back")
for name, method, ts in (
    ("discrete", "discrete", [0, 1]), ("checkpointed", "checkpointed", [0, 1]),
    ("interpolated", "interpolated", [0, 1]), ("backsolve", "backsolve", [0, 1]),
    ("backsolve, 8 observations", "backsolve", np.linspace(0, 1, 9)),
):  # fmt: skip
    size, stats = error(25.0, method, ts)
    print(f"{name:28} {size:12.0e} {stats.stored_states:16d} {stats.stored_bytes:10d} {stats.nfev_backward:15d}")
    assert (size < 1e-5) == (name != "backsolve")

# %% [markdown]
# The last row costs nothing where data come at many times anyway: each observation ends the growth, which is
# $e^{\lambda \Delta t}$ over the gaps and not $e^{\lambda T}$ over the whole.
#
# ## What goes wrong, measured
#
# **A method that can be undone exactly.** Chapter 2 has reversible methods: from the last state their steps are
# undone by a formula, and the states that come back are those of the forward solve, not those of another solve. So
# `method="reversible"` gives the gradient of `"discrete"` and stores next to nothing. On paper. In floating point
# each state that comes back carries a rounding error, and $\Phi^{-1}$ does not ask where an error came from. It
# begins with $10^{-16}$ instead of $10^{-9}$: that buys seven digits, or $\lambda T = 16$, and no more.

# %%
offs = []
for rate in (10.0, 20.0, 25.0, 40.0):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        one, two = (ne.gradients(field, start, [0, 1], (1.0, 1.0, rate), at_end, method, "reversible_dopri5",
                                 step_size=0.005) for method in ("reversible", "discrete"))  # fmt: skip
    offs.append(relative_error(one.theta[:2], two.theta[:2]))
    print(f"rate {rate}: undone steps are off by {offs[-1]:.0e}, warnings: {len(said)}")
assert offs[0] < 1e-14
assert 1e-9 < offs[2] < 1e-5
assert offs[3] > 1e3

# %% [markdown]
# **A tighter tolerance.** At $\lambda = 25$ the tightest that doubles allow buys five digits. At $\lambda = 40$,
# where the default is off by a factor of many millions, it leaves two.

# %%
assert error(40.0, "backsolve")[0] > 1e7
for rate, expected in ((25.0, 1e-5), (40.0, 1e-2)):
    tight = error(rate, "backsolve", rtol=1e-10, atol=1e-14, max_steps=1_000_000)[0]
    print(f"rate {rate}: backsolve with rtol 1e-10, atol 1e-14 is off by {tight:.0e}")
    assert expected / 10 < tight < expected * 10

# %% [markdown]
# **One component to look at.** $dL/d\theta_2$ comes from all of $y$, and only a short stretch of $y$ is spoilt. A
# test that looks at this component alone sees little of the damage.

# %%
got = ne.gradients(field, start, [0, 1], (1.0, 1.0, 25.0), at_end, "backsolve").theta
each = np.abs(np.array(got[:2]) / truth(25.0) - 1)
print("relative errors of the two components:", each)
assert each[0] > 10
assert each[1] < 0.3

# %% [markdown]
# Last, the ledger of the library: the steps of (m), in code that shares nothing with this chapter.

# %%
for finding in ledger.check(V(), ["m"]):
    print(ledger.row(finding))
    assert finding.ok

# %% [markdown]
# ## Exercises
#
# 1. *Heat.* Discretise $u_t = u_{xx}$ on $[0, 1]$ with 10, 20 and 40 points. What is $\|\Phi^{-1}\|_2$ at $t = 0.05$,
#    and what does it say about running a diffusion backwards?
# 2. *Where to observe.* Backsolve on `trap` with one extra observation at $s$. Which $s$ is best? Predict it by step
#    1.
# 3. *The way forwards.* Take `trap` with $\lambda = -25$: now the flow expands. Which of the methods is in trouble,
#    and is it an error of the gradient or of the problem?
#
# ## Further reading
#
# - A. Gholami, K. Keutzer, G. Biros: *ANODE: unconditionally accurate memory-efficient gradients for neural ODEs*
#   (2019), arXiv 1902.10298, with the first of these examples.
# - A. Griewank, A. Walther: *Algorithm 799: revolve*, ACM Trans. Math. Softw. 26 (2000) 19, on checkpoints.
# - S. Kim, W. Ji, S. Deng, Y. Ma, C. Rackauckas: *Stiff neural ordinary differential equations*, Chaos 31 (2021)
#   093122.

# %% tags=["remove-cell"]
plot.show_or_save()
