"""Which kernel solves a problem for ``backend="cuda"``: the first of thread, warp and tile that can."""

from __future__ import annotations

from typing import Any

from nodeedu.cuda.device import SIMULATOR, Target
from nodeedu.cuda.limits import require_choices, require_discrete_fit, require_fit, require_gradient_fit
from nodeedu.cuda.tile_launch import require_tile
from nodeedu.cuda.warp_launch import require_warp
from nodeedu.solvers.arguments import Inputs, Options

__all__ = ["choose_kernel"]


def choose_kernel(inputs: Inputs, options: Options, target: Target, gradient: str = "") -> str:
    """Return "thread", "warp" or "tile", the kernel for a problem.

    =======  ======================  =============================================================  ==================
    kernel   who has a sample        which fields                                                   gradients
    =======  ======================  =============================================================  ==================
    thread   a thread                any of few components whose layers are narrow                  discrete, backsolve
    warp     32 threads              perceptrons with one hidden layer, and their flows (`augment`),  backsolve
                                     whose weights fit into the registers of a warp
    tile     a block has several     perceptrons with one hidden layer, up to 256 wide              backsolve
    =======  ======================  =============================================================  ==================

    Warp and tile take adaptive steps by methods whose last stage is the first of the next step, the norm "rms", and
    no jumps. Numba's simulator has no shuffles, and so no warps: there a tile takes what a warp would.

    Parameters
    ----------
    inputs, options : Inputs, Options
        Checked.
    target : Target
        Where the kernel is to run.
    gradient : {"", "backsolve", "discrete"}
        Which gradient is asked for; none for the forward solve.

    Raises
    ------
    ValueError
        If no kernel can; the message has the reason of each.
    """
    require_choices(inputs, options)
    refusals = []
    for kernel, require_fit_of in (("thread", _require_thread), ("warp", _require_warp), ("tile", _require_tile)):
        try:
            require_fit_of(inputs, options, target, gradient)
        except ValueError as error:
            refusals.append(f"\n  kernel {kernel!r}: {error}")
        else:
            return kernel
    what = f"for method={gradient!r} " if gradient else ""
    raise ValueError(f"backend: 'cuda' has no kernel {what}here, take backend='cpu'.{''.join(refusals)}")


def _require_thread(inputs: Inputs, options: Options, target: Target, gradient: str) -> None:
    if gradient == "discrete":
        require_discrete_fit(inputs, options, target)
    elif gradient:
        require_gradient_fit(inputs, options, target)
    else:
        require_fit(inputs, options)


def _require_warp(inputs: Inputs, options: Options, target: Target, gradient: str) -> None:
    if target is SIMULATOR:
        raise ValueError("target: Numba's simulator has no shuffles, by which the lanes of a warp exchange numbers")
    _require_no_steps(gradient)
    require_warp(inputs, options, bool(gradient))


def _require_tile(inputs: Inputs, options: Options, target: Target, gradient: str) -> None:
    _require_no_steps(gradient)
    require_tile(inputs, options, bool(gradient))


def _require_no_steps(gradient: Any) -> None:
    if gradient == "discrete":
        raise ValueError("method: 'discrete' goes back over the steps that threads keep; take method='backsolve'")
