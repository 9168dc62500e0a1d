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
# # 5 · The adjoint trick for linear systems, and why backpropagation is back-substitution
#
# **What you will do.** Learn a trick of three lines about systems of linear equations. Then write a residual network as
# one such system, apply the trick, and find that you have carried out backpropagation.
#
# **What you will learn.** What the adjoint *is* before there is any differential equation; why a derivative by a
# thousand parameters costs one more solve; where jumps at observations come from; what three slips do.
#
# **What you need.** Matrices and triangular systems; chapter 1 (a residual network is Euler's method) and chapter 4.

# %%

import numpy as np
from scipy.linalg import lu_factor, lu_solve

import nodeedu as ne
from nodeedu import plot
from nodeedu.autodiff import complex_step, relative_error
from nodeedu.verify.checks import Checks
from nodeedu.verify.equations import g_linear, ledger
from nodeedu.verify.equations.paths import gradient_at
from nodeedu.verify.standard_problems import M, V

BLUE, ORANGE, GREEN, PINK, *_ = plot.COLORS

# %% [markdown]
# ## The picture of the result
#
# A residual network of six layers, the field **M** of chapter 1 with Euler's steps, written as *one* system of linear
# equations $A\, \delta z = \dots$ for what a nudge does to all layers. The matrix has ones on its diagonal and one
# block $-(I + h J_n)$ for each layer below it. Such a system is solved from the top to the bottom, as the network is
# run. Its transpose is solved from the bottom to the top. That is backpropagation: not something like it, the same
# numbers.


# %%
def euler(problem, N, p=None):
    """Return the times, the step and the states z_0 ... z_N of a residual network of N layers; complex p pass."""
    ts, h, zs = np.linspace(0.2, 1.7, N + 1), 1.5 / N, [problem.z0]
    for t in ts[:-1]:
        zs.append(zs[-1] + h * problem.f(t, zs[-1], p))
    return ts, h, np.array(zs)


def unrolled(problem, N):
    """Return A (ND, ND) and C (ND, P) of the system A dz = C dtheta for the nudges dz of z_1 ... z_N."""
    (ts, h, zs), D = euler(problem, N), problem.size
    A = np.eye(N * D)
    for n in range(1, N):
        A[n * D : (n + 1) * D, (n - 1) * D : n * D] = -np.eye(D) - h * problem.J(ts[n], zs[n])
    return A, np.concatenate([h * problem.f_theta(ts[n], zs[n]) for n in range(N)])


# %% tags=["hide-input"]
fig, panels = plot.figure(1, 2, size=(9, 3.8), num="05_matrix_and_transpose")
A, _ = unrolled(M(), 6)
for axes, matrix, title, (begin, end), text in (
    (panels[0], A, "$A$: the network, from top to bottom", (1, 16), "forward\nsubstitution"),
    (panels[1], A.T, r"$A^{\mathsf{T}}$: backpropagation, from bottom to top", (16, 1), "back-\nsubstitution"),
):
    axes.imshow(matrix, cmap="RdBu_r", vmin=-1.6, vmax=1.6)
    axes.set_xticks(np.arange(2.5, 15, 3), [])
    axes.set_yticks(np.arange(1, 18, 3), [f"$z_{n}$" for n in range(1, 7)])
    axes.tick_params(length=0)
    axes.grid(False)
    axes.set_title(title)
    axes.annotate("", (19.2, end), (19.2, begin), annotation_clip=False, arrowprops={"arrowstyle": "-|>", "lw": 2})
    axes.text(19.8, 8.5, text, va="center", fontsize=9)

