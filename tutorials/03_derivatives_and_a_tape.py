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
# # 3 · Derivatives without magic, and a tape
#
# **What you will do.** Compute the same derivative in six ways, from the difference quotient to forty lines of Python
# that differentiate any program written in four operations. Then open the tape of the library, and the code it becomes.
#
# **What you will learn.** Why a derivative is a linear map and not a table of numbers; what a JVP and a VJP are, and
# why the second makes training possible; how to tell whether a derivative is right.
#
# **What you need.** The derivative of a product and of a composition; matrix times vector; NumPy.

# %%

import numpy as np

import nodeedu as ne
from nodeedu import plot
from nodeedu.autodiff import central_difference, complex_step, dot_product_test, record, relative_error, transforms
from nodeedu.verify.checks import Checks

BLUE, ORANGE, GREEN, PINK, *_ = plot.COLORS

# %% [markdown]
# ## The function
#
# All of this book differentiates a velocity field $f(t, z, \theta)$. Ours is the network **M** of chapter 1, with the
# weights of the time written apart: three states, four hidden units, 35 parameters.


# %%
def M(t, z, theta):
    W1, w, b1, W2, b2 = theta
    return W2 @ np.tanh(W1 @ z + w * t + b1) + b2


rng = np.random.default_rng(3)
theta = tuple(rng.normal(size=shape) for shape in ((4, 3), (4,), (4,), (3, 4), (3,)))
t, z, v, a = 0.7, *rng.normal(size=(3, 3))
print("f =", M(t, z, theta))

# %% [markdown]
# ## The picture of the result
#
# Read the upper arrows from left to right: this is how $f$ is computed, one operation after the other. Read the lower
# arrows from right to left: a row $a$ enters at the result, passes every operation in reverse order, and leaves at each
# input as the derivative of $a f$ by this input. One pass back gives all of them: by the state, by the time and by
# every weight.

# %% tags=["hide-input"]
fig, axes = plot.figure(size=(9.4, 3.3), num="03_forth_and_back")
axes.set(xlim=(-0.6, 10.3), ylim=(-1.75, 1.75))
axes.axis("off")
chain = [(0, "$z$", r"$\bar z = \bar u\, W_1$"),
         (3.1, r"$u = W_1 z + w t + b_1$", r"$\bar u = \bar s \odot (1 - s^2)$"),
         (6.4, r"$s = \tanh u$", r"$\bar s = a\, W_2$"), (9.3, "$f = W_2 s + b_2$", "$a$")]  # fmt: skip
leaves = [(3.1, "$W_1, w, t, b_1$", r"$\bar W_1 = \bar u \otimes z,\;\; \bar w = t\, \bar u,\;\;"
           r" \bar t = \bar u \cdot w,\;\; \bar b_1 = \bar u$"),
          (9.3, "$W_2, b_2$", r"$\bar W_2 = a \otimes s,\;\; \bar b_2 = a$")]  # fmt: skip
for x, value, bar in chain:
    axes.text(x, 0.42, value, color=BLUE, ha="center", va="center", size=12)
    axes.text(x, -0.42, bar, color=ORANGE, ha="center", va="center", size=12)
for x, value, bar in leaves:
    axes.text(x, 1.5, value, color=BLUE, ha="center", va="center", size=12)
    axes.text(x, -1.5, bar, color=ORANGE, ha="center", va="center", size=11)
    axes.annotate("", (x, 0.68), (x, 1.3), arrowprops={"arrowstyle": "-|>", "color": BLUE, "lw": 1.6})
    axes.annotate("", (x, -1.3), (x, -0.68), arrowprops={"arrowstyle": "-|>", "color": ORANGE, "lw": 1.6})
for start, end in ((0.3, 1.65), (4.55, 5.65), (7.15, 8.35)):
    axes.annotate("", (end, 0.42), (start, 0.42), arrowprops={"arrowstyle": "-|>", "color": BLUE, "lw": 1.6})
for start, end in ((8.9, 7.2), (5.6, 4.6), (1.7, 0.75)):
    axes.annotate("", (end, -0.42), (start, -0.42), arrowprops={"arrowstyle": "-|>", "color": ORANGE, "lw": 1.6})

