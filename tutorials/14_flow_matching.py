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
# # 14 · Flow matching
#
# **What you will do.** Train a flow without solving an ODE once. Draw a point of noise and a point of the data, join
# them by a line, and teach the field the velocity on it. Then solve, sample, and compute the likelihood with the code
# of chapter 12.
#
# **What you will learn.** Why fitting velocities that contradict each other gives the right field; that two losses with
# different values have the same gradient; how the pairing decides how straight the paths are, and what that saves; and
# why the value of the loss says little about the fit.
#
# **What you need.** Chapter 12 (the continuity equation, the density of a flow).

# %%
import numpy as np
from scipy.special import ndtr

import nodeedu as ne
from nodeedu import nn, plot
from nodeedu.autodiff import complex_step
from nodeedu.flows import CNF, GaussianMixture
from nodeedu.flows.matching import line, matching_loss, regression, straightness
from nodeedu.verify.checks import Checks
from nodeedu.verify.equations import ledger
from nodeedu.verify.problem import make_problem

BLUE, ORANGE, GREEN, PINK, *_ = plot.COLORS
checks = Checks()
check_equal = checks.equal

# %% [markdown]
# ## Step 1 · Lines between two densities
#
# At $t = 0$ there is noise, $x_0 \sim N(0, 1)$; at $t = 1$ there shall be the data, $x_1$. Draw one of each and go from
# one to the other at constant speed:
#
# $$x_t = (1 - t)\, x_0 + t\, x_1, \qquad u = \dot x_t = x_1 - x_0 .$$
#
# Call the density of $x_t$, over all pairs, $p_t$. It is noise at 0 and data at 1. Is there a field whose flow has the
# densities $p_t$? The lines themselves are none: they cross, so that at one place and time there are many velocities.
# Take their mean:
#
# $$u_t(x) = \mathbb{E}\bigl[\, x_1 - x_0 \,\big|\, x_t = x \,\bigr] .$$
#
# We derive in one dimension, where every integral can be done. The data are two normal densities with the means $d_k$,
# the weights $w_k$ and the width $s$. Then, for a given $k$, $x_t$ and $u$ are two sums of the same normal numbers.
# $x_t$ has the variance $v = (1 - t)^2 + t^2 s^2$, its covariance with $u$ is $t s^2 - (1 - t)$, and the mean of $u$
# for a given $x_t$ is the line of regression. Over $k$ we average with the probability of $k$ at this place:
#
# $$u_t(x) = \sum_k \frac{w_k N(x;\, t d_k, v)}{p_t(x)} \Bigl[ d_k + \frac{t s^2 - (1 - t)}{v} (x - t d_k) \Bigr],
# \qquad p_t(x) = \sum_k w_k N(x;\, t d_k, v) .$$ (eq-field)
#
# The check does the mean by its definition, with an integral over all $x_0$ from which a line passes through $x$.

# %%
means, shares, width = np.array([-1.8, 1.2]), np.array([0.35, 0.65]), 0.4


def density(t, x):
    """Return the parts of p_t at places x (n,), one for each mean, (n, 2); complex numbers pass."""
    v = (1 - t) ** 2 + (t * width) ** 2
    return shares * np.exp(-((x[:, None] - t * means) ** 2) / (2 * v)) / np.sqrt(2 * np.pi * v)


def marginal(t, x):
    """Return p_t and u_t."""
    v, parts = (1 - t) ** 2 + (t * width) ** 2, density(t, x)
    each = means + (t * width**2 - (1 - t)) / v * (x[:, None] - t * means)
    return parts.sum(1), (parts * each).sum(1) / parts.sum(1)


def noise(x):
    return np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)


x0 = np.linspace(-9, 9, 2001)
for t, x in ((0.3, -0.4), (0.6, 0.2), (0.9, 1.4)):
    x1 = (x - (1 - t) * x0) / t
    pairs = noise(x0) * density(1.0, x1).sum(1)
    by_definition = np.sum(pairs * (x1 - x0)) / np.sum(pairs)
    check_equal("field", by_definition, marginal(t, np.array([x]))[1][0], tolerance=1e-12)  # the sums are exact

