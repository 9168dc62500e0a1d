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
# # 12 · Change of variables, and flows of densities
#
# **What you will do.** Let not a point but a whole density be carried along by a vector field, and find how the
# logarithm of the density changes on the way: $d \log p / dt = -\mathrm{tr}\, J$. You derive it three times, by small
# steps, by the variational equation and by the conservation of mass.
#
# **What you will learn.** Where this minus comes from; why a trace is left of a determinant; what the density does at
# a place that stands still; how to test a density without knowing the right one, and what the test cannot see.
#
# **What you need.** Chapters 4 ($\Phi$ by the variational equation) and 6 (a short piece $T_\varepsilon$ of the path).

# %%
import numpy as np

import nodeedu as ne
from nodeedu import plot
from nodeedu.autodiff import central_difference, complex_step
from nodeedu.flows import CNF
from nodeedu.verify.checks import Checks
from nodeedu.verify.equations import ledger
from nodeedu.verify.standard_problems import M, V

BLUE, ORANGE, GREEN, PINK, *_ = plot.COLORS
problems = (M(), V())
checks = Checks()
check_equal, check_order = checks.equal, checks.order


def log_normal(z):
    """Return the logarithm of the standard normal density, of the last axis."""
    return -0.5 * np.sum(z**2, -1) - 0.5 * np.shape(z)[-1] * np.log(2 * np.pi)


def log_det(matrix):
    """Return log |det|."""
    return np.linalg.slogdet(matrix)[1]


# %% [markdown]
# Equations are checked on **M** and **V**, the network and the oscillator of chapter 1. For pictures there is a third
# field, `stir`, in the plane. It tears the plane apart along $x = 0$, and stirs what it has torn:
#
# $$x' = \theta_1 \tanh 2x - \theta_2 y, \qquad y' = \theta_3 \sin(1.5 x + t) - \theta_4 y .$$
#
# Below it stands a second time, with its Jacobian, written down by hand, and $\Phi' = J \Phi$ (chapter 4).


# %%
def stir(t, z, theta):
    split, drift, wave, pull = theta
    x, y = z
    return np.stack([split * np.tanh(2 * x) - drift * y, wave * np.sin(1.5 * x + t) - pull * y])


def stir_with_Phi(t, state, theta):
    (split, drift, wave, pull), x, Phi = theta, state[0], np.reshape(state[2:], (2, 2))
    above = np.stack([2 * split / np.cosh(2 * x) ** 2, -drift])
    below = np.stack([1.5 * wave * np.cos(1.5 * x + t), -pull])
    return np.concatenate([stir(t, state[:2], theta), above @ Phi, below @ Phi])


theta = (1.2, 0.5, 1.5, 0.4)
field = ne.vector_field(stir, np.zeros(2), theta)
with_Phi = ne.vector_field(stir_with_Phi, np.zeros(6), theta)


def flow_and_log_det(z, t, s, rtol=1e-9):
    """Carry points (B, 2) from t to s; return them and log |det Phi|."""
    start = np.concatenate([z, np.tile([1.0, 0.0, 0.0, 1.0], (len(z), 1))], axis=1)
    end = ne.odeint(with_Phi, start, [t, s], theta, rtol=rtol, atol=rtol / 1000).zs[-1]
    return end[:, :2], log_det(end[:, 2:].reshape(-1, 2, 2))


# %% [markdown]
# ## Step 1 · A change of variables
#
# Draw $z_0$ from a density $p_0$, the standard normal one here, and let it follow the field to $x = \varphi(z_0)$. How
# dense do the $x$ lie? The points of a small patch $dz_0$ end in a patch of the size $|\det \Phi|\, dz_0$, with $\Phi =
# \partial x / \partial z_0$. They are as many as before, so their density is divided by the same factor:
#
# $$p(x, t_1) = \frac{p_0(z_0)}{|\det \Phi|}, \qquad
# \log p(x, t_1) = \log p_0(z_0) - \log |\det \Phi|, \qquad z_0 = \varphi^{-1}(x) .$$ (eq-patch)
#
# It is the *inverse* of a volume: where the field pulls points apart, there are few. And $p_0$ is taken where the
# point came from, so we have to solve backwards first.
#
# The check counts. Of many points drawn, how many arrive right of $x = 1$ and above $y = 0$? And how much does the
# density there add up to, on a grid?


# %%
def grid(size, n):
    """Return points (n n, 2) of a square around the origin, and the area of a cell."""
    line = (np.arange(n) + 0.5) / n * 2 * size - size
    return np.stack(np.meshgrid(line, line), -1).reshape(-1, 2), (2 * size / n) ** 2


def density_by_Phi(x, t, rtol=1e-9):
    """Return p(x, t) by the flow back to 0: its determinant is the inverse of that above."""
    z0, log_det_back = flow_and_log_det(x, t, 0.0, rtol)
    return np.exp(log_normal(z0) + log_det_back)