# %% [markdown]
# ## Step 1 · A derivative is a linear map
#
# Move $z$ a little in the direction $v$. The derivative of $f$ at $z$ is the linear map $v \mapsto J v$ that says how
# $f$ answers, up to an error that vanishes faster than the move:
#
# $$f(z + h v) = f(z) + h\, J v + O(h^2) .$$ (eq-jvp)
#
# $Jv$ is called a **Jacobian-vector product**, JVP for short. It is a column, the velocity of $f$ when $z$ moves with
# velocity $v$. The matrix $J = \partial f / \partial z$ has the entries $\partial f_i / \partial z_j$, but nobody needs
# the matrix to know $J v$: on paper, with $u = W_1 z + w t + b_1$,
#
# $$ J v = W_2 \bigl( (1 - \tanh^2 u) \odot (W_1 v) \bigr) .$$ (eq-jvp-m)

# %%
checks = Checks()
check_equal, check_order = checks.equal, checks.order

# %%
W1, w, b1, W2, b2 = theta
slope = 1 - np.tanh(W1 @ z + w * t + b1) ** 2
Jv = W2 @ (slope * (W1 @ v))


def f(z):
    return M(t, z, theta)


halves = 0.1 / 2.0 ** np.arange(6)
check_order("jvp", [np.linalg.norm(f(z + h * v) - f(z) - h * Jv) for h in halves], expected=2)

# %% [markdown]
# ## Step 2 · Derivatives from values
#
# If only values of $f$ are at hand, divide {eq}`eq-jvp` by $h$. This is the *forward difference*; its error has order
# one. A step to each side cancels the even powers of $h$; this is the *central difference*,
#
# $$D(h) = \frac{f(z + hv) - f(z - hv)}{2h} = J v + c_2 h^2 + c_4 h^4 + \dots$$ (eq-central)
#
# and what it leaves has a known form, so that a second step size removes the next term (Richardson, 1911):
#
# $$\frac{4 D(h/2) - D(h)}{3} = J v + O(h^4) .$$ (eq-richardson)
#
# None of them can be used with a very small $h$. $f$ is known to about 16 digits; a difference of two values that agree
# in 10 of them has 6 left. With rounding error $\epsilon \approx 10^{-16}$ the total error is about $h^p + \epsilon /
# h$. The best $h$ is $\epsilon^{1/(p+1)}$, and the best result has an error of $\epsilon^{p/(p+1)}$: eight digits for
# the forward difference, eleven for the central one.
#
# The way out is not to subtract. Extend $f$ to complex numbers and step in the imaginary direction: the Taylor series
# is $f(z + i h v) = f(z) + i h J v - \tfrac12 h^2 (\dots) - i (\dots) h^3$. The derivative stands alone in the
# imaginary part:
#
# $$\frac{\operatorname{Im} f(z + i h v)}{h} = J v + O(h^2) .$$ (eq-complex-step)
#
# With $h = 10^{-30}$ the $O(h^2)$ is $10^{-60}$, and no digit is lost.


# %%
def forward(h):
    return (f(z + h * v) - f(z)) / h


def central(h):
    return (f(z + h * v) - f(z - h * v)) / (2 * h)


def richardson(h):
    return (4 * central(h / 2) - central(h)) / 3


def imaginary(h):
    return np.imag(f(z + 1j * h * v)) / h


# %%
estimates = {"central": (central, 2), "richardson": (richardson, 4), "complex-step": (imaginary, 2)}
for label, (estimate, expected) in estimates.items():
    check_order(label, [np.linalg.norm(estimate(h) - Jv) for h in halves], expected)

# Rounding in f, some 1e-16, and nothing else.
assert relative_error(imaginary(1e-30), Jv) < 1e-15
assert relative_error(complex_step(f, z, v), Jv) < 1e-15  # the packaged one
extrapolated = central_difference(f, z, v)  # extrapolates several times, and says how good the result is
print(f"packaged difference: error {np.linalg.norm(extrapolated.value - Jv):.0e}, its own estimate "
      f"{np.linalg.norm(extrapolated.error):.0e}")  # fmt: skip

# %% tags=["hide-input"]
hs = np.logspace(0, -17, 69)
fig, axes = plot.figure(size=(7.2, 4.2), num="03_differences")
curves = {"forward difference": forward, "central difference": central, "Richardson's extrapolation": richardson,
          "complex step": imaginary}  # fmt: skip
