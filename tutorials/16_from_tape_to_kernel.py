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
# # 16 · From tape to kernel
#
# **What you will do.** Take one vector field from the tape to the text that is compiled, and one step of a
# Runge–Kutta method through four readings: formula, NumPy, machine code, GPU. Then count what a GPU would lose where
# its threads wait for each other.
#
# **What you will learn.** Why the solver's source can be the same on both sides; what divergence costs an ensemble
# of trajectories, and that a rough solve buys more than half of it back; how a warp adds numbers so that all its
# threads agree to the last bit; why registers decide how many warps are there.
#
# **What you need.** Chapter 2 (steps and their control) and chapter 3 (the tape). No GPU.
#
# > The kernels of nodeedu have **not been run on a GPU**. They are verified without one: by Numba's simulator, by
# > NVIDIA's assembler, which says what a kernel takes, and by running their PTX, the assembly language, on the CPU
# > with a check of every barrier. No speed is claimed here.

# %%
import inspect
import math
from pathlib import Path

import numpy as np

import nodeedu as ne
from nodeedu import plot
from nodeedu.solvers.runge_kutta import ATOL, SPARE, Y1, H, K, Y, add_scaled, as_method, combine, scale_errors
from nodeedu.verify.checks import Checks

BLUE, ORANGE, GREEN, PINK, *_ = plot.COLORS
checks = Checks()
check_equal = checks.equal
WARP = 32

# %% [markdown]
# ## The picture of the result
#
# An ensemble: Lotka–Volterra with 8192 different parameters, each trajectory with its own steps. On a GPU the 32
# threads of a warp make their steps together, and a warp is done when its slowest trajectory is. Left: how many steps
# the trajectories take, and how many the warps take, in the order in which they came. Right: steps that a warp makes
# for each step that was needed, for three orders.


# %%
def lotka_volterra(t, z, theta=None):
    x, y, a, b, c, d = z  # the parameters are part of the state, and do not move: each trajectory has its own
    return np.stack([a * x - b * x * y, -c * y + d * x * y, 0 * a, 0 * b, 0 * c, 0 * d])


rng = np.random.default_rng(0)
ensemble = np.concatenate([rng.uniform(0.5, 2, (8192, 2)), rng.uniform(0.5, 1.5, (8192, 4))], axis=1)
field = ne.vector_field(lotka_volterra, ensemble[0])


def steps(rtol):
    """Return how many trial steps each trajectory takes up to t = 10."""
    stats = ne.odeint(field, ensemble, [0.0, 10.0], None, rtol=rtol, atol=rtol / 100).stats
    return stats.accepted + stats.rejected


needed, rough = steps(1e-6), steps(1e-3)


def waste(order):
    """Return the steps that warps make, over those that are needed, when warps are filled in this order."""
    return needed[order].reshape(-1, WARP).max(axis=1).mean() / needed.mean()


orders = {"as they came": np.arange(len(needed)), "by a rough solve": np.argsort(rough), "by steps": np.argsort(needed)}
wasted = {name: waste(order) for name, order in orders.items()}

# %% tags=["hide-input"]
fig, (left, right) = plot.figure(1, 2, size=(9.4, 4), num="16_divergence")
bins = np.arange(needed.min(), needed.max() + 4, 4)
by_warp = needed.reshape(-1, WARP).max(axis=1)
left.hist(needed, bins, density=True, color=BLUE, alpha=0.75, label="trajectories")
left.hist(by_warp, bins, density=True, color=ORANGE, alpha=0.75, label="warps of 32")
left.set(title="Steps up to $t = 10$", xlabel="steps", ylabel="share per step")
left.legend(frameon=False)
bars = right.bar(list(wasted), list(wasted.values()), color=[ORANGE, GREEN, BLUE], width=0.6)
right.bar_label(bars, fmt="%.2f", padding=2)
right.axhline(1, color="black", linewidth=0.8)
right.set(title="Steps made / steps needed", ylim=(0, 2))

# %%
for name, ratio in wasted.items():
    print(f"{name:18} {ratio:.3f}")
assert 1.3 < wasted["as they came"] < 1.8
assert wasted["by steps"] < 1.02
assert wasted["by a rough solve"] < 1 + (wasted["as they came"] - 1) / 2  # more than half of the waste is gone

# %% [markdown]
# ## Step 1 · The tape, and the text made from it
#
# Tracing has written the field down as a list of primitives (chapter 3).

# %%
field.show()