# %% [markdown]
# ## The picture of the result
#
# Left: pairs drawn independently, and their lines. They cross everywhere. Middle: the flow of the mean velocity, from
# the same starting points. Its paths cannot cross, they bend, and they make the same densities (grey) at each time.
# Right: the same points once more, now paired in order, the leftmost with the leftmost. These lines do not cross. They
# make other densities in between, and the same ones at both ends.


# %%
def velocity(t, z, theta):
    means, shares, width = theta
    v = (1 - t) ** 2 + (t * width) ** 2
    away = z - t * means
    parts = shares * np.exp(-(away**2) / (2 * v))
    return np.reshape(np.sum(parts * (means + (t * width**2 - (1 - t)) / v * away)) / np.sum(parts), (1,))


exact_theta = (means, shares, width)
exact_field = ne.vector_field(velocity, np.zeros(1), exact_theta)
data = GaussianMixture(means[:, None], width, shares)
many = np.random.default_rng(0).normal(size=(60, 1)), data.sample(60, 2)

# %% tags=["hide-input"]
fig, panels = plot.figure(1, 3, size=(12, 3.7), sharey=True, num="14_lines")
times, places = np.linspace(0, 1, 101), np.linspace(-3.4, 3.4, 240)
shade = np.stack([marginal(t, places)[0] for t in times], 1)
flow_paths = ne.odeint(exact_field, many[0], times, exact_theta).zs[..., 0]
ordered = np.sort(many[0], 0), np.sort(many[1], 0)
titles = "Pairs, drawn independently", "Flow of the mean velocity", "Pairs in order"
for axes, title in zip(panels, titles, strict=True):
    if axes is not panels[2]:
        axes.imshow(shade, origin="lower", extent=[0, 1, -3.4, 3.4], aspect="auto", cmap="Greys", vmax=1.2)
    axes.set(title=title, xlabel="$t$", xlim=(0, 1), ylim=(-3.4, 3.4))
    axes.grid(False)
panels[0].plot([0, 1], np.concatenate(many, 1).T, color=ORANGE, lw=0.7)
panels[1].plot(times, flow_paths, color=BLUE, lw=0.9)
panels[2].plot([0, 1], np.concatenate(ordered, 1).T, color=GREEN, lw=0.9)
_ = panels[0].set_ylabel("$x$")

# %% [markdown]
# ## Step 2 · The mean velocity carries the density
#
# Take any smooth function $\varphi$ and ask how its mean over $x_t$ changes. By the chain rule, along each line, and
# then by averaging first over all lines that pass through one place:
#
# $$\frac{d}{dt} \mathbb{E}\, \varphi(x_t) = \mathbb{E} \bigl[ \varphi'(x_t)\, u \bigr]
# = \mathbb{E} \bigl[ \varphi'(x_t)\, u_t(x_t) \bigr] = \int \varphi'(x)\, u_t(x)\, p_t(x)\, dx .$$ (eq-weak)
#
# In the middle is the whole idea: a mean of velocities is all that a mean of $\varphi$ can see. Integrate by parts. As
# $\varphi$ is arbitrary,
#
# $$\frac{\partial p_t}{\partial t} = -\frac{\partial}{\partial x} (p_t u_t), $$ (eq-continuity)
#
# the continuity equation of chapter 12. Hence the flow of $u_t$, begun with $p_0$, has the density $p_t$ at all times.
# Nothing was said about the pairing, or about lines being straight.
#
# With $\varphi = \cos \kappa x$ the left side of {eq}`eq-weak` is known: the mean of a cosine under a normal density.

