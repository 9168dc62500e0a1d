"""Every chapter runs as a script, and every equation that it numbers was executed."""

import re
import runpy
from pathlib import Path

import pytest

# A chapter evaluates vector fields some ten thousand times: minutes without compiled code.
pytestmark = pytest.mark.jit

FOLDER = Path(__file__).parent.parent / "tutorials"
CHAPTERS = [path.stem for path in sorted(FOLDER.glob("[0-9]*.py"))]
PARTS = (
    "**What you will do.**", "**What you will learn.**", "**What you need.**", "## The picture of the result",
    "measured", "## Exercises", "## Further reading",
)  # fmt: skip


def text(chapter):
    return (FOLDER / f"{chapter}.py").read_text(encoding="utf-8")


def labels(chapter):
    return re.findall(r"\$\$ \(eq-([\w-]+)\)", text(chapter))


@pytest.fixture(scope="module", params=CHAPTERS)
def run(request, tmp_path_factory):
    """Run a chapter once, and keep its variables and the folder that it was told to draw into."""
    folder = tmp_path_factory.mktemp(request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NODEEDU_FIGURES", str(folder))
        variables = runpy.run_path(str(FOLDER / f"{request.param}.py"), run_name="__main__")
    return request.param, variables, folder


def test_every_numbered_equation_of_a_chapter_is_checked(run):
    chapter, variables, _ = run
    assert sorted(variables["checks"]) == sorted(labels(chapter))


def test_a_chapter_draws_its_figures(run):
    chapter, _, folder = run
    named = re.findall(r'(?:num=|set_label\()"(\w+)"', text(chapter))
    assert sorted(path.stem for path in folder.glob("*.png")) == sorted(named)


@pytest.mark.parametrize(
    ("chapter", "steps"),
    [
        ("01_resnet_is_euler", ["a1", "a2", "a3", "a4", "a5", "a6", "a8"]),
        ("02_solvers", ["a7"]),
        ("06_adjoint_by_limits", ["b1", "b2", "b3", "b4", "b5", "b6", "b7", "b8", "b9", "b10", "k1", "k2"]),
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
