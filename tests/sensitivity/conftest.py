"""The problems M and V, and what is true of them, for all tests of this folder."""

import pytest
from adjoint_problems import PROBLEMS
from gradient_truths import sensitivities


@pytest.fixture(scope="session", params=PROBLEMS, ids=lambda problem: problem.name)
def problem(request):
    return request.param


@pytest.fixture(scope="session")
def truth(problem):
    return sensitivities(problem)