# %%
grid = np.linspace(-12, 12, 4001)
spacing = grid[1] - grid[0]
for t in (0.2, 0.7):
    p, u = marginal(t, grid)
    for kappa in (0.7, 1.9):

        def mean_cosine(t, kappa=kappa):
            v = (1 - t) ** 2 + (t * width) ** 2
            return np.sum(shares * np.cos(kappa * t * means)) * np.exp(-(kappa**2) * v / 2)

        right = np.sum(-kappa * np.sin(kappa * grid) * u * p) * spacing
        check_equal("weak", complex_step(mean_cosine, t), right, tolerance=1e-12)  # the sum is exact

    some = np.linspace(-2.5, 2.5, 11)
    by_time = complex_step(lambda t, some=some: density(t, some).sum(1), t)
    mass_flow = [complex_step(lambda x, t=t: np.prod(marginal(t, x), 0)[0], np.array([x]))[0] for x in some]
    check_equal("continuity", by_time, -np.array(mass_flow), tolerance=1e-12)  # rounding

# %% [markdown]
# In one dimension there is a sharper test. Paths of a flow keep their order, so the share of points to the left of a
# path never changes: with the distribution functions $F_0$ of the noise and $F_1$ of the data,
#
# $$F_1(x(1)) = F_0(x(0)) \quad \text{for every path.} $$ (eq-quantile)

# %%
starts = np.linspace(-2.5, 2.5, 21)[:, None]
ends = ne.odeint(exact_field, starts, [0, 1], exact_theta, rtol=1e-10, atol=1e-12).zs[-1]
F1 = np.sum(shares * ndtr((ends - means) / width), axis=1)
check_equal("quantile", F1, ndtr(starts[:, 0]), tolerance=1e-9)  # a tolerance of 1e-10, over some steps

# %% [markdown]
# ## Step 3 · Two losses, one gradient
#
# So we should fit $v_\theta(t, x)$ to $u_t(x)$: the *marginal* loss $L_M$. But for real data $u_t$ is an average over
# all of them, and unknown. What we do have is pairs, each with one velocity: the *conditional* loss $L_C$,
#
# $$L_M = \mathbb{E}\, |v_\theta(t, x_t) - u_t(x_t)|^2, \qquad L_C = \mathbb{E}\, |v_\theta(t, x_t) - (x_1 - x_0)|^2 .$$
#
# Write $v - u = (v - u_t) + (u_t - u)$ and square. The mixed term is $2\, \mathbb{E}[(v - u_t)(u_t - u)]$: for a given
# $x_t$ the first factor is fixed, and the second has mean zero. What is left is
#
# $$L_C(\theta) = L_M(\theta) + \mathbb{E}\, |u - u_t(x_t)|^2, $$ (eq-split)
#
# and the last term, the variance of the velocities at one place, does not depend on $\theta$. Therefore
#
# $$\frac{\partial L_C}{\partial \theta} = \frac{\partial L_M}{\partial \theta} .$$ (eq-gradients)
#
# We compute both, with a small network and without chance: $L_C$ is a sum over a grid of pairs $(x_0, x_1)$ in which
# $u_t$ does not occur, and $L_M$ is a sum over a grid of places in which no pair occurs.


# %%
def small_network(t, x, p):
    W1, w, b, W2 = p.reshape(4, 5)
    return np.tanh(np.multiply.outer(x, W1) + w * t + b) @ W2


def conditional_loss(p, t):
    x0 = np.linspace(-7, 7, 120)
    x1 = np.linspace(-5, 5, 140)
    weights = np.outer(noise(x0), density(1.0, x1).sum(1)) * (x0[1] - x0[0]) * (x1[1] - x1[0])
    x_t, u = np.add.outer((1 - t) * x0, t * x1), np.subtract.outer(-x0, -x1)
    return np.sum(weights * (small_network(t, x_t, p) - u) ** 2)


def marginal_loss(p, t):
    x = np.linspace(-8, 8, 400)
    p_t, u = marginal(t, x)
    return np.sum(p_t * (small_network(t, x, p) - u) ** 2) * (x[1] - x[0])


