"""What is claimed, put to the test.

    tableau/       Butcher tableaus, ours and those of others           nodeedu tableau
    equations/     every step of the derivations, and its mutants       nodeedu equations
    errata/        formulas that were published wrong                   nodeedu errata
    court/         gradients and derivations of your own                nodeedu check-gradient
    work_precision*.py, ode_problems.py                                 nodeedu figure work-precision
    problem.py, standard_problems.py, walk.py, steps.py                 what all of them are checked on
"""

from .tableau import Audit, Claim, ClaimedTableau, audit, find, read

__all__ = ["Audit", "Claim", "ClaimedTableau", "audit", "find", "read"]