for (name, estimate), color in zip(curves.items(), (BLUE, GREEN, PINK, ORANGE), strict=True):
    errors = [max(relative_error(estimate(h), Jv), 1e-17) for h in hs]
    axes.loglog(hs, errors, ".-", ms=4, lw=1.2, color=color, label=name)
axes.invert_xaxis()
axes.legend(frameon=False, loc="upper center")
axes.set(xlabel="step $h$", ylabel="relative error of $Jv$", ylim=(5e-18, 30))
axes.set_title("Whoever subtracts must not step too short")

# %% [markdown]
# ## Step 3 · The chain rule has a direction
#
# $f$ is a composition: first $W_1$, then $\tanh$, then $W_2$. The chain rule says that its Jacobian is the product of
# the three Jacobians,
#
# $$J = W_2\, \operatorname{diag}(1 - \tanh^2 u)\, W_1 .$$ (eq-chain)
#
# A product of matrices may be computed in any order, and the order decides the cost. With a column on the right,
# multiply from the right: this is {eq}`eq-jvp-m`, each step is a matrix times a column, and the order is the one in
# which $f$ itself is computed. It is *forward mode*. With a row $a$ on the left, multiply from the left:
#
# $$a J = \bigl( (a W_2) \odot (1 - \tanh^2 u) \bigr) W_1 .$$ (eq-vjp-m)
#
# Each step is a row times a matrix, and the order is reversed: the last operation comes first. This is *reverse mode*,
# and $aJ$ a **vector-Jacobian product**, VJP. The full matrix, if wanted, is one JVP for each of its columns, or one
# VJP for each of its rows.

# %%
J = W2 @ np.diag(slope) @ W1
check_equal("chain", J, complex_step(f, z), tolerance=1e-14)  # rounding of products of some ten terms
check_equal("jvp-m", Jv, J @ v, tolerance=1e-14)
aJ = (a @ W2 * slope) @ W1
check_equal("vjp-m", aJ, a @ J, tolerance=1e-14)

# %% [markdown]
# Why does one care about rows? Because a loss is a single number. Its derivative by the result of $f$ is a row $a$ with
# as many entries as $f$ has; its derivative by a million inputs is $a J$, **one** VJP. With JVPs it would be a million.
#
# What has a row to do with a gradient by the *weights*? $f$ is also a function of $W_2$, with a Jacobian of its own.
# Nudge $W_2$ by a matrix $\dot W_2$: $f$ moves by $\dot W_2 s$ with $s = \tanh u$, and $a f$ by $a \dot W_2 s =
# \sum_{ij} a_i s_j (\dot W_2)_{ij}$. So the derivative by $(W_2)_{ij}$ is $a_i s_j$: the outer product of $a$ and $s$.
# A bar is the name for all of these: $\bar x$ is the derivative of $a f$ by $x$, and it has the shape of $x$,
#
# $$\bar W_2 = a \otimes s .$$ (eq-bar)

# %%
s = np.tanh(W1 @ z + w * t + b1)
check_equal("bar", np.outer(a, s), complex_step(lambda W2: a @ M(t, z, (W1, w, b1, W2, b2)), W2), tolerance=1e-14)

# %% [markdown]
# ## Step 4 · The dot-product test
#
# Forward and reverse mode multiply the same matrices in opposite orders. So the row times the JVP is the VJP times the
# column,
#
# $$a\, (J v) = (a J)\, v \quad \text{for all } a, v .$$ (eq-dot)
#
# It looks like nothing, and it is the best test there is: it needs neither a step size nor a second implementation, it
# holds to the last bits, and with random $a$ and $v$ a wrong term in either of the two has no chance to hide. What it
# cannot see is a mistake that both share. For that, one complex step.

# %%
mismatch = dot_product_test(lambda v: W2 @ (slope * (W1 @ v)), lambda a: (a @ W2 * slope) @ W1, v, a)
print(f"(dot) mismatch {mismatch:.1e}; with the slope forgotten in the VJP "
      f"{dot_product_test(lambda v: W2 @ (slope * (W1 @ v)), lambda a: a @ W2 @ W1, v, a):.1e}")  # fmt: skip
assert mismatch < 1e-15  # rounding of sums of some ten terms
checks["dot"] = [mismatch]

