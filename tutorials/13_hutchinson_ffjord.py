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
# # 13 · Hutchinson's trace, and FFJORD
#
# **What you will do.** The trace of a Jacobian costs $D$ VJPs. Replace it by a random number that costs one and is
# right on average, keep the log-density right on average too, and train a density by it.
#
# **What you will learn.** Why a random vector finds a trace, and how large the error is, before you draw; why one draw
# must serve for the whole solve; the gradient of a log-density, whose adjoint is the score; what the noise costs in
# training, and what a regulariser buys.
#
# **What you need.** Chapter 12 (the density along a path, the score), chapter 7 (running costs), chapter 3 (VJP).

# %%
from dataclasses import replace
from itertools import product

import numpy as np

import nodeedu as ne
from nodeedu import nn, plot
from nodeedu.autodiff import central_difference
from nodeedu.flows import CNF, gaussian, hutchinson_trace, rademacher
from nodeedu.verify.checks import Checks
from nodeedu.verify.equations import ledger
from nodeedu.verify.problem import make_problem
from nodeedu.verify.standard_problems import M, V

BLUE, ORANGE, GREEN, PINK, *_ = plot.COLORS
checks = Checks()
check_equal = checks.equal

# %% [markdown]
# Next to **M** ($D = 3$) and **V** ($D = 2$) there is a network **N** with $D = 4$ and 32 hidden units, which is to be
# trained. With so few components all vectors of signs can be tried, and an expectation is a finite sum: nothing in the
# derivation below is left to luck. The gain, of course, is for large $D$.


# %%
def network(t, z, theta):
    W1, w, b1, W2, b2 = theta
    return W2 @ np.tanh(W1 @ z + w * t + b1) + b2


rng = np.random.default_rng(1)
theta = (rng.normal(size=(32, 4)), rng.normal(size=32), rng.normal(size=32), rng.normal(size=(4, 32)), np.zeros(4))
N = make_problem(network, [0.5, -0.2, 0.1, 0.8], theta, (0.0, 0.4, 0.7, 1.0), name="N")
start = (*theta[:3], 0.05 * theta[3], theta[4])  # training begins near the identity


def all_signs(D):
    return np.array(list(product((-1.0, 1.0), repeat=D)))


# %% [markdown]
# ## The picture of the result
#
# Along a path of N, the trace (black) and estimates $v J v$. Left: with one vector of signs $v$ kept for the whole path
# each estimate is a smooth curve, and may be far off; the mean over all 16 is the trace. The dots draw $v$ anew at each
# time: there is no curve at all. Right: the error of the integral over the path, the log-density, against the number of
# draws that are averaged. The lines are predictions, from step 2, made before anything was drawn.

# %%
times = np.linspace(0, 1, 81)
path = N.flow(0.0, times[1:], N.z0)
path = np.concatenate([[N.z0], path])
Js = np.array([N.J(t, z) for t, z in zip(times, path, strict=True)])
estimates = np.einsum("vi,tij,vj->vt", all_signs(4), Js, all_signs(4))
redrawn = rng.choice((-1.0, 1.0), (81, 4))

simpson = np.r_[1, np.tile([4, 2], 39), 4, 1] / 240
mean_J = np.einsum("t,tij->ij", simpson, Js)  # the noise is frozen: integrate J first, then multiply by v
counts, spread = 2 ** np.arange(0, 7), {}
for kind, draw in (("signs", rademacher), ("normal", gaussian)):
    v = draw((4000, 64, 4), 3)
    integrals = np.einsum("nki,ij,nkj->nk", v, mean_J, v)
    spread[kind] = np.array([integrals[:, :K].mean(1).std() for K in counts])

# %% tags=["hide-input"]
fig, (left, right) = plot.figure(1, 2, size=(9.4, 3.9), num="13_noise")
for k, color in ((1, BLUE), (2, ORANGE), (4, GREEN), (7, PINK)):
    left.plot(times, estimates[k], color=color, lw=1.3)
