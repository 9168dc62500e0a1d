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
# # 1 · A residual network is Euler's method
#
# **What you will do.** Write a residual network in one line of NumPy, recognise the oldest method for differential
# equations in it, and measure how far the network is from the equation that it approximates.
#
# **What you will learn.** What the *order* of a method is and how to see it in numbers; why "let the number of layers
# go to infinity" is a statement with conditions; why a residual network is not undone by running it backwards.
#
# **What you need.** The chain rule, Taylor's formula with its remainder, NumPy. The chapter runs in a few seconds.

# %%

import matplotlib.pyplot as plt
import numpy as np
from scipy.integrate import solve_ivp

import nodeedu as ne
from nodeedu import plot
from nodeedu.autodiff import complex_step, relative_error

BLUE, ORANGE, GREEN, PINK, *_ = plot.COLORS

# %% [markdown]
# ## The picture of the result
#
# A residual block adds a correction to its input, $z_{n+1} = z_n + F_n(z_n)$ (He and others, 2015). On the left, nine
# inputs pass through six such blocks; every dot is a layer. On the right, the same nine inputs follow the differential
# equation that the blocks imitate. The state is a single number here, so that depth can be drawn upwards.
#
# Both panels use the same arrows, but the network looks at them at six depths only and keeps the direction in between.
# Mostly it gets away with it. Near $z = 0.4$ it does not: paths cross, which solutions of a differential equation never
# do.


# %%
def ridge(t, z):
    """Evaluate a network with three hidden units; the weights were chosen by hand, for the picture."""
    return 3 * np.tanh(6 * t - z - 3) - 3.4 * np.tanh(4 * z - 2) + 2.5 * np.tanh(4 * z - 3 * t + 1)


starts = np.linspace(-1.5, 1.5, 9)
depths = np.linspace(0, 1, 7)
layers = [starts]
for t in depths[:-1]:
    layers.append(layers[-1] + (1 / 6) * ridge(t, layers[-1]))
flow_lines = solve_ivp(ridge, (0, 1), starts, t_eval=np.linspace(0, 1, 101), rtol=1e-8)

# %% tags=["hide-input"]
fig, panels = plot.figure(1, 2, size=(9, 4.2), sharey=True, num="01_resnet_and_ode")
drawn = [(depths, np.array(layers), "o-", depths[:-1]), (flow_lines.t, flow_lines.y.T, "-", np.linspace(0, 1, 19))]
for axes, (ts, zs, style, rows) in zip(panels, drawn, strict=True):
    t_arrow, z_arrow = np.meshgrid(rows, np.linspace(-2, 1.75, 24), indexing="ij")
    slope = ridge(t_arrow, z_arrow)
    length = np.hypot(1, slope)
    axes.quiver(
        z_arrow, t_arrow, slope / length, 1 / length, angles="xy", scale=30, width=0.003, color="0.72", zorder=1
    )
    for path, color in zip(zs.T, plt.get_cmap("viridis")(np.linspace(0, 0.9, 9)), strict=True):
        axes.plot(path, ts, style, ms=4.5, color=color)
    axes.set(xlabel="state $z$", xlim=(-2.1, 1.85))
panels[0].set(title="Residual network, 6 blocks", ylabel="depth $t$")
panels[1].set_title("The differential equation")

# %% [markdown]
# ## Two ways for an equation to be true
#
# Every numbered equation of this chapter is executed. An equation with a computable left and right side can hold in two
# ways. Either both sides are the same number, up to rounding. Or they differ by something that vanishes with a step
# size $h$ like $C h^p$; then halving $h$ divides the difference by $2^p$, and
#
# $$\log_2 \frac{r(h)}{r(h/2)} \longrightarrow p .$$
#
# This number is the *observed order*. It is a sharp test: an equation with a wrong term does not have a slightly
# different order, it stalls at order 0 or loses a whole one. Every check is kept in `checks` under the label of its
# equation.

