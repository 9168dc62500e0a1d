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
# # 10 · Discretise, then optimise
#
# **What you will do.** Differentiate not the solution of the ODE but what the computer made of it: a chain of steps.
# Then discretise the adjoint equation instead, and compare. Both are called "the gradient".
#
# **What you will learn.** Which of the two is exact, and for what; how far apart they are; which Runge–Kutta method
# backpropagation amounts to; for which method the two agree; and why a test of convergence finds so few mistakes.
#
# **What you need.** Chapters 1 (Euler's step, observed order), 3 (VJP, complex step) and 6 (the adjoint equation).

# %%
from functools import partial

import numpy as np

import nodeedu as ne
from nodeedu import plot, tableaus
from nodeedu.autodiff import relative_error
from nodeedu.verify.checks import Checks
from nodeedu.verify.equations import ledger
from nodeedu.verify.equations.paths import gradient_at, loss_at
from nodeedu.verify.standard_problems import M, V

BLUE, ORANGE, GREEN, PINK, *_ = plot.COLORS
problems = (M(), V())  # the two fields of chapter 1, as objects
t0, t1 = 0.2, 1.7
checks = Checks()
check_equal = partial(checks.equal, tolerance=1e-13)  # all equations of this chapter hold up to rounding
check_order = checks.order

# %% [markdown]
# A problem `P` has the field `P.f(t, z, p)` with all parameters in one vector, the start `P.z0`, and `P.vjp(t, z,
# a)`, which returns $a f_t$, $aJ$ and $a f_\theta$. The loss looks at the last state only. `P.at_end.truth` is its
# gradient for the ODE, by forward sensitivity with a tolerance of $10^{-13}$ (chapter 4). No adjoint took part in it.
#
# ## Step 1 · Two losses
#
# Solve by Euler's method with $N$ steps of $h = (t_1 - t_0)/N$:
#
# $$z_{n+1} = z_n + h f(t_n, z_n, \theta), \qquad L_N(z_0, \theta) = L(z_N) .$$
#
# $L_N$ is not $L(z(t_1))$, the loss of the ODE. It is what your program prints. So there are two gradients: that of
# $L_N$ (*discretise, then optimise*), and that of the ODE's loss, approximated by solving the adjoint equation
# (*optimise, then discretise*). We write both as short as we can.


# %%
def grid(N):
    return np.linspace(t0, t1, N + 1), (t1 - t0) / N


def euler(P, N, z0, p):
    """Return z_0 ... z_N; complex numbers pass."""
    (ts, h), zs = grid(N), [z0]
    for t in ts[:-1]:
        zs.append(zs[-1] + h * P.f(t, zs[-1], p))
    return zs


def discretise_then_optimise(P, N):
    """Return a_0 ... a_N, and the gradient by theta: backpropagation through Euler's chain."""
    (ts, h), zs = grid(N), euler(P, N, P.z0, P.p)
    rows, by_theta = [gradient_at(P, zs[-1])], 0.0
    for n in reversed(range(N)):
        _, aJ, share = P.vjp(ts[n], zs[n], rows[0])
        by_theta = by_theta + h * share
        rows.insert(0, rows[0] + h * aJ)
    return rows, by_theta


def optimise_then_discretise(P, N):
    """Return the same, solving z' = f, a' = -aJ backwards from z_N by Euler's method."""
    (ts, h), z = grid(N), euler(P, N, P.z0, P.p)[-1]
    rows, by_theta = [gradient_at(P, z)], 0.0
    for t in ts[:0:-1]:
        _, aJ, share = P.vjp(t, z, rows[0])
        by_theta = by_theta + h * share
        z = z - h * P.f(t, z)
        rows.insert(0, rows[0] + h * aJ)
    return rows, by_theta


def as_vector(result):
    """Return dL/dz0 and dL/dtheta in one vector."""
    return np.concatenate([result[0][0], result[1]])


# %% [markdown]
# ## The picture of the result
#
# Left: the loss of the oscillator, solved by twelve steps of Euler, against one parameter, $\mu$. Two lines through
# one of its points, with the slopes that the two programs return. One of them touches the curve. The other one
# belongs to a curve that is not in the picture. Right: how far both are from the gradient of the ODE, and from that
# of $L_N$.

# %%
counts = [20 * 2**k for k in range(5)]
truth = {P.name: np.concatenate([P.at_end.truth.z0, P.at_end.truth.theta]) for P in problems}
found = {way: {P.name: [as_vector(way(P, N)) for N in counts] for P in problems}
         for way in (discretise_then_optimise, optimise_then_discretise)}  # fmt: skip
