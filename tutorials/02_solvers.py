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
# # 2 · Solvers: order, error control, stability
#
# **What you will do.** Build a Runge-Kutta method with step size control, twenty lines that take the very steps of
# SciPy's `RK45`. Then meet what it cannot do, and the methods that can.
#
# **What you will learn.** Where the coefficients of a method come from; what a tolerance promises, and what not; why
# some harmless equations bring explicit methods to a standstill; how a solver says why it failed; what Adams, implicit,
# symplectic and reversible methods are good for, and the price of the last.
#
# **What you need.** Chapter 1: Euler's method and its order. Eigenvalues. The chapter runs in a few seconds.

# %%

import numpy as np
from scipy.integrate import solve_ivp

import nodeedu as ne
from nodeedu import plot, tableaus
from nodeedu.order_conditions import rooted_trees
from nodeedu.solvers.implicit import tableaus as implicit_tableaus
from nodeedu.verify.checks import Checks
from nodeedu.verify.ode_problems import STIFF
from nodeedu.verify.standard_problems import M, V
from nodeedu.verify.tableau.stability import stability_of

BLUE, ORANGE, GREEN, PINK, *_ = plot.COLORS
checks = Checks()
check_equal, check_order = checks.equal, checks.order

# %% [markdown]
# ## The picture of the result
#
# Van der Pol's oscillator, $x'' = \mu (1 - x^2)\, x' - x$, creeps for a while and then jumps. Every dot is a step that
# a solver chose by itself, without knowing the equation. In the jumps its steps are ten times shorter than in between.
# With steps of one size, the shortest would have to do everywhere: more than six times as many.


# %%
def van_der_pol(t, z, mu):
    x, v = z
    return np.stack([v, mu * (1 - x**2) * v - x])


oscillator, z0, mu = ne.vector_field(van_der_pol, np.zeros(2), 5.0), np.array([2.0, 0.0]), 5.0
chosen = ne.solve_ivp(oscillator, (0, 40), z0, args=(mu,), rtol=1e-6, atol=1e-9)  # without t_eval: all steps
sizes = np.diff(chosen.t)
shortest = sizes[3:].min()  # the first three feel their way
print(f"{len(sizes)} steps, from {shortest:.2g} to {sizes.max():.2g}")
assert sizes.max() > 10 * shortest
assert 40 / shortest > 6 * len(sizes)

# %% tags=["hide-input"]
fig, panels = plot.figure(2, 1, size=(9, 4.6), sharex=True, num="02_steps")
panels[0].plot(chosen.t, chosen.y[0], ".-", color=BLUE, ms=4, lw=0.8)
panels[0].set(ylabel="$x(t)$", title=r"Van der Pol's oscillator, $\mu = 5$: each dot is a step")
panels[1].semilogy(chosen.t[:-1], sizes, ".-", color=ORANGE, ms=4, lw=0.8)
panels[1].set(ylabel="step size", xlabel="$t$", ylim=(4e-3, 0.3))

# %% [markdown]
# ## Step 1 · Coefficients from Taylor's formula
#
# A Runge-Kutta method evaluates $f$ at a few places, each found with the slopes before it, and takes a mean:
#
# $$k_i = f\Bigl(t + c_i h,\; z + h \sum_{j < i} a_{ij} k_j\Bigr), \qquad z_1 = z + h \sum_i b_i k_i .$$
#
# Which numbers make a good method? Let time be one more component of $z$, so that $z' = f(z)$ and $c_i = \sum_j
# a_{ij}$. The chain rule gives $z'' = f' f$ and $z''' = f''(f, f) + f' f' f$, hence
#
# $$z(t + h) = z + h f + \tfrac{h^2}{2} f' f + \tfrac{h^3}{6} \bigl( f''(f, f) + f' f' f \bigr) + O(h^4) .$$
#
# Expand the slopes in the same way, $k_i = f + h\, c_i\, f' f + h^2 \bigl( \tfrac12 c_i^2\, f''(f, f) + \sum_j a_{ij}
# c_j\, f' f' f \bigr) + O(h^3)$, and compare term by term. A method is of order 3 for every smooth $f$ if and only if
#
# $$\sum_i b_i = 1, \qquad \sum_i b_i c_i = \tfrac12, \qquad \sum_i b_i c_i^2 = \tfrac13, \qquad
# \sum_{i,j} b_i a_{ij} c_j = \tfrac16 .$$ (eq-conditions)
#
# The first is order 1, the first two are order 2. Order 4 asks for four more, and there are 200 up to order 8, one for
# each rooted tree (Butcher, 1963). `nodeedu tableau NAME` tests them all.