# %% [markdown]
# ## Step 5 · A tape in forty lines
#
# Nobody wants to derive {eq}`eq-vjp-m` anew for every network. Note what was needed: the list of operations in the
# order in which they were done, the values that went into each, and for each *kind* of operation a rule. The list is
# called a **tape** (or Wengert list, after R. E. Wengert, 1964). We make one for programs of four operations. Each row
# of the table has the rule forward (from tangents $\dot x$ of the arguments to that of the result) and the rule back
# (from the bar of the result to the bars of the arguments). Verify each row with pencil; it is two lines of calculus.

# %%
RULES = {  # operation: (tangent of the result, bars of the arguments)
    np.add: (lambda x, y, x_dot, y_dot: x_dot + y_dot, lambda x, y, bar: (bar, bar)),
    np.multiply: (lambda x, y, x_dot, y_dot: x_dot * y + x * y_dot, lambda x, y, bar: (bar * y, bar * x)),
    np.matmul: (lambda A, x, A_dot, x_dot: A_dot @ x + A @ x_dot, lambda A, x, bar: (np.outer(bar, x), bar @ A)),
    np.tanh: (lambda x, x_dot: (1 - np.tanh(x) ** 2) * x_dot, lambda x, bar: (bar * (1 - np.tanh(x) ** 2),)),
}


class Variable(np.lib.mixins.NDArrayOperatorsMixin):
    """An array on a tape. NumPy hands us every operation that it meets, and we write it down."""

    def __init__(self, tape, value, operation=None, args=()):
        self.tape, self.value, self.number = tape, np.asarray(value), len(tape)
        tape.append((operation, args, self.value))

    def __array_ufunc__(self, operation, method, *args):
        args = [x if isinstance(x, Variable) else Variable(self.tape, x) for x in args]
        result = operation(*(x.value for x in args))
        return Variable(self.tape, result, operation, [x.number for x in args])


# %% [markdown]
# The two modes are two loops over the tape. Forward mode goes down the list, reverse mode goes up. Two details of the
# second deserve a pause. The bars are **added**: a value that is used in two places influences the result in two ways,
# and derivatives of sums are sums. And where a single number met an array, as $t$ does in $w t$, it was used by every
# entry; so its bar is the sum of theirs.


# %%
def push(tape, moving):
    """Return the tangents of all lines; `moving` gives those of some inputs by number, the others rest."""
    dots = []
    for number, (operation, args, value) in enumerate(tape):
        if operation:
            values, tangents = [tape[k][2] for k in args], [dots[k] for k in args]
            dots.append(RULES[operation][0](*values, *tangents))
        else:
            dots.append(moving.get(number, np.zeros_like(value)))
    return dots


def pull(tape, y_bar):
    """Return the bars of all lines, given that of the last one."""
    bars = [np.zeros_like(value) for _, _, value in tape]
    bars[-1] = y_bar
    for (operation, args, _), bar in zip(reversed(tape), reversed(bars), strict=True):
        if operation:
            for k, x_bar in zip(args, RULES[operation][1](*(tape[k][2] for k in args), bar), strict=True):
                bars[k] = bars[k] + (x_bar if bars[k].shape else np.sum(x_bar))
    return bars


# %% [markdown]
# The function `M` from the beginning of the chapter runs on Variables as it is. Here is its tape, and what the loops
# make of it.

# %%
tape = []
inputs = [Variable(tape, x) for x in (t, z, *theta)]
M(inputs[0], inputs[1], inputs[2:])
for number, (operation, args, value) in enumerate(tape):
    done = f"{operation.__name__}({', '.join(f'v{k}' for k in args)})" if operation else "input"
    print(f"v{number:<2} = {done:18} {value.shape}")

tape_Jv = push(tape, {1: v})[-1]  # line 1 is z
t_bar, z_bar, *theta_bar = pull(tape, a)[: len(inputs)]

# %% [markdown]
# We compare with the formulas on paper, and all seven bars at once with complex steps, one for each of 39 numbers:
#
# $$\bar x = a\, \frac{\partial f}{\partial x} \quad \text{for } x = t, z, W_1, w, b_1, W_2, b_2 .$$ (eq-tape)

