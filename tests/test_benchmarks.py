"""The benchmarks start without the libraries that they compare with."""

import importlib

import pytest

from benchmarks import environment


@pytest.mark.parametrize("workload", ["spiral", "gradient", "solvers", "flows", "cold", "memory"])
def test_workload_imports_without_the_peers(workload, monkeypatch):
    for name in ("torch", "torchdiffeq", "jax", "diffrax"):
        monkeypatch.setitem(__import__("sys").modules, name, None)  # an import of it now raises ImportError
    assert callable(importlib.import_module(f"benchmarks.{workload}").run)


def test_missing_peer_is_named_with_the_command_that_installs_it(monkeypatch, capsys):
    monkeypatch.setattr(environment.importlib.util, "find_spec", lambda name: None)
    assert environment.installed_peers() == ()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(environment.PEERS)
    for name, line in zip(environment.PEERS, lines, strict=True):
        assert name in line
        assert environment.INSTALL in line