left.plot(times, np.einsum("vi,vij,vj->v", redrawn, Js, redrawn), ".", color="0.6", ms=4)
left.plot(times, np.einsum("tii->t", Js), color="black", lw=2.4)
left.set(title="$v J v$, $v$ kept (lines), or redrawn (dots)", xlabel="$t$")
S = (mean_J + mean_J.T) / 2
predicted = {"signs": 2 * (np.sum(S**2) - np.sum(np.diag(S) ** 2)), "normal": 2 * np.sum(S**2)}
for kind, color in (("signs", BLUE), ("normal", ORANGE)):
    right.loglog(counts, np.sqrt(predicted[kind] / counts), color=color, lw=1)
    right.loglog(counts, spread[kind], "o", color=color, label=kind)
right.set(title="Standard deviation of $\\int v J v \\, dt$", xlabel="number of draws")
right.set_xticks(counts, counts)
right.set_yticks([0.5, 1, 2, 4], ["0.5", "1", "2", "4"])
right.minorticks_off()
_ = right.legend(frameon=False)

# %%
for kind in spread:
    off = spread[kind] / np.sqrt(predicted[kind] / counts) - 1
    print(f"{kind}: measured over predicted, less one: {np.round(off, 3)}")
    assert np.abs(off).max() < 0.06  # 4000 repetitions; the squares of few normal numbers have heavy tails

# %% [markdown]
# ## Step 1 · A random vector finds a trace
#
# Let $v$ be random with mean 0, and let its components be uncorrelated with variance 1. Then
#
# $$\mathbb{E}[v J v] = \sum_{ij} J_{ij}\, \mathbb{E}[v_i v_j] = \sum_{ij} J_{ij} \delta_{ij} = \mathrm{tr}\, J .$$
#
# Nothing else is asked of the noise. Two kinds are in use, signs
#
# $$\mathrm{tr}\, J = \mathbb{E}[v J v], \qquad v_i = \pm 1, $$ (eq-j1)
#
# and normal numbers,
#
# $$\mathrm{tr}\, J = \mathbb{E}[v J v], \qquad v_i \sim N(0, 1) .$$ (eq-j3)
#
# $vJ$ is a VJP, so that the estimate costs one VJP and a scalar product; the trace costs $D$ VJPs, one for each row of
# $I$. (For a network with one hidden layer and $H$ units there is a formula that costs $DH$. The library finds it by
# itself; with two layers there is none.)
#
# The expectation over signs is a mean of $2^D$ terms. That over normal numbers is an integral, which Gauss and
# Hermite's rule with three nodes in each direction does exactly, as the integrand is a polynomial of degree two.


