"""What a run will take, told from a probe of the real model, less what its journal holds."""

from __future__ import annotations

import dataclasses

import pytest
from torch import nn

from bench.attacks.fgsm import FGSM
from bench.attacks.pgd import PGD
from bench.core.errors import BenchError, WorkFailedError
from bench.core.types import Examples
from bench.evaluation import Prospect, evaluate, plan
from bench.evaluation.cost.costs import Costs, StageCost
from bench.evaluation.journal.journal import open_journal, peek

COSTS = Costs(
    stages={
        "clean": StageCost(batch=0.0, example=0.001),
        "fgsm": StageCost(batch=0.0, example=0.01),
        "pgd-20": StageCost(batch=0.0, example=0.1),
    },
    in_seconds=True,
)


@pytest.fixture
def prospect(linear, examples, threat_model, make, tmp_path):
    suite = make["suite"](FGSM(), PGD(steps=3))
    header = plan(linear, examples, threat_model=threat_model, suite=suite, device="cpu")
    return Prospect(
        module=linear,
        examples=examples,
        threat_model=threat_model,
        suite=suite,
        header=header,
        device=next(linear.parameters()).device,
        journal=tmp_path / "journal",
    )


def run(prospect, count, **options):
    return evaluate(
        prospect.module,
        prospect.examples[:count],
        threat_model=prospect.threat_model,
        suite=prospect.suite,
        journal=prospect.journal,
        **options,
    )


def test_without_a_journal_everything_is_to_be_done(prospect):
    """Time grows with the examples; nothing is made on disk."""
    prediction = prospect.predict(COSTS)
    assert prediction.seconds(200) == pytest.approx(200 * 0.111)
    assert prediction.seconds(64) == pytest.approx(64 * 0.111)
    assert not prospect.journal.exists()


def test_what_the_journal_holds_costs_nothing(prospect):
    """Whole chunks of 64; the rest goes on at the pace that the journal shows, whatever the probe said."""
    run(prospect, 130)
    prediction = prospect.predict(COSTS)
    assert prediction.seconds(130) == pytest.approx(0)
    assert 0 < prediction.seconds(200) < 72 * 0.111 / 2


def test_a_stage_that_did_not_finish_is_still_to_be_done(prospect, make):
    """Clean verdicts and FGSM are kept of a run that failed in the second attack."""

    def fail(*_):
        raise RuntimeError("no luck")

    other = dataclasses.replace(
        prospect,
        suite=make["suite"](FGSM(), make["Scripted"](name="pgd-20", act=fail)),
    )
    other = dataclasses.replace(
        other,
        header=plan(
            prospect.module,
            prospect.examples,
            threat_model=prospect.threat_model,
            suite=other.suite,
            device="cpu",
        ),
    )
    with pytest.raises(WorkFailedError):
        run(other, 200)
    correct = 200 * 3 // 4
    assert other.predict(COSTS).seconds(200) == pytest.approx(correct * 0.1, rel=0.01)


def test_the_journal_of_another_run_counts_for_nothing(prospect, linear, examples, threat_model):
    """It will be refused when the run starts; the prediction does not use it."""
    run(prospect, 200, seed=3)
    assert prospect.predict(COSTS).seconds(200) == pytest.approx(200 * 0.111)


def test_other_examples_in_the_journal_are_refused(prospect):
    """As they will be when the run starts."""
    run(prospect, 64)
    changed = Examples(
        inputs=1 - prospect.examples.inputs, labels=prospect.examples.labels, indices=prospect.examples.indices
    )
    with pytest.raises(BenchError, match="made with other examples 0:64"):
        dataclasses.replace(prospect, examples=changed).predict(COSTS).seconds(64)


def test_what_follows_the_attacks_is_part_of_the_prediction(prospect):
    """So many passes, by the number of examples; several workers do not share it, and no journal of stages has it."""
    costs = dataclasses.replace(COSTS, per_pass=0.5)
    after = dataclasses.replace(prospect, after=lambda count: 3.0 * min(count, 10), n_workers=4)
    assert after.predict(costs).seconds(64) == pytest.approx(64 * 0.111 / 4 + 0.5 * 30)
    assert after.predict(costs).seconds(4) == pytest.approx(4 * 0.111 / 4 + 0.5 * 12)
    run(prospect, 200)
    after = dataclasses.replace(after)
    assert after.predict(costs).seconds(200) == pytest.approx(0.5 * 30)
    assert after.most_seconds(0.5) == pytest.approx(0.5 * 30)
    assert prospect.most_seconds(0.5) == 0


def test_packing_the_breaks_is_part_of_the_prediction(prospect):
    """Of the examples that the probe's short attack broke, a quarter being wrong when clean."""
    indices = prospect.examples.indices.tolist()
    clean = {index: index % 4 != 3 for index in indices}
    robust = {index: index % 2 == 0 for index in indices if clean[index]}
    costs = dataclasses.replace(COSTS, clean=clean, robust=robust)
    packed = dataclasses.replace(costs, per_break=7.0)
    n_breaks = sum(not held for held in robust.values())
    difference = prospect.predict(packed).seconds(200) - prospect.predict(costs).seconds(200)
    assert n_breaks == 50 and difference == pytest.approx(7.0 * n_breaks)


def test_a_probe_measures_every_stage_and_hands_the_model_back(prospect):
    """Positive seconds for what runs, verdicts of the examples, and the model as it was."""
    prospect.module.train()
    with prospect.probe() as probe:
        per_pass = probe.seconds_per_pass()
        costs = probe.measure(prospect.attacks, per_pass=per_pass, limit=0.2)
    assert prospect.module.training and all(each.requires_grad for each in prospect.module.parameters())
    assert set(costs.stages) == {"clean", "fgsm", "pgd-20"}
    assert all(cost.batch + cost.example > 0 for cost in costs.stages.values())
    assert 0 < per_pass < 0.1 and prospect.most_seconds(per_pass) == pytest.approx(per_pass * 9 * 200)
    assert sum(costs.clean.values()) == len(costs.robust)
    assert (costs.per_break > 0) == (not all(costs.robust.values()))


def test_a_model_that_gives_no_logits_is_refused_before_it_is_probed(prospect, linear):
    """By the same words as a run would use."""
    bad = dataclasses.replace(prospect, module=nn.Sequential(linear, nn.Softmax(dim=1)))
    with pytest.raises(BenchError, match="probabilities"), bad.probe():
        pass


def test_peeking_takes_no_lock(prospect):
    """A journal in use can be looked into; an absent one is None."""
    assert peek(prospect.journal) is None
    run(prospect, 64)
    with open_journal(prospect.journal, peek(prospect.journal).header):
        assert peek(prospect.journal).header.seed == 0
