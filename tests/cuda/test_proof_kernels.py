"""All kernels of the registry: within their budgets on three architectures, equal to the CPU, all mutants caught.

One run of everything, in several processes; the tests look at what it found. Kernels that are still to be measured on
a GPU are measured with `nodeedu cuda selfcheck`.
"""

import re
from pathlib import Path

import pytest

from nodeedu.cuda.proof.compile import ARCHITECTURES
from nodeedu.cuda.proof.page import to_markdown
from nodeedu.cuda.proof.prove import REALS, prove_all
from nodeedu.cuda.registry import named, rows

pytestmark = [pytest.mark.cuda, pytest.mark.jit]

VERSIONS = re.compile(r"(?:nvidia-[\w-]+|numba-cuda) [\d.]+")
PAGE = Path(__file__).parents[2] / "tutorials" / "cuda_budgets.md"
KERNELS = [row.name for row in rows()]


@pytest.fixture(scope="module")
def everything():
    return {(proof.kernel, proof.real): proof for proof in prove_all()}


@pytest.fixture(params=REALS)
def real(request):
    return request.param


@pytest.mark.parametrize("kernel", KERNELS)
def test_results_are_those_of_the_cpu_and_resources_within_the_budget(everything, kernel, real):
    assert everything[kernel, real].problems == ()


@pytest.mark.parametrize("kernel", KERNELS)
def test_it_is_assembled_for_all_architectures(everything, kernel, real):
    assert [use.arch for use in everything[kernel, real].uses] == list(ARCHITECTURES)


@pytest.mark.parametrize("kernel", KERNELS)
def test_no_function_of_it_spills_or_has_a_stack_frame(everything, kernel, real):
    for use in everything[kernel, real].uses:
        assert (use.assembled.spills, use.assembled.stack) == (0, 0)


@pytest.mark.parametrize("kernel", KERNELS)
def test_every_missing_barrier_and_every_half_mask_is_caught(everything, kernel):
    found = everything[kernel, "float64"].mutants
    assert [what for what, how in found.items() if not how] == []
    assert bool(found) == (bool(everything[kernel, "float64"].execution.barriers) or named(kernel).shuffles)


def test_the_page_of_budgets_is_what_was_found(everything):
    """Renew it with ``python -m nodeedu.cuda.proof.prove --page tutorials/cuda_budgets.md``."""
    # What follows the budgets depends on the steps taken, and these on the last bits of the CPU's own tanh.
    texts = to_markdown(list(everything.values())), PAGE.read_text(encoding="utf-8")
    page, written = (text.partition("## Executed")[0] for text in texts)
    if VERSIONS.findall(page) != VERSIONS.findall(written):
        pytest.skip("the page was made with other versions of NVIDIA's tools")
    assert page == written