p = np.random.default_rng(3).normal(size=20)
for t in (0.25, 0.6):
    p_t, u = marginal(t, grid)
    square = 1 + np.sum(shares * (means**2 + width**2))  # of x_1 - x_0, on average
    scatter = square - np.sum(p_t * u**2) * spacing
    values = conditional_loss(p, t), marginal_loss(p, t)
    print(f"t = {t}: L_C = {values[0]:.4f} = {values[1]:.4f} + {scatter:.4f}")
    check_equal("split", values[0], values[1] + scatter, tolerance=1e-10)  # the tails outside of the grids
    by_pairs, by_places = (complex_step(lambda p, t=t, loss=loss: loss(p, t), p)
                           for loss in (conditional_loss, marginal_loss))  # fmt: skip
    check_equal("gradients", by_pairs, by_places, tolerance=1e-10)

# %% [markdown]
# The best field is $u_t$, and the regression finds it although it never sees it. There the loss is not zero: it is the
# second term of {eq}`eq-split`.
#
# ## Step 4 · Training
#
# Eight normal densities on a circle, and a network with one hidden layer of 64. A step draws 128 points of data and as
# many of noise, pairs them, draws times, and makes one step of Adam down the squares of the differences. There is no
# solver in it; `matching_loss` calls $f$ and its VJP once.


# %%
def network(t, z, theta):
    W1, w, b1, W2, b2 = theta
    return W2 @ np.tanh(W1 @ z + w * t + b1) + b2


rng = np.random.default_rng(1)
start = (rng.normal(size=(64, 2)), rng.normal(size=64), rng.normal(size=64), rng.normal(size=(2, 64)) / 8, np.zeros(2))
angles = np.arange(8) * np.pi / 4
target = GaussianMixture(2.5 * np.stack([np.cos(angles), np.sin(angles)], 1), 0.25)
field = ne.vector_field(network, np.zeros(2), start)
flow = CNF(field, rtol=1e-4, atol=1e-6)
held_out = target.sample(1000, 5)
entropy = -target.log_prob(target.sample(100_000, 6)).mean()
STEPS = 600


def fit(coupling):
    """Return the parameters, the losses, and the held-out -log p on the way."""
    likelihoods = []

    def watch(step, theta, loss):
        if step % 50 == 49:
            likelihoods.append(-flow.log_prob(held_out, theta).mean())

    def loss(theta, step):
        return matching_loss(field, theta, target.sample(128, [1, step]), [2, step], coupling=coupling)

    found = nn.train(loss, start, nn.Adam(nn.CosineDecay(1e-2, STEPS)), STEPS, callback=watch, progress=False)
    return found.theta, found.losses, likelihoods


fits = {coupling: fit(coupling) for coupling in ("independent", "optimal")}
for coupling, (_, losses, likelihoods) in fits.items():
    print(f"{coupling:12} loss {losses[:20].mean():.2f} -> {losses[-50:].mean():.2f}, "
          f"-log p {likelihoods[0]:.2f} -> {likelihoods[-1]:.2f}, entropy {entropy:.2f}")  # fmt: skip
    assert entropy < likelihoods[-1] < entropy + 0.55

# %% [markdown]
# `"optimal"` pairs each batch such that the sum of the squared lengths of its lines is as small as possible: an
# assignment problem, which SciPy solves. The densities of both ends stay as they are, so step 2 applies, with other
# densities in between.
#
# The likelihood was computed by `CNF`, as for any field. It was not trained for, and comes within half a nat of the
# entropy of the data, below which no model can be.
#
# ## Step 5 · Straight paths
#
# A path with constant velocity is solved exactly by one step of Euler's method. How far is a flow from that? Measure
#
# $$\int_0^1 \mathbb{E}\, |x(1) - x(0) - v(t, x(t))|^2\, dt
# = \int_0^1 \mathbb{E}\, |v(t, x(t))|^2\, dt - \mathbb{E}\, |x(1) - x(0)|^2, $$ (eq-straight)
#
# which is the variance of the velocity along each path; the equation holds because $\int v\, dt = x(1) - x(0)$. With
# independent pairs many lines cross, $u_t$ averages over velocities that differ, and as $t$ grows the place tells more
# and more about where a line will end: the mean turns, and the paths bend. Pairs whose lines do not cross have one
# velocity at each place.