drawn = np.random.default_rng(0).normal(size=(30_000, 2))
arrived = ne.odeint(field, drawn, [0, 1], theta, rtol=1e-3, atol=1e-4).zs[-1]
x, cell = grid(8.0, 192)  # the borders of the region are borders of cells
inside = (x[:, 0] > 1) & (x[:, 1] > 0)
by_counting = np.mean((arrived[:, 0] > 1) & (arrived[:, 1] > 0))
# Four standard errors of a share of 0.3 among 30 000 points, relative to it.
check_equal("patch", density_by_Phi(x[inside], 1.0, 1e-5).sum() * cell, by_counting, tolerance=4e-2)

# %% [markdown]
# ## The picture of the result
#
# The density at three times, and four loops of points that drift along with it. On the right, for two of them: the area
# of a loop, of a tenth of this size, and the density at the point that it was drawn around. One goes up as the other
# goes down, and their product, dotted, stays. It is the number of points inside.

# %% tags=["hide-input"]
angle, times = np.linspace(0, 2 * np.pi, 200), np.linspace(0, 1, 41)
centres = np.array([[0.0, 0.0], [0.7, 0.8], [-0.9, -0.6], [-0.2, 1.3]])
circle = np.stack([np.cos(angle), np.sin(angle)], 1)
to_draw, to_measure = (centres[:, None] + radius * circle for radius in (0.2, 0.02))
carried = ne.odeint(
    field, np.concatenate([to_draw.reshape(-1, 2), to_measure.reshape(-1, 2), centres]), times, theta
).zs
loops, (small, paths) = carried[:, :800].reshape(41, 4, 200, 2), np.split(carried[:, 800:], [800], axis=1)
(left, up), (right, down) = (np.moveaxis(small.reshape(41, 4, 200, 2)[:, :, cut], -1, 0)
                             for cut in (slice(-1), slice(1, None)))  # fmt: skip
areas = 0.5 * np.abs(np.sum(left * down - right * up, axis=-1))
densities = np.stack([np.exp(log_normal(centres)) for _ in times])
for i, t in enumerate(times[1:], 1):
    densities[i] = density_by_Phi(paths[i], t)
fig, panels = plot.figure(1, 4, size=(13, 3.4), num="12_carried")
square, _ = grid(3.8, 140)
for axes, t in zip(panels, (0.0, 0.5, 1.0), strict=False):
    p = density_by_Phi(square, t, 1e-5) if t else np.exp(log_normal(square))
    axes.imshow(p.reshape(140, 140), origin="lower", extent=[-3.8, 3.8, -3.8, 3.8], cmap="Blues", vmin=0)
    for loop, color in zip(loops[np.searchsorted(times, t)], (ORANGE, GREEN, PINK, "black"), strict=True):
        axes.plot(*loop.T, color=color, lw=1.6)
    axes.set(title=f"$t = {t}$", xticks=[-3, 0, 3], yticks=[-3, 0, 3], aspect="equal")
    axes.grid(False)
for k, color in ((0, ORANGE), (1, GREEN)):
    panels[3].plot(times, areas[:, k] / areas[0, k], color=color)
    panels[3].plot(times, densities[:, k] / densities[0, k], "--", color=color)
    panels[3].plot(times, areas[:, k] * densities[:, k] / (areas[0, k] * densities[0, k]), ":", color="black")
panels[3].set(
    title="Area, and density (dashed)", xlabel="$t$", ylabel="relative to $t = 0$", yscale="log", ylim=(0.12, 8.3)
)
panels[3].set_yticks([0.125, 0.25, 0.5, 1, 2, 4, 8], ["1/8", "1/4", "1/2", "1", "2", "4", "8"])
panels[3].minorticks_off()

# %%
products = areas * densities / (areas[0] * densities[0])
print(f"area times density, of all loops at all times: {products.min():.3f} to {products.max():.3f}")
assert np.abs(products - 1).max() < 0.02  # the loops are small, but not infinitely so

# %% [markdown]
# ## Step 2 · By small steps
#
# $\Phi$ costs $D^2$ numbers, and its determinant some $D^3$ operations. The point of the paper on Neural ODEs (Chen,
# Rubanova, Bettencourt, Duvenaud, 2018, appendix A) is that along a path much less is needed. Take a short piece, as
# in chapter 6, from $t$ to $t + \varepsilon$, and apply {eq}`eq-patch` to it:
#
# $$\log p(z(t + \varepsilon), t + \varepsilon) - \log p(z(t), t)
# = -\log \Bigl| \det \frac{\partial T_\varepsilon}{\partial z} \Bigr|,
# \qquad \frac{\partial T_\varepsilon}{\partial z} = I + \varepsilon J + O(\varepsilon^2) .$$
#
# Now write a determinant as a sum of products with one factor from each row and column. All factors of one product
# stand on the diagonal: $\prod_i (1 + \varepsilon J_{ii})$. Any other product leaves the diagonal at least twice, and
# is $O(\varepsilon^2)$. So the determinant near $I$ sees the diagonal alone,
#
# $$\det(I + \varepsilon J) = 1 + \varepsilon\, \mathrm{tr}\, J + O(\varepsilon^2), $$ (eq-h8)
#
# and the off-diagonal entries come in at second order,
#
# $$\det(I + \varepsilon J) = e^{\varepsilon\, \mathrm{tr} J - \frac{\varepsilon^2}{2} \mathrm{tr} J^2}
# + O(\varepsilon^3) .$$ (eq-h9)