# %%
assert relative_error(tape_Jv, Jv) < 1e-15  # rounding
assert relative_error(z_bar, aJ) < 1e-15
truth = complex_step(lambda x: a @ M(x[0], x[1], x[2:]), (t, z, *theta))
check_equal("tape", (t_bar, z_bar, *theta_bar), truth, tolerance=1e-14)  # rounding of sums of some ten terms

# %% [markdown]
# ## Step 6 · The tape of the library
#
# `nodeedu` has the same thing, with more rows in the table, in two forms. A `Tensor` computes at once and remembers, as
# our `Variable` does; `backward` is `pull`.

# %%
leaves = [ne.Tensor(x) for x in (t, z, *theta)]
M(leaves[0], leaves[1], leaves[2:]).backward(a)
np.testing.assert_allclose(leaves[1].grad, z_bar, rtol=1e-14)
assert relative_error([leaf.grad for leaf in leaves], (t_bar, z_bar, *theta_bar)) < 1e-15  # the same operations

# %% [markdown]
# The other form has no values. `record` calls the function once on arrays that know their shape only, and keeps the
# list. Then the rules are applied *on paper*, so to speak: they are written in the same operations, and what they do is
# recorded too. The result of `vjp` is again a tape, longer than the first, which computes $f$ and all bars. The bar of
# `dz` is our $a$.

# %%
field = ne.vector_field(M, z, theta)
field.show("vjp")

# %%
values = {"t": t, "z": z, **{f"theta[{i}]": leaf for i, leaf in enumerate(theta)}}
result = field.tapes("vjp").evaluate(values | {"dz_bar": a})
bars = [result["t_bar"], result["z_bar"], *(result[f"theta[{i}]_bar"] for i in range(5))]
assert relative_error(bars, (t_bar, z_bar, *theta_bar)) < 1e-15  # the same operations

# %% [markdown]
# A tape can be differentiated, and a VJP is a tape. So second derivatives come for free. The JVP of the VJP, for
# instance, says how $aJ$ changes when $z$ moves with velocity $v$:
#
# $$\frac{d}{ds} \bigl( a\, J(z + s v) \bigr)_{s=0}
# = \Bigl( \frac{\partial}{\partial z} \frac{\partial (a f)}{\partial z} \Bigr) v .$$ (eq-second)
#
# This is the Hessian of $a f$ times a vector. The truth is a complex step through our formula {eq}`eq-vjp-m`.

# %%
pulled = transforms.vjp(field.tape, wrt=["z"]).select({"z_bar": "aJ"})
pushed = transforms.jvp(pulled, wrt=["z"], outputs=["aJ"])
hessian_v = pushed.evaluate(values | {"dz_bar": a, "z_dot": v})["aJ_dot"]
truth = complex_step(lambda z: (a @ W2 * (1 - np.tanh(W1 @ z + w * t + b1) ** 2)) @ W1, z, v)
check_equal("second", hessian_v, truth, tolerance=1e-14)  # rounding of sums of some ten terms

# %% [markdown]
# ## Step 7 · What it costs
#
# Every line of a tape is passed once in each direction, and the rule of an operation costs about as much as the
# operation, once for each argument. So all derivatives of one number cost a small multiple of the number itself,
# however many inputs there are (W. Baur and V. Strassen, 1983):
#
# $$\operatorname{cost}(f \text{ and } aJ \text{ for all inputs}) \le 5 \operatorname{cost}(f) .$$ (eq-cost)
#
# We need not believe it: a tape can be counted. An addition, a multiplication and a value of $\tanh$ count one each.


# %%
def operations(tape):
    """Count the arithmetic of a tape."""
    total = 0
    for node in (tape.nodes[i] for i in tape.live()):
        if node.op == "einsum":  # sums of products over the indices that are missing from the output
            indices, output = node.attributes()["spec"].split("->")
            lengths = [n for k in node.args for n in tape.nodes[k].shape]
            sizes = dict(zip(indices.replace(",", ""), lengths, strict=True))
            products, sums = len(node.args) - 1, bool(set(sizes) - set(output))
            total += (products + sums) * int(np.prod(list(sizes.values())))
        elif node.op not in ("input", "const", "reshape", "getitem", "scatter", "concat"):
            total += int(np.prod(node.shape))
    return total


