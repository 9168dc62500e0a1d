"""Solving initial value problems; every sample of a batch has its own steps, and is computed as if it were alone.

    what comes in     arguments, options, checks, callables    checked once, here; methods.py: what a name stands for
    what goes out     solution, tally, status                  states and counters; why a solve ended
    explicit steps    reference                                the algorithm in plain NumPy, on one page
                      runge_kutta, step_control, norms         one step; the size of the next one
                      trial_step, advance, integrate           a round of all lanes, and the driver that makes them
                      systems, lanes, dense_output             what is integrated; what steps work on, and leave behind
                      solve, threads, core                     in chunks and threads; how cores are compiled
    other families    implicit/, multistep/, fixed_step/       one folder each, listed in methods.py
    on top            events/, diagnosis/                      zeros of g(t, z); why a solve failed or struggled
                      scipy_api/                               `solve_ivp` and its classes, step for step with SciPy's

Other modules import from the file that defines a name; those below are for users of arrays.
"""

from __future__ import annotations

from nodeedu.solvers.arguments import Inputs, Options, check_inputs, check_options
from nodeedu.solvers.solution import Solution, Stats
from nodeedu.solvers.solve import require_success, solve

__all__ = ["Inputs", "Options", "Solution", "Stats", "check_inputs", "check_options", "require_success", "solve"]