# %%
t, halves = 0.8, 0.1 / 2.0 ** np.arange(6)
for P in problems:
    z = P.flow(P.ts[0], t, P.z0)
    J = P.J_by_steps(t, z)
    dets = np.array([np.linalg.det(np.eye(P.size) + eps * J) for eps in halves])
    check_order("h8", np.abs(dets - 1 - halves * np.trace(J)), expected=2)
    check_order("h9", np.abs(dets - np.exp(halves * np.trace(J) - halves**2 / 2 * np.trace(J @ J))), expected=3)

# %% [markdown]
# Therefore, dividing by $\varepsilon$, (16) in the paper:
#
# $$\frac{1}{\varepsilon} \log \Bigl| \det \frac{\partial T_\varepsilon}{\partial z} \Bigr|
# = \mathrm{tr}\, J + O(\varepsilon) .$$ (eq-h6)
#
# The paper gets there by L'Hôpital's rule. Numerator and denominator vanish with $\varepsilon$, so it differentiates
# both, and as $|\det| \to 1$, what counts is (20),
#
# $$\frac{\partial}{\partial \varepsilon} \Bigl| \det \frac{\partial T_\varepsilon}{\partial z} \Bigr|
# = \mathrm{tr}\, J + O(\varepsilon) .$$ (eq-h7)
#
# Either way, a density that is carried along changes by
#
# $$\frac{d}{dt} \log p(z(t), t) = -\mathrm{tr}\, J, $$
#
# which for $p$ itself, as a central quotient along the path of the particle, reads
#
# $$\frac{p(z(t + h), t + h) - p(z(t - h), t - h)}{2 h} = -p\, \mathrm{tr}\, J + O(h^2) .$$ (eq-i2)
#
# **The minus** is that of {eq}`eq-patch`: the trace is the rate at which a volume grows.

# %%
for P in problems:
    z, trace = P.flow(P.ts[0], t, P.z0), P.divergence(t, P.flow(P.ts[0], t, P.z0))
    pieces = P.flow_jacobian(t, t + halves[::-1], z)[::-1]
    check_order("h6", np.abs(log_det(pieces) / halves - trace), expected=1)

    shift = 1e-3  # its square is far below the differences to be seen
    around = P.flow_jacobian(t, t + np.sort(np.concatenate([halves - shift, halves + shift])), z)
    volumes = np.abs(np.linalg.det(around))
    slopes = (volumes[1::2] - volumes[::2])[::-1] / (2 * shift)
    check_order("h7", np.abs(slopes - trace), expected=1)

    steps = halves[:4]
    around = P.flow_jacobian(P.ts[0], t + np.concatenate([-steps, [0], steps[::-1]]), P.z0)
    p = np.exp(log_normal(P.z0) - log_det(around))
    check_order("i2", np.abs((p[:4:-1] - p[:4]) / (2 * steps) + p[4] * trace), expected=2)

# %% [markdown]
# ## Step 3 · All at once
#
# The second derivation has no $\varepsilon$. $\Phi$ obeys $\Phi' = J \Phi$ exactly. What is the derivative of its
# determinant? With $A = \Phi^{-1}$, which is the Jacobian of the way back, differentiate $A \Phi = I$:
#
# $$\dot A = -A\, (J \Phi)\, A, \qquad \frac{A(t + h) - A(t - h)}{2 h} = -A (J \Phi) A + O(h^2) .$$ (eq-h3)
#
# A determinant is linear in each of its entries, with the cofactor as the slope; cofactors, transposed, are the
# *adjugate* (some notes call it the adjoint, a third meaning of the word), and
#
# $$A^{-1} = \frac{\mathrm{adj}\, A}{\det A}, \qquad (\mathrm{adj}\, A)_{ij} = (-1)^{i + j} M_{ji} .$$ (eq-h4)
#
# So $(\det A)' = \sum_{ij} (\mathrm{adj}\, A)_{ji} \dot A_{ij} = \det A\; \mathrm{tr}(A^{-1} \dot A)$: this is
# Jacobi's formula. Put in {eq}`eq-h3`, and turn the product round in the trace:
#
# $$\frac{d}{dt} \log |\det A| = \mathrm{tr}(A^{-1} \dot A)
# = -\mathrm{tr}(A^{-1} A J \Phi A) = -\mathrm{tr}\, J .$$ (eq-h5)
#
# For $\Phi$ the sign is the other one,
#
# $$\frac{\log |\det \Phi(t + h)| - \log |\det \Phi(t - h)|}{2 h} = \mathrm{tr}\, J + O(h^2), $$ (eq-h2)
#
# and integrated this is Liouville's formula of 1838:
#
# $$\log |\det \Phi(t_1)| = \int_{t_0}^{t_1} \mathrm{tr}\, J\, dt .$$ (eq-h1)

