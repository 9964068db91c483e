"""The forecast against simulated runs whose costs are planted: no clock is read."""

from __future__ import annotations

import dataclasses
import math
import random

import pytest
import torch
from torch import nn

from bench import suites
from bench.attacks import PGD, EoT
from bench.core.types import CascadeRules, Examples, ThreatModel
from bench.evaluation.cascade import share_tried
from bench.evaluation.cost.forecast import IN_PASSES, Costs, Forecast, StageCost, share_of_broken
from bench.evaluation.counting import CountingClassifier
from bench.evaluation.journal.chunks import each_alone, groups_of
from bench.evaluation.schedule import CLEAN, Stage


class Simulation:
    """A run whose verdicts and seconds are planted.

    Each example has a strength: the share of attacks, from weak to strong, that it withstands.
    """

    def __init__(self, suite, n_examples, *, clean=0.7, robust=0.4, engine="fast", pace=1.0, noise=0.0):
        self.suite = suites.get(suite, engine=engine)
        self.indices = list(range(n_examples))
        self.pace, self.noise, self.random = pace, noise, random.Random(0)
        strength = [self.random.random() for _ in self.indices]
        self.clean = [value < clean for value in strength]
        self.robust = [value < robust for value in strength]
        self.half = [value < (2 * robust + clean) / 3 for value in strength]
        self.costs = {CLEAN.key: StageCost(batch=0.001, example=0.0005)}
        for attack in self.suite.attacks:
            for part in attack.stages:
                passes = part.n_passes
                cost = StageCost(batch=1e-4 * passes, example=5e-4 * passes, broken=share_of_broken(part))
                self.costs[Stage.of(attack, part).key] = cost

    def probe(self, n_probed=256, error=0.0):
        """What a probe of the first examples says; every stage is off by a factor of its own."""
        stages = {
            key: StageCost(batch=cost.batch * factor, example=cost.example * factor, broken=cost.broken)
            for key, cost in self.costs.items()
            for factor in [1 + error * (2 * self.random.random() - 1)]
        }
        few = self.indices[:n_probed]
        clean = {index: self.clean[index] for index in few}
        robust = {index: self.robust[index] for index in few if self.clean[index]}
        return Costs(stages=stages, in_seconds=True, clean=clean, robust=robust)

    def run(self, costs):
        """Play the run; return its length, and (seconds passed, remaining) as each group of chunks was done."""
        forecast = Forecast(self.suite.attacks, self.indices, costs, batch_size=64)
        told, passed = [(0.0, forecast.remaining())], 0.0
        verdicts = {}
        for step in forecast.steps:
            attacked = [True] * len(self.indices) if step.before is None else verdicts[step.before.key]
            if step.selects and step.stage.key == "cascade.fab-t":  # the cascade's choice, here any so many
                alive = [position for position, seen in enumerate(attacked) if seen]
                chosen = set(self.random.sample(alive, math.ceil(share_tried(CascadeRules(), len(alive)) * len(alive))))
                attacked = [position in chosen for position in range(len(attacked))]
            forecast.begin(step.stage, attacked)
            held = [seen and verdict for seen, verdict in zip(attacked, self._outcome(step.stage), strict=True)]
            verdicts[step.stage.key] = held
            chunks = forecast.chunks
            for group in each_alone(chunks) if step.stage.per_chunk else groups_of(chunks, attacked, 64):
                rows = slice(group[0].start, group[-1].rows.stop)
                n_seen, n_held = sum(attacked[rows]), sum(held[rows])
                cost = self.costs[step.stage.key]
                seconds = cost.of(n_batches=min(1, n_seen), n_held=n_held, n_broken=n_seen - n_held) * self.pace
                seconds *= 1 + self.noise * (2 * self.random.random() - 1)
                passed += seconds
                forecast.observe(step.stage, rows, held[rows], seconds, reused=False)
                told.append((passed, forecast.remaining()))
        return passed, told

    def _outcome(self, stage):
        if stage.attack is None:
            return self.clean
        return self.half if stage.attack.name == "fgsm" else self.robust