# %% [markdown]
# From the tape the emitter writes a module: one function on arrays, a row a sample, in plain Python with scalar
# arithmetic. Numba compiles it for the CPU. A GPU gets **the same text**: one thread calls it with one row.

# %%
source = field.source("f")
print(source)
assert "for b in range(n)" in source
assert "np.dot" not in source  # wide layers would be products of matrices, over tiles of samples

# %% [markdown]
# ## Step 2 · One core, four readings
#
# **The formula.** A stage of a Runge–Kutta method, and the error of a step, scaled by the tolerances (chapter 2):
#
# $$Y = y + h \sum_{j<i} A_{ij} k_j .$$ (eq-stage)
#
# $$e_i = \frac{h \sum_j (b_j - \hat b_j) k_j}{\text{atol} + \text{rtol} \max(|y_i|, |y_{1,i}|)} .$$ (eq-error)
#
# **NumPy.** A line each.

# %%
method = as_method(ne.tableaus.get("dopri5"), np.dtype(np.float64), True)
y, k, h, rtol, atol = rng.normal(size=2), rng.normal(size=(7, 2)), 0.1, 1e-6, 1e-9
stage = y + h * method.A[5] @ k
new = y + h * method.b @ k
error = h * method.e @ k / (atol + rtol * np.maximum(abs(y), abs(new)))

# %% [markdown]
# **Machine code.** The cores of the solver: loops over elements, no allocation, no exceptions, no sum in another order.

# %%
core = getattr(combine, "py_func", combine)
print(inspect.getsource(core))

# %% [markdown]
# All that a step needs lies in one array of rows. `combine` and `add_scaled` make a stage of it, `scale_errors` the
# errors. We call the plain functions, line by line what Numba compiles.

# %%
plain = [getattr(each, "py_func", each) for each in (combine, add_scaled, scale_errors)]


def by_cores(combine, add_scaled, scale_errors):
    """Return the stage, and the scaled errors."""
    x = np.empty((K + 7, 2))
    x[Y], x[H], x[ATOL], x[K:] = y, h, atol, k
    combine(x, method.A[5], 5, 0, 2, x[Y1])
    add_scaled(x, 0, 2, x[Y1])
    made = x[Y1].copy()
    x[Y1] = new
    combine(x, method.e, 7, 0, 2, x[SPARE])
    scale_errors(x, rtol, 0, 2)
    return made, x[SPARE].copy()


made, errors = by_cores(*plain)
check_equal("stage", made, stage, tolerance=1e-15)  # sums of six numbers in two orders
check_equal("error", errors, error, tolerance=1e-13)  # b - b_hat cancels

# %% [markdown]
# **A GPU.** Here is the kernel with a thread a trajectory in outline; the lines marked are all that differs from the
# CPU's driver:
#
# ```python
# def forward(given):
#     i = cuda.grid(1)                          # <- which thread am I
#     x = cuda.local.array((rows, D), real)     # <- the rows, in registers
#     ...
#     while lane.fate == RUNNING:
#         aim(...); stages(...); error_ratios(...); judge(...); emit(...); accept(...)     # the CPU's functions
# ```
#
# Registers have no addresses: the compiler must know every index of `x` before it can keep it there. The loop over
# stages is therefore a chain of functions, made when the kernel is made, each with its weights as constants:
#
# ```python
# def link(before, i):                          # stage i, after those before
#     def stage(x, h):
#         before(x, h)
#         combine(x, A[i], i, 0, D, x[Y1]); add_scaled(x, 0, D, x[Y1]); evaluate(x[Y1], x[K + i])
#     return stage
# ```
#
# Where numba-cuda is installed, its simulator runs such a kernel as plain Python, a thread after the other. It must
# give what the CPU gives, but for the last bits of the field, in which compiled code may fuse a product and a sum.

# %%
try:
    from nodeedu.cuda import SIMULATOR, odeint_ensemble
except ImportError:
    print("numba-cuda is not installed: pip install 'nodeedu[cuda]' brings the simulator, without a GPU")
else:
    few = ensemble[:2]
    on_cpu = ne.odeint(field, few, [0.0, 0.5], None, rtol=1e-4)
    on_gpu = odeint_ensemble(field, few, [0.0, 0.5], [None], target=SIMULATOR, rtol=1e-4)
    print("accepted steps:", on_cpu.stats.accepted, on_gpu.stats.accepted)
    print("largest difference:", np.abs(on_cpu.zs - on_gpu.zs).max())
    assert np.array_equal(on_cpu.stats.accepted, on_gpu.stats.accepted)
    assert np.abs(on_cpu.zs - on_gpu.zs).max() < 1e-14  # compiled, the field may fuse a product and a sum