# %%
orders = {"midpoint": 2, "heun": 2, "kutta3": 3, "rk4": 4}
for name, order in orders.items():
    m = tableaus.get(name)
    sums = np.array([m.b.sum(), m.b @ m.c, m.b @ m.c**2, m.b @ m.A @ m.c])
    count = 4 if order >= 3 else 2
    check_equal("conditions", sums[:count], np.array([1, 1 / 2, 1 / 3, 1 / 6])[:count], tolerance=1e-15)
    assert order >= 3 or abs(sums[3] - 1 / 6) > 0.1  # and no more than promised
assert (len(rooted_trees(4)), sum(len(rooted_trees(p)) for p in range(1, 9))) == (4, 200)

# %% [markdown]
# A method of order $p$ errs by $O(h^{p+1})$ in a step, and, by the argument of chapter 1, by one power less in the end:
#
# $$z_N - z(t_1) = O(h^p) .$$ (eq-a7)
#
# We measure it on the two fields of chapter 1, the network M and the driven oscillator V.


# %%
def rk_step(f, t, z, h, m):
    """Take a step with a tableau; return the new state and the slopes."""
    k = np.zeros((len(m.b), len(z)))
    for i in range(len(m.b)):
        k[i] = f(t + m.c[i] * h, z + h * m.A[i, :i] @ k[:i])
    return z + h * m.b @ k, k


Ns, t0, t1 = 20 * 2 ** np.arange(6), 0.2, 1.7
errors = {}
for P in (M(), V()):
    exact = P.flow(t0, t1, P.z0)
    for name, order in orders.items():
        ends = [ne.odeint(P.field, P.z0, np.linspace(t0, t1, N + 1), P.theta, method=name).zs[-1] for N in Ns]
        errors[name] = np.linalg.norm(ends - exact, axis=1)  # the last field, V, is drawn below
        check_order("a7", errors[name], expected=order)

one = ne.odeint(P.field, P.z0, [t0, t1], P.theta, method="rk4").zs[-1]
np.testing.assert_allclose(rk_step(P.f, t0, P.z0, t1 - t0, tableaus.get("rk4"))[0], one, rtol=1e-14)

# %% [markdown]
# ## Step 2 · An error estimate for nothing
#
# To choose a step, a solver must know what a step costs in accuracy. Fehlberg's idea: from the *same* slopes take a
# second mean, with weights $\hat b_i$ of a lower order $q$. No evaluation is added, and the difference shows the error
# of the worse result:
#
# $$e = h \sum_i (b_i - \hat b_i)\, k_i = O(h^{q+1}) .$$ (eq-estimate)
#
# In `dopri5` (Dormand and Prince, 1980; SciPy's `RK45`) $b$ is of order 5 and $\hat b$ of order 4. The solver continues
# with the better result, whose error nobody has estimated: so the estimate is pessimistic, which is what we want.

# %%
pair, hs = tableaus.get("dopri5"), 0.4 / 2.0 ** np.arange(6)
for P in (M(), V()):
    estimates = [h * (pair.b - pair.b_hat) @ rk_step(P.f, t0, P.z0, h, pair)[1] for h in hs]
    check_order("estimate", np.linalg.norm(estimates, axis=1), expected=5)

# %% [markdown]
# ## Step 3 · From the estimate to the step
#
# Measure the estimate in units of what is tolerated, component by component:
#
# $$\epsilon = \sqrt{\frac1D \sum_{d=1}^{D} \Bigl( \frac{e_d}{\text{atol} + \text{rtol}\, |z_d|} \Bigr)^2 } .$$
#
# If $\epsilon \le 1$ the step is accepted, else it is tried again with a shorter one. Either way $\epsilon = C h^{q+1}$
# tells the step that would have given exactly 1:
#
# $$h_{\text{new}} = h\, \epsilon^{-1/(q+1)} .$$ (eq-controller)
#
# In control theory this is an integral controller, of $\log h$. As $C$ changes on the way, one aims a bit lower, at 0.9
# of this step, and does not change it by more than a factor of 0.2 to 10. That is all:


