"""Always-failing examples: sets that are known, and a model with dummy classes whose answers are made up."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.analysis import ANALYSES, SuiteVerdicts
from bench.analysis.always_failing import by_chance, shares
from bench.analysis.landing import PLACES, landing, place_of
from bench.analysis.work import carry_out
from bench.core.types import ThreatModel
from bench.row.arrays.adversarials import Breaks

FAILING = ANALYSES.get("failing")


class Paired(nn.Module):
    """Two classes and their dummies; the raw logits follow the mean of the image."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([1.0, -1.0, 3.0, -3.0]), requires_grad=False)

    def raw(self, inputs: Tensor) -> Tensor:
        return (inputs.mean(dim=(1, 2, 3)) - 0.5)[:, None] * self.weight

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.maximum(*self.raw(inputs).chunk(2, dim=1))


def verdicts(fails, breaks=None):
    """A suite that all models in `fails` are judged by, by name."""

    def ask(model):
        robust = tuple(not bad for bad in fails[model.name])
        shown = breaks if breaks is not None else Breaks.none((1, 8, 8))
        return SuiteVerdicts(
            suite="quick-v1", stored=True, clean=(True,) * len(robust), robust=robust, breaks=shown, passes=1.0
        )

    return ask


def measured(subject):
    return FAILING.conclude(subject, carry_out(FAILING.tasks(subject), journal=None, identity={}).parts)


def test_the_share_of_k_models_is_the_mean_over_all_subsets():
    """Against every subset written out."""
    fails = np.random.default_rng(0).random((5, 40)) < 0.4
    found = shares(fails, seed=0)
    for size in range(1, 6):
        each = [fails[list(subset)].all(axis=0).mean() for subset in itertools.combinations(range(5), size)]
        assert found[size - 1]["mean"] == pytest.approx(np.mean(each))
        assert (found[size - 1]["least"], found[size - 1]["most"]) == pytest.approx((min(each), max(each)))


def test_where_there_are_too_many_subsets_the_mean_stays_exact():
    """Fourteen models have 3,432 subsets of seven; the ends are then of those that were tried."""
    fails = np.random.default_rng(1).random((14, 12)) < 0.6
    exact = np.mean([fails[list(subset)].all(axis=0).mean() for subset in itertools.combinations(range(14), 7)])
    found = shares(fails, seed=0)[6]
    assert found["mean"] == pytest.approx(exact)
    assert found["least"] <= exact <= found["most"]
    assert shares(fails, seed=0) == shares(fails, seed=0)


def test_chance_is_the_product_of_the_models_own_shares():
    """Half and half of independent failures make a quarter."""
    assert by_chance(np.array([[True, False], [True, False]])) == 0.25


def test_places_are_told_by_the_largest_raw_logit():
    """The class, its dummy, another class, another's dummy."""
    raw = torch.eye(4)
    assert place_of(raw, torch.zeros(4, dtype=torch.int64)).tolist() == [0, 2, 1, 3]
    assert place_of(raw, torch.ones(4, dtype=torch.int64)).tolist() == [2, 0, 3, 1]


def test_landing_places_follow_the_attack(examples):
    """All start in the dummy of class 0, and an attack on what decides moves them to that of class 1."""
    bright = type(examples)(
        inputs=examples.inputs.clamp_min(0.505), labels=torch.zeros_like(examples.labels), indices=examples.indices
    )
    threat_model = ThreatModel.parse("Linf:1/10")
    found = landing(Paired(), bright, threat_model, (FAILING.pgd, FAILING.naive), seed=0)
    assert found["clean"] == [0, 16, 0, 0]
    assert found["pgd-20"] == [0, 0, 0, 16]
    assert sum(found["naive-pgd-20"]) == 16