# %%
checks = {}


def check_equal(label, left, right, tolerance):
    """Compare two sides, relative to their size."""
    difference = relative_error(left, right)
    print(f"({label}) relative difference {difference:.1e}")
    assert difference <= tolerance, label
    checks.setdefault(label, []).append(difference)


def check_order(label, residuals, expected):
    """Compare log2 of the ratio of neighbouring residuals, whose step sizes halve, with the order expected."""
    orders = np.log2(np.divide(residuals[:-1], residuals[1:]))
    print(f"({label}) residuals {residuals[0]:.1e} ... {residuals[-1]:.1e}, orders {np.round(orders, 3)}")
    # At a finite h the next power of h still shows: 0.15 admits it, and is far from the next whole number.
    assert abs(orders[-1] - expected) < 0.15, label
    checks.setdefault(label, []).append(orders[-1])


# %% [markdown]
# Two vector fields serve as test cases in the whole book. **M** is a small network that sees the time as an input:
# three states, four hidden units, 35 parameters. **V** is van der Pol's oscillator, driven by an external force: two
# states, four parameters. Both depend on $t$, and neither Jacobian is symmetric. This matters: on a symmetric field
# without time, several of the mistakes that we shall meet are invisible.


# %%
def M(t, z, theta):
    W1, b1, W2, b2 = theta
    return W2 @ np.tanh(W1 @ np.concatenate([z, [t]]) + b1) + b2


def V(t, z, theta):
    mu, stiffness, force, frequency = theta
    x, v = z
    return np.array([v, mu * (1 - x**2) * v - stiffness * x + force * np.cos(frequency * t)])


rng = np.random.default_rng(2)
theta_M = (rng.normal(size=(4, 4)), rng.normal(size=4), rng.normal(size=(3, 4)), rng.normal(size=3))
theta_V = (1.5, 1.0, 1.2, 2.0)
fields = {"M": (M, rng.normal(size=3), theta_M), "V": (V, np.array([1.2, -0.4]), theta_V)}
t0, t1 = 0.2, 1.7


def flow(f, t, end, z, theta):
    """Follow the differential equation from t to end with all the accuracy that double precision gives."""
    return solve_ivp(f, (t, end), z, method="DOP853", rtol=1e-13, atol=1e-14, args=(theta,)).y[:, -1]


# %% [markdown]
# ## Step 1 · A residual block is an Euler step
#
# A differential equation $z'(t) = f(t, z(t), \theta)$ prescribes a velocity at every place and time. The simplest way
# to follow it is to keep the velocity for a short time $h$. Euler wrote this down in 1768:
#
# $$z_{n+1} = z_n + h\, f(t_n, z_n, \theta), \qquad t_n = t_0 + n h, \qquad n = 0, \dots, N-1 .$$ (eq-euler)
#
# Put it beside the residual network $z_{n+1} = z_n + F_n(z_n)$ and the two are the same sequence whenever
#
# $$F_n(z) = h\, f(t_n, z, \theta) \quad\Longrightarrow\quad
# \text{residual network} = \text{explicit Euler}. $$ (eq-a3)
#
# Where does the $h$ go? Into the weights of the last layer: $h\,(W_2 \tanh(\cdot) + b_2) = (h W_2) \tanh(\cdot) + h
# b_2$. So every block of an honest residual network, with its own weights and without any $h$ in sight, is an Euler
# step of some $f$, and the question is only whether the blocks vary smoothly enough with $n$ to be one $f(t, \cdot)$.
#
# We build the network from its weights, block after block, and Euler's method with its $h$. As $h = 1/16$ is a power of
# two, multiplying by it does not round, and the two results must be equal **bit for bit**.


# %%
def euler(f, z, theta, N):
    """Take N explicit Euler steps from t0 to t1."""
    h = (t1 - t0) / N
    for n in range(N):
        z = z + h * f(t0 + n * h, z, theta)
    return z