# %%
def adaptive(f, t, end, z, h, rtol, atol):
    """Solve with dopri5 and the controller above; return the times of the steps and the last state."""
    ts, rejected = [t], False
    while t < end:
        h = min(h, end - t)
        z_new, k = rk_step(f, t, z, h, pair)
        scale = atol + rtol * np.maximum(abs(z), abs(z_new))
        eps = np.sqrt(np.mean((h * (pair.b - pair.b_hat) @ k / scale) ** 2))
        factor = max(0.2, min(10.0, 0.9 * eps ** (-1 / 5)))
        if eps <= 1:
            t, z = t + h, z_new
            ts.append(t)
            factor = min(1.0, factor) if rejected else factor  # no growth right after a rejection
        rejected, h = eps > 1, h * factor
    return np.array(ts), z


ts, z_end = adaptive(lambda t, z: van_der_pol(t, z, mu), 0.0, 10.0, z0, 1e-3, rtol=1e-6, atol=1e-9)
scipys = solve_ivp(van_der_pol, (0, 10), z0, args=(mu,), rtol=1e-6, atol=1e-9, first_step=1e-3)
# The estimate cancels to a part of 1e-6 of f, so that it has ten digits; each step inherits the noise of the last one.
check_equal("controller", ts, scipys.t, tolerance=1e-7)

# %% [markdown]
# Where did the evaluations go? The *tally* tags every one. `dopri5` spends six a step: its seventh slope is the first
# of the next step.

# %%
solution = ne.odeint(oscillator, z0, np.linspace(0, 40, 201), mu)
print(solution.stats.tally)
assert solution.stats.accepted == len(sizes)
assert sum(solution.stats.tally) == solution.stats.nfev
assert solution.stats.tally.accepted == 6 * solution.stats.accepted

# %% [markdown]
# Asking for 201 times has not changed the steps. In between, the slopes of the step give a polynomial, the **dense
# output**, here of order 4:
#
# $$u(\vartheta) = z + h \sum_i b_i(\vartheta)\, k_i, \qquad z(t + \vartheta h) - u(\vartheta) = O(h^5) .$$ (eq-dense)

# %%
for P in (M(), V()):
    missed = []
    for h in hs:
        step = ne.odeint(P.field, P.z0, [t0, t0 + h], P.theta, method="dopri5", step_size=h)
        missed.append(np.linalg.norm(step(t0 + h / 2) - P.flow(t0, t0 + h / 2, P.z0)))
    check_order("dense", missed, expected=5)

# %% [markdown]
# ## Step 4 · A tolerance is a promise about one step
#
# Nothing above has looked at $z(t) - z_n$. The solver bounds what a *step* adds; what the equation makes of it on the
# way is not in its hands. Here an error moves the next jump, and all the later ones:

# %%
exact = solve_ivp(van_der_pol, (0, 40), z0, "DOP853", args=(mu,), rtol=1e-13, atol=1e-14).y[:, -1]
rtols, reached = 10.0 ** -np.arange(3, 10), {}
for method in ("dopri5", "dop853", "adams"):
    runs = [ne.odeint(oscillator, z0, [0, 40], mu, method=method, rtol=rtol, atol=rtol / 1000) for rtol in rtols]
    reached[method] = [np.linalg.norm(run.zs[-1] - exact) / np.linalg.norm(exact) for run in runs]
    print(f"{method}: error {reached[method][0]:.2g} at rtol 1e-3, {reached[method][3]:.2g} at 1e-6")
np.testing.assert_allclose([reached["dopri5"][0], reached["dopri5"][3]], [0.19, 5.6e-5], rtol=0.02)

# %% [markdown]
# With `rtol=1e-3` the end is off by 19 %, with `1e-6` by 5.6e-5. The remedy is cheap: solve again with a tenth of the
# tolerance and look at the digits that stay.

