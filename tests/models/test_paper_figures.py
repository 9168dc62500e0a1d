"""Figures 4 and 5: intervals, verdicts, and that they are drawn from recorded numbers without training."""

import numpy as np
import pytest

from nodeedu.fitting import DataError
from nodeedu.flows import StandardNormal
from nodeedu.flows.targets import target
from nodeedu.models.paper import figure4, figure5, planar, record
from nodeedu.models.paper.statistics import Interval, interval

Z = StandardNormal(2).sample(40, 0)


def test_the_interval_is_that_of_student():
    # Student 1908, by the table of t: 2.776 for four degrees of freedom; mean 3, deviation sqrt(2.5)
    mean, half = interval([1.0, 2.0, 3.0, 4.0, 5.0])
    assert mean == 3.0
    assert half == pytest.approx(2.776 * np.sqrt(2.5 / 5.0), rel=1e-3)


def test_one_value_has_no_interval():
    with pytest.raises(ValueError, match="at least two numbers"):
        interval([1.0])


@pytest.mark.parametrize(("mean", "half", "below"), [(-1.0, 0.5, True), (-1.0, 1.5, False), (1.0, 0.5, False)])
def test_below_zero_is_for_the_whole_interval(mean, half, below):
    assert Interval(mean, half).below_zero == below


@pytest.mark.parametrize("kind", planar.MODELS)
def test_reverse_kl_is_the_mean_of_log_q_over_p(kind):
    """By the density of q at the samples, with the flow run backwards as a second route."""
    p = target("u1")
    theta = (planar.layers(3) if kind == "NF" else planar.units(3)[0]).init(1)
    x, log_q = planar.carried(kind, 3, theta, p, Z)
    if kind == "NF":
        back = planar.layers(3).pull(x, theta)
        np.testing.assert_allclose(back, Z, atol=1e-9)  # bisection to rounding, times the slope of three layers
    else:
        flow = planar.units(3)[1]
        np.testing.assert_allclose(flow.log_prob(x, theta, rtol=1e-8, atol=1e-8), log_q, atol=1e-4)  # FINAL, both ways
    assert planar.reverse_kl(kind, 3, theta, p, Z) == pytest.approx(np.mean(log_q - p.log_prob(x)), rel=1e-12)


@pytest.mark.parametrize("kind", planar.MODELS)
@pytest.mark.jit  # in plain Python: 6 s; others run the same lines
def test_twenty_steps_lower_the_reverse_kl(kind):
    budget, p = planar.Budget(steps=20, batch=16, rate=3e-2), target("u1")
    theta, _ = planar.train_model(kind, 3, 0, budget, StandardNormal(2).sample, p)
    first = (planar.layers(3) if kind == "NF" else planar.units(3)[0]).init(0)
    assert planar.reverse_kl(kind, 3, theta, p, Z) < planar.reverse_kl(kind, 3, first, p, Z)


def test_a_record_keeps_the_parameters_of_the_best_seed_and_is_taken_up_again(tmp_path):
    path, about = tmp_path / "record.json", {"steps": 3}
    book = record.Book(path, about)
    for seed, kl in enumerate([0.3, 0.1, 0.2]):
        book.add({"target": "u1", "seed": seed}, {"kl": kl}, "u1", {"w": np.full((2, 2), seed / 3.0), "b": np.ones(1)})
    again = record.Book(path, about)
    assert again.has({"target": "u1", "seed": 2})
    assert not again.has({"target": "u2", "seed": 2})
    np.testing.assert_allclose(record.parameters(record.read(path), "u1")["w"], 1.0 / 3.0, rtol=1e-6)  # six digits
    np.testing.assert_array_equal(record.select(again.runs, "kl", target="u1"), [0.3, 0.1, 0.2])
    assert record.Book(path, {"steps": 4}).runs == []


def test_what_is_no_record_is_refused(tmp_path):
    (tmp_path / "record.json").write_text("{}")
    with pytest.raises(DataError, match="expected the numbers of a training run"):
        record.read(tmp_path / "record.json")


@pytest.mark.parametrize("figure", [figure4, figure5])
def test_the_claims_of_the_paper_are_judged_from_the_recorded_numbers(figure, capsys):
    held = figure.claims(record.read(figure.NUMBERS))
    lines = capsys.readouterr().out.splitlines()
    assert [line[:4] for line in lines] == ["PASS" if each else "FAIL" for each in held]
    assert len(held) == 2
    assert all(" ± " in line for line in lines)


def test_the_recorded_numbers_come_of_the_recorded_parameters():
    """Reverse KL of one model of the record, by other draws."""
    found = record.read(figure4.NUMBERS)
    theta = record.parameters(found, "u1 NF 8")
    best = record.select(found["runs"], "kl", target="u1", model="NF", size=8).min()
    again = planar.reverse_kl("NF", 8, theta, target("u1"), StandardNormal(2).sample(4000, 1))
    assert again == pytest.approx(best, abs=0.03)  # log q/p scatters by 0.4 or less: six standard errors of 4000 draws


@pytest.mark.slow
@pytest.mark.jit
@pytest.mark.parametrize("figure", [figure4, figure5])
def test_figures_are_drawn_from_the_recorded_numbers(figure, tmp_path, capsys):
    code = figure.run(tmp_path)
    assert code == (1 if "FAIL" in capsys.readouterr().out else 0)
    assert next(tmp_path.glob("*.png")).stat().st_size > 100_000