# %%
def hermite(D):
    """Return nodes (n, D) and weights (n,) for D independent normal numbers."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(3)
    weights = weights / weights.sum()
    return np.array(list(product(nodes, repeat=D))), np.array(list(product(weights, repeat=D))).prod(1)


def in_the_middle(P):
    """Return t and z on the path."""
    t = P.ts[0] + 0.4 * (P.ts[-1] - P.ts[0])
    return t, P.flow(P.ts[0], t, P.z0)


for P in (M(), V(), N):
    t, z = in_the_middle(P)
    trace = np.trace(P.J_by_steps(t, z))
    signs, (nodes, weights) = all_signs(P.size), hermite(P.size)
    check_equal("j1", np.mean([P.vjp(t, z, v)[1] @ v for v in signs]), trace, tolerance=1e-12)  # rounding
    rows = np.tile(z, (len(nodes), 1))
    check_equal("j3", weights @ hutchinson_trace(P.field, t, rows, P.theta, nodes), trace, tolerance=1e-12)  # rounding

# %% [markdown]
# ## Step 2 · How large is the error
#
# An antisymmetric matrix $K$ has $v K v = 0$, so only $S = (J + J^{\mathsf T})/2$ takes part. For signs,
#
# $$v S v = \sum_i S_{ii} + 2 \sum_{i < j} S_{ij}\, v_i v_j .$$
#
# The first sum does not vary at all. In the second each product is a sign, and two different products are
# uncorrelated. So the variance is $4 \sum_{i<j} S_{ij}^2$, or
#
# $$\mathrm{Var}[v J v] = 2 \Bigl( \|S\|^2 - \sum_i S_{ii}^2 \Bigr), \qquad v_i = \pm 1 .$$ (eq-j2)
#
# For normal numbers the diagonal varies as well, as $v_i^2$ has the variance 2:
#
# $$\mathrm{Var}[v J v] = 2\, \|S\|^2, \qquad v_i \sim N(0, 1) .$$ (eq-j4)
#
# Signs are never worse. If $S$ is diagonal they are exact, from one draw. If $S$ has no diagonal, the two are equal.
# The mean of $K$ draws has a $K$-th of the variance.

# %%
for P in (M(), V(), N):
    t, z = in_the_middle(P)
    J = P.J_by_steps(t, z)
    S = (J + J.T) / 2
    values = np.einsum("vi,ij,vj->v", all_signs(P.size), J, all_signs(P.size))
    check_equal("j2", values.var(), 2 * (np.sum(S**2) - np.sum(np.diag(S) ** 2)), tolerance=1e-12)  # rounding
    nodes, weights = hermite(P.size)  # exact for fourth powers, too
    values = np.einsum("vi,ij,vj->v", nodes, J, nodes)
    check_equal("j4", weights @ (values - np.trace(J)) ** 2, 2 * np.sum(S**2), tolerance=1e-12)  # rounding

# %% [markdown]
# ## Step 3 · One draw for a whole path
#
# A density needs the trace at every time of a path. Shall every evaluation get a draw of its own? There is no need:
# an integral and an expectation may change places, whatever the draws at different times have to do with each other. So
# let them be the same $v$:
#
# $$\int_{t_0}^{t_1} \mathrm{tr}\, J\, dt = \mathbb{E} \Bigl[ \int_{t_0}^{t_1} v J v\, dt \Bigr] .$$ (eq-j5)
#
# It matters that the path $z(t)$ does not depend on $v$: the noise enters what is collected, not where we go. This is
# FFJORD (Grathwohl, Chen, Bettencourt, Sutskever, Duvenaud, 2018). For a given $v$ the right side is a smooth function
# of time and state, a vector field like any other, and the solver need not know that a random number is in it.
#
# `CNF(..., trace="hutchinson")` takes the noise as an argument, a row for each sample. Give it one point sixteen times,
# with all signs, and the mean is the log-density.

# %%
exact, estimated = CNF(N.field, rtol=1e-9, atol=1e-11), CNF(N.field, trace="hutchinson", rtol=1e-9, atol=1e-11)
sixteen = np.tile(path[-1], (16, 1))
values = estimated.log_prob(sixteen, theta, all_signs(4))
print(f"log p = {exact.log_prob(sixteen[:1], theta)[0]:.4f}; estimates from {values.min():.2f} to {values.max():.2f}")
check_equal("j5", values.mean(), exact.log_prob(sixteen[:1], theta)[0], tolerance=1e-8)  # tolerances of 1e-9

# %% [markdown]
# ## Step 4 · The gradient
#
# To train by maximum likelihood we need $\partial \log p(x, t_1) / \partial \theta$ for a given $x$. Its path is
# followed from $t_1$ back to $t_0$, so an early time is late for the solver. Who plays the adjoint? The derivative of
# the result by the state at time $t$: and this is the score, $s(t) = \partial \log p(z(t), t)/\partial z$, with its
# equation of chapter 12,
#
# $$\frac{ds}{dt} = -s J - \nabla\, \mathrm{tr}\, J, \qquad s(t_0) = -z(t_0), $$ (eq-i3)
#
# which is the adjoint equation with the running cost $\mathrm{tr}\, J$ (chapter 7). It starts at $t_0$, where the
# base density is, and goes up. Now change $\theta$ by $\delta \theta$ between $t$ and $t + dt$ only. Whoever comes back
# from $x$ arrives at $t$ displaced by $-f_\theta\, \delta \theta\, dt$, as this piece is passed in the other direction,
# and that is worth $-s f_\theta\, \delta\theta\, dt$. The trace that is collected in the piece changes as well. Add up:
#
# $$\frac{\partial \log p(x, t_1)}{\partial \theta}
# = -\int_{t_0}^{t_1} \Bigl( s f_\theta + \frac{\partial\, \mathrm{tr}\, J}{\partial \theta} \Bigr) dt .$$ (eq-h13)
#
# $\nabla\, \mathrm{tr}\, J$ and $\partial\, \mathrm{tr}\, J/\partial \theta$ are second derivatives of $f$. Here they
# are made from the tape of $f$, as derivatives of a derivative.

# %%
for P in (M(), V()):
    t0, t1, D = P.ts[0], P.ts[-1], P.size
    direction = np.sin(1.0 + np.arange(len(P.p)))

    def slopes(t, y, P=P, D=D):
        z, s = y[:D], y[D : 2 * D]
        (_, sJ, sf_theta), (by_z, by_theta) = P.vjp(t, z, s), P.divergence_gradients(t, z)
        return np.concatenate([P.f(t, z), -sJ - by_z, sf_theta + by_theta])

    y = P.solve(slopes, t0, t1, np.concatenate([P.z0, -P.z0, 0 * P.p]))
    x, score, gradient = y[:D], y[D : 2 * D], -y[2 * D :]

    def log_p(x, p, P=P, D=D, t0=t0, t1=t1):
        other = replace(P, theta=P.unflat(p))
        z, back = other.flow(t1, t0, x), other.flow_jacobian(t1, t0, x)  # no trace takes part
        return -0.5 * z @ z - D / 2 * np.log(2 * np.pi) + np.linalg.slogdet(back)[1]

    by_p = central_difference(lambda p, x=x, log_p=log_p: log_p(x, p), P.p, direction, step=0.004, levels=3).value
    by_x = central_difference(lambda x, P=P, log_p=log_p: log_p(x, P.p), x, np.ones(D), step=0.004, levels=3).value
    check_equal("h13", gradient @ direction, by_p, tolerance=1e-6)  # differences
    check_equal("i3", score @ np.ones(D), by_x, tolerance=1e-6)

# %% [markdown]
# With noise, put $v J v$ for the trace in all of this. For each $v$ the program computes the exact gradient of *its*
# $\log \hat p_v$, and as differentiation by $\theta$ and the mean over $v$ may be exchanged, the gradient is right on
# average, too:
#
# $$\mathbb{E}_v \Bigl[ \frac{\partial \log \hat p_v(x)}{\partial \theta} \Bigr]
# = \frac{\partial \log p(x)}{\partial \theta} .$$ (eq-unbiased)

# %%
_, with_signs = estimated.nll_and_gradient(sixteen, theta, all_signs(4), "discrete")
_, without = exact.nll_and_gradient(sixteen[:1], theta, gradient="discrete")
check_equal("unbiased", with_signs, without, tolerance=1e-6)  # tolerances of 1e-9, over a gradient of some size

# %% [markdown]
# ## Step 5 · Training, and what the noise costs
#
# Data in four dimensions, made from normal numbers by two of the layers of chapter 12 that keep volumes, so that the
# entropy is known. No model has a smaller expectation of $-\log p$. We train N three times, with the exact trace,
# with signs and with normal noise, 200 steps of Adam each, on the same batches.


# %%
def sample(n, seed):
    q, p = np.random.default_rng(seed).normal(size=(2, n, 2)) * [[[1.0]], [[0.5]]]
    q = q + [1.5, -1.5] * np.tanh(3 * p)
    return np.concatenate([q, p + 1.5 * np.sin(1.5 * q[:, ::-1])], 1)


entropy = 2 * np.log(2 * np.pi * np.e) + 2 * np.log(0.5)
exact, estimated = CNF(N.field, rtol=1e-3, atol=1e-4), CNF(N.field, trace="hutchinson", rtol=1e-3, atol=1e-4)
held_out = sample(1000, 99)
before = -exact.log_prob(held_out, start).mean()


def train(flow, draw=None, **regularisers):
    """Return the parameters, and the held-out loss on the way, by the exact trace."""
    losses = []

    def loss_and_gradient(theta, step):
        noise = draw and draw((96, 4), [7, step])
        return flow.nll_and_gradient(sample(96, [5, step]), theta, noise, "discrete", **regularisers)

    def watch(step, theta, loss):
        if step % 25 == 24:
            losses.append(-exact.log_prob(held_out, theta).mean())

    return nn.train(loss_and_gradient, start, nn.Adam(2e-2), 200, callback=watch, progress=False).theta, losses


runs = {"exact trace": train(exact), "signs": train(estimated, rademacher), "normal": train(estimated, gaussian)}
for name, (_, losses) in runs.items():
    print(f"{name:12} {before:.3f} -> {losses[-1]:.3f}, entropy {entropy:.3f}")
    assert entropy < losses[-1] < before - 2

# %% [markdown]
# A gradient by a batch is noisy anyway, as the batch is drawn. The noise of $v$ is added to that. How much is it? We
# take the trained parameters and compare two variances: of the exact gradient over batches, and of the estimated
# gradient over noise with the batch held fast. They add up.

# %%
trained = runs["exact trace"][0]


def variance(gradients):
    flat = np.array([np.concatenate([np.ravel(leaf) for leaf in gradient]) for _, gradient in gradients])
    return flat.var(0, ddof=1).sum()


by_batch = variance(exact.nll_and_gradient(sample(96, [8, k]), trained, None, "discrete") for k in range(32))
batch, shares = sample(96, 8), {}
for kind, draw in (("signs", rademacher), ("normal", gaussian)):
    drawn = (estimated.nll_and_gradient(batch, trained, draw((96, 4), [9, k]), "discrete") for k in range(32))
    shares[kind] = variance(drawn) / by_batch
    print(f"variance by the noise, {kind}: {shares[kind]:.2f} of that by the batch")
assert 0.5 < shares["signs"] < min(2, shares["normal"])

# %% tags=["hide-input"]
fig, axes = plot.figure(size=(6.4, 3.8), num="13_training")
for (name, (_, losses)), color in zip(runs.items(), ("black", BLUE, ORANGE), strict=True):
    axes.plot(np.arange(25, 201, 25), losses, color=color, label=name)
axes.axhline(entropy, color=GREEN, ls=":", label="entropy of the data")
axes.set(title="Held-out $-\\log p$", xlabel="step", ylabel="nats", ylim=(4.2, 6.4))
_ = axes.legend(frameon=False)

# %% [markdown]
# Here the signs about double the variance of the gradient: it takes two batches instead of one to make up for that. At
# $D = 4$ this is a bad bargain, as an exact trace costs next to nothing. It is a good one when $D$ is in the hundreds,
# and the reason why FFJORD can train on images.
#
# ## Step 6 · What the likelihood does not see
#
# The density at $t_1$ depends on where paths end, not on how they get there. Take the field `stir` of chapter 12 and
# look at it from a carousel that makes $n$ whole turns between 0 and 1: $z = R(2 \pi n t)\, y$. Then
#
# $$z' = 2 \pi n K z + R f(t, R^{\mathsf T} z), \qquad K = \begin{pmatrix} 0 & -1 \\ 1 & 0 \end{pmatrix}, \qquad
# z(1) = y(1), \qquad p_n(x, 1) = p_0(x, 1), $$ (eq-turns)
#
# the same map and the same density for every $n$. To the solver they are not the same.


# %%
def carousel(t, z, theta):
    turns, split, drift, wave, pull = theta
    angle = 2 * np.pi * turns * t
    c, s = np.cos(angle), np.sin(angle)
    x, y = c * z[0] + s * z[1], -s * z[0] + c * z[1]
    u, w = split * np.tanh(2 * x) - drift * y, wave * np.sin(1.5 * x + t) - pull * y
    return np.stack([c * u - s * w, s * u + c * w]) + 2 * np.pi * turns * np.stack([-z[1], z[0]])


stir = (1.2, 0.5, 1.5, 0.4)
turning = ne.vector_field(carousel, np.zeros(2), (0.0, *stir))
flow, points = CNF(turning), np.random.default_rng(3).normal(size=(200, 2))
fine, nodes = np.linspace(0, 1, 201), np.r_[1, np.tile([4, 2], 99), 4, 1] / 600
log_ps = {}
for turns in (0.0, 1.0, 3.0):
    solution = ne.odeint(turning, points, fine, (turns, *stir))
    speeds = np.array([[np.sum(turning(t, z, (turns, *stir)) ** 2) for z in zs[:20]]
                       for t, zs in zip(fine[::10], solution.zs[::10], strict=True)])  # fmt: skip
    log_ps[turns] = flow.log_prob(points, (turns, *stir))
    nfev = ne.odeint(turning, points, [0, 1], (turns, *stir)).stats.nfev.mean()
    print(f"{turns:.0f} turns: mean log p {log_ps[turns].mean():.4f}, |f|^2 on average {speeds.mean():6.1f}, "
          f"{nfev:4.0f} evaluations")  # fmt: skip
    check_equal("turns", log_ps[turns], log_ps[0.0], tolerance=1e-4)  # a tolerance of 1e-6, over many steps

# %% [markdown]
# Nothing in the loss keeps training from such detours, and in long trainings the number of evaluations grows. RNODE
# (Finlay, Jacobsen, Nurbekyan, Oberman, 2020) charges for them: for speed, $\int |f|^2 dt$, and for its change in
# space, $\int \|J\|^2 dt$. The second comes free with the noise, as
#
# $$\mathbb{E}\, |v J|^2 = \|J\|^2 .$$ (eq-frobenius)

# %%
t, z = in_the_middle(N)
squares = np.mean([np.sum(N.vjp(t, z, v)[1] ** 2) for v in all_signs(4)])
check_equal("frobenius", squares, np.sum(N.J_by_steps(t, z) ** 2), tolerance=1e-12)  # rounding

runs["signs, RNODE"] = train(estimated, rademacher, kinetic=0.1, jacobian=0.1)
evaluations = {}
for name in ("signs", "signs, RNODE"):
    found = ne.odeint(N.field, held_out, [1, 0], runs[name][0], rtol=1e-6, atol=1e-9)
    evaluations[name] = found.stats.nfev.mean()
    print(f"{name:14} -log p {runs[name][1][-1]:.3f}, {evaluations[name]:.1f} evaluations at a tolerance of 1e-6")
assert evaluations["signs, RNODE"] < 0.95 * evaluations["signs"]

# %% [markdown]
# It is a trade: fewer evaluations, and a little likelihood.
#
# ## What goes wrong, measured
#
# **Noise redrawn in every evaluation.** It is the natural thing to write: draw in the function that returns $v J v$.
# On average all is well. But the solver compares evaluations with each other to find its step, and no step is short
# enough for noise. Here is V with its trace, in plain Python, with a sign drawn once or drawn again in each call. The
# limit of 10 000 steps ends it.


# %%
def with_estimate(redraw, seed=0):
    bits, calls = 2.0 * np.random.default_rng(seed).integers(0, 2, 100_000) - 1, [0]
    mu, stiffness, force, frequency = (float(x) for x in V().p)

    def slopes(t, y):
        x, v, _ = y
        sign = bits[calls[0] if redraw else 0]  # of v_0 v_1
        calls[0] += 1
        estimate = mu * (1 - x * x) + sign * (1 - 2 * mu * x * v - stiffness)
        return [v, mu * (1 - x * x) * v - stiffness * x + force * np.cos(frequency * t), estimate]

    return slopes, calls


for redraw in (False, True):
    slopes, calls = with_estimate(redraw)
    try:
        solution = ne.odeint(slopes, [1.2, -0.4, 0.0], [0.2, 1.7], max_steps=10_000)
        reached = 1.7
    except ne.SolverError as error:
        reached = error.t
    print(f"{'redrawn' if redraw else 'kept':8} {calls[0]:6d} evaluations, t = {reached:.4f} of 1.7")
    assert (reached < 0.3 and calls[0] > 60_000) if redraw else calls[0] < 150

# %% [markdown]
# With steps of a fixed size there is no error estimate to be disturbed, and the program runs through without a word.
# What is lost then is the order. With the method RK4, which has order four, and sixteen times as many steps, the error
# of the integral falls by a factor of four, as if we had averaged sixteen times as many draws: it is what we did.

# %%
V_exact = np.log(np.linalg.det(V().flow_jacobian(0.2, 1.7, V().z0)))
deviations = []
for steps in (16, 256):
    ends = [ne.odeint(with_estimate(True, seed)[0], [1.2, -0.4, 0.0], [0.2, 1.7], method="rk4", step_size=1.5 / steps)
            for seed in range(60)]  # fmt: skip
    deviations.append(np.sqrt(np.mean([(end.zs[-1, 2] - V_exact) ** 2 for end in ends])))
    print(f"{steps:4d} steps of RK4, redrawn: off by {deviations[-1]:.3f}")
assert 2.5 < deviations[0] / deviations[1] < 6.5  # each from 60 seeds, good to a tenth

# %% [markdown]
# **The wrong noise.** Uniform numbers between $-1$ and 1 have the variance 1/3. A vector on the unit sphere has
# components with the variance $1/D$. Two independent vectors, $v J w$, find nothing at all, and $|J v|^2$ finds
# something else. The means again by exact sums, next to the trace:

# %%
gauss, weight = np.polynomial.legendre.leggauss(3)
print(f"{'ratio to the trace':22} {'M, D = 3':>10} {'V, D = 2':>10} {'N, D = 4':>10}")
table = {"signs": [], "uniform on (-1, 1)": [], "unit sphere": [], "two vectors": [], "|J v|^2": []}
for P in (M(), V(), N):
    J, signs = P.J_by_steps(*in_the_middle(P)), all_signs(P.size)
    uniform = np.array(list(product(gauss, repeat=P.size)))
    weights = np.array(list(product(weight / 2, repeat=P.size))).prod(1)
    sphere = signs / np.linalg.norm(signs, axis=1, keepdims=True)
    means = (
        np.einsum("vi,ij,vj->", signs, J, signs) / len(signs),
        np.einsum("v,vi,ij,vj->", weights, uniform, J, uniform),
        np.einsum("vi,ij,vj->", sphere, J, sphere) / len(signs),
        np.einsum("vi,ij,wj->", signs, J, signs) / len(signs) ** 2,
        np.einsum("vi,ij,kj,vk->", signs, J.T, J.T, signs) / len(signs),
    )
    for column, mean in zip(table.values(), means, strict=True):
        column.append(mean / np.trace(J))
for name, ratios in table.items():
    print(f"{name:22} {ratios[0]:10.3f} {ratios[1]:10.3f} {ratios[2]:10.3f}")
np.testing.assert_allclose(table["uniform on (-1, 1)"], 1 / 3, rtol=1e-9)
np.testing.assert_allclose(table["unit sphere"], [1 / 3, 1 / 2, 1 / 4], rtol=1e-9)

# %% [markdown]
# In three dimensions the second and the third look the same: do not test in three dimensions. The court tells them
# apart. It calls your estimate with many seeds, and compares the mean with that of each mistake.


# %%
def claim(noise):
    """Return a program for v J v with this noise, for the court's own field, V."""
    return lambda t, z, theta, seed: (lambda v: v @ V().J(t, z) @ v)(noise(np.random.default_rng(seed)))


