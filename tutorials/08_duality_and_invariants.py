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
# # 8 · Duality and invariants
#
# **What you will do.** Follow two quantities along a path: $a\, \delta z$ and $H = a f$. Both should stay where they
# are. Then follow them for adjoints that are wrong, and watch them leave. Last, look at a backward pass step by step.
#
# **What you will learn.** The shortest derivation of the adjoint equation and of the gradient; a test for an adjoint
# that needs no gradient to compare with, and what it cannot see; where, in a Neural ODE, "backward" happens.
#
# **What you need.** Chapter 4 ($\Phi$ and $S$ from the variational equation) and chapter 6 (the adjoint equation).

# %%

import numpy as np
from scipy.integrate import solve_ivp

from nodeedu import plot
from nodeedu.autodiff import complex_step, relative_error
from nodeedu.verify.backward_trace import backward_trace
from nodeedu.verify.backward_trace_figure import duality_figure
from nodeedu.verify.checks import Checks
from nodeedu.verify.equations import ledger
from nodeedu.verify.standard_problems import M, V

BLUE, ORANGE, GREEN, PINK, *_ = plot.COLORS
problems = (M(), V())
times = np.linspace(1.7, 0.2, 31)  # from the end to the start
checks = Checks()
check_equal = checks.equal

# %% [markdown]
# The problems are the network **M** and the oscillator **V** of chapter 1, with a loss at $t_1 = 1.7$; $g$ is its
# gradient there. What a nudge $\delta z_0$ of the start becomes is known from the variational equation, $\delta z =
# \Phi\, \delta z_0$, solved by complex steps of $f$. The adjoint is solved backwards, next to the state, by VJPs. They
# share no line of code. `forms` are right sides for $a'$: one of them is right.


# %%
forms = {
    "$-aJ$": lambda P, t, z, a, z1: -P.vjp(t, z, a)[1],
    "$+aJ$, the sign lost": lambda P, t, z, a, z1: P.vjp(t, z, a)[1],
    "$-Ja$, a column taken for a row": lambda P, t, z, a, z1: -P.J(t, z) @ a,
    "$-aJ$ with $J$ kept from $t_1$": lambda P, t, z, a, z1: -P.vjp(1.7, z1, a)[1],
}
right = next(iter(forms))


def follow_back(P, form=right, seed=None, rtol=1e-12):
    """Return z, a, and the integrals of a f_theta and a f_t from t to t1, at the times."""
    D, z1, g = P.size, P.truth.zs[-1], P.at_end.loss_gradients(P.truth.zs)[-1]

    def slopes(t, y):
        z, a = y[:D], y[D : 2 * D]
        a_ft, _, a_ftheta = P.vjp(t, z, a)
        return np.concatenate([P.f(t, z), forms[form](P, t, z, a, z1), -a_ftheta, [-a_ft]])

    start = np.concatenate([z1, g if seed is None else seed, np.zeros(len(P.p) + 1)])
    y = solve_ivp(slopes, (1.7, 0.2), start, "DOP853", times, rtol=rtol, atol=rtol / 10).y.T
    return y[:, :D], y[:, D : 2 * D], y[:, 2 * D : -1], y[:, -1]


def slopes_along(P, zs):
    return np.array([P.f(t, z) for t, z in zip(times, zs, strict=True)])


found = {P.name: follow_back(P) for P in problems}
forward = {P.name: [x[::-1] for x in P.tangents(0.2, times[::-1], P.z0)[:3]] for P in problems}  # z, Phi, S

# %% [markdown]
# ## The picture of the result
#
# The oscillator. Left: $a\, \delta z$ for a nudge of the start, with the right adjoint (black) and three wrong ones.
# All begin on the right, at $t_1$, with the same number, the change of the loss. Right: $H = a f$, plus what the
# driving force puts in from $t$ to $t_1$. One line is level in both.