def test_models_that_fail_together_do_so_more_than_by_chance(subject_of, linear):
    """Two that fail on the same half."""
    same = [True] * 8 + [False] * 8
    subject = subject_of({"one": linear, "other": linear}, verdicts=verdicts({"one": same, "other": same}))
    values = measured(subject)
    assert (values["n_always"], values["by_chance"]) == (8, 0.25)
    assert values["indices"] == list(range(8))
    (claim,) = FAILING.claims(values)
    assert claim.verdict == "holds"
    assert "50.0 (28.0 to 72.0) % of 16" in claim.evidence


def test_models_that_fail_apart_do_not(subject_of, linear):
    """No example is failed on by both, though chance would give a quarter."""
    fails = {"one": [True] * 8 + [False] * 8, "other": [False] * 8 + [True] * 8}
    values = measured(subject_of({"one": linear, "other": linear}, verdicts=verdicts(fails)))
    assert values["n_always"] == 0
    assert values["gallery"] == []
    assert FAILING.claims(values)[0].verdict == "does not hold"
    assert len(FAILING.draw(values)) == 2


def test_classes_are_those_of_the_labels(subject_of, linear, examples):
    """Counts add up, and each class has its own."""
    fails = [label == 1 for label in examples.labels.tolist()]
    values = measured(subject_of({"one": linear}, verdicts=verdicts({"one": fails})))
    counts = {each["name"]: (each["failing"], each["n"]) for each in values["classes"]}
    n_ones = int((examples.labels == 1).sum())
    assert counts["1"] == (n_ones, n_ones)
    assert counts["0"] == (0, int((examples.labels == 0).sum()))
    assert FAILING.claims(values) == ()


def test_the_gallery_shows_the_stored_break_and_what_most_models_say(subject_of, linear, examples):
    """Pixels in eight bits; an example that was wrong when clean has no break."""
    deltas = np.full((1, 1, 8, 8), 7, np.int8)
    breaks = Breaks(
        indices=np.array([3]),
        labels=examples.labels[3:4].numpy(),
        predictions=np.array([9]),
        margins=np.array([-1], np.float32),
        rounded=np.array([True]),
        deltas=deltas,
        exact=np.empty((0, 1, 8, 8), np.float32),
    )
    fails = [position in (0, 3) for position in range(16)]
    models = {"one": linear, "other": linear}
    subject = subject_of(models, verdicts=verdicts({"one": fails, "other": fails}, breaks))
    first, second = measured(subject)["gallery"]
    assert (first["index"], first["broken"]) == (0, None)
    assert (second["index"], second["called"], second["votes"]) == (3, "9", 2)
    values = measured(subject)
    figures = FAILING.draw(values)
    assert "Always-failing examples: clean, and the first model's stored break" in figures
    from bench.analysis.failing_figures import _pixels

    clean, broken = (_pixels(second[key], second["shape"]).astype(int) for key in ("clean", "broken"))
    assert (broken - clean == 7).all()


def test_a_model_with_dummies_is_told_where_its_examples_land(subject_of, examples):
    """A table, a figure and a claim for it."""
    zeros = type(examples)(inputs=examples.inputs, labels=torch.zeros_like(examples.labels), indices=examples.indices)
    threat_model = ThreatModel.parse("Linf:1/10")
    asked = verdicts({"pair": [False] * 16})
    subject = subject_of({"pair": Paired()}, verdicts=asked, threat_model=threat_model, examples=zeros)
    values = measured(subject)
    assert set(values["landing"]["pair"]) == {"clean", "pgd-20", "naive-pgd-20"}
    assert FAILING.tables(values)[-1].headers[2:] == PLACES
    assert "Where the largest raw logit lies" in FAILING.draw(values)
    (claim,) = FAILING.claims(values)
    assert claim.text == "Most adversarial examples of pair land in the dummy of their true class."


def test_a_class_that_all_models_fail_is_drawn():
    """Ten of ten: the upper end of its interval is 1, and rounding must not put it below."""
    from bench.analysis import failing_figures

    figure = failing_figures.classes({"classes": [{"name": "cat", "n": 10, "failing": 10}]})
    assert figure.axes[0].get_yticklabels()[0].get_text() == "cat"