# %%
nodes, weights = np.polynomial.legendre.leggauss(40)


def minor(matrix, i, j):
    return np.linalg.det(np.delete(np.delete(matrix, i, 0), j, 1))


for P in problems:
    t0, t1, D = P.ts[0], P.ts[-1], P.size
    z, trace = P.flow(t0, t, P.z0), P.divergence(t, P.flow(t0, t, P.z0))
    around = P.flow_jacobian(t0, t + np.concatenate([-halves, [0], halves[::-1]]), P.z0)
    Phi, A, J = around[6], np.linalg.inv(around), P.J(t, z)
    A_dots = (A[:6:-1] - A[:6]) / (2 * halves[:, None, None])
    check_order("h3", np.linalg.norm(A_dots + A[6] @ J @ Phi @ A[6], axis=(1, 2)), expected=2)
    check_order("h2", np.abs((log_det(around[:6:-1]) - log_det(around[:6])) / (2 * halves) - trace), expected=2)
    adjugate = [[(-1) ** (i + j) * minor(A[6], j, i) for j in range(D)] for i in range(D)]
    check_equal("h4", np.array(adjugate) / np.linalg.det(A[6]), Phi, tolerance=1e-13)  # rounding
    A_dot = (64 * A_dots[2] - 20 * A_dots[1] + A_dots[0]) / 45  # extrapolated twice: of order six
    check_equal("h5", np.trace(Phi @ A_dot), -trace, tolerance=1e-6)  # 0.025**6, times a high derivative

    on_path = P.flow(t0, times := t0 + (t1 - t0) / 2 * (1 + nodes), P.z0)
    traces = [P.divergence(s, z) for s, z in zip(times, on_path, strict=True)]
    # Solutions to twelve digits; forty nodes integrate to rounding.
    check_equal("h1", log_det(P.flow_jacobian(t0, t1, P.z0)), (t1 - t0) / 2 * weights @ traces, tolerance=1e-11)

# %% [markdown]
# Together with {eq}`eq-patch` this is what a program needs, (8) in the paper. To find the density of a given $x$, go
# back from $x$ and collect the trace on the way:
#
# $$\log p(x, t_1) = \log p_0(z(t_0)) - \int_{t_0}^{t_1} \mathrm{tr}\, J\, dt, \qquad z(t_1) = x .$$ (eq-h10)
#
# $D + 1$ numbers are followed instead of $D + D^2$, and no determinant is left. We compare with a route that knows no
# derivative at all: go back from neighbours of $x$ as well, and take differences.


# %%
def log_p(P, s, x):
    """Return log p(x, s)."""
    there = P.solve(lambda s, y: [*P.f(s, y[:-1]), -P.divergence(s, y[:-1])], s, P.ts[0], np.append(x, 0.0))
    return log_normal(there[:-1]) - there[-1]


for P in problems:
    t0, t1 = P.ts[0], P.ts[-1]
    x = P.flow(t0, t1, P.z0)
    back = central_difference(lambda x, P=P, t0=t0, t1=t1: P.flow(t1, t0, x), x, levels=5).value
    by_differences = log_normal(P.flow(t1, t0, x)) + log_det(back)
    check_equal("h10", log_p(P, t1, x), by_differences, tolerance=1e-8)  # differences

# %% [markdown]
# ## Step 4 · At a place that stands still
#
# So far we have travelled with a particle. Now stay at $x$ and let the flow pass. Mass is neither made nor lost: the
# density at $x$ changes by what flows in and out, which is the continuity equation,
#
# $$\frac{\partial p}{\partial t} = -\nabla \cdot (p f) = -p\, (\mathrm{tr}\, J + s f), \qquad
# s = \frac{\partial \log p}{\partial x} .$$
#
# The row $s$ is the *score*. Compare with step 2: going along with the particle, $\log p$ changes by $\partial_t \log p
# + s f$, and $s f$ cancels. That is the third derivation. The two rates differ wherever the density is not flat, and
# it is easy to take one for the other. As a difference quotient, at a place $z$ that is held fast,
#
# $$\frac{p(z, t + h) - p(z, t - h)}{2 h} = -p\, (\mathrm{tr}\, J + s f) + O(h^2) .$$ (eq-i1)
#
# $s$ itself obeys an equation. Differentiate the rate of $\log p$ along the path by the place:
#
# $$\frac{ds}{dt} = -s J - \nabla\, \mathrm{tr}\, J, \qquad
# s(t_0) = \frac{\partial \log p_0}{\partial z} = -z_0 .$$ (eq-i3)
#
# It is the adjoint equation with a source. Chapter 13 will need it.