def worst(told, total, *, after, until=0.95):
    """Largest relative error of the time left, from a share of the run on and until little is left."""
    errors = [
        abs(left - (total - passed)) / (total - passed)
        for passed, left in told
        if after * total <= passed <= until * total
    ]
    assert len(errors) >= 8
    return max(errors)


@pytest.mark.parametrize("suite", ["standard-v1", "cascade-v1", "quick-v1"])
@pytest.mark.parametrize("engine", ["fast", "reference"])
def test_with_a_good_probe_it_is_right_from_the_start(suite, engine):
    """Stages cost differently and see survivors only; both are in the first number already."""
    simulation = Simulation(suite, 256, engine=engine)
    total, told = simulation.run(simulation.probe())
    assert told[0][1] == pytest.approx(total, rel=0.05)
    assert worst(told, total, after=0.0) <= 0.06
    assert told[-1][1] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("suite", ["standard-v1", "cascade-v1"])
@pytest.mark.parametrize("pace", [0.5, 2.0])
def test_a_machine_that_changed_its_pace_is_noticed(suite, pace):
    """Within 15 % after a twentieth of the run, although the probe was half or twice as fast."""
    simulation = Simulation(suite, 512, pace=pace, noise=0.05)
    total, told = simulation.run(simulation.probe(error=0.05))
    assert abs(told[0][1] - total) / total > 0.4
    assert worst(told, total, after=0.05) <= 0.15


@pytest.mark.parametrize("robust", [0.0, 0.1, 0.4, 0.65])
def test_models_of_every_strength(robust):
    """From one that everything breaks to one that next to nothing does; half of the examples were not probed."""
    simulation = Simulation("standard-v1", 512, robust=robust, noise=0.05)
    total, told = simulation.run(simulation.probe(error=0.05))
    assert worst(told, total, after=0.05) <= 0.15


def test_without_a_probe_passes_are_counted():
    """Nothing is said before anything was measured; then the run's own pace is."""
    simulation = Simulation("standard-v1", 256)
    total, told = simulation.run(IN_PASSES)
    assert told[0][1] is None
    assert worst(told, total, after=0.06) <= 0.15


def test_the_survivors_of_earlier_attacks_are_all_that_long_stages_will_see():
    """What PGD broke is not expected to reach Square, though nothing of AutoAttack ran yet."""
    simulation = Simulation("standard-v1", 256)
    costs = dataclasses.replace(simulation.probe(), robust={}, clean={})
    forecast = Forecast(simulation.suite.attacks, simulation.indices, costs, batch_size=64)
    first, fgsm = list(forecast.steps)[:2]
    before = forecast.remaining()
    forecast.begin(first.stage, [True] * 256)
    forecast.observe(first.stage, slice(0, 256), [True] * 256, 0.0, reused=True)
    forecast.begin(fgsm.stage, [True] * 256)
    forecast.observe(fgsm.stage, slice(0, 64), [False] * 64, 0.0, reused=True)
    assert forecast.remaining() < 0.85 * before


def test_stored_work_costs_nothing_and_teaches_the_pace_only_until_there_is_better():
    """A group of an earlier run is done; its seconds count while this run has none of that stage."""
    simulation = Simulation("quick-v1", 256)
    costs = simulation.probe()
    forecast = Forecast(simulation.suite.attacks, simulation.indices, costs, batch_size=64)
    whole = forecast.remaining()
    steps = list(forecast.steps)
    pgd = next(step for step in steps if step.stage.key == "pgd-20")
    for step in steps[:2]:
        forecast.begin(step.stage, [True] * 256)
        forecast.observe(step.stage, slice(0, 256), [True] * 256, 0.0, reused=True)
    forecast.begin(pgd.stage, [True] * 256)
    rest = forecast.remaining()
    assert rest > 0
    for start in (0, 64):
        forecast.observe(pgd.stage, slice(start, start + 64), [True] * 64, 1e3, reused=True)
    slow = forecast.remaining()
    assert slow > 1.2e3 > whole, "two of four groups held for 1,000 seconds each; of two more some examples leave early"
    cost = costs.stages["pgd-20"].of(n_batches=1, n_held=64, n_broken=0)
    forecast.observe(pgd.stage, slice(128, 192), [True] * 64, cost, reused=False)
    assert forecast.remaining() < rest


