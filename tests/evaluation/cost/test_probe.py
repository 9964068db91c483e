"""The probe on a runner whose seconds are planted, and small versions of attacks."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
import torch

from bench import attacks, suites
from bench.attacks.autoattack import ApgdT, Square
from bench.attacks.fgsm import FGSM
from bench.attacks.pgd import PGD
from bench.core.errors import WorkFailedError
from bench.core.types import Examples
from bench.evaluation.cost.probe import Probe, miniature
from bench.evaluation.results import StageResult
from bench.evaluation.schedule import Stage
from bench.row.arrays.adversarials import Breaks

FINISH = {"cross-entropy": 0.02, "margin": 0.06}
"""Seconds of each example at the end of a search in lower precision."""


class PlantedRunner:
    """Takes time by a known law: so much a call, so much a step of a batch, so much a step of an example."""

    SET_UP, STEP, EXAMPLE = 0.01, 0.002, 0.0005
    STALL_EVERY, STALL = 0, 5.0

    def __init__(self, examples: Examples, log: list[float], robust: float) -> None:
        self.indices = examples.indices.tolist()
        self.log, self.robust = log, robust
        self.breaks = Breaks.none(examples.shape)

    def run(self, stage: Stage, attacked) -> StageResult:
        steps = 1
        for name in ("steps", "queries", "targets", "restarts"):
            steps *= getattr(stage.attack, name, 1)
        n_seen = sum(attacked)
        seconds = self.SET_UP + steps * (self.STEP + self.EXAMPLE * n_seen)
        seconds += FINISH.get(stage.attack and stage.attack.finish, 0.0) * n_seen
        if self.STALL_EVERY and len(self.log) % self.STALL_EVERY == 0:
            seconds += self.STALL
        self.log.append(seconds)
        limit = 0.8 if stage.attack is None else self.robust
        robust = tuple(seen and index % 10 < 10 * limit for seen, index in zip(attacked, self.indices, strict=True))
        none = (False,) * len(robust)
        return StageResult(
            name=stage.name,
            attacked=tuple(attacked),
            robust=robust,
            margin=(0.0,) * len(robust),
            finite=(True,) * len(robust),
            right=tuple(map(int, robust)),
            moved=none,
            claimed=none,
            rejected=none,
            seconds=seconds,
            batch_size=64,
        )


@pytest.fixture
def examples() -> Examples:
    return Examples(
        inputs=torch.zeros(500, 1, 2, 2), labels=torch.zeros(500, dtype=torch.int64), indices=torch.arange(500)
    )


def probed(examples, suite, *, limit=4.0, robust=0.4, per_pass=1e-4):
    log: list[float] = []
    probe = Probe(lambda part: PlantedRunner(part, log, robust), examples, n_classes=10, batch_size=64)  # type: ignore
    return probe.measure(suite.attacks, per_pass=per_pass, limit=limit), log


def run_at_pace(monkeypatch, paces):
    """From call to call the machine takes so many times what is planted, in turns."""
    planted, pace = PlantedRunner.run, itertools.cycle(paces)

    def run(*given):
        found = planted(*given)
        return dataclasses.replace(found, seconds=found.seconds * next(pace))

    monkeypatch.setattr(PlantedRunner, "run", run)


@pytest.mark.parametrize("robust", [0.4, 0.0])
def test_the_probe_finds_the_planted_costs(examples, robust):
    """Per batch and per example, for every stage of the standard suite, though none runs at length."""
    suite = suites.get("standard-v1", engine="fast")
    costs, log = probed(examples, suite, robust=robust)
    for attack in suite.attacks:
        for part in attack.stages:
            steps = 1
            for name in ("steps", "queries", "targets", "restarts"):
                steps *= getattr(part, name, 1)
            found = costs.stages[Stage.of(attack, part).key]
            planted = PlantedRunner.SET_UP + PlantedRunner.STEP * steps
            assert found.batch == pytest.approx(planted, rel=1e-6)
            finish = FINISH.get(part.finish, 0.0)
            assert found.example == pytest.approx(PlantedRunner.EXAMPLE * steps + finish, rel=1e-6)
    assert costs.in_seconds and max(log) < 1.5, "the longest stage takes minutes by the planted law"


def test_a_machine_that_stalls_now_and_then_misleads_nobody(examples, monkeypatch):
    """Every third call takes seconds longer, which multiplied by a stage's steps would be hours."""
    monkeypatch.setattr(PlantedRunner, "STALL_EVERY", 3)
    costs, _ = probed(examples, suites.get("standard-v1"))
    (square,) = [found for key, found in costs.stages.items() if key.endswith("square")]
    assert square.example == pytest.approx(PlantedRunner.EXAMPLE * 5000 + FINISH["margin"], rel=1e-6)