# %%
x0, nodes, weights = np.random.default_rng(7).normal(size=(400, 2)), *np.polynomial.legendre.leggauss(24)
table, counts = {}, (1, 2, 4, 8, 16)
print(f"{'':12} straightness   evaluations   1, 2, 4, 8, 16 steps of Euler are off by")
for coupling, (theta, _, _) in fits.items():
    times = np.concatenate([[0.0], 0.5 * (nodes + 1), [1.0]])
    paths = ne.odeint(field, x0, times, theta, rtol=1e-8, atol=1e-10).zs
    speeds = [regression(field, theta, t, z, 0 * z)[0] for t, z in zip(times[1:-1], paths[1:-1], strict=True)]
    moved = np.mean(np.sum((paths[-1] - paths[0]) ** 2, 1))
    straight = straightness(field, theta, x0, rtol=1e-8, atol=1e-10)
    check_equal("straight", straight, weights / 2 @ speeds - moved, tolerance=1e-5)  # quadrature, sixteen nodes and 24

    nfev = ne.odeint(field, x0, [0, 1], theta, rtol=1e-5, atol=1e-7).stats.nfev.mean()
    shots = [ne.odeint(field, x0, [0, 1], theta, method="euler", step_size=1 / n).zs[-1] for n in counts]
    off = [np.sqrt(np.mean(np.sum((end - paths[-1]) ** 2, 1))) for end in shots]
    table[coupling] = straight, nfev, off
    print(f"{coupling:12} {straight:12.3f} {nfev:13.1f}   " + "  ".join(f"{x:.2f}" for x in off))
one, other = table["independent"], table["optimal"]
assert other[0] < one[0] / 10
assert other[1] < 0.8 * one[1]
assert other[2][0] < one[2][0] / 3

# %% tags=["hide-input"]
fig, panels = plot.figure(1, 3, size=(12.4, 3.9), num="14_couplings")
fine = np.linspace(0, 1, 41)
for axes, (coupling, color) in zip(panels, (("independent", ORANGE), ("optimal", GREEN)), strict=False):
    paths = ne.odeint(field, x0[:150], fine, fits[coupling][0]).zs
    axes.plot(paths[..., 0], paths[..., 1], color=color, lw=0.7, alpha=0.8)
    axes.plot(*paths[0].T, ".", color="0.6", ms=3)
    axes.plot(*paths[-1].T, ".", color="black", ms=4)
    axes.set(title=f"Paths, {coupling} pairs", xlim=(-3.6, 3.6), ylim=(-3.6, 3.6), aspect="equal")
    panels[2].loglog(counts, table[coupling][2], "o-", color=color, label=coupling)
panels[2].set(title="Error of Euler's method at $t = 1$", xlabel="steps")
panels[2].set_xticks(counts, counts)
panels[2].set_yticks([0.03, 0.1, 0.3, 1, 3], ["0.03", "0.1", "0.3", "1", "3"])
panels[2].minorticks_off()
_ = panels[2].legend(frameon=False)

# %% [markdown]
# The pairing within a batch is not that of the densities: with 128 points, a point of noise is not always sent to the
# same bump. The paths are nearly straight, not quite, and a larger batch brings them closer, at a price that grows with
# its third power.
#
# ## A visible check
#
# The densities of both models on a grid, each with its mass. Nothing in the training asked for that mass: it is the
# likelihood code that is tested, on a field that was never made for it.

# %% tags=["hide-input"]
cells, size = 120, 4.4
axis = (np.arange(cells) + 0.5) / cells * 2 * size - size
square = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
fig, panels = plot.figure(1, 3, size=(11, 4.1), num="14_densities")
masses = {}
for axes, (name, (theta, *_)) in zip(panels, fits.items(), strict=False):
    p = np.exp(flow.log_prob(square, theta))
    masses[name] = p.sum() * (2 * size / cells) ** 2
    axes.imshow(p.reshape(cells, cells), origin="lower", extent=[-size, size] * 2, cmap="Blues", vmax=0.32)
    axes.set_title(f"{name} pairs")
