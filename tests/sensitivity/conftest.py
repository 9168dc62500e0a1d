"""The problems M and V, and what is true of them, for all tests of this folder."""

import pytest
from adjoint_problems import PROBLEMS
from gradient_truths import sensitivities


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Leave `forward` on M to compiled code: 38 tangents at each evaluation; on V, with 6, plain Python runs it."""
    for item in items:
        given = item.callspec.params if hasattr(item, "callspec") else {}
        if given.get("method") == "forward" and getattr(given.get("problem"), "name", "") == "M":
            item.add_marker(pytest.mark.jit)


@pytest.fixture(scope="session", params=PROBLEMS, ids=lambda problem: problem.name)
def problem(request):
    return request.param


@pytest.fixture(scope="session")
def truth(problem):
    return sensitivities(problem)
