"""Every chapter runs as a script, and every equation that it numbers was executed."""

import re

import pytest
from chapters import CHAPTERS, FOLDER

# A chapter evaluates vector fields some ten thousand times: minutes without compiled code.
pytestmark = pytest.mark.jit

PARTS = (
    "**What you will do.**", "**What you will learn.**", "**What you need.**", "## The picture of the result",
    "measured", "## Exercises", "## Further reading",
)  # fmt: skip


def text(chapter):
    return (FOLDER / f"{chapter}.py").read_text(encoding="utf-8")


def labels(chapter):
    return re.findall(r"\$\$ \(eq-([\w-]+)\)", text(chapter))


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_every_numbered_equation_of_a_chapter_is_checked(chapter, chapter_runs):
    assert chapter_runs.labels(chapter) == sorted(labels(chapter))


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_draws_its_figures(chapter, chapter_runs):
    chapter_runs.labels(chapter)  # wait until it is done
    named = re.findall(r'(?:num=|set_label\()"(\w+)"', text(chapter))
    assert sorted(path.stem for path in chapter_runs.figures(chapter).glob("*.png")) == sorted(named)


@pytest.mark.parametrize(
    ("chapter", "steps"),
    [
        ("01_resnet_is_euler", ["a1", "a2", "a3", "a4", "a5", "a6", "a8"]),
        ("02_solvers", ["a7"]),
        ("04_forward_sensitivity", ["k1", "k2", "k3"]),
        ("05_linear_adjoint_trick", ["g1", "g2", "g3"]),
        ("06_adjoint_by_limits", ["b1", "b2", "b3", "b4", "b5", "b6", "b7", "b8", "b9", "b10", "k1", "k2"]),
        ("07_adjoint_by_lagrange", ["c1", "c2", "c3", "c4", "c5", "c6"]),
        ("08_duality_and_invariants", ["k1", "k2", "k3", "f4"]),
        ("09_parameters_times_observations", ["e1", "e2", "e3", "e4", "e5", "e6", "e7", "f1", "f2", "f3"]),
        ("10_discretise_optimise", ["d1", "d2", "d3", "d4", "d5", "l1", "l2", "l3", "l4"]),
        ("11_running_backwards", ["m1", "m3"]),
        ("12_change_of_variables", [f"h{k}" for k in range(1, 13) if k != 11] + ["i1", "i2", "i3"]),
        ("12_change_of_variables", ["n1", "n2", "n3", "n4", "n10", "n11"]),
        ("13_hutchinson_ffjord", ["j1", "j2", "j3", "j4", "j5", "h13"]),
        ("16_from_tape_to_kernel", ["stage", "error", "divergence", "butterfly", "occupancy"]),
        ("14_flow_matching", ["field", "weak", "continuity", "split", "gradients"]),
    ],
)
def test_a_derivation_leaves_out_no_step(chapter, steps):
    assert set(steps) <= set(labels(chapter))


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_chapters_have_the_same_parts(chapter):
    places = [text(chapter).find(part) for part in PARTS]
    assert -1 not in places


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_references_to_equations_exist(chapter):
    assert set(re.findall(r"\{eq\}`eq-([\w-]+)`", text(chapter))) <= set(labels(chapter))


def test_the_table_of_chapters_is_complete():
    table = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"\]\((\w+)\.py\)", table) == CHAPTERS