# %%
colors = dict(zip(forms, ("black", ORANGE, PINK, BLUE), strict=True))
pairings, energies, at_start = {}, {}, {}
for form in forms:
    zs, rows, _, put_in = follow_back(V(), form, rtol=1e-8)
    pairings[form] = np.einsum("ti,tij,j->t", rows, forward["V"][1], np.ones(2))
    energies[form] = np.einsum("ti,ti->t", rows, slopes_along(V(), zs)) + put_in
    at_start[form] = relative_error(rows[-1], V().at_end.truth.z0)

# %% tags=["hide-input"]
fig, panels = plot.figure(1, 2, size=(9.4, 4), num="08_two_invariants")
for form, color in colors.items():
    for axes, values in zip(panels, (pairings[form], energies[form]), strict=True):
        axes.plot(times, values, color=color, lw=2.4 if form == right else 1.5, label=f"$a' = $ {form}")
for axes, values in zip(panels, (pairings[right], energies[right]), strict=True):
    axes.set(xlabel="$t$", ylim=values[0] + np.array([-1.8, 2.7]) * abs(values[0]))
panels[0].set_title(r"$a\,\delta z$")
panels[1].set_title(r"$a f + \int_t^{t_1} a f_t\, ds$")
_ = panels[1].legend(frameon=False, fontsize=9, loc="upper left")

# %% [markdown]
# ## Step 1 · The pairing
#
# A nudge travels by $\delta z' = J\, \delta z$. Demand of a row $a$ that $a\, \delta z$ does not change, for any
# nudge:
#
# $$0 = (a\, \delta z)' = (a' + aJ)\, \delta z \quad\Longrightarrow\quad a' = -aJ, \qquad
# a(t)\, \delta z(t) = a(t_1)\, \delta z(t_1) .$$ (eq-k1)
#
# That is the whole derivation. With $a(t_1) = g$ the constant is $g\, \delta z(t_1) = \delta L$, so $a(t)$ is the
# derivative of the loss by $z(t)$. $\Phi$ carries columns forwards; the adjoint carries rows back, by the same
# matrix.

# %%
for P in problems:
    _, rows, _, _ = found[P.name]
    for nudge in np.eye(P.size):
        pairing = np.einsum("ti,tij,j->t", rows, forward[P.name][1], nudge)
        check_equal("k1", pairing, np.full(len(times), pairing[0]), tolerance=1e-10)  # two solutions to twelve digits

# %% [markdown]
# ## Step 2 · The gradient falls out
#
# A parameter nudges all the time: $S = \partial z / \partial \theta$ obeys $S' = JS + f_\theta$, $S(t_0) = 0$. Now
# the product does change, but only by the new nudges: $(aS)' = -aJS + aJS + a f_\theta = a f_\theta$. Integrate from
# $t_0$,
#
# $$a(t) S(t) = \int_{t_0}^{t} a f_\theta\, ds \quad \text{for every } t, $$ (eq-k3)
#
# and take $t = t_1$, where $aS = g S(t_1)$ is the derivative of the loss,
#
# $$\frac{dL}{d\theta} = a(t_1) S(t_1) = \int_{t_0}^{t_1} a f_\theta\, dt .$$ (eq-k2)
#
# Left of the second sign stands forward sensitivity, with its $D \times P$ numbers; right of it the adjoint method.
# They are two ways to compute one product.

# %%
for P in problems:
    _, rows, to_end, _ = found[P.name]
    products = np.einsum("ti,tip->tp", rows, forward[P.name][2])
    check_equal("k3", products, to_end[-1] - to_end, tolerance=1e-10)  # two solutions to twelve digits
    check_equal("k2", P.at_end.truth.theta, to_end[-1], tolerance=1e-10)

# %% [markdown]
# ## Step 3 · A second invariant
#
# Which nudge do we have for free? The velocity. Along the path $f$ changes by $f' = J f + f_t$: but for $f_t$ it is
# carried like any nudge, as a delay of the whole path is one. So $H = a f$ changes by $a f_t$ only:
#
# $$H(t_1) = H(t) + \int_t^{t_1} a f_t\, ds, \qquad H(t) = a(t)\, f(t, z(t)) .$$ (eq-f4)
#
# If the field does not depend on time, $H$ is constant. In chapter 9 $-H(t_0)$ is $dL/dt_0$, and at the end $H(t_1) =
# g f$ is $dL/dt_1$. Physicists know the pattern. As a function of $z$ and $a$, $H(z, a) = a f(t, z)$ generates both
# equations,
#
# $$z' = \frac{\partial H}{\partial a}, \qquad a' = -\frac{\partial H}{\partial z} , $$ (eq-hamilton)
#
# so state and adjoint together are a Hamiltonian system, whatever $f$ is, friction included.

