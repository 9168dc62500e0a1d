"""What the README promises: its commands, its code, its figure, its links."""

import re
from pathlib import Path

import numpy as np
import pytest

import nodeedu as ne
from nodeedu.solvers import methods

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
CODE = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)


@pytest.mark.parametrize(
    "command",
    [
        "python3 -m venv .venv && .venv/bin/pip install -e . && .venv/bin/nodeedu fit",
        'python3 -m venv .venv && .venv/bin/pip install -e ".[test]" && .venv/bin/pytest',
    ],
)
def test_the_two_commands_stand_on_lines_of_their_own(command):
    assert command in TEXT.splitlines()


@pytest.mark.jit
def test_the_code_computes_the_gradient_that_it_says():
    names = {}
    exec(CODE[0], names)
    ne, z0, theta = names["ne"], names["z0"], names["theta"]
    assert names["sol"].zs.shape == (11, 20, 2)

    def loss(z0):
        zs = ne.odeint(names["field"], z0, names["ts"], theta, rtol=1e-10, atol=1e-12).zs
        return 0.5 * np.sum((zs - 1.0) ** 2)

    moved, h = np.zeros_like(z0), 1e-4
    moved[3, 1] = h
    # the README solves to 1e-6; here, differences of losses that are good to 1e-9, divided by 2 h
    assert (loss(z0 + moved) - loss(z0 - moved)) / (2 * h) == pytest.approx(names["g"].z0[3, 1], rel=1e-3)


@pytest.mark.jit  # in plain Python: 12 s; others run the same lines
def test_the_court_names_the_mistake_as_it_says(capsys):
    exec(CODE[1], {"ne": ne})
    promised = re.search(r"# (FAIL.*) …", CODE[1])[1]
    assert promised in capsys.readouterr().out


def test_the_failure_is_explained_as_it_says(capsys):
    exec(CODE[2], {"ne": ne})
    promised = re.search(r"# (.*)…", CODE[2])[1]
    assert capsys.readouterr().out.startswith(promised)


def test_all_methods_are_in_the_table():
    known = [name for name in methods.names() if not name.startswith(("adams_", "reversible_"))]
    assert [name for name in known if f"`{name}`" not in TEXT] == []


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#:]+)\)", TEXT))))
def test_links_lead_to_files(link):
    assert (ROOT / link).is_file()


def test_the_figure_is_small_enough_for_the_repository():
    assert (ROOT / "figures/lynx_hare_fit.png").stat().st_size < 150_000


@pytest.mark.jit
def test_the_routes_of_the_flow_agree_as_it_says(capsys):
    names = {}
    exec(CODE[0], names)
    exec(CODE[3], names)
    assert names["points"].shape == (1000, 2)
    assert "agree" in capsys.readouterr().out