def test_the_pace_that_is_told_is_the_usual_one(examples, monkeypatch):
    """A machine that is a third quicker now and then does not stay so for the hours of a run."""
    run_at_pace(monkeypatch, [1.0, 1.0, 0.75])
    costs, _ = probed(examples, suites.get("standard-v1", engine="fast"))
    square = costs.stages["autoattack.square"]
    expected = 5000 * (0.002 + 64 * 0.0005) + 64 * FINISH["margin"]
    assert square.batch + 64 * square.example == pytest.approx(expected, rel=0.02)


def test_a_pass_is_timed_on_a_batch_that_is_warm_and_more_than_once(examples, monkeypatch):
    """A first call that sets up, and a stall of seconds, change nothing."""
    monkeypatch.setattr(PlantedRunner, "STALL_EVERY", 4)
    monkeypatch.setattr(PlantedRunner, "SET_UP", 0.001)
    monkeypatch.setattr(PlantedRunner, "STEP", 0.0002)
    log: list[float] = []
    probe = Probe(lambda part: PlantedRunner(part, log, 0.4), examples, n_classes=10, batch_size=64)  # type: ignore
    usual = PlantedRunner.SET_UP + 2 * (PlantedRunner.STEP + PlantedRunner.EXAMPLE * 64)
    assert probe.seconds_per_pass() == pytest.approx(usual / 64)
    assert sum(seconds > PlantedRunner.STALL for seconds in log) == 2, "both first calls"


def test_an_estimate_wanders_no_further_than_the_pace(examples, monkeypatch):
    """Half as quick again while one length is timed, and half as slow while the other is, whichever comes first."""
    run_at_pace(monkeypatch, [1.5] * 3 + [0.75] * 3)
    suite = suites.get("standard-v1", engine="fast")
    found = probed(examples, suite, limit=60.0, robust=0.8)[0].stages
    for stage, steps in (("autoattack.apgd-t", 900), ("autoattack.fab-t", 900), ("autoattack.square", 5000)):
        seconds = found[stage].batch + 64 * (found[stage].example - FINISH["margin"])
        assert 0.7 < seconds / (steps * (0.002 + 64 * 0.0005)) < 1.6


def test_what_a_call_costs_does_not_hide_its_steps(examples, monkeypatch):
    """Clean logits and verdicts take as long as five steps, and the clock is off by a tenth of a call."""
    monkeypatch.setattr(PlantedRunner, "SET_UP", 0.05)
    run_at_pace(monkeypatch, [1.0, 1.1, 0.9, 1.05, 0.95])
    suite = suites.get("standard-v1", engine="fast")
    found = probed(examples, suite, limit=6.0, robust=0.8)[0].stages
    for stage, steps in (("autoattack.apgd-t", 900), ("autoattack.fab-t", 900), ("autoattack.square", 5000)):
        seconds = found[stage].batch + 16 * (found[stage].example - FINISH["margin"])
        assert seconds == pytest.approx(0.05 + steps * (0.002 + 16 * 0.0005), rel=0.25)


def test_the_steps_after_a_search_do_not_drown_it(examples, monkeypatch):
    """On a clock that is off by a tenth of a call, Square's queries are told though each call ended in long steps."""
    run_at_pace(monkeypatch, [1.0, 1.1, 0.9])
    costs, log = probed(examples, suites.get("standard-v1", engine="fast"))
    square = costs.stages["autoattack.square"]
    assert square.batch + 64 * square.example == pytest.approx(5000 * (0.002 + 64 * 0.0005), rel=0.25)
    assert sum(seconds > 0.06 * 16 for seconds in log) < len(log) / 4, "few calls have the steps at the end"