DtO, OtD = found.values()

# %% tags=["hide-input"]
fig, (left, right) = plot.figure(1, 2, size=(9.4, 4), num="10_two_gradients")
mu, few = np.linspace(0.6, 2.6, 61), 12
curve = [loss_at(V(), euler(V(), few, V().z0, np.r_[m, V().p[1:]])[-1]) for m in mu]
left.plot(mu, curve, color="black", label="$L_{12}$")
here, slopes = loss_at(V(), euler(V(), few, V().z0, V().p)[-1]), []
for way, color, name in ((discretise_then_optimise, BLUE, "backpropagation"),
                         (optimise_then_discretise, ORANGE, "adjoint equation")):  # fmt: skip
    slopes.append(as_vector(way(V(), few))[2])  # mu stands behind x and v
    left.plot(mu[6:55], here + slopes[-1] * (mu[6:55] - 1.5), color=color, label=name)
    errors = [relative_error(x, truth["V"]) for x in found[way]["V"]]
    right.loglog(counts, errors, "o-", color=color, label=f"{name} to ODE")
gaps = [relative_error(x, y) for x, y in zip(OtD["V"], DtO["V"], strict=True)]
right.loglog(counts, gaps, "s--", color=GREEN, label="from one to the other")
left.set(title="What the program computes, and two slopes", xlabel=r"$\mu$", ylabel="loss")
right.set(title="Distance of gradients, relative", xlabel="$N$", xticks=counts, xticklabels=counts)
right.set(yticks=[0.03, 0.1, 0.3], yticklabels=[0.03, 0.1, 0.3])
_ = right.minorticks_off(), left.legend(frameon=False), right.legend(frameon=False)

# %% [markdown]
# ## Step 2 · Backpropagation through Euler is exact
#
# The loss sees $z_n$ only through $z_{n+1}$, and $\partial z_{n+1} / \partial z_n = I + h J(t_n, z_n)$. Let $a_n$ be
# the derivative of $L_N$ by $z_n$. By the chain rule, and summing what every layer contributes to $\theta$,
#
# $$a_n = a_{n+1} \bigl( I + h J(t_n, z_n) \bigr), \quad a_N = \frac{\partial L}{\partial z_N}, \qquad
# \frac{dL_N}{d\theta} = \sum_{n=0}^{N-1} h\, a_{n+1}\, f_\theta(t_n, z_n) .$$ (eq-d1)
#
# Nothing was neglected. So this is exact at *any* step size, however bad the solution is. Look at the indices: $a$ of
# the later end meets $J$ and $f_\theta$ of the earlier one. The check is a complex step through the whole program.


# %%
def by_complex_steps(P, end):
    """Differentiate the loss of end(z0, p) by all numbers in z0 and p."""
    x = np.concatenate([P.z0, P.p])
    return gradient_at(P, end(P.z0, P.p)) @ P.by_steps(lambda x: end(x[: P.size], x[P.size :]), x)


for P in problems:
    for N in (3, 20):  # a step of 0.5 is a terrible one; the gradient does not mind
        exact = by_complex_steps(P, lambda z0, p, P=P, N=N: euler(P, N, z0, p)[-1])
        check_equal("d1", as_vector(discretise_then_optimise(P, N)), exact)
print(f"in the picture, the slope by the adjoint equation is too large by {slopes[1] / slopes[0] - 1:.0%}")
assert abs(slopes[1] / slopes[0] - 1.35) < 0.01

# %% [markdown]
# It is a common remark that backpropagation "introduces inaccuracy". It is the only one of the two that does not.
#
# ## Step 3 · It is also a good adjoint
#
# Read {eq}`eq-d1` as $(a_{n+1} - a_n) / h = -a_{n+1} J(t_n, z_n)$: a method of first order for $a' = -aJ$. The chain
# tends to the path, hence
#
# $$a_0 = a(t_0) + O(h), $$ (eq-d2)
#
# $$\sum_n h\, a_{n+1} f_\theta(t_n, z_n) = \int_{t_0}^{t_1} a f_\theta\, dt + O(h) . $$ (eq-d3)

# %%
for P in problems:
    errors = np.array(DtO[P.name]) - truth[P.name]
    check_order("d2", np.linalg.norm(errors[:, : P.size], axis=1), expected=1)
    check_order("d3", np.linalg.norm(errors[:, P.size :], axis=1), expected=1)