def on_sphere(rng):
    v = rng.normal(size=2)
    return v / np.linalg.norm(v)


claims = {"trace_estimate signs": claim(lambda rng: rng.choice((-1.0, 1.0), 2)),
          "trace_estimate uniform": claim(lambda rng: rng.uniform(-1, 1, 2)),
          "trace_estimate sphere": claim(on_sphere),
          "trace_estimate redrawn": claim(lambda _: rng.normal(size=2))}  # fmt: skip
verdict = ne.court(claims=claims, trial=False)
for judged in verdict.claims:
    print(judged)
assert [judged.numbers for judged in verdict.claims] == [(), (36,), (37,), (40,)]

# %% [markdown]
# **A density that is not one.** $\log \hat p_v$ is right on average; $\hat p_v$ is not. $e^x$ is convex, so the mean of
# $e^{\log \hat p_v}$ is too large, and no single $\hat p_v$ has mass one. For `stir`, with the same noise everywhere:

# %%
noisy = CNF(turning, trace="hutchinson", rtol=1e-4, atol=1e-6)
line = (np.arange(120) + 0.5) / 120 * 16 - 8
grid = np.stack(np.meshgrid(line, line), -1).reshape(-1, 2)
masses = [np.exp(noisy.log_prob(grid, (0.0, *stir), np.tile(v, (len(grid), 1)))).sum() * (16 / 120) ** 2
          for v in ([1.0, 1.0], [1.0, -1.0])]  # fmt: skip