# %%
for P in problems:
    z = P.flow(P.ts[0], t, P.z0)
    score = central_difference(lambda x, P=P: log_p(P, t, x), z, step=0.01, levels=3).value
    p, rate = np.exp(log_p(P, t, z)), P.divergence(t, z) + score @ P.f(t, z)
    quotients = [(np.exp(log_p(P, t + h, z)) - np.exp(log_p(P, t - h, z))) / (2 * h) for h in steps]
    check_order("i1", np.abs(np.array(quotients) + p * rate), expected=2)

    def slopes(s, y, P=P):
        z, score = np.split(y, 2)
        return [*P.f(s, z), *(-P.vjp(s, z, score)[1] - P.divergence_gradients(s, z)[0])]

    carried = P.solve(slopes, P.ts[0], t, np.concatenate([P.z0, -P.z0]))[P.size :]
    check_equal("i3", score, carried, tolerance=1e-7)  # differences

# %% [markdown]
# **With noise.** If particles are also shaken, $dz = f\, dt + g\, dW$, mass is still conserved, but it also spreads:
# the Fokker–Planck equation has one more term, and one can hide this term in the velocity,
#
# $$\frac{\partial p}{\partial t} = -\nabla \cdot (p f) + \frac{g^2}{2} \Delta p
# = -\nabla \cdot \Bigl( p\, \bigl( f - \tfrac{g^2}{2} s \bigr) \Bigr), $$ (eq-fp)
#
# because $p s = \nabla p$. So an ODE exists that has, at each time, the densities of the noisy process: diffusion
# models sample by it. Without noise the equation of the paper's appendix, (30), is the continuity equation. We check
# with the process of Ornstein and Uhlenbeck, $f = -z$, $g = 1.3$, whose density stays normal.

# %%
g, places = 1.3, np.linspace(-2, 2, 9)


def ornstein_uhlenbeck(x, s):
    """Return the density of dz = -z dt + g dW that starts with the variance 0.2."""
    variance = g**2 / 2 + (0.2 - g**2 / 2) * np.exp(-2 * s)
    return np.exp(-(x**2) / (2 * variance)) / np.sqrt(2 * np.pi * variance), -x / variance


by_time = complex_step(lambda s: ornstein_uhlenbeck(places, s)[0], 0.4)
mass_flow = [complex_step(lambda x: (lambda p, s: p * (-x - g**2 / 2 * s))(*ornstein_uhlenbeck(x, 0.4)), x)
             for x in places]  # fmt: skip
check_equal("fp", by_time, -np.array(mass_flow), tolerance=1e-13)  # rounding

# %% [markdown]
# ## Step 5 · Flows in layers
#
# Before there were continuous flows there were *normalizing flows*: a chain of invertible layers, whose log
# determinants add up. A residual layer $z + h f(z)$ has the Jacobian $I + h J$, and the sum converges to the integral,
#
# $$\log |\det \Phi(t_1)| = \sum_{n < N} \log |\det(I + h J_n)| + O(1/N), \qquad h = \frac{t_1 - t_0}{N} .$$ (eq-h12)
#
# Each of these determinants costs $D^3$, which is why layers were chosen whose determinant is cheap. In a *planar*
# layer all points move along one vector $u$, by a function of $y = w \cdot z + b$:
#
# $$\log |\det(I + h\, u\, s'(y) w^{\mathsf T})| = \log |1 + h\, s'(y)\, u \cdot w| .$$ (eq-n1)
#
# With $s = \tanh$ and many thin layers, $h = 1/N$, we get the flow of $z' = u \tanh(w \cdot z + b)$ over one unit of
# time,
#
# $$z_{n + 1} = z_n + \tfrac{u}{N} \tanh y_n, \quad
# \log p_{n + 1} = \log p_n - \log \bigl| 1 + \tfrac{1}{N} s'(y_n)\, u \cdot w \bigr|
# \;\longrightarrow\; z(1), \log p(z(1)), $$ (eq-n4)
#
# with order one. This flow can be solved by hand, as $y' = (u \cdot w) \tanh y$ means that $\sinh y$ grows
# exponentially:
#
# $$z(1) = z_0 + u\, \frac{y - y_0}{u \cdot w}, \qquad y = \mathrm{asinh}\bigl(e^{u \cdot w} \sinh y_0\bigr), $$ (eq-n2)
#
# $$\log \frac{p(z(1), 1)}{p_0(z_0)} = -u \cdot w - \log \frac{\cosh y_0}{\cosh y} .$$ (eq-n3)
#
# There are few flows whose density is known in a closed form. Keep this one for tests.