def test_work_that_nobody_planned_is_counted_once_it_begins():
    """A cascade that tries everybody after all: its rest costs what the stage costs."""
    simulation = Simulation("cascade-v1", 256)
    costs = simulation.probe()
    forecast = Forecast(simulation.suite.attacks, simulation.indices, costs, batch_size=64)
    (cascade,) = simulation.suite.attacks
    square = Stage.of(cascade, cascade.stages[-1])
    before = forecast.remaining()
    rest = Stage.of(cascade, cascade.stages[-1], suffix="rest")
    forecast.begin(rest, [True] * 64 + [False] * 192, base=square)
    added = costs.stages[square.key].of(n_batches=1, n_held=64, n_broken=0)
    assert forecast.remaining() - before == pytest.approx(added)


def test_what_follows_the_stages_is_left_until_the_end():
    """At the run's pace, by one worker however many share the stages; and the packing of what is broken by then."""
    simulation = Simulation("quick-v1", 256, pace=2.0)
    probed = simulation.probe()
    costs = dataclasses.replace(probed, after=1_000.0, per_break=10.0)
    forecast = Forecast(simulation.suite.attacks, simulation.indices, costs, batch_size=64)
    plain = Forecast(simulation.suite.attacks, simulation.indices, probed, batch_size=64)
    n_breaks = sum(not held for held in probed.robust.values())
    for n_workers in (1, 4):
        expected = plain.remaining() / n_workers + 1_000 + 10 * n_breaks
        assert forecast.remaining(n_workers) == pytest.approx(expected)
    _, told = simulation.run(costs)
    n_breaks = sum(simulation.clean) - sum(simulation.robust)
    assert told[-1][1] == pytest.approx(2 * 1_000 + 10 * n_breaks, rel=0.1)


def test_a_stage_that_did_not_begin_cannot_be_done():
    """A programmer's mistake, by name."""
    simulation = Simulation("quick-v1", 64)
    forecast = Forecast(simulation.suite.attacks, simulation.indices, IN_PASSES, batch_size=64)
    with pytest.raises(ValueError, match="Expected `stage` to have begun, but got clean"):
        forecast.observe(CLEAN, slice(0, 64), [True] * 64, 1.0, reused=False)


@pytest.mark.parametrize(
    ("name", "passes"),
    [("fgsm", 2), ("pgd-20", 40), ("apgd-ce", 200), ("apgd-t", 1800), ("fab-t", 2700), ("square", 5000)],
)
def test_an_attack_says_how_many_passes_it_takes(name, passes):
    """A query is one pass, a step two, a step of FAB three."""
    from bench import attacks

    assert attacks.get(name).n_passes == passes


class WithDummies(nn.Module):
    """Ten classes of 4 x 4 pixels, each with a dummy."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(16, 20))

    def raw(self, inputs):
        return self.layers(inputs)

    def forward(self, inputs):
        return torch.maximum(*self.raw(inputs).chunk(2, dim=1))


ALL_PARTS = {
    part.name: part
    for suite in ("standard-v1", "quick-v1", "swift-v1")
    for attack in suites.get(suite, engine="fast").attacks
    for part in attack.stages
    if part.structure in (None, "raw-pairs") and part.n_passes > 2
}


@pytest.mark.parametrize(
    "part", [*ALL_PARTS.values(), EoT(name="eot", attack=PGD(), passes=2)], ids=lambda part: part.name
)
def test_an_attack_says_whether_what_it_broke_costs_it_anything_more(part):
    """On examples that any step breaks."""
    model = CountingClassifier(WithDummies().eval())
    inputs = torch.full((8, 1, 4, 4), 0.5)
    inputs += 0.01 * torch.rand(inputs.shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        labels = model(inputs).argmax(1)
    model.reset()
    examples = Examples(inputs=inputs, labels=labels, indices=torch.arange(8))
    part.perturb(model, examples, ThreatModel.parse("Linf:1/2"), seed=0)
    taken = (model.forwards + model.backwards) / len(examples)
    assert (taken < 0.4 * part.n_passes) == part.leaves_when_broken, taken