# %% [markdown]
# ## Step 1 · The trick
#
# Given a square matrix $A$ that can be inverted, a matrix $C$ with $P$ columns, and a row $u$. Wanted: the row $u B$,
# where $A B = C$. The obvious way solves a system for each column of $C$. But $u B = u A^{-1} C$ is a product of three
# factors, and the brackets are ours:
#
# $$u\, B = u\, (A^{-1} C) = (u A^{-1})\, C = v\, C
# \qquad \text{with} \quad v A = u, \quad \text{that is} \quad A^{\mathsf T} v^{\mathsf T} = u^{\mathsf T} .$$ (eq-g1)
#
# *One* system, with the matrix transposed, instead of $P$. The row $v$ is the **adjoint**. A factorisation $A = L U$
# serves both, as $A^{\mathsf T} = U^{\mathsf T} L^{\mathsf T}$; what the trick saves are the solves after it.


# %%
checks = Checks()
check_equal = checks.equal

rng = np.random.default_rng(5)
A, C, u = rng.normal(size=(50, 50)), rng.normal(size=(50, 300)), rng.normal(size=50)
factors = lu_factor(A)
all_columns, one_row = lu_solve(factors, C), lu_solve(factors, u, trans=1)  # 300 solves against one
check_equal("g1", u @ all_columns, one_row @ C, tolerance=1e-12)  # rounding, times the condition of A

# %% [markdown]
# ## Step 2 · The derivative of a solution
#
# Where do such products come from? From derivatives. Let $x$ solve $A(\theta)\, x = b(\theta)$, and let a number $L(x)$
# be read off it, with $u = \partial L / \partial x$. Differentiate the system by one parameter: $A_k x + A x_k = b_k$,
# an index $k$ meaning $\partial / \partial \theta_k$. So the derivatives $x_k$ are the columns of $B$, those of $C$ are
# $b_k - A_k x$, and
#
# $$\frac{dL}{d\theta_k} = u\, x_k = v\, (b_k - A_k x), \qquad v A = u .$$ (eq-solution)
#
# Two solves give $L$ and all its derivatives, however many there are. An example, with a wind: a rod carries heat by
# conduction and by a stream to the right, $-(\kappa x')' + w x' = b$, cold at both ends. $\theta$ are the 61
# conductivities between 60 nodes and the ends; $b$ is a burner on the left; $L$ is what a thermometer further right
# reads. We compare {eq}`eq-solution` with complex steps, which go through `solve`.

# %%
n, width, thermometer = 60, 1 / 61, 38


def rod(theta, wind=12.0):
    """Return A: fluxes by conduction between neighbours, and a stream that takes its value from upwind."""
    conduction = (np.diag(theta[:-1] + theta[1:]) - np.diag(theta[1:-1], 1) - np.diag(theta[1:-1], -1)) / width**2
    return conduction + wind / width * (np.eye(n) - np.eye(n, k=-1))


def columns(x):
    """Return b_k - A_k x: of face k, the flux between its two neighbours."""
    padded = np.concatenate([[0], x, [0]])
    flux = np.diag(np.diff(padded)) / width**2  # for a unit conductivity, one face a column
    return flux[1:] - flux[:-1]


burner = np.where(np.abs(np.arange(n) - 14) < 3, 100.0, 0.0)
theta = 1 + 0.5 * np.sin(np.arange(n + 1))
x, u = np.linalg.solve(rod(theta), burner), np.eye(n)[thermometer]
v = np.linalg.solve(rod(theta).T, u)
by_steps = complex_step(lambda theta: np.linalg.solve(rod(theta), burner)[thermometer], theta)
check_equal("solution", v @ columns(x), by_steps, tolerance=1e-12)  # rounding, times the condition of A

# %% [markdown]
# What does $v$ mean? Here $L = v\, b$: the entry $v_i$ is what a unit of heat at node $i$ adds to the reading. Heat is
# carried to the right, so it comes *from the left*. The adjoint runs against the stream. Later the stream will be time.