N, h = 24, 1 / 16
(W1, b1, W2, b2), z_input = theta_M, fields["M"][1]
blocks = [(W1, b1, h * W2, h * b2) for _ in range(N)]
z = z_input
for n, weights in enumerate(blocks):
    z = z + M(t0 + n * h, z, weights)

t1 = t0 + N * h  # 1.7, and now (t1 - t0) / N is h to the last bit
check_equal("a3", z, euler(M, z_input, theta_M, N), tolerance=0)

# %% [markdown]
# The packaged solver is the same loop, compiled. With a method of fixed step it takes one step from each time in `ts`
# to the next. It may differ in the last bit, because compiled code computes $z + h k$ with one rounding instead of two.

# %%
solution = ne.odeint(M, z_input, np.linspace(t0, t1, N + 1), theta_M, method="euler")
print("network ", z)
print("odeint  ", solution.zs[-1], f"({solution.stats.nfev} evaluations of f)")
check_equal("euler", solution.zs[-1], z, tolerance=1e-14)  # 24 steps, each off by a few 1e-16

# %% [markdown]
# ## Step 2 · One block: the local error
#
# How far is one step from the truth? Let $\varphi_h(z)$ be the solution at $t + h$ that starts at $z$ at time $t$.
# Taylor's formula along the solution gives
#
# $$\varphi_h(z) = z + h\, z'(t) + \tfrac{1}{2} h^2 z''(t) + \dots$$
#
# The first derivative is $f$ itself, so that Euler's step contains it exactly, and the error starts with $h^2$:
#
# $$\varphi_h(z) - \bigl(z + h f(t, z)\bigr) = O(h^2) .$$ (eq-a1)
#
# To know the coefficient, differentiate $z'(t) = f(t, z(t))$ once more. Time enters twice, openly and through the
# state:
#
# $$z'' = \frac{\partial f}{\partial t} + \frac{\partial f}{\partial z} z' = f_t + J f
# \quad\Longrightarrow\quad
# \frac{\varphi_h(z) - (z + h f)}{h^2} = \tfrac{1}{2} (f_t + J f) + O(h) .$$ (eq-a2)
#
# The vector $f_t + J f$ is the derivative of $f$ when $(t, z)$ moves in the direction $(1, f)$. `complex_step` computes
# it to all digits; chapter 3 explains how.


# %%
def second_derivative(f, t, z, theta):
    """Compute z'' = f_t + J f."""
    return complex_step(lambda x: f(*x, theta), (t, z), direction=(1.0, f(t, z, theta)))


hs = 0.1 / 2.0 ** np.arange(6)
for f, z, theta in fields.values():
    remainders = [flow(f, t0, t0 + h, z, theta) - (z + h * f(t0, z, theta)) for h in hs]
    check_order("a1", [np.linalg.norm(r) for r in remainders], expected=2)
    half = second_derivative(f, t0, z, theta) / 2
    check_order("a2", [np.linalg.norm(r / h**2 - half) for r, h in zip(remainders, hs, strict=True)], expected=1)

# %% [markdown]
# ## Step 3 · The whole network: errors travel and grow
#
# The network makes $N = (t_1 - t_0)/h$ errors of size $h^2$. If they just added up, the sum would be of size $h$. They
# do more than that: what went wrong in an early block is carried on by all the later ones. Write $e_n = z(t_n) - z_n$
# for the error after $n$ blocks and $d_n$ for the local error that block $n$ adds. Subtract the two recursions:
#
# $$e_{n+1} = e_n + h \bigl( f(t_n, z(t_n)) - f(t_n, z_n) \bigr) + d_n .$$
#
# If $\|J\| \le L$ between the two paths, the bracket is at most $L \|e_n\|$; if $\|z''\| \le M_2$ along the solution,
# $\|d_n\| \le \tfrac12 h^2 M_2$. Hence $\|e_{n+1}\| \le (1 + hL) \|e_n\| + \tfrac12 h^2 M_2$. Start from $e_0 = 0$, sum
# the geometric series and use $(1 + hL)^N \le e^{L (t_1 - t_0)}$:
#
# $$\| z(t_1) - z_N \| \;\le\; \tfrac12 h^2 M_2 \, \frac{(1 + hL)^N - 1}{hL}
# \;\le\; \frac{h M_2}{2 L} \bigl( e^{L (t_1 - t_0)} - 1 \bigr) .$$ (eq-a8)
#
# The right side is a constant times $h$. The network of $N$ blocks therefore approaches the solution with order one,
# one less than the single block:
#
# $$z_N - z(t_1) = O(h) = O(1/N) .$$ (eq-a4)