# %%
def planar(t, z, theta):
    u, w, b = theta
    return u * np.tanh(w @ z + b)


def planar_exactly(z0, u, w, b):
    """Return z(1) and the change of log p."""
    uw, y0 = u @ w, w @ z0 + b
    y = np.arcsinh(np.exp(uw) * np.sinh(y0))
    return z0 + u * (y - y0) / uw, -uw - np.log(np.cosh(y0) / np.cosh(y))


u, w, b, z0 = np.array([0.9, -0.5]), np.array([1.4, 0.3]), 0.2, np.array([0.6, -0.7])
y0, h = w @ z0 + b, 0.7
by_steps = complex_step(lambda z: z + h * planar(0, z, (u, w, b)), z0)
check_equal("n1", log_det(by_steps), np.log(1 + h * u @ w / np.cosh(y0) ** 2), tolerance=1e-13)  # rounding

flow = CNF(ne.vector_field(planar, z0, (u, w, b)), rtol=1e-11, atol=1e-12)  # from 0 to 1, standard normal at 0
z1, change = planar_exactly(z0, u, w, b)
# A tolerance of 1e-11, over some steps.
check_equal("n2", flow.push(z0[None], (u, w, b))[0], z1, tolerance=1e-9)
check_equal("n3", flow.log_prob(z1[None], (u, w, b))[0] - log_normal(z0), change, tolerance=1e-9)

counts, off = 20 * 2 ** np.arange(6), []
for N in counts:
    z, sum_of_logs = z0, 0.0
    for _ in range(N):
        sum_of_logs -= np.log(1 + u @ w / N / np.cosh(w @ z + b) ** 2)
        z = z + u / N * np.tanh(w @ z + b)
    off.append(np.linalg.norm([*(z - z1), sum_of_logs - change]))
check_order("n4", off, expected=1)

for P in problems:
    t0, t1, exact, off = P.ts[0], P.ts[-1], log_det(P.flow_jacobian(P.ts[0], P.ts[-1], P.z0)), []
    for N in counts[:5]:
        z, h, total = P.z0, (t1 - t0) / N, 0.0
        for n in range(N):
            total, z = total + log_det(np.eye(P.size) + h * P.J(t0 + n * h, z)), z + h * P.f(t0 + n * h, z)
        off.append(abs(total - exact))
    check_order("h12", off, expected=1)

# %% [markdown]
# **Layers that keep volumes.** Another choice: split the state in two halves, and move one by a function of the other.
# The Jacobian is triangular with ones on the diagonal, whatever the functions are, and two such half steps have
#
# $$q_1 = q + h B \tanh p, \quad p_1 = p + h C \sin q_1, \qquad
# \det \frac{\partial (q_1, p_1)}{\partial (q, p)} = 1 .$$ (eq-n10)
#
# The field behind it, $q' = B \tanh p$, $p' = C \sin q$, has the trace zero. But Euler's step for it, with the old $q$
# in the second half, does not keep volumes:
#
# $$\log |\det(I + h J)| = -h^2\, \mathrm{tr}(G F) + O(h^4), \qquad
# F = \frac{\partial q'}{\partial p}, \quad G = \frac{\partial p'}{\partial q} .$$ (eq-n11)

# %%
B, C = np.random.default_rng(1).normal(size=(2, 2, 2))
x = np.array([0.5, -0.3, 0.8, 0.1])


def half_steps(x, h):
    moved = x[:2] + h * B @ np.tanh(x[2:])
    return np.concatenate([moved, x[2:] + h * C @ np.sin(moved)])


def euler_step(x, h):
    return np.concatenate([x[:2] + h * B @ np.tanh(x[2:]), x[2:] + h * C @ np.sin(x[:2])])


check_equal("n10", np.linalg.det(complex_step(lambda x: half_steps(x, 0.7), x)), 1.0, tolerance=1e-13)  # rounding
GF = (C * np.cos(x[:2])) @ (B / np.cosh(x[2:]) ** 2)
logs = np.array([log_det(complex_step(lambda x, h=h: euler_step(x, h), x)) for h in halves[:4]])
check_order("n11", np.abs(logs + halves[:4] ** 2 * np.trace(GF)), expected=4)

# %% [markdown]
# ## A visible check
#
# `CNF` is the library's flow of a field: `log_prob` solves {eq}`eq-h10`, with a trace that is made from the tape of
# $f$. You get a density that you can test without knowing the right one, as it has to add up to one,
#
# $$\int p(x, t_1)\, dx = 1 .$$ (eq-mass)