# %% tags=["hide-input"]
fig, (left, right) = plot.figure(1, 2, size=(9.4, 3.4), num="05_upwind")
place = width * np.arange(1, n + 1)
left.plot(place, x, color=BLUE)
left.fill_between(place, 0, 0.1 * x.max() * (burner > 0), color=ORANGE, alpha=0.7, lw=0)
left.set(title="$A x = b$: heat goes with the wind", xlabel="place", ylabel="temperature $x$")
right.plot(place, v, color=BLUE, label=r"$A^{\mathsf{T}} v = u$")
right.plot(place, np.linalg.solve(rod(theta), u), "--", color=PINK, label="$A v = u$: wrong")
right.set(title="The adjoint looks upwind", xlabel="place", ylabel="influence on the reading")
right.legend(frameon=False, loc=(0.16, 0.3))
for axes in (left, right):
    axes.axvline(place[thermometer], color="0.4", lw=1, ls=":")
    axes.text(place[thermometer], axes.get_ylim()[1], " thermometer", color="0.4", fontsize=9, va="top")

# %% [markdown]
# ## Step 3 · A network is a triangular system
#
# Nothing above needs the system to be linear in $x$: for $R(x, \theta) = 0$ the derivatives solve $R_x\, x_k = -R_k$,
# so $A = R_x$ and $C = -R_\theta$. Now take a residual network, all its layers at once, as the unknown $x = (z_1,
# \dots, z_N)$. Layer $n$ says that
#
# $$R_{n+1} = z_{n+1} - z_n - h f(t_n, z_n, \theta) = 0 .$$
#
# Its derivative by $z_{n+1}$ is $I$, by $z_n$ it is $-(I + h J_n)$, and by $\theta$ it is $-h f_\theta$ at layer $n$.
# So the nudges of all layers solve
#
# $$\begin{pmatrix} I & & & \\ -(I + h J_1) & I & & \\ & \ddots & \ddots & \\ & & -(I + h J_{N-1}) & I \end{pmatrix}
# \begin{pmatrix} \delta z_1 \\ \delta z_2 \\ \vdots \\ \delta z_N \end{pmatrix}
# = h \begin{pmatrix} f_\theta^0 \\ f_\theta^1 \\ \vdots \\ f_\theta^{N-1} \end{pmatrix} \delta\theta .$$ (eq-chain)
#
# Solve from the top: $\delta z_{n+1} = (I + h J_n)\, \delta z_n + h f_\theta^n\, \delta\theta$. This is forward
# sensitivity, by Euler's method. We check all layers against complex steps through the network.

# %%
N = 15  # h = 0.1, so that the observations at 0.7, 1.1 and 1.7 fall on layers 5, 9 and 15
for P in (M(), V()):
    (A, C), D = unrolled(P, N), P.size
    by_steps = P.by_steps(lambda p, P=P: np.ravel(euler(P, N, p)[2][1:]), P.p)
    check_equal("chain", np.linalg.solve(A, C), by_steps, tolerance=1e-13)  # rounding of fifteen layers
    packaged = g_linear.unrolled(P, lambda J, h: -np.eye(len(J)) - h * J)
    np.testing.assert_allclose(unrolled(P, 10)[0], packaged, rtol=0, atol=1e-13)  # J on states that differ by rounding

# %% [markdown]
# ## Step 4 · Backpropagation is back-substitution
#
# Apply the trick. The loss looks at some of the layers, so $u$ is a row of $N$ blocks: $g_n = \partial L / \partial
# z_n$ where layer $n$ is observed, zero elsewhere. Write $v = (a_1, \dots, a_N)$ and read $v A = u$ column by column.
# The last block column says $a_N = g_N$. The one of $z_n$ has two blocks, $a_n - a_{n+1} (I + h J_n) = g_n$. So start
# at the end,
#
# $$v A = u \quad \Longleftrightarrow \quad a_N = g_N, \qquad a_n = a_{n+1} (I + h J_n) + g_n .$$ (eq-g2)
#
# A triangular system solved from its last line to its first: *back-substitution*. And the right side is one layer of
# **backpropagation**: the row passes the layer, $I$ for the shortcut and $h J_n$ for the branch, and where an
# observation was made its gradient is added. These are the jumps that everybody forgets. In the system they are nothing
# special, merely entries of $u$. Then $v C$ is the gradient by the weights that all layers share:
#
# $$\frac{dL}{d\theta} = v\, C = \sum_{n=0}^{N-1} h\, a_{n+1}\, f_\theta(t_n, z_n, \theta) .$$ (eq-g3)
#
# Nobody builds $A$: the loop below solves the system with one VJP for each layer. We compare it with the matrix, with a
# tape of the whole network, with complex steps of the loss, and with the library.