# %%
depths = 20 * 2 ** np.arange(6)
errors = {}
for name, (f, z, theta) in fields.items():
    exact = flow(f, t0, t1, z, theta)
    errors[name] = [np.linalg.norm(euler(f, z, theta, N) - exact) for N in depths]
    check_order("a4", errors[name], expected=1)

# %% [markdown]
# For the bound we need $L$ and $M_2$. The proof uses them only on the solution and on the straight lines between
# solution and network, so that is where we look: at eleven points of each line.


# %%
def jacobian(f, t, z, theta):
    return complex_step(lambda z: f(t, z, theta), z)


bounds = {}
for name, (f, z, theta) in fields.items():
    ts = np.linspace(t0, t1, depths[0] + 1)
    network = ne.odeint(f, z, ts, theta, method="euler").zs
    solution = solve_ivp(f, (t0, t1), z, t_eval=ts, rtol=1e-10, atol=1e-12, args=(theta,)).y.T
    M_2 = max(np.linalg.norm(second_derivative(f, t, z, theta)) for t, z in zip(ts, solution, strict=True))
    rows = [(t, (1 - s) * a + s * b) for t, a, b in zip(ts, network, solution, strict=True) for s in np.arange(11) / 10]
    L = max(np.linalg.norm(jacobian(f, t, z, theta), 2) for t, z in rows)
    bounds[name] = (t1 - t0) / depths * M_2 / (2 * L) * np.expm1(L * (t1 - t0))
    print(f"(a8) {name}: L = {L:.2f}, M_2 = {M_2:.1f}; error {errors[name][0]:.2g} <= bound {bounds[name][0]:.2g}")
    assert np.all(errors[name] <= bounds[name])
    checks.setdefault("a8", []).append(errors[name] / bounds[name])

# %% [markdown]
# The bound holds, and it is large: it assumes that errors grow at the fastest rate $L$ all the time and in every
# direction. It proves convergence. As a prediction of the error it is of no use, and "a solver guarantees its error" is
# too much to say: what solvers control is the local error of step 2.
#
# ## Step 4 · Two networks are better than the deeper one
#
# The error is $C h + O(h^2)$ with the same vector $C$ for all depths. So take a network and another of twice the depth,
# and eliminate $C$ (Richardson, 1911):
#
# $$2\, z_{h/2} - z_h - z(t_1) = O(h^2) .$$ (eq-a5)

# %%
extrapolated = {}
for name, (f, z, theta) in fields.items():
    exact = flow(f, t0, t1, z, theta)
    results = np.array([euler(f, z, theta, N) for N in [*depths, 2 * depths[-1]]])
    extrapolated[name] = np.linalg.norm(2 * results[1:] - results[:-1] - exact, axis=1)
    check_order("a5", extrapolated[name], expected=2)