# %% [markdown]
# ## Step 3 · Divergence
#
# If trajectories come in any order, a warp is a sample of 32 of them. With the share $F(n)$ of trajectories that need
# at most $n$ steps, the warp needs at most $n$ with probability $F(n)^{32}$, so on average
#
# $$\mathbb{E} \max = \sum_{n \ge 0} \bigl(1 - F(n)^{32}\bigr) .$$ (eq-divergence)
#
# We compare it with what the warps of the picture need. Their mean is over 256 warps; it may be off by some standard
# errors.

# %%
share = np.searchsorted(np.sort(needed), np.arange(needed.max() + 1), side="right") / len(needed)
predicted = (1 - share**WARP).sum()
standard_error = by_warp.std() / math.sqrt(len(by_warp))
print(f"(divergence) {by_warp.mean():.2f} steps a warp, predicted {predicted:.2f}, standard error {standard_error:.2f}")
check_equal("divergence", by_warp.mean(), predicted, tolerance=4 * standard_error / predicted)

# %% [markdown]
# Sorting helps, as neighbours then need about the same. But the number of steps is known afterwards only. A rough
# solve, with a tolerance of $10^{-3}$ in place of $10^{-6}$, takes a fraction of the steps and knows who is slow:

# %%
print(f"steps of the rough solve: {rough.sum() / needed.sum():.0%} of the fine one")
print(f"correlation of the ranks: {np.corrcoef(needed.argsort().argsort(), rough.argsort().argsort())[0, 1]:.3f}")
print("steps made / needed, with the rough solve counted, by warps as they came:")
rough_cost = rough.reshape(-1, WARP).max(axis=1).sum() / (needed.sum() / WARP)
print(f"  {wasted['by a rough solve'] + rough_cost:.2f} against {wasted['as they came']:.2f}")
assert rough.sum() < 0.5 * needed.sum()

# %% [markdown]
# Once, it hardly pays. In training it does: the order of one epoch serves the next.
#
# ## Step 4 · Sums
#
# For a network with 50 hidden units, a thread a trajectory is not the best use: a *warp* can share the units of one
# sample, and add up what they contribute. Its threads exchange numbers by shuffles: in five rounds, thread $l$ adds the
# number of thread $l \oplus 16$, then $l \oplus 8$, and so on,
#
# $$v_l^{(r + 1)} = v_l^{(r)} + v_{l \oplus 2^{4 - r}}^{(r)}, \qquad v_l^{(5)} = \sum_{m} v_m^{(0)} .$$ (eq-butterfly)
#
# Two things matter. All threads get **the same bits**, since $a + b = b + a$ in floating point: they take the same
# decisions, and the warp never diverges. And the error is that of five additions, not of 31.


# %%
def butterfly(values):
    """Return what each of 32 threads holds after five rounds."""
    lanes = np.arange(WARP)
    for distance in (16, 8, 4, 2, 1):
        values = values + values[lanes ^ distance]
    return values


def one_by_one(values):
    total = values.dtype.type(0)
    for value in values:
        total += value
    return total


worst = {"butterfly": 0.0, "one by one": 0.0}
for _ in range(200):
    numbers = rng.uniform(0, 1, WARP).astype(np.float32)
    exact, sums = math.fsum(numbers), butterfly(numbers)
    assert len(set(sums.tolist())) == 1  # all threads agree to the last bit
    for name, got in (("butterfly", sums[0]), ("one by one", one_by_one(numbers))):
        worst[name] = max(worst[name], abs(float(got) - exact) / exact)
print({name: f"{value / np.finfo(np.float32).eps:.2f} eps" for name, value in worst.items()})
check_equal("butterfly", butterfly(numbers), np.full(WARP, exact), tolerance=5 * np.finfo(np.float32).eps)
assert worst["butterfly"] < worst["one by one"]

# %% [markdown]
# The gradient of $\theta$ is a sum over samples. A warp keeps its part in registers, each thread that of its own hidden
# units, and writes it once; no thread adds to a number of another. (Atomic additions would do it in any order, and so
# give other bits in every run; on shared memory they are loops besides.)
#
# ## Step 5 · Registers and occupancy
#
# An SM of an H100 has 65536 registers in four partitions, and room for 64 warps. A warp of a kernel that takes $R$
# registers a thread gets $32 R$, in units of 256, so that with blocks of $w$ warps
#
# $$\text{occupancy} = \frac{w}{64} \left\lfloor \frac{4 \lfloor 16384 / 256 \lceil R / 8 \rceil \rfloor}{w}
# \right\rfloor .$$ (eq-occupancy)
#
# We compare it with counting: blocks arrive, and their warps go to the partition with the most registers left, until
# one finds no room.