# %%
def backpropagate(P, N, g):
    """Return the rows a_0 ... a_N and dL/dtheta; g (N + 1, D) are the gradients of the loss by the layers."""
    ts, h, zs = euler(P, N)
    rows, theta_bar = [g[-1]], 0 * P.p
    for t, z, g_n in zip(ts[-2::-1], zs[-2::-1], g[-2::-1], strict=True):
        _, aJ, a_f_theta = P.vjp(t, z, rows[-1])
        theta_bar = theta_bar + h * a_f_theta
        rows.append(rows[-1] + h * aJ + g_n)
    return np.array(rows[::-1]), theta_bar


def layer_gradients(P):
    """Return g (N + 1, D), zero but where the loss looks."""
    g = np.zeros((N + 1, P.size))
    g[[0, 5, 9, 15]] = P.loss_gradients(euler(P, N)[2][[0, 5, 9, 15]])
    return g


for P in (M(), V()):
    (A, C), g = unrolled(P, N), layer_gradients(P)
    v = np.linalg.solve(A.T, np.ravel(g[1:]))
    rows, theta_bar = backpropagate(P, N, g)
    check_equal("g2", v, np.ravel(rows[1:]), tolerance=1e-13)  # rounding of fifteen layers

    z = ne.Tensor(P.z0)  # and the same by a tape
    layers = [z]
    for t in np.linspace(0.2, 1.7, N + 1)[:-1]:
        z = z + 0.1 * P.field.function(t, z, P.theta)
        layers.append(z)
    sum(ne.Tensor(g_n) @ z for g_n, z in zip(g, layers, strict=True)).backward()
    assert relative_error(layers[0].grad, rows[0]) < 1e-13

    by_steps = P.by_steps(lambda p, P=P, g=g: np.sum(g * euler(P, N, p)[2]), P.p)  # g held fixed: the chain rule
    check_equal("g3", v @ C, by_steps, tolerance=1e-13)
    packaged = ne.gradients(P.field, P.z0, P.ts, P.theta, g[[0, 5, 9, 15]], solver="euler", step_size=0.1)
    assert relative_error([rows[0], theta_bar], [packaged.z0, P.flat(packaged.theta)]) < 1e-13

# %% [markdown]
# ## Step 5 · Many layers
#
# With more and more layers of smaller and smaller step, $a_n = a_{n+1} + h\, a_{n+1} J_n$ becomes a differential
# equation, read from the end: $a' = -a J$. The rows of backpropagation approach its solution with order one,
#
# $$a_0 - a(t_0) = O(h) .$$ (eq-d2)
#
# This is chapter 6 in a nutshell, and it says more than it seems to: $A / h$ is a difference quotient, the matrix of
# $\frac{d}{dt} - J$ with the value given at the *start*. The rows of its transpose are those of $-\frac{d}{dt} -
# J^{\mathsf T}$, with the value given at the *end*. To transpose $\frac{d}{dt}$ is to flip its sign and its end of
# time. Chapter 7 will do this without matrices, and it will be called integration by parts.