# %% tags=["hide-input"]
fig, panels = plot.figure(1, 2, size=(9, 3.8), sharey=True, num="01_orders")
for axes, name in zip(panels, fields, strict=True):
    for values, style, text, color in (
        (bounds[name], "--", "bound (a8)", "0.45"),
        (errors[name], "o-", "residual network: order 1", BLUE),
        (extrapolated[name], "s-", "extrapolated: order 2", ORANGE),
    ):
        axes.loglog(depths, values, style, color=color)
        if name == "M":
            axes.annotate(text, (depths[-1], values[-1]), (0, -16), textcoords="offset points", ha="right", color=color)
    axes.set(title=f"Field {name}", xlabel="number of blocks $N$", ylim=(1e-7, 1e5))
    axes.set_xticks(depths, depths)
    axes.set_xticks([], minor=True)
panels[0].set_ylabel(r"error at $t_1$")

# %% [markdown]
# ## Step 5 · Backwards is not back
#
# A solution can be followed back in time: $\varphi_{-h}(\varphi_h(z)) = z$. It is tempting to undo a residual block in
# the same manner, with a reversed Euler step. But the reversed step evaluates $f$ at the *end* of the block:
#
# $$\hat z = \bigl(z + h f(t, z)\bigr) - h f\bigl(t + h,\; z + h f(t, z)\bigr),
# \qquad \hat z - z = -h^2 (f_t + J f) + O(h^3) .$$ (eq-a6)
#
# One block loses the input by $O(h^2)$, a whole network by $O(h)$. A network that needs its activations for
# backpropagation and throws them away, hoping to recompute them backwards, gets others back. Reversible architectures
# (Gomez and others, 2017) and the solvers of chapter 11 exist for this reason.

# %%
for f, z, theta in fields.values():
    lost = []
    for h in hs:
        forward = z + h * f(t0, z, theta)
        back = forward - h * f(t0 + h, forward, theta)
        lost.append(np.linalg.norm(back - z))
    check_order("a6", lost, expected=2)

# %% [markdown]
# ## Step 6 · Which limit?
#
# "In the limit of many layers, $z_{n+1} = z_n + f(z_n, \theta_n)$ becomes $z' = f(z, t, \theta)$." Many introductions
# say this in one sentence. The derivation above has used two things that the sentence does not say: the factor $h =
# T/N$ in front of $f$, and one function $f(t, z, \theta(t))$ that is regular in $t$. A sequence of networks has a limit
# only if the network of depth $2N$ and that of depth $N$ come closer and closer. So compare them, for four ways of
# scaling the blocks and choosing their weights:
#
# | scaling | weights of block $n$ | what happens |
# |---|---|---|
# | $f / N$ | a smooth function of $n/N$ | converges with order 1: an ODE |
# | $f$ | a smooth function of $n/N$ | grows with $N$: no limit |
# | $f / \sqrt N$ | independent for every block | in law a stochastic equation, path by path no limit |
# | $f / N$ | independent for every block | the blocks cancel: the network becomes the identity |
#
# (Cohen and others, 2021, find trained networks between the rows; Sander and others, 2022, ask when they are near the
# first.)


# %%
def network(z, weights, scale):
    for A, b in weights:
        z = z + scale * np.tanh(z @ A + b)
    return z


def smooth(N, seed):
    P, Q, b = np.random.default_rng(seed).normal(size=(3, 8, 8))
    angles = np.pi * (np.arange(N) / N)[:, None, None]
    return zip(P * np.cos(angles) + Q * np.sin(angles), (b * np.cos(angles))[:, 0], strict=True)


def independent(N, seed):
    rng = np.random.default_rng([seed, N])
    return zip(rng.normal(size=(N, 8, 8)), rng.normal(size=(N, 8)), strict=True)


# %%
sizes = 64 * 2 ** np.arange(6)
scalings = {
    "$f/N$, smooth": (smooth, lambda N: 1 / N),
    "$f$, smooth": (smooth, lambda N: 1),
    r"$f/\sqrt{N}$, independent": (independent, lambda N: N**-0.5),
    "$f/N$, independent": (independent, lambda N: 1 / N),
}
inputs, changes = np.random.default_rng(0).normal(size=(10, 8)), {}
for name, (draw, scale) in scalings.items():
    outputs = [np.array([network(inputs, draw(N, seed), scale(N)) for seed in range(4)]) for N in sizes]
    gaps = np.diff(outputs, axis=0)
    changes[name] = np.sqrt(np.mean(np.sum(gaps**2, axis=-1), axis=(1, 2)))
    print(f"{name:26} |z_2N - z_N| = " + " ".join(f"{change:8.2g}" for change in changes[name]))

