"""What a run will take, told from a probe of the real model, less what its journal holds."""

from __future__ import annotations

import dataclasses

import pytest
from torch import nn

from bench.attacks.fgsm import FGSM
from bench.attacks.pgd import PGD
from bench.core.errors import BenchError, WorkFailedError
from bench.core.types import Examples
from bench.evaluation import Estimator, evaluate, make_plan, settled
from bench.evaluation.cost.forecast import Costs, StageCost
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
def estimator(linear, examples, threat_model, make, tmp_path):
    suite = make["suite"](FGSM(), PGD(steps=3))
    usual = {"threat_model": threat_model, "suite": suite, "journal": tmp_path / "journal"}
    return Estimator(plan=settled(make_plan(linear, examples, device="cpu", **usual)))


def run(estimator, count, **options):
    part = estimator.plan
    return evaluate(
        part.module,
        part.examples[:count],
        threat_model=part.threat_model,
        suite=part.suite,
        journal=part.journal,
        **options,
    )


def test_without_a_journal_everything_is_to_be_done(estimator):
    """Time grows with the examples; nothing is made on disk."""
    assert estimator.seconds(COSTS, 200) == pytest.approx(200 * 0.111)
    assert estimator.seconds(COSTS, 64) == pytest.approx(64 * 0.111)
    assert not estimator.plan.journal.exists()


def test_what_the_journal_holds_costs_nothing(estimator):
    """Whole chunks of 64; the rest goes on at the pace that the journal shows, whatever the probe said."""
    run(estimator, 130)
    assert estimator.seconds(COSTS, 130) == pytest.approx(0)
    assert 0 < estimator.seconds(COSTS, 200) < 72 * 0.111 / 2


def test_a_stage_that_did_not_finish_is_still_to_be_done(estimator, make):
    """Clean verdicts and FGSM are kept of a run that failed in the second attack."""

    def fail(*_):
        raise RuntimeError("no luck")

    suite = make["suite"](FGSM(), make["Scripted"](name="pgd-20", act=fail))
    before = estimator.plan
    usual = {"threat_model": before.threat_model, "suite": suite, "journal": before.journal}
    other = Estimator(plan=settled(make_plan(before.module, before.examples, **usual)))
    with pytest.raises(WorkFailedError):
        run(other, 200)
    correct = 200 * 3 // 4
    assert other.seconds(COSTS, 200) == pytest.approx(correct * 0.1, rel=0.01)


def test_the_journal_of_another_run_counts_for_nothing(estimator, linear, examples, threat_model):
    """It will be refused when the run starts; the prediction does not use it."""
    run(estimator, 200, seed=3)
    assert estimator.seconds(COSTS, 200) == pytest.approx(200 * 0.111)


def test_other_examples_in_the_journal_are_refused(estimator):
    """As they will be when the run starts."""
    run(estimator, 64)
    before = estimator.plan.examples
    changed = Examples(inputs=1 - before.inputs, labels=before.labels, indices=before.indices)
    with pytest.raises(BenchError, match="made with other examples 0:64"):
        Estimator(plan=dataclasses.replace(estimator.plan, examples=changed)).seconds(COSTS, 64)


def test_what_follows_the_attacks_is_part_of_the_prediction(estimator):
    """So many passes, by the number of examples; several workers do not share it, and no journal of stages has it."""
    costs = dataclasses.replace(COSTS, per_pass=0.5)
    after = dataclasses.replace(estimator, after=lambda count: 3.0 * min(count, 10), n_workers=4)
    assert after.seconds(costs, 64) == pytest.approx(64 * 0.111 / 4 + 0.5 * 30)
    assert after.seconds(costs, 4) == pytest.approx(4 * 0.111 / 4 + 0.5 * 12)
    run(estimator, 200)
    after = dataclasses.replace(after)
    assert after.seconds(costs, 200) == pytest.approx(0.5 * 30)
    assert after.most_seconds(0.5) == pytest.approx(0.5 * 30)
    assert estimator.most_seconds(0.5) == 0


def test_packing_the_breaks_is_part_of_the_prediction(estimator):
    """Of the examples that the probe's short attack broke, a quarter being wrong when clean."""
    indices = estimator.plan.examples.indices.tolist()
    clean = {index: index % 4 != 3 for index in indices}
    robust = {index: index % 2 == 0 for index in indices if clean[index]}
    costs = dataclasses.replace(COSTS, clean=clean, robust=robust)
    packed = dataclasses.replace(costs, per_break=7.0)
    n_breaks = sum(not held for held in robust.values())
    difference = estimator.seconds(packed, 200) - estimator.seconds(costs, 200)
    assert n_breaks == 50 and difference == pytest.approx(7.0 * n_breaks)


def test_a_probe_measures_every_stage_and_hands_the_model_back(estimator):
    """Positive seconds for what runs, verdicts of the examples, and the model as it was."""
    module = estimator.plan.module.train()
    with estimator.probe() as probe:
        per_pass = probe.seconds_per_pass()
        costs = probe.measure(estimator.plan.attacks, per_pass=per_pass, limit=0.2)
    assert module.training and all(each.requires_grad for each in module.parameters())
    assert set(costs.stages) == {"clean", "fgsm", "pgd-20"}
    assert all(cost.batch + cost.example > 0 for cost in costs.stages.values())
    assert 0 < per_pass < 0.1 and estimator.most_seconds(per_pass) == pytest.approx(per_pass * 9 * 200)
    assert sum(costs.clean.values()) == len(costs.robust)
    assert (costs.per_break > 0) == (not all(costs.robust.values()))


def test_a_model_that_gives_no_logits_is_refused_before_it_is_probed(estimator, linear):
    """By the same words as a run would use."""
    bad = dataclasses.replace(estimator.plan, module=nn.Sequential(linear, nn.Softmax(dim=1)), forms=None)
    with pytest.raises(BenchError, match="probabilities"):
        settled(bad)


def test_peeking_takes_no_lock(estimator):
    """A journal in use can be looked into; an absent one is None."""
    assert peek(estimator.plan.journal) is None
    run(estimator, 64)
    with open_journal(estimator.plan.journal, peek(estimator.plan.journal).header):
        assert peek(estimator.plan.journal).header.seed == 0
