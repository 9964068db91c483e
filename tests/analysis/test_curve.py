"""The curve of a linear model in closed form, and what it says beside its suite."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from bench.analysis import ANALYSES
from bench.analysis.observations.curve import Curve
from bench.analysis.stored_brackets import StoredBrackets
from bench.analysis.work import carry_out
from bench.core.types import ThreatModel
from bench.row.arrays.adversarials import Breaks

CURVE = Curve(rounds=12, steps=12)


@pytest.fixture
def measured(subject_of, linear, perfect_suite):
    """The values of the linear model's curve, from a perfect suite at a radius."""

    def measure(curve=CURVE, **suite):
        verdicts = dataclasses.replace(perfect_suite(0.01, suite.pop("passes", 1e9)), **suite)
        subject = subject_of({"line": linear}, verdicts=lambda model: verdicts)
        return curve.conclude(subject, carry_out(curve.tasks(subject), journal=None, identity={}).parts)

    return measure


def test_the_curve_of_a_linear_model_is_known(measured, exact_radius):
    """At every radius as many examples are robust as have a larger exact radius, but for those within a thousandth."""
    found = StoredBrackets.of(measured()["models"]["line"])
    assert found.n_clean == 14
    for radius in np.linspace(0.0005, 0.039, 60):
        near = int(((exact_radius - radius).abs() < 2e-4).sum())
        assert abs(found.n_robust(radius) - int((exact_radius > radius).sum())) <= near


def test_at_the_suites_epsilon_it_is_the_suites_number(measured, exact_radius):
    """With any number of rounds; the claim says so."""
    for rounds in (0, 1, 5):
        values = measured(Curve(rounds=rounds))
        found = values["models"]["line"]
        assert StoredBrackets.of(found).n_robust(0.01) == found["n_robust"] == int((exact_radius > 0.01).sum())
        assert StoredBrackets.of(found).n_unknown(0.01) == 0
        assert CURVE.claims(values)[0].verdict == "holds"


def test_a_curve_that_left_its_suite_would_be_told(measured):
    """The claim is measured, not assumed."""
    values = measured()
    values["models"]["line"]["n_robust"] += 1
    claim = CURVE.claims(values)[0]
    assert claim.verdict == "does not hold"
    assert "6.25 points" in claim.evidence


def test_it_costs_at_most_twice_its_suite(measured):
    """The search stops at the suite's passes."""
    found = measured(passes=700.0)
    assert 0 < found["models"]["line"]["search_passes"] <= 700
    assert CURVE.claims(found)[1].verdict == "holds"
    found["models"]["line"]["search_passes"] = 701
    assert CURVE.claims(found)[1].verdict == "does not hold"


def test_a_stored_break_starts_the_search(measured, examples, linear, exact_radius):
    """Without passes to search, the distance of a stored break is the upper end; what breaks nothing is not."""
    row = int(((exact_radius > 0) & (exact_radius < 0.009)).nonzero()[0])
    rival = linear(examples.inputs)[row].scatter(0, examples.labels[row], -torch.inf).argmax()
    heading = (linear.weight[rival] - linear.weight[examples.labels[row]]).sign().reshape(1, 8, 8)
    moved = (examples.inputs[row] + 0.0099 * heading).numpy()
    breaks = Breaks(
        indices=np.array([row]),
        labels=examples.labels[row : row + 1].numpy(),
        predictions=np.array([int(rival)]),
        margins=np.array([-1], np.float32),
        rounded=np.array([False]),
        deltas=np.empty((0, 1, 8, 8), np.int8),
        exact=moved[None],
    )
    found = measured(breaks=breaks, passes=0.0)["models"]["line"]
    assert found["upper"][row] == pytest.approx(0.0099, abs=1e-6)
    harmless = dataclasses.replace(breaks, exact=examples.inputs[row].numpy()[None])
    assert measured(breaks=harmless, passes=0.0)["models"]["line"]["upper"][row] == 0.01


def test_the_ceiling_stays_within_what_a_threat_model_may_be(subject_of, linear, perfect_suite):
    """Four times 1/2 would be beyond [0, 1]."""
    subject = subject_of(
        {"line": linear}, threat_model=ThreatModel.parse("Linf:1/2"), verdicts=lambda model: perfect_suite(0.5, 100.0)
    )
    parts = carry_out(CURVE.tasks(subject), journal=None, identity={}).parts
    assert parts["line"]["ceiling"] == 0.99


def test_tables_and_figures_follow_from_the_values(measured):
    """One line for each model, two figures."""
    values = measured()
    (table,) = CURVE.tables(values)
    assert [row[0] for row in table.rows] == ["line"]
    assert len(table.rows[0]) == len(table.headers)
    assert table.rows[0][2].startswith("87.5 ")
    assert len(CURVE.draw(values)) == 2


def test_it_ships():
    """Under its name, with three classes and few rounds, which keeps the default short."""
    assert ANALYSES.get("curve") == Curve(rounds=5, steps=10, targets=3)