widths = 2 ** np.arange(1, 10)
parameters, ratios = [], {"forward": [], "reverse": []}
for H in widths:
    shapes = ((H, 3), (H,), (H,), (3, H), (3,))
    wide = ne.vector_field(M, np.zeros(3), tuple(np.zeros(shape) for shape in shapes))
    cost = {kind: operations(wide.tapes(kind)) for kind in ("f", "jvp", "vjp")}
    parameters.append(wide.n_params)
    ratios["forward"].append(wide.n_params * cost["jvp"] / cost["f"])
    ratios["reverse"].append(cost["vjp"] / cost["f"])
print(
    f"P = {parameters[-1]}: forward mode {ratios['forward'][-1]:.0f} times f, reverse {ratios['reverse'][-1]:.2f} times"
)
assert max(ratios["reverse"]) <= 5
checks["cost"] = ratios["reverse"]

# %% tags=["hide-input"]
fig, axes = plot.figure(size=(6.6, 4), num="03_cost")
axes.loglog(parameters, ratios["forward"], "o-", color=BLUE)
axes.loglog(parameters, ratios["reverse"], "o-", color=ORANGE)
axes.annotate("forward mode: one JVP for each parameter", (parameters[3], ratios["forward"][3]), (12, -12),
              textcoords="offset points", color=BLUE)  # fmt: skip
axes.annotate("reverse mode: one VJP", (parameters[3], ratios["reverse"][3]), (0, 10), textcoords="offset points",
              color=ORANGE)  # fmt: skip
axes.set(xlabel="number of parameters $P$", ylabel="cost of all derivatives / cost of $f$", ylim=(1, None))
axes.set_title("Why networks can be trained")

# %% [markdown]
# The bill has a second column. Reverse mode needs the values of the forward pass, in reverse order: they must be kept,
# or made again. For one evaluation of $f$ that is nothing. For a solver that calls $f$ ten thousand times it is the
# whole problem, and the adjoint equation of chapter 6 is one answer to it.
#
# ## Step 8 · From tape to machine code
#
# The last step is mechanical. A tape has no branches and no unknown shapes, so it can be printed as a loop over samples
# and compiled. This is what `ne.odeint` and `ne.gradients` run. Here is van der Pol's oscillator, and its VJP as the
# library writes it; you find the product rule and the chain rule in it, term by term.


# %%
def V(t, z, theta):
    mu, stiffness, force, frequency = theta
    x, v = z
    return [v, mu * (1 - x**2) * v - stiffness * x + force * np.cos(frequency * t)]


theta_V = (1.5, 1.0, 1.2, 2.0)
oscillator = ne.vector_field(V, np.zeros(2), theta_V)
source = oscillator.source("vjp")
print(source[source.index("@njit") : source.index("@c_function")].rstrip())

# %% [markdown]
# We run the compiled loop on three samples and compare with the tape, walked line by line:

# %%
kernel, p, n = oscillator.kernel("vjp"), oscillator.pack(theta_V), 3
ts, zs, rows = rng.normal(size=n), rng.normal(size=(n, 2)), rng.normal(size=(n, 2))
dz, t_bars, z_bars, p_bar = np.empty((n, 2)), np.empty(n), np.empty((n, 2)), np.zeros(4)
kernel.function(ts, zs, rows, p, dz, t_bars, z_bars, p_bar, np.empty(kernel.work_size))

p_truth = np.zeros(4)
for i in range(n):
    point = {"t": ts[i], "z": zs[i], "dz_bar": rows[i], **{f"theta[{k}]": leaf for k, leaf in enumerate(theta_V)}}
    walked = oscillator.tapes("vjp").evaluate(point)
    p_truth += [walked[f"theta[{k}]_bar"] for k in range(4)]
    np.testing.assert_allclose(z_bars[i], walked["z_bar"], rtol=1e-13)  # other order of operations, same formulas
np.testing.assert_allclose(p_bar, p_truth, rtol=1e-13)
print("compiled and walked agree; the bars of the parameters, summed over the samples:", p_bar)

# %% [markdown]
# ## What goes wrong, measured
#
# **Bars that are overwritten.** Write `bars[k] = x_bar` where `pull` adds. On the network of this chapter nothing
# happens: every value is used once. So take a residual block $z + M(z)$, whose input is used twice, with Jacobian $I +
# J$.