# %%
for P in problems:
    zs, rows, _, put_in = found[P.name]
    H = np.einsum("ti,ti->t", rows, slopes_along(P, zs))
    check_equal("f4", H + put_in, np.full(len(times), H[0]), tolerance=1e-10)  # a solution to twelve digits
    t, z, a = times[7], zs[7], rows[7]
    by_a = complex_step(lambda a, P=P, t=t, z=z: a @ P.f(t, z), a)
    by_z = complex_step(lambda z, P=P, t=t, a=a: a @ P.f(t, z), z)
    check_equal(
        "hamilton", np.array([by_a, -by_z]), np.array([P.f(t, z), forms[right](P, t, z, a, z)]), 1e-13
    )  # rounding

# %% [markdown]
# ## Step 4 · Observations on the way
#
# With several observations $a$ jumps by $g_i$ (chapter 9), and the pairing with it. Going back, $a\, \delta z$
# collects what each of them feels of the nudge; at $t_0$ it has become the change of the whole loss,
#
# $$a(t_i^-)\, \delta z = a(t_i^+)\, \delta z + g_i\, \delta z(t_i), \qquad
# \bigl( a(t_0^+) + g_0 \bigr)\, \delta z_0 = \delta L .$$ (eq-jumps)
#
# ## Step 5 · Where is backward?
#
# You look for `loss.backward()` in the source of a Neural ODE and do not find it. There is no list of layers to walk.
# The backward pass is a second call of the solver, with time running down; what goes back is $a$; reverse mode is
# called inside the field, once for each evaluation. Here is such a pass, line by line, as the library writes it down.
# Beside $a\, \delta z$, for a nudge of all components by one, and $a f$ with its integral stands what the jumps so far
# add up to (*due*). The column $|\hat z - z|$ is the distance of the recovered state from the true one.

# %%
P = V()
observed = P.field, P.z0, P.ts, P.theta, P.loss_gradients(P.truth.zs)
passed = backward_trace(*observed, rtol=1e-5, atol=1e-8)
print(passed)

last, change = passed.rows[-1], P.truth.z0 @ np.ones(2)  # forward sensitivity
check_equal("jumps", last.pairing, change, tolerance=1e-4)  # the tolerance of the pass, over some steps
np.testing.assert_allclose(last.a, P.truth.z0, rtol=1e-4)
assert np.sum(np.abs(np.diff([row.pairing for row in passed.rows])) > 1e-3) == 3  # the jumps, after the first line

# %% [markdown]
# Between two jumps the column $a\, \delta z$ stands still to the digits that the tolerance allows. This is what to
# print when an adjoint of your own is in doubt: the same function takes any right side for $a'$, and any jump. A right
# pass keeps to the staircase that is due. A broken one leaves it, between the jumps or at them.

# %%
z_end = P.truth.zs[-1]
passes = {
    form: backward_trace(*observed, adjoint=lambda t, z, a, theta, form=form: forms[form](P, t, z, a, z_end))
    for form in forms
}
passes["half of each jump"] = backward_trace(*observed, jump=lambda a, g: a + 0.5 * g)
_ = duality_figure(passes, num="08_staircases")
for form, each in passes.items():
    print(f"{form:34} drift of a dz {each.pairing_drift:.0e}, of H {each.energy_drift:.0e}")
    assert (max(each.pairing_drift, each.energy_drift) < 1e-4) == (form == right)

# %% [markdown]
# ## What goes wrong, measured
#
# The drift of both quantities for the four forms on V, relative to their value at $t_1$, next to the error of
# $a(t_0)$, which in practice one does not know.