print(f"mass {masses[0]:.3f} and {masses[1]:.3f}, on average {np.mean(masses):.3f}")
assert np.mean(masses) > 1.02
assert min(np.abs(np.array(masses) - 1)) > 0.02

# %% [markdown]
# So average logarithms, not densities, and use the exact trace for what you report.
#
# Last, the ledger of the library: (j) and (h13), in code that shares nothing with this chapter.

# %%
for finding in ledger.check(V(), ["j", "h13"]):
    print(ledger.row(finding))
    assert finding.ok

# %% [markdown]
# ## Exercises
#
# 1. *Draws that know of each other.* Take the four rows of a Hadamard matrix (signs, orthogonal to each other) as draws
#    for N, and average. `check_equal("j1", yours, trace, 1e-12)` passes: why is there no error left? What would $D$
#    draws of independent signs leave, by {eq}`eq-j2`?
# 2. *The right sphere.* Scale `on_sphere` to the length $\sqrt{D}$ and submit it to the court as `"trace_estimate"`.
#    For which $S$ is its variance below that of signs?
# 3. *A known part.* Let $f = A z + g(t, z)$ with a large matrix $A$. Write an estimate that spends noise on $g$ alone,
#    and check its variance by {eq}`eq-j2`: `check_equal("j2", yours, by_the_formula, 1e-12)`.
#
# ## Further reading
#
# - M. F. Hutchinson: *A stochastic estimator of the trace of the influence matrix for Laplacian smoothing splines*,
#   Commun. Stat. Simul. Comput. 19 (1990) 433.
# - W. Grathwohl, R. T. Q. Chen, J. Bettencourt, I. Sutskever, D. Duvenaud: *FFJORD: free-form continuous dynamics for
#   scalable reversible generative models* (2018), arXiv 1810.01367.
# - H. Avron, S. Toledo: *Randomized algorithms for estimating the trace of an implicit symmetric positive semi-definite
#   matrix*, J. ACM 58 (2011) 8.
# - C. Finlay, J.-H. Jacobsen, L. Nurbekyan, A. M. Oberman: *How to train your neural ODE: the world of Jacobian and
#   kinetic regularization* (2020), arXiv 2002.02798.

# %% tags=["remove-cell"]
plot.show_or_save()