# %% tags=["hide-input"]
fig, panels = plot.figure(1, 2, size=(9.6, 3.9), num="02_order_and_tolerance")
for (name, values), color, mark in zip(errors.items(), (PINK, GREEN, ORANGE, BLUE), "v^so", strict=True):
    text = f"{name}: order {orders[name]}"
    panels[0].loglog(Ns * tableaus.get(name).stages, values, mark + "-", color=color, ms=4, label=text)
panels[0].set(xlabel="evaluations of $f$", ylabel="error at $t_1$", title="Fixed steps, field V")
panels[0].legend(frameon=False)
for (name, values), color, mark in zip(reached.items(), (BLUE, GREEN, ORANGE), "os^", strict=True):
    panels[1].loglog(rtols, values, mark + "-", color=color, ms=4, label=name)
panels[1].loglog(rtols, rtols, "--", color="0.45", lw=1.2, label="error = rtol")
panels[1].set(xlabel="rtol", ylabel="relative error at $t = 40$", title="Van der Pol: asked and got")
panels[1].invert_xaxis()
panels[1].legend(frameon=False)

# %% [markdown]
# ## Step 5 · Stability: one number decides
#
# Near a solution, a small disturbance obeys a linear equation, and along an eigenvector of the Jacobian it is $z' =
# \lambda z$. Insert this into a Runge-Kutta method: the slopes solve $k = \lambda (z \mathbf 1 + h A k)$, and
#
# $$z_1 = R(h\lambda)\, z, \qquad R(w) = 1 + w\, b^{\mathsf T} (I - w A)^{-1} \mathbf 1 .$$ (eq-stability)
#
# For an explicit method $R$ is a polynomial, hence unbounded. Where $|R(h\lambda)| > 1$ the method explodes, however
# calm the equation is. A field $z' = \lambda z$ with a complex $\lambda$ is a real one of two components.

# %%
lam, h = -1.0 + 2.0j, 0.7
spiral = ne.linear_field(2)
matrix = np.array([[lam.real, -lam.imag], [lam.imag, lam.real]]), np.zeros(2)
methods = {name: tableaus.get(name) for name in ("euler", "rk4", "dopri5")}
methods["radau5"] = implicit_tableaus.get("radau5")
regions = {name: stability_of(m.A, m.b) for name, m in methods.items()}
for name, R in regions.items():
    x, y = ne.odeint(spiral, np.array([1.0, 0.0]), [0, h], matrix, method=name, step_size=h).zs[-1]
    # radau5 solves for its slopes by Newton's method.
    check_equal("stability", np.array([x, y]), np.array([R(h * lam).real, R(h * lam).imag]), tolerance=1e-9)
    print(f"{name}: stable on the real axis down to {-R.real_interval:.3g}, |R(infinity)| = {R.at_infinity:.2g}")
np.testing.assert_allclose([regions[m].real_interval for m in methods], [2, 2.785, 3.307, np.inf], rtol=1e-3)

# %% [markdown]
# ## Step 6 · Stiffness
#
# An equation is *stiff* where something in it decays so fast that it is long gone, and yet its $\lambda$ still forbids
# a step longer than $3.3 / |\lambda|$. The chemistry of HIRES (Schäfer, 1975) is of that kind. Tighten the tolerance by
# a factor of a million: the explicit method does the same work. It was never accuracy that dictated its steps.

# %%
hires, tols = STIFF[2], 10.0 ** -np.arange(2, 9)
work = {"dopri5": [], "radau5": []}
for method, evaluations in work.items():
    for rtol in tols:
        run = ne.odeint(hires.field, hires.z0, [0, hires.t_end], method=method, rtol=rtol, atol=1e-4 * rtol)
        evaluations.append(run.stats.nfev + 8 * run.stats.njev)  # a Jacobian of 8 columns counts as 8
        assert hires.error(run.zs[-1]) < 20 * rtol
    print(f"{method}: {evaluations[0]} evaluations at rtol 1e-2, {evaluations[-1]} at 1e-8")
assert max(work["dopri5"]) < 1.1 * min(work["dopri5"])
assert work["dopri5"][0] > 100 * work["radau5"][0]