# %% [markdown]
# ## Step 4 · The other order of business
#
# Euler's method with the step $-h$, applied to the adjoint equation and to the state next to it, gives
#
# $$\tilde a_n = \tilde a_{n+1} \bigl( I + h J(t_{n+1}, \tilde z_{n+1}) \bigr), \qquad
# \tilde z_n = \tilde z_{n+1} - h f(t_{n+1}, \tilde z_{n+1}), \qquad \tilde a_0 - a_0 = O(h) .$$ (eq-d5)
#
# $J$ is taken at the other end of the step, and $\tilde z$ does not retrace the chain (chapter 1: Euler forth and
# back is not the identity). Both errors are of first order, as that of Euler itself: to the ODE's gradient it is as
# good an approximation. But it is the gradient of *nothing*: where $L_N$ has a minimum, it does not vanish.

# %%
for P in problems:
    gaps = np.array(OtD[P.name]) - np.array(DtO[P.name])
    check_order("d5", np.linalg.norm(gaps[:, : P.size], axis=1), expected=1)

# %% [markdown]
# ## Step 5 · Runge–Kutta methods
#
# A step is $z_{n+1} = z_n + h \sum_i b_i k_i$ with the slopes $k_i = f(t_n + c_i h, Z_i)$ at $Z_i = z_n + h \sum_j
# a_{ij} k_j$. A slope acts on the loss in two ways: through $z_{n+1}$, with the weight $h b_i$, and through the later
# slopes. So its derivative $\bar k_i$ is a sum, and the state collects from all slopes, with $J_i = J(t_n + c_i h,
# Z_i)$:
#
# $$\bar k_i = h \Bigl( b_i a_{n+1} + \sum_{j > i} a_{ji}\, \bar k_j J_j \Bigr), \qquad
# a_n = a_{n+1} + \sum_i \bar k_i J_i, \qquad \frac{dL_N}{d\theta} = \sum_n \sum_i \bar k_i f_\theta .$$ (eq-d4)
#
# It is exact for $L_N$ again. And as $L_N$ is a smooth function that approximates the ODE's loss with order $p$, so
# does its gradient.


# %%
def rk_step(P, tableau, t, z, h, p=None):
    """Return the arguments Z_i of the slopes, and the next state."""
    k, Z = [], []
    for row, c in zip(tableau.A, tableau.c, strict=True):
        Z.append(z + h * sum((w * x for w, x in zip(row, k, strict=False)), 0.0 * z))
        k.append(P.f(t + c * h, Z[-1], p))
    return Z, z + h * sum(w * x for w, x in zip(tableau.b, k, strict=True))


def rk(P, tableau, N, z0, p):
    (ts, h), zs = grid(N), [z0]
    for t in ts[:-1]:
        zs.append(rk_step(P, tableau, t, zs[-1], h, p)[1])
    return zs


def rk_backprop(P, tableau, N):
    """Return a_0 ... a_N, the gradient by theta, and the k_bar (N, s, D)."""
    (ts, h), zs, s = grid(N), rk(P, tableau, N, P.z0, P.p), len(tableau.b)
    rows, by_theta, k_bar = [gradient_at(P, zs[-1])], 0.0, np.zeros((N, s, P.size))
    for n in reversed(range(N)):
        Z, pulled = rk_step(P, tableau, ts[n], zs[n], h)[0], np.zeros((s, P.size))
        for i in reversed(range(s)):
            k_bar[n, i] = h * (tableau.b[i] * rows[0] + tableau.A[:, i] @ pulled)  # later slopes only
            _, pulled[i], share = P.vjp(ts[n] + tableau.c[i] * h, Z[i], k_bar[n, i])
            by_theta = by_theta + share
        rows.insert(0, rows[0] + pulled.sum(0))
    return rows, by_theta, k_bar


midpoint, kutta3, rk4 = (tableaus.get(name) for name in ("midpoint", "kutta3", "rk4"))
for P in problems:
    for tableau, order in ((midpoint, 2), (kutta3, 3), (rk4, 4)):
        exact = by_complex_steps(P, lambda z0, p, P=P, tableau=tableau: rk(P, tableau, 5, z0, p)[-1])
        check_equal("d4", as_vector(rk_backprop(P, tableau, 5)), exact)
        errors = [as_vector(rk_backprop(P, tableau, N)) - truth[P.name] for N in counts[:3]]
        check_order("d4", np.linalg.norm(errors, axis=1), order)

