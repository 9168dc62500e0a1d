"""All kinds of claims with all slips, and when a judgement of one is right."""

import court_students as students
from court_gradients import gradient

POINTWISE = {
    "adjoint_rhs": (students.adjoint_rhs, (0, 1, 2, 3, 4)),
    "theta_integrand": (students.theta_integrand, (0, 7)),
    "tangent_rhs": (students.tangent_rhs, (0, 52)),
    "log_p_rate": (students.log_p_rate, (0, *range(24, 32))),
    "log_p_rate_fixed": (students.fixed_rate, (0, 35)),
    "trace_estimate": (students.trace_estimate, (0, *range(36, 41))),
}
WHOLE = {
    "jump": (students.jump, (0, 9, 10)),
    "discrete_backward": (students.discrete_backward, (0, *range(41, 49))),
    "linear_adjoint": (students.linear_adjoint, (0, 49, 50)),
    "lagrange": (students.lagrange, (0, 51, 54)),
}


def every_kind(case):
    """Yield (kind, bug, claim) for right claims and for every slip, on one case."""
    P = case.problem
    f = P.field.function
    for kind, (student, bugs) in POINTWISE.items():
        for bug in bugs:
            yield kind, bug, student(f, P, bug)
    yield "log_p_rate", 35, students.mixed_rate(f, P)
    for bug in (0, *range(1, 15), *range(16, 24), 53):
        yield "gradient", bug, gradient(bug, case.L)
    for bug in (0, *range(24, 35)):
        yield "log_p", bug, students.log_p(P, bug)
    for kind, (student, bugs) in WHOLE.items():
        for bug in bugs:
            yield kind, bug, student(bug)


def rightly_judged(judgement, bug):
    """Whether a slip is named, alone or with those that look the same here; or cannot be seen here, and it is said."""
    if judgement.ok:
        return bug == 0 or bug in [mistake.number for mistake in judgement.hidden]
    same = {mistake.number for pair in judgement.alike for mistake in pair}
    return bug in judgement.numbers and (judgement.numbers == (bug,) or set(judgement.numbers) <= same)