# %%
for P in (M().at_end, V().at_end):
    errors = []
    for layers in 20 * 2 ** np.arange(6):
        g = np.zeros((layers + 1, P.size))
        g[-1] = gradient_at(P, euler(P, layers)[2][-1])
        errors.append(np.linalg.norm(backpropagate(P, layers, g)[0][0] - P.truth.z0))
    orders = np.log2(np.divide(errors[:-1], errors[1:]))
    print(f"(d2) errors {errors[0]:.1e} ... {errors[-1]:.1e}, orders {orders.round(3)}")
    assert abs(orders[-1] - 1) < 0.15  # the next power of h still shows
    checks["d2"] = orders

# %% [markdown]
# ## What goes wrong, measured
#
# **$A v = u$.** The transpose is forgotten. On the rod the influence then lies downwind (dashed in the figure); on a
# network, what the last layers see never reaches the first. Without wind the matrix is symmetric, and nothing shows.
#
# **$u\, C\, A^{-1}$.** The right factors in the wrong order. NumPy refuses, unless $C$ happens to be square. And with
# $C = I$, that is, for a derivative by the right sides $b$, the slip is right.
#
# **$a = -\partial L / \partial z$**, in a blog post that explains the trick well (*Neural networks as ordinary
# differential equations*), with all other formulas as above: every gradient flips, an error of 200 %.


# %%
def transpose_forgotten(A, C, u):
    return np.linalg.solve(A, u) @ C


def order_swapped(A, C, u):
    return np.linalg.solve(A.T, u @ C) if C.shape == A.shape else np.full(C.shape[1], np.nan)


def sign_flipped(A, C, u):
    return np.linalg.solve(A.T, -u) @ C


still = rod(theta, wind=0.0)
cases = {"rod": (rod(theta), columns(x), u), "rod, no wind": (still, columns(np.linalg.solve(still, burner)), u)}
cases |= {f"network {P.name}": (*unrolled(P, N), np.ravel(layer_gradients(P)[1:])) for P in (M(), V())}
cases |= {"rod, square C": (rod(theta), rng.normal(size=(n, n)), u), "rod, C = I": (rod(theta), np.eye(n), u)}
slips, errors = (transpose_forgotten, order_swapped, sign_flipped), {}
print("relative error" + "".join(f"{slip.__name__:>21}" for slip in slips))
for name, (A, C, row) in cases.items():
    errors[name] = [relative_error(slip(A, C, row), np.linalg.solve(A.T, row) @ C) for slip in slips]
    print(f"{name:14}" + "".join(f"{error:21.2g}" for error in errors[name]))
assert min(errors[name][0] for name in ("rod", "network M", "network V")) > 0.5
assert errors["rod, no wind"][0] < 1e-12
assert errors["rod, square C"][1] > 0.5 > 1e-12 > errors["rod, C = I"][1]
assert all(abs(each[2] - 2) < 1e-12 for each in errors.values())

# %%
# The same steps, as the ledger of the library has them
for P in (M(), V()):
    for finding in ledger.check(P, ["g"]):
        print(ledger.row(finding))
        assert finding.ok

# %% [markdown]
# ## Exercises
#
# 1. *Two thermometers.* How many solves does the gradient of $(x_{20} - x_{38})^2$ need? And those of both readings?
# 2. *A nonlinear rod.* Add $x^3$ to each line of $A x = b$ and solve by Newton's method. Find the gradient from $v R_x
#    = u$. How many of Newton's steps have to be differentiated?
# 3. *The other direction.* Try to solve $v A = u$ from the front, with a guess of $a_1$ and the recursion {eq}`eq-g2`
#    for $a_2$, and so on. What must be inverted in each layer? How does an error of the guess grow?
#
# ## Further reading
#
# - M. B. Giles, N. A. Pierce: *An introduction to the adjoint approach to design*, Flow, Turbulence and Combustion 65
#   (2000) 393.
# - A. McNamara, A. Treuille, Z. Popović, J. Stam: *Fluid control using the adjoint method*, SIGGRAPH (2004).
# - A. Griewank, A. Walther: *Evaluating Derivatives* (2008), on every program as one triangular system.

# %% tags=["remove-cell"]
plot.show_or_save()