# %% [markdown]
# ## Step 6 · Which method is it?
#
# Write $\bar k_i = h b_i w_i$ and divide the first equation by $h b_i$. What comes out looks like a Runge–Kutta step
# for $a' = -aJ$, with stages $w_i$. Solve the second equation for $a_{n+1}$ and insert:
#
# $$a_{n+1} = a_n - h \sum_i b_i w_i J_i, \qquad w_i = a_n - h \sum_j \bar a_{ij}\, w_j J_j,
# \qquad \bar a_{ij} = b_j - \frac{b_j a_{ji}}{b_i} .$$ (eq-l1)
#
# So backpropagation *is* a solver of the adjoint equation, by the **partner** of the method: the same weights, other
# coefficients, and $J_i$ at the stages of the forward solve (W. Hager, 2000). State and adjoint together form a
# partitioned method which keeps $a\, \delta z$, as the ODEs do,
#
# $$a_n\, \delta z_n = a_N\, \delta z_N \quad \text{for all } n . $$ (eq-l2)

# %%
for P in problems:
    (ts, h), zs, (rows, _, k_bar) = grid(8), rk(P, rk4, 8, P.z0, P.p), rk_backprop(P, rk4, 8)
    partner = rk4.b - rk4.b * rk4.A.T / rk4.b[:, None]
    for n in (0, 5):
        w = k_bar[n] / (h * rk4.b[:, None])
        wJ = np.array([P.vjp(ts[n] + c * h, Z, row)[1]
                       for c, Z, row in zip(rk4.c, rk_step(P, rk4, ts[n], zs[n], h)[0], w, strict=True)])  # fmt: skip
        check_equal("l1", np.vstack([w, rows[n + 1]]), rows[n] - h * np.vstack([partner, rk4.b]) @ wJ)
    nudged = P.by_steps(lambda z0, P=P: np.concatenate(rk(P, rk4, 8, z0, P.p)), P.z0) @ np.ones(P.size)
    pairing = np.einsum("ni,ni->n", rows, nudged.reshape(9, P.size))
    check_equal("l2", pairing, np.full(9, pairing[-1]))

# %% [markdown]
# The formula divides by $b_i$. The midpoint method has $b = (0, 1)$: it has no partner. Its backpropagation, as we
# have just seen, is as exact as any; only this way of *naming* it fails. Tables of methods for optimal control ask
# for $b_i > 0$ for a like reason.
#
# ## Step 7 · When both orders agree
#
# If a method is its own partner, $\bar a_{ij} = a_{ij}$, that is $b_i a_{ij} + b_j a_{ji} = b_i b_j$, one may
# discretise the adjoint equation itself and lose nothing. This is the condition for a *symplectic* method, and no
# explicit method fulfils it ($i = j$ asks for $a_{ii} = b_i / 2$). The simplest is the implicit midpoint rule,
# $z_{n+1} = z_n + h f(t_n +
# \tfrac h2, \tfrac12 (z_n + z_{n+1}))$. For it, the adjoint equation solved backwards by the same rule,
#
# $$a_n \bigl( I - \tfrac h2 J \bigr) = a_{n+1} \bigl( I + \tfrac h2 J \bigr),
# \qquad J \text{ at the middle of the step,}$$ (eq-l4)
#
# is the exact gradient of $L_N$. For explicit methods the two stay apart, by the order of the method:
#
# $$\tilde a_0 - a_0 = O(h^p) .$$ (eq-l3)
#
# Both are statements about `ne.gradients` as well, whose methods `"discrete"` and `"backsolve"` are these two orders.

# %%
P, (ts, h), exactly = V(), grid(10), {"rtol": 1e-14, "atol": 1e-14}  # of Newton's iterations
zs = ne.odeint(P.field, P.z0, ts, P.theta, "implicit_midpoint", **exactly).zs  # one step for each interval
a = gradient_at(P, zs[-1])
bar = np.concatenate([np.zeros((10, P.size)), [a]])
exact = ne.gradients(P.field, P.z0, ts, P.theta, bar, "discrete", "implicit_midpoint", **exactly).z0
for n in reversed(range(10)):
    half_J = h / 2 * P.J(ts[n] + h / 2, (zs[n] + zs[n + 1]) / 2)
    a = np.linalg.solve((np.eye(P.size) - half_J).T, (np.eye(P.size) + half_J).T @ a)
check_equal("l4", a, exact)
for solver, order in (("euler", 1), ("midpoint", 2), ("rk4", 4)):
    gaps = [[ne.gradients(P.field, P.z0, [t0, t1], P.theta, bar[[0, -1]], method, solver, step_size=1.5 / N).z0
             for method in ("discrete", "backsolve")] for N in counts[:4]]  # fmt: skip
    check_order("l3", [np.linalg.norm(one - other) for one, other in gaps], order)