# %%
print(f"{'':34} drift of a dz   drift of H   error of a(t0)")
for form in forms:
    drifts = [np.abs(values / values[0] - 1).max() for values in (pairings[form], energies[form])]
    print(f"a' = {form:32} {drifts[0]:8.1g} {drifts[1]:12.1g} {at_start[form]:14.1g}")
    assert (max(drifts) < 1e-5) if form == right else (min(drifts) > 0.1)

# %% [markdown]
# Look at whole paths. With $-Ja$ the pairing drifts away and comes back: at $t_0$ it is within 2 % of its level, by
# accident, while $a(t_0)$ is off by 40 %.

# %%
column_for_row = pairings["$-Ja$, a column taken for a row"]
print(f"at t0: {column_for_row[-1] / column_for_row[0] - 1:.3f} of the level")
assert abs(column_for_row[-1] / column_for_row[0] - 1) < 0.02
assert abs(at_start["$-Ja$, a column taken for a row"] - 0.4) < 0.1

# %% [markdown]
# **What an invariant cannot see.** It tests the equation, not where it starts. Begin with the wrong row at $t_1$,
# ones for instance as when the loss is forgotten, and all is perfectly level:

# %%
zs, rows, _, put_in = follow_back(V(), seed=np.ones(2))
pairing = np.einsum("ti,tij,j->t", rows, forward["V"][1], np.ones(2))
H = np.einsum("ti,ti->t", rows, slopes_along(V(), zs)) + put_in
off = relative_error(rows[-1], V().at_end.truth.z0)
print(f"drifts {np.ptp(pairing) / abs(pairing[0]):.0e} and {np.ptp(H) / abs(H[0]):.0e}; a(t0) is off by {off:.2f}")
assert np.ptp(pairing) < 1e-10 * abs(pairing[0])
assert np.ptp(H) < 1e-10 * abs(H[0])
assert off > 0.1

# %% [markdown]
# **One nudge too few.** One nudge tests one component of $a' + aJ$. A wrong term that is at right angles to the nudge
# leaves $a\, \delta z$ alone, and one at right angles to $f$ leaves $H$ alone. Here $a' = -aJ + c$ with $c$ turned by
# 90 degrees against $f$; the other product sees it.

# %%
forms["turned"] = lambda P, t, z, a, z1: -P.vjp(t, z, a)[1] + P.f(t, z)[::-1] * [1, -1]
zs, rows, _, put_in = follow_back(V(), "turned", rtol=1e-10)
H = np.einsum("ti,ti->t", rows, slopes_along(V(), zs)) + put_in
pairing = np.einsum("ti,tij,j->t", rows, forward["V"][1], np.ones(2))
drifts = np.ptp(H) / abs(H[0]), np.ptp(pairing) / abs(pairing[0])
print(f"drift of H {drifts[0]:.0e}, of a dz {drifts[1]:.2g}")
assert drifts[0] < 1e-7
assert drifts[1] > 0.1

# %% [markdown]
# Last, the ledger of the library: (k) and (f4), in code that shares nothing with this chapter.

# %%
for finding in ledger.check(V(), ["k", "f4"]):
    print(ledger.row(finding))
    assert finding.ok

# %% [markdown]
# ## Exercises
#
# 1. *No force.* Set $F = 0$ in V and plot $H$ for the four forms. Which of them keeps $H$ on a field that is linear,
#    $f = Az$, with a symmetric $A$?
# 2. *Discrete.* Replace both solves by $N$ Euler steps. For which pair of loops is $a_n\, \delta z_n$ constant to
#    rounding? (Chapter 10 has the answer.)
# 3. *A drift that grows.* Print `backward_trace` for `rtol=1e-2`. Which column shows it first?
#
# ## Further reading
#
# - J. M. Sanz-Serna: *Symplectic Runge–Kutta schemes for adjoint equations*, SIAM Review 58 (2016) 3: the pairing as
#   the source of everything.
# - L. S. Pontryagin et al.: *The Mathematical Theory of Optimal Processes* (1962), where $H$ comes from.
# - B. Sengupta, K. J. Friston, W. D. Penny, NeuroImage 98 (2014) 521: duality of the two methods.

# %% tags=["remove-cell"]
plot.show_or_save()