truth = np.exp(target.log_prob(square)).reshape(cells, cells)
panels[2].imshow(truth, origin="lower", extent=[-size, size] * 2, cmap="Blues", vmax=0.32)
panels[2].set_title("the data")
for axes in panels:
    axes.grid(False)

# %%
for name, mass in masses.items():
    print(f"{name:12} mass {mass:.4f}")
    assert abs(mass - 1) < 0.01  # what a poor fit leaves outside of the grid

# %% [markdown]
# ## What goes wrong, measured
#
# **Reading the loss.** You watch the loss, as always. With independent pairs it falls fast, and then stands at about
# five, while the model still improves. By {eq}`eq-split` it has to: most of it is scatter of the velocities, which no
# field can fit. For these data $u_t$ is known, with {eq}`eq-field` in two dimensions, and the floor can be computed.


# %%
def exact_velocity(t, x):
    """Return u_t of independent pairs at places x (n, 2) and times t (n,)."""
    t = t[:, None]
    v = (1 - t) ** 2 + (t * 0.25) ** 2
    away = x[:, None, :] - t[..., None] * target.means
    logs = -np.sum(away**2, -1) / (2 * v)
    parts = np.exp(logs - logs.max(1, keepdims=True))
    each = target.means + ((t * 0.25**2 - (1 - t)) / v)[..., None] * away
    return np.sum(parts[..., None] * each, 1) / parts.sum(1, keepdims=True)


a, b = np.random.default_rng(10).normal(size=(20_000, 2)), target.sample(20_000, 11)
t = (np.arange(20_000) + 0.5) / 20_000
x_t, u = line(a, b, t)
u_t = exact_velocity(t, x_t)
floor = np.mean(np.sum((u - u_t) ** 2, 1))
theta, losses, likelihoods = fits["independent"]
share, _ = regression(field, theta, t, x_t, u_t)
print(f"loss of the trained field {losses[-50:].mean():.2f}, of the best field {floor:.2f}, between them {share:.2f}")
assert share < 0.05 * floor
assert abs(losses[-50:].mean() - floor - share) < 0.25  # batches of 128, averaged over 50

# %% [markdown]
# From step 200 on:

# %%
early, late = losses[180:220].mean(), losses[-100:].mean()
gaps = likelihoods[3] - entropy, likelihoods[-1] - entropy
print(f"loss {early:.2f} -> {late:.2f}, by {late / early - 1:+.0%}")
print(f"-log p above the entropy {gaps[0]:.2f} -> {gaps[1]:.2f}, by {gaps[1] / gaps[0] - 1:+.0%}")
begun = fits["optimal"][1][40:60].mean(), fits["optimal"][2][0]
print(f"optimal pairs, after 50 steps: loss {begun[0]:.2f}, -log p {begun[1]:.2f}")
assert abs(late / early - 1) < 0.1
assert abs(late - 5) < 0.3
assert gaps[1] < 0.85 * gaps[0]
assert begun[0] < floor / 3
assert begun[1] > likelihoods[-1] + 0.2

# %% [markdown]
# The last line is the worse trap. The pairing changes the floor. A field that has hardly begun to learn, with optimal
# pairs, has a loss far below that of the *best possible* field with independent ones, and is a far worse model. So do
# not compare losses between couplings, batch sizes or paths, and do not stop by them. Compare likelihoods, or samples.

# %% tags=["hide-input"]
fig, (left, right) = plot.figure(1, 2, size=(9.4, 3.8), num="14_loss")
for (coupling, (_, losses, likelihoods)), color in zip(fits.items(), (ORANGE, GREEN), strict=True):
    smooth = np.convolve(losses, np.ones(20) / 20, "valid")
    left.semilogy(np.arange(len(smooth)) + 20, smooth, color=color, label=coupling)
    right.plot(np.arange(50, STEPS + 1, 50), likelihoods, color=color, label=coupling)