# %% [markdown]
# ## What goes wrong, measured
#
# Eight mistakes of such loops, made on purpose. We measure the distance from the gradient of $L_N$ for two step
# sizes, and the order with which each approaches the gradient *of the ODE*.


# %%
def with_mistake(mistake, P, N):
    """Return the gradient by a loop of Euler steps with a mistake in it."""
    if mistake == "adjoint equation instead":
        return as_vector(optimise_then_discretise(P, N))
    (ts, h), z, steps = grid(N), [P.z0], N + (mistake == "one layer too many")
    ts = {"time of the next layer": ts + h, "time stands still": 0 * ts + t0}.get(mistake, ts)
    for n in range(steps):
        z.append(z[n] + h * P.f(ts[n], z[n]))
    a, by_theta = gradient_at(P, z[-1]), 0.0
    for n in reversed(range(steps)):
        _, aJ, share = P.vjp(ts[n], z[n + 1] if mistake == "J at the next state" else z[n], a)
        a = a + (1 if mistake == "no h in the layers" else h) * aJ
        if mistake == "a_n in the sum":
            share = P.vjp(ts[n], z[n], a)[2]
        by_theta = by_theta + (1 if mistake == "no h in the sum" else h) * share
    return np.concatenate([a, by_theta])


converging = ("time of the next layer", "one layer too many", "a_n in the sum", "J at the next state",
              "adjoint equation instead")  # fmt: skip
print(f"{'V':26} off from dL_N at N = 20, 320    order towards the ODE")
for mistake in ("none", "no h in the layers", "time stands still", "no h in the sum", *converging):
    got = [with_mistake(mistake, V(), N) for N in counts]
    off = [relative_error(got[i], DtO["V"][i]) for i in (0, -1)]
    errors = [relative_error(x, truth["V"]) for x in got]
    order = np.log2(errors[-2] / errors[-1])
    print(f"{mistake:26} {off[0]:16.2g} {off[1]:9.2g} {order:19.2f}")
    assert (off[0] < 1e-14) == (mistake == "none")
    assert (abs(order - 1) < 0.25) == (mistake in ("none", *converging))
    if mistake == "a_n in the sum":
        np.testing.assert_array_equal(got[0][:2], DtO["V"][0][:2])
    if mistake == "no h in the sum":
        np.testing.assert_allclose(got[0][2:] * 1.5 / 20, DtO["V"][0][2:], rtol=1e-13)  # rounding

# %% [markdown]
# Five of eight approach the right limit with the right order. A test of convergence lets them pass; a comparison with
# the complex step at *one* step size catches all. Some leave a fingerprint: `a_n in the sum` has an exact $dL/dz_0$,
# so a test that looks at $z_0$ alone will not see it; `no h in the sum` is off by the factor $1/h$ precisely.
#
# Last, the ledger of the library: the steps of (d) and (l), in code that shares nothing with this chapter.

# %%
for finding in ledger.check(V(), ["d1", "d4a", "d5", "d6", "l1", "l2", "l4"]):
    print(ledger.row(finding))
    assert finding.ok

# %% [markdown]
# ## Exercises
#
# 1. *Heun.* Write down the partner of Heun's method by {eq}`eq-l1`. Is it explicit if one runs backwards? Of which
#    order is it as a method of its own?
# 2. *A line search that fails.* Minimise $L_N$ over $\mu$ for $N = 12$ by Newton's method on the slope, once with
#    each of the two slopes. Where does each stop, and which point has the smaller $L_N$?
# 3. *Steps that depend on the state.* An adaptive solver chooses $h_n$ from $z_n$. `"discrete"` holds the $h_n$
#    fixed. Show, for a tolerance of $10^{-3}$ and of $10^{-8}$, by how much that differs from a difference quotient
#    of losses.
#
# ## Further reading
#
# - W. W. Hager: *Runge–Kutta methods in optimal control and the transformed adjoint system*, Numer. Math. 87 (2000)
#   247.
# - J. M. Sanz-Serna: *Symplectic Runge–Kutta schemes for adjoint equations*, SIAM Review 58 (2016) 3.
# - A. Gholami, K. Keutzer, G. Biros: *ANODE* (2019), arXiv 1902.10298: what the gap does to training.

# %% tags=["remove-cell"]
plot.show_or_save()