# %%
def pull_and_overwrite(tape, y_bar):
    bars = [np.zeros_like(value) for _, _, value in tape]
    bars[-1] = y_bar
    for (operation, args, _), bar in zip(reversed(tape), reversed(bars), strict=True):
        if operation:
            for k, x_bar in zip(args, RULES[operation][1](*(tape[k][2] for k in args), bar), strict=True):
                bars[k] = x_bar if bars[k].shape else np.sum(x_bar)
    return bars


print("on M itself:", relative_error(pull_and_overwrite(tape, a)[1], aJ))
block_tape = []
state = Variable(block_tape, z)
state + M(t, state, theta)
for sweep in (pull, pull_and_overwrite):
    error = relative_error(sweep(block_tape, a)[0], a + aJ)
    mismatch = dot_product_test(lambda v: push(block_tape, {0: v})[-1], lambda a, f=sweep: f(block_tape, a)[0], v, a)
    print(f"on z + M(z), {sweep.__name__:18}: error of the VJP {error:.1e}, dot-product test {mismatch:.1e}")
    assert (max(error, mismatch) < 1e-15) == (sweep is pull)

# %% [markdown]
# **Numbers that do not pass the imaginary part on.** The complex step needs a function that is analytic and code that
# lets complex numbers through. `np.abs` is neither: of a complex number it makes a real one, and this part of the
# derivative is gone. If nothing else is left, `complex_step` complains. Otherwise it cannot know, and the result is
# wrong by far and looks healthy:

# %%
try:
    complex_step(np.abs, z, v)
except TypeError as error:
    print("TypeError:", error)
silent = complex_step(lambda z: np.abs(z) * z, z, v)  # z |z| has the derivative 2 |z|
print("relative error of the derivative of |z| z:", relative_error(silent, 2 * np.abs(z) * v))
assert relative_error(silent, 2 * np.abs(z) * v) > 0.4

# %% [markdown]
# **Branches.** A tape holds what *was* done. A function that decides by the value of its input takes one branch on one
# day, and another tape would be needed on the next. Recording refuses it, and names the line; `np.where` computes both
# branches and chooses, and that can be recorded.


# %%
def leaky(t, z):
    if z[0] > 0:
        return z
    return 0.1 * z


try:
    ne.vector_field(leaky, z)
except ne.TraceError as error:
    print("TraceError:", error)
print(record(lambda z: np.where(z > 0, z, 0.1 * z), {"z": z}).evaluate({"z": z}))

# %% [markdown]
# ## Exercises
#
# 1. *A new row.* Add `np.sin`, `np.negative` and `np.divide` to `RULES`, so that a pendulum with friction can be
#    differentiated. Find a mistake that you make on purpose with the dot-product test; then make one in both columns of
#    a row, and see that only the complex step finds it.
# 2. *A product of many numbers.* For $f(x) = x_1 x_2 \cdots x_n$ compute all $n$ derivatives (a) as $f / x_i$, (b) by
#    reverse mode. Which one survives $x_3 = 0$? How many multiplications does (b) need, as a multiple of $n$?
# 3. *Forward over reverse.* `pull` works on complex values if you let it. Use it with the complex step to compute
#    {eq}`eq-second` without the tape of the library. What does this cost, in evaluations of $f$, for one Hessian times
#    a vector, and for the whole Hessian?
#
# ## Further reading
#
# - A. Griewank, A. Walther: *Evaluating Derivatives* (2008), the textbook; chapter 3 is about forward and reverse mode
#   and chapter 4 about what they cost.
# - R. E. Wengert: *A simple automatic derivative evaluation program*, Comm. ACM 7 (1964) 463; S. Linnainmaa: *Taylor
#   expansion of the accumulated rounding error*, BIT 16 (1976) 146, the first reverse mode.
# - W. Baur, V. Strassen: *The complexity of partial derivatives*, Theor. Comput. Sci. 22 (1983) 317.
# - W. Squire, G. Trapp: *Using complex variables to estimate derivatives of real functions*, SIAM Review 40 (1998) 110.
# - A. G. Baydin, B. A. Pearlmutter, A. A. Radul, J. M. Siskind: *Automatic differentiation in machine learning: a
#   survey*, J. Mach. Learn. Res. 18 (2018) 1.
# - J. Claerbout: *Earth Soundings Analysis: Processing versus Inversion* (1992), on the dot-product test.

# %% tags=["remove-cell"]
plot.show_or_save()