# %%
def occupancy(registers, warps):
    """Return the share of an SM's warps that can be resident, as registers allow."""
    held = 4 * (16384 // (256 * -(-registers // 8))) // warps * warps
    return min(held, 64) / 64


def counted(registers, warps):
    """Return the same by letting blocks arrive."""
    left, of_warp, resident = [16384] * 4, 256 * -(-registers // 8), 0
    while resident + warps <= 64:
        for _ in range(warps):
            roomy = left.index(max(left))
            left[roomy] -= of_warp
        if min(left) < 0:
            break
        resident += warps
    return resident / 64


takes = [(registers, warps) for registers in range(16, 256, 5) for warps in (2, 4, 8)]
check_equal("occupancy", [occupancy(*each) for each in takes], [counted(*each) for each in takes], tolerance=0)

# %% [markdown]
# What our kernels take is said by NVIDIA's assembler. The table is read from the page that the proofs have written,
# `cuda_budgets.md`.

# %%
folders = (Path(), Path("tutorials"), Path(inspect.getfile(ne)).parents[1] / "tutorials")  # where a notebook may run
found = [path for folder in folders if (path := folder / "cuda_budgets.md").exists()]
text = found[0].read_text("utf-8") if found else "No GPU was used. The page of budgets is not here."
rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if "| sm_90 |" in line]
print(f"{'kernel':22} {'real':8} registers  shared  occupancy")
for name, real, _, registers, shared, threads, share, *_ in rows:
    print(f"{name.strip('`'):22} {real:8} {registers.split()[0]:>9} {shared:>7} {share:>10}")
    allowed = occupancy(int(registers.split()[0]), -(-int(threads) // WARP))
    assert float(share.rstrip("%")) / 100 < allowed + 0.006  # shared memory and small blocks may allow less

# %% [markdown]
# Few registers are not an aim as such: a kernel with a quarter of the warps may be as fast, if each has enough to do.
# What costs is a *spill*, a register that is kept in memory instead. None of these kernels spills.
#
# | kernel | who solves a sample | for |
# |---|---|---|
# | `thread` | one thread, its state in registers | any field with few components |
# | `warp` | 32 threads, each with some units, weights in registers | perceptrons as large as 2-50-2, and their flows |
# | `tile` | a block, for some samples at once, states in shared memory | perceptrons 64 to 128 wide |
#
# `backend="cuda"` takes the first of the three that can.
#
# ## What was measured, and what was not
#
# The page `cuda_budgets.md` has more: executed instructions per step, from PTX that ran on the CPU; how many steps a
# second that would allow at most, which is an estimate; and *mutants*: kernels with one barrier less, or a shuffle with
# half a mask, each of which the proofs must catch. What none of this shows is time. `nodeedu cuda selfcheck` measures
# it, for those who have a GPU.

# %%
assert "No GPU was used" in text
assert "**nothing**" not in text  # no mutant survived
print("\n".join(line for line in text.splitlines() if line.startswith("**")))

# %% [markdown]
# ## Exercises
#
# 1. *A wavefront of 64.* Some GPUs have 64 threads where these have 32. What does {eq}`eq-divergence` predict for them?
# 2. *Longer and longer.* Integrate up to $t = 100$ instead of 10. Does the waste grow or shrink, and why?
# 3. *Another order.* Sort by the period that the linearisation predicts, $2 \pi / \sqrt{a c}$. How much of the waste
#    does it save, for no solve at all?
# 4. *The bits of a sum.* Find two orders of adding the same 32 numbers that give different bits, and one exchange of
#    the butterfly that would make threads disagree.
#
# ## Further reading
#
# - U. Utkarsh et al.: *Automated translation and accelerated solving of differential equations on multiple GPU
#   platforms*, Comput. Methods Appl. Mech. Eng. 419 (2024) 116591: ensembles, a trajectory a thread.
# - NVIDIA: *CUDA C++ Programming Guide*, the chapters on warps and on compute capabilities.
# - N. J. Higham: *The accuracy of floating point summation*, SIAM J. Sci. Comput. 14 (1993) 783.

# %% tags=["remove-cell"]
plot.show_or_save()
