"""The largest states that limits.py lets a thread have are those of kernels that stay in registers.

A tool for more: ``measured(what, method, real, size)`` says what ptxas reports for any other state.
"""

import numpy as np
import pytest

import nodeedu as ne
from nodeedu.cuda.ensemble import make_launch
from nodeedu.cuda.limits import LARGEST_STATE
from nodeedu.cuda.proof import PTX
from nodeedu.cuda.proof.assemble import assemble
from nodeedu.cuda.proof.compile import ARCHITECTURES
from nodeedu.cuda.thread_gradients import make_backward, make_discrete, trail_of
from nodeedu.solvers.arguments import check_inputs, check_options
from nodeedu.solvers.solve import solve

pytestmark = [pytest.mark.cuda, pytest.mark.jit]


def lorenz_96(t, z, theta):
    """Each component meets three neighbours (Lorenz 1996): as many products as components, nothing to keep."""
    n = len(z)
    return np.stack([(z[(i + 1) % n] - z[i - 2]) * z[i - 1] - z[i] + theta[0] * np.sin(t) for i in range(n)])


def measured(what, method, real, size):
    """Assemble a kernel for all architectures."""
    theta, z0 = np.array([1.3]), np.random.default_rng(0).normal(size=(3, size)).astype(real)
    inputs = check_inputs(ne.vector_field(lorenz_96, np.zeros(size), theta), z0, np.linspace(0.0, 0.1, 3), theta)
    options = check_options(method, shape=(size,))
    if what == "forward":
        kernel, _, given = make_launch(inputs, inputs.p[None], options, PTX)
    else:
        solution = solve(inputs, options, record=True)
        zs, zs_bar = solution.zs, np.ones_like(solution.zs)
        if what == "backsolve":
            kernel, _, given = make_backward(inputs, options, zs, zs_bar, solution._samples["h"], PTX)
        else:
            kernel, _, given = make_discrete(inputs, options, trail_of(solution), zs_bar, PTX)
    return [assemble(kernel.ptx((given,), arch), arch) for arch in ARCHITECTURES]


@pytest.mark.parametrize(
    ("what", "method"),
    [
        ("forward", "dopri5"),
        pytest.param("forward", "dop853", marks=pytest.mark.slow),  # a minute each
        pytest.param("backsolve", "dopri5", marks=pytest.mark.slow),
        pytest.param("discrete", "dopri5", marks=pytest.mark.slow),
    ],
)
def test_the_largest_state_of_float64_has_neither_spills_nor_a_stack_frame(what, method):
    size = LARGEST_STATE[what]["float64"][method == "dop853"]
    assert [(use.spills, use.stack) for use in measured(what, method, np.float64, size)] == [(0, 0)] * 3