# %%
flow = CNF(field, t0=0.0, t1=1.0)
x, cell = grid(8.0, 192)
p = np.exp(flow.log_prob(x, theta))
check_equal("mass", p.sum() * cell, 1.0, tolerance=1e-5)  # the tails outside of the grid
some = x[np.abs(x).max(1) < 3][::97]
by_Phi, by_trace = np.log(density_by_Phi(some, 1.0)), flow.log_prob(some, theta, rtol=1e-9, atol=1e-12)
print(f"log p by the trace and by Phi: at most {np.abs(by_trace - by_Phi).max():.0e} apart")
np.testing.assert_allclose(by_trace, by_Phi, atol=1e-6)  # a tolerance of 1e-9, where |log p| is up to 26

# %% [markdown]
# ## What goes wrong, measured
#
# Five densities for `stir` that are wrong in one detail: what they add up to on the grid, and by how much $\log p$ is
# off on average, for points of the flow. The last one runs the flow in the wrong direction of time, forwards from $x$.

# %%
z0 = flow.pull(x, theta)
log_det_Phi = log_normal(z0) - flow.log_prob(x, theta)  # the integral of the trace
z0_forwards, log_det_forwards = flow_and_log_det(x, 0.0, 1.0, 1e-6)
wrong = {
    "right": log_normal(z0) - log_det_Phi,
    "sign of the trace": log_normal(z0) + log_det_Phi,
    "p_0 at x": log_normal(x) - log_det_Phi,
    "no trace": log_normal(z0),
    "trace / D": log_normal(z0) - log_det_Phi / 2,
    "wrong direction of time": log_normal(z0_forwards) + log_det_forwards,
}
masses, offs = {}, {}
print(f"{'':26} mass    mean error of log p")
for name, values in wrong.items():
    masses[name] = np.exp(values).sum() * cell
    offs[name] = np.sum(p * np.abs(values - wrong["right"])) * cell
    print(f"{name:24} {masses[name]:6.3f} {offs[name]:12.3f}")
    assert (abs(masses[name] - 1) < 1e-4) == (name in ("right", "wrong direction of time"))
    assert (offs[name] < 0.2) == (name == "right")

# %% [markdown]
# The mass finds four of five. **What it cannot see**: a density that is perfectly good, but belongs to another flow.
# Whoever solves from 0 to 1 where 1 to 0 was meant gets the density of the inverse map, and that has mass one. So count
# as well, as in step 1; or let the court compare with the flow itself. It knows the first two mistakes by name:


# %%
def log_p_of(sign, at_x):
    """Return a program for log p, with the sign of its trace, and p_0 at x instead of at z_0 if asked for."""

    def claim(f, x, theta):
        P = V()
        y = P.solve(lambda s, y: [*P.f(s, y[:2]), P.divergence(s, y[:2])], P.ts[-1], P.ts[0], np.append(x, 0.0))
        return log_normal(x if at_x else y[:2]) + sign * y[2]

    return claim


claims = {"log_p right": log_p_of(1, False), "log_p sign": log_p_of(-1, False), "log_p place": log_p_of(1, True)}
verdict = ne.court(claims=claims, trial=False)
for judged in verdict.claims:
    print(judged)
assert [judged.numbers for judged in verdict.claims] == [(), (24,), (34,)]

# %% [markdown]
# The minus is missing in (10) of some copies of the paper, so the first of the two is more than a slip of the pen.
#
# **A layer that folds.** A flow of an ODE is invertible by itself: paths do not meet. A planar *layer* is invertible
# only if $y \mapsto y + (u \cdot w) \tanh y$ is increasing, that is for $u \cdot w \ge -1$. Nothing in the formula of
# {eq}`eq-n1` objects if it is not: with the modulus, it goes on to return numbers. We take one dimension, and find
# $z_0$ for a given $x$ by iterating $y \leftarrow x - (u \cdot w) \tanh y$, as programs do.


# %%
def fold(y, uw):
    """Return what becomes of y, and the log of the layer's derivative."""
    return y + uw * np.tanh(y), np.log(np.abs(1 + uw / np.cosh(y) ** 2))


def preimages(x, uw):
    """Return all y that are mapped to x: by the table of the map, cell by cell."""
    table = np.linspace(-9, 9, 20001)
    images = fold(table, uw)[0]
    for i in np.flatnonzero((images[:-1] - x) * (images[1:] - x) <= 0):
        yield table[i] + (x - images[i]) / (images[i + 1] - images[i]) * (table[i + 1] - table[i])


xs = np.linspace(-5, 5, 1001) + 1e-6
draws = np.random.default_rng(4).normal(size=400)
rows = {}
print("u.w     mass of the formula   share of draws folded   E[log q] - E[log p]")
for uw in (-0.9, -1.5, -2.0, -3.0):
    y = xs.copy()
    for _ in range(400):
        y = xs - uw * np.tanh(y)
    found = np.exp(log_normal(y[:, None]) - fold(y, uw)[1])
    each = [np.array(list(preimages(x, uw))) for x in fold(draws, uw)[0]]
    truth = [np.log(np.sum(np.exp(log_normal(ys[:, None]) - fold(ys, uw)[1]))) for ys in each]
    claimed = log_normal(draws[:, None]) - fold(draws, uw)[1]  # with the z_0 that was drawn, as in training
    rows[uw] = found.sum() * 0.01, np.mean([len(ys) > 1 for ys in each]), np.mean(claimed - truth)
    print(f"{uw:4} {rows[uw][0]:16.3f} {rows[uw][1]:22.2f} {rows[uw][2]:22.3f}")
