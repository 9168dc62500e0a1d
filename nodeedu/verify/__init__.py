"""What is claimed, put to the test: a folder for each kind of claim, and a verb of the command line for each folder.

- tableau: Butcher tableaus, ours and those of others (`nodeedu tableau`)
- equations: every step of the derivations, and its mutants (`nodeedu equations`)
- errata: formulas that were published wrong (`nodeedu errata`)
- court: gradients and derivations of your own (`nodeedu check-gradient`)
- work_precision, ode_problems: what an error costs, beside SciPy (`nodeedu figure work-precision`)
- stability_regions, stability_figure: where methods of fixed steps are stable (`nodeedu figure stability`)
- peak_memory: what a call takes of the machine's memory
- problem, standard_problems, walk, steps: what all of them are tried on
- checks: how the chapters check their equations
"""

from .tableau import Audit, Claim, ClaimedTableau, audit, find, read

__all__ = ["Audit", "Claim", "ClaimedTableau", "audit", "find", "read"]