# %% tags=["hide-input"]
fig, panels = plot.figure(1, 2, size=(9.6, 4.2), num="02_stability", width_ratios=[1.15, 1])
x, y = np.linspace(-5, 12.5, 400), np.linspace(-8.5, 8.5, 400)
for (name, R), color in zip(regions.items(), (PINK, GREEN, BLUE, ORANGE), strict=True):
    size = abs(R(x[None, :] + 1j * y[:, None]))
    panels[0].contour(x, y, size, levels=[1], colors=[color], linewidths=1.8)
    panels[0].plot([], [], color=color, label=name + (": stable outside" if name == "radau5" else ""))
panels[0].axhline(0, color="0.3", lw=0.7)
panels[0].axvline(0, color="0.3", lw=0.7)
panels[0].set(aspect="equal", xlabel=r"Re $h\lambda$", ylabel=r"Im $h\lambda$", title="Where $|R| = 1$")
panels[0].legend(loc="center", bbox_to_anchor=(0.64, 0.5), fontsize=9, framealpha=1, edgecolor="white")
panels[1].loglog(tols, work["dopri5"], "o-", color=BLUE, ms=4, label="dopri5")
panels[1].loglog(tols, work["radau5"], "o-", color=ORANGE, ms=4, label="radau5")
panels[1].set(xlabel="rtol", ylabel="evaluations of $f$", title="HIRES", ylim=(300, 2e5))
panels[1].invert_xaxis()
panels[1].legend(frameon=False, loc="center left", bbox_to_anchor=(0.02, 0.62))

# %% [markdown]
# The way out is an equation for the new state. Implicit Euler, the simplest, asks for the slope at the *end*:
#
# $$z_1 = z + h f(t + h, z_1) \quad\Longrightarrow\quad R(w) = \frac{1}{1 - w} .$$ (eq-implicit)
#
# This $|R|$ is below 1 in the whole left half plane and vanishes at infinity: the method is L-stable. The price is
# Newton's method in every step, with the Jacobian of $f$. `radau5` (Hairer and Wanner) is of the same kind, of order 5.

# %%
stiff_run = ne.odeint(oscillator, z0, [0, 0.1], 1000.0, method="implicit_euler")
z1 = stiff_run.zs[-1]
check_equal("implicit", z1, z0 + 0.1 * van_der_pol(0.1, z1, 1000.0), tolerance=1e-11)  # Newton's residual, times h J
print(stiff_run.stats.tally)

implicit = ne.odeint(oscillator, z0, [0, 2000], 1000.0, method="radau5")
explicit = ne.odeint(oscillator, z0, [0, 200], 1000.0, method="dopri5", max_steps=1_000_000)
print(f"mu = 1000: radau5 {implicit.stats.nfev} evaluations; dopri5 {explicit.stats.nfev}, for a tenth of the way")
assert explicit.stats.nfev > 100 * implicit.stats.nfev
np.testing.assert_allclose(implicit.zs[-1], STIFF[1].reference, rtol=1e-7)

# %% [markdown]
# Had you not known, the failure would have told you. By default a solve stops after 100 000 steps, and its error
# carries a **diagnosis**: the cause, the numbers that speak for it, and what to change.

# %%
try:
    ne.odeint(oscillator, z0, [0, 2000], 1000.0)
except ne.SolverError as error:
    print(error.diagnosis)
    message, found = str(error), error.diagnosis
assert "100000 trial steps" in message
assert found.cause == "stiff"
assert found.evidence["h_times_eigenvalue"] < found.evidence["stability_limit"] == 3.31
assert "radau5" in found.remedy

# %% [markdown]
# No method passes a pole. The solution of $z' = z^2$, $z(0) = 1$ is $1 / (1 - t)$, and a field that is smooth
# everywhere has a solution that ends at $t = 1$. (A network whose $f$ grows linearly at most, as with tanh, is safe.)

# %%
try:
    ne.odeint(lambda t, z: z**2, 1.0, [0, 2])
except ne.SolverError as error:
    print(str(error.diagnosis).splitlines()[0])
    found = error.diagnosis
assert found.cause == "blow-up"
np.testing.assert_allclose([found.t, found.evidence["exponent_of_slope"]], [1, 2], rtol=1e-4)