def test_batches_as_large_as_the_runs_are_timed_where_a_step_is_quick_enough(examples, monkeypatch):
    """A row of a small batch costs more, and passes of the plain model say nothing of the form that is searched on."""
    planted = PlantedRunner.run

    def no_fewer_than_sixteen(self, stage, attacked):
        found = planted(self, stage, attacked)
        idle = max(0, 16 - sum(attacked)) if stage.attack is not None else 0
        return dataclasses.replace(
            found, seconds=found.seconds + idle * self.EXAMPLE * getattr(stage.attack, "queries", 1)
        )

    monkeypatch.setattr(PlantedRunner, "run", no_fewer_than_sixteen)
    costs, _ = probed(examples, suites.get("standard-v1", engine="fast"), limit=20.0, robust=0.8, per_pass=0.01)
    square = costs.stages["autoattack.square"]
    seconds = square.batch + 64 * (square.example - FINISH["margin"])
    assert seconds == pytest.approx(0.01 + 5000 * (0.002 + 64 * 0.0005), rel=0.05)


def test_the_probe_says_who_survives(examples):
    """Clean verdicts of the first 256 examples, and of the correct ones whether they withstood a short attack."""
    costs, _ = probed(examples, suites.get("quick-v1", engine="fast"))
    assert set(costs.clean) == set(range(256))
    assert costs.clean[7] and not costs.clean[8]
    assert set(costs.robust) == {index for index in range(256) if index % 10 < 8}
    assert costs.robust[3] and not costs.robust[4]


def test_an_attack_that_fails_in_small_is_counted_in_passes(examples, monkeypatch):
    """A probe stops no run; if the attack fails at length too, the run says so."""
    planted = PlantedRunner.run

    def fail(self, stage, attacked):
        if stage.attack is not None and stage.attack.name == "square":
            raise WorkFailedError("Failed twice: probe on chunk 0.")
        return planted(self, stage, attacked)

    monkeypatch.setattr(PlantedRunner, "run", fail)
    suite = suites.get("standard-v1", engine="fast")
    costs, _ = probed(examples, suite)
    square = Stage.of(suite.attacks[-1], suite.attacks[-1].stages[-1])
    assert square.key not in costs.stages and "autoattack.fab-t" in costs.stages
    assert costs.of(square).example == pytest.approx(5000 * 1e-4)


def test_an_attack_whose_runs_end_early_is_counted_in_passes(examples):
    """A difference of two short timings times 180 steps turned a busy machine's second into hours."""
    suite = suites.get("swift-v1", engine="fast")
    costs, _ = probed(examples, suite)
    relaxation = next(part for part in suite.attacks[-1].stages if part.name == "constraint-relaxation")
    stage = Stage.of(suite.attacks[-1], relaxation)
    assert stage.key not in costs.stages and "swift.square" in costs.stages
    assert costs.of(stage).example == pytest.approx(relaxation.n_passes * 1e-4)


def test_a_slow_model_is_probed_on_few_examples(examples):
    """The work shrinks with the limit, down to the least there is to do."""
    quick, slow = (
        probed(examples, suites.get("standard-v1", engine="fast"), limit=limit, per_pass=0.01)[1] for limit in (100, 1)
    )
    assert sum(slow) < sum(quick) / 2


def test_an_attack_in_small_takes_the_same_steps():
    """Fewer of them, for one target and one restart; it knows how many the whole attack takes."""
    small = miniature(ApgdT(restarts=2), 3, n_classes=10)
    assert (small.attack.steps, small.attack.targets, small.attack.restarts) == (3, 1, 1)  # type: ignore[attr-defined]
    assert (small.n_steps, small.n_full) == (3, 100 * 9 * 2)
    assert miniature(ApgdT(), 3, n_classes=4).n_full == 300
    assert miniature(Square(), 5, n_classes=10).n_full == 5000
    assert dataclasses.replace(small.attack, steps=100, targets=9, restarts=2) == ApgdT(restarts=2)  # type: ignore


def test_an_attack_that_is_short_already_stays_whole():
    """And so does one whose length nobody can tell."""
    assert miniature(PGD(steps=3), 3, n_classes=10) == (PGD(steps=3), 1, 1)
    assert miniature(FGSM(), 1, n_classes=10) == (FGSM(), 1, 1)


@pytest.mark.parametrize("name", attacks.names())
def test_every_attack_has_a_small_version(name):
    """It can be made and is no longer than asked."""
    for part in attacks.get(name).stages:
        small = miniature(part, 2, n_classes=10)
        assert small.n_full >= small.n_steps >= 1
        assert getattr(small.attack, "steps", getattr(small.attack, "queries", 1)) <= 2