# Four draws leave several per cent of scatter in each value, hence a few hundredths in a slope.
slopes = [np.polyfit(np.log(sizes[:-1]), np.log(values), 1)[0] for values in changes.values()]
np.testing.assert_allclose(slopes, [-1, 1, 0, -0.5], atol=0.1)

# %% tags=["hide-input"]
fig, axes = plot.figure(size=(6.2, 4), num="01_limits")
for (name, values), color in zip(changes.items(), (BLUE, ORANGE, GREEN, PINK), strict=True):
    axes.loglog(sizes[:-1], values, "o-", color=color)
    axes.annotate(name, (sizes[-2], values[-1]), (8, -3), textcoords="offset points", color=color)
axes.set(xlabel="number of blocks $N$", ylabel=r"$\| z_{2N} - z_N \|$", xlim=(55, 5500))
axes.set_xticks(sizes[:-1], sizes[:-1])
axes.set_xticks([], minor=True)
axes.set_title("Deeper and deeper: who comes to rest?")

# %% [markdown]
# ## What goes wrong, measured
#
# Each of the following stands, in these words or others, in material that is passed around.
#
# **"The implicit Euler scheme of a residual network"** (E. Lenze and K. Rothe, a summary of the paper). It is explicit:
# $f$ is evaluated where the block begins. The difference is not academic. Take $z' = -3z$ with $z(0) = 1$ and five
# blocks with $h = 1$. Explicit Euler multiplies by $1 - 3 = -2$ in every block, implicit Euler, $z_{n+1} = z_n + h
# f(z_{n+1})$, by $1/(1 + 3)$.

# %%
explicit, implicit, exact = (1 - 3.0) ** 5, (1 / (1 + 3.0)) ** 5, np.exp(-15.0)
print(f"explicit {explicit:g}, implicit {implicit:.2g}, exact {exact:.1g}")
np.testing.assert_allclose(ne.odeint(lambda t, z: -3 * z, 1.0, np.arange(6.0), method="euler").zs[-1], explicit)

# %% [markdown]
# **"For $t \in \{0, \dots, N\}$"**, and then $z_{t+1} = z_t + h f(z_t)$ (the same summary). That makes $N + 1$ blocks.
# The network then converges beautifully, with order one, so that the order alone does not reveal the slip; but it is
# ahead of $N$ blocks by $h f(z(t_1))$.
#
# **"$F(z) + z = h\,G(z) + z$ with $G = F/h + z$"** (a blog post, *Neural networks as ordinary differential equations*).
# The correct $G$ is $F/h$. With the extra $z$ each block moves the state by $h z$ too much, and the network converges
# to the solution of another equation: order zero.
#
# **"Takes a small step in the gradient's direction"** (O. Mogren, slides). Of what? $f$ is a velocity. It is a gradient
# only if its Jacobian is symmetric, and then nothing can oscillate. (Gradient descent *is* Euler's method, for the
# field $-\nabla L$; the converse is false.)

# %%
for name, (f, z, theta) in fields.items():
    exact, slips = flow(f, t0, t1, z, theta), []
    for N in depths[-2:]:
        right, h = euler(f, z, theta, N), (t1 - t0) / N
        one_too_many = right + h * f(t1, right, theta)
        wrong_G = euler(lambda t, z, theta, f=f: f(t, z, theta) + z, z, theta, N)
        slips.append([np.linalg.norm(one_too_many - exact), np.linalg.norm(wrong_G - exact)])
    order_many, order_G = np.log2(np.divide(*slips))
    asymmetry = np.linalg.norm(jacobian(f, t0, z, theta) - jacobian(f, t0, z, theta).T)
    print(f"{name}: N + 1 blocks, order {order_many:.2f}; F/h + z, order {order_G:.2f}; |J - J^T| = {asymmetry:.2f}")
    assert abs(order_many - 1) < 0.15
    assert abs(order_G) < 0.15
    assert asymmetry > 0.1