assert abs(rows[-0.9][0] - 1) < 1e-2
assert rows[-3.0][0] < 0.02
assert rows[-3.0][2] < -0.05

# %% tags=["hide-input"]
fig, (left, right) = plot.figure(1, 2, size=(9.4, 3.8), num="12_fold")
ys = np.linspace(-4, 4, 401)
for uw, color in ((-0.9, BLUE), (-1.5, ORANGE), (-3.0, PINK)):
    left.plot(ys, fold(ys, uw)[0], color=color, label=f"$u \\cdot w = {uw}$")
left.set(title="A layer that folds", xlabel="$y$", ylabel=r"$y + (u \cdot w) \tanh y$")
left.legend(frameon=False)
y = xs.copy()
for _ in range(400):
    y = xs + 1.5 * np.tanh(y)
formula = np.exp(log_normal(y[:, None]) - fold(y, -1.5)[1])
truth = [np.exp(log_normal(r[:, None]) - fold(r, -1.5)[1]).sum() for r in (np.array([*preimages(x, -1.5)]) for x in xs)]
many = np.random.default_rng(5).normal(size=200_000)
right.hist(fold(many, -1.5)[0], 480, range=(-3, 3), density=True, color="0.85", label="drawn points")
right.plot(xs, truth, color="black", lw=1, label="all that land at $x$")
right.plot(xs, formula, color=ORANGE, label="the formula")
right.set(title=r"Density at $u \cdot w = -1.5$", xlabel="$x$", xlim=(-1.4, 1.4), ylim=(0, 5))
_ = right.legend(frameon=False)

# %% [markdown]
# At $u \cdot w = -3$ nearly all mass is lost: up to three points land on the same $x$, and the iteration finds one that
# hardly any draw starts from. In training by samples the preimage is known, and the loss is no better: $\mathbb{E}
# [\log q - \log p]$ is a Kullback–Leibler divergence, if $q$ is a density and $p$ the target. Here the target is what
# the layer really makes of the draws, so zero is right. The last column is *below zero*, which is impossible for
# densities: a fold pays. This is why programs replace $u$ by a vector with $u \cdot w > -1$ (Rezende and Mohamed,
# 2015, appendix A).
#
# Last, the ledger of the library: the steps of (h), (i) and (n), in code that shares nothing with this chapter.

# %%
steps = [f"h{k}" for k in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12)]
for finding in ledger.check(V(), [*steps, "i", "n"]):
    print(ledger.row(finding))
    assert finding.ok

# %% [markdown]
# ## Exercises
#
# 1. *A program of your own.* Write `log_p(f, x, theta)` with $\Phi$ instead of the trace, and have it judged by
#    `ne.court(claims={"log_p": log_p}, trial=False)`. What does the court say if you forget that the determinant
#    of the way back is the inverse of the other one?
# 2. *Two rates.* Submit `rate(t, z, theta)`, minus the trace of the oscillator, both as `"log_p_rate"` and as
#    `"log_p_rate_fixed"`. One of them is mistake 35. What would have to be added, and can it be computed from $t$ and
#    $z$ alone?
# 3. *A score by the adjoint.* `CNF(...).score(x, theta)` solves {eq}`eq-i3`. Compute it for `stir` by differences of
#    `log_prob` and compare: `check_equal("i3", yours, flow.score(x, theta), 1e-5)`. Then for one planar flow by
#    differentiating {eq}`eq-n3` by hand.
#
# ## Further reading
#
# - R. T. Q. Chen, Y. Rubanova, J. Bettencourt, D. Duvenaud: *Neural ordinary differential equations* (2018), arXiv
#   1806.07366, section 4 and appendix A.
# - D. J. Rezende, S. Mohamed: *Variational inference with normalizing flows* (2015), arXiv 1505.05770.
# - L. Dinh, D. Krueger, Y. Bengio: *NICE: non-linear independent components estimation* (2014), arXiv 1410.8516, with
#   the layers that keep volumes.
# - Y. Song et al.: *Score-based generative modeling through stochastic differential equations* (2020), arXiv
#   2011.13456, for {eq}`eq-fp`.
# - G. Papamakarios, E. Nalisnick, D. J. Rezende, S. Mohamed, B. Lakshminarayanan: *Normalizing flows for probabilistic
#   modeling and inference*, J. Mach. Learn. Res. 22 (2021) 57.

# %% tags=["remove-cell"]
plot.show_or_save()