left.axhline(floor, color=ORANGE, ls=":", label="the best field, independent")
right.axhline(entropy, color="black", ls=":", label="entropy of the data")
left.set(title="Loss", xlabel="step")
left.set_yticks([0.1, 0.3, 1, 3, 10], ["0.1", "0.3", "1", "3", "10"])
left.minorticks_off()
right.set(title="Held-out $-\\log p$", xlabel="step")
for axes in (left, right):
    axes.legend(frameon=False)

# %% [markdown]
# **The wrong end.** Where is the noise, at 0 or at 1? Papers differ. If the pairs are swapped, the loss does not
# notice: its value, and its floor, are those of the time reversed. The exact field shows what the model then is worth.
# We solve it forwards, as it should be, and as if the noise were at $t = 1$:

# %%
x_t, u = line(b, a, t)  # the data at 0, the noise at 1
swapped = np.mean(np.sum((u + exact_velocity(1 - t, x_t)) ** 2, 1))
F1_wrong = np.sum(shares * ndtr((ne.odeint(exact_field, starts, [1, 0], exact_theta).zs[-1] - means) / width), axis=1)
print(f"floor of the loss {floor:.3f}, pairs swapped {swapped:.3f}")
print(f"largest error of the distribution: {np.abs(F1 - ndtr(starts[:, 0])).max():.0e}, wrong end "
      f"{np.abs(F1_wrong - ndtr(starts[:, 0])).max():.2f}")  # fmt: skip
assert abs(swapped / floor - 1) < 0.05  # both by 20 000 pairs
assert np.abs(F1_wrong - ndtr(starts[:, 0])).max() > 0.1

# %% [markdown]
# Last, the ledger of the library, on the field that was just learnt: its density along a path and at a place, in code
# that shares nothing with this chapter, nor with `CNF`.

# %%
learnt = make_problem(field, [0.4, -0.6], fits["optimal"][0], (0.0, 0.4, 0.7, 1.0), name="match")
for finding in ledger.check(learnt, ["h1", "h10", "i1", "i2"]):
    print(ledger.row(finding))
    assert finding.ok

# %% [markdown]
# ## Exercises
#
# 1. *Another path.* Let $x_t = \cos(\frac{\pi}{2} t)\, x_0 + \sin(\frac{\pi}{2} t)\, x_1$. Which terms of
#    `density` and `marginal` change? `check_equal("continuity", ...)` and `check_equal("quantile", ...)` tell whether
#    you have them all. Why are $x(1)$ the same numbers as before?
# 2. *From data to data.* Replace the noise by a second mixture. Derive $u_t$, and check it by {eq}`eq-quantile` with
#    the $F_0$ of the mixture: `check_equal("quantile", F1, F0, 1e-9)`.
# 3. *Straighten once more.* Take pairs $(x(0), x(1))$ from the paths of the model with independent pairs, and train
#    anew on their lines (`regression` in `nodeedu.flows.matching` takes them). By how much does `straightness` fall,
#    and does the likelihood suffer? Submit the trained field to the ledger, as above.
#
# ## Further reading
#
# - Y. Lipman, R. T. Q. Chen, H. Ben-Hamu, M. Nickel, M. Le: *Flow matching for generative modeling* (2022), arXiv
#   2210.02747.
# - X. Liu, C. Gong, Q. Liu: *Flow straight and fast: learning to generate and transfer data with rectified flow*
#   (2022), arXiv 2209.03003.
# - M. S. Albergo, E. Vanden-Eijnden: *Building normalizing flows with stochastic interpolants* (2022), arXiv
#   2209.15571.
# - A. Tong et al.: *Improving and generalizing flow-based generative models with minibatch optimal transport* (2023),
#   arXiv 2302.00482.

# %% tags=["remove-cell"]
plot.show_or_save()