# %% [markdown]
# ## Step 7 · Where something happens
#
# An **event** is a zero of a function along the solution, located by root finding on the dense output. With a `reset`
# the solve goes on from another state: a ball that keeps 0.8 of its speed in each impact. The first fall from height 1
# takes $\sqrt{2/g}$, the flight after impact $n$ lasts $2 \cdot 0.8^n$ times as long:
#
# $$t_n = \sqrt{2/g}\, \bigl( 1 + 2\, (0.8 + 0.8^2 + \dots + 0.8^{n-1}) \bigr) .$$ (eq-impacts)


# %%
def floor(t, z):
    return z[0]


floor.direction = -1
floor.reset = lambda t, z: np.array([0.0, -0.8 * z[1]])
ball = ne.odeint(lambda t, z: np.array([z[1], -9.81]), [1.0, 0.0], np.linspace(0, 3, 31), events=floor)
(impacts,) = ball.t_events
flights = np.cumsum(np.concatenate([[1.0], 2 * 0.8 ** np.arange(1, len(impacts))]))
check_equal("impacts", impacts, np.sqrt(2 / 9.81) * flights, tolerance=1e-12)  # a parabola has no discretisation error

# %% [markdown]
# ## Step 8 · Other families
#
# **Adams** methods do not throw old slopes away: they integrate the polynomial through the last ones, and two
# evaluations a step suffice at any order. The variable-order `adams` stands for what the Neural ODE paper used, and
# where $f$ is dear and smooth it wins. In step 4 it needed less than half the evaluations of `dopri5` at `rtol=1e-6`.

# %%
few, many = (ne.odeint(oscillator, z0, [0, 40], mu, method=m).stats.nfev for m in ("adams", "dopri5"))
print(f"adams {few}, dopri5 {many} evaluations")
assert few < many / 2
assert reached["adams"][3] < reached["dopri5"][3]

# %% [markdown]
# **Symplectic** methods keep the geometry of mechanics. Follow a planet for 200 revolutions, with 56 000 evaluations:
# RK4, of order 4, loses energy steadily, twice as much in twice the time. Störmer and Verlet's method, of order 2 and
# with fewer evaluations, errs more in the first revolutions, but its energy only oscillates: it keeps the energy of a
# neighbouring system.


# %%
def kepler(t, z):
    q, p = z
    return np.stack([p, -q / np.sum(q**2) ** 1.5])


def energy(zs):
    return np.sum(zs[:, 1] ** 2, axis=1) / 2 - 1 / np.linalg.norm(zs[:, 0], axis=1)


start = np.array([[0.5, 0.0], [0.0, np.sqrt(3)]])  # eccentricity 1/2
planet, revolutions, drift = ne.vector_field(kepler, start), np.linspace(0, 200, 2001), {}
for method, h in (("rk4", 0.1), ("stormer_verlet", 0.05)):
    run = ne.odeint(planet, start, 2 * np.pi * revolutions, method=method, step_size=h)
    drift[method] = energy(run.zs) - energy(start[None])
    first, second = np.split(abs(drift[method][1:]), 2)
    print(f"{method}: {run.stats.nfev} evaluations; energy error {first.max():.1e}, second half {second.max():.1e}")
    assert run.stats.nfev <= 56_000
    np.testing.assert_allclose(second.max() / first.max(), 2 if method == "rk4" else 1, rtol=0.02)
assert abs(drift["rk4"][-1]) > 5 * abs(drift["stormer_verlet"]).max()

# %% [markdown]
# ## What goes wrong, measured
#
# **Reversible methods where solutions decay.** A reversible method can be undone step by step, which saves the memory
# of backpropagation (chapter 11). It carries a second state $w$ along, and the pair has *two* modes on $z' = \lambda
# z$. The wrapper of McCallum and Foster (2024) around a method with stability function $R$ multiplies them by the
# roots of
#
# $$m^2 - G m + c = 0, \qquad G = 1 + c - (1 - c)\, r_- - r_-\, r_+, \qquad r_\pm = R(\pm h\lambda) - 1, \qquad
# c = 0.999,$$ (eq-reversible)
#
# One root follows $e^{h\lambda}$. The product of both is $c$, so the other must be near $e^{h|\lambda|}$: a parasite
# that grows as fast as the solution decays. It starts at the size of the error, and it always wins. It is below 1 only
# for $h |\lambda| < 1 - c = 0.001$, while RK4 itself is stable up to 2.785.

