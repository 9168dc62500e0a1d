"""Work-precision diagrams: the states at the end are right, and so are the costs and the judgement of claims."""

import math

import numpy as np
import pytest

import nodeedu as ne
from nodeedu import cli, plot
from nodeedu.verify import work_precision, work_precision_figure
from nodeedu.verify.ode_problems import NONSTIFF, STIFF, OdeProblem
from nodeedu.verify.work_precision import FOR_NONSTIFF, FOR_STIFF, Method, Run, compare, cost


@pytest.mark.jit
@pytest.mark.parametrize("problem", STIFF, ids=lambda problem: problem.name)
def test_published_states_of_the_stiff_problems_are_met(problem):
    options = {"rtol": 1e-6, "atol": 1e-6 * problem.atol_ratio}
    zs = ne.odeint(problem.f, problem.z0, (0.0, problem.t_end), method="radau5", **options).zs
    assert problem.error(zs[-1]) < 1e-6  # measured: at most 1.4e-7


def test_the_reference_of_an_orbit_solves_keplers_equation():
    orbit, e, u = next(problem for problem in NONSTIFF if problem.name == "D3"), 0.5, 20.0
    for _ in range(50):
        u -= (u - e * math.sin(u) - orbit.t_end) / (1 - e * math.cos(u))
    exact = [math.cos(u) - e, math.sqrt(1 - e * e) * math.sin(u)]
    np.testing.assert_allclose(orbit.reference[:2], exact, atol=1e-10)  # DOP853 at 1e-13; errors grow along an orbit


def test_the_error_is_that_of_the_worst_component():
    stiff = OdeProblem("stiff", lambda t, z: z, (1.0, 1.0), published=(1.0, 1e-8))
    assert stiff.error(np.array([1.001, 1.1e-8])) == pytest.approx(0.1)


@pytest.mark.jit
def test_dopri5_makes_the_evaluations_of_scipys_rk45():
    problem = next(problem for problem in NONSTIFF if problem.name == "B5")
    results = compare([problem], [Method("dopri5", False, 0, 1e-6), Method("RK45", True, 0, 1e-6)], (1e-3, 1e-6, 1e-9))
    ours, theirs = results["B5", "dopri5"], results["B5", "SciPy RK45"]
    assert [run.evaluations for run in ours] == [run.evaluations for run in theirs]
    assert [run.rtol for run in ours] == [1e-3, 1e-6]


RUNS = [Run(1e-2, 1e-2, 100, 0.1, 0.1), Run(1e-3, 1e-1, 200, 0.2, 0.2), Run(1e-4, 1e-4, 400, 0.4, 0.4)]


@pytest.mark.parametrize(
    ("error", "evaluations"),
    [(1.0, 100.0), (1e-2, 100.0), (1e-3, math.sqrt(200 * 400)), (1e-4, 400.0), (1e-5, math.nan)],
)
def test_a_cost_lies_between_the_runs_that_pay(error, evaluations):
    assert cost(RUNS, error, lambda run: run.evaluations) == pytest.approx(evaluations, nan_ok=True)


def made_up(theirs):
    """Results of which errors equal tolerances; SciPy's methods cost `theirs` times as much as ours."""

    def runs(method):
        prices = [(theirs if method.scipy else 1.0) * 10.0 ** (k / 4) for k in range(1, 13)]
        return [Run(10.0**-k, 10.0**-k, round(1000 * x), x, x) for k, x in enumerate(prices, 1)]

    return lambda problems, methods: {(p.name, m.label): runs(m) for p in problems for m in methods}


@pytest.mark.parametrize(("theirs", "code", "word"), [(30.0, 0, "PASS"), (0.5, 1, "FAIL")])
def test_the_command_fails_with_a_claim(theirs, code, word, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(work_precision, "compare", made_up(theirs))
    for name in ("draw_nonstiff", "draw_stiff"):
        monkeypatch.setattr(work_precision_figure, name, lambda results: plot.figure(size=(1, 1))[0])
    assert work_precision.run(tmp_path) == code
    said = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]
    assert said == 7 * [word]


@pytest.mark.slow
def test_the_command_draws_both_figures(tmp_path, monkeypatch):
    monkeypatch.setattr(work_precision, "compare", made_up(30.0))
    assert cli.main(["figure", "work-precision", "--out", str(tmp_path)]) == 0
    drawn = sorted(path.name for path in tmp_path.iterdir())
    assert drawn == ["work_precision_nonstiff.png", "work_precision_stiff.png"]


def test_methods_of_one_kind_share_a_colour():
    kinds = {"bosh3": "RK23", "dopri5": "RK45", "dop853": "DOP853", "adams": "LSODA", "radau5": "Radau"}
    colors = {method.name: method.color for method in FOR_NONSTIFF + FOR_STIFF[:3]}
    assert all(colors[ours] == colors[theirs] for ours, theirs in kinds.items())