# %% [markdown]
# ## And a solver?
#
# If the blocks are steps of a method of order one, one may ask for better methods. Dormand and Prince's, of order five,
# looks at the velocity at seven places in each step, and chooses the steps itself:

# %%
for name, (f, z, theta) in fields.items():
    solution = ne.odeint(f, z, [t0, t1], theta, method="dopri5", rtol=1e-7, atol=1e-9)
    error = np.linalg.norm(solution.zs[-1] - flow(f, t0, t1, z, theta))
    as_deep = errors[name][-1] * depths[-1] / error
    print(f"{name}: {solution.stats.nfev} evaluations, error {error:.0e}; a residual network: {as_deep:.0e} blocks")
    assert as_deep > 1000 * solution.stats.nfev

# %% [markdown]
# This is the case for a *neural ODE* (Chen and others, 2018): keep the velocity $f$ as the network to be learned, and
# leave the depth to a solver. The case against it is in the first figure: a residual network may cross paths, and may
# use what happens at its own six depths. It is a network in its own right, and not every one is a poor solution of a
# differential equation.
#
# ## Exercises
#
# 1. *A block of order two.* Replace $z + h f(t, z)$ by $z + h f\bigl(t + \tfrac h2, z + \tfrac h2 f(t, z)\bigr)$.
#    Predict the orders of the local error, of the whole network and of its Richardson extrapolation before you measure
#    them.
# 2. *The constant in the error.* Subtract Taylor's formula from {eq}`eq-euler`, divide by $h$ and let $h \to 0$: the
#    leading part of the error, $e(t) = \lim (z(t_n) - z_n)/h$, obeys $e' = J e + \tfrac12 z''$ with $e(t_0) = 0$. Solve
#    it for V and compare $h\, e(t_1)$ with the errors above. How many digits should agree?
# 3. *Invert a block.* Find $z$ from $z_1 = z + h f(t, z)$ by iterating $z \leftarrow z_1 - h f(t, z)$. For which $h$
#    does it converge, and how fast? (Behrmann and others, 2019, build invertible networks on this.)
#
# ## Further reading
#
# - K. He, X. Zhang, S. Ren, J. Sun: *Deep residual learning for image recognition*, arXiv 1512.03385 (2015).
# - W. E: *A proposal on machine learning via dynamical systems*, Commun. Math. Stat. 5 (2017) 1; E. Haber, L. Ruthotto:
#   *Stable architectures for deep neural networks*, Inverse Problems 34 (2018) 014004.
# - R. T. Q. Chen, Y. Rubanova, J. Bettencourt, D. Duvenaud: *Neural ordinary differential equations*, arXiv 1806.07366.
# - E. Hairer, S. P. Nørsett, G. Wanner: *Solving Ordinary Differential Equations I* (1993), sections I.7 and II.3, for
#   the bound {eq}`eq-a8` and for sharper ones.
# - A.-S. Cohen, R. Cont, A. Rossier, R. Xu: *Scaling properties of deep residual networks*, arXiv 2105.12245 (2021); M.
#   E. Sander, P. Ablin, G. Peyré: *Do residual neural networks discretize neural ordinary differential equations?*,
#   arXiv 2205.14612 (2022).
# - A. N. Gomez, M. Ren, R. Urtasun, R. B. Grosse: *The reversible residual network*, arXiv 1707.04585 (2017); J.
#   Behrmann and others: *Invertible residual networks*, arXiv 1811.00995 (2019).

# %% tags=["remove-cell"]
plot.show_or_save()