# %%
R, c = regions["rk4"], 0.999


def parasite(x):
    G = 1 + c - (1 - c) * (R(-x) - 1) - (R(-x) - 1) * (R(x) - 1)
    return max(abs(np.roots([1, -G, c])))


decay, ts = {}, 0.1 * np.arange(401)
for method in ("rk4", "reversible_rk4", "reversible_heun"):
    decay[method] = abs(ne.odeint(lambda t, z: -z, [1.0], ts, method=method).zs[:, 0])
    print(f"{method}: |z(40)| = {decay[method][-1]:.2g}, exact {np.exp(-40):.2g}")
check_equal("reversible", decay["reversible_rk4"][-1] / decay["reversible_rk4"][-2], parasite(-0.1), tolerance=1e-12)
assert parasite(-0.0009) < 1 < parasite(-0.0011)
assert parasite(0.5j) <= 1
assert decay["rk4"][-1] < 1e-17
assert decay["reversible_rk4"][-1] > 1e9

# %% tags=["hide-input"]
fig, panels = plot.figure(1, 2, size=(9.6, 3.9), num="02_long_runs")
for (method, values), color in zip(drift.items(), (BLUE, ORANGE), strict=True):
    panels[0].plot(revolutions, values, color=color, lw=0.8, label=method)
panels[0].set(xlabel="revolutions", ylabel="error of the energy", title="A planet, 200 revolutions")
for (method, values), color in zip(decay.items(), (BLUE, GREEN, PINK), strict=True):
    panels[1].semilogy(ts, values, color=color, label=method)
panels[1].semilogy(ts, np.exp(-ts), "--", color="0.2", lw=1.2, label="$e^{-t}$")
panels[1].set(xlabel="$t$", ylabel="$|z|$", title="$z' = -z$, $h = 0.1$")
for axes in panels:
    axes.legend(frameon=False, fontsize=9)

# %% [markdown]
# On an oscillator, whose $\lambda$ is imaginary, both roots stay below 1 and nothing of this shows. A Neural ODE that
# settles to a fixed point is the bad case.
#
# **"The solver guarantees the error."** Step 4 measured 19 % at a tolerance of a thousandth.
#
# ## Exercises
#
# 1. *Ralston's choice.* With two stages, {eq}`eq-conditions` leaves one number of order 2 free, say $c_2$. Which $c_2$
#    makes $\tfrac13 - \sum b_i c_i^2$ vanish? What can no choice repair?
# 2. *A better controller.* The step sizes of `dopri5` on HIRES flutter around the limit of stability: look at
#    `stats.rejected`. Try `controller="PI"`, which also looks at the step before. What becomes of the evaluations?
# 3. *A parasite by hand.* The leapfrog rule $z_{n+1} = z_{n-1} + 2 h f(z_n)$ is reversible. Find its two modes on $z' =
#    \lambda z$. How do they explain the fall and the rise of `reversible_heun` in the last figure?
#
# How the methods compare, ours with SciPy's: `nodeedu figure work-precision` measures it on twelve problems that are
# not stiff and four that are.
#
# ## Further reading
#
# - E. Hairer, S. P. Nørsett, G. Wanner: *Solving Ordinary Differential Equations I* (1993), chapter II; E. Hairer, G.
#   Wanner: *II* (1996), IV.2 (step size and stability), IV.3, IV.8 (radau5).
# - J. R. Dormand, P. J. Prince: *A family of embedded Runge-Kutta formulae*, J. Comput. Appl. Math. 6 (1980) 19.
# - L. F. Shampine: *Error estimation and control for ODEs*, J. Sci. Comput. 25 (2005) 3: what a tolerance means.
# - E. Hairer, C. Lubich, G. Wanner: *Geometric Numerical Integration* (2006), I.1 and IX.
# - S. McCallum, J. Foster: *Efficient, accurate and stable gradients for neural ODEs*, arXiv 2410.11648 (2024).

# %% tags=["remove-cell"]
plot.show_or_save()
