"""How a solve ended, sample by sample."""

from __future__ import annotations

from nodeedu.errors import SolverError

RUNNING = -1
SUCCESS = 0
TOO_MANY_STEPS = 1
UNDERFLOW = 2
NON_FINITE = 3
KERNEL_FAILED = 4
MIN_STEP = 5
NEWTON_FAILED = 6

# The short name of each cause (`SolverError.cause`), and what to tell the user.
CAUSES: dict[int, tuple[str, str]] = {
    TOO_MANY_STEPS: (
        "max_steps",
        "max_steps = {max_steps} was not enough; raise it, loosen rtol and atol, or take longer fixed steps",
    ),
    UNDERFLOW: (
        "step size underflow",
        "step size underflow; the step size fell below the spacing of floating-point times; "
        "the solution may blow up or be discontinuous there, or rtol = {rtol} is below what round-off allows",
    ),
    NON_FINITE: (
        "non-finite",
        "non-finite{where}; the vector field or the state became nan or infinite, check the field there",
    ),
    KERNEL_FAILED: (
        "kernel failed",
        "kernel failed; the compiled vector field raised an exception, which it can only print",
    ),
    MIN_STEP: (
        "min_step",
        "min_step; a step of the least size, min_step = {min_step}, still fails the error test; lower min_step, loosen "
        "rtol and atol, name a discontinuity in jump_ts, or take an implicit method if the problem is stiff",
    ),
    NEWTON_FAILED: (
        "Newton did not converge",
        "Newton did not converge; the equations of an implicit step have no solution near its start, or the field is "
        "not smooth there; take shorter steps (step_size), or radau5, which chooses its own",
    ),
}


def kernel_failure(gradient: str, method: str, t: float) -> SolverError:
    """Return what to raise when a kernel fails at t on the way back through the steps of a method."""
    cause, text = CAUSES[KERNEL_FAILED]
    return SolverError(f"{gradient}: {method} stopped at t = {t:.6g}: {text}", t=t, method=method, cause=cause)
